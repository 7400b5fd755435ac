/* SPDX-License-Identifier: MIT
 *
 * on_subscribe - SUBSCRIBE and UNSUBSCRIBE.
 *
 * A subscription is live on this shard at once; SUBACK waits until every other shard has confirmed
 * its interest (and share groups that the member has joined). What waits is a struct subscribe_op.
 * After SUBACK the retained messages are fetched; live messages for the session wait behind both
 * (session->hold), so a client sees SUBACK, retained messages, live messages, in this order.
 *
 * Invariants
 *   I1  one SUBACK per SUBSCRIBE with a code per filter, in their order [MQTT-3.8.4-1]
 *       [MQTT-3.8.4-5] [MQTT-3.8.4-6] [MQTT-3.9.3-1] [MQTT-3.8.4-4]
 *   I2  an operation names its session by handle and connection serial: an answer for a connection
 *       that is gone goes nowhere
 *   I3  an operation that waits for interest waits for all that had been announced when it began, so
 *       those in the list are in the order of their announcements
 *   I4  whether the client may is asked for all filters before anything is done for one: the packet may have to wait,
 *       and is then run again
 */
#include "broker/audit.h"
#include "broker/mqtt_orders.h"
#include "broker/plugins.h"
#include "broker/policy.h"
#include "broker/share.h"
#include "mqtt/decode.h"
#include "mqtt/encode.h"

/* Of one SUBSCRIBE or UNSUBSCRIBE, and of subscriptions that wait for their retained messages. */
#define FILTERS_MAX 65536u

struct subscribe_item {
    struct span filter; /* as in SUBSCRIBE; points into the operation */
    struct subscription subscription;
    bool fetch_retained;
};

struct subscribe_op {
    struct list node;
    struct session_handle session;
    uint32_t connection_serial, serial;
    uint32_t announcement;  /* to be confirmed */
    uint32_t share_waiting; /* groups that have not answered */
    uint16_t packet_identifier;
    bool holds, waits;             /* counted in session->hold, in connection->subscribes */
    struct subscribe_order *order; /* an operator's, which goes back instead of a SUBACK */
    uint32_t count;
    uint8_t *text; /* where the next filter is copied to */
    uint8_t *codes;
    struct subscribe_item *items;
    uint8_t bytes[];
};

/* For that many filters, whose texts have filters_len bytes. */
static struct subscribe_op *op_create(struct broker *broker, const struct session *session,
                                      uint32_t filter_count, uint32_t filters_len)
{
    size_t items_size = filter_count * sizeof(struct subscribe_item);
    struct subscribe_op *op = mem_try_zalloc(sizeof(*op) + items_size + filters_len + filter_count);

    if (op == NULL)
        return NULL;
    list_init(&op->node);
    op->session = session->handle;
    op->connection_serial = session->connection->serial;
    op->serial = ++broker->subscribe_serial;
    op->announcement = broker->interest.all_confirmed;
    op->items = (struct subscribe_item *)(void *)op->bytes;
    op->text = op->bytes + items_size;
    op->codes = op->text + filters_len;
    return op;
}

/* ---- one filter ---- */

static bool wants_retained(uint8_t options, bool is_new)
{
    switch (SUBSCRIBE_RETAIN_HANDLING(options)) {
    case 0:
        return true; /* [MQTT-3.3.1-9] [MQTT-3.3.1-6] [MQTT-3.8.4-3] */
    case 1:
        return is_new; /* [MQTT-3.3.1-10] */
    default:
        return false; /* [MQTT-3.3.1-11] */
    }
}

/* The session has one more in its list. */
static void count_subscription(struct broker *broker, const struct session *session)
{
    STAT_INC(broker->stats, subscription_count);
    if (session->subscription_count == 1 && session->connection != NULL)
        STAT_INC(broker->stats, session_subscribed);
}

/* ... one less. */
static void uncount_subscription(struct broker *broker, const struct session *session)
{
    STAT_DEC(broker->stats, subscription_count);
    if (session->subscription_count == 0 && session->connection != NULL)
        STAT_DEC(broker->stats, session_subscribed);
}

