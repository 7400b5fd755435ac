/* SPDX-License-Identifier: MIT
 *
 * clients - many equal clients that publish, subscribe or only connect.
 *
 *   connect   clients start at their pace; those that are ready begin to load
 *   warmup    all are ready, or have failed; not measured
 *   measure   for --duration, to --limit, or until interrupted
 *   drain     nothing new; what is not acknowledged yet
 *
 * and the summary.
 */
#include "bench/clients.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/mem.h"
#include "bench/bench.h"
#include "bench/clients_priv.h"
#include "bench/run.h"
#include "bench/totals.h"

#define TOPIC_SIZE      1024u
#define PACKET_EXTRA    2048u
#define PACKET_SIZE_SUB (1u << 24)
#define LEAVE_NS        (2 * NANOSECONDS)

static const char *const command_names[] = {[PUB] = "pub", [SUB] = "sub", [CONN] = "conn"};

static void settle(struct clients_thread *thread, struct loader *loader)
{
    if (!loader->settled) {
        loader->settled = true;
        tally_add(&thread->settled, 1);
    }
}

void clients_on_ready(struct actor *actor)
{
    struct clients_thread *thread = actor->owner;
    struct loader *loader = &thread->loaders[clients_index(actor)];

    settle(thread, loader);
    if (thread->run->load.options->command == CONN) {
        histogram_add(actor->worker->latency, actor->worker->now_ns - actor->client.opened_ns);
    }
}

void clients_on_closed(struct actor *actor, const char *why)
{
    struct clients_thread *thread = actor->owner;
    struct clients_run *run = thread->run;
    struct loader *loader = &thread->loaders[clients_index(actor)];

    if (why == NULL) {
        return;
    }
    if (!atomic_exchange(&run->reason_written, true)) {
        snprintf(run->reason, sizeof(run->reason), "client %u: %s", actor->number, why);
        if (!run->monitor.is_live) {
            printf("disconnected! %s\n", run->reason);
        }
    }
    if (run->load.options->reconnect) {
        return; /* it comes back */
    }
    settle(thread, loader);
    tally_add(&thread->lost, 1);
}

static const struct actor_events conn_events = {.ready = clients_on_ready,
                                                .closed = clients_on_closed};

static void on_turn(struct worker *worker)
{
    struct clients_thread *thread = worker->owner;
    enum load_phase phase = load_phase(worker->load);

    if (worker->load->options->command == PUB && phase < PHASE_DRAIN) {
        clients_publish(thread);
    } else if (worker->load->options->command == PUB) {
        clients_count_unacknowledged(thread);
    }
}

#define SUM(run, member) sum(run, offsetof(struct clients_thread, member))

static uint64_t sum(const struct clients_run *run, size_t offset)
{
    uint64_t total = 0;

    for (uint32_t i = 0; i < run->thread_count; i++) {
        const char *thread = (const char *)&run->threads[i];

        total += tally_get((const _Atomic uint64_t *)(const void *)(thread + offset));
    }
    return total;
}

static void gather(const struct clients_run *run, struct totals *out)
{
    memset(out, 0, sizeof(*out));
    totals_gather(out, run->workers, run->thread_count);
}

static bool limit_reached(const struct clients_run *run)
{
    uint64_t limit = run->load.options->limit;
    struct totals totals;

    if (limit == 0) {
        return false;
    }
    gather(run, &totals);
    return (run->load.options->command == PUB ? totals.sent : totals.received) >= limit;
}

/* True when nobody is left who could do anything. */
static bool all_lost(const struct clients_run *run)
{
    return SUM(run, lost) == run->load.options->count;
}

static bool all_settled(void *argument)
{
    const struct clients_run *run = argument;

    return SUM(run, settled) == run->load.options->count || limit_reached(run);
}

static bool is_over(void *argument)
{
    const struct clients_run *run = argument;

    return limit_reached(run) || all_lost(run);
}

static bool all_acknowledged(void *argument)
{
    return SUM((const struct clients_run *)argument, unacknowledged) == 0;
}

static uint64_t count_settled(void *argument)
{
    return SUM((const struct clients_run *)argument, settled);
}

static uint64_t count_unacknowledged(void *argument)
{
    return SUM((const struct clients_run *)argument, unacknowledged);
}

