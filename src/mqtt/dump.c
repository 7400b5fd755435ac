/* SPDX-License-Identifier: MIT
 *
 * dump - see the header.
 */
#include "mqtt/dump.h"

#include "mqtt/decode.h"
#include "mqtt/tables.h"

#include <stdarg.h>
#include <stdio.h>

#define PAYLOAD_SHOWN 64u /* bytes of a payload, or of a packet that is malformed */

/* The line so far: at[0] is always the NUL. */
struct line {
    char *start, *at, *end;
};

static void add(struct line *line, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct line *line, const char *format, ...)
{
    size_t room = (size_t)(line->end - line->at);
    va_list arguments;
    int len;

    va_start(arguments, format);
    len = vsnprintf(line->at, room, format, arguments);
    va_end(arguments);
    if (len > 0)
        line->at += (size_t)len < room ? (size_t)len : room - 1;
}

/* The bytes in quotes. */
static void add_text(struct line *line, struct span text, uint32_t shown_max)
{
    add(line, "\"");
    for (uint32_t i = 0; i < text.len && i < shown_max; i++) {
        uint8_t byte = text.data[i];

        if (byte < 0x20 || byte > 0x7E)
            add(line, "\\x%02X", byte);
        else if (byte == '"' || byte == '\\')
            add(line, "\\%c", byte);
        else
            add(line, "%c", byte);
    }
    add(line, text.len > shown_max ? "\"..." : "\"");
}

static void add_named_text(struct line *line, const char *name, struct span text)
{
    add(line, " %s=", name);
    add_text(line, text, text.len);
}

static void add_payload(struct line *line, const char *name, struct span payload)
{
    add(line, " %s(%u)=", name, payload.len);
    add_text(line, payload, PAYLOAD_SHOWN);
}

static void add_props(struct line *line, const struct mqtt_props *props)
{
    struct span raw = props->raw;
    struct property_view view;
    const char *separator = " [";

    if (raw.len == 0)
        return;
    while (props_next(&raw, &view)) {
        add(line, "%s%s", separator, property_name(view.id));
        separator = " ";
        if (view.name.data != NULL) {
            add(line, ":");
            add_text(line, view.name, view.name.len);
        }
        add(line, "=");
        if (view.value.data != NULL)
            add_text(line, view.value, PAYLOAD_SHOWN);
        else
            add(line, "%u", view.number);
    }
    add(line, "]");
}

static enum mqtt_reason add_connect(struct line *line, const struct frame *frame)
{
    struct connect_packet packet;
    enum mqtt_reason reason = mqtt_decode_connect(frame, &packet);

    if (reason != MQTT_REASON_SUCCESS)
        return reason;
    add(line, " version=%d clean_start=%d keep_alive=%u", packet.version, packet.clean_start,
        packet.keep_alive_s);
    add_named_text(line, "client", packet.client_identifier);
    add_props(line, &packet.props);
    if (packet.has_will) {
        add(line, " will_qos=%u will_retain=%d", packet.will_qos, packet.will_retain);
        add_named_text(line, "will_topic", packet.will_topic);
        add_payload(line, "will_payload", packet.will_payload);
        add_props(line, &packet.will_props);
    }
    if (packet.has_username)
        add_named_text(line, "username", packet.username);
    if (packet.has_password) /* never its bytes: lines end up in logs */
        add(line, " password(%u)", packet.password.len);
    return MQTT_REASON_SUCCESS;
}

static enum mqtt_reason add_publish(struct line *line, const struct frame *frame,
                                    enum mqtt_version version)
{
    struct publish_packet packet;
    enum mqtt_reason reason = mqtt_decode_publish(frame, version, &packet);

    if (reason != MQTT_REASON_SUCCESS)
        return reason;
    add(line, " qos=%u", packet.qos);
    if (packet.qos > 0)
        add(line, " id=%u", packet.packet_identifier);
    if (packet.dup)
        add(line, " dup");
    if (packet.retain)
        add(line, " retain");
    add_named_text(line, "topic", packet.topic);
    add_payload(line, "payload", packet.payload);
    add_props(line, &packet.props);
    return MQTT_REASON_SUCCESS;
}

static enum mqtt_reason add_subscribe(struct line *line, const struct frame *frame,
                                      enum mqtt_version version)
{
    struct subscribe_packet packet;
    struct filter_view view;
    enum mqtt_reason reason = mqtt_decode_subscribe(frame, version, &packet);

