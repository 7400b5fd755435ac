/* SPDX-License-Identifier: MIT
 *
 * deliver - one message to one session: send now, queue, or drop with a name.
 *
 * QoS 0 is encoded into the connection's outbox at once, from wherever the publication lies: no
 * copy of the message is made for it. QoS 1 and 2 take a reference and a place in the session's
 * window, from which session_pump() sends in order. The first receiver of each encoded form is
 * encoded; the others get a copy of those bytes with their packet identifier put in.
 *
 * Invariants
 *   I1  every delivery ends in exactly one of message_out, a drop_* counter, or a pending gauge
 *   I2  per session and QoS, deliveries leave in the order in which deliver() was called
 *   I3  nothing larger than the client's Maximum Packet Size is sent [MQTT-3.1.2-24]
 */
#include "broker/deliver.h"

#include "base/endian.h"
#include "broker/authz_priv.h"
#include "mqtt/encode_publish.h"
#include "session/alias.h"

/* References taken with one atomic addition; what is left is given back with one subtraction. */
#define CREDITS 64u

void routing_begin(struct routing *routing, const struct publication *publication,
                   struct message *message)
{
    routing->publication = publication;
    routing->message = message;
    routing->credits = 0;
    routing->matched = 0;
    routing->variants_valid = 0;
    routing->no_memory = false;
    routing->allowed = false;
}

struct message *routing_take(struct routing *routing)
{
    if (routing->message == NULL) {
        routing->message = message_create(routing->publication, 1 + CREDITS);
        if (routing->message == NULL) {
            routing->no_memory = true;
            return NULL;
        }
        routing->credits = CREDITS;
    } else if (routing->credits == 0) {
        message_ref(routing->message, CREDITS);
        routing->credits = CREDITS;
    }
    routing->credits--;
    return routing->message;
}

void routing_end(struct broker *broker, struct routing *routing)
{
    if (routing->matched > 0)
        STAT_ADD(broker->stats, delivery_matched, routing->matched);
    if (routing->message != NULL)
        message_unref_many(routing->message, 1 + routing->credits);
}

static void count_drop(struct broker *broker, enum stat_id why)
{
    stat_add(&broker->stats->values[why], 1);
}

/* A delivery that is not made after all, unless another member of its share group was sent it before (I1). */
static void drop_terms(struct broker *broker, const struct session *session,
                       const struct delivery_terms *terms, enum stat_id why)
{
    if (!terms->transmitted)
        count_drop(broker, why);
    if (terms->share != 0 && terms->qos > 0)
        share_done(broker, session, terms->share);
}

/* ---- encoding ---- */

enum encode_result { ENCODED, ENCODE_TOO_LARGE, ENCODE_NO_MEMORY, ENCODE_OUTSIDE };

/* What goes out, whoever asks for it: routing (new) or the window (queued, sent again). */
struct outgoing {
    const struct publication *publication;
    struct routing *routing; /* NULL when it comes from the window */
    struct message *message; /* for the payload by reference; may be NULL with a routing */
    const uint32_t *identifiers;
    uint32_t identifier_count;
    uint32_t share; /* membership that it came through, 0: none */
    uint16_t packet_identifier;
    uint8_t qos;
    bool retain, dup;
    bool transmitted; /* counted as message_out before */
};

static unsigned variant_index(const struct connection *connection, const struct outgoing *out)
{
    return (connection->version == MQTT_5 ? 8u : 0u) | (unsigned)out->qos << 1 | out->retain;
}

/* Inline: as a call it is a twentieth of what a delivery costs. */
static inline __attribute__((always_inline)) void
count_sent(struct broker *broker, struct connection *connection, const struct outgoing *out)
{
    STAT_INC(broker->stats, packet_out);
    if (out->qos == 0 && !out->transmitted)
        outbox_count(connection->out.tail, out->publication->received_ns);
    connection_mark_dirty(broker, connection);
}