static enum mqtt_reason subscribe_plain(struct broker *broker, struct session *session,
                                        struct subscribe_op *op, struct subscribe_item *item)
{
    struct topic_filter *filter;
    bool first, is_new;
    enum subscribe_result result =
        topic_tree_subscribe(broker->tree, item->filter, &item->subscription, &filter, &first);

    if (result == SUBSCRIBE_NO_MEMORY)
        return MQTT_REASON_QUOTA_EXCEEDED;
    is_new = result == SUBSCRIBE_NEW;
    if (is_new && !session_add_subscription(session, filter, NULL)) {
        bool last;

        topic_tree_unsubscribe(broker->tree, filter, session, &last);
        return MQTT_REASON_QUOTA_EXCEEDED;
    }
    if (is_new)
        count_subscription(broker, session);
    if (first)
        interest_announce(broker, filter);
    if ((int32_t)((uint32_t)*topic_filter_tag(filter) - op->announcement) > 0)
        op->announcement = (uint32_t)*topic_filter_tag(filter);
    item->fetch_retained = wants_retained(item->subscription.options, is_new);
    return (enum mqtt_reason)(item->subscription.options & SUBSCRIBE_QOS); /* [MQTT-3.8.4-7] */
}

static enum mqtt_reason subscribe_shared(struct broker *broker, struct session *session,
                                         struct subscribe_op *op, struct subscribe_item *item,
                                         const struct filter_parts *parts)
{
    struct membership *membership = membership_find(session, parts->share_name, parts->filter);

    if (membership == NULL) {
        membership = membership_create(parts->share_name, parts->filter);
        if (membership == NULL)
            return MQTT_REASON_QUOTA_EXCEEDED;
        if (!session_add_subscription(session, NULL, membership)) {
            mem_free(membership);
            return MQTT_REASON_QUOTA_EXCEEDED;
        }
        membership->id = ++session->share_ids;
        count_subscription(broker, session);
        STAT_INC(broker->stats, shared_subscription_count);
    }
    membership->identifier = item->subscription.identifier;
    membership->options = item->subscription.options;
    op->share_waiting++;
    share_join(broker, session, membership, op->serial);
    return (enum mqtt_reason)(membership->options & SUBSCRIBE_QOS); /* [MQTT-4.8.2-3] */
}

static bool has_filter(struct broker *broker, const struct session *session, struct span filter)
{
    struct topic_filter *found = topic_tree_find(broker->tree, filter);

    return found != NULL && topic_filter_get(found, session) != NULL;
}

/* A subscription that would be replaced takes no more room. */
static bool already_subscribed(struct broker *broker, const struct session *session,
                               const struct filter_parts *parts)
{
    if (parts->share_name.len > 0)
        return membership_find(session, parts->share_name, parts->filter) != NULL;
    return has_filter(broker, session, parts->filter);
}

static enum mqtt_reason subscribe_one(struct broker *broker, struct session *session,
                                      struct subscribe_op *op, struct subscribe_item *item)
{
    const struct conf *conf = broker->conf;
    struct filter_parts parts = filter_parse(item->filter, conf->mqtt_max_topic_levels);
    enum mqtt_reason reason;

    if (parts.form == FILTER_INVALID)
        return MQTT_REASON_TOPIC_FILTER_INVALID;
    if (parts.form == FILTER_WILDCARD && !conf->mqtt_wildcard_subscription) /* [MQTT-3.8.3-2] */
        return MQTT_REASON_WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED;
    if (parts.share_name.len > 0 && !conf->mqtt_shared_subscription)
        return MQTT_REASON_SHARED_SUBSCRIPTIONS_NOT_SUPPORTED;
    if (session->subscription_count >= conf->mqtt_max_subscriptions &&
        !already_subscribed(broker, session, &parts))
        return MQTT_REASON_QUOTA_EXCEEDED;
    if ((item->subscription.options & SUBSCRIBE_QOS) > conf->mqtt_max_qos) /* [MQTT-3.2.2-10] */
        item->subscription.options =
            (uint8_t)((item->subscription.options & 0xfcu) | conf->mqtt_max_qos);
    reason = parts.share_name.len > 0 ? subscribe_shared(broker, session, op, item, &parts)
                                      : subscribe_plain(broker, session, op, item);
    if (UNLIKELY(broker->authz_active) && reason < MQTT_REASON_UNSPECIFIED_ERROR)
        authz_subscribed(broker, session, parts.filter);
    return reason;
}

