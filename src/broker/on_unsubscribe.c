/* SPDX-License-Identifier: MIT
 *
 * on_unsubscribe - UNSUBSCRIBE, and the end of subscriptions for whatever reason.
 *
 * An UNSUBACK has a code per filter, in their order, and is sent at once: what other shards still send for a filter
 * that nobody here has finds no subscriber.
 */
#include "broker/plugins.h"
#include "broker/share.h"
#include "broker/subscribe.h"

/* The session has one less in its list. */
static void uncount_subscription(struct broker *broker, const struct session *session)
{
    STAT_DEC(broker->stats, subscription_count);
    if (session->subscription_count == 0 && session->connection != NULL)
        STAT_DEC(broker->stats, session_subscribed);
}

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
    if (filters_too_many(broker, connection, &packet))
        return;
    if (!filters_make_whole(broker, connection, &packet, &block))
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
