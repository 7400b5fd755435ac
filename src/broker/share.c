/* SPDX-License-Identifier: MIT
 *
 * share - shared subscriptions: each message to one session of the group (MQTT 5.0, 4.8.2).
 *
 * A group ("share name/filter") lives on one shard, the owner hash(group) mod shards; its members
 * are sessions of any shard. The group itself is a subscriber in the owner's topic tree, so
 * publications reach the owner like any interested shard. The owner picks a member and hands the
 * message over:
 *
 *   publisher's shard --MESH_PUBLISH--> owner --MESH_SHARE_DELIVER--> member's shard --> window
 *                                         ^                               |              or socket
 *                                         +------- MESH_SHARE_RETURN -----+
 *                                          the member left before it acknowledged
 *
 * Connected members are preferred. When none is connected, the message waits in the queue of one
 * that has a session; when another member connects, the owner recalls what the offline ones have
 * not begun.
 *
 * A member may be forbidden what the others may have. It is passed over for that message: the next one in turn gets it, then
 * an offline one; if nobody may have it, or REFUSALS_MAX have been asked, it is dropped (drop_not_authorized). Members on the
 * owner's shard are asked here, others when it reaches them.
 *
 * Invariants
 *   I1  a message is in the hands of one member at a time, or on its way back to the owner
 *   I2  QoS 2 that a member has been sent stays with it: it finishes when the member is back
 *       [MQTT-4.8.2-4], and is given to nobody else when the session ends [MQTT-4.8.2-5]
 *   I3  an acknowledgement with an error code ends the delivery for the whole group [MQTT-4.8.2-6]
 *   I4  all deliveries of one publisher to one member take the same way, so their order is kept; not of what another member
 *       had or was not allowed before, which MQTT does not ask of shared subscriptions (4.6)
 *   I5  a delivery is counted as matched once, when the first member takes it
 *
 * Members are named by session handle: one session has at most one seat in a group.
 *
 * This is the owner's side; the member's is share_member.c.
 */
#include "broker/authz_priv.h"
#include "broker/share_priv.h"

#define REFUSALS_MAX 256u

struct share_member {
    struct session_handle session;
    uint32_t membership, identifier;
    uint32_t outstanding; /* QoS 1 and 2 handed over and not finished; least_inflight only */
    uint8_t options;
    bool connected;
};

/* Owner: shard. */
struct share_group {
    struct share_group *next;
    uint64_t hash;
    struct topic_filter *filter;
    struct share_member *members;
    uint32_t count, capacity, cursor;
    uint16_t share_name_len;
    uint32_t filter_len;
    uint8_t bytes[];
};

/* A join that waits for the group's announcement of interest. */
struct share_pending {
    struct list node;
    uint32_t announcement, op_serial;
    unsigned shard;
};

/* ---- between the two sides ---- */

void share_post(struct broker *broker, unsigned to, enum mesh_kind kind, uint64_t hash,
                struct session_handle session, uint8_t flags)
{
    struct mesh_entry entry = {.kind = (uint8_t)kind,
                               .flags = flags,
                               .small = session.generation,
                               .number = session.slot,
                               .value = hash};

    if (shard_is_home(broker, to))
        share_on_entry(broker, to, &entry);
    else
        port_post(broker, to, entry);
}

void share_post_delivery(struct broker *broker, unsigned to, enum mesh_kind kind,
                         struct share_delivery *delivery)
{
    struct mesh_entry entry = {.kind = (uint8_t)kind, .pointer = delivery};

    if (shard_is_home(broker, to))
        share_on_entry(broker, to, &entry);
    else
        port_post(broker, to, entry);
}

/* ---- groups ---- */

static struct share_group **bucket_of(struct broker *broker, uint64_t hash)
{
    return &broker->groups.buckets[(hash >> 16) % SHARE_BUCKETS];
}

static struct share_group *group_find(struct broker *broker, uint64_t hash)
{
    struct share_group *group;

