/* SPDX-License-Identifier: MIT
 *
 * stats - the counters of stats.def: one private copy per shard, summed by whoever asks.
 *
 * Class: shared. Only the owning thread writes (a plain add: a relaxed load and a relaxed store); any
 * thread may read. A sum over shards is therefore exact at rest and monotonic per counter always.
 */
#ifndef SHARDMQ_BASE_STATS_H
#define SHARDMQ_BASE_STATS_H

#include "base/check.h"

#include <stdatomic.h>
#include <stdint.h>

enum stat_id {
#define STAT(name, kind, unit, help) STAT_##name,
#include "base/stats.def"
#undef STAT
    STAT_ID_COUNT
};

enum stat_kind { STAT_KIND_COUNTER, STAT_KIND_GAUGE };

struct stat_info {
    const char *name, *unit, *help;
    enum stat_kind kind;
};

extern const struct stat_info stat_infos[STAT_ID_COUNT];

struct shard_stats {
    _Alignas(CACHE_LINE) _Atomic int64_t values[STAT_ID_COUNT];
};

/* A plain copy: what a reader works with. */
struct stats_snapshot {
    int64_t values[STAT_ID_COUNT];
};

#define STAT_ADD(stats, name, n)                                                                   \
    atomic_store_explicit(                                                                         \
        &(stats)->values[STAT_##name],                                                             \
        atomic_load_explicit(&(stats)->values[STAT_##name], memory_order_relaxed) + (int64_t)(n),  \
        memory_order_relaxed)
#define STAT_INC(stats, name) STAT_ADD(stats, name, 1)
#define STAT_DEC(stats, name) STAT_ADD(stats, name, -1)

/* Adds the counters of one shard to `sum`. */
void stats_sum(struct stats_snapshot *sum, const struct shard_stats *shard);

/* The sum of all drop_* counters: NanoMQ's message_drop. */
int64_t stats_message_drop(const struct stats_snapshot *sum);

/* delivery_queued + delivery_sending + delivery_held. */
int64_t stats_delivery_pending(const struct stats_snapshot *sum);

#endif
