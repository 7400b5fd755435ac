/* SPDX-License-Identifier: MIT
 *
 * run_connect - how many connections a second a broker opens and ends.
 *
 * A fixed number of connections is under way at a time, each: TCP, CONNECT, CONNACK, DISCONNECT,
 * the broker closes. Then the next one begins, with a new client identifier.
 */
#include <stdio.h>

#include "base/mem.h"
#include "bench/bench.h"
#include "bench/broker_cost.h"
#include "bench/run.h"

/* A broker that does not close after DISCONNECT is waited for so long [MQTT-3.14.4-1]. */
#define CLOSE_WAIT_NS (2 * NANOSECONDS)

struct connect_run {
    struct lone_run lone;
    uint64_t completed, abandoned, resumed;
    uint64_t begin_completed, begin_resumed, begin_cpu_ns, begin_ns;
};

static void on_ready(struct actor *actor)
{
    struct worker *worker = actor->worker;
    struct connect_run *run = actor->owner;

    run->resumed += actor->client.transport != NULL && transport_resumed(actor->client.transport);
    if (load_phase(worker->load) == PHASE_MEASURE) {
        histogram_add(worker->latency, worker->now_ns - actor->client.opened_ns);
    }
    actor_leave(actor, true);
}

static void on_closed(struct actor *actor, const char *why)
{
    struct connect_run *run = actor->owner;

    if (why != NULL) {
        load_fail(&run->lone.load, "connection %u: %s", actor->number, why);
    } else {
        run->completed++;
    }
}

static const struct actor_events connect_events = {.ready = on_ready, .closed = on_closed};

/* Begins the next connection wherever one has ended. */
static void reopen(struct worker *worker)
{
    struct connect_run *run = worker->owner;

    for (uint32_t i = 0; i < worker->opened; i++) {
        struct actor *actor = &worker->actors[i];

        if (actor->client.state == CLIENT_LEAVING &&
            worker->now_ns > actor->client.opened_ns + CLOSE_WAIT_NS) {
            run->abandoned++;
            actor_leave(actor, false);
        }
        if (actor_closed(actor) && load_phase(worker->load) != PHASE_DRAIN &&
            load_failure(worker->load) == NULL) {
            actor->number += worker->actor_count;
            actor_open(actor);
        }
    }
}

static bool all_closed(void *argument)
{
    const struct worker *worker = &((struct connect_run *)argument)->lone.worker;

    for (uint32_t i = 0; i < worker->actor_count; i++) {
        if (!actor_closed(&worker->actors[i])) {
            return false;
        }
    }
    return true;
}

static uint64_t count_completed(void *argument)
{
    return ((struct connect_run *)argument)->completed;
}

/* Loads for `seconds`. A broker that opens nothing for the timeout fails the run. */
static bool spend(struct connect_run *run, enum load_phase phase, double seconds)
{
    uint64_t end_ns = now_ns() + (uint64_t)(seconds * (double)NANOSECONDS);

    load_set_phase(&run->lone.load, phase);
    if (!run_until(&run->lone.worker, NULL, run, count_completed, end_ns) && now_ns() < end_ns &&
        load_failure(&run->lone.load) == NULL && !load_interrupted()) {
        load_fail(&run->lone.load, "no connection was completed for %.0f s",
                  run->lone.load.options->timeout_s);
    }
    return load_failure(&run->lone.load) == NULL && !load_interrupted();
}

static int finish(struct connect_run *run, uint64_t end_ns, uint64_t end_cpu_ns, const char *name)
{
    struct report report;
    double seconds = (double)(end_ns - run->begin_ns) / (double)NANOSECONDS;
    double count = (double)(run->completed - run->begin_completed);
    double cpu_us = (double)(end_cpu_ns - run->begin_cpu_ns) / (double)NANOSECONDS_PER_US;

    monitor_end(&run->lone.monitor);
    report_init(&report, name, run->lone.load.options, &run->lone.monitor.series);
    report_number(&report, "parallel", "connections at a time", run->lone.worker.actor_count, "");
    report_number(&report, "measured_s", "measured", seconds, "s");
    report_number(&report, "connections", "connections", count, "");
    report_number(&report, "connections_per_s", "rate", seconds > 0 ? count / seconds : 0, "/s");
    if (cpu_us > 0 && count > 0) {
        report_number(&report, "broker_cpu_us_per_connection", "broker's CPU per connection",
                      cpu_us / count, "us");
        report_number(&report, "broker_cpu_percent", "broker's CPU", cpu_us / 10000 / seconds,
                      "% of one");
    }
    if (run->lone.load.options->resume) {
        report_number(&report, "resumed", "of them resumed a session",
                      (double)(run->resumed - run->begin_resumed), "");
        if (run->resumed - run->begin_resumed < (run->completed - run->begin_completed) * 9 / 10) {
            load_fail(&run->lone.load, "the broker did not resume the sessions");
        }
    }
    report_number(&report, "not_closed", "not closed by the broker", (double)run->abandoned, "");
    report_latency(&report, "latency_us", "until CONNACK", run->lone.worker.latency);
    return report_finish(&report, load_failure(&run->lone.load) != NULL
                                      ? load_failure(&run->lone.load)
                                  : count > 0 ? NULL
                                              : "not one connection was completed");
}

int run_connect(const char *name, const struct bench_options *options)
{
    struct connect_run *run = mem_zalloc_aligned(sizeof(*run));
    uint32_t count = (uint32_t)options->count;
    int status;

    if (!lone_run_begin(&run->lone, name, options)) {
        mem_free(run);
        return BENCH_USAGE;
    }
    run->lone.worker.owner = run;
    run->lone.worker.on_turn = reopen;
    run->lone.worker.opening_max = count;
    for (uint32_t i = 0; i < count; i++) {
        run->lone.worker.actors[i].number = i;
        run->lone.worker.actors[i].owner = run;
        run->lone.worker.actors[i].events = &connect_events;
    }
    run->begin_ns = now_ns();
    if (spend(run, PHASE_WARMUP, options->warmup_s)) {
        run->begin_completed = run->completed;
        run->begin_resumed = run->resumed;
        run->begin_cpu_ns = broker_cpu_ns(options->broker_pid);
        run->begin_ns = now_ns();
        spend(run, PHASE_MEASURE, options->duration_s);
    }
    status = finish(run, now_ns(), broker_cpu_ns(options->broker_pid), name);
    load_set_phase(&run->lone.load, PHASE_DRAIN);
    run_until(&run->lone.worker, all_closed, run, NULL, now_ns() + CLOSE_WAIT_NS);
    run->lone.worker.on_turn = NULL;
    lone_run_end(&run->lone);
    mem_free(run);
    return status;
}
