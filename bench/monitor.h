/* SPDX-License-Identifier: MIT
 *
 * monitor - watches a run from its first thread: takes a sample each second, and shows it as the
 * lines that users of such tools know, on the live view, and to Prometheus.
 */
#ifndef SHARDMQ_BENCH_MONITOR_H
#define SHARDMQ_BENCH_MONITOR_H

#include "bench/exporter.h"
#include "bench/load.h"
#include "bench/options.h"
#include "bench/screen.h"
#include "bench/series.h"
#include "bench/worker.h"

/* Where the figures come from. boot. */
struct monitor_source {
    const char *name; /* of the run, static */
    bool sends, receives;
    const struct worker *workers;
    uint32_t worker_count;
};

/* Touched by the first thread only. */
struct monitor {
    const struct bench_options *options;
    struct load *load;
    struct monitor_source source;
    struct series series;
    struct exporter exporter;
    struct histogram *latency, *latency_before, *interval; /* owned; of all threads together */
    struct totals totals, shown; /* newest, and in the lines that were printed last */
    uint64_t start_ns, next_ns, poll_ns, tool_cpu_ns, broker_cpu_ns, cpu_at_ns;
    int screen_lines; /* of the last drawing */
    bool is_live;
};

/* Begins to watch. Returns false with a sentence in `error`; monitor_fini() is due either way. */
bool monitor_init(struct monitor *monitor, struct load *load, const struct monitor_source *source,
                  char *error, size_t error_size);
void monitor_fini(struct monitor *monitor);

/* Call each turn: does something when it is time. */
void monitor_turn(struct monitor *monitor, uint64_t now_ns);

/* At the end of the run: brings `latency` and `totals` up to date, and takes and shows the last
 * sample, when there is more than a moment in it. */
void monitor_end(struct monitor *monitor);

#endif
