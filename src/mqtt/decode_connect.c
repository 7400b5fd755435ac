/* SPDX-License-Identifier: MIT
 *
 * decode_connect - CONNECT of all three versions (MQTT 5.0, 3.1; 3.1.1, 3.1; 3.1, 3.1).
 *
 * Differences between the versions that are decided here:
 *   - 3.1 leaves bit 0 of the connect flags unused; later versions require it to be 0
 *   - before 5.0 a password needs a user name
 *   - a 3.1 client may announce a user name (and password) and then not send it: the Remaining
 *     Length takes precedence over the flags there
 */
#include "mqtt/decode_priv.h"

enum connect_flag {
    FLAG_RESERVED = 0x01,
    FLAG_CLEAN_START = 0x02,
    FLAG_WILL = 0x04,
    FLAG_WILL_QOS_SHIFT = 3,
    FLAG_WILL_RETAIN = 0x20,
    FLAG_PASSWORD = 0x40,
    FLAG_USERNAME = 0x80
};

#define LEVEL_BRIDGE                                                                               \
    0x80 /* set by some bridges, to say that they are one; not part of any version */

/* Reads protocol name and level. Sets *version in every case. */
static enum mqtt_reason decode_protocol(struct reader *reader, enum mqtt_version *version)
{
    struct span name;
    uint8_t level;
    bool old;

    *version = MQTT_3_1_1;
    if (!read_binary(reader, &name))
        return MQTT_REASON_MALFORMED_PACKET;
    old = span_equal(name, span_text("MQIsdp"));
    /* Not MQTT: who knows what would understand a CONNACK. [MQTT-3.1.2-1] */
    if (!old && !span_equal(name, span_text("MQTT")))
        return MQTT_REASON_MALFORMED_PACKET;
    if (!read_byte(reader, &level))
        return MQTT_REASON_MALFORMED_PACKET;
    if (old)
        *version = MQTT_3_1;
    else if ((level & ~LEVEL_BRIDGE) >= MQTT_5)
        *version = MQTT_5;
    return level == *version ? MQTT_REASON_SUCCESS
                             : MQTT_REASON_UNSUPPORTED_PROTOCOL_VERSION; /* [MQTT-3.1.2-2] */
}

/* Checks the connect flags and stores them. */
static enum mqtt_reason decode_flags(uint8_t flags, struct connect_packet *out)
{
    out->clean_start = flags & FLAG_CLEAN_START;
    out->has_will = flags & FLAG_WILL;
    out->will_qos = (flags >> FLAG_WILL_QOS_SHIFT) & 3;
    out->will_retain = flags & FLAG_WILL_RETAIN;
    out->has_password = flags & FLAG_PASSWORD;
    out->has_username = flags & FLAG_USERNAME;

    if ((flags & FLAG_RESERVED) != 0 && out->version != MQTT_3_1) /* [MQTT-3.1.2-3] */
        return MQTT_REASON_MALFORMED_PACKET;
    if (out->will_qos == 3) /* 3.1.1: [MQTT-3.1.2-14], 5.0: [MQTT-3.1.2-12] */
        return MQTT_REASON_MALFORMED_PACKET;
    /* Without a will no Will QoS and no Will Retain: 3.1.1: [MQTT-3.1.2-11] [MQTT-3.1.2-13]
     * [MQTT-3.1.2-15], 5.0: [MQTT-3.1.2-11] [MQTT-3.1.2-13] */
    if (!out->has_will && (out->will_qos != 0 || out->will_retain))
        return MQTT_REASON_MALFORMED_PACKET;
    if (out->has_password && !out->has_username && out->version != MQTT_5) /* [MQTT-3.1.2-22] */
        return MQTT_REASON_MALFORMED_PACKET;
    return MQTT_REASON_SUCCESS;
}