    if (broker->groups.buckets == NULL)
        return NULL;
    for (group = *bucket_of(broker, hash); group != NULL; group = group->next)
        if (group->hash == hash)
            return group;
    return NULL;
}

static struct share_member *member_find(struct share_group *group, struct session_handle session)
{
    for (uint32_t i = 0; i < group->count; i++)
        if (session_handle_equal(group->members[i].session, session))
            return &group->members[i];
    return NULL;
}

static bool group_subscribe(struct broker *broker, struct share_group *group)
{
    struct subscription subscription = {
        .subscriber = group, .kind = SUBSCRIBER_GROUP, .options = 2};
    struct span filter = span_of(group->bytes + group->share_name_len, group->filter_len);
    bool first;

    if (topic_tree_subscribe(broker->tree, filter, &subscription, &group->filter, &first) ==
        SUBSCRIBE_NO_MEMORY)
        return false;
    if (first)
        interest_announce(broker, group->filter);
    return true;
}

static struct share_group *group_create(struct broker *broker, const struct share_join *join)
{
    struct share_group *group =
        mem_try_zalloc(sizeof(*group) + join->share_name_len + join->filter_len);

    if (group != NULL && broker->groups.buckets == NULL)
        broker->groups.buckets = mem_try_zalloc(SHARE_BUCKETS * sizeof(*broker->groups.buckets));
    if (group == NULL || broker->groups.buckets == NULL) {
        mem_free(group);
        return NULL;
    }
    group->hash = join->hash;
    group->share_name_len = join->share_name_len;
    group->filter_len = join->filter_len;
    memcpy(group->bytes, join->bytes, (size_t)join->share_name_len + join->filter_len);
    if (!group_subscribe(broker, group)) {
        mem_free(group);
        return NULL;
    }
    group->next = *bucket_of(broker, group->hash);
    *bucket_of(broker, group->hash) = group;
    return group;
}

static void group_destroy(struct broker *broker, struct share_group *group)
{
    struct share_group **link = bucket_of(broker, group->hash);
    uint64_t filter_hash = topic_filter_hash(group->filter);
    bool wildcard = topic_filter_is_wildcard(group->filter);
    bool last;

    while (*link != group)
        link = &(*link)->next;
    *link = group->next;
    topic_tree_unsubscribe(broker->tree, group->filter, group, &last);
    if (last)
        interest_withdraw(broker, span_of(group->bytes + group->share_name_len, group->filter_len),
                          filter_hash, wildcard);
    mem_free(group->members);
    mem_free(group);
}

/* ---- picking ---- */

static uint32_t step(struct share_group *group)
{
    return group->cursor = (group->cursor + 1) % group->count;
}

/* The member that gets the next message; NULL when there is none (of that kind). */
static struct share_member *pick(const struct broker *broker, struct share_group *group,
                                 const struct session_handle *except, bool connected)
{
    uint8_t strategy = broker->conf->mqtt_shared_strategy;
    struct share_member *best = NULL;
    uint32_t start;

    if (group->count == 0)
        return NULL;
    start = strategy == CONF_SHARED_STRATEGY_STICKY ? group->cursor % group->count : step(group);
    for (uint32_t i = 0; i < group->count; i++) {
        uint32_t at = (start + i) % group->count;
        struct share_member *member = &group->members[at];

        if (member->connected != connected ||
            (except != NULL && session_handle_equal(member->session, *except)))
            continue;
        if (strategy != CONF_SHARED_STRATEGY_LEAST_INFLIGHT) {
            group->cursor = at;
            return member;
        }
        if (best == NULL || member->outstanding < best->outstanding)
            best = member;
    }
    return best;
}

/* ---- whoever may not have it ---- */

/* Not of members elsewhere: they are asked there. */
static bool may_have(struct broker *broker, const struct share_member *member,
                     const struct publication *publication)
{
    struct session *session;

    if (LIKELY(!broker->authz_active) || !shard_is_home(broker, member->session.shard))
        return true;
    session = session_table_get(&broker->sessions, member->session);
    return session == NULL || authz_may_receive(broker, session, publication);
}

