/* SPDX-License-Identifier: MIT
 *
 * run_retained - how fast a new subscriber gets a large number of retained messages.
 *
 *   store all (acknowledged) -> [a new subscriber connects, subscribes, gets all, leaves] repeated
 * until the time is over -> clear all
 *
 * The messages are stored with QoS 1 at least, so that it is known when the broker has them.
 */
#include <stdio.h>

#include "base/mem.h"
#include "bench/bench.h"
#include "bench/broker_cost.h"
#include "bench/run.h"

#define PUBLISHER  0
#define SUBSCRIBER 1

#define TOPIC_DIGITS 7
#define MESSAGES_MAX 9999999u
#define PACKET_EXTRA 1024u

struct retained_run {
    struct load load;
    struct monitor monitor;
    struct worker worker;
    struct template store, clear, *sending; /* sending: NULL when there is nothing to send */
    char filter[512];
    const char *filters[1];
    uint32_t count, sent; /* messages in all, and sent so far of this sweep */
    uint32_t mark;
    struct sequence sequence; /* of the present round */
    uint64_t received, rounds, altered, duplicates;
    uint64_t delivered, spent_ns, spent_cpu_ns; /* over all rounds */
    bool ready[2];
};

static void on_ready(struct actor *actor)
{
    struct retained_run *run = actor->owner;
    uint32_t role = actor == &run->worker.actors[PUBLISHER] ? PUBLISHER : SUBSCRIBER;

    if (role == PUBLISHER) {
    }
    run->ready[role] = true;
}

static void on_closed(struct actor *actor, const char *why)
{
    struct retained_run *run = actor->owner;

    if (why != NULL) {
        load_fail(&run->load, "%s: %s",
                  actor == &run->worker.actors[PUBLISHER] ? "publisher" : "subscriber", why);
    }
}

static void on_message(struct actor *actor, const struct publish_packet *message)
{
    struct retained_run *run = actor->owner;
    struct payload_header header;

    if (!payload_read(message->payload.data, message->payload.len, run->mark, &header) ||
        message->payload.len != run->store.payload_len || header.number >= run->count ||
        !message->retain) {
        run->altered++;
        tally_add(&actor->worker->tally.altered, 1);
    } else if (sequence_accept(&run->sequence, header.number) == SEQUENCE_DUPLICATE) {
        run->duplicates++;
        tally_add(&actor->worker->tally.duplicates, 1);
    } else {
        run->received++;
        tally_add(&actor->worker->tally.received, 1);
    }
}

static const struct actor_events events = {
    .ready = on_ready, .message = on_message, .closed = on_closed};

static void write_digits(uint8_t *last, uint32_t number)
{
    for (int i = 0; i < TOPIC_DIGITS; i++) {
        *last-- = (uint8_t)('0' + number % 10);
        number /= 10;
    }
}

/* Sends the next messages of the sweep, to one topic after the other. */
static void sweep(struct worker *worker)
{
    struct retained_run *run = worker->owner;
    struct actor *actor = &worker->actors[PUBLISHER];
    const struct template *template = run->sending;
    const uint8_t *end = NULL;
    uint8_t *start = template != NULL ? actor_reserve(actor, template->frame_len, &end) : NULL;
    uint8_t *at = start;

    while (at != NULL && run->sent < run->count && end - at >= template->frame_len) {
        uint16_t identifier = actor_identifier(actor, run->load.options->qos == 2 ? 2 : 1);

        if (identifier == 0) {
            break;
        }
        write_digits(template->frame + template->topic_at + template->topic_len - 1, run->sent);
        at = template_write(template, at, identifier, run->sent, worker->now_ns);
        run->sent++;
        tally_add(&worker->tally.sent, 1);
    }
    if (at != start) {
        actor_commit(actor, (uint32_t)(at - start));
    }
}

static bool swept(void *argument)
{
    const struct retained_run *run = argument;

    return run->sent == run->count && run->worker.actors[PUBLISHER].client.mqtt.window.count == 0;
}

static uint64_t count_sent(void *argument)
{
    return ((struct retained_run *)argument)->sent;
}

static uint64_t count_received(void *argument)
{
    return ((struct retained_run *)argument)->received;
}

static bool got_all(void *argument)
{
    const struct retained_run *run = argument;

    return run->received == run->count && run->ready[SUBSCRIBER];
}

static bool publisher_ready(void *argument)
{
    return ((struct retained_run *)argument)->ready[PUBLISHER];
}

/* Stores or clears everything. */
static bool send_all(struct retained_run *run, struct template *template, const char *what)
{
    run->sending = template;
    run->sent = 0;
    if (run_until(&run->worker, swept, run, count_sent, 0)) {
        run->sending = NULL;
        return true;
    }
    load_fail(&run->load, "%s: only %u of %u messages were acknowledged", what,
              run->sent - run->worker.actors[PUBLISHER].client.mqtt.window.count, run->count);
    return false;
}

/* One new subscriber. */
static bool deliver(struct retained_run *run)
{
    struct actor *actor = &run->worker.actors[SUBSCRIBER];
    uint64_t cpu_ns = broker_cpu_ns(run->load.options->broker_pid), start_ns = now_ns();
    bool complete;

    actor->number += 2;
    run->received = 0;
    run->ready[SUBSCRIBER] = false;
    sequence_fini(&run->sequence);
    memset(&run->sequence, 0, sizeof(run->sequence));
    run->worker.now_ns = start_ns;
    actor_open(actor);
    complete = run_until(&run->worker, got_all, run, count_received, 0);
    histogram_add(run->worker.latency, now_ns() - start_ns);
    run->spent_ns += now_ns() - start_ns;
    run->spent_cpu_ns += broker_cpu_ns(run->load.options->broker_pid) - cpu_ns;
    run->delivered += run->received;
    run->rounds++;
    if (!complete && load_failure(&run->load) == NULL) {
        load_fail(&run->load, "only %llu of %u retained messages arrived",
                  (unsigned long long)run->received, run->count);
    }
    actor_leave(actor, false);
    return complete;
}

