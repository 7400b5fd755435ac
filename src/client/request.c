/* SPDX-License-Identifier: MIT
 *
 * request - the packets that the user of a client asks for: checked against what the server allows,
 * then written to the output.
 */
#include "client/client_priv.h"

#include "base/mem.h"
#include "mqtt/encode.h"
#include "mqtt/encode_client.h"
#include "mqtt/props.h"
#include "session/alias.h"
#include "topic/topic.h"

#define HEADER_MAX   5u
#define TOPIC_LEVELS 65536u /* no limit of ours */

/* Bytes that a packet of these parts takes at most. */
static uint64_t bound(const struct mqtt_props *props, unsigned place)
{
    return HEADER_MAX + VARINT_SIZE_MAX + 16u + (props != NULL ? props_size(props, place, 0) : 0);
}

static void take_announcements(struct mqtt_client *client, const struct connect_packet *connect)
{
    const struct mqtt_props *props = &connect->props;
    bool five = connect->version == MQTT_5;

    client->version = (uint8_t)connect->version;
    client->clean_start = connect->clean_start;
    client->has_auth = five && props_has(props, MQTT_PROPERTY_AUTHENTICATION_METHOD);
    client->receive_maximum = five && props_has(props, MQTT_PROPERTY_RECEIVE_MAXIMUM)
                                  ? props->receive_maximum
                                  : UINT16_MAX;
    client->topic_alias_maximum = five && props_has(props, MQTT_PROPERTY_TOPIC_ALIAS_MAXIMUM)
                                      ? props->topic_alias_maximum
                                      : 0;
    client->packet_size_max = client->limits->packet_size_max;
    if (five && props_has(props, MQTT_PROPERTY_MAXIMUM_PACKET_SIZE) &&
        props->maximum_packet_size < client->packet_size_max)
        client->packet_size_max = props->maximum_packet_size;
    client->server = (struct client_server){.packet_size_max = MQTT_PACKET_SIZE_MAX,
                                            .receive_maximum = UINT16_MAX,
                                            .keep_alive_s = connect->keep_alive_s,
                                            .maximum_qos = 2,
                                            .retain_available = true};
}

static bool connect_valid(const struct connect_packet *connect)
{
    if (connect->has_will && !topic_name_valid(connect->will_topic, TOPIC_LEVELS))
        return false;
    if (connect->has_will && connect->will_qos > 2)
        return false;
    /* 3.1.1: [MQTT-3.1.2-22]; 5.0 allows a password alone (3.1.2.9) */
    return !connect->has_password || connect->has_username || connect->version == MQTT_5;
}

enum client_status mqtt_client_connect(struct mqtt_client *client,
                                       const struct connect_packet *connect, uint64_t now_ms)
{
    uint64_t size = bound(&connect->props, MQTT_CONNECT) +
                    bound(connect->has_will ? &connect->will_props : NULL, PROP_IN_WILL) +
                    (uint64_t)connect->client_identifier.len + connect->will_topic.len +
                    connect->will_payload.len + connect->username.len + connect->password.len + 32u;
    uint32_t len;
    uint8_t *to;

    if (client->phase != MQTT_IDLE)
        return CLIENT_OFFLINE;
    if (!connect_valid(connect) || size > UINT32_MAX)
        return CLIENT_INVALID;
    to = client_output_reserve(client, (uint32_t)size);
    if (to == NULL)
        return CLIENT_NO_MEMORY;
    len = mqtt_encode_connect(to, (uint32_t)size, connect);
    if (len == 0)
        return CLIENT_INVALID;
    client->output->len += len;
    client->output_ms = now_ms;
    client->phase = MQTT_AWAIT_CONNACK;
    take_announcements(client, connect);
    return CLIENT_OK;
}