static uint32_t count_connected(const struct share_group *group)
{
    uint32_t connected = 0;

    for (uint32_t i = 0; i < group->count; i++)
        connected += group->members[i].connected;
    return connected;
}

/* The next one behind members[at] in turn; NULL: there is no other. */
static struct share_member *behind(struct share_group *group, uint32_t at, bool connected)
{
    for (uint32_t i = 1; i < group->count; i++) {
        struct share_member *member = &group->members[(at + i) % group->count];

        if (member->connected == connected)
            return member;
    }
    return NULL;
}

/* Who gets what `member` may not have, after that many refusals before; NULL: nobody. */
static struct share_member *pass_over(struct broker *broker, struct share_group *group,
                                      const struct share_member *member,
                                      const struct publication *publication, uint32_t *refusals)
{
    uint32_t connected = count_connected(group);
    uint32_t most = group->count < REFUSALS_MAX ? group->count : REFUSALS_MAX;

    while (++*refusals < most) {
        struct share_member *next =
            behind(group, (uint32_t)(member - group->members), *refusals < connected);

        if (next == NULL || may_have(broker, next, publication))
            return next;
        member = next;
    }
    return NULL;
}

/* ---- handing over ---- */

static void drop_forbidden(struct broker *broker, struct share_delivery *delivery)
{
    STAT_ADD(broker->stats, delivery_matched, !delivery->matched);
    if (!delivery->transmitted)
        STAT_INC(broker->stats, drop_not_authorized);
    message_unref(delivery->message);
    mem_free(delivery);
}

static void drop(struct broker *broker, struct share_delivery *delivery)
{
    if (!delivery->matched)
        STAT_INC(broker->stats, unrouted); /* the last member left before it came */
    else if (!delivery->transmitted)
        STAT_INC(broker->stats, drop_refused);
    message_unref(delivery->message);
    mem_free(delivery);
}

static void hand_over(struct broker *broker, struct share_member *member,
                      struct share_delivery *delivery)
{
    delivery->session = member->session;
    delivery->membership = member->membership;
    delivery->identifier = member->identifier;
    delivery->options = member->options;
    delivery->final = !member->connected;
    if (broker->conf->mqtt_shared_strategy == CONF_SHARED_STRATEGY_LEAST_INFLIGHT &&
        share_lower(delivery->message->publication.qos, member->options & SUBSCRIBE_QOS) > 0)
        member->outstanding++;
    share_post_delivery(broker, member->session.shard, MESH_SHARE_DELIVER, delivery);
}

void share_dispatch(struct broker *broker, struct routing *routing, void *argument)
{
    struct share_group *group = argument;
    struct share_member *member = pick(broker, group, NULL, true);
    struct share_delivery *delivery;
    struct message *message;
    uint32_t refusals = 0;

    if (member == NULL)
        member = pick(broker, group, NULL, false);
    if (member == NULL) {
        STAT_INC(broker->stats, unrouted);
        return;
    }
    if (UNLIKELY(broker->authz_active) && !may_have(broker, member, routing->publication)) {
        member = pass_over(broker, group, member, routing->publication, &refusals);
        if (member == NULL) {
            routing->matched++;
            STAT_INC(broker->stats, drop_not_authorized);
            return;
        }
    }
    if (member->connected && shard_is_home(broker, member->session.shard)) {
        struct session *session = session_table_get(&broker->sessions, member->session);

        if (session != NULL && session->connection != NULL) { /* the usual case, without a copy */
            struct share_delivery terms = {.options = member->options,
                                           .identifier = member->identifier,
                                           .membership = member->membership};

            if (broker->conf->mqtt_shared_strategy == CONF_SHARED_STRATEGY_LEAST_INFLIGHT &&
                share_lower(routing->publication->qos, member->options & SUBSCRIBE_QOS) > 0)
                member->outstanding++;
            routing->matched++;
            share_to_session(broker, routing, session, &terms);
            return;
        }
    }
    message = routing_take(routing);
    delivery = message == NULL ? NULL : mem_try_zalloc(sizeof(*delivery));
    if (delivery == NULL) {
        if (message != NULL)
            routing->credits++;
        routing->matched++;
        STAT_INC(broker->stats, drop_no_memory);
        return;
    }
    delivery->message = message;
    delivery->group_hash = group->hash;
    delivery->refusals = refusals;
    hand_over(broker, member, delivery);
}

