/* SPDX-License-Identifier: MIT
 *
 * receive - what the server sends, taken apart into events.
 *
 * Every packet is checked for three things before anything is done: may a server send it now, is it
 * well-formed (the codec), does it fit what we asked for. A check that fails is a sentence and a
 * reason code, and the end of this connection.
 */
#include "client/client_priv.h"

#include "base/mem.h"
#include "mqtt/decode.h"
#include "mqtt/tables.h"
#include "session/alias.h"
#include "topic/topic.h"

#include <stdarg.h>
#include <stdio.h>

#define TOPIC_LEVELS  65536u
#define REFUSED       0x80u
#define PARTIAL_LEAST 64u

/* The server broke the protocol. Always true: there is an event. */
__attribute__((format(printf, 4, 5), cold)) static bool broken(struct mqtt_client *client,
                                                               struct client_event *event,
                                                               enum mqtt_reason reason,
                                                               const char *format, ...)
{
    va_list arguments;

    event->kind = CLIENT_BROKEN;
    event->ack = (struct ack_packet){.reason = reason};
    va_start(arguments, format);
    vsnprintf(event->why, sizeof(event->why), format, arguments);
    va_end(arguments);
    client_fail(client, reason);
    return true;
}

static bool malformed(struct mqtt_client *client, struct client_event *event,
                      enum mqtt_packet_type type, enum mqtt_reason reason)
{
    return broken(client, event, reason, "the server sent a %s that is not valid: %s",
                  packet_name(type), reason_text(reason));
}

/* There was no room for an answer, or for what came. */
static bool no_memory(struct mqtt_client *client, struct client_event *event)
{
    const struct client_block *output = client->output;

    if (output != NULL && output->len > client->limits->output_max - CLIENT_BLOCK_SMALL)
        return broken(client, event, MQTT_REASON_QUOTA_EXCEEDED,
                      "the server sends and does not read: %u bytes wait for it", output->len);
    return broken(client, event, MQTT_REASON_QUOTA_EXCEEDED,
                  "no memory is left for what the server sends");
}

/* The topic of a message whose packet has an alias. False when it was refused: event is filled in. */
static bool resolve_alias(struct mqtt_client *client, struct client_event *event)
{
    struct publish_packet *packet = &event->publish;
    uint16_t alias = packet->props.topic_alias;

    if (alias > client->topic_alias_maximum) { /* [MQTT-3.1.2-26] */
        broken(client, event, MQTT_REASON_TOPIC_ALIAS_INVALID,
               "the server sent the topic alias %u, at most %u was agreed on", alias,
               client->topic_alias_maximum);
        return false;
    }
    if (client->aliases == NULL) {
        uint16_t most = client->limits->topic_aliases < client->server.topic_alias_maximum
                            ? client->limits->topic_aliases
                            : client->server.topic_alias_maximum;

        client->aliases = alias_create(client->topic_alias_maximum, most);
    }
    if (client->aliases == NULL) {
        no_memory(client, event);
        return false;
    }
    if (packet->topic.len == 0) {
        packet->topic = alias_topic(client->aliases, alias);
        if (packet->topic.len > 0)
            return true;
        broken(client, event, MQTT_REASON_PROTOCOL_ERROR,
               "the server sent a message with the topic alias %u, which it never explained",
               alias);
        return false;
    }
    if (!topic_name_valid(packet->topic, TOPIC_LEVELS))
        return true; /* refused by the caller */
    if (!alias_learn(client->aliases, alias, packet->topic)) {
        no_memory(client, event);
        return false;
    }
    return true;
}

/* A QoS 2 message: true when it is new and to be handed out. [MQTT-4.3.3-10] */
static bool is_new(struct mqtt_client *client, uint16_t identifier, bool *memory)
{
    if (inbound_has(&client->inbound, identifier))
        return false;
    *memory = inbound_add(&client->inbound, identifier);
    return true;
}

static bool on_publish(struct mqtt_client *client, const struct frame *frame,
                       struct client_event *event)
{
    struct publish_packet *packet = &event->publish;
    enum mqtt_reason reason =
        mqtt_decode_publish(frame, (enum mqtt_version)client->version, packet);
    bool memory = true, fresh = true;