/* The end of --duration from now; 0: none. */
static uint64_t deadline_in(double seconds)
{
    return seconds > 0 ? now_ns() + (uint64_t)(seconds * (double)NANOSECONDS) : 0;
}

static bool goes_on(struct clients_run *run)
{
    return !load_interrupted() && load_failure(&run->load) == NULL && !is_over(run);
}

static uint64_t count_connected(void *argument)
{
    const struct clients_run *run = argument;
    struct totals totals;

    gather(run, &totals);
    return totals.connected;
}

static bool all_connected(void *argument)
{
    return count_connected(argument) >= ((struct clients_run *)argument)->load.options->count;
}

/* With --reconnect a lost connection is no failure, but a client that does not come back is one. */
static void await_return(struct clients_run *run)
{
    load_forget_interrupt();
    load_set_phase(&run->load, PHASE_DRAIN);
    run_until(&run->workers[0], all_connected, run, count_connected, 0);
    run->away = run->load.options->count - count_connected(run);
}

static void drain(struct clients_run *run)
{
    load_forget_interrupt(); /* it ended the measuring; what is under way is still waited for */
    for (uint32_t i = 0; i < run->thread_count; i++) {
        atomic_store(&run->threads[i].unacknowledged, 1); /* until the thread has counted */
    }
    load_set_phase(&run->load, PHASE_DRAIN);
    run_until(&run->workers[0], all_acknowledged, run, count_unacknowledged, 0);
}

static void go_through_phases(struct clients_run *run)
{
    const struct bench_options *options = run->load.options;
    struct worker *worker = &run->workers[0];
    bool all_began;

    run->start_ns = now_ns();
    if (!run_until(worker, all_settled, run, count_settled, 0) && !load_interrupted() &&
        !options->reconnect) {
        load_fail(&run->load, "only %" PRIu64 " of %" PRIu64 " clients became ready in time",
                  count_settled(run), options->count);
    }
    run->connected_ns = now_ns();
    all_began = !load_interrupted() && !limit_reached(run);
    if (goes_on(run) && options->warmup_s > 0) {
        load_set_phase(&run->load, PHASE_WARMUP);
        run_until(worker, is_over, run, NULL, deadline_in(options->warmup_s));
    }
    gather(run, &run->begin);
    run->begin_ns = now_ns();
    if (goes_on(run)) {
        load_set_phase(&run->load, PHASE_MEASURE);
        run_until(worker, is_over, run, NULL, deadline_in(options->duration_s));
    }
    gather(run, &run->end);
    run->end_ns = now_ns();
    if (options->command == PUB) {
        drain(run);
    }
    if (options->reconnect && all_began && load_failure(&run->load) == NULL &&
        SUM(run, unacknowledged) == 0) {
        await_return(run);
    }
}

static void report_rates(const struct clients_run *run, struct report *report)
{
    double seconds = (double)(run->end_ns - run->begin_ns) / (double)NANOSECONDS;

    report_number(report, "connect_s", "connecting took",
                  (double)(run->connected_ns - run->start_ns) / (double)NANOSECONDS, "s");
    report_number(report, "measured_s", "measured", seconds, "s");
    if (seconds <= 0) {
        return;
    }
    if (run->load.options->command == PUB) {
        report_number(report, "messages_per_s", "sent",
                      (double)(run->end.sent - run->begin.sent) / seconds, "msg/s");
    } else if (run->load.options->command == SUB) {
        report_number(report, "deliveries_per_s", "received",
                      (double)(run->end.received - run->begin.received) / seconds, "msg/s");
    }
}

/* Pairs of publisher and receiver that were checked; the threads have ended. */
static double count_flows(const struct clients_run *run)
{
    double count = 0;

    for (uint32_t i = 0; i < run->thread_count; i++) {
        count += run->threads[i].flows.count;
    }
    return count;
}

