/* SPDX-License-Identifier: MIT
 *
 * span - a view of bytes that somebody else owns. Never NUL-terminated, valid only as long as its owner.
 */
#ifndef SHARDMQ_BASE_SPAN_H
#define SHARDMQ_BASE_SPAN_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct span {
    const uint8_t *data;
    uint32_t len;
};

static inline struct span span_of(const void *data, size_t len)
{
    return (struct span){.data = data, .len = (uint32_t)len};
}

static inline struct span span_text(const char *text)
{
    return span_of(text, strlen(text));
}

static inline bool span_equal(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline bool span_starts_with(struct span a, const char *prefix)
{
    size_t len = strlen(prefix);

    return a.len >= len && memcmp(a.data, prefix, len) == 0;
}

#endif
