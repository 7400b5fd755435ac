/* SPDX-License-Identifier: MIT */
#include "base/stats.h"

#include <string.h>

const struct stat_info stat_infos[STAT_ID_COUNT] = {
#define STAT(name, kind, unit, metric, help)                                                       \
    {#name, #unit, help, #metric, NULL, NULL, STAT_KIND_##kind},
#define STAT_BY(name, kind, unit, metric, label, value, help)                                      \
    {#name, #unit, help, #metric, #label, #value, STAT_KIND_##kind},
#include "base/stats.def"
};

const struct stat_histogram_info stat_histogram_infos[STAT_HISTOGRAM_COUNT] = {
#define STAT_HISTOGRAM(name, metric, help) {#name, #metric, help},
#include "base/stats.def"
};

/* No series is there twice: this does not compile when one is. */
struct stat_series_differ {
#define STAT(name, kind, unit, metric, help)                  char metric;
#define STAT_BY(name, kind, unit, metric, label, value, help) char metric##_##label##_##value;
#define STAT_HISTOGRAM(name, metric, help)                    char metric;
#include "base/stats.def"
};

const char *stats_metric_help(const char *metric)
{
    static const struct {
        const char *metric, *help;
    } metrics[] = {
#define STAT_METRIC(metric, help) {#metric, help},
#include "base/stats.def"
    };

    for (unsigned i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++)
        if (strcmp(metrics[i].metric, metric) == 0)
            return metrics[i].help;
    return NULL;
}

static int64_t read_relaxed(const _Atomic int64_t *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

void stats_sum(struct stats_snapshot *sum, const struct shard_stats *shard)
{
    for (unsigned i = 0; i < STAT_ID_COUNT; i++)
        sum->values[i] += read_relaxed(&shard->values[i]);
    for (unsigned i = 0; i < STAT_HISTOGRAM_COUNT; i++) {
        for (unsigned bucket = 0; bucket < STAT_BUCKETS; bucket++)
            sum->histograms[i].buckets[bucket] +=
                read_relaxed(&shard->histograms[i].buckets[bucket]);
        sum->histograms[i].sum_ns += read_relaxed(&shard->histograms[i].sum_ns);
    }
}

void stats_add(struct stats_snapshot *sum, const struct stats_snapshot *one)
{
    for (unsigned i = 0; i < STAT_ID_COUNT; i++)
        sum->values[i] += one->values[i];
    for (unsigned i = 0; i < STAT_HISTOGRAM_COUNT; i++) {
        for (unsigned bucket = 0; bucket < STAT_BUCKETS; bucket++)
            sum->histograms[i].buckets[bucket] += one->histograms[i].buckets[bucket];
        sum->histograms[i].sum_ns += one->histograms[i].sum_ns;
    }
}

int64_t stats_histogram_count(const struct stat_histogram_snapshot *histogram)
{
    int64_t count = 0;

    for (unsigned bucket = 0; bucket < STAT_BUCKETS; bucket++)
        count += histogram->buckets[bucket];
    return count;
}

int64_t stats_histogram_quantile_us(const struct stat_histogram_snapshot *histogram,
                                    double quantile)
{
    double wanted = quantile * (double)stats_histogram_count(histogram);
    int64_t count = 0;
    unsigned bucket = 0;

    if (wanted == 0)
        return 0;
    do
        count += histogram->buckets[bucket++];
    while ((double)count < wanted && bucket < STAT_BUCKETS - 1);
    return (int64_t)stat_bucket_bound_us(bucket - 1);
}

int64_t stats_message_drop(const struct stats_snapshot *sum)
{
    int64_t drops = 0;

    for (unsigned i = 0; i < STAT_ID_COUNT; i++)
        if (strncmp(stat_infos[i].name, "drop_", 5) == 0)
            drops += sum->values[i];
    return drops;
}

int64_t stats_delivery_pending(const struct stats_snapshot *sum)
{
    return sum->values[STAT_delivery_queued] + sum->values[STAT_delivery_sending] +
           sum->values[STAT_delivery_held];
}
