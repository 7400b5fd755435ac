/* SPDX-License-Identifier: MIT */
#include "mqtt/encode_publish.h"

#include "mqtt/writer.h"

static uint32_t properties_len(const struct publish_encoding *encoding)
{
    uint32_t len = encoding->props.len;

    if (encoding->has_expiry)
        len += 5;
    if (encoding->topic_alias != 0)
        len += 3;
    for (uint32_t i = 0; i < encoding->identifier_count; i++)
        len += 1 + varint_size(encoding->identifiers[i]);
    return len;
}

bool publish_plan(struct publish_encoding *encoding)
{
    uint64_t remaining = 2u + (uint64_t)encoding->topic.len + encoding->payload_len;
    uint64_t total_head;

    if (encoding->qos > 0)
        remaining += 2;
    if (encoding->version == MQTT_5) {
        encoding->props_len = properties_len(encoding);
        /* a property length of 0 is written too [MQTT-2.2.2-1] */
        remaining += varint_size(encoding->props_len) + encoding->props_len;
    }
    if (remaining > VARINT_MAX)
        return false;
    encoding->remaining_length = (uint32_t)remaining;
    total_head = 1u + varint_size(encoding->remaining_length) + remaining - encoding->payload_len;
    encoding->head_len = (uint32_t)total_head;
    encoding->identifier_at =
        encoding->qos > 0 ? 1 + varint_size(encoding->remaining_length) + 2 + encoding->topic.len
                          : 0;
    return true;
}

static uint8_t *put_properties(const struct publish_encoding *encoding, uint8_t *to)
{
    to = varint_put(to, encoding->props_len);
    if (encoding->has_expiry) {
        *to++ = MQTT_PROPERTY_MESSAGE_EXPIRY_INTERVAL;
        to = put_be32(to, encoding->expiry_s);
    }
    if (encoding->topic_alias != 0) {
        *to++ = MQTT_PROPERTY_TOPIC_ALIAS;
        to = put_be16(to, encoding->topic_alias);
    }
    for (uint32_t i = 0; i < encoding->identifier_count; i++) {
        *to++ = MQTT_PROPERTY_SUBSCRIPTION_IDENTIFIER;
        to = varint_put(to, encoding->identifiers[i]);
    }
    return put_bytes(
        to, encoding->props); /* unaltered, in their order [MQTT-3.3.2-17] [MQTT-3.3.2-18] */
}

void publish_write_head(const struct publish_encoding *encoding, uint8_t *to)
{
    *to++ =
        (uint8_t)(MQTT_PUBLISH << 4 | encoding->dup << 3 | encoding->qos << 1 | encoding->retain);
    to = varint_put(to, encoding->remaining_length);
    to = put_be16(to, (uint16_t)encoding->topic.len);
    to = put_bytes(to, encoding->topic);
    if (encoding->qos > 0) /* no packet identifier with QoS 0 [MQTT-2.2.1-2] [MQTT-2.3.1-5] */
        to = put_be16(to, encoding->packet_identifier);
    if (encoding->version == MQTT_5)
        put_properties(encoding, to);
}