/* ---- the operation ---- */

/* SUBACK or UNSUBACK. Without it the client could not go on, so one that is larger than the client
 * takes ends the connection. */
static void send_suback(struct broker *broker, struct connection *connection,
                        enum mqtt_packet_type type, uint16_t packet_identifier,
                        const uint8_t *codes, uint32_t count)
{
    uint32_t room = mqtt_suback_size_max(count), size;
    uint8_t *to = connection_reserve(broker, connection, room);

    if (to == NULL)
        return;
    size = mqtt_encode_suback(to, room, connection->version, type, packet_identifier, codes,
                              count);        /* [MQTT-3.8.4-2] [MQTT-2.2.1-6] [MQTT-2.3.1-7] */
    if (size <= connection->packet_size_max) /* [MQTT-3.1.2-24] */
        connection_commit(broker, connection, size);
    else
        connection_end(broker, connection, MQTT_REASON_PACKET_TOO_LARGE,
                       "an answer larger than the client's Maximum Packet Size");
}

/* The session that asked, as long as it is on the same connection; NULL otherwise. */
static struct session *op_session(struct broker *broker, const struct subscribe_op *op)
{
    struct session *session = session_table_get(&broker->sessions, op->session);

    return session != NULL && session->connection != NULL &&
                   session->connection->serial == op->connection_serial /* I2 */
               ? session
               : NULL;
}

static void op_finish(struct broker *broker, struct subscribe_op *op)
{
    struct session *session = op_session(broker, op);

    list_remove(&op->node);
    if (session != NULL && op->waits)
        session->connection->subscribes--;
    if (op->order != NULL)
        errand_return(broker, &op->order->errand);
    else if (session != NULL && op->packet_identifier != 0)
        send_suback(broker, session->connection, MQTT_SUBACK, op->packet_identifier, op->codes,
                    op->count);
    session = op_session(broker, op); /* SUBACK may have ended it */
    if (session != NULL) {
        for (uint32_t i = 0; i < op->count; i++) {
            struct subscribe_item *item = &op->items[i];

            /* an UNSUBSCRIBE may have come while the operation waited */
            if (item->fetch_retained && has_filter(broker, session, item->filter))
                retain_fetch(broker, session, item->filter, &item->subscription);
        }
        if (op->holds)
            session_release_hold(broker, session);
    }
    mem_free(op);
}

static bool op_ready(const struct broker *broker, const struct subscribe_op *op)
{
    return op->share_waiting == 0 && interest_confirmed(broker, op->announcement);
}

/* Those that wait for interest are in the order of their announcements (I3): behind the first that
 * is not confirmed there is none to be found. */
static struct subscribe_op *first_ready(const struct broker *broker)
{
    for (struct list *node = broker->subscribe_ops.next; node != &broker->subscribe_ops;
         node = node->next) {
        struct subscribe_op *op = LIST_ENTRY(node, struct subscribe_op, node);

        if (!interest_confirmed(broker, op->announcement))
            return NULL;
        if (op->share_waiting == 0)
            return op;
    }
    return NULL;
}

void subscribe_ops_advance(struct broker *broker)
{
    struct subscribe_op *op;

    /* from the front each time: finishing one may end a connection, and with it other operations */
    while ((op = first_ready(broker)) != NULL)
        op_finish(broker, op);
}

