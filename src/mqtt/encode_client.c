/* SPDX-License-Identifier: MIT
 *
 * encode_client - see the header. Lengths are added up in 64 bits, so that no sum of lengths can
 * wrap before it is compared with the room.
 */
#include "mqtt/encode_client.h"

#include "mqtt/props.h"
#include "mqtt/writer.h"

static const struct mqtt_props no_props;

/* The length of a property block in front of which its length stands; 0 before 5.0. */
static uint64_t block_size(enum mqtt_version version, const struct mqtt_props *props,
                           unsigned place)
{
    uint32_t len;

    if (version != MQTT_5)
        return 0;
    len = props_size(props, place, 0);
    return (uint64_t)varint_size(len) + len;
}

static uint8_t *put_block(uint8_t *to, enum mqtt_version version, const struct mqtt_props *props,
                          unsigned place)
{
    if (version != MQTT_5)
        return to;
    to = varint_put(to, props_size(props, place, 0)); /* [MQTT-2.2.2-1] */
    return props_put(to, props, place, 0);
}

/* Whether a packet with this body can be written. */
static bool fits(uint64_t body_len, uint32_t room)
{
    return body_len <= VARINT_MAX && packet_size((uint32_t)body_len) <= room;
}

static bool is_string(struct span span)
{
    return span.len <= STRING_LEN_MAX;
}

/* The will as far as it stands in the payload. */
static uint64_t will_size(const struct connect_packet *packet)
{
    if (!packet->has_will)
        return 0;
    return block_size(packet->version, &packet->will_props, PROP_IN_WILL) + 2u +
           packet->will_topic.len + 2u + packet->will_payload.len;
}

static uint8_t connect_flags(const struct connect_packet *packet)
{
    return (uint8_t)(packet->clean_start << 1 | packet->has_will << 2 |
                     (packet->will_qos & 3) << 3 | packet->will_retain << 5 |
                     packet->has_password << 6 | packet->has_username << 7);
}

uint32_t mqtt_encode_connect(uint8_t *to, uint32_t room, const struct connect_packet *packet)
{
    struct span name = span_text(packet->version == MQTT_3_1 ? "MQIsdp" : "MQTT");
    uint64_t body_len = 2u + name.len + 1u + 1u + 2u + 2u + packet->client_identifier.len;

    if (!is_string(packet->client_identifier) || !is_string(packet->will_topic) ||
        !is_string(packet->will_payload) || !is_string(packet->username) ||
        !is_string(packet->password))
        return 0;
    body_len += block_size(packet->version, &packet->props, MQTT_CONNECT) + will_size(packet);
    if (packet->has_username)
        body_len += 2u + packet->username.len;
    if (packet->has_password)
        body_len += 2u + packet->password.len;
    if (!fits(body_len, room))
        return 0;

    to = put_header(to, MQTT_CONNECT, 0, (uint32_t)body_len);
    to = put_string(to, name);
    *to++ = (uint8_t)packet->version;
    *to++ = connect_flags(packet);
    to = put_be16(to, packet->keep_alive_s);
    to = put_block(to, packet->version, &packet->props, MQTT_CONNECT);
    to = put_string(to, packet->client_identifier);
    if (packet->has_will) {
        to = put_block(to, packet->version, &packet->will_props, PROP_IN_WILL);
        to = put_string(to, packet->will_topic);
        to = put_string(to, packet->will_payload);
    }
    if (packet->has_username)
        to = put_string(to, packet->username);
    if (packet->has_password)
        put_string(to, packet->password);
    return packet_size((uint32_t)body_len);
}

