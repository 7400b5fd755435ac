/* SPDX-License-Identifier: MIT
 *
 * totals - the tallies of all threads in one, for the monitor.
 */
#ifndef SHARDMQ_BENCH_TOTALS_H
#define SHARDMQ_BENCH_TOTALS_H

#include "bench/series.h"
#include "bench/worker.h"

/* Adds what the workers have counted so far. */
void totals_gather(struct totals *totals, const struct worker *workers, uint32_t count);

/* Adds the latencies that the workers have measured so far. */
void totals_gather_latency(struct histogram *to, const struct worker *workers, uint32_t count);

#endif
