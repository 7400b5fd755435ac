/* SPDX-License-Identifier: MIT
 *
 * query_sessions - the walk of a query through the session table: clients, and their subscriptions.
 *
 * See query.c for what it promises; I1 and I2 are kept here.
 */
#include "broker/query_priv.h"
#include "broker/share.h"
#include "topic/filter.h"

/* A session with more subscriptions is listed in parts of about half as many. */
#define SUBSCRIPTIONS_AT_ONCE 256u

/* ---- terms ---- */

static bool chosen(enum query_choice choice, bool value)
{
    return choice == QUERY_EITHER || (choice == QUERY_YES) == value;
}

static bool session_fits(const struct query_terms *terms, const struct session *session)
{
    if (!chosen(terms->connected, session->connection != NULL) ||
        !chosen(terms->clean_start, session->clean_start) ||
        (terms->versions != 0 && (terms->versions >> session->version & 1) == 0))
        return false;
    if (terms->username.data == NULL)
        return true;
    return session->username == NULL ? terms->username.len == 0
                                     : span_equal(terms->username, span_text(session->username));
}

static bool any_session_fits(const struct query_terms *terms)
{
    return terms->client_identifier.data == NULL && terms->username.data == NULL &&
           terms->connected == QUERY_EITHER && terms->clean_start == QUERY_EITHER &&
           terms->versions == 0;
}

/* ---- clients ---- */

static void describe_connection(const struct connection *connection, struct client_record *record)
{
    record->traffic = connection->traffic;
    port_peer_address(connection, &record->peer);
}

/* Of the UNIX socket that it came in by. */
static struct span path_of(const struct session *session)
{
    struct peer_door door = {0};

    if (session->connection != NULL)
        port_peer_door(session->connection, &door);
    return door.path == NULL ? (struct span){0} : span_text(door.path);
}

static uint32_t in_flight(const struct session *session)
{
    const struct window *window = &session->window;

    /* without a connection nothing is outstanding: what was sent and not acknowledged is not QUEUED any more */
    return session->connection != NULL ? window->outstanding
                                       : (uint32_t)(window->tail - window->head) - window->queued;
}

static uint64_t expires_in_ms(const struct broker *broker, const struct session *session)
{
    if (session->connection != NULL || session->expires_ms == TIMER_NEVER)
        return UINT64_MAX;
    return session->expires_ms > broker->now_ms ? session->expires_ms - broker->now_ms : 0;
}

static void append_text(uint8_t **to, struct span from)
{
    if (from.len > 0)
        memcpy(*to, from.data, from.len);
    *to += from.len;
}

static uint32_t copy_client(const struct broker *broker, struct query *query,
                            const struct session *session)
{
    struct span identifier = session_client_identifier(session);
    struct span username =
        session->username == NULL ? (struct span){0} : span_text(session->username);
    const struct publication *will =
        session->will == NULL ? NULL : &session->will->message->publication;
    struct span will_topic = will == NULL ? (struct span){0} : will->topic;
    struct span will_payload = will == NULL ? (struct span){0} : will->payload;
    struct span peer_path = path_of(session);
    size_t size = sizeof(struct client_record) + identifier.len + username.len + will_topic.len +
                  will_payload.len + peer_path.len;
    struct client_record *record = query_append(query, size);
    uint8_t *to;

    if (record == NULL)
        return 0;
    record->client_identifier_len = identifier.len;
    record->username_len = username.len;
    record->will_topic_len = will_topic.len;
    record->will_payload_len = will_payload.len;
    record->peer_path_len = peer_path.len;
    record->expiry_s = session->expiry_s;
    record->subscriptions = session->subscription_count;
    record->queued = session->window.queued + (session->hold == NULL ? 0 : session->hold->length);
    record->in_flight = in_flight(session);
    record->unreleased = session->inbound == NULL ? 0 : session->inbound->count;
    record->keep_alive_s = session->keep_alive_s;
    record->receive_maximum = session->receive_maximum;
    record->version = session->version;
    record->connected = session->connection != NULL;
    record->clean_start = session->clean_start;
    record->has_username = session->username != NULL;
    record->has_will = will != NULL;
    record->queued_bytes =
        session->window.queued_bytes + (session->hold == NULL ? 0 : session->hold->bytes);
    record->changed_ms = session->changed_ms;
    record->expires_in_ms = expires_in_ms(broker, session);
    if (session->connection != NULL)
        describe_connection(session->connection, record);
    to = record->text;
    append_text(&to, identifier);
    append_text(&to, username);
    append_text(&to, will_topic);
    append_text(&to, will_payload);
    append_text(&to, peer_path);
    return QUERY_COST_COPY + (uint32_t)(size / QUERY_COST_BYTES);
}

