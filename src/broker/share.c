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
 * Invariants
 *   I1  a message is in the hands of one member at a time, or on its way back to the owner
 *   I2  QoS 2 that a member has been sent stays with it: it finishes when the member is back
 *       [MQTT-4.8.2-4], and is given to nobody else when the session ends [MQTT-4.8.2-5]
 *   I3  an acknowledgement with an error code ends the delivery for the whole group [MQTT-4.8.2-6]
 *   I4  all deliveries of one publisher to one member take the same way, so their order is kept
 *   I5  a delivery is counted as matched once, when the first member takes it
 *
 * Members are named by session handle: one session has at most one seat in a group.
 */
#include "broker/share.h"

#include "base/hash.h"

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

/* From a member's shard to the owner. */
struct share_join {
    struct session_handle session;
    uint64_t hash;
    uint32_t membership, identifier, op_serial;
    uint8_t options;
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

struct share_delivery {
    struct message *message; /* one reference */
    struct session_handle session;
    uint64_t group_hash;
    uint32_t membership, identifier;
    uint8_t options;
    bool final;       /* queue it even though the member is offline: there is nobody else */
    bool matched;     /* delivery_matched has counted it: a member has taken it once (I5) */
    bool transmitted; /* message_out has counted it */
};

/* ---- memberships (member's shard) ---- */

static uint64_t group_hash(struct span share_name, struct span filter)
{
    return hash64(share_name.data, share_name.len) * 31 + hash64(filter.data, filter.len);
}

static unsigned owner_of(const struct broker *broker, uint64_t hash)
{
    return (unsigned)(hash % broker->shard_count);
}

struct membership *membership_create(struct span share_name, struct span filter)
{
    struct membership *membership =
        mem_try_zalloc(sizeof(*membership) + share_name.len + filter.len);

    if (membership == NULL)
        return NULL;
    membership->group_hash = group_hash(share_name, filter);
    membership->share_name_len = (uint16_t)share_name.len;
    membership->filter_len = filter.len;
    memcpy(membership->bytes, share_name.data, share_name.len);
    memcpy(membership->bytes + share_name.len, filter.data, filter.len);
    return membership;
}

struct membership *membership_find(const struct session *session, struct span share_name,
                                   struct span filter)
{
    for (uint32_t i = 0; i < session->subscription_count; i++) {
        struct membership *membership = session->subscriptions[i].membership;

        if (membership != NULL && span_equal(membership_share_name(membership), share_name) &&
            span_equal(membership_filter(membership), filter))
            return membership;
    }
    return NULL;
}

static struct membership *membership_by(const struct session *session, uint64_t hash, uint32_t id)
{
    for (uint32_t i = 0; i < session->subscription_count; i++) {
        struct membership *membership = session->subscriptions[i].membership;

        if (membership != NULL && (id != 0 ? membership->id == id : membership->group_hash == hash))
            return membership;
    }
    return NULL;
}

/* ---- groups (owner) ---- */

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

/* ---- delivering (member's shard) ---- */

static uint8_t lower(uint8_t a, uint8_t b)
{
    return a < b ? a : b;
}

static void to_session(struct broker *broker, struct routing *routing, struct session *session,
                       const struct share_delivery *delivery)
{
    uint8_t options = delivery->options;
    struct delivery_terms terms = {
        .qos = lower(routing->publication->qos, options & SUBSCRIBE_QOS),
        .retain = (options & SUBSCRIBE_RETAIN_AS_PUBLISHED) && routing->publication->retain,
        .identifier = delivery->identifier, /* of this copy [MQTT-3.3.4-5] */
        .share = delivery->membership,
        .transmitted = delivery->transmitted,
    };

    deliver(broker, routing, session, &terms);
}

static void post_compact(struct broker *broker, unsigned to, enum mesh_kind kind, uint64_t hash,
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

static void post_delivery(struct broker *broker, unsigned to, enum mesh_kind kind,
                          struct share_delivery *delivery)
{
    struct mesh_entry entry = {.kind = (uint8_t)kind, .pointer = delivery};

    if (shard_is_home(broker, to))
        share_on_entry(broker, to, &entry);
    else
        port_post(broker, to, entry);
}

/* A delivery that the owner handed over. A member that is offline or has unsubscribed meanwhile does not take it. */
static void take_delivery(struct broker *broker, struct share_delivery *delivery)
{
    struct session *session = session_table_get(&broker->sessions, delivery->session);
    struct routing routing;

    if (session == NULL || (session->connection == NULL && !delivery->final) ||
        membership_by(session, 0, delivery->membership) == NULL) {
        post_delivery(broker, owner_of(broker, delivery->group_hash), MESH_SHARE_RETURN, delivery);
        return;
    }
    routing_begin(&routing, &delivery->message->publication, delivery->message);
    routing.matched = !delivery->matched;
    to_session(broker, &routing, session, delivery);
    routing_end(broker, &routing);
    mem_free(delivery);
}

/* ---- handing over (owner) ---- */

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
        lower(delivery->message->publication.qos, member->options & SUBSCRIBE_QOS) > 0)
        member->outstanding++;
    post_delivery(broker, member->session.shard, MESH_SHARE_DELIVER, delivery);
}

