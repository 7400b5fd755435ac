/* SPDX-License-Identifier: MIT
 *
 * share_member - shared subscriptions on the shard of a member: its seats, what the owner hands over, what goes back.
 * share.c has the picture and the invariants.
 */
#include "broker/share_priv.h"

#include "base/hash.h"
#include "broker/authz_priv.h"

/* ---- memberships ---- */

static uint64_t group_hash(struct span share_name, struct span filter)
{
    return hash64(share_name.data, share_name.len) * 31 + hash64(filter.data, filter.len);
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

/* ---- delivering ---- */

void share_to_session(struct broker *broker, struct routing *routing, struct session *session,
                      const struct share_delivery *delivery)
{
    uint8_t options = delivery->options;
    struct delivery_terms terms = {
        .qos = share_lower(routing->publication->qos, options & SUBSCRIBE_QOS),
        .retain = (options & SUBSCRIBE_RETAIN_AS_PUBLISHED) && routing->publication->retain,
        .identifier = delivery->identifier, /* of this copy [MQTT-3.3.4-5] */
        .share = delivery->membership,
        .transmitted = delivery->transmitted,
    };

    deliver(broker, routing, session, &terms);
}

/* A delivery that the owner handed over. A member that is offline or has unsubscribed meanwhile does not take it. */
void share_take_delivery(struct broker *broker, struct share_delivery *delivery)
{
    struct session *session = session_table_get(&broker->sessions, delivery->session);
    struct routing routing;

    if (session == NULL || (session->connection == NULL && !delivery->final) ||
        membership_by(session, 0, delivery->membership) == NULL) {
        share_post_delivery(broker, share_owner_of(broker, delivery->group_hash), MESH_SHARE_RETURN,
                            delivery);
        return;
    }
    if (UNLIKELY(broker->authz_active) &&
        !authz_may_receive(broker, session, &delivery->message->publication)) {
        delivery->refused = true;
        share_post_delivery(broker, share_owner_of(broker, delivery->group_hash), MESH_SHARE_RETURN,
                            delivery);
        return;
    }
    routing_begin(&routing, &delivery->message->publication, delivery->message);
    routing.matched = !delivery->matched;
    share_to_session(broker, &routing, session, delivery);
    routing_end(broker, &routing);
    mem_free(delivery);
}

/* ---- giving back ---- */

/* Takes a delivery out of the window and returns it to the owner of its group. False when it cannot be. */
static bool give_back_one(struct broker *broker, struct session *session, struct delivery *delivery,
                          bool refused)
{
    struct membership *membership = membership_by(session, 0, delivery->share);
    struct share_delivery *back = membership == NULL ? NULL : mem_try_zalloc(sizeof(*back));

    if (back == NULL)
        return false;
    *back = (struct share_delivery){.message = delivery->message,
                                    .session = session->handle,
                                    .group_hash = membership->group_hash,
                                    .matched = true,
                                    .transmitted = delivery->transmitted,
                                    .refused = refused};
    message_ref(back->message, 1);
    if (delivery->state == DELIVERY_QUEUED)
        broker->queue_bytes -= delivery->message->size;
    if (!delivery->transmitted)
        STAT_DEC(broker->stats, delivery_queued);
    window_finish(&session->window, delivery);
    share_post_delivery(broker, share_owner_of(broker, back->group_hash), MESH_SHARE_RETURN, back);
    return true;
}

bool share_refuse(struct broker *broker, struct session *session, struct delivery *delivery)
{
    /* nothing of QoS 2 that has been encoded (I2) */
    return (delivery->state == DELIVERY_QUEUED || delivery->qos == 1) &&
           give_back_one(broker, session, delivery, true);
}

/* Takes deliveries of this membership (0: of any) that the member has not begun out of its window
 * and returns them. */
static void give_back(struct broker *broker, struct session *session, uint32_t membership_id)
{
    struct window *window = &session->window;
    uint64_t end =
        window->tail; /* what an owner on this shard hands to this session comes behind it */

    for (uint64_t i = window->head; i < end; i++) {
        struct delivery *delivery = window_at(window, i);

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
        if (!give_back_one(broker, session, delivery, false))
            continue;
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
    share_post(broker, share_owner_of(broker, membership->group_hash), MESH_SHARE_LEAVE,
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
        share_post(broker, share_owner_of(broker, membership->group_hash), MESH_SHARE_DONE,
                   membership->group_hash, session->handle, 0);
}

void share_set_connected(struct broker *broker, struct session *session, bool connected)
{
    for (uint32_t i = 0; i < session->subscription_count; i++) {
        struct membership *membership = session->subscriptions[i].membership;

        if (membership != NULL)
            share_post(broker, share_owner_of(broker, membership->group_hash), MESH_SHARE_STATE,
                       membership->group_hash, session->handle, connected);
    }
}

void share_recall(struct broker *broker, const struct mesh_entry *entry)
{
    struct session_handle handle = {entry->number, entry->small, (uint16_t)broker->shard};
    struct session *session = session_table_get(&broker->sessions, handle);
    struct membership *membership =
        session == NULL ? NULL : membership_by(session, entry->value, 0);

    if (membership != NULL && session->connection == NULL)
        give_back(broker, session, membership->id);
}

/* ---- joining ---- */

void share_join(struct broker *broker, struct session *session, struct membership *membership,
                uint32_t op_serial)
{
    size_t text = (size_t)membership->share_name_len + membership->filter_len;
    struct share_join *join = mem_alloc(sizeof(*join) + text);
    unsigned owner = share_owner_of(broker, membership->group_hash);

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
        share_take_join(broker, join);
    else
        port_post(broker, owner, (struct mesh_entry){.kind = MESH_SHARE_JOIN, .pointer = join});
}