/* ---- subscriptions ---- */

/* What a subscription of a session is kept in; it stays where it is as long as there is the subscription. */
static const void *place_of(const struct session_subscription *at)
{
    return at->filter != NULL ? (const void *)at->filter : (const void *)at->membership;
}

struct seen_subscription {
    struct span share_name, filter;
    uint32_t identifier;
    uint8_t options;
};

static struct seen_subscription look_at(const struct session *session,
                                        const struct session_subscription *at)
{
    const struct membership *membership = at->membership;
    const struct subscription *subscription;

    if (membership != NULL)
        return (struct seen_subscription){membership_share_name(membership),
                                          membership_filter(membership), membership->identifier,
                                          membership->options};
    subscription = topic_filter_get(at->filter, session);
    ASSERT(subscription != NULL);
    return (struct seen_subscription){(struct span){0}, topic_filter_text(at->filter),
                                      subscription->identifier, subscription->options};
}

#define SHARE_PREFIX "$share/"

/* Writes the filter as it was subscribed; returns its length. `to` may be NULL. */
static uint32_t write_filter(const struct seen_subscription *seen, uint8_t *to)
{
    uint32_t prefix_len = (uint32_t)strlen(SHARE_PREFIX);

    if (seen->share_name.len == 0) {
        if (to != NULL)
            append_text(&to, seen->filter);
        return seen->filter.len;
    }
    if (to != NULL) {
        append_text(&to, span_text(SHARE_PREFIX));
        append_text(&to, seen->share_name);
        append_text(&to, span_text("/"));
        append_text(&to, seen->filter);
    }
    return prefix_len + seen->share_name.len + 1 + seen->filter.len;
}

static bool filter_is(const struct seen_subscription *seen, struct span text)
{
    uint32_t head =
        seen->share_name.len == 0 ? 0 : (uint32_t)strlen(SHARE_PREFIX) + seen->share_name.len + 1;

    if (text.len != head + seen->filter.len ||
        !span_equal(span_of(text.data + head, seen->filter.len), seen->filter))
        return false;
    return head == 0 || (span_starts_with(text, SHARE_PREFIX) && text.data[head - 1] == '/' &&
                         span_equal(span_of(text.data + strlen(SHARE_PREFIX), seen->share_name.len),
                                    seen->share_name));
}

static bool subscription_fits(const struct query_terms *terms, const struct seen_subscription *seen)
{
    return (terms->qos == 0 || (terms->qos >> (seen->options & SUBSCRIBE_QOS) & 1) != 0) &&
           (terms->filter.data == NULL || filter_is(seen, terms->filter));
}

static uint32_t copy_subscription(struct query *query, const struct session *session,
                                  const struct seen_subscription *seen)
{
    struct span identifier = session_client_identifier(session);
    uint32_t filter_len = write_filter(seen, NULL);
    size_t size = sizeof(struct subscription_record) + identifier.len + filter_len;
    struct subscription_record *record = query_append(query, size);
    uint8_t *to;

    if (record == NULL)
        return 0;
    record->client_identifier_len = identifier.len;
    record->filter_len = filter_len;
    record->identifier = seen->identifier;
    record->qos = seen->options & SUBSCRIBE_QOS;
    record->options = seen->options;
    to = record->text;
    append_text(&to, identifier);
    write_filter(seen, to);
    return QUERY_COST_COPY / 2 + (uint32_t)(size / QUERY_COST_BYTES);
}