static enum encode_result copy_variant(struct broker *broker, struct connection *connection,
                                       const struct outgoing *out,
                                       const struct deliver_variant *variant)
{
    uint8_t *to;

    if (variant->len > connection->packet_size_max)
        return ENCODE_TOO_LARGE;
    to = outbox_reserve(&connection->out, &broker->pool, variant->len);
    if (UNLIKELY(to == NULL))
        return ENCODE_NO_MEMORY;
    memcpy(to, variant->bytes, variant->len);
    if (out->qos > 0)
        put_be16(to + variant->identifier_at, out->packet_identifier);
    outbox_commit(&connection->out, variant->len);
    count_sent(broker, connection, out);
    return ENCODED;
}

/* Remaining lifetime in whole seconds, at least 1: what is already being delivered does not expire.
 */
static uint32_t remaining_expiry_s(const struct broker *broker, uint64_t expires_ms)
{
    uint64_t left_ms = expires_ms > broker->now_ms ? expires_ms - broker->now_ms : 0;
    uint64_t left_s = (left_ms + 999) / 1000;

    return left_s == 0 ? 1 : (uint32_t)left_s;
}

static bool by_reference(const struct outgoing *out)
{
    return out->publication->payload.len > OUTBOX_COPY_MAX;
}

static enum encode_result write_packet(struct broker *broker, struct connection *connection,
                                       const struct outgoing *out,
                                       const struct publish_encoding *encoding, uint8_t **at_out)
{
    struct span payload = out->publication->payload;
    bool reference = by_reference(out);
    uint32_t size = encoding->head_len + (reference ? 0 : payload.len);
    struct message *message = out->message;
    uint8_t *to;

    if (reference && message == NULL) {
        message = routing_take(out->routing);
        if (message == NULL)
            return ENCODE_NO_MEMORY;
    }
    to = outbox_reserve(&connection->out, &broker->pool, size);
    if (to == NULL) {
        if (message != out->message)
            message_unref(message);
        return ENCODE_NO_MEMORY;
    }
    publish_write_head(encoding, to);
    if (!reference && payload.len > 0)
        memcpy(to + encoding->head_len, payload.data, payload.len);
    outbox_commit(&connection->out, size);
    if (reference) {
        bool appended = outbox_append_payload(&connection->out, message);

        if (message != out->message)
            message_unref(message); /* the chunk has its own */
        if (!appended) {
            /* half a packet must not go out: this connection cannot go on */
            connection_abort(broker, connection);
            return ENCODE_NO_MEMORY;
        }
    }
    *at_out = reference ? NULL : to;
    return ENCODED;
}

static bool fits(const struct connection *connection, struct publish_encoding *encoding)
{
    return publish_plan(encoding) &&
           encoding->head_len + encoding->payload_len <= connection->packet_size_max; /* I3 */
}

/* Sends with a topic alias. What is too large with it may fit without, and an alias that the client
 * is not told must not be taken for known. */
static enum encode_result write_with_alias(struct broker *broker, struct connection *connection,
                                           const struct outgoing *out,
                                           struct publish_encoding *encoding, uint8_t **at_out)
{
    enum encode_result result = ENCODE_TOO_LARGE;
    struct span topic = encoding->topic;
    bool known;

    encoding->topic_alias = alias_for_topic(connection->aliases, out->publication->topic, &known);
    if (encoding->topic_alias != 0) {
        if (known)
            encoding->topic = (struct span){0};
        if (fits(connection, encoding))
            result = write_packet(broker, connection, out, encoding, at_out);
        if (result != ENCODED && !known)
            alias_forget_last(connection->aliases);
        if (result != ENCODE_TOO_LARGE)
            return result;
        encoding->topic_alias = 0;
        encoding->topic = topic;
    }
    return fits(connection, encoding) ? write_packet(broker, connection, out, encoding, at_out)
                                      : ENCODE_TOO_LARGE;
}

