/* SPDX-License-Identifier: MIT
 *
 * shared - the few words that brokers of different shards read of each other.
 *
 * Class: shared. Row p is written by shard p alone.
 *
 * `retain_posted[o]` of row p counts the retained messages that p has posted to their owner o (itself included). A
 * subscriber's shard reads the column of an owner into its query, and the owner answers when it has
 * taken that many from each ring: so whatever was acknowledged before the subscription is in the
 * answer (retain_flow.c, I2).
 *
 * The sums `retain_posted_all` less `retain_taken_all` are the retained messages on their way to an owner: the limits
 * count them as stored.
 */
#ifndef SHARDMQ_BROKER_SHARED_H
#define SHARDMQ_BROKER_SHARED_H

#include "auth/login_cache.h"
#include "auth/slow_down.h"
#include "base/check.h"
#include "topic/tree.h"

#include <stdatomic.h>
#include <stdint.h>

struct shared_row {
    _Alignas(CACHE_LINE) _Atomic uint32_t retain_posted[TOPIC_SHARDS_MAX];
    _Atomic uint32_t retain_posted_all,
        retain_taken_all;                            /* by this shard, to and from all others */
    _Atomic uint64_t retained_count, retained_bytes; /* stored on this shard */
};

struct broker_shared {
    unsigned rows;                    /* data shards and the control shard */
    struct login_secret login_secret; /* boot */
    struct slow_down *slow_down;      /* boot; what is in it is shared, and has many writers */
    struct shared_row row[];
};

#endif