/* Lists the subscriptions of a session, or one part of them when they are many: query->part of query->parts, which
 * is left at 0 when there is no other part. Returns the cost. */
static uint32_t list_subscriptions(struct query *query, const struct session *session)
{
    const struct query_terms *terms = &query->terms;
    uint32_t count = session->subscription_count, cost = count / 8;

    if (query->part == 0)
        query->parts = count <= SUBSCRIPTIONS_AT_ONCE || query->count_only
                           ? 1
                           : count / (SUBSCRIPTIONS_AT_ONCE / 2) + 1;
    for (uint32_t i = 0; i < count && !query->no_memory; i++) {
        const struct session_subscription *at = &session->subscriptions[i];
        struct seen_subscription seen;

        if (query->parts > 1 && pointer_hash(place_of(at)) % query->parts != query->part)
            continue;
        if (query->count_only && terms->qos == 0 && terms->filter.data == NULL) {
            query->count++;
            continue;
        }
        seen = look_at(session, at);
        cost += QUERY_COST_LOOK;
        if (subscription_fits(terms, &seen) && query_takes(query))
            cost += copy_subscription(query, session, &seen);
    }
    if (++query->part >= query->parts)
        query->part = 0;
    return cost;
}

/* ---- the walk ---- */

/* Lists what is in the slot that the walk stands at, and moves it on. Returns the cost. */
static uint32_t look_into_slot(struct broker *broker, struct query *query)
{
    const struct session *session = broker->sessions.slots[query->slot];
    bool clients = query->terms.list == QUERY_CLIENTS;
    uint32_t cost = QUERY_COST_SESSION;

    if (session == NULL) {
        query->slot++;
        query->part = 0;
        return QUERY_COST_SLOT;
    }
    /* pages of an unchanged list go by position, whoever it is */
    if (clients && query->skip > 0 && any_session_fits(&query->terms)) {
        query->skip--;
        query->slot++;
        return QUERY_COST_SLOT;
    }
    if (session->serial > query->newest || !session_fits(&query->terms, session)) { /* I2 */
        query->part = 0;
    } else if (!clients) {
        cost += list_subscriptions(query, session);
    } else if (query_takes(query)) {
        cost += copy_client(broker, query, session);
    }
    if (query->part == 0)
        query->slot++;
    return cost;
}

/* Where the walk is to begin. False when there is nothing to walk through. */
static bool begin(struct broker *broker, struct query *query)
{
    const struct query_terms *terms = &query->terms;
    const struct session *session;

    if (!query->begun) {
        query->begun = true;
        query->newest = broker->sessions.serial;
    }
    if (terms->client_identifier.data == NULL)
        return true;
    session = session_table_find(&broker->sessions, terms->client_identifier);
    if (session == NULL || (query->part > 0 && query->slot != session->handle.slot))
        return false;
    query->slot = session->handle.slot;
    return true;
}

void query_sessions(struct broker *broker, struct query *query)
{
    const struct query_terms *terms = &query->terms;
    bool one = terms->client_identifier.data != NULL;
    uint32_t cost = 0;

    if (!begin(broker, query)) {
        query->complete = true;
        return;
    }
    if (query->count_only && terms->list == QUERY_CLIENTS && any_session_fits(terms)) {
        query->count = broker->sessions.count;
        query->complete = true;
        return;
    }
    while (cost < broker->query_step && query->slot < broker->sessions.slot_count) {
        cost += look_into_slot(broker, query);
        if (query->no_memory || (one && query->part == 0)) {
            query->complete = true;
            return;
        }
        if (query->records_len >= broker->query_batch || (!query->count_only && query->limit == 0))
            return;
    }
    if (query->slot >= broker->sessions.slot_count)
        query->complete = true;
}
