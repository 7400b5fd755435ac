/* SPDX-License-Identifier: MIT
 *
 * The only C++ file: Google Benchmark behind the C functions of shim.h.
 */
#include "perf/shim.h"

#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstring>

static bool smoke;
static int cases;

static benchmark::State &state_of(struct perf_state *state)
{
    return *static_cast<benchmark::State *>(state->benchmark);
}

static benchmark::internal::Benchmark *add(const char *name,
                                           void (*run)(struct perf_state *, void *), void *argument)
{
    auto call = [run, argument](benchmark::State &benchmark) {
        struct perf_state state = {0, static_cast<uint64_t>(benchmark.max_iterations), &benchmark};

        run(&state, argument);
    };
    auto *added = benchmark::RegisterBenchmark(name, call);

    cases++;
    if (smoke)
        added->Iterations(1);
    return added;
}

void perf_case(const char *name, void (*run)(struct perf_state *, void *), void *argument)
{
    add(name, run, argument);
}

void perf_case_wall(const char *name, void (*run)(struct perf_state *, void *), void *argument)
{
    add(name, run, argument)->UseRealTime();
}

/* All iterations are taken from the library at once; the second time it stops the clock. */
bool perf_next_slow(struct perf_state *state)
{
    auto all = static_cast<benchmark::IterationCount>(state->iterations);

    if (!state_of(state).KeepRunningBatch(all))
        return false;
    state->left = state->iterations - 1;
    return true;
}

void perf_items(struct perf_state *state, uint64_t items)
{
    state_of(state).SetItemsProcessed(static_cast<int64_t>(items));
}

void perf_bytes(struct perf_state *state, uint64_t bytes)
{
    state_of(state).SetBytesProcessed(static_cast<int64_t>(bytes));
}

void perf_pause(struct perf_state *state)
{
    state_of(state).PauseTiming();
}

void perf_resume(struct perf_state *state)
{
    state_of(state).ResumeTiming();
}

void perf_skip(struct perf_state *state, const char *why)
{
    state_of(state).SetLabel(why);
    while (state_of(state).KeepRunning())
        continue;
}

void perf_setup(int *argc, char **argv)
{
    for (int i = 1; i < *argc; i++) {
        if (std::strcmp(argv[i], "--smoke") != 0)
            continue;
        smoke = true;
        for (int j = i; j + 1 <= *argc; j++)
            argv[j] = argv[j + 1];
        (*argc)--;
        i--;
    }
    benchmark::Initialize(argc, argv);
}

/* Fails when the command line held something unknown or no case was run. */
int perf_run(void)
{
    size_t ran = benchmark::RunSpecifiedBenchmarks();

    if (smoke)
        std::printf("%zu of %d cases ran once\n", ran, cases);
    return ran > 0 ? 0 : 1;
}
