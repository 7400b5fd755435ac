/* SPDX-License-Identifier: MIT
 *
 * Finding packets in a receive buffer that is full of small ones.
 */
#include "mqtt/decode.h"
#include "perf/shim.h"

void perf_register_frame(void);

#define FRAMES 128

static void find_case(struct perf_state *state, void *argument)
{
    uint32_t body = *(const uint32_t *)argument;
    static uint8_t bytes[FRAMES * 4096];
    uint32_t len = 0;
    uint64_t count = 0;

    for (unsigned i = 0; i < FRAMES; i++) {
        bytes[len++] = MQTT_PUBLISH << 4;
        len = (uint32_t)(varint_put(bytes + len, body) - bytes) + body;
    }
    while (perf_next(state)) {
        struct frame frame;

        for (uint32_t at = 0; at < len; at += frame.total_len)
            if (frame_find(bytes + at, len - at, 1 << 20, &frame) != FRAME_READY)
                return;
        count += FRAMES;
    }
    perf_items(state, count);
}

void perf_register_frame(void)
{
    static uint32_t small = 80, large = 2000;

    perf_case("frame/find/80", find_case, &small);
    perf_case("frame/find/2000", find_case, &large);
}