void subscribe_op_share_ready(struct broker *broker, uint32_t serial, bool failed)
{
    for (struct list *node = broker->subscribe_ops.next; node != &broker->subscribe_ops;
         node = node->next) {
        struct subscribe_op *op = LIST_ENTRY(node, struct subscribe_op, node);

        if (op->serial != serial)
            continue;
        ASSERT(op->share_waiting > 0);
        op->share_waiting--;
        if (failed)
            LOG_WARN("a shared subscription was not made: out of memory");
        if (op_ready(broker, op))
            op_finish(broker, op);
        return;
    }
    STAT_INC(broker->stats, stale_handle); /* the connection ended meanwhile */
}

void subscribe_ops_cancel(struct broker *broker, const struct session *session)
{
    struct list *node = broker->subscribe_ops.next;

    while (node != &broker->subscribe_ops) {
        struct subscribe_op *op = LIST_ENTRY(node, struct subscribe_op, node);

        node = node->next;
        if (session_handle_equal(op->session, session->handle)) {
            list_remove(&op->node);
            if (op->order != NULL) { /* the client has gone meanwhile */
                op->order->connected = false;
                errand_return(broker, &op->order->errand);
            }
            mem_free(op);
        }
    }
}

static void deny_filter(struct broker *broker, struct session *session,
                        const struct subscribe_item *item)
{
    struct filter_parts parts = filter_parse(item->filter, UINT32_MAX);
    struct authz_reason reason;
    struct audit_refusal refusal = {
        .event = AUDIT_SUBSCRIBE,
        .counter = STAT_refused_subscribe,
        .client_identifier = session_client_identifier(session),
        .username = session->username == NULL ? (struct span){0} : span_text(session->username),
        .connection = session->connection,
        .topic = item->filter,
        .rule = reason.rule,
    };

    authz_why(broker, session->connection, AUTHZ_SUBSCRIBE, parts.filter,
              item->subscription.options & SUBSCRIBE_QOS, false, &reason);
    refusal.link = reason.link;
    audit_refusal(broker, &refusal);
}

/* Copies a filter into the operation and subscribes it, unless that was denied before. */
static void op_subscribe(struct broker *broker, struct session *session, struct subscribe_op *op,
                         struct span filter, uint8_t options, uint32_t identifier)
{
    struct subscribe_item *item = &op->items[op->count];

    memcpy(op->text, filter.data, filter.len);
    item->filter = span_of(op->text, filter.len);
    op->text += filter.len;
    item->subscription = (struct subscription){
        .subscriber = session,
        .kind = SUBSCRIBER_SESSION,
        .options = options,
        .identifier = identifier,
    };
    if (UNLIKELY(op->codes[op->count] != 0)) /* ask_for_all() */
        deny_filter(broker, session, item);
    else
        op->codes[op->count] = (uint8_t)subscribe_one(broker, session, op, item);
    if (UNLIKELY(broker->plugin_hooks & PLUGIN_SUBSCRIBE) &&
        op->codes[op->count] < MQTT_REASON_UNSPECIFIED_ERROR)
        plugins_subscribed(broker, session, item->filter, op->codes[op->count]);
    op->count++;
}

/* Asks whether the client is allowed each of the filters; those that are not have their code then. False: the packet
 * waits, and nothing has been done. */
static bool ask_for_all(struct broker *broker, struct connection *connection,
                        struct subscribe_op *op, const struct subscribe_packet *packet)
{
    struct subscribe_packet copy = *packet;
    struct authz_reason reason;
    struct filter_view view;

    for (uint32_t i = 0; filters_next(&copy, &view); i++) {
        struct filter_parts parts = filter_parse(view.filter, broker->conf->mqtt_max_topic_levels);

        if (parts.form == FILTER_INVALID) /* is refused for that */
            continue;
        switch (authz_ask(broker, connection, AUTHZ_SUBSCRIBE, parts.filter,
                          view.options & SUBSCRIBE_QOS, false, &reason)) {
        case AUTHZ_WAIT:
            return false;
        case AUTHZ_DENY:
            op->codes[i] = MQTT_REASON_NOT_AUTHORIZED;
            break;
        default:
            break;
        }
    }
    return true;
}

