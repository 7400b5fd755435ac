/* SPDX-License-Identifier: MIT
 *
 * machine_priv - what all shards of the process share.
 */
#ifndef SHARDMQ_SHARDS_MACHINE_PRIV_H
#define SHARDMQ_SHARDS_MACHINE_PRIV_H

#include "conf/conf.h"
#include "shards/limits.h"
#include "shards/machine.h"
#include "shards/mesh.h"
#include "shards/shard.h"
#include "shards/uring.h"

struct policy;
struct auth_http_set;
struct worker_pool;
struct listener_set;
struct tls_tickets;
struct plugin_host;

/* Class: boot, once the threads run, but for what says otherwise. */
struct machine {
    const struct machine_options *options;
    const struct conf *conf; /* of the start; each broker is told of newer ones */
    struct limits limits;
    struct uring_features features;
    struct mesh mesh;
    struct broker_shared *shared;
    struct shard_stats *stats; /* [shards + 1] */
    struct shard **shards;     /* [shards + 1], the control shard is the last */
    struct listener_set *listeners, *service_listeners; /* shard: the control shard's */
    struct tls_tickets *tickets;
    uint64_t tickets_due_ms; /* shard: when the control shard is to change them */
    struct worker_pool *workers;
    struct auth_http_set *auth_http; /* of the start, as is conf */
    const struct policy
        *policy; /* of the start, as is conf; the reference is the control shard's once it runs */
    struct plugin_host *plugins;
    struct bans *bans; /* the control shard's, but for the snapshot with which shards begin */
    _Atomic bool
        keep_listeners; /* shared: the control shard writes it before it stops the others */
    uint64_t random_seed, started_ms;
    /* the start: every thread says how it went, then waits for the others */
    pthread_barrier_t entered;
    _Atomic bool failed; /* shared */
};

static inline bool machine_has_service(const struct machine *machine)
{
    return machine->options->service != NULL && machine->conf->http_server_enable;
}

static inline unsigned control_index(const struct machine *machine)
{
    return machine->limits.shards;
}

/* Network connections open in the whole process; exact when nothing changes. */
static inline uint32_t machine_connections(const struct machine *machine)
{
    uint32_t sum = 0;

    for (unsigned i = 0; i < machine->limits.shards; i++)
        sum += atomic_load_explicit(&machine->shards[i]->connection_count, memory_order_relaxed);
    return sum;
}

#endif
