/* SPDX-License-Identifier: MIT
 *
 * clients - many equal clients that publish, subscribe or only connect, with a line a second.
 *
 * Publishing clients wait in one queue, ordered by when their next message is due: as they all
 * pause equally long, a client that has sent goes to the end.
 */
#include "bench/clients.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/prctl.h>

#include "base/mem.h"
#include "bench/bench.h"
#include "bench/template.h"
#include "bench/worker.h"

#define TOPIC_SIZE   1024u
#define PACKET_EXTRA 2048u
#define NOBODY       UINT32_MAX
#define LEAVE_NS     (2 * NANOSECONDS)

/* One client of ours, beside its struct client. */
struct loader {
    char *topic; /* owned; NULL for conn */
    const char *filters[1];
    struct template template; /* pub */
    uint64_t number, due_ns;
    uint32_t next; /* in the queue */
};

struct clients_run {
    struct load load;
    struct worker worker;
    struct loader *loaders;
    uint32_t first, last; /* of the queue of publishers; NOBODY when empty */
    uint64_t message_interval_ns, limit;
    uint64_t connected, printed_connected, disconnected, printed_total, printed_ns, line_ns;
    char last_reason[256];
};

bool clients_topic(char *to, size_t room, const char *pattern, uint32_t number,
                   const char *identifier, const char *username)
{
    size_t used = 0;
    char digits[16];

    snprintf(digits, sizeof(digits), "%u", number);
    for (; *pattern != '\0'; pattern++) {
        char one[2] = {*pattern, '\0'};
        const char *piece = one;

        if (pattern[0] == '%' && (pattern[1] == 'i' || pattern[1] == 'c' || pattern[1] == 'u')) {
            pattern++;
            piece = *pattern == 'i'   ? digits
                    : *pattern == 'c' ? identifier
                                      : (username != NULL ? username : "undefined");
        }
        if (used + strlen(piece) >= room) {
            return false;
        }
        memcpy(to + used, piece, strlen(piece));
        used += strlen(piece);
    }
    to[used] = '\0';
    return true;
}

static void enqueue(struct clients_run *run, uint32_t index, uint64_t due_ns)
{
    run->loaders[index].due_ns = due_ns;
    run->loaders[index].next = NOBODY;
    if (run->last == NOBODY) {
        run->first = index;
    } else {
        run->loaders[run->last].next = index;
    }
    run->last = index;
}

static void on_ready(struct client *client)
{
    struct clients_run *run = client->owner;
    const struct bench_options *options = run->load.options;

    run->connected++;
    if (options->command == PUB) {
        if (options->qos > 0) {
            client_allow_inflight(client, (uint32_t)options->inflight);
        }
        enqueue(run, (uint32_t)(client - run->worker.clients), client->worker->now_ns);
    }
}

static void on_message(struct client *client, const struct incoming *message)
{
    struct worker *worker = client->worker;
    struct payload_header header;

    tally_add(&worker->tally.received, 1);
    if (payload_read(message->payload, message->payload_len, PAYLOAD_MARK, &header) &&
        header.sent_ns <= worker->now_ns) {
        histogram_add(worker->latency, worker->now_ns - header.sent_ns);
    }
}

static void on_closed(struct client *client, const char *why)
{
    struct clients_run *run = client->owner;

    if (why == NULL) {
        return;
    }
    run->disconnected++;
    if (strcmp(run->last_reason, why) != 0) {
        snprintf(run->last_reason, sizeof(run->last_reason), "%s", why);
        printf("disconnected! client %u: %s\n", client->number, why);
    }
    if (run->disconnected == run->worker.client_count) {
        load_fail(&run->load, "no connection is left: %s", why);
    }
}

static const struct client_events clients_events = {
    .ready = on_ready, .message = on_message, .closed = on_closed};

/* Sends up to `count` messages of one client, in one write. Returns how many. */
static uint32_t send_messages(struct clients_run *run, uint32_t index, uint64_t count)
{
    struct worker *worker = &run->worker;
    struct client *client = &worker->clients[index];
    struct loader *loader = &run->loaders[index];
    uint8_t *at = worker->scratch;
    uint32_t sent = 0;

    while (sent < count &&
           worker->scratch + worker->scratch_size - at >= loader->template.frame_len) {
        uint16_t identifier = 0;

        if (run->load.options->qos > 0) {
            identifier = inflight_take(
                &client->inflight, run->load.options->qos == 1 ? INFLIGHT_PUBACK : INFLIGHT_PUBREC);
            if (identifier == 0) {
                break;
            }
        }
        at = template_write(&loader->template, at, identifier, loader->number++, worker->now_ns);
        sent++;
    }
    if (sent > 0) {
        tally_add(&worker->tally.sent, sent);
        client_write(client, worker->scratch, (uint32_t)(at - worker->scratch));
    }
    return sent;
}

