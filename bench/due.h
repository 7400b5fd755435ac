/* SPDX-License-Identifier: MIT
 *
 * due - which of many is to be served next: a binary heap of (time, index).
 */
#ifndef SHARDMQ_BENCH_DUE_H
#define SHARDMQ_BENCH_DUE_H

#include <stdint.h>

struct due_entry {
    uint64_t at_ns;
    uint32_t index;
};

/* Touched by one thread only. Zeroed is a valid start. */
struct due {
    struct due_entry *entries; /* owned; the earliest first */
    uint32_t count, room;
};

void due_add(struct due *due, uint64_t at_ns, uint32_t index);

/* Takes the earliest out; count must not be 0. */
struct due_entry due_take(struct due *due);

/* When the earliest is due; UINT64_MAX when there is none. */
static inline uint64_t due_next(const struct due *due)
{
    return due->count > 0 ? due->entries[0].at_ns : UINT64_MAX;
}

void due_fini(struct due *due);

#endif