    if (UNLIKELY(reason != MQTT_REASON_SUCCESS))
        return malformed(client, event, MQTT_PUBLISH, reason);
    if (UNLIKELY(packet->props.present != 0) &&
        props_has(&packet->props, MQTT_PROPERTY_TOPIC_ALIAS) && !resolve_alias(client, event))
        return true;
    if (UNLIKELY(!topic_name_valid(packet->topic, TOPIC_LEVELS)))
        return broken(client, event, MQTT_REASON_TOPIC_NAME_INVALID,
                      "the server sent a message whose topic name is not valid");
    event->kind = CLIENT_MESSAGE;
    if (packet->qos == 0)
        return true;
    if (packet->qos == 2) {
        fresh = is_new(client, packet->packet_identifier, &memory);
        if (client->inbound.count > client->receive_maximum) /* [MQTT-3.3.4-9] */
            return broken(client, event, MQTT_REASON_RECEIVE_MAXIMUM_EXCEEDED,
                          "the server sent more than the %u QoS 2 messages it may have under way",
                          client->receive_maximum);
    }
    if (!memory || !client_output_ack(client, packet->qos == 1 ? MQTT_PUBACK : MQTT_PUBREC,
                                      packet->packet_identifier, MQTT_REASON_SUCCESS))
        return no_memory(client, event);
    if (!fresh)
        event->kind = CLIENT_NOTHING;
    return fresh;
}

static bool unknown_identifier(struct mqtt_client *client, struct client_event *event,
                               enum mqtt_packet_type type, uint16_t identifier)
{
    return broken(client, event, MQTT_REASON_PROTOCOL_ERROR,
                  "the server sent a %s for the packet identifier %u, which awaits none",
                  packet_name(type), identifier);
}

/* The server goes on with a message it sent: nothing that the user has to know. */
static bool on_pubrel(struct mqtt_client *client, struct client_event *event)
{
    /* One that is not known may be a repetition of what we answered on an earlier connection. */
    bool known = inbound_remove(&client->inbound, event->ack.packet_identifier);

    if (!client_output_ack(client, MQTT_PUBCOMP, event->ack.packet_identifier,
                           known || client->version != MQTT_5
                               ? MQTT_REASON_SUCCESS
                               : MQTT_REASON_PACKET_IDENTIFIER_NOT_FOUND))
        return no_memory(client, event);
    return false;
}

/* A server that resumes a session may say PUBREC of itself and once more for the PUBLISH that was sent
 * again; mosquitto does. True for the one that is said again: its PUBREL is on its way or about to be.
 * One that comes before the PUBLISH was sent again spares sending it. */
static bool is_repeated_pubrec(struct client_window *window, uint16_t identifier)
{
    if (identifier == 0 || identifier > window->capacity)
        return false;
    if (window->states[identifier - 1] == (WINDOW_PUBREC | WINDOW_UNSENT))
        client_window_resent(window, identifier);
    return client_window_state(window, identifier) == WINDOW_PUBCOMP;
}

static bool on_acknowledgement(struct mqtt_client *client, const struct frame *frame,
                               struct client_event *event)
{
    enum mqtt_reason reason =
        mqtt_decode_ack(frame, (enum mqtt_version)client->version, &event->ack);
    uint16_t identifier = event->ack.packet_identifier;
    enum window_state awaited, then = WINDOW_FREE;

    if (UNLIKELY(reason != MQTT_REASON_SUCCESS))
        return malformed(client, event, frame->type, reason);
    if (UNLIKELY(!reason_from_server(frame->type, event->ack.reason)))
        return malformed(client, event, frame->type, MQTT_REASON_PROTOCOL_ERROR);
    if (frame->type == MQTT_PUBREL)
        return on_pubrel(client, event);
    awaited = frame->type == MQTT_PUBACK   ? WINDOW_PUBACK
              : frame->type == MQTT_PUBREC ? WINDOW_PUBREC
                                           : WINDOW_PUBCOMP;
    if (frame->type == MQTT_PUBREC && event->ack.reason < REFUSED) {
        if (UNLIKELY(is_repeated_pubrec(&client->window, identifier)))
            return false;
        then = WINDOW_PUBCOMP;
    }
    if (UNLIKELY(!client_window_acknowledge(&client->window, identifier, awaited, then)))
        return unknown_identifier(client, event, frame->type, identifier);
    if (then == WINDOW_PUBCOMP) {
        if (!client_output_ack(client, MQTT_PUBREL, identifier, MQTT_REASON_SUCCESS))
            return no_memory(client, event);
        return false;
    }
    event->kind = CLIENT_ACKNOWLEDGED;
    event->tag = client->window.kept != NULL ? client->window.kept[identifier - 1].tag : 0;
    return true;
}