static enum encode_result encode(struct broker *broker, struct connection *connection,
                                 const struct outgoing *out)
{
    const struct publication *publication = out->publication;
    struct publish_encoding encoding = {
        .topic = publication->topic,
        .props =
            publication->props, /* [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-20] */
        .identifiers = out->identifiers,
        .identifier_count = out->identifier_count,
        .payload_len = publication->payload.len,
        .packet_identifier = out->packet_identifier,
        .version = connection->version,
        .qos = out->qos,
        .retain = out->retain,
        .dup = out->dup, /* [MQTT-3.3.1-1] [MQTT-3.3.1-3]; never with QoS 0 [MQTT-3.3.1-2] */
        .has_expiry = publication->expires_ms != 0,
    };
    bool shareable = out->routing != NULL && out->identifier_count == 0 && !by_reference(out) &&
                     !connection->encodes_alone;
    unsigned index = variant_index(connection, out);
    enum encode_result result;
    uint8_t *at;

    if (shareable && (out->routing->variants_valid >> index & 1))
        return copy_variant(broker, connection, out, &out->routing->variants[index]);
    if (connection->mount != NULL && !mount_strip(broker, connection, out->share, &encoding))
        return ENCODE_OUTSIDE;
    if (encoding.has_expiry) /* [MQTT-3.3.2-6] */
        encoding.expiry_s = remaining_expiry_s(broker, publication->expires_ms);
    if (connection->has_outbound_alias)
        result = write_with_alias(broker, connection, out, &encoding, &at);
    else if (fits(connection, &encoding))
        result = write_packet(broker, connection, out, &encoding, &at);
    else
        result = ENCODE_TOO_LARGE;
    if (result != ENCODED)
        return result;
    if (shareable) {
        out->routing->variants[index] = (struct deliver_variant){
            at, encoding.head_len + encoding.payload_len, encoding.identifier_at};
        out->routing->variants_valid |= (uint16_t)(1u << index);
    }
    count_sent(broker, connection, out);
    return ENCODED;
}

/* ---- the window ---- */

static void drop_delivery(struct broker *broker, struct session *session, struct delivery *delivery,
                          enum stat_id why)
{
    bool pending = delivery->state == DELIVERY_QUEUED ||
                   (delivery->state == DELIVERY_SENT && !delivery->transmitted);

    if (delivery->state == DELIVERY_QUEUED)
        broker->queue_bytes -= delivery->message->size;
    if (pending && !delivery->transmitted) {
        STAT_DEC(broker->stats, delivery_queued);
        count_drop(broker, why);
    }
    if (delivery->share != 0)
        share_done(broker, session, delivery->share);
    window_finish(&session->window, delivery);
}

static uint32_t next_ordinal(struct connection *connection)
{
    if (++connection->ordinal_sent == 0) /* 0 means none */
        connection->ordinal_sent = 1;
    return connection->ordinal_sent;
}

static bool expired(const struct broker *broker, const struct publication *publication)
{
    return publication->expires_ms != 0 && publication->expires_ms <= broker->now_ms;
}

/* From when on the first transmission is timed; 0: not at all. */
static uint64_t timed_from(const struct connection *connection, const struct delivery *delivery)
{
    uint64_t received_ns = delivery->message->publication.received_ns;

    return received_ns < connection->timed_from_ns ? 0 : received_ns;
}

static void delivery_sent(struct broker *broker, struct session *session,
                          struct connection *connection, struct delivery *delivery)
{
    if (delivery->state == DELIVERY_QUEUED) {
        broker->queue_bytes -= delivery->message->size;
        window_begin(&session->window, delivery);
    }
    delivery->in_quota = true;
    session->window.outstanding++;
    if (delivery->transmitted) {
        STAT_INC(broker->stats, retransmit_out);
        return;
    }
    /* the first time, so without DUP; unacknowledged from here on [MQTT-4.3.2-2] [MQTT-4.3.2-3] [MQTT-4.3.3-3] */
    delivery->transmitted = true;
    delivery->ordinal = next_ordinal(connection);
    connection->out.tail->ordinal = delivery->ordinal;
    connection->out.tail->kept++;
    outbox_count(connection->out.tail, timed_from(connection, delivery));
    STAT_DEC(broker->stats, delivery_queued);
    STAT_INC(broker->stats, delivery_sending);
}

