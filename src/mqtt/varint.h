/* SPDX-License-Identifier: MIT
 *
 * varint - the Variable Byte Integer (MQTT 5.0, 1.5.5): seven bits per byte, least significant
 * group first, at most four bytes, encoded in as few as possible.
 */
#ifndef SHARDMQ_MQTT_VARINT_H
#define SHARDMQ_MQTT_VARINT_H

#include <stdint.h>

#define VARINT_MAX      268435455u /* 0x0FFFFFFF, four bytes */
#define VARINT_SIZE_MAX 4u

enum { VARINT_INCOMPLETE = 0, VARINT_MALFORMED = -1 };

/* Bytes that `value` (at most VARINT_MAX) takes. */
static inline uint32_t varint_size(uint32_t value)
{
    return value < 128 ? 1 : value < 16384 ? 2 : value < 2097152 ? 3 : 4;
}

/* Writes `value` (at most VARINT_MAX) in as few bytes as possible [MQTT-1.5.5-1]; returns the end.
 */
static inline uint8_t *varint_put(uint8_t *to, uint32_t value)
{
    while (value >= 128) {
        *to++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *to++ = (uint8_t)value;
    return to;
}

/* The general case of varint_get(): any number of bytes. */
static inline int varint_get_long(const uint8_t *from, uint32_t len, uint32_t *value)
{
    uint32_t result = 0;

    for (uint32_t i = 0; i < VARINT_SIZE_MAX; i++) {
        if (i == len)
            return VARINT_INCOMPLETE;
        result |= (uint32_t)(from[i] & 0x7F) << (7 * i);
        if (from[i] < 0x80) {
            if (from[i] == 0 && i > 0)
                return VARINT_MALFORMED; /* longer than needed [MQTT-1.5.5-1] */
            *value = result;
            return (int)i + 1;
        }
    }
    return VARINT_MALFORMED; /* a fifth byte would follow */
}

/* Reads the integer at from[0 .. len). Returns the bytes it takes (1 to 4), VARINT_INCOMPLETE when
 * it goes on behind the end, VARINT_MALFORMED when no further byte can make it right. */
static inline int varint_get(const uint8_t *from, uint32_t len, uint32_t *value)
{
    if (len > 0 && from[0] < 0x80) {
        *value = from[0];
        return 1;
    }
    return varint_get_long(from, len, value);
}

#endif
