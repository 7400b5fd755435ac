/* SPDX-License-Identifier: MIT
 *
 * shim - Google Benchmark for C: a case is a function that loops while perf_next() says so.
 */
#ifndef SHARDMQ_PERF_SHIM_H
#define SHARDMQ_PERF_SHIM_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct perf_state;

/* Registers a case; `name` is copied, `argument` is passed to every run. */
void perf_case(const char *name, void (*run)(struct perf_state *state, void *argument),
               void *argument);

/* One more iteration? The time between two calls is measured. */
bool perf_next(struct perf_state *state);
/* Excludes what happens in between from the measurement. */
void perf_pause(struct perf_state *state);
void perf_resume(struct perf_state *state);

/* After the loop: how many items or bytes the whole run handled, for a rate. */
void perf_items(struct perf_state *state, uint64_t items);
void perf_bytes(struct perf_state *state, uint64_t bytes);
uint64_t perf_iterations(const struct perf_state *state);

/* Keeps the compiler from dropping what was computed at `pointer`. */
static inline void perf_keep(const void *pointer)
{
    __asm__ volatile("" : : "g"(pointer) : "memory");
}

/* Runs all registered cases; the arguments are Google Benchmark's, and --smoke (each case for a moment). */
int perf_run(int argc, char **argv);

#ifdef __cplusplus
}
#endif

#endif