static void report_counts(const struct clients_run *run, struct report *report,
                          const struct totals *totals)
{
    report_number(report, "connections", "connections made", (double)totals->connects, "");
    report_number(report, "disconnects", "connections lost", (double)totals->disconnects, "");
    if (run->load.options->command == PUB) {
        report_number(report, "sent", "sent in all", (double)totals->sent, "");
        if (run->load.options->qos > 0) {
            report_number(report, "unacknowledged", "not acknowledged",
                          (double)SUM(run, unacknowledged), "");
        }
    } else if (run->load.options->command == SUB) {
        report_number(report, "received", "received in all", (double)totals->received, "");
        report_number(report, "flows", "publishers seen, of each client",
                      count_flows(run) / (double)(run->group ? 1 : run->load.options->count), "");
        report_number(report, "unchecked", "of them not by bench pub, or retained",
                      (double)SUM(run, unchecked), "");
        report_number(report, "lost", "lost", (double)totals->missing, "");
        report_number(report, "duplicated", "duplicated", (double)totals->duplicated, "");
        report_number(report, "reordered", "reordered", (double)totals->reordered, "");
        report_number(report, "altered", "altered", (double)totals->altered, "");
    }
}

/* What is wrong, as a sentence; NULL: nothing. */
static const char *find_failure(struct clients_run *run, const struct totals *totals, char *text,
                                size_t room)
{
    const struct bench_options *options = run->load.options;
    /* at least once: what was sent again after a lost connection may arrive twice */
    uint64_t duplicated = options->reconnect && options->qos == 1 ? 0 : totals->duplicated;
    uint64_t faults = totals->missing + duplicated + totals->reordered + totals->altered;

    if (load_failure(&run->load) != NULL) {
        return load_failure(&run->load);
    }
    if (SUM(run, lost) > 0) {
        snprintf(text, room, "%" PRIu64 " of %" PRIu64 " clients %s; %s", SUM(run, lost),
                 options->count, totals->connects == 0 ? "could not connect" : "were lost",
                 run->reason);
    } else if (run->away > 0) {
        snprintf(text, room, "%" PRIu64 " of %" PRIu64 " clients %s; %s", run->away, options->count,
                 totals->connects == 0 ? "could not connect" : "did not come back", run->reason);
    } else if (options->command == PUB && options->qos > 0 && SUM(run, unacknowledged) > 0) {
        snprintf(text, room, "%" PRIu64 " messages were not acknowledged",
                 SUM(run, unacknowledged));
    } else if (faults > 0) {
        snprintf(text, room,
                 "%" PRIu64 " messages lost, %" PRIu64 " duplicated, %" PRIu64
                 " reordered, %" PRIu64 " altered",
                 totals->missing, duplicated, totals->reordered, totals->altered);
    } else {
        return NULL;
    }
    return text;
}

static int finish(struct clients_run *run)
{
    const struct bench_options *options = run->load.options;
    struct report report;
    struct totals totals;
    char text[512];

    gather(run, &totals);
    report_init(&report, command_names[options->command], options, &run->monitor.series);
    report_number(&report, "clients", "clients", (double)options->count, "");
    if (options->command != CONN) {
        report_number(&report, "qos", "QoS", (double)options->qos, "");
    }
    if (options->command == PUB) {
        report_number(&report, "payload_bytes", "payload",
                      options->payload != NULL ? run->text.len : (double)options->size, "bytes");
        if (options->rate > 0) {
            report_number(&report, "rate", "rate asked for", (double)options->rate, "msg/s");
        }
    }
    report_rates(run, &report);
    report_latency(&report, "latency_us",
                   options->command == CONN  ? "until CONNACK"
                   : options->command == PUB ? "until acknowledged"
                                             : "latency",
                   run->monitor.latency);
    report_counts(run, &report, &totals);
    return report_finish(&report, find_failure(run, &totals, text, sizeof(text)));
}

/* Makes what a publisher sends. */
static bool prepare_message(struct clients_run *run, struct loader *loader, uint32_t number,
                            const char *identifier)
{
    const struct bench_options *options = run->load.options;
    struct template_fields fields = {.topic = loader->topic,
                                     .version = (unsigned)options->version,
                                     .qos = (unsigned)options->qos,
                                     .retain = options->retain,
                                     .payload_len = (uint32_t)options->size,
                                     .mark = PAYLOAD_MARK,
                                     .flow = run->flow_base + number};

    if (options->payload != NULL) {
        message_text_expand(&loader->text, &run->text, number, identifier, options->username);
        fields.payload = (const uint8_t *)loader->text.bytes;
        fields.payload_len = loader->text.is_dynamic ? 0 : loader->text.len;
    }
    return template_init(&loader->template, &fields);
}

