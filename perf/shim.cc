// SPDX-License-Identifier: MIT
// The only C++ file: Google Benchmark's side of shim.h.
#include "shim.h"

#include <benchmark/benchmark.h>

#include <cstring>
#include <string>
#include <vector>

// What a C case sees of benchmark::State.
struct perf_state {
    benchmark::State *state;
};

extern "C" void perf_case(const char *name, void (*run)(perf_state *, void *), void *argument)
{
    benchmark::RegisterBenchmark(name, [run, argument](benchmark::State &state) {
        perf_state shim{&state};
        run(&shim, argument);
    });
}

extern "C" bool perf_next(perf_state *state)
{
    return state->state->KeepRunning();
}

extern "C" void perf_pause(perf_state *state)
{
    state->state->PauseTiming();
}

extern "C" void perf_resume(perf_state *state)
{
    state->state->ResumeTiming();
}

extern "C" void perf_items(perf_state *state, uint64_t items)
{
    state->state->SetItemsProcessed(static_cast<int64_t>(items));
}

extern "C" void perf_bytes(perf_state *state, uint64_t bytes)
{
    state->state->SetBytesProcessed(static_cast<int64_t>(bytes));
}

extern "C" uint64_t perf_iterations(const perf_state *state)
{
    return static_cast<uint64_t>(state->state->iterations());
}

extern "C" int perf_run(int argc, char **argv)
{
    std::vector<char *> arguments;
    std::string moment = "--benchmark_min_time=0.001";

    for (int i = 0; i < argc; i++)
        arguments.push_back(std::strcmp(argv[i], "--smoke") == 0 ? &moment[0] : argv[i]);
    int count = static_cast<int>(arguments.size());
    benchmark::Initialize(&count, arguments.data());
    if (benchmark::ReportUnrecognizedArguments(count, arguments.data()))
        return 2;
    return benchmark::RunSpecifiedBenchmarks() == 0;
}