    if (reason != MQTT_REASON_SUCCESS)
        return reason;
    add(line, " id=%u", packet.packet_identifier);
    while (filters_next(&packet, &view)) {
        add(line, " ");
        add_text(line, view.filter, view.filter.len);
        if (!packet.has_options)
            continue;
        add(line, ":qos=%u", view.options & 3);
        if (view.options > 3)
            add(line, ",nl=%u,rap=%u,rh=%u", view.options >> 2 & 1, view.options >> 3 & 1,
                view.options >> 4 & 3);
    }
    add_props(line, &packet.props);
    return MQTT_REASON_SUCCESS;
}

/* DISCONNECT and AUTH do not tell which side sent them: whichever reading is right. */
static enum mqtt_reason decode_either(const struct frame *frame, enum mqtt_version version,
                                      struct ack_packet *packet)
{
    enum mqtt_reason reason;

    if (frame->type == MQTT_AUTH) {
        reason = mqtt_decode_auth(frame, packet);
        return reason == MQTT_REASON_SUCCESS ? reason : mqtt_decode_server_auth(frame, packet);
    }
    reason = mqtt_decode_disconnect(frame, version, packet);
    if (reason == MQTT_REASON_SUCCESS || version != MQTT_5)
        return reason;
    return mqtt_decode_server_disconnect(frame, packet);
}

static enum mqtt_reason decode_any_ack(const struct frame *frame, enum mqtt_version version,
                                       struct ack_packet *packet)
{
    switch (frame->type) {
    case MQTT_CONNACK:
        return mqtt_decode_connack(frame, version, packet);
    case MQTT_SUBACK:
    case MQTT_UNSUBACK:
        return mqtt_decode_suback(frame, version, packet);
    case MQTT_DISCONNECT:
    case MQTT_AUTH:
        return decode_either(frame, version, packet);
    default:
        return mqtt_decode_ack(frame, version, packet);
    }
}

static enum mqtt_reason add_ack(struct line *line, const struct frame *frame,
                                enum mqtt_version version)
{
    struct ack_packet packet;
    enum mqtt_reason reason = decode_any_ack(frame, version, &packet);

    if (reason != MQTT_REASON_SUCCESS)
        return reason;
    if (frame->type == MQTT_CONNACK)
        add(line, " session_present=%d", packet.session_present);
    if (packet.packet_identifier != 0)
        add(line, " id=%u", packet.packet_identifier);
    if (packet.reason_codes.len == 0)
        add(line, " reason=0x%02X", packet.reason);
    for (uint32_t i = 0; i < packet.reason_codes.len; i++)
        add(line, "%s0x%02X", i == 0 ? " reasons=" : ",", packet.reason_codes.data[i]);
    add_props(line, &packet.props);
    return MQTT_REASON_SUCCESS;
}

static enum mqtt_reason add_body(struct line *line, const struct frame *frame,
                                 enum mqtt_version version)
{
    switch (frame->type) {
    case MQTT_CONNECT:
        return add_connect(line, frame);
    case MQTT_PUBLISH:
        return add_publish(line, frame, version);
    case MQTT_SUBSCRIBE:
    case MQTT_UNSUBSCRIBE:
        return add_subscribe(line, frame, version);
    case MQTT_PINGREQ:
    case MQTT_PINGRESP:
        return frame->body_len == 0 ? MQTT_REASON_SUCCESS : MQTT_REASON_MALFORMED_PACKET;
    default:
        return add_ack(line, frame, version);
    }
}

size_t mqtt_dump(char *to, size_t room, const struct frame *frame, enum mqtt_version version)
{
    struct line line = {.start = to, .at = to, .end = to + room};
    enum mqtt_reason reason;

    add(&line, "%s", packet_name(frame->type));
    reason = add_body(&line, frame, version);
    if (reason != MQTT_REASON_SUCCESS) {
        add(&line, " bad (%s) flags=0x%X length=%u:", reason_text(reason), frame->flags,
            frame->body_len);
        /* A CONNECT may hold a password wherever it broke. */
        for (uint32_t i = 0;
             i < frame->body_len && i < PAYLOAD_SHOWN && frame->type != MQTT_CONNECT; i++)
            add(&line, " %02X", frame->body[i]);
    }
    return (size_t)(line.at - line.start);
}