/* Gives one client its number, topic and messages. */
static bool prepare_client(struct clients_thread *thread, uint32_t index, char *error,
                           size_t error_size)
{
    struct clients_run *run = thread->run;
    const struct bench_options *options = run->load.options;
    struct actor *actor = &thread->worker->actors[index];
    struct loader *loader = &thread->loaders[index];
    char identifier[TOPIC_SIZE], topic[TOPIC_SIZE], filter[2 * TOPIC_SIZE];

    actor->number =
        (uint32_t)options->start_number + index * run->thread_count + thread->worker->index;
    actor->owner = thread;
    actor->events = options->command == PUB   ? &clients_pub_events
                    : options->command == SUB ? &clients_sub_events
                                              : &conn_events;
    if (options->command == CONN) {
        return true;
    }
    identifier[actor_client_identifier(actor, identifier, sizeof(identifier))] = '\0';
    if (!message_topic(topic, sizeof(topic), options->topic, actor->number, identifier,
                       options->username)) {
        snprintf(error, error_size, "--topic is longer than %u bytes", TOPIC_SIZE - 1);
        return false;
    }
    snprintf(filter, sizeof(filter), "%s%s%s%s", options->shared != NULL ? "$share/" : "",
             options->shared != NULL ? options->shared : "", options->shared != NULL ? "/" : "",
             topic);
    loader->topic = mem_strdup(options->command == SUB ? filter : topic);
    loader->filters[0] = loader->topic;
    if (options->command == SUB) {
        actor->filters = loader->filters;
        actor->filter_count = 1;
        return true;
    }
    if (strpbrk(topic, "+#") != NULL) {
        snprintf(error, error_size,
                 "--topic: the user name makes it \"%.100s\", which no message "
                 "can be published to",
                 topic);
        return false;
    }
    if (thread->identifiers > 0) {
        loader->awaited_since = mem_zalloc(thread->identifiers * sizeof(uint64_t));
    }
    if (!prepare_message(run, loader, actor->number, identifier)) {
        snprintf(error, error_size, "the messages would be larger than MQTT allows");
        return false;
    }
    return true;
}

static bool prepare_thread(struct clients_run *run, uint32_t index, char *error, size_t error_size)
{
    const struct bench_options *options = run->load.options;
    struct clients_thread *thread = &run->threads[index];
    struct worker *worker = &run->workers[index];
    uint32_t count = (uint32_t)(options->count + run->thread_count - 1 - index) / run->thread_count;
    /* the first text is as large as any but for the client's own values */
    uint32_t size = options->payload != NULL ? message_text_room(&run->text) + TOPIC_SIZE
                                             : (uint32_t)options->size;

    worker_init(worker, &run->load, index, count,
                options->command == PUB ? size + PACKET_EXTRA : PACKET_SIZE_SUB);
    worker->owner = thread;
    worker->on_turn = on_turn;
    if (options->connect_rate == 0) {
        worker->open_interval_ns = options->interval_ms * NANOSECONDS_PER_MS * run->thread_count;
        worker->open_next_ns = worker->now_ns + options->interval_ms * NANOSECONDS_PER_MS * index;
    }
    *thread = (struct clients_thread){.run = run, .worker = worker};
    thread->loaders = mem_zalloc((count + 1) * sizeof(struct loader));
    if (options->command == PUB && options->qos > 0) {
        /* as many as the window has (client/window.h) */
        thread->identifiers = 2;
        while (thread->identifiers < 2 * options->inflight) {
            thread->identifiers *= 2;
        }
    }
    thread->stalled = mem_alloc((count + 1) * sizeof(uint32_t));
    thread->payload = mem_alloc(size + PACKET_EXTRA);
    for (uint32_t i = 0; i < count; i++) {
        if (!prepare_client(thread, i, error, error_size)) {
            return false;
        }
    }
    return true;
}

