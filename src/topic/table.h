/* SPDX-License-Identifier: MIT
 *
 * table - an open-addressing hash table from 64-bit hashes to words, the ground under the filters,
 * the tries and the interest of other shards.
 *
 * Owner: shard. The table knows nothing of keys: several entries may have the same hash, and the
 * user compares what the value stands for. Linear probing; removal shifts the entries behind it
 * back, so that there are no tombstones. It doubles at a load of 3/4 and halves below 1/8, each
 * time in one go: an operation that resizes a table of 10^6 entries takes about 20 ms, all others
 * have constant expected time.
 *
 * Invariants
 *   I1  value 0 marks a free slot, and at least a quarter of the slots is free
 *   I2  between the home slot of an entry and the entry itself there is no free slot
 */
#ifndef SHARDMQ_TOPIC_TABLE_H
#define SHARDMQ_TOPIC_TABLE_H

#include "base/span.h"

struct table_slot {
    uint64_t hash;
    uint64_t value; /* a pointer or a mask, never 0 */
};

struct table {
    struct table_slot *slots; /* NULL while nothing was ever stored */
    uint32_t mask;            /* capacity - 1 */
    uint32_t count;
};

/* A pointer as a value, and back. */
static inline uint64_t table_value(const void *pointer)
{
    return (uint64_t)(uintptr_t)pointer;
}

static inline void *table_pointer(const struct table_slot *slot)
{
    return (void *)(uintptr_t)slot->value;
}

/* The first entry with this hash, and the one behind `slot`; NULL when there is no more. */
static inline struct table_slot *table_probe(const struct table *table, uint32_t at, uint64_t hash)
{
    for (;; at++) {
        struct table_slot *slot = &table->slots[at & table->mask];

        if (slot->value == 0)
            return NULL;
        if (slot->hash == hash)
            return slot;
    }
}

static inline struct table_slot *table_first(const struct table *table, uint64_t hash)
{
    return table->slots == NULL ? NULL : table_probe(table, (uint32_t)hash, hash);
}

static inline struct table_slot *table_next(const struct table *table,
                                            const struct table_slot *slot)
{
    return table_probe(table, (uint32_t)(slot - table->slots) + 1, slot->hash);
}

/* Makes room for one more entry. False when memory is gone; the table is then as it was. */
bool table_reserve(struct table *table);

/* Adds an entry; table_reserve() has made room. Moves no other entry. */
void table_insert(struct table *table, uint64_t hash, uint64_t value);

/* Removes the entry in `slot`. May move other entries. */
void table_remove(struct table *table, struct table_slot *slot);

/* Frees the slots; what the values stand for is the user's. */
void table_clear(struct table *table);

void table_check(const struct table *table);

/* The hash of the edge from `parent` to the child for a level with this (keyed) hash: how the tries
 * keep all their edges in one table. */
static inline uint64_t table_edge_hash(const void *parent, uint64_t level_hash)
{
    uint64_t mixed = level_hash + (uint64_t)(uintptr_t)parent * 0x9e3779b97f4a7c15u;

    mixed = (mixed ^ (mixed >> 29)) * 0xbf58476d1ce4e5b9u;
    return mixed ^ (mixed >> 32);
}

#endif
