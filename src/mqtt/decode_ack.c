/* SPDX-License-Identifier: MIT
 *
 * decode_ack - the packets that answer something or end something: PUBACK, PUBREC, PUBREL, PUBCOMP,
 * SUBACK, UNSUBACK, CONNACK, DISCONNECT and AUTH.
 *
 * In 5.0 the first four, DISCONNECT and AUTH end the same way, "tail" below: reason code and
 * properties, both left out when they say nothing, the properties alone when they are empty.
 */
#include "base/check.h"
#include "mqtt/decode_priv.h"
#include "mqtt/tables.h"

/* Reads the tail: no bytes at all means success. Whether the code belongs in the packet is left to
 * the caller. */
static enum mqtt_reason decode_tail(struct reader *reader, unsigned place, struct ack_packet *out)
{
    enum mqtt_reason reason;
    uint8_t code;

    out->reason = MQTT_REASON_SUCCESS;
    props_clear(&out->props);
    if (!read_byte(reader, &code))
        return MQTT_REASON_SUCCESS;
    out->reason = (enum mqtt_reason)code;
    if (reader_left(reader) == 0)
        return MQTT_REASON_SUCCESS;
    reason = props_decode(reader, place, &out->props);
    if (reason != MQTT_REASON_SUCCESS)
        return reason;
    return reader_left(reader) == 0 ? MQTT_REASON_SUCCESS : MQTT_REASON_MALFORMED_PACKET;
}

/* Members that the packet at hand does not have. */
static void clear_rest(struct ack_packet *out)
{
    out->session_present = false;
    out->reason_codes = (struct span){.data = NULL, .len = 0};
}

enum mqtt_reason mqtt_decode_ack(const struct frame *frame, enum mqtt_version version,
                                 struct ack_packet *out)
{
    struct reader reader = reader_of(frame->body, frame->body_len);
    enum mqtt_reason reason = read_identifier(&reader, version, &out->packet_identifier);

    if (UNLIKELY(reason != MQTT_REASON_SUCCESS))
        return reason;
    clear_rest(out);
    if (LIKELY(reader_left(&reader) == 0)) {
        out->reason = MQTT_REASON_SUCCESS;
        props_clear(&out->props);
        return MQTT_REASON_SUCCESS;
    }
    if (version != MQTT_5)
        return MQTT_REASON_MALFORMED_PACKET;
    reason = decode_tail(&reader, (unsigned)frame->type, out);
    if (reason != MQTT_REASON_SUCCESS)
        return reason;
    /* [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1] */
    if (!reason_from_client(frame->type, out->reason) &&
        !reason_from_server(frame->type, out->reason))
        return MQTT_REASON_PROTOCOL_ERROR;
    return MQTT_REASON_SUCCESS;
}

enum mqtt_reason mqtt_decode_disconnect(const struct frame *frame, enum mqtt_version version,
                                        struct ack_packet *out)
{
    struct reader reader = reader_of(frame->body, frame->body_len);
    enum mqtt_reason reason;

    out->packet_identifier = 0;
    clear_rest(out);
    if (version != MQTT_5 && frame->body_len > 0)
        return MQTT_REASON_MALFORMED_PACKET;
    reason = decode_tail(&reader, MQTT_DISCONNECT, out);
    if (reason == MQTT_REASON_SUCCESS && !reason_from_client(MQTT_DISCONNECT, out->reason))
        return MQTT_REASON_PROTOCOL_ERROR; /* [MQTT-3.14.2-1] */
    return reason;
}

enum mqtt_reason mqtt_decode_server_disconnect(const struct frame *frame, struct ack_packet *out)
{
    struct reader reader = reader_of(frame->body, frame->body_len);
    enum mqtt_reason reason;

    out->packet_identifier = 0;
    clear_rest(out);
    /* Session Expiry Interval does not belong here. [MQTT-3.14.2-2] */
    reason = decode_tail(&reader, PROP_IN_SERVER_DISCONNECT, out);
    if (reason == MQTT_REASON_SUCCESS && !reason_from_server(MQTT_DISCONNECT, out->reason))
        return MQTT_REASON_PROTOCOL_ERROR; /* [MQTT-3.14.2-1] */
    return reason;
}

static enum mqtt_reason decode_auth(const struct frame *frame, struct ack_packet *out)
{
    struct reader reader = reader_of(frame->body, frame->body_len);
    enum mqtt_reason reason;

    out->packet_identifier = 0;
    clear_rest(out);
    reason = decode_tail(&reader, MQTT_AUTH, out);
    if (reason != MQTT_REASON_SUCCESS)
        return reason;
    /* The method must not be left out (3.15.2.2.2), unless the whole packet says success by being
     * empty. */
    if (frame->body_len > 0 && !props_has(&out->props, MQTT_PROPERTY_AUTHENTICATION_METHOD))
        return MQTT_REASON_PROTOCOL_ERROR;
    return MQTT_REASON_SUCCESS;
}

