/* SPDX-License-Identifier: MIT
 *
 * shard - one thread with its ring, its connections and its broker. The control shard is one as
 * well.
 */
#ifndef SHARDMQ_SHARDS_SHARD_H
#define SHARDMQ_SHARDS_SHARD_H

#include "base/timer.h"
#include "broker/broker.h"
#include "shards/conn_io.h"
#include "shards/http_client.h"
#include "shards/inbox.h"
#include "shards/limits.h"
#include "shards/mesh.h"
#include "shards/uring.h"

#include <pthread.h>
#include <sys/uio.h>

struct bufring;
struct listener;
struct machine;

/* Where a shard is in its life. Class: shared; written by the shard, read by the control shard's
 * watchdog. */
enum shard_phase {
    SHARD_SERVING,
    SHARD_CLOSING, /* the shutdown began: no new connections, output is being flushed */
    SHARD_CLOSED,  /* all connections are gone; the mesh is still served */
    SHARD_ENDED    /* the thread is to return */
};

#define COMPLETIONS_AT_ONCE 128u
#define IOVECS_PER_SEND     64u
#define SEND_VECTORS        8192u /* iovecs of one submission; for more it submits in between */
#define SEND_HEADERS        512u

/* Requests prepared and not yet known to be complete: see conn_send.c. */
struct send_batch {
    struct send_note {
        uint32_t slot, position;
    } * notes;
    uint32_t count, capacity;
    struct iovec *vectors;
    struct msghdr *headers;
    uint32_t vectors_used, headers_used;
};

/* Class: shard, but for what says otherwise. */
struct shard {
    unsigned index;
    struct machine *machine;
    const struct shard_limits *limits; /* boot */
    struct uring *ring;
    struct bufring *buffers; /* NULL on the control shard */
    struct broker *broker;
    struct shard_stats *stats; /* shared */
    struct mesh_port mesh;
    struct inbox inbox; /* shared: what foreign threads hand in */
    struct conns conns;
    struct send_batch sends;
    struct http_client http;     /* requests of its own */
    struct auth_http *auth_http; /* NULL: no backend is asked over HTTP */
    uint64_t auth_http_changes;
    struct timers timers; /* the machine's own; the broker has another set */

    uint64_t now_ns, now_ms; /* read once per turn */
    uint64_t wall_ms;
    int64_t wall_offset_ms;
    uint64_t wall_read_ms;
    uint64_t turn_began_ns; /* 0: not in a turn */
    uint64_t busy_rest_ns;  /* less than a microsecond, not yet in loop_busy_us */
    uint64_t last_work_ns;
    uint64_t mesh_relieved_seen;

    struct listener *listeners;
    unsigned listener_count;
    bool listening; /* from the first listeners on until listener_stop() */
    int event_fd;   /* wakes it: foreign threads, and peers when there are no ring messages */
    uint64_t event_value;
    enum shard_phase phase;
    uint16_t shutdown_step; /* the last one that was asked for */
    int reserve_fd;         /* given up to answer somebody when no descriptor is left */
    struct timer accept_retry;

    /* The control shard's part: entries for the machine, and what it does when a turn is over. NULL
     * on data shards, but for end_of_turn during the shutdown. */
    void (*control_entry)(struct shard *shard, unsigned from, const struct mesh_entry *entry);
    void (*end_of_turn)(struct shard *shard);

    pthread_t thread;
    bool thread_started;
    /* shared: this shard writes, others read */
    _Alignas(CACHE_LINE) _Atomic uint64_t heartbeat; /* see shard_beat() */
    _Atomic uint32_t connection_count;
    uint64_t asked_ms; /* the control shard's: when it sent the last MESH_BEAT; 0: never */
};

/* Says that the shard begins a turn at now_ms, or that it is about to wait in the kernel: one that
 * waits may do so for ever and is well, one that works must come back for its next turn. */
static inline void shard_beat(struct shard *shard, bool waits)
{
    atomic_store_explicit(&shard->heartbeat, shard->now_ms << 1 | waits, memory_order_relaxed);
}

/* The shard whose thread this is; NULL outside. */
extern _Thread_local struct shard *shard_current;

#define ASSERT_ON_SHARD(shard) ASSERT((shard) == shard_current)

/* Prepares a shard, on any thread; its connections speak `protocol`. The ring itself is opened by shard_enter(). */
void shard_init(struct shard *shard, struct machine *machine, unsigned index,
                const struct shard_limits *limits, struct shard_stats *stats,
                const struct conn_protocol *protocol);
/* On the shard's own thread: opens ring, buffers, mesh port and broker. 0, or -1 and the reason in
 * `why`. */
int shard_enter(struct shard *shard, char *why, size_t size);
/* After all threads ended (a peer may wake a ring until then): closes ring and buffers. The broker
 * and the mesh port stay for shard_fini(). */
void shard_leave(struct shard *shard);
/* After all threads ended. */
void shard_fini(struct shard *shard);

/* Starts the thread of a data shard, and waits for its end. */
int shard_start(struct shard *shard);
void shard_join(struct shard *shard);

/* The entries of the mesh that are for the machine: hand-overs, configuration, shutdown. */
void shard_machine_entry(struct shard *shard, unsigned from, const struct mesh_entry *entry);

/* Has a worker make a blocking call; work->done() is then called on this shard. False, and counted: the queue of the workers
 * is full, and the work is still the caller's. */
bool shard_work(struct shard *shard, struct work *work);

/* Posts for the machine itself. */
void shard_post(struct shard *shard, unsigned to, enum mesh_kind kind, uint16_t small,
                void *pointer);

#endif
