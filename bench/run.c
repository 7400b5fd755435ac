/* SPDX-License-Identifier: MIT
 *
 * run - from the name of a scenario to the function that runs it.
 */
#include "bench/run.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "bench/bench.h"
#include "bench/monitor.h"
#include "bench/payload.h"
#include "bench/scenario.h"

/* What a scenario can be: a kind, and for traffic a pattern. */
enum run_shape {
    SHAPE_PAIRS = 1,
    SHAPE_ALL = 2,
    SHAPE_OVERLAP = 4,
    SHAPE_CONNECT = 8,
    SHAPE_IDLE = 16,
    SHAPE_RETAINED = 32,
    SHAPE_RECONNECT = 64,
};
#define SHAPE_TRAFFIC (SHAPE_PAIRS | SHAPE_ALL | SHAPE_OVERLAP)

#define PACKET_SIZE_MAX 65536u /* that a client of a lone run takes */

typedef int (*run_function)(const char *name, const struct bench_options *options);

/* One row of the table. boot. */
struct run_row {
    const char *kind, *pattern; /* pattern: NULL where there is none */
    enum run_shape shape;
    run_function run;
};

static const struct run_row rows[] = {
    {"traffic", "pairs", SHAPE_PAIRS, run_traffic},
    {"traffic", "all", SHAPE_ALL, run_traffic},
    {"traffic", "overlap", SHAPE_OVERLAP, run_traffic},
    {"connect", NULL, SHAPE_CONNECT, run_connect},
    {"idle", NULL, SHAPE_IDLE, run_idle},
    {"retained", NULL, SHAPE_RETAINED, run_retained},
    {"reconnect", NULL, SHAPE_RECONNECT, run_reconnect},
};

/* Where options that not every scenario knows have a meaning. */
static const struct {
    unsigned index, shapes;
} meanings[] = {
    {OPTION_INDEX_count, SHAPE_CONNECT | SHAPE_IDLE | SHAPE_RETAINED | SHAPE_RECONNECT},
    {OPTION_INDEX_connect_rate, SHAPE_TRAFFIC | SHAPE_IDLE | SHAPE_RECONNECT},
    {OPTION_INDEX_pairs, SHAPE_PAIRS},
    {OPTION_INDEX_publishers, SHAPE_ALL | SHAPE_OVERLAP},
    {OPTION_INDEX_subscribers, SHAPE_ALL | SHAPE_OVERLAP},
    {OPTION_INDEX_shared, SHAPE_ALL},
    {OPTION_INDEX_topics, SHAPE_ALL},
    {OPTION_INDEX_slow_subscribers, SHAPE_ALL},
    {OPTION_INDEX_slow_rate, SHAPE_ALL},
    {OPTION_INDEX_size, SHAPE_TRAFFIC | SHAPE_RETAINED},
    {OPTION_INDEX_rate, SHAPE_TRAFFIC},
    {OPTION_INDEX_window, SHAPE_TRAFFIC},
    {OPTION_INDEX_window_budget, SHAPE_TRAFFIC},
    {OPTION_INDEX_unbounded, SHAPE_TRAFFIC},
    {OPTION_INDEX_inflight, SHAPE_TRAFFIC | SHAPE_RETAINED},
    {OPTION_INDEX_threads, SHAPE_TRAFFIC},
    {OPTION_INDEX_subscribe, SHAPE_IDLE | SHAPE_RECONNECT},
    {OPTION_INDEX_pattern, SHAPE_TRAFFIC},
};

static void print_help(FILE *to)
{
    fprintf(to, "usage: shardmq bench run SCENARIO [options]\n"
                "       shardmq bench run --list          the scenarios, one a line\n"
                "       shardmq bench run --show SCENARIO  the file of one, to make another of\n"
                "\nscenarios, and the name of a file may stand in their place:\n");
    scenario_list(to);
    fputc('\n', to);
    options_help(to, RUN);
    fprintf(to,
            "\nThe exit status is 0 when no message was lost, duplicated, reordered or altered, "
            "1 otherwise,\n2 when the options are wrong.\n");
}

static const struct run_row *find_row(const struct bench_options *options, char *error,
                                      size_t error_size)
{
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        if (strcmp(rows[i].kind, options->kind) == 0 &&
            (rows[i].pattern == NULL || strcmp(rows[i].pattern, options->pattern) == 0)) {
            return &rows[i];
        }
    }
    snprintf(error, error_size,
             "kind = %s with pattern = %s is not known; kinds are traffic (with pattern pairs, all "
             "or overlap), connect, idle, retained and reconnect",
             options->kind, options->pattern);
    return NULL;
}

