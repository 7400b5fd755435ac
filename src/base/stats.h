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
#define STAT(name, kind, unit, metric, help) STAT_##name,
#include "base/stats.def"
    STAT_ID_COUNT
};

enum stat_kind { STAT_KIND_COUNTER, STAT_KIND_GAUGE };

struct stat_info {
    const char *name, *unit, *help;
    const char *metric;        /* in the Prometheus exposition, without the prefix */
    const char *label, *value; /* of the series; NULL when the metric has only this one */
    enum stat_kind kind;
};

extern const struct stat_info stat_infos[STAT_ID_COUNT];

/* The help of a metric that has several series: what they are together. NULL for any other. */
const char *stats_metric_help(const char *metric);

/* ---- how long things take ----
 *
 * Bucket n counts what took more than 2^(n-1) and at most 2^n microseconds, the first everything up to
 * one microsecond and the last everything longer than the last but one (8.4 seconds). */
enum stat_histogram_id {
#define STAT_HISTOGRAM(name, metric, help) STAT_HISTOGRAM_##name,
#include "base/stats.def"
    STAT_HISTOGRAM_COUNT
};

#define STAT_BUCKETS 25u

struct stat_histogram_info {
    const char *name, *metric, *help;
};

extern const struct stat_histogram_info stat_histogram_infos[STAT_HISTOGRAM_COUNT];

struct stat_histogram {
    _Atomic int64_t buckets[STAT_BUCKETS];
    _Atomic int64_t sum_ns;
};

struct shard_stats {
    _Alignas(CACHE_LINE) _Atomic int64_t values[STAT_ID_COUNT];
    struct stat_histogram histograms[STAT_HISTOGRAM_COUNT];
};

/* A plain copy: what a reader works with. */
struct stat_histogram_snapshot {
    int64_t buckets[STAT_BUCKETS];
    int64_t sum_ns;
};

struct stats_snapshot {
    int64_t values[STAT_ID_COUNT];
    struct stat_histogram_snapshot histograms[STAT_HISTOGRAM_COUNT];
};

static inline void stat_add(_Atomic int64_t *value, int64_t n)
{
    atomic_store_explicit(value, atomic_load_explicit(value, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

#define STAT_ADD(stats, name, n) stat_add(&(stats)->values[STAT_##name], (int64_t)(n))
#define STAT_INC(stats, name)    STAT_ADD(stats, name, 1)
#define STAT_DEC(stats, name)    STAT_ADD(stats, name, -1)

static inline unsigned stat_bucket(uint64_t ns)
{
    uint64_t us = ns == 0 ? 0 : (ns - 1) / 1000u;
    unsigned bucket = us == 0 ? 0 : 64u - (unsigned)__builtin_clzll(us);

    return bucket < STAT_BUCKETS ? bucket : STAT_BUCKETS - 1;
}

/* What the bucket counts at most, in microseconds; 0 for the last one, which has no bound. */
static inline uint64_t stat_bucket_bound_us(unsigned bucket)
{
    return bucket == STAT_BUCKETS - 1 ? 0 : (uint64_t)1 << bucket;
}

/* `count` things took `ns` each. */
static inline void stat_took(struct stat_histogram *histogram, uint64_t ns, uint32_t count)
{
    stat_add(&histogram->buckets[stat_bucket(ns)], count);
    stat_add(&histogram->sum_ns, (int64_t)(ns * count));
}

#define STAT_TOOK(stats, name, ns, count)                                                          \
    stat_took(&(stats)->histograms[STAT_HISTOGRAM_##name], ns, count)

/* Adds the counters of one shard to `sum`. */
void stats_sum(struct stats_snapshot *sum, const struct shard_stats *shard);

/* Adds one picture to another. */
void stats_add(struct stats_snapshot *sum, const struct stats_snapshot *one);

/* How many things a histogram counted. */
int64_t stats_histogram_count(const struct stat_histogram_snapshot *histogram);

/* What the fraction `quantile` of the things took at most, in microseconds: the bound of the bucket in which
 * the last of them is, and of the last that has one when it is behind that. 0 when there was none. */
int64_t stats_histogram_quantile_us(const struct stat_histogram_snapshot *histogram,
                                    double quantile);

/* The sum of all drop_* counters: NanoMQ's message_drop. */
int64_t stats_message_drop(const struct stats_snapshot *sum);

/* delivery_queued + delivery_sending + delivery_held. */
int64_t stats_delivery_pending(const struct stats_snapshot *sum);

#endif