/* The member that it was for may not have it. */
static void take_refused(struct broker *broker, struct share_group *group,
                         const struct share_member *member, struct share_delivery *delivery)
{
    struct share_member *next;

    if (member == NULL) /* it has left meanwhile */
        member = &group->members[0];
    delivery->refused = false;
    next = pass_over(broker, group, member, &delivery->message->publication, &delivery->refusals);
    if (next == NULL)
        drop_forbidden(broker, delivery);
    else
        hand_over(broker, next, delivery);
}

/* A member left before it acknowledged, or may not have it. */
static void take_return(struct broker *broker, struct share_delivery *delivery)
{
    struct share_group *group = group_find(broker, delivery->group_hash);
    struct session_handle from = delivery->session;
    struct share_member *member;

    if (group == NULL) {
        drop(broker, delivery);
        return;
    }
    member = member_find(group, from);
    if (member != NULL && member->outstanding > 0)
        member->outstanding--;
    if (delivery->refused) {
        take_refused(broker, group, member, delivery);
        return;
    }
    member = pick(broker, group, &from, true);
    if (member == NULL)
        member = pick(broker, group, NULL, false); /* the one that returned it, perhaps */
    if (member == NULL)
        drop(broker, delivery);
    else
        hand_over(broker, member, delivery);
}

/* ---- members come and go ---- */

static void recall_from(struct broker *broker, const struct share_group *group,
                        struct session_handle session)
{
    share_post(broker, session.shard, MESH_SHARE_RECALL, group->hash, session, 0);
}

static void recall_offline(struct broker *broker, const struct share_group *group)
{
    for (uint32_t i = 0; i < group->count; i++)
        if (!group->members[i].connected)
            recall_from(broker, group, group->members[i].session);
}

static bool anyone_connected(const struct share_group *group)
{
    for (uint32_t i = 0; i < group->count; i++)
        if (group->members[i].connected)
            return true;
    return false;
}

static struct share_member *member_add(struct share_group *group)
{
    if (group->count == group->capacity) {
        uint32_t capacity = group->capacity == 0 ? 4 : group->capacity * 2;
        void *grown = mem_try_realloc(group->members, capacity * sizeof(*group->members));

        if (grown == NULL)
            return NULL;
        group->members = grown;
        group->capacity = capacity;
    }
    group->members[group->count] = (struct share_member){.connected = true};
    return &group->members[group->count++];
}

static void answer_join(struct broker *broker, unsigned shard, uint32_t op_serial, bool failed)
{
    if (shard_is_home(broker, shard))
        subscribe_op_share_ready(broker, op_serial, failed);
    else
        port_post(
            broker, shard,
            (struct mesh_entry){.kind = MESH_SHARE_READY, .number = op_serial, .flags = failed});
}

static void answer_when_known(struct broker *broker, const struct share_group *group,
                              const struct share_join *join)
{
    uint32_t announcement = (uint32_t)*topic_filter_tag(group->filter);
    struct share_pending *pending;

    if (broker->shard_count == 1 || interest_confirmed(broker, announcement)) {
        answer_join(broker, join->session.shard, join->op_serial, false);
        return;
    }
    pending = mem_alloc(sizeof(*pending));
    list_init(&pending->node);
    pending->announcement = announcement;
    pending->op_serial = join->op_serial;
    pending->shard = join->session.shard;
    list_append(&broker->share_joins, &pending->node);
}

