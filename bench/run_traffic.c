/* SPDX-License-Identifier: MIT
 *
 * run_traffic - the phases of a run with messages, and its report.
 */
#include <stdio.h>
#include <sys/prctl.h>

#include "base/mem.h"
#include "bench/bench.h"
#include "bench/broker_cost.h"
#include "bench/run.h"

/* After the last expected message: time for duplicates that should not come, a part of the timeout. */
#define SETTLE_SHARE 0.01

/* All counters at one moment. */
struct snapshot {
    uint64_t at_ns, sent, received, copies, broker_cpu_ns, tool_cpu_ns;
};

struct run {
    struct load load;
    struct monitor monitor;
    struct traffic traffic;
    struct snapshot begin, end;
    uint64_t connect_ns;
};

static uint64_t sum(const struct traffic *traffic, size_t counter)
{
    uint64_t total = 0;

    for (uint32_t i = 0; i < traffic->worker_count; i++) {
        const char *tally = (const char *)&traffic->workers[i].tally;

        total += tally_get((const _Atomic uint64_t *)(const void *)(tally + counter));
    }
    return total;
}

#define SUM(traffic, member) sum(traffic, offsetof(struct tally, member))

static uint64_t tool_cpu_ns(void)
{
    struct timespec used;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * NANOSECONDS + (uint64_t)used.tv_nsec;
}

static void take_snapshot(struct run *run, struct snapshot *out)
{
    out->broker_cpu_ns = broker_cpu_ns(run->load.options->broker_pid);
    out->at_ns = now_ns();
    out->sent = SUM(&run->traffic, sent);
    out->received = SUM(&run->traffic, received);
    out->copies = SUM(&run->traffic, copies);
    out->tool_cpu_ns = tool_cpu_ns();
}

static uint64_t count_ready(void *argument)
{
    return SUM(&((struct run *)argument)->traffic, ready);
}

static uint64_t count_received(void *argument)
{
    return SUM(&((struct run *)argument)->traffic, received);
}

static bool all_ready(void *argument)
{
    const struct traffic *traffic = &((struct run *)argument)->traffic;

    return SUM(traffic, ready) == traffic->publisher_count + traffic->subscriber_count;
}

static bool all_done(void *argument)
{
    const struct traffic *traffic = &((struct run *)argument)->traffic;

    return traffic_outstanding(traffic, false) == 0 && SUM(traffic, unfinished) == 0;
}

/* Runs a phase for its time; false when the run is over. */
static bool spend(struct run *run, enum load_phase phase, double seconds)
{
    struct worker *worker = &run->traffic.workers[0];

    load_set_phase(&run->load, phase);
    run_until(worker, NULL, NULL, NULL, now_ns() + (uint64_t)(seconds * (double)NANOSECONDS));
    return load_failure(&run->load) == NULL && !load_interrupted();
}

static void go_through_phases(struct run *run)
{
    struct worker *worker = &run->traffic.workers[0];
    const struct bench_options *options = run->load.options;
    uint64_t start_ns = now_ns();

    if (!run_until(worker, all_ready, run, count_ready, 0)) {
        load_fail(&run->load, "only %llu of %u clients became ready",
                  (unsigned long long)count_ready(run),
                  run->traffic.publisher_count + run->traffic.subscriber_count);
        return;
    }
    run->connect_ns = now_ns() - start_ns;
    traffic_pace(&run->traffic, now_ns());
    if (spend(run, PHASE_WARMUP, options->warmup_s)) {
        take_snapshot(run, &run->begin);
        spend(run, PHASE_MEASURE, options->duration_s);
        take_snapshot(run, &run->end);
    }
    load_forget_interrupt(); /* it ended the measuring; what is under way is still waited for */
    load_set_phase(&run->load, PHASE_DRAIN);
    run_until(worker, all_done, run, count_received, 0);
    run_until(worker, NULL, NULL, NULL,
              now_ns() + (uint64_t)(options->timeout_s * SETTLE_SHARE * (double)NANOSECONDS));
}

static void report_cost(struct run *run, struct report *report)
{
    double cpu_ns = (double)(run->end.broker_cpu_ns - run->begin.broker_cpu_ns);
    double wall_ns = (double)(run->end.at_ns - run->begin.at_ns);
    double deliveries =
        (double)(run->end.received - run->begin.received + run->end.copies - run->begin.copies);
    double distinct = (double)(run->end.received - run->begin.received);
    double sent = (double)(run->end.sent - run->begin.sent);

    if (run->load.options->broker_pid == 0 || cpu_ns <= 0) {
        return;
    }
    report_number(report, "broker_cpu_percent", "broker's CPU", 100 * cpu_ns / wall_ns, "% of one");
    report_number(report, "deliveries_per_cpu_s", "deliveries per CPU second",
                  deliveries * (double)NANOSECONDS / cpu_ns, "/s");
    report_number(report, "distinct_per_cpu_s", "distinct ones per CPU second",
                  distinct * (double)NANOSECONDS / cpu_ns, "/s");
    if (sent > 0) {
        report_number(report, "broker_cpu_us_per_message", "broker's CPU per message sent",
                      cpu_ns / (double)NANOSECONDS_PER_US / sent, "us");
    }
    if (distinct > 0) {
        report_number(report, "broker_cpu_us_per_delivery", "broker's CPU per delivery",
                      cpu_ns / (double)NANOSECONDS_PER_US / distinct, "us");
    }
}

