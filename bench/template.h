/* SPDX-License-Identifier: MIT
 *
 * template - a PUBLISH encoded once and sent many times with another number, time and identifier.
 */
#ifndef SHARDMQ_BENCH_TEMPLATE_H
#define SHARDMQ_BENCH_TEMPLATE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "bench/payload.h"

/* boot */
struct template
{
    uint8_t *frame; /* owned */
    uint32_t frame_len, topic_at, topic_len, payload_at, payload_len;
    uint32_t identifier_at; /* 0 with QoS 0 */
    bool stamped;
};

struct template_fields {
    const char *topic;
    unsigned version, qos;
    bool retain;
    const uint8_t *payload; /* NULL: a numbered and stamped one */
    uint32_t payload_len, mark, flow;
};

/* Encodes; false when the packet would be larger than MQTT allows. Freed with template_fini(). */
bool template_init(struct template *template, const struct template_fields *fields);
void template_fini(struct template *template);

/* Copies the packet to `to`, stamped; `identifier` is ignored with QoS 0. Returns the end of it. */
static inline uint8_t *template_write(const struct template *template, uint8_t *to,
                                      uint16_t identifier, uint64_t number, uint64_t sent_ns)
{
    memcpy(to, template->frame, template->frame_len);
    if (template->identifier_at != 0) {
        put_be16(to + template->identifier_at, identifier);
    }
    if (template->stamped) {
        payload_stamp(to + template->payload_at, template->payload_len, number, sent_ns);
    }
    return to + template->frame_len;
}

#endif