/* No Local on a shared subscription is a protocol error [MQTT-3.8.3-4]; nothing may be done before
 * that is known. */
static bool no_local_on_shared(const struct subscribe_packet *packet, enum mqtt_version version)
{
    struct subscribe_packet copy = *packet;
    struct filter_view view;

    if (version != MQTT_5)
        return false;
    while (filters_next(&copy, &view))
        if ((view.options & SUBSCRIBE_NO_LOCAL) &&
            filter_parse(view.filter, UINT32_MAX).share_name.len > 0)
            return true;
    return false;
}

/* Each filter of a packet takes some memory and time at once, so there is a limit to them. True: the
 * connection has been ended. */
static bool too_many_filters(struct broker *broker, struct connection *connection,
                             const struct subscribe_packet *packet)
{
    if (packet->filter_count <= FILTERS_MAX)
        return false;
    connection_end(broker, connection, MQTT_REASON_QUOTA_EXCEEDED, "too many filters in a packet");
    return true;
}

static bool op_refused(const struct subscribe_op *op)
{
    for (uint32_t i = 0; i < op->count; i++)
        if (op->codes[i] >= MQTT_REASON_UNSPECIFIED_ERROR)
            return true;
    return false;
}

/* By the rules, and not because of what it is. */
static bool op_denied(const struct subscribe_op *op)
{
    for (uint32_t i = 0; i < op->count; i++)
        if (op->codes[i] == MQTT_REASON_NOT_AUTHORIZED)
            return true;
    return false;
}

static bool op_wants_retained(const struct subscribe_op *op)
{
    for (uint32_t i = 0; i < op->count; i++)
        if (op->items[i].fetch_retained)
            return true;
    return false;
}

/* Before the first filter, for joins can answer it. */
static void op_begin(struct broker *broker, struct subscribe_op *op)
{
    list_append(&broker->subscribe_ops, &op->node);
    op->share_waiting = 1; /* ours, until all filters are through */
}

static void op_all_through(struct broker *broker, struct subscribe_op *op)
{
    op->share_waiting--;
    if (!interest_confirmed(broker, op->announcement))
        op->announcement = broker->interest.announced; /* I3 */
}

static void op_wait(struct subscribe_op *op, struct session *session)
{
    op->waits = true;
    session->connection->subscribes++;
    op->holds = op_wants_retained(op) && session_hold(session);
}

static void op_give_up(struct broker *broker, struct connection *connection,
                       struct subscribe_op *op, enum mqtt_reason reason, const char *why)
{
    list_remove(&op->node);
    mem_free(op);
    connection_end(broker, connection, reason, why);
}

/* Subscribes the filters of a packet that is right as a whole. */
static void subscribe(struct broker *broker, struct connection *connection,
                      struct subscribe_packet *packet)
{
    struct session *session = connection->session;
    struct subscribe_op *op = op_create(broker, session, packet->filter_count, packet->filters.len);
    struct filter_view view;

    if (op == NULL) {
        connection_end(broker, connection, MQTT_REASON_QUOTA_EXCEEDED, "out of memory");
        return;
    }
    if (UNLIKELY(broker->authz_active) && !ask_for_all(broker, connection, op, packet)) {
        mem_free(op);
        return;
    }
    op->packet_identifier = packet->packet_identifier;
    op_begin(broker, op);
    while (filters_next(packet, &view))
        op_subscribe(broker, session, op, view.filter, view.options,
                     props_has(&packet->props, MQTT_PROPERTY_SUBSCRIPTION_IDENTIFIER)
                         ? packet->props.subscription_identifier
                         : 0);
    op_all_through(broker, op);
    if (broker->policy != NULL && broker->policy->deny_disconnects && op_denied(op)) {
        op_give_up(broker, connection, op, MQTT_REASON_NOT_AUTHORIZED,
                   "it may not subscribe to that topic filter");
        return;
    }
    if (connection->version == MQTT_3_1 && op_refused(op)) {
        /* SUBACK of 3.1 knows no failure: what cannot be granted ends the connection */
        op_give_up(broker, connection, op, MQTT_REASON_TOPIC_FILTER_INVALID,
                   "a subscription that cannot be granted");
        return;
    }
    if (op_ready(broker, op))
        op_finish(broker, op);
    else
        op_wait(op, session);
}

