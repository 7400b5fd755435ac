/* SPDX-License-Identifier: MIT
 *
 * retain_flow - retained messages: stored by the owner shard of their topic, fetched by subscribers
 * of any shard.
 *
 * The owner of a topic is hash(topic) mod shards. A publisher's shard posts the message there
 * (MESH_RETAIN_SET). A subscription asks the owner (exact filter) or every shard (wildcards) with a
 * struct retain_query, which travels back and forth between the two shards, carrying a batch of
 * messages each time, until the scan is complete. Only one of them has it at a time, so it needs no
 * lock, and the asking side sends it off again only when the connection has room: a million
 * retained messages never pile up in an outbox.
 *
 * Meanwhile live messages for that session wait (session->hold), so that an older retained message
 * never follows a newer live one.
 *
 * Invariants
 *   I1  only the owner shard touches its store
 *   I2  an answer contains every retained message whose publisher's shard had posted it before the
 *       query was made: the query carries the posted counts (broker/shared.h), the owner waits
 *       until it has taken as many
 *   I3  the query is made after the announcement of interest is confirmed: what the answer does not
 *       contain comes live
 *   I4  each query holds the session once, and releases it once, unless the connection ended
 *       meanwhile
 *   I5  an answer contains nothing that was posted after the query was made: by I3 the subscriber gets it
 *       live, and would have it twice
 */
#include "base/hash.h"
#include "broker/deliver.h"

#define BATCH_MAX 256u

struct retain_query {
    struct list
        node; /* hold->queries, broker->retain_waiting or broker->retain_jobs; in a ring: none */
    struct session_handle session;
    uint32_t connection_serial;
    unsigned owner;
    struct subscription subscription;
    struct retained_scan *scan; /* the owner's */
    bool begun, complete, cancelled;
    uint32_t count, capacity, filter_len;
    struct message *
        *batch;        /* a reference each; made for every answer: a query that waits has none */
    uint32_t posted[]; /* by the shard that posted, I2; then the filter */
};

/* A publication whose owner is asked whether the limits allow it; its connection is not read meanwhile, so
 * acknowledgements stay in order. */
struct retain_question {
    struct message *message; /* one reference */
    struct session_handle session;
    uint32_t connection_serial;
    uint16_t packet_identifier;
    bool allowed;
};

/* What the store has for a topic: a message, or, when that has a Message Expiry Interval, one of
 * these, with EXPIRES added to its address. It goes with its message, so that a topic that is
 * published to all day leaves nothing behind in the timers. */
struct retained_expiry {
    struct timer timer;
    struct message *message;
};

#define EXPIRES 1u

static unsigned owner_of(const struct broker *broker, struct span topic)
{
    return (unsigned)(hash64(topic.data, topic.len) % broker->shard_count);
}

/* One more in a counter that only this shard writes. */
static void count_up(_Atomic uint32_t *counter)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1,
                          memory_order_release);
}

/* ---- the store ---- */

static void count_stored(struct broker *broker, int64_t messages, int64_t bytes)
{
    struct shared_row *row = &broker->shared->row[broker->shard];

    STAT_ADD(broker->stats, retained_count, messages);
    STAT_ADD(broker->stats, retained_bytes, bytes);
    atomic_store_explicit(&row->retained_count,
                          atomic_load_explicit(&row->retained_count, memory_order_relaxed) +
                              (uint64_t)messages,
                          memory_order_release);
    atomic_store_explicit(&row->retained_bytes,
                          atomic_load_explicit(&row->retained_bytes, memory_order_relaxed) +
                              (uint64_t)bytes,
                          memory_order_relaxed);
}

/* The expiry of a stored message, NULL when it has none. */
static struct retained_expiry *expiry_of(void *stored)
{
    uintptr_t address = (uintptr_t)stored;

    return address & EXPIRES ? (struct retained_expiry *)(address - EXPIRES) : NULL;
}

static struct message *message_of(void *stored)
{
    struct retained_expiry *expiry = expiry_of(stored);

    return expiry == NULL ? stored : expiry->message;
}

static void free_stored(struct broker *broker, void *stored)
{
    struct retained_expiry *expiry = expiry_of(stored);

    message_unref(message_of(stored));
    if (expiry != NULL) {
        timer_disarm(&broker->timers, &expiry->timer);
        mem_free(expiry);
    }
}

static void release_stored(struct broker *broker, void *stored)
{
    count_stored(broker, -1, -(int64_t)message_of(stored)->size);
    free_stored(broker, stored);
}

struct message *retain_stored_message(void *stored)
{
    return message_of(stored);
}

