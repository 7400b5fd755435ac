/* SPDX-License-Identifier: MIT
 *
 * encode_publish - the PUBLISH packet, towards a receiver of any version.
 *
 * In two steps, so that the caller can find room for the exact size: plan, then write. The payload
 * is written by the caller, or sent from where it is.
 */
#ifndef SHARDMQ_MQTT_ENCODE_PUBLISH_H
#define SHARDMQ_MQTT_ENCODE_PUBLISH_H

#include "mqtt/packet.h"

struct publish_encoding {
    /* in */
    struct span topic;           /* empty when the alias is known to the receiver */
    struct span props;           /* forwarded properties, 5.0 receivers only */
    const uint32_t *identifiers; /* Subscription Identifiers */
    uint32_t identifier_count;
    uint32_t payload_len;
    uint32_t expiry_s;
    uint16_t packet_identifier; /* QoS 1 and 2 */
    uint16_t topic_alias;       /* 0: none */
    uint8_t version, qos;
    bool retain, dup, has_expiry;
    /* out, by publish_plan() */
    uint32_t props_len; /* of the property block */
    uint32_t remaining_length;
    uint32_t head_len;      /* everything before the payload */
    uint32_t identifier_at; /* offset of the packet identifier; 0 with QoS 0 */
};

/* Fills in the out members. False when the packet would be larger than the format allows. */
bool publish_plan(struct publish_encoding *encoding);

/* Writes head_len bytes. */
void publish_write_head(const struct publish_encoding *encoding, uint8_t *to);

#endif