/* Sends entry `next` of the window. False when the pump must stop. */
static bool pump_one(struct broker *broker, struct session *session, struct routing *routing)
{
    struct window *window = &session->window;
    struct connection *connection = session->connection;
    struct delivery *delivery = window_at(window, window->next);
    bool is_new = routing != NULL && routing->message == delivery->message;
    struct outgoing out;
    enum encode_result result;

    /* what was sent once does not expire any more [MQTT-4.3.3-7] */
    if (delivery->state == DELIVERY_QUEUED && expired(broker, &delivery->message->publication)) {
        drop_delivery(broker, session, delivery, STAT_drop_expired); /* [MQTT-3.3.2-5] */
        return true;
    }
    if (UNLIKELY(broker->authz_active) && /* queued under other rules, perhaps, or sent in vain */
        !(is_new && routing->allowed) &&
        !authz_may_receive(broker, session, &delivery->message->publication)) {
        if (delivery->share == 0 || !share_refuse(broker, session, delivery))
            drop_delivery(broker, session, delivery, STAT_drop_not_authorized);
        return true;
    }
    out = (struct outgoing){
        .publication = &delivery->message->publication,
        .routing = is_new ? routing : NULL,
        .message = delivery->message,
        .identifiers = &delivery->identifier,
        .identifier_count = delivery->identifier != 0,
        .share = delivery->share,
        .packet_identifier = window_packet_identifier(
            window->next), /* [MQTT-2.2.1-4] [MQTT-2.3.1-4] [MQTT-4.3.2-1] [MQTT-4.3.3-1] */
        .qos = delivery->qos,
        .retain = delivery->retain,
        .dup = delivery->duplicate && delivery->state == DELIVERY_SENT,
    };
    if (delivery->identifiers != NULL) {
        out.identifiers = delivery->identifiers->values;
        out.identifier_count = delivery->identifiers->count;
    }
    if (out.dup)
        out.routing = NULL; /* a form of its own */
    result = encode(broker, connection, &out);
    if (result == ENCODE_NO_MEMORY)
        return false;
    if (result == ENCODE_TOO_LARGE) { /* go on as if it had been sent [MQTT-3.1.2-25] */
        drop_delivery(broker, session, delivery, STAT_drop_too_large);
        return true;
    }
    if (result == ENCODE_OUTSIDE) {
        drop_delivery(broker, session, delivery, STAT_drop_outside_mount);
        return true;
    }
    delivery_sent(broker, session, connection, delivery);
    window->next++;
    return true;
}

static void pump(struct broker *broker, struct session *session, struct routing *routing)
{
    struct window *window = &session->window;

    while (window->next < window->tail) {
        struct delivery *delivery = window_at(window, window->next);
        struct connection *connection = session->connection;

        if (delivery->state == DELIVERY_DONE || delivery->state == DELIVERY_RELEASED) {
            if (window->head == window->next && delivery->state == DELIVERY_DONE)
                window->head++;
            window->next++;
            continue;
        }
        if (connection == NULL || connection->closing != CLOSING_NO ||
            window->outstanding >=
                session->receive_maximum || /* [MQTT-3.3.4-9] [MQTT-4.9.0-1] [MQTT-4.9.0-2] */
            window->next - window->head >= WINDOW_IDENTIFIERS - 1 ||
            connection->out.bytes > PUMP_MARK)
            return; /* only PUBLISH of QoS 1 and 2 waits for the quota [MQTT-3.3.4-10] */
        if (!pump_one(broker, session, routing))
            return;
    }
}

void session_pump(struct broker *broker, struct session *session)
{
    pump(broker, session, NULL);
}

/* Whether one more message may wait; drops the oldest one where that is the policy. */
static bool queue_has_room(struct broker *broker, struct session *session, uint32_t size)
{
    const struct conf *conf = broker->conf;
    struct window *window = &session->window;

    for (;;) {
        struct delivery *oldest;

        if (window->queued < conf->mqtt_max_mqueue_len &&
            window->queued_bytes + size <= conf->mqtt_max_mqueue_size &&
            broker->queue_bytes + size <= broker->queue_memory)
            return true;
        if (conf->mqtt_queue_policy != CONF_QUEUE_POLICY_DROP_OLDEST)
            return false;
        oldest = window_oldest(window);
        if (oldest == NULL)
            return false;
        drop_delivery(broker, session, oldest, STAT_drop_queue_full);
    }
}