bool retain_forget(struct broker *broker, struct span topic)
{
    void *stored = retained_remove(broker->retained, topic);

    if (stored == NULL)
        return false;
    release_stored(broker, stored);
    return true;
}

static void retained_expired(void *owner, struct timer *timer)
{
    struct broker *broker = owner;
    struct retained_expiry *expiry = CONTAINER_OF(timer, struct retained_expiry, timer);
    void *stored = retained_remove(broker->retained, expiry->message->publication.topic);

    ASSERT(expiry_of(stored) == expiry);
    release_stored(broker, stored);
}

/* Makes what the store keeps of the message, whose reference it takes. */
static void *make_stored(struct broker *broker, struct message *message)
{
    struct retained_expiry *expiry;

    if (message->publication.expires_ms == 0)
        return message;
    expiry = mem_try_alloc(sizeof(*expiry));
    if (expiry == NULL) /* it is then skipped when it is found, and goes when it is replaced */
        return message;
    expiry->message = message;
    timer_init(&expiry->timer, retained_expired);
    timer_arm(&broker->timers, &expiry->timer, message->publication.expires_ms);
    return (void *)((uintptr_t)expiry | EXPIRES);
}

/* The message that a publication to this topic would replace; NULL when there is none. */
static struct message *replaced_by(const struct broker *broker,
                                   const struct publication *publication)
{
    void *stored = retained_get(broker->retained, publication->topic);

    return stored == NULL ? NULL : message_of(stored);
}

/* Whether the limits are reached, as far as the shards' own counts tell. Replacing a message adds
 * none, and only the bytes that it is longer. */
static bool limit_reached(const struct broker *broker, const struct publication *publication,
                          const struct message *replaced)
{
    const struct conf *conf = broker->conf;
    uint64_t count = 0, bytes = message_size(publication);
    uint32_t on_the_way = 0;

    if ((conf->mqtt_max_retained == 0 && conf->mqtt_max_retained_size == 0) ||
        publication->payload.len == 0 || (replaced != NULL && bytes <= replaced->size))
        return false;
    for (unsigned i = 0; i < broker->shared->rows; i++) {
        count += atomic_load_explicit(&broker->shared->row[i].retained_count, memory_order_relaxed);
        bytes += atomic_load_explicit(&broker->shared->row[i].retained_bytes, memory_order_relaxed);
        on_the_way +=
            atomic_load_explicit(&broker->shared->row[i].retain_posted_all, memory_order_relaxed) -
            atomic_load_explicit(&broker->shared->row[i].retain_taken_all, memory_order_relaxed);
    }
    count += on_the_way;
    if (replaced != NULL)
        bytes -= replaced->size;
    return (conf->mqtt_max_retained != 0 && replaced == NULL && count >= conf->mqtt_max_retained) ||
           (conf->mqtt_max_retained_size != 0 && bytes > conf->mqtt_max_retained_size);
}

/* Takes the reference. */
static void store(struct broker *broker, struct message *message)
{
    const struct publication *publication = &message->publication;
    void *old = NULL, *stored;

    if (publication->payload.len ==
        0) { /* [MQTT-3.3.1-6] [MQTT-3.3.1-7] [MQTT-3.3.1-10] [MQTT-3.3.1-11] */
        old = retained_remove(broker->retained, publication->topic);
        message_unref(message);
    } else if (limit_reached(broker, publication, replaced_by(broker, publication))) {
        STAT_INC(broker->stats, publish_refused);
        LOG_WARN("a retained message was not stored: mqtt.max_retained or max_retained_size");
        message_unref(message);
    } else {
        stored = make_stored(broker, message);
        if (retained_set(broker->retained, publication->topic, stored, &old)) { /* [MQTT-3.3.1-5] */
            count_stored(broker, 1, message->size);
        } else {
            LOG_WARN("a retained message was not stored: out of memory");
            free_stored(broker, stored);
        }
    }
    if (old != NULL)
        release_stored(broker, old);
}

enum retain_verdict retain_allowed(const struct broker *broker,
                                   const struct publication *publication)
{
    if (!limit_reached(broker, publication, NULL))
        return RETAIN_ALLOWED;
    if (!shard_is_home(broker, owner_of(broker, publication->topic)))
        return RETAIN_OWNER_KNOWS;
    return limit_reached(broker, publication, replaced_by(broker, publication)) ? RETAIN_REFUSED
                                                                                : RETAIN_ALLOWED;
}