/* Makes the filters of a packet whole ones, behind a mount point; *block is to be freed. False: the connection has been
 * ended. */
static bool whole_filters(struct broker *broker, struct connection *connection,
                          struct subscribe_packet *packet, uint8_t **block)
{
    *block = NULL;
    if (connection->mount == NULL)
        return true;
    *block = mount_filters(connection->mount, packet);
    if (*block == NULL)
        connection_end(broker, connection, MQTT_REASON_QUOTA_EXCEEDED, "out of memory");
    return *block != NULL;
}

void on_subscribe(struct broker *broker, struct connection *connection, const struct frame *frame)
{
    struct subscribe_packet packet;
    enum mqtt_reason reason = mqtt_decode_subscribe(frame, connection->version, &packet);
    uint8_t *block;

    if (reason != MQTT_REASON_SUCCESS) {
        connection_end(broker, connection, reason, "malformed SUBSCRIBE");
        return;
    }
    if (too_many_filters(broker, connection, &packet))
        return;
    if (connection->retain_queries > FILTERS_MAX * broker->shard_count) {
        connection_end(broker, connection, MQTT_REASON_QUOTA_EXCEEDED,
                       "too many subscriptions that wait for retained messages");
        return;
    }
    if (no_local_on_shared(&packet, connection->version)) {
        connection_end(broker, connection, MQTT_REASON_PROTOCOL_ERROR,
                       "No Local on a shared subscription");
        return;
    }
    if (!whole_filters(broker, connection, &packet, &block))
        return;
    subscribe(broker, connection, &packet);
    mem_free(block); /* each has been copied */
}

/* An operator subscribes for the client to what the client may have. Nobody can be waited for, so who would have to
 * be says no. */
static bool order_allowed(struct broker *broker, struct session *session, uint8_t qos,
                          struct span filter)
{
    struct filter_parts parts = filter_parse(filter, broker->conf->mqtt_max_topic_levels);
    struct authz_reason reason;

    return parts.form == FILTER_INVALID || /* is refused for that */
           authz_may_subscribe(broker, session->connection, parts.filter, qos, &reason);
}

bool subscribe_ordered(struct broker *broker, struct session *session,
                       struct subscribe_order *order)
{
    struct span filter = subscribe_order_filter(order);
    struct subscribe_op *op = NULL;

    if (UNLIKELY(broker->authz_active) && !order_allowed(broker, session, order->qos, filter)) {
        order->reason = MQTT_REASON_NOT_AUTHORIZED;
        return true;
    }
    if (session->connection->subscribes < SUBSCRIBES_MARK) /* nobody waits in its place */
        op = op_create(broker, session, 1, filter.len);
    if (op == NULL) {
        order->reason = MQTT_REASON_QUOTA_EXCEEDED;
        return true;
    }
    op_begin(broker, op);
    op_subscribe(broker, session, op, filter, order->qos, 0);
    op_all_through(broker, op);
    order->reason = (enum mqtt_reason)op->codes[0];
    if (op_ready(broker, op)) {
        op_finish(broker, op);
        return true;
    }
    op->order = order;
    op_wait(op, session);
    return false;
}

/* ---- UNSUBSCRIBE ---- */

static void forget_membership(struct broker *broker, struct session *session,
                              struct membership *membership)
{
    share_give_up(broker, session, membership);
    uncount_subscription(broker, session);
    STAT_DEC(broker->stats, shared_subscription_count);
    mem_free(membership);
}

