/* SPDX-License-Identifier: MIT
 *
 * Variable byte integers: one byte (nearly all packets) and a mix of all lengths.
 */
#include "mqtt/varint.h"
#include "perf/shim.h"

void perf_register_varint(void);

#define VALUES 1024

static void encode_case(struct perf_state *state, void *argument)
{
    uint32_t spread = *(const uint32_t *)argument;
    uint8_t bytes[VARINT_SIZE_MAX];
    uint32_t value = 1;
    uint64_t count = 0;

    while (perf_next(state)) {
        for (unsigned i = 0; i < VALUES; i++) {
            value = value * 1664525 + 1013904223;
            perf_keep(varint_put(bytes, value % spread));
        }
        count += VALUES;
    }
    perf_items(state, count);
}

static void decode_case(struct perf_state *state, void *argument)
{
    uint32_t spread = *(const uint32_t *)argument;
    uint8_t bytes[VALUES * VARINT_SIZE_MAX + VARINT_SIZE_MAX], *end = bytes;
    uint32_t value = 1;
    uint64_t count = 0;

    for (unsigned i = 0; i < VALUES; i++) {
        value = value * 1664525 + 1013904223;
        end = varint_put(end, value % spread);
    }
    while (perf_next(state)) {
        for (const uint8_t *at = bytes; at < end;) {
            at += varint_get(at, (uint32_t)(end - at), &value);
            perf_keep(&value);
        }
        count += VALUES;
    }
    perf_items(state, count);
}

void perf_register_varint(void)
{
    static uint32_t small = 128, all = VARINT_MAX;

    perf_case("varint/encode/1_byte", encode_case, &small);
    perf_case("varint/encode/1_to_4_bytes", encode_case, &all);
    perf_case("varint/decode/1_byte", decode_case, &small);
    perf_case("varint/decode/1_to_4_bytes", decode_case, &all);
}
