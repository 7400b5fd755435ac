/* SPDX-License-Identifier: MIT
 *
 * run - the self-contained scenarios of `bench run`.
 */
#ifndef SHARDMQ_BENCH_RUN_H
#define SHARDMQ_BENCH_RUN_H

#include "bench/monitor.h"
#include "bench/report.h"
#include "bench/traffic.h"

/* `bench run ...`: argv[0 .. argc) is what follows the word run. Returns an enum bench_status. */
int run_command(int argc, char **argv);

/* The kinds of scenarios, each from connecting to the report. `options` has been checked. */
int run_traffic(const char *name, const struct bench_options *options);
int run_connect(const char *name, const struct bench_options *options);
int run_retained(const char *name, const struct bench_options *options);
int run_reconnect(const char *name, const struct bench_options *options);
int run_idle(const char *name, const struct bench_options *options);

/* Turns `worker` until done(argument) is true. Returns false when the run failed or was
 * interrupted, or when *progress (if not NULL) did not change for timeout_s, or after deadline_ns
 * (0: none); the last two are no failure of the run yet: load_failure() tells. `done` may be NULL.
 */
bool run_until(struct worker *worker, bool (*done)(void *argument), void *argument,
               uint64_t (*progress)(void *argument), uint64_t deadline_ns);

/* monitor_init() for workers that send and receive. */
bool run_watch(struct monitor *monitor, struct load *load, const char *name,
               const struct worker *workers, uint32_t worker_count, char *error, size_t error_size);

/* A run of one worker on the caller's thread. Owner: that thread; it stays where it is. */
struct lone_run {
    struct load load;
    struct monitor monitor;
    struct worker worker;
};

/* Opens all three, with options->count actors that nobody owns yet. `run` is zeroed. False: why has been printed, and there
 * is nothing to end. */
bool lone_run_begin(struct lone_run *run, const char *name, const struct bench_options *options);
/* Closes what is still open, at once. */
void lone_run_end(struct lone_run *run);

/* Prints why a run could not even start; returns BENCH_USAGE. */
int run_refuse(const char *error);

#endif