/* Lets every publisher whose time has come send; one that the broker holds up skips its turn. */
static void publish(struct worker *worker)
{
    struct clients_run *run = worker->owner;

    for (uint32_t turns = worker->client_count; run->first != NOBODY && turns > 0; turns--) {
        uint32_t index = run->first;
        struct loader *loader = &run->loaders[index];
        struct client *client = &worker->clients[index];
        uint64_t left = run->limit - tally_get(&worker->tally.sent);

        if (loader->due_ns > worker->now_ns || left == 0) {
            break;
        }
        run->first = loader->next;
        run->last = run->first == NOBODY ? NOBODY : run->last;
        if (client->state != CLIENT_READY) {
            continue;
        }
        if (!client_blocked(client)) {
            send_messages(run, index, run->message_interval_ns > 0 ? 1 : left);
        }
        enqueue(run, index, loader->due_ns + run->message_interval_ns);
    }
    if (run->first != NOBODY && run->loaders[run->first].due_ns < worker->wake_ns) {
        worker->wake_ns = run->loaders[run->first].due_ns;
    }
}

static uint64_t total(const struct clients_run *run)
{
    return tally_get(run->load.options->command == PUB ? &run->worker.tally.sent
                                                       : &run->worker.tally.received);
}

/* The lines that users of such tools know, each only when there is something new. */
static void print_lines(struct clients_run *run)
{
    struct worker *worker = &run->worker;
    double seconds = (double)(worker->now_ns - run->printed_ns) / (double)NANOSECONDS;

    if (run->connected != run->printed_connected) {
        printf("connected: %" PRIu64 "\n", run->connected);
        run->printed_connected = run->connected;
    }
    if (total(run) != run->printed_total && seconds > 0) {
        printf("%s: total=%" PRIu64 ", rate=%.0f(msg/sec)\n",
               run->load.options->command == PUB ? "sent" : "recv", total(run),
               (double)(total(run) - run->printed_total) / seconds);
        run->printed_total = total(run);
    }
    run->printed_ns = worker->now_ns;
    fflush(stdout);
}

static void on_turn(struct worker *worker)
{
    struct clients_run *run = worker->owner;

    if (run->load.options->command == PUB) {
        publish(worker);
    }
    if (worker->now_ns >= run->line_ns) {
        print_lines(run);
        run->line_ns = worker->now_ns + NANOSECONDS;
    }
}

/* True when --limit messages were sent, and acknowledged where that is asked for. */
static bool limit_reached(const struct clients_run *run)
{
    if (run->load.options->command != PUB || tally_get(&run->worker.tally.sent) < run->limit) {
        return false;
    }
    for (uint32_t i = 0; i < run->worker.client_count; i++) {
        const struct client *client = &run->worker.clients[i];

        if (client->inflight.count > 0 || client_blocked(client)) {
            return false;
        }
    }
    return true;
}

static void loop(struct clients_run *run)
{
    const struct bench_options *options = run->load.options;
    uint64_t end_ns = options->duration_s > 0
                          ? now_ns() + (uint64_t)(options->duration_s * (double)NANOSECONDS)
                          : UINT64_MAX;

    while (run->worker.now_ns < end_ns && !load_interrupted() && load_failure(&run->load) == NULL &&
           !limit_reached(run)) {
        worker_turn(&run->worker);
    }
}

static int finish(struct clients_run *run)
{
    const struct histogram *latency = run->worker.latency;

    print_lines(run);
    printf("total: connected=%" PRIu64 ", disconnected=%" PRIu64, run->connected,
           run->disconnected);
    if (run->load.options->command != CONN) {
        printf(", %s=%" PRIu64, run->load.options->command == PUB ? "sent" : "received",
               total(run));
    }
    printf("\n");
    if (latency->count > 0) {
        printf("latency in us: p50=%" PRIu64 " p90=%" PRIu64 " p99=%" PRIu64 " p99.9=%" PRIu64
               " max=%" PRIu64 "\n",
               histogram_quantile(latency, 0.5) / NANOSECONDS_PER_US,
               histogram_quantile(latency, 0.9) / NANOSECONDS_PER_US,
               histogram_quantile(latency, 0.99) / NANOSECONDS_PER_US,
               histogram_quantile(latency, 0.999) / NANOSECONDS_PER_US,
               latency->max_ns / NANOSECONDS_PER_US);
    }
    fflush(stdout);
    if (load_failure(&run->load) != NULL) {
        fprintf(stderr, "bench: %s\n", load_failure(&run->load));
        return BENCH_FAILED;
    }
    return run->disconnected > 0 ? BENCH_FAILED : BENCH_OK;
}

