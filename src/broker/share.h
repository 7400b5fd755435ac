/* SPDX-License-Identifier: MIT
 *
 * share - shared subscriptions (MQTT 5.0, 4.8.2): see share.c.
 */
#ifndef SHARDMQ_BROKER_SHARE_H
#define SHARDMQ_BROKER_SHARE_H

#include "broker/deliver.h"

/* A session's seat in a share group. Owner: the session's shard. */
struct membership {
    uint64_t group_hash; /* of "share name/filter": names the group at its owner shard */
    uint32_t id;         /* unique in the session: what deliveries are marked with */
    uint32_t identifier;
    uint8_t options;
    bool left; /* the owner has been told that the seat is given up */
    uint16_t share_name_len;
    uint32_t filter_len;
    uint8_t bytes[]; /* share name, then filter */
};

static inline struct span membership_share_name(const struct membership *membership)
{
    return span_of(membership->bytes, membership->share_name_len);
}

static inline struct span membership_filter(const struct membership *membership)
{
    return span_of(membership->bytes + membership->share_name_len, membership->filter_len);
}

struct membership *membership_create(struct span share_name, struct span filter);
/* The session's membership in that group, NULL when it has none. */
struct membership *membership_find(const struct session *session, struct span share_name,
                                   struct span filter);

/* On the group's shard: gives the message to one member. */
void share_dispatch(struct broker *broker, struct routing *routing, void *group);

#endif
