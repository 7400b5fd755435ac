/* SPDX-License-Identifier: MIT
 *
 * payload - what every payload of the tool begins with, so that a receiver can tell what is
 * missing.
 *
 *   0      4      8              16             24
 *   | mark | flow |    number    |     time     | 'A' ...
 *
 * mark: PAYLOAD_MARK xor the run's random number, so that messages of others are told apart.
 * flow: the publisher and topic that it belongs to; number: counts up from 0 within the flow.
 * time: CLOCK_MONOTONIC in nanoseconds when it was sent or, when paced, should have been. All
 * big-endian. Latency between two machines is meaningless: their monotonic clocks differ.
 */
#ifndef SHARDMQ_BENCH_PAYLOAD_H
#define SHARDMQ_BENCH_PAYLOAD_H

#include <stdint.h>
#include <string.h>
#include <time.h>

#include "base/endian.h"

#define PAYLOAD_MARK        0x536d5162u
#define PAYLOAD_HEADER_SIZE 24u
#define PAYLOAD_NUMBER_AT   8u
#define NANOSECONDS         UINT64_C(1000000000)
#define NANOSECONDS_PER_MS  UINT64_C(1000000)
#define NANOSECONDS_PER_US  UINT64_C(1000)

struct payload_header {
    uint32_t mark, flow;
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

/* Writes the constant part of a header and fills the rest of size bytes with 'A', as NanoMQ does.
 */
static inline void payload_fill(uint8_t *to, uint32_t size, uint32_t mark, uint32_t flow)
{
    memset(to, 'A', size);
    if (size >= PAYLOAD_HEADER_SIZE) {
        put_be32(put_be32(to, mark), flow);
    }
}

/* Writes the part that changes from message to message: PAYLOAD_NUMBER_AT bytes behind the start.
 */
static inline void payload_stamp(uint8_t *number_at, uint64_t number, uint64_t sent_ns)
{
    payload_put64(number_at, number);
    payload_put64(number_at + sizeof(number), sent_ns);
}

/* `payload` has at least PAYLOAD_HEADER_SIZE bytes. */
static inline struct payload_header payload_read(const uint8_t *payload)
{
    return (struct payload_header){.mark = get_be32(payload),
                                   .flow = get_be32(payload + 4),
                                   .number = payload_get64(payload + PAYLOAD_NUMBER_AT),
                                   .sent_ns = payload_get64(payload + PAYLOAD_NUMBER_AT + 8)};
}

static inline uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NANOSECONDS + (uint64_t)now.tv_nsec;
}

#endif
