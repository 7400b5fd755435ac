/* SPDX-License-Identifier: MIT
 *
 * run_idle - what an idle connection with one subscription costs: memory of the broker and of the
 * kernel, and the CPU time of a broker that has nothing to do.
 *
 * The kernel's figures are for the whole machine and, with the broker on this machine, for both
 * ends of each connection.
 */
#include <stdio.h>

#include "base/mem.h"
#include "bench/bench.h"
#include "bench/broker_cost.h"
#include "bench/run.h"
#include "bench/run_topics.h"

#define BYTES_PER_KIB 1024.0

struct idle_run {
    struct lone_run lone;
    struct run_topics topics;
    struct memory_cost before, after;
    uint64_t connect_ns, hold_cpu_ns, hold_ns;
};

static void on_ready(struct actor *actor)
{
    histogram_add(actor->worker->latency, actor->worker->now_ns - actor->client.opened_ns);
}

static void on_closed(struct actor *actor, const char *why)
{
    if (why != NULL) {
        load_fail(actor->worker->load, "connection %u: %s", actor->number, why);
    }
}

static const struct actor_events idle_events = {.ready = on_ready, .closed = on_closed};

static uint64_t count_ready(void *argument)
{
    return tally_get(&((struct idle_run *)argument)->lone.worker.tally.ready);
}

static bool all_ready(void *argument)
{
    return count_ready(argument) == ((struct idle_run *)argument)->lone.worker.actor_count;
}

static void wait_seconds(struct idle_run *run, double seconds)
{
    run_until(&run->lone.worker, NULL, NULL, NULL,
              now_ns() + (uint64_t)(seconds * (double)NANOSECONDS));
}

static void go_through_phases(struct idle_run *run)
{
    const struct bench_options *options = run->lone.load.options;
    uint64_t start_ns = now_ns(), cpu_ns;

    memory_cost_read(options->broker_pid, &run->before);
    if (!run_until(&run->lone.worker, all_ready, run, count_ready, 0)) {
        load_fail(&run->lone.load, "only %llu of %u connections became ready",
                  (unsigned long long)count_ready(run), run->lone.worker.actor_count);
        return;
    }
    run->connect_ns = now_ns() - start_ns;
    load_set_phase(&run->lone.load, PHASE_WARMUP);
    wait_seconds(run, options->warmup_s);
    load_set_phase(&run->lone.load, PHASE_MEASURE);
    cpu_ns = broker_cpu_ns(options->broker_pid);
    start_ns = now_ns();
    wait_seconds(run, options->duration_s);
    run->hold_ns = now_ns() - start_ns;
    run->hold_cpu_ns = broker_cpu_ns(options->broker_pid) - cpu_ns;
    memory_cost_read(options->broker_pid, &run->after);
}

static void report_memory(struct idle_run *run, struct report *report)
{
    double count = run->lone.worker.actor_count;
    const struct memory_cost *before = &run->before, *after = &run->after;

    if (after->resident_kib > 0) {
        report_number(report, "resident_bytes_per_connection", "broker's resident memory each",
                      (double)(after->resident_kib - before->resident_kib) * BYTES_PER_KIB / count,
                      "bytes");
        report_number(report, "anonymous_bytes_per_connection", "of it anonymous (its own)",
                      (double)(after->anonymous_kib - before->anonymous_kib) * BYTES_PER_KIB /
                          count,
                      "bytes");
        report_number(report, "broker_resident_kib", "broker's resident memory in all",
                      (double)after->resident_kib, "KiB");
        report_number(
            report, "hold_cpu_ms_per_s", "broker's CPU while idle",
            run->hold_ns == 0 ? 0 : (double)run->hold_cpu_ns * 1000 / (double)run->hold_ns, "ms/s");
    }
    report_number(report, "kernel_slab_bytes_per_connection", "kernel objects each, both ends",
                  (double)(after->slab_kib - before->slab_kib) * BYTES_PER_KIB / count, "bytes");
    report_number(report, "kernel_socket_bytes_per_connection", "socket buffers each, both ends",
                  (double)(after->sockets_kib - before->sockets_kib) * BYTES_PER_KIB / count,
                  "bytes");
}

static int finish(struct idle_run *run, const char *name)
{
    struct report report;

    monitor_end(&run->lone.monitor);
    report_init(&report, name, run->lone.load.options, &run->lone.monitor.series);
    report_number(&report, "connections", "connections", (double)count_ready(run), "");
    report_number(&report, "connect_s", "connecting took",
                  (double)run->connect_ns / (double)NANOSECONDS, "s");
    report_latency(&report, "latency_us",
                   run->lone.load.options->subscribe ? "until SUBACK" : "until CONNACK",
                   run->lone.worker.latency);
    if (all_ready(run)) {
        report_memory(run, &report);
    }
    return report_finish(&report, load_failure(&run->lone.load));
}

int run_idle(const char *name, const struct bench_options *options)
{
    struct idle_run *run = mem_zalloc_aligned(sizeof(*run));
    int status;

    if (!lone_run_begin(&run->lone, name, options)) {
        mem_free(run);
        return BENCH_USAGE;
    }
    run_topics_init(&run->topics, &run->lone.worker, &idle_events, run);
    go_through_phases(run);
    status = finish(run, name);
    lone_run_end(&run->lone);
    run_topics_fini(&run->topics);
    mem_free(run);
    return status;
}