static void forget_filter(struct broker *broker, struct session *session,
                          struct topic_filter *filter)
{
    struct span text = topic_filter_text(filter);
    uint64_t hash = topic_filter_hash(filter);
    bool wildcard = topic_filter_is_wildcard(filter);
    uint8_t small[256];
    uint8_t *copy = text.len <= sizeof(small) ? small : mem_alloc(text.len);
    bool last;

    memcpy(copy, text.data, text.len); /* the filter goes with its last subscriber */
    topic_tree_unsubscribe(broker->tree, filter, session, &last);
    uncount_subscription(broker, session);
    if (last)
        interest_withdraw(broker, span_of(copy, text.len), hash, wildcard);
    if (copy != small)
        mem_free(copy);
}

void session_unsubscribe_at(struct broker *broker, struct session *session, uint32_t index)
{
    struct session_subscription at = session->subscriptions[index];

    session->subscriptions[index] = session->subscriptions[--session->subscription_count];
    if (at.membership != NULL)
        forget_membership(broker, session, at.membership);
    else
        forget_filter(broker, session, at.filter);
}

static enum mqtt_reason unsubscribe_one(struct broker *broker, struct session *session,
                                        struct span text)
{
    struct filter_parts parts = filter_parse(text, broker->conf->mqtt_max_topic_levels);

    if (parts.form == FILTER_INVALID)
        return MQTT_REASON_TOPIC_FILTER_INVALID;
    if (parts.share_name.len > 0) {
        struct membership *membership = membership_find(session, parts.share_name, parts.filter);

        if (membership == NULL)
            return MQTT_REASON_NO_SUBSCRIPTION_EXISTED;
        session_remove_subscription(session, NULL, membership);
        forget_membership(broker, session, membership);
    } else { /* compared character by character [MQTT-3.10.4-1] */
        struct topic_filter *filter = topic_tree_find(broker->tree, text);

        if (filter == NULL || topic_filter_get(filter, session) == NULL)
            return MQTT_REASON_NO_SUBSCRIPTION_EXISTED;
        session_remove_subscription(session, filter, NULL);
        forget_filter(broker, session,
                      filter); /* [MQTT-3.10.4-2]; what is in flight is finished [MQTT-3.10.4-3] */
    }
    if (UNLIKELY(broker->plugin_hooks & PLUGIN_UNSUBSCRIBE))
        plugins_unsubscribed(broker, session, text);
    return MQTT_REASON_SUCCESS;
}

enum mqtt_reason unsubscribe_ordered(struct broker *broker, struct session *session,
                                     struct span filter)
{
    return unsubscribe_one(broker, session, filter);
}

void on_unsubscribe(struct broker *broker, struct connection *connection, const struct frame *frame)
{
    struct subscribe_packet packet;
    enum mqtt_reason reason = mqtt_decode_subscribe(frame, connection->version, &packet);
    struct filter_view view;
    uint32_t count = 0;
    uint8_t *codes, *block;

    if (reason != MQTT_REASON_SUCCESS) {
        connection_end(broker, connection, reason, "malformed UNSUBSCRIBE");
        return;
    }
    if (too_many_filters(broker, connection, &packet))
        return;
    if (!whole_filters(broker, connection, &packet, &block))
        return;
    codes = mem_try_alloc(packet.filter_count);
    if (codes == NULL) {
        mem_free(block);
        connection_end(broker, connection, MQTT_REASON_QUOTA_EXCEEDED, "out of memory");
        return;
    }
    while (filters_next(&packet, &view)) /* [MQTT-3.10.4-6] */
        codes[count++] = (uint8_t)unsubscribe_one(broker, connection->session, view.filter);
    send_suback(broker, connection, MQTT_UNSUBACK, packet.packet_identifier, codes,
                count); /* [MQTT-3.10.4-4] [MQTT-3.10.4-5] [MQTT-3.11.3-1] */
    mem_free(codes);
    mem_free(block);
}
