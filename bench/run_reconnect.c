/* SPDX-License-Identifier: MIT
 *
 * run_reconnect - how long a broker needs to have all its clients back after a network failed.
 *
 *   all connect -> [every connection is reset at the same moment, all connect again] repeated
 *
 * Clients come back with the same identifiers, as fast as the broker takes them or at --connrate;
 * what is measured for each is the time from the reset to its CONNACK, or SUBACK.
 */
#include <stdio.h>

#include "base/mem.h"
#include "bench/bench.h"
#include "bench/broker_cost.h"
#include "bench/run.h"
#include "bench/run_topics.h"

struct reconnect_run {
    struct lone_run lone;
    struct run_topics topics;
    uint64_t cut_ns; /* 0: before the first one */
    uint64_t storms, back_sum_ns, back_most_ns, cpu_ns;
};

static void on_ready(struct actor *actor)
{
    const struct reconnect_run *run = actor->owner;

    if (run->cut_ns > 0) {
        histogram_add(actor->worker->latency, actor->worker->now_ns - run->cut_ns);
    }
}

static void on_closed(struct actor *actor, const char *why)
{
    struct reconnect_run *run = actor->owner;

    if (why != NULL) {
        load_fail(&run->lone.load, "connection %u: %s", actor->number, why);
    }
}

static const struct actor_events reconnect_events = {.ready = on_ready, .closed = on_closed};

static uint64_t count_connected(void *argument)
{
    const struct tally *tally = &((struct reconnect_run *)argument)->lone.worker.tally;

    return tally_get(&tally->ready) - tally_get(&tally->ended);
}

static bool all_connected(void *argument)
{
    return count_connected(argument) == ((struct reconnect_run *)argument)->lone.worker.actor_count;
}

/* One storm. False when the run is over. */
static bool storm(struct reconnect_run *run)
{
    struct worker *worker = &run->lone.worker;
    uint64_t cpu_ns = broker_cpu_ns(run->lone.load.options->broker_pid), back_ns;

    run->cut_ns = now_ns();
    for (uint32_t i = 0; i < worker->actor_count; i++) {
        actor_cut(&worker->actors[i]);
    }
    worker->opened = 0; /* the loop opens them again */
    worker->open_next_ns = 0;
    if (!run_until(worker, all_connected, run, count_connected, 0)) {
        if (!load_interrupted()) {
            load_fail(&run->lone.load, "only %llu of %u clients came back",
                      (unsigned long long)count_connected(run), worker->actor_count);
        }
        return false;
    }
    back_ns = now_ns() - run->cut_ns;
    run->storms++;
    run->back_sum_ns += back_ns;
    run->back_most_ns = back_ns > run->back_most_ns ? back_ns : run->back_most_ns;
    run->cpu_ns += broker_cpu_ns(run->lone.load.options->broker_pid) - cpu_ns;
    return true;
}

static void go_through_phases(struct reconnect_run *run)
{
    const struct bench_options *options = run->lone.load.options;
    uint64_t end_ns;

    if (!run_until(&run->lone.worker, all_connected, run, count_connected, 0)) {
        load_fail(&run->lone.load, "only %llu of %u clients became ready",
                  (unsigned long long)count_connected(run), run->lone.worker.actor_count);
        return;
    }
    load_set_phase(&run->lone.load, PHASE_WARMUP);
    run_until(&run->lone.worker, NULL, NULL, NULL,
              now_ns() + (uint64_t)(options->warmup_s * (double)NANOSECONDS));
    load_set_phase(&run->lone.load, PHASE_MEASURE);
    end_ns = now_ns() + (uint64_t)(options->duration_s * (double)NANOSECONDS);
    while (load_failure(&run->lone.load) == NULL && !load_interrupted() && storm(run) &&
           now_ns() < end_ns) {
    }
    load_set_phase(&run->lone.load, PHASE_DRAIN);
}

static int finish(struct reconnect_run *run, const char *name)
{
    struct report report;
    double count = (double)run->lone.worker.actor_count, storms = (double)run->storms;

    monitor_end(&run->lone.monitor);
    report_init(&report, name, run->lone.load.options, &run->lone.monitor.series);
    report_number(&report, "clients", "clients", count, "");
    report_number(&report, "storms", "times that all lost their connection", storms, "");
    if (run->storms > 0) {
        report_number(&report, "back_mean_s", "until all were back, mean",
                      (double)run->back_sum_ns / storms / (double)NANOSECONDS, "s");
        report_number(&report, "back_max_s", "until all were back, longest",
                      (double)run->back_most_ns / (double)NANOSECONDS, "s");
        report_number(&report, "connections_per_s", "reconnections",
                      count * storms * (double)NANOSECONDS / (double)run->back_sum_ns, "/s");
    }
    if (run->storms > 0 && run->cpu_ns > 0) {
        report_number(&report, "broker_cpu_us_per_connection", "broker's CPU each",
                      (double)run->cpu_ns / storms / count / (double)NANOSECONDS_PER_US, "us");
    }
    report_latency(&report, "latency_us", "from the loss until ready", run->lone.monitor.latency);
    return report_finish(&report, load_failure(&run->lone.load));
}

int run_reconnect(const char *name, const struct bench_options *options)
{
    struct reconnect_run *run = mem_zalloc_aligned(sizeof(*run));
    int status;

    if (!lone_run_begin(&run->lone, name, options)) {
        mem_free(run);
        return BENCH_USAGE;
    }
    run->lone.worker.opening_max = UINT32_MAX;
    run_topics_init(&run->topics, &run->lone.worker, &reconnect_events, run);
    go_through_phases(run);
    status = finish(run, name);
    worker_leave_all(&run->lone.worker, WORKER_LEAVE_NS);
    lone_run_end(&run->lone);
    run_topics_fini(&run->topics);
    mem_free(run);
    return status;
}
