/* SPDX-License-Identifier: MIT
 *
 * What the owner's side (share.c) and the member's side (share_member.c) of shared subscriptions send each other.
 */
#ifndef SHARDMQ_BROKER_SHARE_PRIV_H
#define SHARDMQ_BROKER_SHARE_PRIV_H

#include "broker/share.h"

/* From a member's shard to the owner. Class: wire. */
struct share_join {
    struct session_handle session;
    uint64_t hash;
    uint32_t membership, identifier, op_serial;
    uint8_t options;
    uint16_t share_name_len;
    uint32_t filter_len;
    uint8_t bytes[];
};

/* A message on its way to a member, or back. Class: wire. */
struct share_delivery {
    struct message *message; /* one reference */
    struct session_handle session;
    uint64_t group_hash;
    uint32_t membership, identifier;
    uint8_t options;
    bool final;        /* queue it even though the member is offline: there is nobody else */
    bool matched;      /* delivery_matched has counted it: a member has taken it once (I5) */
    bool transmitted;  /* message_out has counted it */
    bool refused;      /* on its way back: the member may not have it (authz.h) */
    uint32_t refusals; /* by how many members before */
};

/* The shard that owns the group of that hash. */
static inline unsigned share_owner_of(const struct broker *broker, uint64_t hash)
{
    return (unsigned)(hash % broker->shard_count);
}

static inline uint8_t share_lower(uint8_t a, uint8_t b)
{
    return a < b ? a : b;
}

/* Sends a notice of the group and a session, or a delivery, which is the other side's from then on; on the same shard
 * it is taken at once. (share.c) */
void share_post(struct broker *broker, unsigned to, enum mesh_kind kind, uint64_t hash,
                struct session_handle session, uint8_t flags);
void share_post_delivery(struct broker *broker, unsigned to, enum mesh_kind kind,
                         struct share_delivery *delivery);
/* On the owner's shard: a member comes. Frees `join`. (share.c) */
void share_take_join(struct broker *broker, struct share_join *join);

/* ---- share_member.c: on the member's shard ---- */
/* Delivers to a member, as the terms in `delivery` say. */
void share_to_session(struct broker *broker, struct routing *routing, struct session *session,
                      const struct share_delivery *delivery);
/* A delivery that the owner handed over; owns it. */
void share_take_delivery(struct broker *broker, struct share_delivery *delivery);
/* The owner asks an offline member for what it has not begun. */
void share_recall(struct broker *broker, const struct mesh_entry *entry);

#endif
