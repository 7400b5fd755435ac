/* SPDX-License-Identifier: MIT
 *
 * on_subscribe - SUBSCRIBE: its filters become subscriptions. How it waits for its SUBACK is in subscribe_op.c.
 *
 * Invariants
 *   I1  one SUBACK per SUBSCRIBE with a code per filter, in their order [MQTT-3.8.4-1]
 *       [MQTT-3.8.4-5] [MQTT-3.8.4-6] [MQTT-3.9.3-1] [MQTT-3.8.4-4]
 *   I2  whether the client may is asked for all filters before anything is done for one: the packet may have to wait,
 *       and is then run again
 */
#include "broker/audit.h"
#include "broker/authz_priv.h"
#include "broker/plugins.h"
#include "broker/policy.h"
#include "broker/share.h"
#include "broker/subscribe.h"

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

bool session_has_filter(struct broker *broker, const struct session *session, struct span filter)
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
    return session_has_filter(broker, session, parts->filter);
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

/* ---- the packet ---- */

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

bool filters_too_many(struct broker *broker, struct connection *connection,
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

/* Subscribes the filters of a packet that is right as a whole. */
static void subscribe(struct broker *broker, struct connection *connection,
                      struct subscribe_packet *packet)
{
    struct session *session = connection->session;
    struct subscribe_op *op =
        subscribe_op_create(broker, session, packet->filter_count, packet->filters.len);
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
    subscribe_op_begin(broker, op);
    while (filters_next(packet, &view))
        op_subscribe(broker, session, op, view.filter, view.options,
                     props_has(&packet->props, MQTT_PROPERTY_SUBSCRIPTION_IDENTIFIER)
                         ? packet->props.subscription_identifier
                         : 0);
    subscribe_op_all_through(broker, op);
    if (broker->policy != NULL && broker->policy->deny_disconnects && op_denied(op)) {
        subscribe_op_give_up(broker, connection, op, MQTT_REASON_NOT_AUTHORIZED,
                             "it may not subscribe to that topic filter");
        return;
    }
    if (connection->version == MQTT_3_1 && op_refused(op)) {
        /* SUBACK of 3.1 knows no failure: what cannot be granted ends the connection */
        subscribe_op_give_up(broker, connection, op, MQTT_REASON_TOPIC_FILTER_INVALID,
                             "a subscription that cannot be granted");
        return;
    }
    if (subscribe_op_ready(broker, op))
        subscribe_op_finish(broker, op);
    else
        subscribe_op_wait(op, session);
}

bool filters_make_whole(struct broker *broker, struct connection *connection,
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
    if (filters_too_many(broker, connection, &packet))
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
    if (!filters_make_whole(broker, connection, &packet, &block))
        return;
    subscribe(broker, connection, &packet);
    mem_free(block); /* each has been copied */
}

/* ---- an operator's order ---- */

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
        op = subscribe_op_create(broker, session, 1, filter.len);
    if (op == NULL) {
        order->reason = MQTT_REASON_QUOTA_EXCEEDED;
        return true;
    }
    subscribe_op_begin(broker, op);
    op_subscribe(broker, session, op, filter, order->qos, 0);
    subscribe_op_all_through(broker, op);
    order->reason = (enum mqtt_reason)op->codes[0];
    if (subscribe_op_ready(broker, op)) {
        subscribe_op_finish(broker, op);
        return true;
    }
    op->order = order;
    subscribe_op_wait(op, session);
    return false;
}
