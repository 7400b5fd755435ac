/* SPDX-License-Identifier: MIT
 *
 * filter - one topic filter of a tree with its text and its local subscriptions.
 *
 * Owner: shard. The subscriptions are one array without holes, so that a match can return it as it
 * is. One subscription, the common case, lies in the filter itself; more lie in a block that
 * doubles and halves. From INDEXED_CAPACITY on the block has an index from subscriber to position
 * behind the array (linear probing, twice as many slots as the array), so that 100,000 subscribers
 * of one filter come and go in constant expected time. A filter of 20 characters with one
 * subscriber takes 53 bytes plus its slot (21 to 43 bytes) in the tree's table.
 *
 * Invariants
 *   I1  count == 1: `one` holds; count > 1: `many` holds, and count <= many->capacity
 *   I2  a subscriber stands in the array once
 *   I3  an index has exactly the positions 0 .. count - 1, each reachable from its home slot
 */
#ifndef SHARDMQ_TOPIC_FILTER_H
#define SHARDMQ_TOPIC_FILTER_H

#include "topic/tree.h"

#include <stddef.h>

struct subscriber_block {
    uint32_t capacity;
    uint32_t index_mask; /* 0: no index */
    struct subscription
        entries[]; /* capacity of them, then index_mask + 1 positions + 1 (0: free) */
};

struct topic_filter {
    uint64_t tag; /* topic_filter_tag() */
    union {
        struct subscription one;
        struct subscriber_block *many;
    };
    uint32_t count;
    uint16_t separators; /* levels - 1 */
    uint16_t text_len;
    bool wildcard;
    uint8_t text[];
};

_Static_assert(sizeof(struct subscription) == 16, "four subscriptions to a cache line");
_Static_assert(offsetof(struct topic_filter, text) == 33, "an idle client has one of these");

/* A filter without subscribers; NULL when memory is gone. `text` is valid and at most 65,535 bytes.
 */
struct topic_filter *filter_create(struct span text);
void filter_free(struct topic_filter *filter);

/* The array of `count` subscriptions. */
static inline const struct subscription *filter_entries(const struct topic_filter *filter)
{
    return filter->count > 1 ? filter->many->entries : &filter->one;
}

/* Adds or replaces. */
enum subscribe_result filter_subscribe(struct topic_filter *filter,
                                       const struct subscription *subscription);
/* Removes; false when there was none. */
bool filter_unsubscribe(struct topic_filter *filter, const void *subscriber);

void filter_check(const struct topic_filter *filter);

/* Spreads the bits of a pointer; the index and the merging of results use the low ones. */
static inline uint32_t pointer_hash(const void *pointer)
{
    return (uint32_t)(((uint64_t)(uintptr_t)pointer * 0x9e3779b97f4a7c15u) >> 32);
}

#endif