static bool prepare(struct retained_run *run, char *error, size_t error_size)
{
    const struct bench_options *options = run->load.options;
    struct template_fields fields = {.version = (unsigned)options->version,
                                     .qos = options->qos > 0 ? (unsigned)options->qos : 1,
                                     .retain = true,
                                     .payload_len = (uint32_t)options->size,
                                     .mark = run->mark};
    char topic[600];

    snprintf(run->filter, sizeof(run->filter), "%.400s/%08x/#", options->prefix, run->load.mark);
    snprintf(topic, sizeof(topic), "%.400s/%08x/%0*d", options->prefix, run->load.mark,
             TOPIC_DIGITS, 0);
    fields.topic = topic;
    if (!template_init(&run->store, &fields)) {
        snprintf(error, error_size, "the messages would be larger than MQTT allows");
        return false;
    }
    fields.payload_len = 0;
    template_init(&run->clear, &fields);
    run->filters[0] = run->filter;
    worker_init(&run->worker, &run->load, 0, 2, (uint32_t)options->size + PACKET_EXTRA);
    run->worker.owner = run;
    run->worker.on_turn = sweep;
    for (uint32_t i = 0; i < 2; i++) {
        run->worker.actors[i].number = i;
        run->worker.actors[i].owner = run;
        run->worker.actors[i].events = &events;
    }
    run->worker.actors[SUBSCRIBER].filters = run->filters;
    run->worker.actors[SUBSCRIBER].filter_count = 1;
    run->worker.actor_count = 1; /* the loop opens the publisher only */
    return true;
}

static int finish(struct retained_run *run, const char *name)
{
    struct report report;
    double seconds = (double)run->spent_ns / (double)NANOSECONDS;
    char text[128];
    const char *failure = load_failure(&run->load);

    monitor_end(&run->monitor);
    report_init(&report, name, run->load.options, &run->monitor.series);
    report_number(&report, "qos", "QoS of the subscription", (double)run->load.options->qos, "");
    report_number(&report, "payload_bytes", "payload", (double)run->load.options->size, "bytes");
    report_number(&report, "messages", "retained messages", run->count, "");
    report_number(&report, "rounds", "new subscribers", (double)run->rounds, "");
    report_number(&report, "deliveries_per_s", "delivered",
                  seconds > 0 ? (double)run->delivered / seconds : 0, "msg/s");
    if (run->spent_cpu_ns > 0) {
        report_number(&report, "deliveries_per_cpu_s", "deliveries per CPU second",
                      (double)run->delivered * (double)NANOSECONDS / (double)run->spent_cpu_ns,
                      "/s");
    }
    report_latency(&report, "latency_us", "until the last one", run->worker.latency);
    report_number(&report, "duplicated", "duplicated", (double)run->duplicates, "");
    report_number(&report, "altered", "altered or misdirected", (double)run->altered, "");
    if (failure == NULL && run->duplicates + run->altered > 0) {
        snprintf(text, sizeof(text), "%llu messages duplicated, %llu altered or misdirected",
                 (unsigned long long)run->duplicates, (unsigned long long)run->altered);
        failure = text;
    }
    return report_finish(&report, failure);
}

static void go_through_phases(struct retained_run *run)
{
    uint64_t end_ns;

    if (!run_until(&run->worker, publisher_ready, run, count_sent, 0)) {
        load_fail(&run->load, "the publisher did not become ready");
        return;
    }
    if (!send_all(run, &run->store, "storing")) {
        return;
    }
    load_set_phase(&run->load, PHASE_MEASURE);
    end_ns = now_ns() + (uint64_t)(run->load.options->duration_s * (double)NANOSECONDS);
    while (deliver(run) && now_ns() < end_ns && !load_interrupted()) {
    }
    load_forget_interrupt();
    load_set_phase(&run->load, PHASE_DRAIN);
    send_all(run, &run->clear, "clearing");
}

int run_retained(const char *name, const struct bench_options *options)
{
    struct retained_run *run = mem_zalloc_aligned(sizeof(*run));
    char error[256];
    int status;

    run->count = (uint32_t)options->count;
    if (run->count > MESSAGES_MAX) {
        snprintf(error, sizeof(error), "--count: at most %u retained messages", MESSAGES_MAX);
        load_fini(&run->load);
        mem_free(run);
        return run_refuse(error);
    }
    if (!load_init(&run->load, options, 2, error, sizeof(error))) {
        load_fini(&run->load);
        mem_free(run);
        return run_refuse(error);
    }
    run->mark = PAYLOAD_MARK ^ run->load.mark;
    if (!prepare(run, error, sizeof(error)) ||
        !run_watch(&run->monitor, &run->load, name, &run->worker, 1, error, sizeof(error))) {
        load_fini(&run->load);
        mem_free(run);
        return run_refuse(error);
    }
    go_through_phases(run);
    status = finish(run, name);
    actor_leave(&run->worker.actors[SUBSCRIBER], false);
    monitor_fini(&run->monitor);
    worker_fini(&run->worker);
    template_fini(&run->store);
    template_fini(&run->clear);
    sequence_fini(&run->sequence);
    load_fini(&run->load);
    mem_free(run);
    return status;
}
