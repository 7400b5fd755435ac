/* SPDX-License-Identifier: MIT
 *
 * What a Variable Byte Integer costs, read and written: of one length only, and of lengths that no
 * branch predictor knows.
 */
#include "base/check.h"
#include "base/random.h"
#include "mqtt/varint.h"
#include "perf/shim.h"

void perf_register_varint(void);

#define VALUES 4096u

/* What the values of one case are below, and not below. 0 bytes: any length. */
struct varint_case {
    const char *read_name, *write_name;
    uint32_t bytes;
};

static const struct varint_case cases[] = {
    {"varint/read/bytes:1", "varint/write/bytes:1", 1},
    {"varint/read/bytes:2", "varint/write/bytes:2", 2},
    {"varint/read/bytes:4", "varint/write/bytes:4", 4},
    {"varint/read/bytes:mixed", "varint/write/bytes:mixed", 0},
};

static uint32_t values[VALUES];
static uint8_t encoded[VALUES * VARINT_SIZE_MAX];

/* Fills `values` and `encoded`; returns the bytes in `encoded`. */
static uint32_t prepare(const struct varint_case *wanted)
{
    struct random random = {.state = 7};
    uint8_t *end = encoded;

    for (uint32_t i = 0; i < VALUES; i++) {
        uint32_t bytes = wanted->bytes != 0 ? wanted->bytes : 1 + random_below(&random, 4);
        uint32_t low = bytes == 1 ? 0 : 1u << (7 * (bytes - 1));
        uint32_t high = 1u << (7 * bytes);

        values[i] = low + random_below(&random, high - low);
        end = varint_put(end, values[i]);
    }
    return (uint32_t)(end - encoded);
}

static void run_read(struct perf_state *state, void *argument)
{
    uint32_t len = prepare(argument);
    uint64_t sum = 0, expected = 0;

    for (uint32_t i = 0; i < VALUES; i++)
        expected += values[i];
    while (perf_next(state)) {
        for (uint32_t at = 0; at < len;) {
            uint32_t value = 0;

            at += (uint32_t)varint_get(encoded + at, len - at, &value);
            sum += value;
        }
        perf_keep(&sum);
    }
    ASSERT(sum == expected * perf_iterations(state));
    perf_items(state, perf_iterations(state) * VALUES);
}

static void run_write(struct perf_state *state, void *argument)
{
    uint32_t len = prepare(argument);
    uint8_t *end = encoded;

    while (perf_next(state)) {
        end = encoded;
        for (uint32_t i = 0; i < VALUES; i++)
            end = varint_put(end, values[i]);
        perf_keep(encoded);
    }
    ASSERT(end == encoded + len);
    perf_items(state, perf_iterations(state) * VALUES);
}

void perf_register_varint(void)
{
    for (unsigned i = 0; i < ARRAY_LENGTH(cases); i++) {
        perf_case(cases[i].read_name, run_read, (void *)&cases[i]);
        perf_case(cases[i].write_name, run_write, (void *)&cases[i]);
    }
}
