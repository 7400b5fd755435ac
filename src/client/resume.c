/* SPDX-License-Identifier: MIT
 *
 * resume - sending again what a lost connection left unacknowledged (MQTT 5.0, 4.4).
 */
#include "client/client_priv.h"

#include "base/mem.h"

#define DUP_FLAG 0x08u

/* Appends the kept packet. False when there is no room for it now. */
static bool resend_packet(struct mqtt_client *client, uint16_t identifier)
{
    const struct client_kept *kept = &client->window.kept[identifier - 1];
    uint8_t *to = client_output_reserve(client, kept->len);

    if (to == NULL)
        return false;
    memcpy(to, kept->packet, kept->len);
    client->output->len += kept->len;
    client->resent++;
    return true;
}

static bool resend_one(struct mqtt_client *client, uint16_t identifier)
{
    if (client_window_state(&client->window, identifier) == WINDOW_PUBCOMP)
        return client_output_ack(client, MQTT_PUBREL, identifier, MQTT_REASON_SUCCESS);
    return resend_packet(client, identifier);
}

void client_resend(struct mqtt_client *client)
{
    struct client_window *window = &client->window;
    uint16_t identifier;

    while ((identifier = client_window_next_unsent(window)) != 0) {
        uint32_t on_the_way = window->count - window->unsent;

        if (on_the_way >= window->limit || /* C1 */
            (client->output != NULL && client->output->len >= CLIENT_BLOCK_SIZE / 2) ||
            !resend_one(client, identifier))
            return;
        client_window_resent(window, identifier);
    }
}

void client_resume(struct mqtt_client *client, bool session_present)
{
    struct client_window *window = &client->window;

    window->limit = client->limits->inflight_max < client->server.receive_maximum
                        ? client->limits->inflight_max
                        : client->server.receive_maximum; /* C1 */
    if (!session_present)
        inbound_clear(&client->inbound);
    client->session_present = session_present;
    if (window->count == 0)
        return;
    client_window_rewind(window);
    client->resuming = true;
    client->resume_at = window->oldest;
}

/* What is to be done about one slot; SUCCESS with *drop false: it is sent again. */
static enum mqtt_reason judge(struct mqtt_client *client, uint16_t identifier, bool *drop)
{
    struct client_window *window = &client->window;
    struct client_kept *kept = &window->kept[identifier - 1];

    *drop = true;
    if (client_window_state(window, identifier) == WINDOW_PUBCOMP) {
        *drop = !client->session_present; /* the server had taken it over, then forgot */
        return MQTT_REASON_SUCCESS;
    }
    if (kept->packet == NULL) /* its sender did not keep it */
        return MQTT_REASON_UNSPECIFIED_ERROR;
    if (kept->len > client->server.packet_size_max)
        return MQTT_REASON_PACKET_TOO_LARGE;
    if (((kept->packet[0] >> 1) & 3) > client->server.maximum_qos)
        return MQTT_REASON_QOS_NOT_SUPPORTED;
    if ((kept->packet[0] & 1) && !client->server.retain_available)
        return MQTT_REASON_RETAIN_NOT_SUPPORTED;
    if (client->session_present)
        kept->packet[0] |= DUP_FLAG; /* [MQTT-3.3.1-1] */
    else
        kept->packet[0] &= (uint8_t)~DUP_FLAG; /* to this session it is new */
    *drop = false;
    return MQTT_REASON_SUCCESS;
}

bool client_resume_next(struct mqtt_client *client, struct client_event *event)
{
    struct client_window *window = &client->window;

    while (client->resume_at != window->turn) {
        uint16_t identifier = (uint16_t)((client->resume_at++ & (window->capacity - 1)) + 1);
        enum mqtt_reason reason;
        bool drop;

        if (!(window->states[identifier - 1] & WINDOW_UNSENT))
            continue;
        reason = judge(client, identifier, &drop);
        if (!drop)
            continue;
        event->kind = CLIENT_ACKNOWLEDGED;
        event->tag = window->kept[identifier - 1].tag;
        event->ack = (struct ack_packet){.packet_identifier = identifier, .reason = reason};
        client_window_free(window, identifier);
        return true;
    }
    client->resuming = false;
    return false;
}