bool retain_ask(struct broker *broker, struct connection *connection,
                const struct publication *publication, uint16_t packet_identifier)
{
    struct retain_question *question = mem_try_zalloc(sizeof(*question));

    if (question == NULL)
        return false;
    question->message = message_create(publication, 1);
    if (question->message == NULL) {
        mem_free(question);
        return false;
    }
    question->session = connection->session->handle;
    question->connection_serial = connection->serial;
    question->packet_identifier = packet_identifier;
    port_post(broker, owner_of(broker, publication->topic),
              (struct mesh_entry){.kind = MESH_RETAIN_ASK, .pointer = question});
    connection->awaits_owner = true;
    return true;
}

/* At the owner. */
static void answer_question(struct broker *broker, struct retain_question *question)
{
    question->allowed = retain_allowed(broker, &question->message->publication) == RETAIN_ALLOWED;
    port_post(broker, question->session.shard,
              (struct mesh_entry){.kind = MESH_RETAIN_TOLD, .pointer = question});
}

static void free_question(struct retain_question *question)
{
    message_unref(question->message);
    mem_free(question);
}

static void question_answered(struct broker *broker, struct retain_question *question)
{
    struct session *session = session_table_get(&broker->sessions, question->session);

    if (session != NULL && session->connection != NULL &&
        session->connection->serial == question->connection_serial) {
        session->connection->awaits_owner = false;
        publish_decided(broker, session->connection, &question->message->publication,
                        question->packet_identifier, question->allowed);
    } else {
        STAT_INC(broker->stats, stale_handle);
        if (session != NULL)
            publish_unanswered(broker, session, &question->message->publication,
                               question->packet_identifier, question->allowed);
    }
    free_question(question);
}

void retain_publish(struct broker *broker, const struct publication *publication,
                    struct message *message)
{
    unsigned owner = owner_of(broker, publication->topic);

    if (message == NULL)
        message = message_create(publication, 1);
    if (message == NULL) {
        LOG_WARN("a retained message was not stored: out of memory");
        return;
    }
    count_up(&broker->shared->row[broker->shard].retain_posted[owner]);
    message->retain_from = (uint16_t)broker->shard;
    message->retain_sequence = atomic_load_explicit(
        &broker->shared->row[broker->shard].retain_posted[owner], memory_order_relaxed);
    if (shard_is_home(broker, owner)) {
        store(broker, message);
        return;
    }
    count_up(&broker->shared->row[broker->shard].retain_posted_all);
    port_post(broker, owner, (struct mesh_entry){.kind = MESH_RETAIN_SET, .pointer = message});
}

/* ---- the asking side ---- */

static void deliver_retained(struct broker *broker, struct session *session,
                             const struct subscription *subscription, struct message *message)
{
    const struct publication *publication = &message->publication;
    uint8_t granted = subscription->options & SUBSCRIBE_QOS;
    struct delivery_terms terms = {
        .qos = publication->qos < granted ? publication->qos : granted,
        .retain = true, /* [MQTT-3.3.1-8] */
        .identifier = subscription->identifier,
    };
    struct publication untimed = *publication;
    struct routing routing;

    untimed.received_ns = 0; /* it did not come for this subscriber */
    if (publication->expires_ms != 0 && publication->expires_ms <= broker->now_ms)
        return;
    if ((subscription->options & SUBSCRIBE_NO_LOCAL) &&
        session_handle_equal(publication->publisher, session->handle))
        return;
    if (UNLIKELY(broker->authz_active) &&
        !authz_source_may(broker, publication->author, publication->topic)) {
        STAT_INC(broker->stats, retained_withheld);
        return;
    }
    message_ref(message, 1);
    routing_begin(&routing, &untimed, message);
    routing.matched = 1;
    deliver_now(broker, &routing, session, &terms);
    routing_end(broker, &routing);
}

/* The session that asked, as long as it is on the same connection; NULL otherwise. */
static struct session *asker(struct broker *broker, const struct retain_query *query)
{
    struct session *session = session_table_get(&broker->sessions, query->session);

    if (session == NULL || session->connection == NULL || session->hold == NULL ||
        session->connection->serial != query->connection_serial)
        return NULL;
    return session;
}

static bool has_room(const struct session *session)
{
    return session->connection->out.bytes <= PUMP_MARK && session->window.queued <= BATCH_MAX;
}

static void free_query(struct retain_query *query)
{
    for (uint32_t i = 0; i < query->count; i++)
        message_unref(query->batch[i]);
    if (query->scan != NULL)
        retained_scan_close(query->scan);
    mem_free(query->batch);
    mem_free(query);
}

