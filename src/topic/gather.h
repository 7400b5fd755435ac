/* SPDX-License-Identifier: MIT
 *
 * gather - makes one array of the subscriptions of several filters, entries of the same subscriber
 * together.
 *
 * Owner: shard. The longest list is copied in order; the others go into a small hash table by
 * subscriber first, and each subscriber of the longest list takes its other entries out of it. So
 * the work is linear, and with one long list and a few short ones the table stays in the
 * first-level cache.
 */
#ifndef SHARDMQ_TOPIC_GATHER_H
#define SHARDMQ_TOPIC_GATHER_H

#include "topic/filter.h"

struct gather {
    void *memory; /* grows to what the largest result needed */
    size_t size;
};

void gather_clear(struct gather *gather);

/* Merges the subscriptions of `filter_count` (at least 2) filters. The array stays valid until the
 * next merge. NULL when memory is gone. */
const struct subscription *gather_merge(struct gather *gather, struct topic_filter *const *filters,
                                        uint32_t filter_count, uint32_t *count_out);

#endif
