/* SPDX-License-Identifier: MIT
 *
 * broker - everything one shard does with MQTT, without the machine: no sockets, threads or clock.
 *
 * Owner: shard. The machine calls in with the time, bytes, mesh entries and closed connections;
 * effects go out through ports.h, outboxes and the dirty list. The control shard has a broker too,
 * without sessions: it publishes $SYS with it.
 */
#ifndef SHARDMQ_BROKER_BROKER_H
#define SHARDMQ_BROKER_BROKER_H

#include "base/stats.h"
#include "broker/connection.h"
#include "broker/mesh.h"

struct banned;
struct policy;
struct conf;

/* What the brokers of one process share: single-writer atomics (broker/shared.h). Made once, before
 * the threads start; destroyed after they ended. */
struct broker_shared;
struct broker_shared *broker_shared_create(unsigned shard_count);
void broker_shared_destroy(struct broker_shared *shared);

struct broker_params {
    struct broker_shared *shared;
    unsigned shard;       /* own index; data shards are 0 .. shard_count - 1, the control shard is
                             shard_count */
    unsigned shard_count; /* data shards */
    const struct conf *conf;     /* stays valid until broker_configure() names another */
    const struct banned *banned; /* likewise, until broker_set_banned(); NULL: nobody */
    const struct policy *policy; /* likewise, until broker_set_policy(); NULL: there is none */
    struct shard_stats *stats;
    uint64_t random_seed;
    uint32_t session_limit; /* sessions of this shard */
    uint64_t queue_memory;  /* bytes that the queues of all sessions of this shard may hold */
    uint64_t now_ms, wall_ms;
    void *machine; /* for ports: broker_machine() */
};

struct broker *broker_create(const struct broker_params *params);
/* The end, after the threads have ended and every connection was closed, in three steps:
 * broker_clear() for every broker (sessions; it may still post), broker_discard() for every entry
 * left in a ring, broker_destroy(). */
void broker_clear(struct broker *broker);
void broker_destroy(struct broker *broker);
void *broker_machine(const struct broker *broker);

/* Time is an input: monotonic nanoseconds and wall clock milliseconds, read once per turn. */
void broker_set_clock(struct broker *broker, uint64_t now_ns, uint64_t wall_ms);
/* When the next timer is due (TIMER_NEVER: none); runs at most `limit` that are due. */
uint64_t broker_next_deadline(const struct broker *broker);
uint32_t broker_run_timers(struct broker *broker, uint32_t limit);
/* Work that was cut into batches and goes on next turn (retained scans, errands). True while there is
 * more.
 */
bool broker_run_batches(struct broker *broker);

/* A ring entry came from shard `from`. */
void broker_receive(struct broker *broker, unsigned from, const struct mesh_entry *entry);
/* Frees what an entry carries, for entries that are still in rings at the end. */
void broker_discard(const struct mesh_entry *entry);

/* The connections with output or a wish to be closed, linked by dirty_next; the list is then empty
 * and every connection's `dirty` is cleared by the caller as it takes it. */
struct connection *broker_take_dirty(struct broker *broker);

/* Frees a chunk that the machine took from an outbox. */
struct outbox_pool *broker_outbox_pool(struct broker *broker);

/* Applies a new configuration (options that change at run time). */
void broker_configure(struct broker *broker, const struct conf *conf);
/* The configuration in force; stays valid until the next broker_configure(). */
const struct conf *broker_conf(const struct broker *broker);

/* Who is not let in from now on (broker/banned.h); NULL: nobody. Connections that there are stay. */
void broker_set_banned(struct broker *broker, const struct banned *banned);

/* Who may do what from now on (broker/policy.h). */
void broker_set_policy(struct broker *broker, const struct policy *policy);

/* Shutdown: DISCONNECT 0x8B to 5.0 clients, close after flush, no wills. */
void broker_shutdown(struct broker *broker);

/* The home shard of a client identifier; the same in every shard of the process. */
unsigned broker_home_shard(struct span client_identifier, unsigned shard_count);

/* Publishes on behalf of the broker (control shard: $SYS). */
void broker_publish(struct broker *broker, struct span topic, struct span payload, uint8_t qos,
                    bool retain);
/* Control shard: true while somebody subscribes to $SYS topics. */
bool broker_sys_wanted(const struct broker *broker);

#endif
