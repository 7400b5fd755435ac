/* SPDX-License-Identifier: MIT
 *
 * endian - big-endian integers in byte buffers (MQTT 5.0, 1.5.2 and 1.5.3).
 */
#ifndef SHARDMQ_BASE_ENDIAN_H
#define SHARDMQ_BASE_ENDIAN_H

#include <stdint.h>
#include <string.h>

static inline uint16_t get_be16(const uint8_t *from)
{
    uint16_t value;

    memcpy(&value, from, sizeof(value));
    return __builtin_bswap16(value);
}

static inline uint32_t get_be32(const uint8_t *from)
{
    uint32_t value;

    memcpy(&value, from, sizeof(value));
    return __builtin_bswap32(value);
}

static inline uint8_t *put_be16(uint8_t *to, uint16_t value)
{
    value = __builtin_bswap16(value);
    memcpy(to, &value, sizeof(value));
    return to + sizeof(value);
}

static inline uint8_t *put_be32(uint8_t *to, uint32_t value)
{
    value = __builtin_bswap32(value);
    memcpy(to, &value, sizeof(value));
    return to + sizeof(value);
}

#endif