/* Will properties, topic and payload. [MQTT-3.1.2-9] */
static enum mqtt_reason decode_will(struct reader *reader, struct connect_packet *out)
{
    if (out->version == MQTT_5) {
        enum mqtt_reason reason = props_decode(reader, PROP_IN_WILL, &out->will_props);

        if (reason != MQTT_REASON_SUCCESS)
            return reason;
    }
    /* The Will Topic is a UTF-8 string. 3.1.1: [MQTT-3.1.3-10], 5.0: [MQTT-3.1.3-11] */
    if (!read_string(reader, &out->will_topic) || !read_binary(reader, &out->will_payload))
        return MQTT_REASON_MALFORMED_PACKET;
    /* It is a topic name: not empty, no wildcards. [MQTT-4.7.3-1] [MQTT-4.7.1-1] [MQTT-4.7.0-1] */
    if (out->will_topic.len == 0 || memchr(out->will_topic.data, '+', out->will_topic.len) ||
        memchr(out->will_topic.data, '#', out->will_topic.len))
        return MQTT_REASON_TOPIC_NAME_INVALID;
    return MQTT_REASON_SUCCESS;
}

/* User name and password: there exactly when their flags say so. 3.1.1: [MQTT-3.1.2-18]
 * [MQTT-3.1.2-19] [MQTT-3.1.2-20] [MQTT-3.1.2-21], 5.0: [MQTT-3.1.2-16] [MQTT-3.1.2-17]
 * [MQTT-3.1.2-18] [MQTT-3.1.2-19] */
static bool decode_credentials(struct reader *reader, struct connect_packet *out)
{
    if (out->version == MQTT_3_1) {
        if (reader_left(reader) == 0)
            out->has_username = false;
        out->has_password = out->has_password && out->has_username;
    }
    /* 3.1.1: [MQTT-3.1.3-11], 5.0: [MQTT-3.1.3-12] */
    if (out->has_username && !read_string(reader, &out->username))
        return false;
    if (out->version == MQTT_3_1 && reader_left(reader) == 0)
        out->has_password = false;
    return !out->has_password || read_binary(reader, &out->password);
}

/* What 5.0 demands of the properties together. */
static bool props_consistent(const struct mqtt_props *props)
{
    return props_has(props, MQTT_PROPERTY_AUTHENTICATION_METHOD) ||
           !props_has(props, MQTT_PROPERTY_AUTHENTICATION_DATA); /* 3.1.2.11.10 */
}

enum mqtt_reason mqtt_decode_connect(const struct frame *frame, struct connect_packet *out)
{
    struct reader reader = reader_of(frame->body, frame->body_len);
    enum mqtt_version version;
    enum mqtt_reason reason;
    uint8_t flags;

    memset(out, 0, sizeof(*out));
    reason = decode_protocol(&reader, &version);
    out->version = version;
    if (reason != MQTT_REASON_SUCCESS)
        return reason;
    if (!read_byte(&reader, &flags))
        return MQTT_REASON_MALFORMED_PACKET;
    reason = decode_flags(flags, out);
    if (reason != MQTT_REASON_SUCCESS)
        return reason;
    if (!read_be16(&reader, &out->keep_alive_s))
        return MQTT_REASON_MALFORMED_PACKET;
    if (version == MQTT_5) {
        reason = props_decode(&reader, MQTT_CONNECT, &out->props);
        if (reason != MQTT_REASON_SUCCESS)
            return reason;
        if (!props_consistent(&out->props))
            return MQTT_REASON_PROTOCOL_ERROR;
    }
    /* The order of the payload is fixed and begins with the client identifier, a UTF-8 string.
     * [MQTT-3.1.3-1] [MQTT-3.1.3-3] [MQTT-3.1.3-4] */
    if (!read_string(&reader, &out->client_identifier))
        return MQTT_REASON_MALFORMED_PACKET;
    if (out->has_will) {
        reason = decode_will(&reader, out);
        if (reason != MQTT_REASON_SUCCESS)
            return reason;
    }
    /* Nothing may follow the last field that the flags announce. [MQTT-3.1.4-1] */
    if (!decode_credentials(&reader, out) || reader_left(&reader) != 0)
        return MQTT_REASON_MALFORMED_PACKET;
    return MQTT_REASON_SUCCESS;
}