/* Sends the query (back) to its owner. */
static void ask(struct broker *broker, struct retain_query *query)
{
    if (shard_is_home(broker, query->owner))
        list_append(&broker->retain_jobs, &query->node);
    else
        port_post(broker, query->owner,
                  (struct mesh_entry){.kind = MESH_RETAIN_QUERY, .pointer = query});
}

static void give_up(struct broker *broker, struct retain_query *query)
{
    if (query->complete || shard_is_home(broker, query->owner)) {
        free_query(query);
        return;
    }
    query->cancelled = true;
    ask(broker, query);
}

static struct span query_filter(const struct broker *broker, const struct retain_query *query)
{
    return span_of(query->posted + broker->shared->rows, query->filter_len);
}

static bool still_subscribed(struct broker *broker, const struct session *session,
                             const struct retain_query *query)
{
    struct topic_filter *found = topic_tree_find(broker->tree, query_filter(broker, query));

    return found != NULL && topic_filter_get(found, session) != NULL;
}

static void answered(struct broker *broker, struct retain_query *query)
{
    struct session *session = asker(broker, query);

    if (session == NULL) {
        STAT_INC(broker->stats, stale_handle);
        give_up(broker, query);
        return;
    }
    if (!still_subscribed(broker, session, query)) { /* [MQTT-3.10.4-2] */
        session->connection->retain_queries--;
        give_up(broker, query);
        session_release_hold(broker, session); /* I4 */
        return;
    }
    for (uint32_t i = 0; i < query->count; i++) {
        deliver_retained(broker, session, &query->subscription, query->batch[i]);
        message_unref(query->batch[i]);
    }
    query->count = 0;
    mem_free(query->batch);
    query->batch = NULL;
    if (query->complete) {
        session->connection->retain_queries--;
        free_query(query);
        session_release_hold(broker, session); /* I4 */
    } else if (has_room(session)) {
        ask(broker, query);
    } else {
        list_append(&session->hold->queries, &query->node);
    }
}

void retain_resume(struct broker *broker, struct session *session)
{
    while (session->hold != NULL && !list_empty(&session->hold->queries) && has_room(session)) {
        struct list *node = session->hold->queries.next;

        list_remove(node);
        ask(broker, LIST_ENTRY(node, struct retain_query, node));
    }
}

void retain_abandon(struct broker *broker, struct session *session)
{
    if (session->hold == NULL)
        return;
    while (!list_empty(&session->hold->queries)) {
        struct list *node = session->hold->queries.next;

        list_remove(node);
        give_up(broker, LIST_ENTRY(node, struct retain_query, node));
    }
}

static struct retain_query *make_query(struct broker *broker, struct session *session,
                                       struct span filter, bool wildcard,
                                       const struct subscription *subscription, unsigned owner)
{
    unsigned rows = broker->shared->rows;
    struct retain_query *query =
        mem_try_zalloc(sizeof(*query) + rows * sizeof(query->posted[0]) + filter.len);

    if (query == NULL)
        return NULL;
    list_init(&query->node);
    query->session = session->handle;
    query->connection_serial = session->connection->serial;
    query->owner = owner;
    query->subscription = *subscription;
    query->subscription.subscriber = NULL; /* not to be followed on another shard */
    query->capacity = wildcard ? BATCH_MAX : 1;
    for (unsigned i = 0; i < rows; i++)
        query->posted[i] = atomic_load_explicit(&broker->shared->row[i].retain_posted[owner],
                                                memory_order_acquire);
    query->filter_len = filter.len;
    memcpy(query->posted + rows, filter.data, filter.len);
    return query;
}

/* Whether that shard may have retained messages: the common "none at all" needs no question. */
static bool may_have_retained(const struct broker *broker, unsigned owner)
{
    if (atomic_load_explicit(&broker->shared->row[owner].retained_count, memory_order_acquire) > 0)
        return true;
    for (unsigned i = 0; i < broker->shared->rows; i++)
        if (atomic_load_explicit(&broker->shared->row[i].retain_posted[owner],
                                 memory_order_acquire) > 0)
            return true;
    return false;
}

static void fetch_from(struct broker *broker, struct session *session, struct span filter,
                       bool wildcard, const struct subscription *subscription, unsigned owner)
{
    struct retain_query *query;

    if (!may_have_retained(broker, owner))
        return;
    query = make_query(broker, session, filter, wildcard, subscription, owner);
    if (query == NULL || !session_hold(session)) {
        mem_free(query);
        LOG_WARN("retained messages were not sent to a subscriber: out of memory");
        return;
    }
    session->connection->retain_queries++;
    ask(broker, query);
}