/* Refuses options that this scenario does not know, and what they cannot be together. */
static bool check(const struct run_row *row, const struct bench_options *options, char *error,
                  size_t error_size)
{
    size_t count;
    const struct option_row *names = options_rows(RUN, &count);
    const char *problem = NULL;

    for (size_t i = 0; i < ARRAY_LENGTH(meanings); i++) {
        if (options->given[meanings[i].index] && !(meanings[i].shapes & row->shape)) {
            snprintf(error, error_size, "--%s has no meaning for a scenario of kind %s%s%s",
                     names[meanings[i].index].name, row->kind,
                     row->pattern != NULL ? ", pattern " : "",
                     row->pattern != NULL ? row->pattern : "");
            return false;
        }
    }
    if (!(row->shape & SHAPE_TRAFFIC) && options->count == 0) {
        problem = "--count is needed: how many connections, or retained messages";
    } else if (options->slow_subscribers > 0 && options->shared != NULL) {
        problem = "slow_subscribers contradicts --shared: a group gives its messages to others";
    } else if (row->shape == SHAPE_ALL && options->slow_subscribers >= options->subscribers) {
        problem = "slow_subscribers: at least one must not be slow, so make --subscribers larger";
    } else if (options->topics > options->publishers && row->shape == SHAPE_ALL) {
        problem = "topics: more than publishers, so that some would stay empty";
    }
    if (problem != NULL) {
        snprintf(error, error_size, "%s", problem);
    }
    return problem == NULL;
}

int run_refuse(const char *error)
{
    fprintf(stderr, "bench run: %s\n", error);
    return BENCH_USAGE;
}

/* Reads the file, then the command line over it. Returns as options_parse(). */
static int read_options(struct scenario_source *source, struct bench_options *options, int argc,
                        char **argv, char *error, size_t error_size)
{
    bool from_file[OPTIONS_COUNT], from_line[OPTIONS_COUNT];
    int parsed;

    options_preset(options, RUN);
    options->argc = argc;
    options->argv = argv;
    if (!scenario_read(source, argv[0], options, error, error_size)) {
        return -1;
    }
    memcpy(from_file, options->given, sizeof(from_file));
    memset(options->given, 0, sizeof(from_file));
    parsed = options_parse(options, RUN, argc - 1, argv + 1, error, error_size);
    if (parsed != 0) {
        return parsed;
    }
    memcpy(from_line, options->given, sizeof(from_line));
    for (size_t i = 0; i < OPTIONS_COUNT; i++) {
        options->given[i] |= from_file[i];
    }
    return scenario_scale(options, from_line, error, error_size) ? 0 : -1;
}

static int run_scenario(int argc, char **argv)
{
    struct scenario_source source;
    struct bench_options options;
    const struct run_row *row = NULL;
    char error[512];
    int status = read_options(&source, &options, argc, argv, error, sizeof(error));

    if (status > 0) {
        print_help(stdout);
        scenario_fini(&source);
        return BENCH_OK;
    }
    if (status == 0) {
        row = find_row(&options, error, sizeof(error));
    }
    if (row == NULL || !check(row, &options, error, sizeof(error)) ||
        !options_check(&options, error, sizeof(error))) {
        status = run_refuse(error);
    } else {
        load_catch_signals();
        status = row->run(source.name, &options);
    }
    scenario_fini(&source);
    return status;
}

static int show(const char *name)
{
    const struct scenario_file *file = name != NULL ? scenario_find(name) : NULL;

    if (file == NULL) {
        return run_refuse("--show takes the name of one of the scenarios of --list");
    }
    fputs(file->text, stdout);
    return BENCH_OK;
}

int run_command(int argc, char **argv)
{
    if (argc > 0 && strcmp(argv[0], "--help") == 0) {
        print_help(stdout);
        return BENCH_OK;
    }
    if (argc > 0 && strcmp(argv[0], "--list") == 0) {
        scenario_list(stdout);
        return BENCH_OK;
    }
    if (argc > 0 && strcmp(argv[0], "--show") == 0) {
        return show(argc > 1 ? argv[1] : NULL);
    }
    if (argc == 0 || argv[0][0] == '-') {
        return run_refuse("which scenario? --list names them, --help explains the options");
    }
    return run_scenario(argc, argv);
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
        if (worker->load->monitor != NULL) {
            monitor_turn(worker->load->monitor, worker->now_ns);
        }
    }
    return true;
}

bool run_watch(struct monitor *monitor, struct load *load, const char *name,
               const struct worker *workers, uint32_t worker_count, char *error, size_t error_size)
{
    const struct monitor_source source = {.name = name,
                                          .sends = true,
                                          .receives = true,
                                          .workers = workers,
                                          .worker_count = worker_count};

    return monitor_init(monitor, load, &source, error, error_size);
}

bool lone_run_begin(struct lone_run *run, const char *name, const struct bench_options *options)
{
    char error[512];

    if (!load_init(&run->load, options, options->count, error, sizeof(error))) {
        load_fini(&run->load);
        run_refuse(error);
        return false;
    }
    worker_init(&run->worker, &run->load, 0, (uint32_t)options->count, PACKET_SIZE_MAX);
    if (!run_watch(&run->monitor, &run->load, name, &run->worker, 1, error, sizeof(error))) {
        lone_run_end(run);
        run_refuse(error);
        return false;
    }
    return true;
}

void lone_run_end(struct lone_run *run)
{
    monitor_fini(&run->monitor);
    worker_fini(&run->worker);
    load_fini(&run->load);
}