void share_dispatch(struct broker *broker, struct routing *routing, void *argument)
{
    struct share_group *group = argument;
    struct share_member *member = pick(broker, group, NULL, true);
    struct share_delivery *delivery;
    struct message *message;

    if (member == NULL)
        member = pick(broker, group, NULL, false);
    if (member == NULL) {
        STAT_INC(broker->stats, unrouted);
        return;
    }
    if (member->connected && shard_is_home(broker, member->session.shard)) {
        struct session *session = session_table_get(&broker->sessions, member->session);

        if (session != NULL && session->connection != NULL) { /* the usual case, without a copy */
            struct share_delivery terms = {.options = member->options,
                                           .identifier = member->identifier,
                                           .membership = member->membership};

            if (broker->conf->mqtt_shared_strategy == CONF_SHARED_STRATEGY_LEAST_INFLIGHT &&
                lower(routing->publication->qos, member->options & SUBSCRIBE_QOS) > 0)
                member->outstanding++;
            routing->matched++;
            to_session(broker, routing, session, &terms);
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
    hand_over(broker, member, delivery);
}

/* A member left before it acknowledged. */
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
    member = pick(broker, group, &from, true);
    if (member == NULL)
        member = pick(broker, group, NULL, false); /* the one that returned it, perhaps */
    if (member == NULL)
        drop(broker, delivery);
    else
        hand_over(broker, member, delivery);
}

/* ---- giving back (member's shard) ---- */

/* Takes deliveries of this membership (0: of any) that the member has not begun out of its window
 * and returns them. */
static void give_back(struct broker *broker, struct session *session, uint32_t membership_id)
{
    struct window *window = &session->window;
    uint64_t end =
        window->tail; /* what an owner on this shard hands to this session comes behind it */

    for (uint64_t i = window->head; i < end; i++) {
        struct delivery *delivery = window_at(window, i);
        struct membership *membership;
        struct share_delivery *back;

        if (i < window->head) /* gone, and its place may have been taken */
            continue;
        if (delivery->share == 0 || (membership_id != 0 && delivery->share != membership_id))
            continue;
        /* Of QoS 2 nothing that has been encoded (I2): the kernel may have sent all of it although it
         * has not confirmed it. */
        if (delivery->state != DELIVERY_QUEUED &&
            !(delivery->state == DELIVERY_SENT && delivery->qos == 1 &&
              session->connection == NULL)) /* a client that is there will acknowledge it */
            continue;
        membership = membership_by(session, 0, delivery->share);
        back = membership == NULL ? NULL : mem_try_zalloc(sizeof(*back));
        if (back == NULL)
            continue;
        *back = (struct share_delivery){.message = delivery->message,
                                        .session = session->handle,
                                        .group_hash = membership->group_hash,
                                        .matched = true,
                                        .transmitted = delivery->transmitted};
        message_ref(back->message, 1);
        if (delivery->state == DELIVERY_QUEUED)
            broker->queue_bytes -= delivery->message->size;
        if (!delivery->transmitted)
            STAT_DEC(broker->stats, delivery_queued);
        window_finish(window, delivery);
        post_delivery(broker, owner_of(broker, back->group_hash), MESH_SHARE_RETURN, back);
        if (window->capacity == 0)
            return; /* it ran empty */
    }
}

static void share_leave(struct broker *broker, struct session *session,
                        struct membership *membership)
{
    if (membership->left)
        return;
    membership->left = true;
    post_compact(broker, owner_of(broker, membership->group_hash), MESH_SHARE_LEAVE,
                 membership->group_hash, session->handle, 0);
}

void share_give_up(struct broker *broker, struct session *session, struct membership *membership)
{
    share_leave(broker, session, membership);
    if (session->window.next < session->window.tail)
        give_back(broker, session, membership->id);
}

void share_leave_all(struct broker *broker, struct session *session)
{
    /* first all seats, or an owner on this shard could hand a delivery that comes back to this
     * session again */
    for (uint32_t i = 0; i < session->subscription_count; i++)
        if (session->subscriptions[i].membership != NULL)
            share_leave(broker, session, session->subscriptions[i].membership);
    give_back(broker, session, 0);
}

void share_done(struct broker *broker, const struct session *session, uint32_t membership_id)
{
    struct membership *membership;

    if (broker->conf->mqtt_shared_strategy != CONF_SHARED_STRATEGY_LEAST_INFLIGHT)
        return;
    membership = membership_by(session, 0, membership_id);
    if (membership != NULL)
        post_compact(broker, owner_of(broker, membership->group_hash), MESH_SHARE_DONE,
                     membership->group_hash, session->handle, 0);
}

void share_set_connected(struct broker *broker, struct session *session, bool connected)
{
    for (uint32_t i = 0; i < session->subscription_count; i++) {
        struct membership *membership = session->subscriptions[i].membership;

        if (membership != NULL)
            post_compact(broker, owner_of(broker, membership->group_hash), MESH_SHARE_STATE,
                         membership->group_hash, session->handle, connected);
    }
}

static void recall(struct broker *broker, const struct mesh_entry *entry)
{
    struct session_handle handle = {entry->number, entry->small, (uint16_t)broker->shard};
    struct session *session = session_table_get(&broker->sessions, handle);
    struct membership *membership =
        session == NULL ? NULL : membership_by(session, entry->value, 0);

    if (membership != NULL && session->connection == NULL)
        give_back(broker, session, membership->id);
}

/* ---- members come and go (owner) ---- */

static void recall_from(struct broker *broker, const struct share_group *group,
                        struct session_handle session)
{
    post_compact(broker, session.shard, MESH_SHARE_RECALL, group->hash, session, 0);
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

static void take_join(struct broker *broker, struct share_join *join)
{
    if (!join_group(broker, join))
        answer_join(broker, join->session.shard, join->op_serial, true);
    mem_free(join);
}

void share_join(struct broker *broker, struct session *session, struct membership *membership,
                uint32_t op_serial)
{
    size_t text = (size_t)membership->share_name_len + membership->filter_len;
    struct share_join *join = mem_alloc(sizeof(*join) + text);
    unsigned owner = owner_of(broker, membership->group_hash);

    *join = (struct share_join){
        .session = session->handle,
        .hash = membership->group_hash,
        .membership = membership->id,
        .identifier = membership->identifier,
        .op_serial = op_serial,
        .options = membership->options,
        .share_name_len = membership->share_name_len,
        .filter_len = membership->filter_len,
    };
    memcpy(join->bytes, membership->bytes, text);
    if (shard_is_home(broker, owner))
        take_join(broker, join);
    else
        port_post(broker, owner, (struct mesh_entry){.kind = MESH_SHARE_JOIN, .pointer = join});
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
        take_join(broker, entry->pointer);
        break;
    case MESH_SHARE_READY:
        subscribe_op_share_ready(broker, entry->number, entry->flags);
        break;
    case MESH_SHARE_DELIVER:
        take_delivery(broker, entry->pointer);
        break;
    case MESH_SHARE_RETURN:
        take_return(broker, entry->pointer);
        break;
    case MESH_SHARE_RECALL:
        recall(broker, entry);
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
