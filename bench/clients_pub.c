/* SPDX-License-Identifier: MIT
 *
 * clients_pub - which publisher sends when.
 *
 *   ready --> due (heap, by time) --> sends --> due again, at its next time
 *                                       \--> stalled: output or window is full --> due
 *
 * The loop is open: each message has a time at which it is due, which is in its payload and from
 * which its latency counts. A publisher that was held up sends everything that became due meanwhile.
 * What --interval_of_msg paces pauses while it is disconnected; what --rate paces does not.
 */
#include <time.h>

#include "bench/clients_priv.h"
#include "mqtt/encode_publish.h"

/* Takes one message of --limit. False: they are all taken. */
static bool claim(struct clients_run *run)
{
    uint64_t limit = run->load.options->limit;

    return limit == 0 || atomic_fetch_add_explicit(&run->claimed, 1, memory_order_relaxed) < limit;
}

static uint64_t wall_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / NANOSECONDS_PER_MS;
}

/* Encodes a message whose text is made for it. Returns the end of it. */
static uint8_t *encode_text(struct clients_thread *thread, struct loader *loader, uint8_t *to,
                            uint16_t identifier)
{
    const struct bench_options *options = thread->run->load.options;
    struct publish_encoding encoding = {
        .topic = span_text(loader->topic),
        .payload_len =
            message_text_render(&loader->text, thread->payload, loader->number, wall_ms()),
        .packet_identifier = identifier,
        .version = (uint8_t)options->version,
        .qos = (uint8_t)options->qos,
        .retain = options->retain,
    };

    publish_plan(&encoding); /* set-up has seen that the largest one fits */
    publish_write_head(&encoding, to);
    memcpy(to + encoding.head_len, thread->payload, encoding.payload_len);
    return to + encoding.head_len + encoding.payload_len;
}

/* The most bytes that the next message can have. */
static uint32_t frame_room(const struct loader *loader)
{
    return loader->text.is_dynamic
               ? message_text_room(&loader->text) + (uint32_t)strlen(loader->topic) + 64
               : loader->template.frame_len;
}

/* Encodes the next message, due at due_ns. Returns the end of it, or NULL: no identifier is free, or
 * the limit is reached. */
static uint8_t *encode_next(struct clients_thread *thread, struct actor *actor,
                            struct loader *loader, uint8_t *to, uint64_t due_ns)
{
    uint64_t qos = thread->run->load.options->qos;
    uint16_t identifier = 0;
    uint8_t *end;

    if (qos > 0 && mqtt_client_room(&actor->client.mqtt) == 0) {
        return NULL;
    }
    if (!claim(thread->run)) {
        return NULL;
    }
    if (qos > 0) {
        identifier = actor_identifier(actor, (uint8_t)qos);
        if (identifier == 0) {
            atomic_fetch_sub_explicit(&thread->run->claimed, 1, memory_order_relaxed);
            return NULL;
        }
    }
    end = loader->text.is_dynamic
              ? encode_text(thread, loader, to, identifier)
              : template_write(&loader->template, to, identifier, loader->number, due_ns);
    loader->number++;
    if (qos > 0) {
        if (identifier <= thread->identifiers) {
            loader->awaited_since[identifier - 1] = due_ns;
        }
        actor_keep(actor, identifier, to, (uint32_t)(end - to));
    }
    return end;
}

/* Sends what is due of one publisher, in one write. Returns false when it could send less than
 * that. */
static bool send_due(struct clients_thread *thread, struct actor *actor, struct loader *loader)
{
    struct worker *worker = thread->worker;
    const uint8_t *end = NULL;
    uint8_t *start = actor_reserve(actor, frame_room(loader), &end), *at = start;
    uint64_t gap_ns = thread->run->gap_ns;
    uint32_t sent = 0;
    bool held_up = false;

    while (at != NULL && loader->due_ns <= worker->now_ns && end - at >= frame_room(loader)) {
        uint8_t *next =
            encode_next(thread, actor, loader, at, gap_ns > 0 ? loader->due_ns : worker->now_ns);

        if (next == NULL) {
            held_up = true;
            break;
        }
        at = next;
        sent++;
        loader->due_ns += gap_ns;
    }
    if (sent > 0) {
        tally_add(&worker->tally.sent, sent);
        actor_commit(actor, (uint32_t)(at - start));
    }
    return !held_up && !actor_blocked(actor);
}

