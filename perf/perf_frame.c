/* SPDX-License-Identifier: MIT
 *
 * What it costs to find the control packets in a receive buffer: many small ones behind each other,
 * as a busy publisher sends them, and larger ones whose Remaining Length takes two and three bytes.
 */
#include "base/check.h"
#include "base/mem.h"
#include "mqtt/encode_client.h"
#include "perf/shim.h"

void perf_register_frame(void);

#define BUFFER     (256u * 1024)
#define PACKET_MAX (1u << 20)

struct frame_case {
    const char *name;
    uint32_t payload;
};

static const struct frame_case cases[] = {
    {"frame/payload:0", 0},
    {"frame/payload:64", 64},
    {"frame/payload:1024", 1024},
    {"frame/payload:65536", 65536},
};

static void run_find(struct perf_state *state, void *argument)
{
    const struct frame_case *wanted = argument;
    uint8_t *buffer = mem_zalloc(BUFFER), *payload = mem_zalloc(wanted->payload + 1);
    struct publish_packet packet = {
        .topic = span_text("site/7/device/temperature"),
        .payload = span_of(payload, wanted->payload),
    };
    uint32_t len = 0, one, packets = 0;
    uint64_t found = 0;

    while ((one = mqtt_encode_publish(buffer + len, BUFFER - len, MQTT_3_1_1, &packet)) != 0) {
        len += one;
        packets++;
    }
    while (perf_next(state)) {
        struct frame frame;

        for (uint32_t at = 0; at < len; at += frame.total_len) {
            if (frame_find(buffer + at, len - at, PACKET_MAX, &frame) != FRAME_READY)
                break;
            perf_keep(frame.body);
            found++;
        }
    }
    ASSERT(found == packets * perf_iterations(state));
    perf_items(state, found);
    mem_free(payload);
    mem_free(buffer);
}

void perf_register_frame(void)
{
    for (unsigned i = 0; i < ARRAY_LENGTH(cases); i++)
        perf_case(cases[i].name, run_find, (void *)&cases[i]);
}