/* The packet as it goes out: with the alias that stands for the topic, if one is used. */
static void use_alias(struct mqtt_client *client, struct publish_packet *packet)
{
    uint16_t most = client->server.topic_alias_maximum, alias;
    bool known = false;

    if (props_has(&packet->props, MQTT_PROPERTY_TOPIC_ALIAS)) {
        if (packet->props.topic_alias > most || packet->props.topic_alias == 0) /* [MQTT-3.3.2-9] */
            packet->props.present &= ~PROP_BIT(MQTT_PROPERTY_TOPIC_ALIAS);
        return;
    }
    most = client->limits->topic_aliases < most ? client->limits->topic_aliases : most;
    if (most == 0 || client->version != MQTT_5)
        return;
    if (client->aliases == NULL)
        client->aliases = alias_create(client->topic_alias_maximum, most);
    alias = client->aliases != NULL ? alias_for_topic(client->aliases, packet->topic, &known) : 0;
    if (alias == 0)
        return;
    packet->props.topic_alias = alias;
    packet->props.present |= PROP_BIT(MQTT_PROPERTY_TOPIC_ALIAS);
    if (known)
        packet->topic.len = 0;
}

/* Whether the server would take the message at all. */
static enum client_status publish_allowed(const struct mqtt_client *client,
                                          const struct publish_packet *packet)
{
    if (client->phase != MQTT_ONLINE)
        return CLIENT_OFFLINE;
    if (packet->qos > 2 || !topic_name_valid(packet->topic, TOPIC_LEVELS)) /* [MQTT-3.3.2-2] */
        return CLIENT_INVALID;
    if (packet->qos > client->server.maximum_qos ||           /* [MQTT-3.2.2-11] */
        (packet->retain && !client->server.retain_available)) /* [MQTT-3.2.2-14] */
        return CLIENT_NOT_ALLOWED;
    if (client->window.unsent != 0 || client->resuming) /* C4 */
        return CLIENT_BUSY;
    return CLIENT_OK;
}

/* Writes the packet, at most as large as the server takes. Returns its length in *len. */
static enum client_status write_publish(struct mqtt_client *client,
                                        const struct publish_packet *packet, uint32_t *len)
{
    uint64_t size = bound(&packet->props, MQTT_PUBLISH) + packet->topic.len + packet->payload.len;
    uint8_t *to;

    if (size > MQTT_PACKET_SIZE_MAX + 64u)
        return CLIENT_TOO_LARGE;
    to = client_output_reserve(client, (uint32_t)size);
    if (to == NULL)
        return client->output != NULL && client->output->len > 0 ? CLIENT_BUSY : CLIENT_NO_MEMORY;
    *len = mqtt_encode_publish(to, (uint32_t)size, (enum mqtt_version)client->version, packet);
    if (*len == 0 || *len > client->server.packet_size_max) /* [MQTT-3.2.2-15] */
        return CLIENT_TOO_LARGE;
    return CLIENT_OK;
}

/* Keeps a message in the form in which it can be sent on a later connection: without alias. */
static bool keep_publish(struct mqtt_client *client, const struct publish_packet *sent,
                         const struct publish_packet *wanted, const uint8_t *encoded,
                         uint32_t encoded_len, uint64_t tag)
{
    struct publish_packet plain = *wanted;
    uint32_t size, len;
    uint8_t *copy;
    bool kept;

    if (!client->limits->keep)
        return true;
    if (!props_has(&sent->props, MQTT_PROPERTY_TOPIC_ALIAS))
        return mqtt_client_keep(client, sent->packet_identifier, encoded, encoded_len, tag);
    plain.packet_identifier = sent->packet_identifier;
    plain.dup = false;
    plain.props.present &= ~PROP_BIT(MQTT_PROPERTY_TOPIC_ALIAS);
    size = (uint32_t)bound(&plain.props, MQTT_PUBLISH) + plain.topic.len + plain.payload.len;
    copy = mem_try_alloc(size);
    if (copy == NULL)
        return false;
    len = mqtt_encode_publish(copy, size, (enum mqtt_version)client->version, &plain);
    kept = len != 0 && mqtt_client_keep(client, sent->packet_identifier, copy, len, tag);
    mem_free(copy);
    return kept;
}