static struct identifier_list *copy_identifiers(const struct delivery_terms *terms)
{
    struct identifier_list *list =
        mem_try_alloc(sizeof(*list) + terms->identifier_count * sizeof(list->values[0]));

    if (list == NULL)
        return NULL;
    list->count = terms->identifier_count;
    memcpy(list->values, terms->identifiers, terms->identifier_count * sizeof(list->values[0]));
    return list;
}

static void deliver_window(struct broker *broker, struct routing *routing, struct session *session,
                           const struct delivery_terms *terms)
{
    struct window *window = &session->window;
    struct message *message = routing_take(routing);
    struct identifier_list *identifiers = NULL;
    struct delivery *delivery;

    if (message == NULL) {
        drop_terms(broker, session, terms, STAT_drop_no_memory);
        return;
    }
    if (window->next != window->tail || session->connection == NULL) {
        if (!queue_has_room(broker, session, message->size)) {
            routing->credits++;
            drop_terms(broker, session, terms, STAT_drop_queue_full);
            return;
        }
    }
    if (terms->identifier_count > 1)
        identifiers = copy_identifiers(terms);
    delivery = terms->identifier_count > 1 && identifiers == NULL ? NULL : window_append(window);
    if (delivery == NULL) {
        mem_free(identifiers);
        routing->credits++;
        drop_terms(broker, session, terms, STAT_drop_no_memory);
        return;
    }
    delivery->message = message;
    delivery->identifiers = identifiers;
    delivery->identifier = terms->identifier;
    delivery->share = terms->share;
    delivery->qos = terms->qos;
    delivery->retain = terms->retain;
    delivery->transmitted = terms->transmitted;
    window->queued_bytes += message->size;
    broker->queue_bytes += message->size;
    if (!terms->transmitted)
        STAT_INC(broker->stats, delivery_queued);
    pump(broker, session, routing);
}

static void deliver_qos0(struct broker *broker, struct routing *routing, struct session *session,
                         const struct delivery_terms *terms)
{
    struct connection *connection = session->connection;
    struct outgoing out = {
        .publication = routing->publication,
        .routing = routing,
        .message = NULL,
        .identifiers = terms->identifiers != NULL ? terms->identifiers : &terms->identifier,
        .identifier_count =
            terms->identifiers != NULL ? terms->identifier_count : terms->identifier != 0,
        .share = terms->share,
        .qos = 0, /* [MQTT-4.3.1-1] */
        .retain = terms->retain,
        .transmitted = terms->transmitted,
    };

    if (connection == NULL || connection->closing != CLOSING_NO) {
        drop_terms(broker, session, terms, STAT_drop_offline_qos0);
        return;
    }
    if (UNLIKELY(expired(broker, routing->publication))) {     /* held, or long on its way here */
        drop_terms(broker, session, terms, STAT_drop_expired); /* [MQTT-3.3.2-5] */
        return;
    }
    if (UNLIKELY(broker->authz_active) && !routing->allowed &&
        !authz_may_receive(broker, session, routing->publication)) {
        drop_terms(broker, session, terms, STAT_drop_not_authorized);
        return;
    }
    if (UNLIKELY(connection->out.bytes > broker->conf->mqtt_max_send_backlog)) {
        drop_terms(broker, session, terms, STAT_drop_send_backlog);
        return;
    }
    switch (encode(broker, connection, &out)) {
    case ENCODED:
        if (terms->transmitted)
            STAT_INC(broker->stats, retransmit_out);
        else
            STAT_INC(broker->stats, delivery_sending);
        return;
    case ENCODE_TOO_LARGE:
        drop_terms(broker, session, terms, STAT_drop_too_large);
        return;
    case ENCODE_OUTSIDE:
        drop_terms(broker, session, terms, STAT_drop_outside_mount);
        return;
    case ENCODE_NO_MEMORY:
        drop_terms(broker, session, terms, STAT_drop_no_memory);
        return;
    }
}

