/* SPDX-License-Identifier: MIT
 *
 * decode_priv - what the packet decoders share.
 */
#ifndef SHARDMQ_MQTT_DECODE_PRIV_H
#define SHARDMQ_MQTT_DECODE_PRIV_H

#include "mqtt/decode.h"
#include "mqtt/props.h"
#include "mqtt/reader.h"

/* The reason for a Packet Identifier of 0 where one is required: 5.0 calls it a protocol error. */
static inline enum mqtt_reason identifier_zero(enum mqtt_version version)
{
    return version == MQTT_5 ? MQTT_REASON_PROTOCOL_ERROR : MQTT_REASON_MALFORMED_PACKET;
}

/* Reads the Packet Identifier at the start of a packet that must have one. [MQTT-2.3.1-1] */
static inline enum mqtt_reason read_identifier(struct reader *reader, enum mqtt_version version,
                                               uint16_t *out)
{
    if (!read_be16(reader, out))
        return MQTT_REASON_MALFORMED_PACKET;
    return *out != 0 ? MQTT_REASON_SUCCESS : identifier_zero(version);
}

#endif
