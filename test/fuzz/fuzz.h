/* SPDX-License-Identifier: MIT
 *
 * fuzz - what the fuzz targets share. A target takes any bytes; it fails by ASSERT, by a sanitizer or by time.
 * Built with libFuzzer, or with replay_main.c, which runs the inputs that are checked in.
 */
#ifndef SHARDMQ_TEST_FUZZ_H
#define SHARDMQ_TEST_FUZZ_H

#include "base/check.h"
#include "mqtt/decode.h"
#include "mqtt/dump.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static inline enum mqtt_version fuzz_version(uint8_t byte)
{
    return (enum mqtt_version)(MQTT_3_1 + byte % 3);
}

static inline struct frame fuzz_frame(enum mqtt_packet_type type, uint8_t flags,
                                      const uint8_t *body, size_t len)
{
    return (struct frame){.type = type,
                          .flags = flags,
                          .body = body,
                          .body_len = (uint32_t)len,
                          .total_len = (uint32_t)len + 2};
}

/* The line for any packet is printable, whatever its bytes, and as long as it says. */
static inline void fuzz_dump(const struct frame *frame, enum mqtt_version version)
{
    char line[256];
    size_t len = mqtt_dump(line, sizeof(line), frame, version);

    ASSERT(len < sizeof(line) && line[len] == '\0');
    for (size_t i = 0; i < len; i++)
        ASSERT(line[i] >= 0x20 && line[i] <= 0x7E);
}

/* A validated block can be walked to its end, and what is forwarded of it is valid again. */
static inline void fuzz_props(const struct mqtt_props *props)
{
    struct span raw = props->raw;
    struct property_view view;
    uint64_t seen = 0;
    uint32_t total = 0;

    while (props_next(&raw, &view)) {
        ASSERT(view.encoded.len > 0);
        seen |= (uint64_t)1 << view.id;
        total += view.encoded.len;
    }
    ASSERT(seen == props->present && total == props->raw.len);
}

static inline void fuzz_same_props(const struct mqtt_props *a, const struct mqtt_props *b)
{
    ASSERT(a->present == b->present && a->raw.len == b->raw.len);
}

#endif