static bool prepare(struct clients_run *run, char *error, size_t error_size)
{
    const struct bench_options *options = run->load.options;

    if (options->payload != NULL &&
        !message_text_load(&run->text, options->payload, error, error_size)) {
        return false;
    }
    if (getrandom(&run->flow_base, sizeof(run->flow_base), 0) != sizeof(run->flow_base)) {
        run->flow_base = (uint32_t)now_ns();
    }
    run->gap_ns = options->rate > 0 ? options->count * NANOSECONDS / options->rate
                                    : options->message_interval_ms * NANOSECONDS_PER_MS;
    run->group = options->shared != NULL ||
                 (options->topic != NULL && strncmp(options->topic, "$share/", 7) == 0);
    run->thread_count = (uint32_t)options->threads;
    run->threads = mem_zalloc_aligned(run->thread_count * sizeof(*run->threads));
    run->workers = mem_zalloc_aligned(run->thread_count * sizeof(*run->workers));
    clients_sub_setup();
    for (uint32_t i = 0; i < run->thread_count; i++) {
        if (!prepare_thread(run, i, error, error_size)) {
            run->thread_count = i + 1; /* so many are to be freed */
            return false;
        }
    }
    return true;
}

static void release(struct clients_run *run)
{
    monitor_fini(&run->monitor);
    for (uint32_t i = 0; i < run->thread_count && run->threads != NULL; i++) {
        struct clients_thread *thread = &run->threads[i];

        for (uint32_t j = 0; j < thread->worker->actor_count; j++) {
            mem_free(thread->loaders[j].topic);
            mem_free(thread->loaders[j].awaited_since);
            template_fini(&thread->loaders[j].template);
            message_text_fini(&thread->loaders[j].text);
        }
        worker_fini(thread->worker);
        due_fini(&thread->due);
        flows_fini(&thread->flows);
        mem_free(thread->loaders);
        mem_free(thread->stalled);
        mem_free(thread->payload);
    }
    mem_free(run->threads);
    mem_free(run->workers);
    message_text_fini(&run->text);
    load_fini(&run->load);
    mem_free(run);
}

static void run_threads(struct clients_run *run)
{
    for (uint32_t i = 1; i < run->thread_count; i++) {
        worker_start(&run->workers[i]);
    }
    go_through_phases(run);
    load_set_phase(&run->load, PHASE_STOP);
    for (uint32_t i = 1; i < run->thread_count; i++) {
        worker_join(&run->workers[i]);
    }
    monitor_end(&run->monitor);
    for (uint32_t i = 0; i < run->thread_count; i++) {
        worker_leave_all(&run->workers[i], LEAVE_NS);
    }
}

static int run_clients(const struct bench_options *options)
{
    struct clients_run *run = mem_zalloc_aligned(sizeof(*run));
    struct monitor_source source = {.name = command_names[options->command],
                                    .sends = options->command == PUB,
                                    .receives = options->command == SUB};
    char error[512];
    int status = BENCH_USAGE;

    prctl(PR_SET_TIMERSLACK, 1ul, 0, 0, 0);
    run->monitor.exporter.listener = -1;
    if (load_init(&run->load, options, options->count, error, sizeof(error)) &&
        prepare(run, error, sizeof(error))) {
        source.workers = run->workers;
        source.worker_count = run->thread_count;
        if (monitor_init(&run->monitor, &run->load, &source, error, sizeof(error))) {
            run_threads(run);
            status = finish(run);
        }
    }
    if (status == BENCH_USAGE) {
        fprintf(stderr, "bench %s: %s\n", command_names[options->command], error);
    }
    release(run);
    return status;
}

int clients_command(enum bench_command command, int argc, char **argv)
{
    struct bench_options options;
    char error[256];
    int parsed;

    options_preset(&options, command);
    options.argc = argc;
    options.argv = argv;
    parsed = options_parse(&options, command, argc, argv, error, sizeof(error));
    if (parsed > 0) {
        printf("usage: shardmq bench [start] %s [options]\n\n", command_names[command]);
        options_help(stdout, command);
        return BENCH_OK;
    }
    if (parsed < 0 || !options_check(&options, error, sizeof(error))) {
        fprintf(stderr, "bench %s: %s%s\n", command_names[command], error,
                strstr(error, "--help") != NULL ? "" : " (--help lists the options)");
        return BENCH_USAGE;
    }
    load_catch_signals();
    return run_clients(&options);
}