static void take_server_limits(struct mqtt_client *client, const struct mqtt_props *props)
{
    struct client_server *server = &client->server;

    if (props_has(props, MQTT_PROPERTY_MAXIMUM_PACKET_SIZE))
        server->packet_size_max = props->maximum_packet_size;
    if (props_has(props, MQTT_PROPERTY_RECEIVE_MAXIMUM))
        server->receive_maximum = props->receive_maximum;
    if (props_has(props, MQTT_PROPERTY_TOPIC_ALIAS_MAXIMUM))
        server->topic_alias_maximum = props->topic_alias_maximum;
    if (props_has(props, MQTT_PROPERTY_SERVER_KEEP_ALIVE)) /* [MQTT-3.1.2-21] */
        server->keep_alive_s = props->server_keep_alive;
    if (props_has(props, MQTT_PROPERTY_MAXIMUM_QOS))
        server->maximum_qos = props->maximum_qos;
    if (props_has(props, MQTT_PROPERTY_RETAIN_AVAILABLE))
        server->retain_available = props->retain_available;
}

static bool on_connack(struct mqtt_client *client, const struct frame *frame,
                       struct client_event *event)
{
    struct ack_packet *ack = &event->ack;
    enum mqtt_reason reason;

    if (client->phase != MQTT_AWAIT_CONNACK)
        return broken(client, event, MQTT_REASON_PROTOCOL_ERROR, /* 3.2 */
                      "the server sent a second CONNACK");
    reason = mqtt_decode_connack(frame, (enum mqtt_version)client->version, ack);
    if (reason != MQTT_REASON_SUCCESS)
        return malformed(client, event, MQTT_CONNACK, reason);
    event->kind = CLIENT_CONNACK;
    if (ack->reason >= REFUSED) {
        client->phase = MQTT_FAILED;
        return true;
    }
    if (ack->session_present && client->clean_start) /* [MQTT-3.2.2-2] */
        return broken(client, event, MQTT_REASON_PROTOCOL_ERROR,
                      "the server has a session, although a clean start was asked for");
    if (props_has(&ack->props, MQTT_PROPERTY_AUTHENTICATION_METHOD) && !client->has_auth)
        return broken(client, event, MQTT_REASON_PROTOCOL_ERROR, /* 3.2.2.3.17 */
                      "the server names an authentication method that was not asked for");
    take_server_limits(client, &ack->props);
    client->phase = MQTT_ONLINE;
    /* a CONNACK of 3.1 cannot tell; a session that nobody wanted to be clean is taken to be there */
    client_resume(client,
                  ack->session_present || (client->version == MQTT_3_1 && !client->clean_start));
    return true;
}

static bool on_suback(struct mqtt_client *client, const struct frame *frame,
                      struct client_event *event)
{
    enum mqtt_reason reason =
        mqtt_decode_suback(frame, (enum mqtt_version)client->version, &event->ack);
    const char *name = packet_name(frame->type);
    const struct span *codes = &event->ack.reason_codes;
    struct client_request *request;
    uint32_t expected, too_high = UINT32_MAX;

    if (reason != MQTT_REASON_SUCCESS)
        return malformed(client, event, frame->type, reason);
    request = client_request_take(client, frame->type, event->ack.packet_identifier);
    if (request == NULL)
        return unknown_identifier(client, event, frame->type, event->ack.packet_identifier);
    expected = request->count;
    for (uint32_t i = 0; i < codes->len && codes->len == expected; i++) {
        if (request->answer == MQTT_SUBACK && codes->data[i] < REFUSED &&
            codes->data[i] > request->qos[i])
            too_high = i;
    }
    mem_free(request);
    if (codes->len != expected && (frame->type == MQTT_SUBACK || client->version == MQTT_5))
        return broken(client, event, MQTT_REASON_PROTOCOL_ERROR, /* [MQTT-3.8.4-6] */
                      "the server sent a %s with %u reason codes for %u topic filters", name,
                      codes->len, expected);
    if (too_high != UINT32_MAX)
        return broken(client, event, MQTT_REASON_PROTOCOL_ERROR, /* [MQTT-3.8.4-7] */
                      "the server granted QoS %u, more than was asked for", codes->data[too_high]);
    event->kind = frame->type == MQTT_SUBACK ? CLIENT_SUBACK : CLIENT_UNSUBACK;
    return true;
}

