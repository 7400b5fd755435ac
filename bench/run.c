/* SPDX-License-Identifier: MIT
 *
 * run - the table of scenarios.
 */
#include "bench/run.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "bench/bench.h"
#include "bench/payload.h"

typedef int (*run_function)(const struct scenario *scenario, const struct bench_options *options);

/* One row of the table. boot. */
struct run_row {
    struct scenario scenario;
    run_function run;
};

static const struct run_row rows[] = {
    {{.name = "p2p",
      .help = "each publisher has its own topic and subscriber (--pairs)",
      .pairs = true,
      .publishers = 1,
      .subscribers = 1,
      .window_budget = 20000},
     run_traffic},
    {{.name = "fan-out",
      .help = "one publisher to all subscribers (--subscribers)",
      .publishers = 1,
      .subscribers = 100,
      .window_budget = 1000},
     run_traffic},
    {{.name = "fan-in",
      .help = "all publishers to one subscriber (--publishers)",
      .publishers = 100,
      .subscribers = 1,
      .window_budget = 4000},
     run_traffic},
    {{.name = "shared",
      .help = "all publishers to one shared subscription (--publishers, --subscribers)",
      .group = true,
      .publishers = 10,
      .subscribers = 10,
      .window_budget = 4000},
     run_traffic},
    {{.name = "wildcard",
      .help = "1,000 topics, ten overlapping filters for each subscriber",
      .overlap = true,
      .publishers = 10,
      .subscribers = 10,
      .window_budget = 2000},
     run_traffic},
    {{.name = "paced",
      .help = "p2p over ten pairs at --rate, latency from the intended send time",
      .pairs = true,
      .publishers = 10,
      .subscribers = 10,
      .rate = 10000},
     run_traffic},
    {{.name = "connect",
      .help = "connections opened, acknowledged and ended, --count at a time",
      .publishers = 16},
     run_connect},
    {{.name = "retained",
      .help = "--count retained messages are stored, then delivered to new subscribers",
      .publishers = 50000},
     run_retained},
    {{.name = "idle",
      .help = "--count connections with one subscription each: memory of the broker",
      .publishers = 1000},
     run_idle},
};

static void print_help(FILE *to)
{
    fprintf(to, "usage: shardmq bench run SCENARIO [options]\n\nscenarios:\n");
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        fprintf(to, "  %-10s %s\n", rows[i].scenario.name, rows[i].scenario.help);
    }
    fputc('\n', to);
    options_help(to, RUN);
    fprintf(to,
            "\nThe exit status is 0 when no message was lost, duplicated, reordered or altered, "
            "1 otherwise,\n2 when the options are wrong.\n");
}

static const struct run_row *find_row(const char *name)
{
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        if (strcmp(rows[i].scenario.name, name) == 0) {
            return &rows[i];
        }
    }
    return NULL;
}

int run_refuse(const char *error)
{
    fprintf(stderr, "bench run: %s\n", error);
    return BENCH_USAGE;
}

int run_command(int argc, char **argv)
{
    struct bench_options options;
    const struct run_row *row = argc > 0 ? find_row(argv[0]) : NULL;
    char error[256];
    int parsed;

    if (argc > 0 && strcmp(argv[0], "--help") == 0) {
        print_help(stdout);
        return BENCH_OK;
    }
    if (row == NULL) {
        print_help(stderr);
        return run_refuse(argc > 0 ? "unknown scenario" : "which scenario?");
    }
    options_preset(&options, RUN);
    parsed = options_parse(&options, argc - 1, argv + 1, error, sizeof(error));
    if (parsed > 0) {
        print_help(stdout);
        return BENCH_OK;
    }
    if (parsed < 0 || !options_check(&options, error, sizeof(error))) {
        return run_refuse(error);
    }
    load_catch_signals();
    return row->run(&row->scenario, &options);
}

bool run_until(struct worker *worker, bool (*done)(void *argument), void *argument,
               uint64_t (*progress)(void *argument), uint64_t deadline_ns)
{
    uint64_t last = progress != NULL ? progress(argument) : 0, last_ns = now_ns();
    uint64_t patience_ns = (uint64_t)(worker->load->options->timeout_s * (double)NANOSECONDS);

    while (done == NULL || !done(argument)) {
        if (load_failure(worker->load) != NULL || load_interrupted() ||
            (deadline_ns != 0 && worker->now_ns >= deadline_ns)) {
            return false;
        }
        if (progress != NULL && progress(argument) != last) {
            last = progress(argument);
            last_ns = worker->now_ns;
        }
        if (progress != NULL && worker->now_ns > last_ns + patience_ns) {
            return false;
        }
        if (deadline_ns != 0 && deadline_ns < worker->wake_ns) {
            worker->wake_ns = deadline_ns;
        }
        worker_turn(worker);
    }
    return true;
}