void deliver_now(struct broker *broker, struct routing *routing, struct session *session,
                 const struct delivery_terms *terms)
{
    if (terms->qos == 0)
        deliver_qos0(broker, routing, session, terms);
    else
        deliver_window(broker, routing, session, terms);
}

/* ---- holds ---- */

struct held_delivery {
    struct held_delivery *next;
    struct message *message;
    struct identifier_list *identifiers;
    struct delivery_terms terms;
};

bool session_hold(struct session *session)
{
    if (session->hold == NULL) {
        session->hold = mem_try_zalloc(sizeof(*session->hold));
        if (session->hold == NULL)
            return false;
        session->hold->last = &session->hold->first;
        list_init(&session->hold->queries);
    }
    session->hold->count++;
    return true;
}

static void hold_append(struct broker *broker, struct routing *routing, struct session *session,
                        const struct delivery_terms *terms)
{
    struct hold *hold = session->hold;
    struct message *message = routing_take(routing);
    struct held_delivery *held;

    if (message == NULL) {
        drop_terms(broker, session, terms, STAT_drop_no_memory);
        return;
    }
    if (hold->length >= broker->conf->mqtt_max_mqueue_len ||
        hold->bytes + message->size > broker->conf->mqtt_max_mqueue_size) {
        routing->credits++;
        drop_terms(broker, session, terms, STAT_drop_queue_full);
        return;
    }
    held = mem_try_zalloc(sizeof(*held));
    if (held != NULL && terms->identifier_count > 1) {
        held->identifiers = copy_identifiers(terms);
        if (held->identifiers == NULL) {
            mem_free(held);
            held = NULL;
        }
    }
    if (held == NULL) {
        routing->credits++;
        drop_terms(broker, session, terms, STAT_drop_no_memory);
        return;
    }
    held->message = message;
    held->terms = *terms;
    held->terms.identifiers = held->identifiers == NULL ? NULL : held->identifiers->values;
    *hold->last = held;
    hold->last = &held->next;
    hold->length++;
    hold->bytes += message->size;
    if (!terms->transmitted)
        STAT_INC(broker->stats, delivery_held);
}

static void deliver_held(struct broker *broker, struct session *session, struct held_delivery *held,
                         bool ending)
{
    while (held != NULL) {
        struct held_delivery *next = held->next;
        struct routing routing;

        if (!held->terms.transmitted)
            STAT_DEC(broker->stats, delivery_held);
        routing_begin(&routing, &held->message->publication, held->message);
        if (ending && held->terms.share == 0) /* the other members of a group may get theirs */
            drop_terms(broker, session, &held->terms, STAT_drop_session_end);
        else
            deliver_now(broker, &routing, session, &held->terms);
        routing_end(broker, &routing);
        mem_free(held->identifiers);
        mem_free(held);
        held = next;
    }
}

void session_release_hold(struct broker *broker, struct session *session)
{
    struct hold *hold = session->hold;
    struct held_delivery *first;

    ASSERT(hold != NULL && hold->count > 0);
    if (--hold->count > 0)
        return;
    ASSERT(list_empty(&hold->queries));
    first = hold->first;
    session->hold = NULL;
    mem_free(hold);
    deliver_held(broker, session, first, false);
}

void session_break_hold(struct broker *broker, struct session *session, bool ending)
{
    struct hold *hold = session->hold;
    struct held_delivery *first;

    if (hold == NULL)
        return;
    first = hold->first;
    session->hold = NULL;
    mem_free(hold);
    deliver_held(broker, session, first, ending);
}

void deliver(struct broker *broker, struct routing *routing, struct session *session,
             const struct delivery_terms *terms)
{
    if (UNLIKELY(session->hold != NULL))
        hold_append(broker, routing, session, terms);
    else
        deliver_now(broker, routing, session, terms);
}