enum client_status mqtt_client_publish(struct mqtt_client *client,
                                       const struct publish_packet *packet, uint64_t tag,
                                       uint16_t *identifier)
{
    enum client_status status = publish_allowed(client, packet);
    struct publish_packet sent = *packet;
    uint32_t len = 0;

    if (status != CLIENT_OK)
        return status;
    sent.packet_identifier = 0;
    sent.dup = false;
    if (packet->qos > 0) {
        sent.packet_identifier = mqtt_client_identifier(client, packet->qos);
        if (sent.packet_identifier == 0)
            return client->window.states == NULL ? CLIENT_NO_MEMORY : CLIENT_BUSY;
    }
    use_alias(client, &sent);
    status = write_publish(client, &sent, &len);
    if (status == CLIENT_OK && packet->qos > 0 &&
        !keep_publish(client, &sent, packet, client->output->data + client->output->len, len, tag))
        status = CLIENT_NO_MEMORY;
    if (status != CLIENT_OK) {
        if (packet->qos > 0)
            client_window_free(&client->window, sent.packet_identifier);
        /* an alias that the server has not heard of must not be counted on */
        if (sent.topic.len > 0 && client->aliases != NULL &&
            !props_has(&packet->props, MQTT_PROPERTY_TOPIC_ALIAS) &&
            props_has(&sent.props, MQTT_PROPERTY_TOPIC_ALIAS))
            alias_forget_last(client->aliases);
        return status;
    }
    client->output->len += len;
    if (identifier != NULL)
        *identifier = sent.packet_identifier;
    return CLIENT_OK;
}

uint16_t mqtt_client_identifier(struct mqtt_client *client, uint8_t qos)
{
    struct client_window *window = &client->window;

    if (UNLIKELY(window->unsent != 0 || client->resuming))
        return 0; /* C4 */
    if (UNLIKELY(window->states == NULL) &&
        !client_window_open(window, client->limits->inflight_max, client->limits->keep))
        return 0;
    return client_window_take(window, qos == 1 ? WINDOW_PUBACK : WINDOW_PUBREC);
}

bool mqtt_client_keep(struct mqtt_client *client, uint16_t identifier, const uint8_t *packet,
                      uint32_t len, uint64_t tag)
{
    struct client_kept *kept;

    if (client->window.kept == NULL)
        return true;
    kept = &client->window.kept[identifier - 1];
    kept->packet = mem_try_alloc(len);
    if (kept->packet == NULL)
        return false;
    memcpy(kept->packet, packet, len);
    kept->len = len;
    kept->tag = tag;
    return true;
}

uint32_t mqtt_client_room(struct mqtt_client *client)
{
    struct client_window *window = &client->window;

    if (client->phase != MQTT_ONLINE || window->unsent != 0 || client->resuming) /* C4 */
        return 0;
    return window->states != NULL ? client_window_room(window) : window->limit;
}

/* Identifiers of requests lie above those of messages, and are unique among those unanswered. */
static uint16_t request_identifier(struct mqtt_client *client)
{
    const struct client_request *request;

    do {
        client->request_turn = (uint16_t)((client->request_turn + 1u) % CLIENT_REQUESTS_MAX);
        for (request = client->requests; request != NULL; request = request->next) {
            if (request->identifier == CLIENT_WINDOW_MAX + 1u + client->request_turn)
                break;
        }
    } while (request != NULL);
    return (uint16_t)(CLIENT_WINDOW_MAX + 1u + client->request_turn);
}

struct client_request *client_request_take(struct mqtt_client *client, enum mqtt_packet_type answer,
                                           uint16_t identifier)
{
    struct client_request **link = &client->requests, *request;

    while ((request = *link) != NULL) {
        if (request->identifier == identifier && request->answer == answer) {
            *link = request->next;
            client->request_count--;
            return request;
        }
        link = &request->next;
    }
    return NULL;
}