enum mqtt_reason mqtt_decode_auth(const struct frame *frame, struct ack_packet *out)
{
    enum mqtt_reason reason = decode_auth(frame, out);

    if (reason == MQTT_REASON_SUCCESS && !reason_from_client(MQTT_AUTH, out->reason))
        return MQTT_REASON_PROTOCOL_ERROR; /* [MQTT-3.15.2-1] */
    return reason;
}

enum mqtt_reason mqtt_decode_server_auth(const struct frame *frame, struct ack_packet *out)
{
    enum mqtt_reason reason = decode_auth(frame, out);

    if (reason == MQTT_REASON_SUCCESS && !reason_from_server(MQTT_AUTH, out->reason))
        return MQTT_REASON_PROTOCOL_ERROR; /* [MQTT-3.15.2-1] */
    return reason;
}

/* The return code of a CONNACK before 5.0. */
static enum mqtt_reason decode_return_code(uint8_t code, struct ack_packet *out)
{
    if (code > 5)
        return MQTT_REASON_PROTOCOL_ERROR;
    out->reason = reason_of_return_code(code);
    return MQTT_REASON_SUCCESS;
}

enum mqtt_reason mqtt_decode_connack(const struct frame *frame, enum mqtt_version version,
                                     struct ack_packet *out)
{
    struct reader reader = reader_of(frame->body, frame->body_len);
    enum mqtt_reason reason = MQTT_REASON_SUCCESS;
    uint8_t flags, code;

    out->packet_identifier = 0;
    clear_rest(out);
    props_clear(&out->props);
    if (!read_byte(&reader, &flags) || !read_byte(&reader, &code))
        return MQTT_REASON_MALFORMED_PACKET;
    /* [MQTT-3.2.2-1]; in 3.1 the byte is reserved and unused. */
    if (flags > 1 && version != MQTT_3_1)
        return MQTT_REASON_MALFORMED_PACKET;
    out->session_present = flags & 1 && version != MQTT_3_1;
    if (version != MQTT_5) {
        reason = decode_return_code(code, out);
    } else {
        out->reason = (enum mqtt_reason)code;
        if (!reason_from_server(MQTT_CONNACK, out->reason)) /* [MQTT-3.2.2-8] */
            return MQTT_REASON_PROTOCOL_ERROR;
        reason = props_decode(&reader, MQTT_CONNACK, &out->props);
    }
    if (reason != MQTT_REASON_SUCCESS)
        return reason;
    if (reader_left(&reader) != 0)
        return MQTT_REASON_MALFORMED_PACKET;
    /* 3.1.1: [MQTT-3.2.2-4], 5.0: [MQTT-3.2.2-6] */
    if (out->session_present && out->reason != MQTT_REASON_SUCCESS)
        return MQTT_REASON_PROTOCOL_ERROR;
    return MQTT_REASON_SUCCESS;
}

/* Whether `code` may stand in the list of a SUBACK or UNSUBACK. */
static bool code_in_list(enum mqtt_packet_type type, enum mqtt_version version, uint8_t code)
{
    if (version != MQTT_5)
        return code <= 2 || code == 0x80; /* 3.1.1: [MQTT-3.9.3-2] */
    return reason_from_server(type,
                              (enum mqtt_reason)code); /* 5.0: [MQTT-3.9.3-2] [MQTT-3.11.3-2] */
}

enum mqtt_reason mqtt_decode_suback(const struct frame *frame, enum mqtt_version version,
                                    struct ack_packet *out)
{
    struct reader reader = reader_of(frame->body, frame->body_len);
    enum mqtt_reason reason = read_identifier(&reader, version, &out->packet_identifier);
    bool has_codes = frame->type == MQTT_SUBACK || version == MQTT_5;

    if (reason != MQTT_REASON_SUCCESS)
        return reason;
    clear_rest(out);
    out->reason = MQTT_REASON_SUCCESS;
    props_clear(&out->props);
    if (version == MQTT_5) {
        reason = props_decode(&reader, (unsigned)frame->type, &out->props);
        if (reason != MQTT_REASON_SUCCESS)
            return reason;
    }
    out->reason_codes = span_of(reader.at, reader_left(&reader));
    if (has_codes != (out->reason_codes.len > 0))
        return MQTT_REASON_MALFORMED_PACKET;
    for (uint32_t i = 0; i < out->reason_codes.len; i++) {
        if (!code_in_list(frame->type, version, out->reason_codes.data[i]))
            return MQTT_REASON_PROTOCOL_ERROR;
    }
    return MQTT_REASON_SUCCESS;
}
