/* SPDX-License-Identifier: MIT
 *
 * writer - pieces of packets, written where the caller has made sure there is room. Each put_
 * returns the end of what it wrote.
 */
#ifndef SHARDMQ_MQTT_WRITER_H
#define SHARDMQ_MQTT_WRITER_H

#include "base/endian.h"
#include "base/span.h"
#include "mqtt/packet.h"
#include "mqtt/varint.h"

#define STRING_LEN_MAX 65535u /* what two bytes of length can say [MQTT-4.7.3-3] */

/* The length of a packet with `body_len` bytes behind the fixed header. */
static inline uint32_t packet_size(uint32_t body_len)
{
    return 1 + varint_size(body_len) + body_len;
}

/* The fixed header. */
static inline uint8_t *put_header(uint8_t *to, enum mqtt_packet_type type, uint8_t flags,
                                  uint32_t body_len)
{
    *to++ = (uint8_t)((unsigned)type << 4 | flags);
    return varint_put(to, body_len);
}

static inline uint8_t *put_bytes(uint8_t *to, struct span bytes)
{
    if (bytes.len > 0)
        memcpy(to, bytes.data, bytes.len);
    return to + bytes.len;
}

/* A string or binary data of at most STRING_LEN_MAX bytes, with its length. */
static inline uint8_t *put_string(uint8_t *to, struct span string)
{
    return put_bytes(put_be16(to, (uint16_t)string.len), string);
}

#endif
