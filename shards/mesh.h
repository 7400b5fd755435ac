/* SPDX-License-Identifier: MIT
 *
 * mesh - the rings between all threads, and the protocol by which a thread goes to sleep and is
 * woken. The essay is in mesh.c.
 */
#ifndef SHARDMQ_SHARDS_MESH_H
#define SHARDMQ_SHARDS_MESH_H

#include "base/stats.h"
#include "broker/mesh.h"
#include "shards/spsc.h"

/* What a thread says about itself to those who post to it. */
enum mesh_rest {
    MESH_AWAKE,
    MESH_ASLEEP,         /* wake me when you post to me */
    MESH_ASLEEP_BLOCKED, /* and also when you take something out of a ring of mine: I have spilled
                            entries */
};

/* Class: shared. One per thread, alone on its cache line; written by its thread and, to MESH_AWAKE
 * only, by whoever wakes it. */
struct mesh_sleeper {
    _Alignas(CACHE_LINE) _Atomic uint32_t rest;
};

/* Class: boot, but for what its members say. */
struct mesh {
    unsigned count;     /* threads: data shards and the control shard, which is the last */
    struct spsc *rings; /* [from * count + to]; the diagonal has no elements */
    struct mesh_sleeper *sleepers; /* [thread] */
};

/* One end of the pair (this thread, peer). */
struct mesh_peer {
    struct spsc *out, *in;
    struct mesh_entry *spill; /* a circular list of what did not fit into `out` */
    uint32_t spill_first, spill_count, spill_capacity;
    bool touched; /* is in the list of those to look at in mesh_flush() */
    bool posted, congested, full;
};

/* Class: shard. The mesh as one thread sees it. */
struct mesh_port {
    struct mesh *mesh;
    struct shard_stats *stats;
    struct mesh_peer *peers; /* [thread]; the own one is unused */
    uint16_t *touched;
    unsigned self, touched_count;
    unsigned spilling;       /* peers with entries in the spill list */
    uint32_t congested_mark; /* spilled entries above which publishers are paused */
    uint32_t full_mark;      /* spilled entries above which QoS 0 is dropped */
    uint64_t relieved;       /* how often a peer stopped being congested */
    void (*wake)(void *argument, unsigned peer);
    void *wake_argument;
};

/* Rings for `shards` data shards and a control shard. depth[to]: elements, a power of two, of the
 * rings to shard `to`; control_depth: of those from and to the control shard. */
void mesh_create(struct mesh *mesh, unsigned shards, const uint32_t *depth, uint32_t control_depth);
/* Rings must be empty, or their entries discarded with mesh_take() by the caller. */
void mesh_destroy(struct mesh *mesh);

/* The view of thread `self`. `wake` is called from mesh_flush() to wake a sleeping peer. */
void mesh_port_open(struct mesh_port *port, struct mesh *mesh, unsigned self, uint32_t congested,
                    uint32_t full, struct shard_stats *stats,
                    void (*wake)(void *argument, unsigned peer), void *argument);
void mesh_port_close(struct mesh_port *port);

/* Stages one entry for `to`. Never fails. It becomes visible at the next mesh_flush(), or earlier.
 */
void mesh_post(struct mesh_port *port, unsigned to, struct mesh_entry entry);

/* Hands at most `limit` entries of each inbound ring to `receive`, oldest first; `receive` may
 * post. Returns how many there were. */
uint32_t mesh_drain(struct mesh_port *port, uint32_t limit,
                    void (*receive)(void *argument, unsigned from, const struct mesh_entry *entry),
                    void *argument);

/* Publishes what was staged, moves spilled entries up, and wakes the sleepers concerned: at most
 * one wake per peer. */
void mesh_flush(struct mesh_port *port);

/* True when there is something to drain, or spilled entries for which there is room. */
bool mesh_has_work(struct mesh_port *port);

/* Announces sleep. False, and awake again, when there is something to do after all. When true, wait
 * in the kernel and then call mesh_awake(). */
bool mesh_announce_sleep(struct mesh_port *port);
void mesh_awake(struct mesh_port *port);

/* Takes the next entry of any ring and spill list that nobody drains any more; for the end of the
 * process. */
bool mesh_take(struct mesh_port *port, struct mesh_entry *entry);

static inline enum mesh_rest mesh_rest(const struct mesh *mesh, unsigned thread)
{
    return (enum mesh_rest)atomic_load_explicit(&mesh->sleepers[thread].rest, memory_order_relaxed);
}

#endif