static bool join_group(struct broker *broker, const struct share_join *join)
{
    struct share_group *group = group_find(broker, join->hash);
    struct share_member *member;
    bool alone;

    if (group == NULL)
        group = group_create(broker, join);
    if (group == NULL)
        return false;
    alone = !anyone_connected(group);
    member = member_find(group, join->session);
    if (member == NULL)
        member = member_add(group);
    if (member == NULL) {
        if (group->count == 0)
            group_destroy(broker, group);
        return false;
    }
    member->session = join->session;
    member->membership = join->membership;
    member->identifier = join->identifier;
    member->options = join->options;
    member->connected = true;
    answer_when_known(broker, group, join);
    if (alone)
        recall_offline(broker, group);
    return true;
}

void share_take_join(struct broker *broker, struct share_join *join)
{
    if (!join_group(broker, join))
        answer_join(broker, join->session.shard, join->op_serial, true);
    mem_free(join);
}

void share_joins_advance(struct broker *broker)
{
    while (!list_empty(&broker->share_joins)) {
        struct share_pending *pending =
            LIST_ENTRY(broker->share_joins.next, struct share_pending, node);

        if (!interest_confirmed(broker, pending->announcement))
            return;
        list_remove(&pending->node);
        answer_join(broker, pending->shard, pending->op_serial, false);
        mem_free(pending);
    }
}

static void member_left(struct broker *broker, struct share_group *group,
                        struct share_member *member)
{
    *member = group->members[--group->count];
    if (group->count == 0)
        group_destroy(broker, group);
}

static void member_state(struct broker *broker, struct share_group *group,
                         struct share_member *member, bool connected)
{
    bool alone = !anyone_connected(group);

    member->connected = connected;
    /* Somebody is there to take over. What the members that left before had was recalled then. */
    if (connected && alone)
        recall_offline(broker, group);
    else if (!connected && anyone_connected(group))
        recall_from(broker, group, member->session);
}

static void member_changed(struct broker *broker, unsigned from, const struct mesh_entry *entry)
{
    struct session_handle handle = {entry->number, entry->small, (uint16_t)from};
    struct share_group *group = group_find(broker, entry->value);
    struct share_member *member = group == NULL ? NULL : member_find(group, handle);

    if (member == NULL) {
        STAT_INC(broker->stats, stale_handle);
        return;
    }
    if (entry->kind == MESH_SHARE_LEAVE)
        member_left(broker, group, member);
    else if (entry->kind == MESH_SHARE_STATE)
        member_state(broker, group, member, entry->flags);
    else if (member->outstanding > 0)
        member->outstanding--;
}

void share_on_entry(struct broker *broker, unsigned from, const struct mesh_entry *entry)
{
    switch (entry->kind) {
    case MESH_SHARE_JOIN:
        share_take_join(broker, entry->pointer);
        break;
    case MESH_SHARE_READY:
        subscribe_op_share_ready(broker, entry->number, entry->flags);
        break;
    case MESH_SHARE_DELIVER:
        share_take_delivery(broker, entry->pointer);
        break;
    case MESH_SHARE_RETURN:
        take_return(broker, entry->pointer);
        break;
    case MESH_SHARE_RECALL:
        share_recall(broker, entry);
        break;
    default:
        member_changed(broker, from, entry);
        break;
    }
}

/* ---- the end ---- */

void share_discard(const struct mesh_entry *entry)
{
    if (entry->kind == MESH_SHARE_DELIVER || entry->kind == MESH_SHARE_RETURN) {
        struct share_delivery *delivery = entry->pointer;

        message_unref(delivery->message);
        mem_free(delivery);
    } else if (entry->kind == MESH_SHARE_JOIN) {
        mem_free(entry->pointer);
    }
}

void share_clear(struct broker *broker)
{
    while (!list_empty(&broker->share_joins)) {
        struct share_pending *pending =
            LIST_ENTRY(broker->share_joins.next, struct share_pending, node);

        list_remove(&pending->node);
        mem_free(pending);
    }
    for (unsigned i = 0; broker->groups.buckets != NULL && i < SHARE_BUCKETS; i++)
        while (broker->groups.buckets[i] != NULL)
            group_destroy(broker, broker->groups.buckets[i]);
    mem_free(broker->groups.buckets);
    broker->groups.buckets = NULL;
}