static void wait_for_time(struct clients_thread *thread, uint32_t index)
{
    thread->loaders[index].waits = true;
    due_add(&thread->due, thread->loaders[index].due_ns, index);
}

/* Publishers that were held up are looked at each turn: there are few, or the broker is busy. */
static void look_at_stalled(struct clients_thread *thread)
{
    uint32_t count = thread->stalled_count;

    thread->stalled_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t index = thread->stalled[i];
        struct actor *actor = &thread->worker->actors[index];

        if (!actor->ready) {
            thread->loaders[index].waits = false; /* until it is ready again */
        } else if (actor_blocked(actor) || (thread->run->load.options->qos > 0 &&
                                            mqtt_client_room(&actor->client.mqtt) == 0)) {
            thread->stalled[thread->stalled_count++] = index;
        } else {
            wait_for_time(thread, index);
        }
    }
}

void clients_publish(struct clients_thread *thread)
{
    struct worker *worker = thread->worker;

    look_at_stalled(thread);
    for (uint32_t turns = thread->due.count; turns > 0 && due_next(&thread->due) <= worker->now_ns;
         turns--) {
        uint32_t index = due_take(&thread->due).index;
        struct actor *actor = &worker->actors[index];
        struct loader *loader = &thread->loaders[index];

        loader->waits = false;
        if (!actor->ready) {
            continue;
        }
        if (send_due(thread, actor, loader)) {
            wait_for_time(thread, index);
        } else if (actor->ready) {
            loader->waits = true;
            thread->stalled[thread->stalled_count++] = index;
        }
    }
    if (due_next(&thread->due) < worker->wake_ns) {
        worker->wake_ns = due_next(&thread->due);
    }
}

void clients_count_unacknowledged(struct clients_thread *thread)
{
    uint64_t count = 0;

    for (uint32_t i = 0; i < thread->worker->actor_count; i++) {
        const struct actor *actor = &thread->worker->actors[i];

        count += actor_unacknowledged(actor) + actor_blocked(actor);
    }
    atomic_store(&thread->unacknowledged, count);
}

static void on_ready(struct actor *actor)
{
    struct clients_thread *thread = actor->owner;
    const struct bench_options *options = thread->run->load.options;
    uint32_t index = clients_index(actor);
    struct loader *loader = &thread->loaders[index];
    uint64_t now = thread->worker->now_ns;

    clients_on_ready(actor);
    if (loader->due_ns == 0) {
        /* the first messages of all are spread over one gap */
        uint64_t share = options->rate > 0 ? thread->run->gap_ns * actor->number : 0;

        loader->due_ns =
            now + (options->rate > 0 ? share / options->count % (thread->run->gap_ns + 1) : 0);
    } else if (options->rate == 0 && loader->due_ns < now) {
        loader->due_ns = now;
    }
    if (!loader->waits) {
        wait_for_time(thread, index);
    }
}

/* The latency of a publisher: from when the message was due until the broker had taken it over. */
static void on_acknowledged(struct actor *actor, uint16_t identifier)
{
    const struct clients_thread *thread = actor->owner;
    const struct loader *loader = &thread->loaders[clients_index(actor)];
    struct worker *worker = actor->worker;

    if (load_phase(worker->load) == PHASE_MEASURE && identifier <= thread->identifiers &&
        loader->awaited_since[identifier - 1] <= worker->now_ns) {
        histogram_add(worker->latency, worker->now_ns - loader->awaited_since[identifier - 1]);
    }
}

const struct actor_events clients_pub_events = {
    .ready = on_ready, .acknowledged = on_acknowledged, .closed = clients_on_closed};
