/* SPDX-License-Identifier: MIT
 *
 * newcomer - connections that have not said who they are: from accept to a complete CONNECT.
 */
#ifndef SHARDMQ_SHARDS_NEWCOMER_H
#define SHARDMQ_SHARDS_NEWCOMER_H

#include "base/list.h"

#include <stdint.h>

struct conn;
struct shard;

enum newcomer_stage {
    NEWCOMER_SILENT, /* not a byte came */
    NEWCOMER_BEGUN,  /* a handshake (PROXY, TLS, WebSocket) or a CONNECT that is not complete */
    NEWCOMER_STAGES
};

/* Those of one stage, the one that is in it for longest first. Owner: shard. */
struct newcomer_queue {
    struct list list;
    uint32_t count;
};

#define NEWCOMER_BUCKETS 256u

/* The newcomers of a shard. Owner: shard. */
struct newcomers {
    struct newcomer_queue stages[NEWCOMER_STAGES];
    struct newcomer_address *addresses[NEWCOMER_BUCKETS]; /* chains, by a keyed hash */
};

void newcomers_init(struct newcomers *newcomers);

/* Accepted: it is silent. Kills it when there is no memory. */
void newcomer_enter(struct shard *shard, struct conn *conn);
/* A PROXY header told its address: from now on it counts for that one. */
void newcomer_has_address(struct shard *shard, struct conn *conn);
/* Bytes came: its handshake is under way. False when it was killed, for there are too many. */
bool newcomer_heard(struct shard *shard, struct conn *conn);
/* It is none any more: CONNECT is complete, or it ends. Harmless for one that is none. */
void newcomer_leave(struct shard *shard, struct conn *conn);

struct door_counts;
/* There is no room for another connection, of the listener that counts there or, if that is NULL, of any: the one that
 * is silent for longest gives way. False when none is. */
bool newcomers_make_room(struct shard *shard, const struct door_counts *listener);

#endif
