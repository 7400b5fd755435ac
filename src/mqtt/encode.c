/* SPDX-License-Identifier: MIT
 *
 * encode - see the header. Everything is measured before the first byte is written.
 *
 * Reason codes that the specification does not define for a packet are never written
 * [MQTT-3.2.2-8] [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1] [MQTT-3.14.2-1]
 * [MQTT-3.15.2-1]: a more general one takes their place.
 */
#include "mqtt/encode.h"

#include "base/check.h"
#include "mqtt/props.h"
#include "mqtt/tables.h"
#include "mqtt/writer.h"

#define USER_PROPERTY PROP_BIT(MQTT_PROPERTY_USER_PROPERTY)
#define REASON_STRING PROP_BIT(MQTT_PROPERTY_REASON_STRING)

/* The size limit of one packet. */
static uint32_t limit_of(uint32_t room, uint32_t packet_size_max)
{
    return packet_size_max != 0 && packet_size_max < room ? packet_size_max : room;
}

/* `reason` where this packet may carry it, else the nearest that it may. */
static enum mqtt_reason legal_reason(enum mqtt_packet_type type, enum mqtt_reason reason)
{
    if (reason_from_server(type, reason) || reason_from_client(type, reason))
        return reason;
    return type == MQTT_PUBREL || type == MQTT_PUBCOMP ? MQTT_REASON_PACKET_IDENTIFIER_NOT_FOUND
                                                       : MQTT_REASON_UNSPECIFIED_ERROR;
}

/* Adds a Reason String to the properties to write. One that is too long for a string is left out.
 */
static void set_reason_string(struct mqtt_props *props, struct span reason_string)
{
    if (reason_string.len == 0 || reason_string.len > STRING_LEN_MAX)
        return;
    props->present |= REASON_STRING;
    props->reason_string = reason_string;
}

/* What to leave out so that a packet with `fixed_len` bytes of body in front of its property block
 * stays within `limit`: nothing, or User Properties, or those and the Reason String. Sets
 * *block_len to the length of the remaining block. Returns false when the packet is too large
 * without them too. [MQTT-3.1.2-24] [MQTT-3.2.2-19] [MQTT-3.2.2-20] [MQTT-3.4.2-2] [MQTT-3.4.2-3]
 * [MQTT-3.5.2-2] [MQTT-3.5.2-3] [MQTT-3.6.2-2] [MQTT-3.6.2-3] [MQTT-3.7.2-2] [MQTT-3.7.2-3]
 * [MQTT-3.14.2-3] [MQTT-3.14.2-4] */
static bool fit_props(const struct mqtt_props *props, unsigned place, uint32_t fixed_len,
                      uint32_t limit, uint64_t *without, uint32_t *block_len)
{
    static const uint64_t choices[] = {0, USER_PROPERTY, USER_PROPERTY | REASON_STRING};
    uint32_t body_len;

    for (unsigned i = 0; i < ARRAY_LENGTH(choices); i++) {
        *without = choices[i];
        *block_len = props_size(props, place, choices[i]);
        body_len = fixed_len + varint_size(*block_len) + *block_len;
        if (body_len <= VARINT_MAX && packet_size(body_len) <= limit)
            return true;
    }
    return false;
}

/* CONNACK before 5.0. */
static uint32_t encode_connack_3(uint8_t *to, uint32_t room, enum mqtt_version version,
                                 const struct connack_fields *fields)
{
    int return_code = reason_to_return_code(fields->reason);

    if (return_code < 0 || room < 4)
        return 0; /* 3.1.1: [MQTT-3.2.2-6] */
    to = put_header(to, MQTT_CONNACK, 0, 2);
    /* 3.1 has no Session Present. Refused: always 0, 3.1.1: [MQTT-3.2.2-4] */
    *to++ = fields->session_present && return_code == 0 && version == MQTT_3_1_1;
    *to = (uint8_t)return_code;
    return 4;
}

