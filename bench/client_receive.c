/* SPDX-License-Identifier: MIT
 *
 * client_receive - the hot path of what comes in: messages and their acknowledgements.
 *
 * Acknowledgements of one read are gathered in worker->acks and written at once by the caller. The
 * gathering buffer is as large as the read buffer: no packet is answered with more bytes than it
 * has, since an answer has four and a PUBLISH that asks for one at least seven.
 */
#include "base/check.h"
#include "base/endian.h"
#include "bench/client.h"
#include "bench/handshake.h"
#include "bench/worker.h"
#include "mqtt/decode.h"

#define ACK_LEN 4u

static void answer(struct client *client, uint8_t first_byte, uint16_t identifier)
{
    struct worker *worker = client->worker;
    uint8_t *to = worker->acks + worker->acks_len;

    ASSERT(worker->acks_len + ACK_LEN <= worker->read_size);
    to[0] = first_byte;
    to[1] = 2;
    put_be16(to + 2, identifier);
    worker->acks_len += ACK_LEN;
}

/* Steps over the property block of a 5.0 PUBLISH. Returns the offset behind it, or 0 when it does
 * not fit. */
static uint32_t skip_properties(const struct frame *frame, uint32_t at)
{
    uint32_t len = 0;

    for (unsigned shift = 0; shift < 28; shift += 7) {
        if (at >= frame->body_len) {
            return 0;
        }
        len |= (uint32_t)(frame->body[at] & 0x7f) << shift;
        if (!(frame->body[at++] & 0x80)) {
            return len <= frame->body_len - at ? at + len : 0;
        }
    }
    return 0;
}

/* Views a PUBLISH. The codec's decoder validates every property, which a load tool need not. */
static bool view_publish(const struct client *client, const struct frame *frame,
                         struct incoming *out, uint16_t *identifier)
{
    const uint8_t *body = frame->body;
    uint32_t at;

    if (frame->body_len < 2) {
        return false;
    }
    out->topic_len = get_be16(body);
    out->topic = body + 2;
    out->qos = (frame->flags >> 1) & 3;
    out->retain = frame->flags & 1;
    at = 2 + out->topic_len;
    *identifier = 0;
    if (out->qos > 0) {
        if (at + 2 > frame->body_len) {
            return false;
        }
        *identifier = get_be16(body + at);
        at += 2;
    }
    if (at > frame->body_len || out->qos == 3 || (out->qos > 0 && *identifier == 0)) {
        return false;
    }
    if (client->worker->load->options->version == MQTT_5) {
        at = skip_properties(frame, at);
        if (at == 0) {
            return false;
        }
    }
    out->payload = body + at;
    out->payload_len = frame->body_len - at;
    return true;
}

static void on_publish(struct client *client, const struct frame *frame)
{
    struct incoming message;
    uint16_t identifier;

    if (UNLIKELY(client->state < CLIENT_AWAIT_SUBACK)) {
        client_fail(client, "the broker sent a PUBLISH before CONNACK");
        return;
    }
    if (UNLIKELY(!view_publish(client, frame, &message, &identifier))) {
        client_fail(client, "the broker sent a malformed PUBLISH");
        return;
    }
    if (message.qos > 0) {
        answer(client, (uint8_t)((message.qos == 1 ? MQTT_PUBACK : MQTT_PUBREC) << 4), identifier);
    }
    if (client->events->message != NULL) {
        client->events->message(client, &message);
    }
}

/* PUBACK, PUBREC, PUBREL and PUBCOMP. */
static void on_acknowledgement(struct client *client, const struct frame *frame)
{
    static const char *const names[] = {
        [MQTT_PUBACK] = "PUBACK", [MQTT_PUBREC] = "PUBREC", [MQTT_PUBCOMP] = "PUBCOMP"};
    uint16_t identifier;
    bool known = true;

    if (frame->body_len < 2 || client->state < CLIENT_AWAIT_SUBACK) {
        client_fail(client, "the broker sent a malformed or premature acknowledgement");
        return;
    }
    identifier = get_be16(frame->body);
    if (frame->body_len > 2 && frame->body[2] >= 0x80) {
        client_fail(client, "the broker refused a message with reason code 0x%02x", frame->body[2]);
        return;
    }
    if (frame->type == MQTT_PUBREL) {
        answer(client, MQTT_PUBCOMP << 4, identifier);
    } else if (frame->type == MQTT_PUBACK) {
        known = inflight_acknowledge(&client->inflight, identifier, INFLIGHT_PUBACK, INFLIGHT_FREE);
    } else if (frame->type == MQTT_PUBCOMP) {
        known =
            inflight_acknowledge(&client->inflight, identifier, INFLIGHT_PUBCOMP, INFLIGHT_FREE);
    } else {
        known =
            inflight_acknowledge(&client->inflight, identifier, INFLIGHT_PUBREC, INFLIGHT_PUBCOMP);
        if (known) {
            answer(client, (MQTT_PUBREL << 4) | 2, identifier);
        }
    }
    if (!known) {
        client_fail(client, "the broker sent a %s for the packet identifier %u that awaits none",
                    names[frame->type], identifier);
    }
}

uint32_t client_parse(struct client *client, const uint8_t *data, uint32_t len)
{
    uint32_t at = 0;

    while (at < len && client->state != CLIENT_CLOSED) {
        struct frame frame;
        enum frame_status status =
            frame_find(data + at, len - at, client->worker->read_size, &frame);

        if (status == FRAME_INCOMPLETE) {
            break;
        }
        if (UNLIKELY(status != FRAME_READY)) {
            client_fail(client, status == FRAME_TOO_LARGE
                                    ? "the broker announced a packet larger than any it was to send"
                                    : "the broker sent bytes that are not MQTT");
            break;
        }
        at += frame.total_len;
        if (LIKELY(frame.type == MQTT_PUBLISH)) {
            on_publish(client, &frame);
        } else if (frame.type >= MQTT_PUBACK && frame.type <= MQTT_PUBCOMP) {
            on_acknowledgement(client, &frame);
        } else {
            handshake_on_packet(client, &frame);
        }
    }
    return at;
}