void retain_fetch(struct broker *broker, struct session *session, struct span filter,
                  const struct subscription *subscription)
{
    struct filter_parts parts = filter_parse(filter, UINT32_MAX);

    if (session->connection != NULL)
        session->connection->timed_from_ns = broker->now_ns;
    if (parts.form == FILTER_EXACT) {
        fetch_from(broker, session, filter, false, subscription, owner_of(broker, filter));
        return;
    }
    for (unsigned owner = 0; owner < broker->shard_count; owner++)
        fetch_from(broker, session, filter, true, subscription, owner);
}

/* ---- the owner's side ---- */

static bool caught_up(const struct broker *broker, const struct retain_query *query)
{
    for (unsigned i = 0; i < broker->shared->rows; i++)
        if (i != broker->shard && (int32_t)(broker->retain_taken[i] - query->posted[i]) < 0)
            return false;
    return true; /* I2 */
}

static void collect(void *argument, void *stored)
{
    struct retain_query *query = argument;
    struct message *message = message_of(stored);

    ASSERT(query->count < query->capacity);
    /* posted after the question: it comes live (I5) */
    if ((int32_t)(message->retain_sequence - query->posted[message->retain_from]) > 0)
        return;
    message_ref(message, 1);
    query->batch[query->count++] = message;
}

/* Fills one batch. */
static void scan_batch(struct broker *broker, struct retain_query *query)
{
    if (!query->begun) {
        query->begun = true;
        query->scan = retained_scan_open(broker->retained, query_filter(broker, query));
    }
    query->batch = mem_try_alloc(query->capacity * sizeof(query->batch[0]));
    if (query->scan == NULL || query->batch == NULL)
        LOG_WARN("retained messages were not sent to a subscriber: out of memory");
    if (query->scan == NULL || query->batch == NULL ||
        !retained_scan_next(query->scan, query->capacity, collect, query))
        query->complete = true;
    if (query->complete && query->scan != NULL) {
        retained_scan_close(query->scan);
        query->scan = NULL;
    }
}

/* One step of a query at its owner; the answer goes to the shard that asked. */
static void serve(struct broker *broker, struct retain_query *query)
{
    scan_batch(broker, query);
    if (query->session.shard == broker->shard)
        answered(broker, query);
    else
        port_post(broker, query->session.shard,
                  (struct mesh_entry){.kind = MESH_RETAIN_ANSWER, .pointer = query});
}

static void take_query(struct broker *broker, struct retain_query *query)
{
    if (query->cancelled)
        free_query(query);
    else if (query->begun || caught_up(broker, query))
        serve(broker, query);
    else
        list_append(&broker->retain_waiting, &query->node);
}

bool retain_run(struct broker *broker)
{
    struct list turn;

    list_init(&turn);
    list_splice(&turn, &broker->retain_waiting);
    list_splice(&turn, &broker->retain_jobs);
    while (!list_empty(&turn)) {
        struct list *node = turn.next;
        struct retain_query *query = LIST_ENTRY(node, struct retain_query, node);

        list_remove(node);
        take_query(broker, query);
    }
    return !list_empty(&broker->retain_jobs);
}

void retain_on_entry(struct broker *broker, unsigned from, const struct mesh_entry *entry)
{
    switch (entry->kind) {
    case MESH_RETAIN_SET:
        broker->retain_taken[from]++;
        count_up(&broker->shared->row[broker->shard].retain_taken_all);
        store(broker, entry->pointer);
        break;
    case MESH_RETAIN_ASK:
        answer_question(broker, entry->pointer);
        break;
    case MESH_RETAIN_TOLD:
        question_answered(broker, entry->pointer);
        break;
    case MESH_RETAIN_QUERY:
        take_query(broker, entry->pointer);
        break;
    default:
        answered(broker, entry->pointer);
        break;
    }
}

/* ---- the end ---- */

void retain_discard(const struct mesh_entry *entry)
{
    if (entry->kind == MESH_RETAIN_SET)
        message_unref(entry->pointer);
    else if (entry->kind == MESH_RETAIN_ASK || entry->kind == MESH_RETAIN_TOLD)
        free_question(entry->pointer);
    else
        free_query(entry->pointer);
}

static void release_at_end(void *broker, void *stored)
{
    free_stored(broker, stored);
}

void retain_clear(struct broker *broker)
{
    while (!list_empty(&broker->retain_waiting) || !list_empty(&broker->retain_jobs)) {
        struct list *node = !list_empty(&broker->retain_waiting) ? broker->retain_waiting.next
                                                                 : broker->retain_jobs.next;

        list_remove(node);
        free_query(LIST_ENTRY(node, struct retain_query, node));
    }
    retained_destroy(broker->retained, release_at_end, broker);
}
