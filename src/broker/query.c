/* SPDX-License-Identifier: MIT
 *
 * query - the lists that operators ask for, read out of a shard that goes on with its work.
 *
 * A query is an errand (errand.c) that comes and goes between the control shard and one data shard. On each visit it
 * takes one step in a turn of the loop, of a bounded cost, until it has a batch of records, and goes back with it:
 *
 *     control shard                              data shard
 *     query_create, errand_send ----------->     step, step: records[] is full
 *     uses the records         <-----------
 *     query_next, errand_send  ----------->      step: the walk is at its end, complete
 *     uses the records         <-----------
 *
 * The control shard sends it off again when it has room for more. So a list of a million clients takes one batch of
 * memory, however slowly it is read, and a shard that nobody asks again has nothing to remember.
 *
 * Between two steps the world goes on. What a walk remembers is therefore a place that stays what it is:
 *
 *   sessions           the slot in the session table. A session keeps its slot for life, and the table only grows at
 *                      its end. A slot that was passed may get a new session, and the same client may come back in a
 *                      slot that is still to come: so sessions with a serial above the newest one at the begin are
 *                      not listed.
 *   subscriptions      those of one session are listed in one step, as long as they are not too many. More are
 *                      listed in parts, by the address of what they are kept in, which does not change: the array is
 *                      looked through for each part.
 *   retained messages  a scan of the store, which pins the node that it stands on (topic/retained.c).
 *
 * Invariants
 *   I1  what was there from the begin of the walk to its end, and fits the terms all the time, is listed exactly once
 *   I2  no client is listed twice, even if it comes and goes (a topic that is cleared and stored again may be: the
 *       store does not remember how old its nodes are)
 *   I3  a step costs QUERY_STEP and at most one more record, however large the lists are
 *   I4  records are copies, or references to what never changes
 *
 * Rejected: a list of subscriptions made from the topic tree (its tables move their entries when they grow and
 * shrink, so a walk that is interrupted would miss some); a copy of everything made in one go.
 */
#include "broker/query.h"

#include "base/hash.h"
#include "broker/query_priv.h"
#include "mqtt/decode.h"

/* After so many steps a query goes back with whatever it has, so that its asker knows that the shard lives. */
#define STEPS_MAX 64u

static void copy_text(struct span *span, uint8_t **to)
{
    if (span->data == NULL)
        return;
    memcpy(*to, span->data, span->len);
    span->data = *to;
    *to += span->len;
}

static enum errand_step query_run(struct broker *broker, struct errand *errand)
{
    struct query *query = query_of(errand);

    if (query->terms.list == QUERY_RETAINED)
        query_retained(broker, query);
    else
        query_sessions(broker, query);
    if (!query->count_only && query->limit == 0)
        query->complete = true;
    if (!query->complete && !query->no_memory && query->records_len < broker->query_batch / 2 &&
        ++query->steps < STEPS_MAX)
        return ERRAND_AGAIN;
    query->steps = 0;
    return ERRAND_DONE;
}

static void query_abandon(struct errand *errand)
{
    struct query *query = query_of(errand);

    retained_scan_close(query->scan);
    query->scan = NULL;
    errand->held = false;
}

static void drop_records(struct query *query)
{
    const struct retained_record *record = NULL;

    if (query->terms.list == QUERY_RETAINED)
        while ((record = query_record(query, record)) != NULL)
            message_unref(record->message);
    query->records_len = 0;
}

static void query_release(struct errand *errand)
{
    struct query *query = query_of(errand);

    drop_records(query);
    mem_free(query->records);
    mem_free(query);
}

static const struct errand_kind query_kind = {
    .name = "a list",
    .run = query_run,
    .abandon = query_abandon,
    .release = query_release,
    .heavy = true,
};

struct query *query_create(const struct query_terms *terms)
{
    struct query *query = mem_try_zalloc(sizeof(*query) + (size_t)terms->client_identifier.len +
                                         terms->username.len + terms->filter.len);
    uint8_t *to;

    if (query == NULL)
        return NULL;
    query->errand.kind = &query_kind;
    query->terms = *terms;
    to = query->text;
    copy_text(&query->terms.client_identifier, &to);
    copy_text(&query->terms.username, &to);
    copy_text(&query->terms.filter, &to);
    query->limit = QUERY_ALL;
    return query;
}

void query_next(struct query *query)
{
    drop_records(query);
}

void query_rewind(struct query *query)
{
    ASSERT(!query->errand.held);
    drop_records(query);
    query->count_only = query->complete = false;
    query->slot = query->part = 0;
}

void *query_append(struct query *query, size_t size)
{
    size_t whole = (size + 7) & ~(size_t)7, needed = query->records_len + whole;
    void *record;

    if (needed > query->records_capacity) {
        size_t capacity = needed > QUERY_BATCH ? needed : QUERY_BATCH;
        uint8_t *grown = mem_try_realloc(query->records, capacity);

        if (grown == NULL) {
            query->no_memory = true;
            return NULL;
        }
        query->records = grown;
        query->records_capacity = (uint32_t)capacity;
    }
    record = memset(query->records + query->records_len, 0, whole);
    *(uint32_t *)record = (uint32_t)whole;
    query->records_len += (uint32_t)whole;
    return record;
}

unsigned query_retained_owner(struct span topic, unsigned shard_count)
{
    return (unsigned)(hash64(topic.data, topic.len) % shard_count);
}

bool query_filter_valid(struct span filter)
{
    struct filter_parts parts = filter_parse(filter, UINT32_MAX);

    return parts.form != FILTER_INVALID && parts.share_name.len == 0;
}

bool query_topic_valid(struct span topic)
{
    return topic_name_valid(topic, UINT32_MAX);
}

bool query_next_property(struct span *props, struct retained_property *out)
{
    struct property_view view;

    if (!props_next(props, &view))
        return false;
    *out = (struct retained_property){view.id, view.number, view.name, view.value};
    return true;
}

/* ---- retained messages ---- */

struct retained_visit {
    struct broker *broker;
    struct query *query;
};

static void visit_retained(void *argument, void *stored)
{
    const struct retained_visit *visit = argument;
    struct query *query = visit->query;
    struct message *message = retain_stored_message(stored);
    uint64_t expires_ms = message->publication.expires_ms;
    struct retained_record *record;

    if ((expires_ms != 0 && expires_ms <= visit->broker->now_ms) || !query_takes(query))
        return;
    record = query_append(query, sizeof(*record));
    if (record == NULL)
        return;
    message_ref(message, 1); /* I4 */
    record->message = message;
}

void query_retained(struct broker *broker, struct query *query)
{
    struct retained_visit visit = {broker, query};
    bool more = false;

    if (query->scan == NULL)
        query->scan = retained_scan_open(broker->retained, query->terms.filter);
    if (query->scan == NULL) {
        query->no_memory = true;
        return;
    }
    more = retained_scan_next(query->scan, broker->query_step / QUERY_COST_COPY + 1, visit_retained,
                              &visit);
    query->errand.held = true;
    if (more && (query->count_only || query->limit > 0))
        return;
    query_abandon(&query->errand);
    query->complete = true;
}
