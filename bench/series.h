/* SPDX-License-Identifier: MIT
 *
 * series - what happened in each second of a run: the rows of --csv, the plots of --report, the
 * sparkline of the live view.
 */
#ifndef SHARDMQ_BENCH_SERIES_H
#define SHARDMQ_BENCH_SERIES_H

#include <stddef.h>
#include <stdint.h>

#include "bench/histogram.h"

/* Counters at one moment: they only grow, but for `connected` and `missing`. */
struct totals {
#define TOTAL(name, help) uint64_t name;
#define GAUGE(name, help) uint64_t name;
#include "bench/totals.def"
#undef TOTAL
#undef GAUGE
};

/* The end of one interval. Latencies are those of the interval alone. */
struct sample {
    double at_s, length_s; /* since the run began; of the interval */
    const char *phase;     /* static: "connect", "warmup", "measure", "drain" */
    struct totals totals;
    double sent_rate, received_rate; /* per second */
    uint64_t latency_count, p50_ns, p90_ns, p99_ns, p99_9_ns, max_ns;
    double tool_cpu_percent, broker_cpu_percent; /* of one CPU; the broker's 0 when unknown */
};

/* A day is kept second by second up to SERIES_MAX samples; then each two become one. */
#define SERIES_MAX 14400u

/* Zeroed is a valid start. Touched by one thread only. */
struct series {
    struct sample *samples; /* owned */
    size_t count, room;
    uint32_t pairs;       /* so many samples make one, a power of two; 0: one */
    uint32_t taken;       /* of those that make the next */
    struct totals before; /* totals at the end of the last sample that was added */
    double before_s;      /* its time */
};

/* Adds a sample. Its rates and length are computed here, from the totals of the one before it. */
void series_add(struct series *series, struct sample sample);

/* Frees the samples. */
void series_fini(struct series *series);

/* Sets the latencies of a sample to those of `interval`. */
void sample_set_latency(struct sample *sample, const struct histogram *interval);

#endif