uint32_t mqtt_encode_connack(uint8_t *to, uint32_t room, enum mqtt_version version,
                             const struct connack_fields *fields)
{
    enum mqtt_reason reason;
    uint32_t block_len, body_len;
    uint64_t without;

    if (version != MQTT_5)
        return encode_connack_3(to, room, version, fields);
    if (!fit_props(&fields->props, MQTT_CONNACK, 2, limit_of(room, fields->packet_size_max),
                   &without, &block_len))
        return 0;
    reason = legal_reason(MQTT_CONNACK, fields->reason); /* [MQTT-3.2.2-8] */
    body_len = 2 + varint_size(block_len) + block_len;
    to = put_header(to, MQTT_CONNACK, 0, body_len);
    /* [MQTT-3.2.2-1] [MQTT-3.2.2-6] */
    *to++ = fields->session_present && reason == MQTT_REASON_SUCCESS;
    *to++ = (uint8_t)reason;
    to = varint_put(to, block_len); /* [MQTT-2.2.2-1] */
    props_put(to, &fields->props, MQTT_CONNACK, without);
    return packet_size(body_len);
}

/* PUBACK and the like with a reason code, and properties when the block is not empty. */
static uint32_t encode_ack_reason(uint8_t *to, enum mqtt_packet_type type, uint8_t flags,
                                  uint16_t packet_identifier, enum mqtt_reason reason,
                                  const struct mqtt_props *props, uint32_t limit)
{
    uint32_t block_len, body_len = 3;
    uint64_t without;

    if (!fit_props(props, (unsigned)type, 3, limit, &without, &block_len)) {
        if (packet_size(3) > limit)
            return 0;
        block_len =
            0; /* not even the length of an empty block, which may be left out (3.4.2.2.1) */
    }
    if (block_len > 0)
        body_len += varint_size(block_len) + block_len;
    to = put_header(to, type, flags, body_len);
    to = put_be16(to, packet_identifier);
    *to++ = (uint8_t)reason;
    if (block_len > 0) {
        to = varint_put(to, block_len);
        props_put(to, props, (unsigned)type, without);
    }
    return packet_size(body_len);
}

uint32_t mqtt_encode_ack(uint8_t *to, uint32_t room, enum mqtt_version version,
                         enum mqtt_packet_type type, uint16_t packet_identifier,
                         enum mqtt_reason reason, struct span reason_string,
                         uint32_t packet_size_max)
{
    uint8_t flags = type == MQTT_PUBREL ? 2 : 0; /* [MQTT-3.6.1-1] */
    struct mqtt_props props;

    ASSERT(packet_identifier != 0);
    if (LIKELY(version != MQTT_5 || (reason == MQTT_REASON_SUCCESS && reason_string.len == 0))) {
        if (limit_of(room, packet_size_max) < 4)
            return 0;
        to[0] = (uint8_t)(type << 4 | flags);
        to[1] = 2;
        put_be16(to + 2, packet_identifier); /* [MQTT-2.3.1-6] [MQTT-2.2.1-5] */
        return 4;
    }
    props_clear(&props);
    set_reason_string(&props, reason_string);
    return encode_ack_reason(to, type, flags, packet_identifier, legal_reason(type, reason), &props,
                             limit_of(room, packet_size_max));
}

/* The code for one filter as this version knows it. */
static uint8_t list_code(enum mqtt_version version, enum mqtt_packet_type type, uint8_t code)
{
    if (version != MQTT_5) /* 3.1.1: [MQTT-3.9.3-2] */
        return code <= 2 ? code : 0x80;
    /* 5.0: [MQTT-3.9.3-2] [MQTT-3.11.3-2] */
    return (uint8_t)legal_reason(type, (enum mqtt_reason)code);
}