static bool on_pingresp(struct mqtt_client *client, const struct frame *frame,
                        struct client_event *event)
{
    if (frame->body_len != 0)
        return malformed(client, event, MQTT_PINGRESP, MQTT_REASON_MALFORMED_PACKET);
    if (!client->awaits_pingresp)
        return broken(client, event, MQTT_REASON_PROTOCOL_ERROR,
                      "the server sent a PINGRESP that answers nothing");
    client->awaits_pingresp = false;
    event->kind = CLIENT_PINGRESP;
    return true;
}

static bool on_disconnect(struct mqtt_client *client, const struct frame *frame,
                          struct client_event *event)
{
    enum mqtt_reason reason;

    if (client->version != MQTT_5)
        return broken(client, event, MQTT_REASON_PROTOCOL_ERROR,
                      "the server sent a DISCONNECT, which only clients may before MQTT 5.0");
    reason = mqtt_decode_server_disconnect(frame, &event->ack);
    if (reason != MQTT_REASON_SUCCESS)
        return malformed(client, event, MQTT_DISCONNECT, reason);
    event->kind = CLIENT_DISCONNECTED;
    client->phase = MQTT_FAILED;
    return true;
}

static bool on_auth(struct mqtt_client *client, const struct frame *frame,
                    struct client_event *event)
{
    enum mqtt_reason reason;

    if (client->version != MQTT_5 || !client->has_auth) /* [MQTT-4.12.0-6] */
        return broken(client, event, MQTT_REASON_PROTOCOL_ERROR,
                      "the server sent an AUTH that was not asked for");
    reason = mqtt_decode_server_auth(frame, &event->ack);
    if (reason != MQTT_REASON_SUCCESS)
        return malformed(client, event, MQTT_AUTH, reason);
    event->kind = CLIENT_AUTH;
    return true;
}

/* Everything but PUBLISH and the acknowledgements of an established connection. */
static bool on_other(struct mqtt_client *client, const struct frame *frame,
                     struct client_event *event)
{
    bool early = client->phase == MQTT_AWAIT_CONNACK;

    if (!packet_from_server(frame->type))
        return broken(client, event, MQTT_REASON_PROTOCOL_ERROR,
                      "the server sent a %s, which only clients may", packet_name(frame->type));
    if (!packet_flags_valid(frame->type, frame->flags)) /* [MQTT-2.1.3-1] */
        return malformed(client, event, frame->type, MQTT_REASON_MALFORMED_PACKET);
    if (early && frame->type != MQTT_CONNACK && frame->type != MQTT_AUTH)
        return broken(client, event,
                      MQTT_REASON_PROTOCOL_ERROR, /* [MQTT-3.2.0-1] [MQTT-3.14.0-1] */
                      "the server sent a %s before CONNACK", packet_name(frame->type));
    switch (frame->type) {
    case MQTT_CONNACK:
        return on_connack(client, frame, event);
    case MQTT_SUBACK:
    case MQTT_UNSUBACK:
        return on_suback(client, frame, event);
    case MQTT_PINGRESP:
        return on_pingresp(client, frame, event);
    case MQTT_DISCONNECT:
        return on_disconnect(client, frame, event);
    case MQTT_AUTH:
        return on_auth(client, frame, event);
    default:
        return on_acknowledgement(client, frame, event);
    }
}

/* True when the packet is an event. */
static inline bool on_packet(struct mqtt_client *client, const struct frame *frame,
                             struct client_event *event)
{
    if (LIKELY(client->phase == MQTT_ONLINE || client->phase == MQTT_LEAVING)) {
        if (LIKELY(frame->type == MQTT_PUBLISH))
            return on_publish(client, frame, event);
        if (LIKELY(frame->type == MQTT_PUBACK && frame->flags == 0))
            return on_acknowledgement(client, frame, event);
    } else if (frame->type == MQTT_PUBLISH) {
        return broken(client, event, MQTT_REASON_PROTOCOL_ERROR, /* [MQTT-3.2.0-1] */
                      "the server sent a PUBLISH before CONNACK");
    }
    return on_other(client, frame, event);
}

static bool bad_frame(struct mqtt_client *client, struct client_event *event,
                      enum frame_status status, const struct frame *frame)
{
    if (status == FRAME_TOO_LARGE)
        return broken(client, event, MQTT_REASON_PACKET_TOO_LARGE, /* [MQTT-3.1.2-24] */
                      "the server announced a packet of %u bytes, at most %u were agreed on",
                      frame->total_len, client->packet_size_max);
    return broken(client, event, MQTT_REASON_MALFORMED_PACKET,
                  "the server sent bytes that are not MQTT");
}

