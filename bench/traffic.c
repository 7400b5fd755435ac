/* SPDX-License-Identifier: MIT
 *
 * traffic - sending within the windows, and checking what arrives.
 */
#include "bench/traffic.h"

#include "base/mem.h"

/* Publishers in other threads cannot wake this one when a window opens: it looks so often. */
#define REMOTE_WINDOW_NS (100 * NANOSECONDS_PER_US)

static uint64_t load_relaxed(const _Atomic uint64_t *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

/* How many messages the windows of the publisher's links have room for. */
static uint64_t window_room(const struct publisher *publisher, uint64_t *outstanding)
{
    uint64_t fullest = 0, window = publisher->traffic->window;

    for (uint32_t i = 0; i < publisher->link_count; i++) {
        const struct link *link = &publisher->links[i];
        uint64_t received = load_relaxed(&link->received);
        uint64_t lacks = load_relaxed(&link->expected) - received;

        fullest = lacks > fullest && !link->slow ? lacks : fullest;
    }
    *outstanding = fullest;
    return fullest < window ? window - fullest : 0;
}

/* Encodes one message of the publisher's next flow. Returns the end, or NULL when no packet
 * identifier is free. */
static uint8_t *encode_next(struct publisher *publisher, uint8_t *to, uint64_t sent_ns)
{
    struct traffic *traffic = publisher->traffic;
    struct flow *flow = &publisher->flows[publisher->next_flow];
    uint64_t number = load_relaxed(&flow->sent);
    uint64_t qos = traffic->load->options->qos;
    uint16_t identifier = 0;

    if (qos > 0) {
        identifier = actor_identifier(publisher->actor, (uint8_t)qos);
        if (identifier == 0) {
            return NULL;
        }
    }
    to = template_write(&flow->template, to, identifier, number, sent_ns);
    atomic_store_explicit(&flow->sent, number + 1, memory_order_relaxed); /* T2 */
    for (uint32_t i = 0; i < flow->target_count; i++) {
        tally_add(&traffic->targets[flow->first_target + i]->expected, 1);
    }
    publisher->next_flow =
        publisher->next_flow + 1 == publisher->flow_count ? 0 : publisher->next_flow + 1;
    return to;
}

/* Writes up to `count` messages; paced ones carry the time at which they should have been sent. */
static void send_messages(struct publisher *publisher, uint64_t count)
{
    struct worker *worker = publisher->actor->worker;
    uint64_t gap_ns = publisher->traffic->pace_gap_ns;
    uint32_t size = publisher->flows[publisher->next_flow].template.frame_len;
    const uint8_t *end;
    uint8_t *start = actor_reserve(publisher->actor, size, &end), *at = start;
    uint64_t encoded = 0;

    while (at != NULL && encoded < count) {
        uint8_t *next;

        if (end - at < publisher->flows[publisher->next_flow].template.frame_len) {
            worker->wake_ns = worker->now_ns; /* the rest goes out with the next turn */
            break;
        }
        next = encode_next(publisher, at, gap_ns > 0 ? publisher->paced_next_ns : worker->now_ns);
        if (next == NULL) {
            break;
        }
        at = next;
        encoded++;
        publisher->paced_next_ns += gap_ns;
    }
    if (encoded > 0) {
        tally_add(&worker->tally.sent, encoded);
        actor_commit(publisher->actor, (uint32_t)(at - start));
    }
}

/* Sends everything whose time has come. */
static void pump_paced(struct publisher *publisher)
{
    struct worker *worker = publisher->actor->worker;
    uint64_t now = worker->now_ns;

    if (publisher->paced_next_ns <= now) {
        send_messages(publisher,
                      (now - publisher->paced_next_ns) / publisher->traffic->pace_gap_ns + 1);
    }
    if (publisher->paced_next_ns > now && publisher->paced_next_ns < worker->wake_ns) {
        worker->wake_ns = publisher->paced_next_ns;
    }
}

/* Sends what the windows have room for, when that is a piece worth a system call. */
static void pump_unpaced(struct publisher *publisher)
{
    struct traffic *traffic = publisher->traffic;
    uint64_t outstanding, room = window_room(publisher, &outstanding), piece = traffic->window / 4;

    if (traffic->load->options->qos > 0) {
        struct mqtt_client *mqtt = &publisher->actor->client.mqtt;
        uint64_t identifiers = mqtt_client_room(mqtt), unacknowledged = mqtt->window.count;

        room = identifiers < room ? identifiers : room;
        piece = mqtt->window.limit / 4 < piece ? mqtt->window.limit / 4 : piece;
        outstanding = unacknowledged > outstanding ? unacknowledged : outstanding;
    }
    if (traffic->window == UINT64_MAX) {
        piece = 1;
    }
    if (room > 0 && (room >= piece || outstanding == 0)) {
        send_messages(publisher, room);
    }
}

/* Tells the first thread how many publishers of this worker are not through yet. */
static void count_unfinished(struct worker *worker, const struct traffic *traffic)
{
    uint64_t unfinished = 0;

    for (uint32_t i = worker->index; i < traffic->publisher_count; i += traffic->worker_count) {
        const struct actor *actor = traffic->publishers[i].actor;

        unfinished += actor_unacknowledged(actor) > 0 || actor_blocked(actor);
    }
    atomic_store(&worker->tally.unfinished, unfinished);
}

/* Lets the slow receivers of this thread read when their time has come. */
static void pace_slow(struct worker *worker, struct traffic *traffic)
{
    bool is_over = load_phase(traffic->load) >= PHASE_DRAIN;

    for (uint32_t i = worker->index; i < traffic->slow_count; i += traffic->worker_count) {
        struct receiver *receiver = &traffic->receivers[i];

        if (is_over || receiver->slow_next_ns <= worker->now_ns) {
            client_read_again(&receiver->slow->client);
        } else if (receiver->slow_next_ns < worker->wake_ns) {
            worker->wake_ns = receiver->slow_next_ns;
        }
    }
}

/* One message of a slow receiver: the next may be read after its share of a second. */
static void slow_down(struct receiver *receiver, const struct worker *worker)
{
    const struct load *load = receiver->traffic->load;
    uint64_t gap_ns = NANOSECONDS / load->options->slow_rate;
    uint64_t from_ns =
        receiver->slow_next_ns > worker->now_ns ? receiver->slow_next_ns : worker->now_ns;

    receiver->slow_next_ns = from_ns + gap_ns;
    client_stop_reading(&receiver->slow->client);
}

static bool is_loading(enum load_phase phase)
{
    return phase == PHASE_WARMUP || phase == PHASE_MEASURE;
}

void traffic_turn(struct worker *worker)
{
    struct traffic *traffic = worker->owner;

    pace_slow(worker, traffic);
    if (load_phase(traffic->load) == PHASE_DRAIN) {
        count_unfinished(worker, traffic);
    }
    if (!is_loading(load_phase(traffic->load))) {
        return;
    }
    if (traffic->window == UINT64_MAX && traffic->pace_gap_ns == 0) {
        worker->wake_ns = worker->now_ns;
    } else if (traffic->worker_count > 1) {
        worker->wake_ns = worker->now_ns + REMOTE_WINDOW_NS;
    }
    for (uint32_t i = worker->index; i < traffic->publisher_count; i += traffic->worker_count) {
        struct publisher *publisher = &traffic->publishers[i];

        if (!publisher->actor->ready || actor_blocked(publisher->actor)) {
            continue;
        }
        if (traffic->pace_gap_ns > 0) {
            pump_paced(publisher);
        } else {
            pump_unpaced(publisher);
        }
    }
}

void traffic_pace(struct traffic *traffic, uint64_t start_ns)
{
    for (uint32_t i = 0; i < traffic->publisher_count; i++) {
        traffic->publishers[i].paced_next_ns =
            start_ns + traffic->pace_gap_ns * i / traffic->publisher_count;
    }
}

uint64_t traffic_outstanding(const struct traffic *traffic, bool slow)
{
    uint64_t outstanding = 0;

    for (uint32_t i = 0; i < traffic->link_count; i++) {
        uint64_t received = load_relaxed(&traffic->links[i].received);

        if (traffic->links[i].slow == slow) {
            outstanding += load_relaxed(&traffic->links[i].expected) - received;
        }
    }
    return outstanding;
}

/* True when the message is, byte for byte, one of the flow that its header names, whose number it
 * makes whole. */
static bool is_genuine(const struct traffic *traffic, const struct publish_packet *message,
                       struct payload_header *header)
{
    const struct flow *flow = &traffic->flows[header->flow];
    const struct template *template = &flow->template;
    const uint8_t *frame = template->frame;
    uint32_t header_size = payload_header_size(message->payload.len);
    uint64_t sent = load_relaxed(&flow->sent);

    header->number = payload_whole_number(header->number, message->payload.len, sent);
    return header->number < sent && /* T2 */
           message->payload.len == template->payload_len &&
           message->topic.len == template->topic_len &&
           message->qos == traffic->load->options->qos &&
           memcmp(message->topic.data, frame + template->topic_at, message->topic.len) == 0 &&
           memcmp(message->payload.data + header_size, frame + template->payload_at + header_size,
                  message->payload.len - header_size) == 0;
}

/* A message that has come before: one of the copies that overlapping subscriptions may make, or
 * not. */
static void count_again(struct tally *tally, struct check *check, uint64_t number)
{
    if (number + 1 == check->sequence.highest && check->copies < check->copies_max) {
        check->copies++;
        tally_add(&tally->copies, 1);
    } else {
        tally_add(&tally->duplicates, 1);
    }
}

static void on_message(struct actor *actor, const struct publish_packet *message)
{
    struct receiver *receiver = actor->owner;
    struct traffic *traffic = receiver->traffic;
    struct worker *worker = actor->worker;
    struct payload_header header;
    enum sequence_verdict verdict;
    struct check *check;

    if (!payload_read(message->payload.data, message->payload.len, traffic->mark, &header) ||
        header.flow - receiver->flow_first >= receiver->flow_count ||
        !is_genuine(traffic, message, &header) ||
        receiver->checks[header.flow - receiver->flow_first].copies_max == 0) {
        tally_add(&worker->tally.altered, 1);
        return;
    }
    check = &receiver->checks[header.flow - receiver->flow_first];
    verdict = sequence_accept(&check->sequence, header.number);
    if (verdict == SEQUENCE_DUPLICATE) {
        count_again(&worker->tally, check, header.number);
        return;
    }
    if (verdict == SEQUENCE_LATE && !receiver->any_order) {
        tally_add(&worker->tally.late, 1);
    } else {
        check->copies = 1;
    }
    tally_add(&check->link->received, 1);
    tally_add(&worker->tally.received, 1);
    if (receiver->slow != NULL) {
        if (is_loading(load_phase(traffic->load))) {
            slow_down(receiver, worker);
        }
    } else if (load_phase(traffic->load) == PHASE_MEASURE) {
        histogram_add(worker->latency,
                      worker->now_ns > header.sent_ns ? worker->now_ns - header.sent_ns : 0);
    }
}

static void on_publisher_closed(struct actor *actor, const char *why)
{
    if (why != NULL) {
        load_fail(actor->worker->load, "publisher %u: %s", actor->number, why);
    }
}

static void on_receiver_closed(struct actor *actor, const char *why)
{
    if (why != NULL) {
        load_fail(actor->worker->load, "subscriber %u: %s", actor->number, why);
    }
}

const struct actor_events publisher_events = {.closed = on_publisher_closed};
const struct actor_events receiver_events = {.message = on_message, .closed = on_receiver_closed};
