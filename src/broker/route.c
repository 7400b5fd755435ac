/* SPDX-License-Identifier: MIT
 *
 * route - who gets a publication.
 *
 * One match of the shard's topic tree answers for everybody: the local sessions and share groups,
 * and the other shards that have announced interest. A shard that is interested gets one ring entry
 * with the shared message and matches in its own tree. The retained copy goes to the owner shard of
 * the topic.
 *
 *   publisher's shard:  match -> local deliveries
 *                             -> MESH_PUBLISH to each interested shard: match and deliveries there
 *                             -> MESH_RETAIN_SET to hash(topic) mod shards
 *
 * Invariants
 *   I1  a message is forwarded at most once: what came from a peer is delivered locally only
 *   I2  all forwards of one publisher take the same ring to a shard, so its order is kept
 *       [MQTT-4.6.0-5] [MQTT-4.6.0-6]
 *   I3  one session gets one copy of a message through its plain subscriptions, with the highest
 *       QoS and all identifiers of those that match [MQTT-3.3.4-2] [MQTT-3.3.4-4] [MQTT-3.3.5-1]
 *   I4  QoS 1 and 2 are forwarded however full a ring is (the publisher is paused instead)
 */
#include "broker/deliver.h"
#include "broker/share.h"

/* Overlapping subscriptions of one session whose identifiers are collected on the stack. */
#define IDENTIFIERS_ON_STACK 64

/* Merges the subscriptions of one session, entries[0 .. count); there is room for identifiers_max
 * of their identifiers. False when none applies (No Local). */
static bool merge(const struct publication *publication, const struct session *session,
                  const struct subscription *entries, uint32_t count, struct delivery_terms *terms,
                  uint32_t *identifiers, uint32_t identifiers_max)
{
    bool own = session_handle_equal(publication->publisher, session->handle);
    bool any = false, retain_as_published = false;
    uint8_t qos = 0;
    uint32_t identifier_count = 0;

    for (uint32_t i = 0; i < count; i++) {
        uint8_t options = entries[i].options;

        if (own && (options & SUBSCRIBE_NO_LOCAL)) /* [MQTT-3.8.3-3] */
            continue;
        any = true;
        if ((options & SUBSCRIBE_QOS) > qos)
            qos = options & SUBSCRIBE_QOS;
        if (options & SUBSCRIBE_RETAIN_AS_PUBLISHED)
            retain_as_published = true;
        if (entries[i].identifier != 0 && identifier_count < identifiers_max)
            identifiers[identifier_count++] = entries[i].identifier; /* [MQTT-3.3.4-3] */
    }
    *terms = (struct delivery_terms){
        /* the lower of published and granted [MQTT-3.8.4-6] [MQTT-3.8.4-8] */
        .qos = publication->qos < qos ? publication->qos : qos,
        /* [MQTT-3.3.1-9] [MQTT-3.3.1-12] [MQTT-3.3.1-13] */
        .retain = retain_as_published && publication->retain,
    };
    if (identifier_count == 1) {
        terms->identifier = identifiers[0];
    } else if (identifier_count > 1) {
        terms->identifiers = identifiers;
        terms->identifier_count = identifier_count;
    }
    return any;
}

/* One copy for one session, entries[0 .. count) are its subscriptions. */
static void deliver_plain(struct broker *broker, struct routing *routing,
                          const struct subscription *entries, uint32_t count)
{
    uint32_t on_stack[IDENTIFIERS_ON_STACK], *more = NULL;
    struct delivery_terms terms;

    if (UNLIKELY(count > IDENTIFIERS_ON_STACK))
        more = mem_try_alloc(count * sizeof(*more)); /* without memory the first ones have to do */
    if (merge(routing->publication, entries->subscriber, entries, count, &terms,
              more != NULL ? more : on_stack, more != NULL ? count : IDENTIFIERS_ON_STACK)) {
        routing->matched++;
        deliver(broker, routing, entries->subscriber, &terms);
    }
    mem_free(more);
}

static void deliver_local(struct broker *broker, struct routing *routing,
                          const struct topic_match *match)
{
    uint32_t i = 0;

    if (UNLIKELY(broker->authz_active))
        routing->allowed = authz_all_may_receive(broker, match, routing->publication);
    if (UNLIKELY(match->no_memory)) { /* some receivers are missing: at least one is lost */
        routing->matched++;
        STAT_INC(broker->stats, drop_no_memory);
    }
    while (i < match->count) {
        const struct subscription *entry = &match->entries[i];
        uint32_t run = 1;

        if (entry->kind == SUBSCRIBER_GROUP) {
            share_dispatch(broker, routing, entry->subscriber);
            i++;
            continue;
        }
        while (i + run < match->count && match->entries[i + run].subscriber == entry->subscriber)
            run++;
        deliver_plain(broker, routing, entry, run);
        i += run;
    }
}

static void forward(struct broker *broker, struct routing *routing, uint64_t shards)
{
    while (shards != 0) {
        unsigned to = (unsigned)__builtin_ctzll(shards);
        struct message *message;

        shards &= shards - 1;
        if (routing->publication->qos == 0 && port_full(broker, to)) { /* I4 */
            STAT_INC(broker->stats, drop_forward_full);
            continue;
        }
        message = routing_take(routing);
        if (message == NULL) {
            STAT_INC(broker->stats, drop_forward_full);
            continue;
        }
        port_post(broker, to, (struct mesh_entry){.kind = MESH_PUBLISH, .pointer = message});
        STAT_INC(broker->stats, forward_out);
        if (port_congested(broker, to))
            broker->route_congested = true;
    }
}

bool route_congested(struct broker *broker)
{
    bool congested = broker->route_congested;

    broker->route_congested = false;
    return congested;
}

bool route_publication(struct broker *broker, const struct publication *publication,
                       bool *matched_out)
{
    struct topic_match match;
    struct routing routing;

    if (!topic_tree_match_hashed(broker->tree, publication->topic, publication_hash(publication),
                                 broker->conf->mqtt_max_topic_levels, &match))
        return false;
    *matched_out = match.count > 0 || match.shards != 0;
    if (!*matched_out) {
        STAT_INC(broker->stats, unrouted);
        if (publication->retain)
            retain_publish(broker, publication, NULL);
        return true;
    }
    routing_begin(&routing, publication, NULL);
    if (publication->retain) { /* before the forwards: retain_flow.c, I2, counts what was posted */
        struct message *message = routing_take(&routing);

        if (message != NULL)
            retain_publish(broker, publication, message);
    }
    if (match.shards != 0)
        forward(broker, &routing, match.shards);
    deliver_local(broker, &routing, &match);
    routing_end(broker, &routing);
    return true;
}

void route_from_peer(struct broker *broker, struct message *message)
{
    const struct publication *publication = &message->publication;
    struct topic_match match;
    struct routing routing;

    STAT_INC(broker->stats, forward_in);
    routing_begin(&routing, publication, message);
    if (topic_tree_match_hashed(broker->tree, publication->topic, publication_hash(publication),
                                UINT32_MAX, &match))
        deliver_local(broker, &routing, &match);
    routing_end(broker, &routing);
}
