/* SPDX-License-Identifier: MIT
 *
 * shim - Google Benchmark for cases written in C.
 *
 * A file perf_<name>.c defines perf_register_<name>(), which calls perf_case() once for each of its
 * cases; main.c calls them all. A case looks like this:
 *
 *     static void run_something(struct perf_state *state, void *argument)
 *     {
 *         ... set-up, not measured ...
 *         while (perf_next(state))
 *             perf_keep(something(argument));
 *         perf_items(state, perf_iterations(state));
 *     }
 *
 * The library calls `run` several times, with more iterations each time, until the time is long
 * enough to be believed; set-up and tear-down are part of every call. The loop must be left only when
 * perf_next() says so.
 */
#ifndef SHARDMQ_PERF_SHIM_H
#define SHARDMQ_PERF_SHIM_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct perf_state {
    uint64_t left;       /* iterations that need no look at the clock */
    uint64_t iterations; /* of this call of `run` */
    void *benchmark;     /* the library's state */
};

/* Adds a case. `name` reads like "spsc/batch:16"; both pointers must outlive perf_run(). */
void perf_case(const char *name, void (*run)(struct perf_state *state, void *argument),
               void *argument);

/* The same, timed by the wall clock: for cases whose work is done on several threads. */
void perf_case_wall(const char *name, void (*run)(struct perf_state *state, void *argument),
                    void *argument);

/* perf_next() when the clock must be started or stopped. */
bool perf_next_slow(struct perf_state *state);

/* True while the body of the measured loop is to be run once more. */
static inline bool perf_next(struct perf_state *state)
{
    if (__builtin_expect(state->left > 0, 1)) {
        state->left--;
        return true;
    }
    return perf_next_slow(state);
}

/* How often perf_next() says yes in this call of `run`. */
static inline uint64_t perf_iterations(const struct perf_state *state)
{
    return state->iterations;
}

/* How many things, or bytes, all iterations together have worked on: gives a rate. After the loop. */
void perf_items(struct perf_state *state, uint64_t items);
void perf_bytes(struct perf_state *state, uint64_t bytes);

/* Stops and starts the clock within the loop. Costs some hundred nanoseconds itself. */
void perf_pause(struct perf_state *state);
void perf_resume(struct perf_state *state);

/* Instead of the loop, when this machine cannot run the case: says why, which is no failure. */
void perf_skip(struct perf_state *state, const char *why);

/* The compiler must assume that somebody reads what `pointer` points at, and all other memory. */
static inline void perf_keep(const void *pointer)
{
    __asm__ volatile("" : : "r"(pointer) : "memory");
}

/* Runs the cases as the command line says: the options of Google Benchmark, --benchmark_filter=REGEX
 * first among them, or --smoke, which must come before perf_case() is called, so main() gives the
 * arguments to perf_setup() first. */
void perf_setup(int *argc, char **argv);
int perf_run(void);

#ifdef __cplusplus
}
#endif
#endif