/* Gives every client its number and topic. */
static bool prepare(struct clients_run *run, char *error, size_t error_size)
{
    const struct bench_options *options = run->load.options;

    for (uint32_t i = 0; i < run->worker.client_count; i++) {
        struct client *client = &run->worker.clients[i];
        struct loader *loader = &run->loaders[i];
        char identifier[TOPIC_SIZE], topic[TOPIC_SIZE];

        client->number = (uint32_t)options->start_number + i;
        client->owner = run;
        client->events = &clients_events;
        if (options->command == CONN) {
            continue;
        }
        identifier[client_identifier(client, identifier, sizeof(identifier))] = '\0';
        if (!clients_topic(topic, sizeof(topic), options->topic, client->number, identifier,
                           options->username)) {
            snprintf(error, error_size, "--topic is too long");
            return false;
        }
        loader->topic = mem_strdup(topic);
        loader->filters[0] = loader->topic;
        if (options->command == SUB) {
            client->filters = loader->filters;
            client->filter_count = 1;
        } else if (!template_init(&loader->template,
                                  &(struct template_fields){.topic = loader->topic,
                                                            .version = (unsigned)options->version,
                                                            .qos = (unsigned)options->qos,
                                                            .retain = options->retain,
                                                            .payload_len = (uint32_t)options->size,
                                                            .mark = PAYLOAD_MARK,
                                                            .flow = client->number})) {
            snprintf(error, error_size, "the messages would be larger than MQTT allows");
            return false;
        }
    }
    return true;
}

static int run_clients(const struct bench_options *options)
{
    struct clients_run *run = mem_zalloc_aligned(sizeof(*run));
    uint32_t count = (uint32_t)options->count;
    char error[256];
    int status = BENCH_USAGE;

    prctl(PR_SET_TIMERSLACK, 1ul, 0, 0, 0);
    run->first = run->last = NOBODY;
    run->message_interval_ns = options->message_interval_ms * NANOSECONDS_PER_MS;
    run->limit = options->limit > 0 ? options->limit : UINT64_MAX;
    if (!load_init(&run->load, options, count, error, sizeof(error))) {
        fprintf(stderr, "bench: %s\n", error);
        mem_free(run);
        return status;
    }
    worker_init(&run->worker, &run->load, 0, count,
                options->command == PUB ? (uint32_t)options->size + PACKET_EXTRA : 1u << 24);
    run->worker.owner = run;
    run->worker.on_turn = on_turn;
    run->worker.open_interval_ns = options->interval_ms * NANOSECONDS_PER_MS;
    run->loaders = mem_zalloc(count * sizeof(struct loader));
    run->printed_ns = run->worker.now_ns;
    run->line_ns = run->worker.now_ns + NANOSECONDS;
    if (prepare(run, error, sizeof(error))) {
        loop(run);
        worker_leave_all(&run->worker, LEAVE_NS);
        status = finish(run);
    } else {
        fprintf(stderr, "bench: %s\n", error);
    }
    worker_fini(&run->worker);
    for (uint32_t i = 0; i < count; i++) {
        mem_free(run->loaders[i].topic);
        template_fini(&run->loaders[i].template);
    }
    mem_free(run->loaders);
    mem_free(run);
    return status;
}

int clients_command(enum bench_command command, int argc, char **argv)
{
    static const char *const names[] = {[PUB] = "pub", [SUB] = "sub", [CONN] = "conn"};
    struct bench_options options;
    char error[256];
    int parsed;

    options_preset(&options, command);
    parsed = options_parse(&options, command, argc, argv, error, sizeof(error));
    if (parsed > 0) {
        printf("usage: shardmq bench [start] %s [options]\n\n", names[command]);
        options_help(stdout, command);
        return BENCH_OK;
    }
    if (parsed < 0 || !options_check(&options, error, sizeof(error))) {
        fprintf(stderr, "bench %s: %s (--help lists the options)\n", names[command], error);
        return BENCH_USAGE;
    }
    load_catch_signals();
    return run_clients(&options);
}
