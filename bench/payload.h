/* SPDX-License-Identifier: MIT
 *
 * payload - what every payload of the tool begins with, so that a receiver can tell what is
 * missing.
 *
 *   0      4      8              16             24
 *   | mark | flow |    number    |     time     | 'A' ...
 *
 *   0    2      5        9           16            payloads of 16 to 23 bytes: the same, cut to 16,
 *   | mark| flow | number |   time    | 'A' ...    24, 32 and 56 bits
 *
 * mark: PAYLOAD_MARK xor the run's random number, so that messages of others are told apart.
 * flow: the publisher and topic that it belongs to; number: counts up from 0 within the flow.
 * time: CLOCK_MONOTONIC in nanoseconds when it was sent or, when paced, should have been. All
 * big-endian. Latency between two machines is meaningless: their monotonic clocks differ.
 */
#ifndef SHARDMQ_BENCH_PAYLOAD_H
#define SHARDMQ_BENCH_PAYLOAD_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include "base/endian.h"

#define PAYLOAD_MARK          0x536d5162u
#define PAYLOAD_FILL          'A'
#define PAYLOAD_HEADER_SIZE   24u
#define PAYLOAD_COMPACT_SIZE  16u
#define PAYLOAD_COMPACT_FLOWS (1u << 24)
#define NANOSECONDS           UINT64_C(1000000000)
#define NANOSECONDS_PER_MS    UINT64_C(1000000)
#define NANOSECONDS_PER_US    UINT64_C(1000)

struct payload_header {
    uint32_t flow;
    uint64_t number, sent_ns;
};

static inline void payload_put64(uint8_t *to, uint64_t value)
{
    value = __builtin_bswap64(value);
    memcpy(to, &value, sizeof(value));
}

static inline uint64_t payload_get64(const uint8_t *from)
{
    uint64_t value;

    memcpy(&value, from, sizeof(value));
    return __builtin_bswap64(value);
}

/* How many bytes of a payload of `size` bytes are its header: 0 when it is too small for one. */
static inline uint32_t payload_header_size(uint32_t size)
{
    return size >= PAYLOAD_HEADER_SIZE    ? PAYLOAD_HEADER_SIZE
           : size >= PAYLOAD_COMPACT_SIZE ? PAYLOAD_COMPACT_SIZE
                                          : 0;
}

/* Writes the constant part of a header and fills the rest of size bytes with 'A', as NanoMQ does.
 */
static inline void payload_fill(uint8_t *to, uint32_t size, uint32_t mark, uint32_t flow)
{
    memset(to, PAYLOAD_FILL, size);
    if (size >= PAYLOAD_HEADER_SIZE) {
        put_be32(put_be32(to, mark), flow);
    } else if (size >= PAYLOAD_COMPACT_SIZE) {
        put_be16(to, (uint16_t)mark);
        to[2] = (uint8_t)(flow >> 16);
        put_be16(to + 3, (uint16_t)flow);
    }
}

/* Writes the part that changes from message to message into a payload of `size` bytes that has a
 * header. */
static inline void payload_stamp(uint8_t *payload, uint32_t size, uint64_t number, uint64_t sent_ns)
{
    if (size >= PAYLOAD_HEADER_SIZE) {
        payload_put64(payload + 8, number);
        payload_put64(payload + 16, sent_ns);
    } else {
        payload_put64(payload + 8, sent_ns); /* its first byte is that of the number */
        put_be32(payload + 5, (uint32_t)number);
    }
}

/* Reads a header that begins with `mark`. Of a compact one the number has its low 32 bits only:
 * payload_whole_number() makes it whole. False: there is none. */
static inline bool payload_read(const uint8_t *payload, uint32_t size, uint32_t mark,
                                struct payload_header *out)
{
    if (size >= PAYLOAD_HEADER_SIZE) {
        *out = (struct payload_header){.flow = get_be32(payload + 4),
                                       .number = payload_get64(payload + 8),
                                       .sent_ns = payload_get64(payload + 16)};
        return get_be32(payload) == mark;
    }
    if (size < PAYLOAD_COMPACT_SIZE) {
        return false;
    }
    *out = (struct payload_header){.flow = (uint32_t)payload[2] << 16 | get_be16(payload + 3),
                                   .number = get_be32(payload + 5),
                                   .sent_ns = payload_get64(payload + 8) & (UINT64_MAX >> 8)};
    return get_be16(payload) == (uint16_t)mark;
}

/* The number nearest to `near` whose low 32 bits are those of a compact header; the number itself
 * when the header is not compact. */
static inline uint64_t payload_whole_number(uint64_t number, uint32_t size, uint64_t near)
{
    if (size >= PAYLOAD_HEADER_SIZE) {
        return number;
    }
    int32_t ahead = (int32_t)((uint32_t)number - (uint32_t)near);

    return ahead < 0 && (uint64_t) - (int64_t)ahead > near ? number
                                                           : near + (uint64_t)(int64_t)ahead;
}

static inline uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NANOSECONDS + (uint64_t)now.tv_nsec;
}

#endif