static void report_rates(struct run *run, struct report *report)
{
    double seconds = (double)(run->end.at_ns - run->begin.at_ns) / (double)NANOSECONDS;
    double distinct = (double)(run->end.received - run->begin.received);
    double copies = (double)(run->end.copies - run->begin.copies);

    if (seconds <= 0) {
        return;
    }
    report_number(report, "measured_s", "measured", seconds, "s");
    report_number(report, "messages_per_s", "sent",
                  (double)(run->end.sent - run->begin.sent) / seconds, "msg/s");
    report_number(report, "deliveries_per_s", "delivered", (distinct + copies) / seconds, "msg/s");
    report_number(report, "distinct_per_s", "delivered, distinct ones", distinct / seconds,
                  "msg/s");
    report_cost(run, report);
    report_number(report, "tool_cpu_percent", "tool's CPU",
                  100 * (double)(run->end.tool_cpu_ns - run->begin.tool_cpu_ns) /
                      (double)NANOSECONDS / seconds,
                  "% of one");
}

static void report_setting(struct run *run, struct report *report)
{
    const struct bench_options *options = run->load.options;
    const struct traffic *traffic = &run->traffic;

    report_number(report, "qos", "QoS", (double)options->qos, "");
    report_number(report, "payload_bytes", "payload", (double)options->size, "bytes");
    report_number(report, "publishers", "publishers", traffic->publisher_count, "");
    report_number(report, "subscribers", "subscribers", traffic->subscriber_count, "");
    if (traffic->slow_count > 0) {
        report_number(report, "slow_subscribers", "of them slow", traffic->slow_count, "");
        report_number(report, "slow_rate", "a slow one reads", (double)options->slow_rate, "msg/s");
    }
    if (traffic->pace_gap_ns > 0) {
        report_number(report, "rate", "rate asked for",
                      (double)traffic->publisher_count * (double)NANOSECONDS /
                          (double)traffic->pace_gap_ns,
                      "msg/s");
    } else if (traffic->window != UINT64_MAX) {
        report_number(report, "window", "window of each publisher", (double)traffic->window, "");
    }
    if (options->qos > 0) {
        report_number(report, "inflight", "unacknowledged at most", (double)options->inflight, "");
    }
    report_number(report, "connect_s", "connecting took",
                  (double)run->connect_ns / (double)NANOSECONDS, "s");
}

/* Counts over the whole run, warm-up included. Returns a sentence when something is wrong. */
static const char *report_checks(struct run *run, struct report *report, char *text, size_t room)
{
    const struct traffic *traffic = &run->traffic;
    uint64_t lost = traffic_outstanding(traffic, false), duplicates = SUM(traffic, duplicates),
             late = SUM(traffic, late), altered = SUM(traffic, altered);

    report_number(report, "sent", "sent in all", (double)SUM(traffic, sent), "");
    report_number(report, "received", "received in all", (double)SUM(traffic, received), "");
    if (SUM(traffic, copies) > 0) {
        report_number(report, "copies", "for overlapping subscriptions",
                      (double)SUM(traffic, copies), "");
    }
    if (traffic->slow_count > 0) {
        report_number(report, "slow_lacked", "not delivered to slow subscribers",
                      (double)traffic_outstanding(traffic, true), "");
    }
    report_number(report, "lost", "lost", (double)lost, "");
    report_number(report, "duplicated", "duplicated", (double)duplicates, "");
    report_number(report, "reordered", "reordered", (double)late, "");
    report_number(report, "altered", "altered or misdirected", (double)altered, "");
    if (load_failure(&run->load) != NULL) {
        return load_failure(&run->load);
    }
    if (lost + duplicates + late + altered == 0) {
        return SUM(traffic, received) > 0 ? NULL : "not one message arrived";
    }
    snprintf(text, room,
             "%llu messages lost, %llu duplicated, %llu reordered, %llu altered or misdirected",
             (unsigned long long)lost, (unsigned long long)duplicates, (unsigned long long)late,
             (unsigned long long)altered);
    return text;
}

static int finish(struct run *run, const char *name)
{
    struct report report;
    char text[256];
    const char *failure;

    monitor_end(&run->monitor);
    report_init(&report, name, run->load.options, &run->monitor.series);
    report_setting(run, &report);
    report_rates(run, &report);
    report_latency(&report, "latency_us", "latency", run->monitor.latency);
    failure = report_checks(run, &report, text, sizeof(text));
    return report_finish(&report, failure);
}

static void run_threads(struct run *run)
{
    struct traffic *traffic = &run->traffic;

    for (uint32_t i = 1; i < traffic->worker_count; i++) {
        worker_start(&traffic->workers[i]);
    }
    go_through_phases(run);
    load_set_phase(&run->load, PHASE_STOP);
    for (uint32_t i = 1; i < traffic->worker_count; i++) {
        worker_join(&traffic->workers[i]);
    }
}

int run_traffic(const char *name, const struct bench_options *options)
{
    struct run *run = mem_zalloc_aligned(sizeof(*run));
    char error[512];
    int status = BENCH_USAGE;

    prctl(PR_SET_TIMERSLACK, 1ul, 0, 0, 0);
    if (!load_init(&run->load, options, traffic_connections(options), error, sizeof(error)) ||
        !traffic_build(&run->traffic, &run->load, error, sizeof(error)) ||
        !run_watch(&run->monitor, &run->load, name, run->traffic.workers, run->traffic.worker_count,
                   error, sizeof(error))) {
        run_refuse(error);
    } else {
        run_threads(run);
        status = finish(run, name);
    }
    monitor_fini(&run->monitor);
    traffic_fini(&run->traffic);
    load_fini(&run->load);
    mem_free(run);
    return status;
}