/* SUBSCRIBE and UNSUBSCRIBE. */
static enum client_status request_filters(struct mqtt_client *client, bool subscribe,
                                          const struct filter_view *filters, uint32_t count,
                                          const struct mqtt_props *props, uint16_t *identifier)
{
    unsigned place = subscribe ? MQTT_SUBSCRIBE : MQTT_UNSUBSCRIBE;
    uint64_t size = bound(client->version == MQTT_5 ? props : NULL, place);
    struct client_request *request;
    uint32_t len;
    uint8_t *to;

    if (client->phase != MQTT_ONLINE)
        return CLIENT_OFFLINE;
    if (client->request_count == CLIENT_REQUESTS_MAX)
        return CLIENT_BUSY;
    for (uint32_t i = 0; i < count; i++) {
        if (filter_parse(filters[i].filter, TOPIC_LEVELS).form == FILTER_INVALID)
            return CLIENT_INVALID;
        size += 3u + filters[i].filter.len;
    }
    if (count == 0 || size > MQTT_PACKET_SIZE_MAX) /* [MQTT-3.8.3-2] */
        return count == 0 ? CLIENT_INVALID : CLIENT_TOO_LARGE;
    request = mem_try_alloc(sizeof(*request) + (subscribe ? count : 0));
    to = client_output_reserve(client, (uint32_t)size);
    if (request == NULL || to == NULL) {
        mem_free(request);
        return CLIENT_NO_MEMORY;
    }
    *request = (struct client_request){.next = client->requests,
                                       .identifier = request_identifier(client),
                                       .answer = subscribe ? MQTT_SUBACK : MQTT_UNSUBACK,
                                       .count = count};
    for (uint32_t i = 0; subscribe && i < count; i++)
        request->qos[i] = filters[i].options & 3;
    len = (subscribe ? mqtt_encode_subscribe : mqtt_encode_unsubscribe)(
        to, (uint32_t)size, (enum mqtt_version)client->version, request->identifier, filters, count,
        props);
    if (len == 0 || len > client->server.packet_size_max) {
        mem_free(request);
        return CLIENT_TOO_LARGE;
    }
    client->output->len += len;
    client->requests = request;
    client->request_count++;
    if (identifier != NULL)
        *identifier = request->identifier;
    return CLIENT_OK;
}

enum client_status mqtt_client_subscribe(struct mqtt_client *client,
                                         const struct filter_view *filters, uint32_t count,
                                         const struct mqtt_props *props, uint16_t *identifier)
{
    return request_filters(client, true, filters, count, props, identifier);
}

enum client_status mqtt_client_unsubscribe(struct mqtt_client *client,
                                           const struct filter_view *filters, uint32_t count,
                                           const struct mqtt_props *props, uint16_t *identifier)
{
    return request_filters(client, false, filters, count, props, identifier);
}

enum client_status mqtt_client_ping(struct mqtt_client *client)
{
    uint8_t *to;

    if (client->phase != MQTT_ONLINE)
        return CLIENT_OFFLINE;
    if (client->awaits_pingresp)
        return CLIENT_BUSY;
    to = client_output_reserve(client, 2);
    if (to == NULL)
        return CLIENT_NO_MEMORY;
    client->output->len += mqtt_encode_pingreq(to, 2);
    client->awaits_pingresp = true;
    client->ping_ms = client->output_ms;
    return CLIENT_OK;
}

enum client_status mqtt_client_auth(struct mqtt_client *client, enum mqtt_reason reason,
                                    struct span method, struct span data)
{
    uint64_t size = HEADER_MAX + 16u + (uint64_t)method.len + data.len;
    uint32_t len;
    uint8_t *to;

    if (client->phase != MQTT_ONLINE && client->phase != MQTT_AWAIT_CONNACK)
        return CLIENT_OFFLINE;
    if (!client->has_auth || method.len > UINT16_MAX || data.len > UINT16_MAX)
        return CLIENT_INVALID; /* [MQTT-4.12.0-6] */
    to = client_output_reserve(client, (uint32_t)size);
    if (to == NULL)
        return CLIENT_NO_MEMORY;
    len = mqtt_encode_auth(to, (uint32_t)size, reason, method, data);
    if (len == 0)
        return CLIENT_INVALID;
    client->output->len += len;
    return CLIENT_OK;
}

enum client_status mqtt_client_disconnect(struct mqtt_client *client, enum mqtt_reason reason,
                                          const struct mqtt_props *props)
{
    uint32_t size = (uint32_t)bound(props, MQTT_DISCONNECT);
    uint8_t *to;

    if (client->phase != MQTT_ONLINE && client->phase != MQTT_AWAIT_CONNACK)
        return CLIENT_OFFLINE;
    to = client_output_reserve(client, size);
    if (to == NULL)
        return CLIENT_NO_MEMORY;
    client->output->len +=
        mqtt_encode_client_disconnect(to, size, (enum mqtt_version)client->version, reason, props);
    client->phase = MQTT_LEAVING;
    return CLIENT_OK;
}