uint32_t mqtt_encode_suback(uint8_t *to, uint32_t room, enum mqtt_version version,
                            enum mqtt_packet_type type, uint16_t packet_identifier,
                            const uint8_t *codes, uint32_t count)
{
    uint32_t block_len = version == MQTT_5 ? 1 : 0;
    uint32_t body_len;

    ASSERT(type == MQTT_SUBACK || type == MQTT_UNSUBACK);
    if (type == MQTT_UNSUBACK && version != MQTT_5)
        count = 0; /* an UNSUBACK before 5.0 has no payload */
    body_len = 2 + block_len + count;
    if (packet_size(body_len) > room)
        return 0;
    to = put_header(to, type, 0, body_len);
    to = put_be16(to, packet_identifier); /* [MQTT-2.3.1-7] [MQTT-2.2.1-6] [MQTT-3.8.4-2] */
    /* An empty block [MQTT-2.2.2-1]: no Reason String and no User Property that could be too much.
     * [MQTT-3.9.2-1] [MQTT-3.9.2-2] [MQTT-3.11.2-1] [MQTT-3.11.2-2] */
    if (block_len > 0)
        *to++ = 0;
    for (uint32_t i = 0; i < count; i++) /* [MQTT-3.9.3-1] [MQTT-3.11.3-1] */
        to[i] = list_code(version, type, codes[i]);
    return packet_size(body_len);
}

uint32_t mqtt_encode_pingresp(uint8_t *to, uint32_t room)
{
    if (room < 2)
        return 0;
    to[0] = MQTT_PINGRESP << 4;
    to[1] = 0;
    return 2;
}

/* DISCONNECT and AUTH: a reason code and properties, both optional. */
static uint32_t encode_tail(uint8_t *to, uint32_t limit, enum mqtt_packet_type type, unsigned place,
                            enum mqtt_reason reason, const struct mqtt_props *props)
{
    uint32_t block_len, body_len;
    uint64_t without;

    if (!fit_props(props, place, 1, limit, &without, &block_len)) {
        if ((props->present & ~(USER_PROPERTY | REASON_STRING)) != 0)
            return 0; /* something that matters would be missing */
        block_len = 0;
    }
    if (block_len > 0)
        body_len = 1 + varint_size(block_len) + block_len;
    else
        body_len = reason == MQTT_REASON_SUCCESS ? 0 : 1;
    if (packet_size(body_len) > limit)
        return 0;
    to = put_header(to, type, 0, body_len);
    if (body_len > 0)
        *to++ = (uint8_t)reason;
    if (block_len > 0) {
        to = varint_put(to, block_len);
        props_put(to, props, place, without);
    }
    return packet_size(body_len);
}

uint32_t mqtt_encode_disconnect(uint8_t *to, uint32_t room, enum mqtt_version version,
                                enum mqtt_reason reason, struct span reason_string,
                                struct span server_reference, uint32_t packet_size_max)
{
    struct mqtt_props props;

    if (version != MQTT_5)
        return 0;
    /* No Session Expiry Interval, ever. [MQTT-3.14.2-2] */
    props_clear(&props);
    set_reason_string(&props, reason_string);
    if (server_reference.len > 0 && server_reference.len <= STRING_LEN_MAX) {
        props.present |= PROP_BIT(MQTT_PROPERTY_SERVER_REFERENCE);
        props.server_reference = server_reference;
    }
    if (!reason_from_server(MQTT_DISCONNECT, reason)) /* [MQTT-3.14.2-1] */
        reason = MQTT_REASON_UNSPECIFIED_ERROR;
    return encode_tail(to, limit_of(room, packet_size_max), MQTT_DISCONNECT,
                       PROP_IN_SERVER_DISCONNECT, reason, &props);
}

uint32_t mqtt_encode_auth(uint8_t *to, uint32_t room, enum mqtt_reason reason,
                          struct span authentication_method, struct span authentication_data)
{
    struct mqtt_props props;

    /* No Reason String and no User Property that could be too much. [MQTT-3.15.2-1] [MQTT-3.15.2-2]
     * [MQTT-3.15.2-3] */
    ASSERT(reason_from_server(MQTT_AUTH, reason) || reason_from_client(MQTT_AUTH, reason));
    if (authentication_method.len > STRING_LEN_MAX || authentication_data.len > STRING_LEN_MAX)
        return 0;
    props_clear(&props);
    props.present |= PROP_BIT(MQTT_PROPERTY_AUTHENTICATION_METHOD);
    props.authentication_method = authentication_method;
    if (authentication_data.len > 0) {
        props.present |= PROP_BIT(MQTT_PROPERTY_AUTHENTICATION_DATA);
        props.authentication_data = authentication_data;
    }
    return encode_tail(to, room, MQTT_AUTH, MQTT_AUTH, reason, &props);
}