void mqtt_client_feed(struct mqtt_client *client, const uint8_t *data, uint32_t len)
{
    client->input = data;
    client->input_len = len;
}

static void skip_input(struct mqtt_client *client, uint32_t len)
{
    client->input += len;
    client->input_len -= len;
}

/* Moves `len` bytes of the input behind what is kept. At most `whole` bytes are to be kept there in
 * all: memory grows with what has come, not with what is announced. */
static bool extend_partial(struct mqtt_client *client, uint32_t len, uint32_t whole)
{
    uint32_t needed = client->partial_len + len;

    if (needed > client->partial_size) {
        uint32_t size = needed < whole / 2 ? 2 * needed : whole;
        uint8_t *grown;

        size = size < PARTIAL_LEAST ? PARTIAL_LEAST : size;
        size = size < needed ? needed : size;
        grown = mem_try_realloc(client->partial, size);
        if (grown == NULL)
            return false;
        client->partial = grown;
        client->partial_size = size;
    }
    memcpy(client->partial + client->partial_len, client->input, len);
    client->partial_len = needed;
    skip_input(client, len);
    return true;
}

static void drop_partial(struct mqtt_client *client)
{
    mem_free(client->partial);
    client->partial = NULL;
    client->partial_len = client->partial_size = 0;
    client->partial_done = false;
}

/* Completes the packet that was split, as far as the input goes. True when there is an event; when
 * not, *again says whether there may be more in the input. */
static bool next_split(struct mqtt_client *client, struct client_event *event, bool *again)
{
    enum frame_status status;
    struct frame frame;

    *again = false;
    for (;;) {
        uint32_t missing;

        status = frame_find(client->partial, client->partial_len, client->packet_size_max, &frame);
        if (status != FRAME_INCOMPLETE)
            break;
        if (client->input_len == 0)
            return false;
        /* the header comes byte by byte, the body as one piece */
        missing = frame.total_len == 0 ? 1 : frame.total_len - client->partial_len;
        missing = missing < client->input_len ? missing : client->input_len;
        if (!extend_partial(client, missing, frame.total_len))
            return no_memory(client, event);
    }
    if (status != FRAME_READY)
        return bad_frame(client, event, status, &frame);
    client->partial_done = true; /* C2: the event may point into it */
    *again = true;
    return on_packet(client, &frame, event);
}

/* Whether the first byte that ever came says that no CONNACK follows. Looked at before the length is believed: a
 * server that speaks something else (HTTP, TLS) may never send as much as its second byte seems to announce. */
static bool begins_otherwise(struct mqtt_client *client, struct client_event *event)
{
    struct frame frame = {.type = (enum mqtt_packet_type)(client->input[0] >> 4),
                          .flags = client->input[0] & 0x0F};

    return client->phase == MQTT_AWAIT_CONNACK && frame.type != MQTT_CONNACK &&
           frame.type != MQTT_AUTH && frame.type != 0 && on_packet(client, &frame, event);
}

bool mqtt_client_next(struct mqtt_client *client, struct client_event *event)
{
    event->kind = CLIENT_NOTHING;
    if (UNLIKELY(client->resuming) && client_resume_next(client, event))
        return true;
    while (client->phase != MQTT_FAILED && client->phase != MQTT_IDLE) {
        enum frame_status status;
        struct frame frame;

        if (UNLIKELY(client->partial_len > 0)) {
            bool again;

            if (client->partial_done)
                drop_partial(client);
            else if (next_split(client, event, &again))
                return true;
            else if (!again)
                return false;
            continue;
        }
        if (client->input_len == 0)
            return false;
        if (UNLIKELY(begins_otherwise(client, event)))
            return true;
        status = frame_find(client->input, client->input_len, client->packet_size_max, &frame);
        if (UNLIKELY(status == FRAME_INCOMPLETE)) {
            if (!extend_partial(client, client->input_len, frame.total_len))
                return no_memory(client, event);
            return false;
        }
        if (UNLIKELY(status != FRAME_READY))
            return bad_frame(client, event, status, &frame);
        skip_input(client, frame.total_len);
        if (on_packet(client, &frame, event))
            return true;
        if (UNLIKELY(client->resuming) && client_resume_next(client, event))
            return true;
    }
    client->input_len = 0;
    return false;
}