uint32_t mqtt_encode_publish(uint8_t *to, uint32_t room, enum mqtt_version version,
                             const struct publish_packet *packet)
{
    uint8_t flags = (uint8_t)(packet->dup << 3 | (packet->qos & 3) << 1 | packet->retain);
    uint64_t body_len = 2u + (uint64_t)packet->topic.len + (packet->qos > 0 ? 2u : 0u) +
                        block_size(version, &packet->props, MQTT_PUBLISH) + packet->payload.len;

    if (!is_string(packet->topic) || !fits(body_len, room))
        return 0;
    to = put_header(to, MQTT_PUBLISH, flags, (uint32_t)body_len);
    to = put_string(to, packet->topic);
    if (packet->qos > 0)
        to = put_be16(to, packet->packet_identifier);
    to = put_block(to, version, &packet->props, MQTT_PUBLISH);
    put_bytes(to, packet->payload);
    return packet_size((uint32_t)body_len);
}

/* SUBSCRIBE and UNSUBSCRIBE, which has no options. */
static uint32_t encode_filters(uint8_t *to, uint32_t room, enum mqtt_version version,
                               enum mqtt_packet_type type, uint16_t packet_identifier,
                               const struct filter_view *filters, uint32_t count,
                               const struct mqtt_props *props)
{
    bool has_options = type == MQTT_SUBSCRIBE;
    uint64_t body_len;

    if (props == NULL)
        props = &no_props;
    body_len = 2u + block_size(version, props, (unsigned)type);
    for (uint32_t i = 0; i < count; i++) {
        if (!is_string(filters[i].filter))
            return 0;
        body_len += 2u + filters[i].filter.len + (has_options ? 1u : 0u);
    }
    if (!fits(body_len, room))
        return 0;
    to = put_header(to, type, 2, (uint32_t)body_len);
    to = put_be16(to, packet_identifier);
    to = put_block(to, version, props, (unsigned)type);
    for (uint32_t i = 0; i < count; i++) {
        to = put_string(to, filters[i].filter);
        if (has_options)
            *to++ = filters[i].options;
    }
    return packet_size((uint32_t)body_len);
}

uint32_t mqtt_encode_subscribe(uint8_t *to, uint32_t room, enum mqtt_version version,
                               uint16_t packet_identifier, const struct filter_view *filters,
                               uint32_t count, const struct mqtt_props *props)
{
    return encode_filters(to, room, version, MQTT_SUBSCRIBE, packet_identifier, filters, count,
                          props);
}

uint32_t mqtt_encode_unsubscribe(uint8_t *to, uint32_t room, enum mqtt_version version,
                                 uint16_t packet_identifier, const struct filter_view *filters,
                                 uint32_t count, const struct mqtt_props *props)
{
    return encode_filters(to, room, version, MQTT_UNSUBSCRIBE, packet_identifier, filters, count,
                          props);
}

uint32_t mqtt_encode_pingreq(uint8_t *to, uint32_t room)
{
    if (room < 2)
        return 0;
    put_header(to, MQTT_PINGREQ, 0, 0);
    return 2;
}

uint32_t mqtt_encode_client_disconnect(uint8_t *to, uint32_t room, enum mqtt_version version,
                                       enum mqtt_reason reason, const struct mqtt_props *props)
{
    uint64_t body_len = 0;

    if (props == NULL)
        props = &no_props;
    if (version == MQTT_5 && (reason != MQTT_REASON_SUCCESS || props->present != 0))
        body_len = 1u + (props->present != 0 ? block_size(version, props, MQTT_DISCONNECT) : 0u);
    if (!fits(body_len, room))
        return 0;
    to = put_header(to, MQTT_DISCONNECT, 0, (uint32_t)body_len);
    if (body_len > 0)
        *to++ = (uint8_t)reason;
    if (body_len > 1)
        put_block(to, version, props, MQTT_DISCONNECT);
    return packet_size((uint32_t)body_len);
}

uint32_t mqtt_encode_user_property(uint8_t *to, uint32_t room, struct span name, struct span value)
{
    uint64_t size = 1u + 2u + (uint64_t)name.len + 2u + value.len;

    if (!is_string(name) || !is_string(value) || size > room)
        return 0;
    *to++ = MQTT_PROPERTY_USER_PROPERTY;
    put_string(put_string(to, name), value);
    return (uint32_t)size;
}
