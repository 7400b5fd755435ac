/* SPDX-License-Identifier: MIT
 *
 * worker - one thread of the load tool: its clients, and their loop.
 */
#ifndef SHARDMQ_BENCH_WORKER_H
#define SHARDMQ_BENCH_WORKER_H

#include <pthread.h>

#include "bench/actor.h"
#include "bench/histogram.h"
#include "bench/load.h"

#define WORKER_OPENING_MAX 64u
#define WORKER_LEAVE_NS    (2 * 1000000000ull) /* for brokers to close after DISCONNECT */
#define WORKER_IDLE_NS     (5 * 1000000ull)
#define WORKER_PACKET_MAX                                                                          \
    (512u * 1024u) /* accepted of a server, unless the run sends larger ones */

/* Counted by one thread, read by any: relaxed single-writer atomics. shared. */
struct tally {
    _Alignas(64) _Atomic uint64_t sent, received, received_bytes;
    _Atomic uint64_t copies;     /* of a message that several overlapping subscriptions matched */
    _Atomic uint64_t duplicates; /* copies that no subscription explains */
    _Atomic uint64_t late;       /* after a later one of the same flow */
    _Atomic uint64_t altered;    /* wrong payload, topic or QoS, or not meant for that receiver */
    _Atomic uint64_t ready, closed; /* acknowledged by the broker; ended, or never opened */
    _Atomic uint64_t ended;         /* of those that were ready */
    _Atomic uint64_t disconnects;   /* of them, not ended by us */
    _Atomic uint64_t missing;       /* gaps in the numbers of what arrived so far */
    _Atomic uint64_t unfinished; /* publishers with something unacknowledged; set while draining */
};

static inline void tally_add(_Atomic uint64_t *counter, uint64_t by)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + by,
                          memory_order_relaxed);
}

static inline uint64_t tally_get(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* Touched by its own thread, but for the tally. */
struct worker {
    struct load *load;
    void *owner; /* of on_turn and of the clients' events */
    /* Called once a turn, after the events; may lower wake_ns. */
    void (*on_turn)(struct worker *worker);
    struct driver driver;
    struct client_limits limits;
    struct actor *actors;
    uint32_t made, actor_count, opened, opening; /* actor_count: of those made, to be opened */
    uint32_t opening_max;                        /* connections under way at a time */
    uint64_t open_interval_ns;                   /* between the starts of two of them */
    uint64_t open_next_ns;
    uint64_t now_ns, wake_ns; /* the loop sleeps until then at most */
    uint32_t index;
    bool spin;
    pthread_t thread;
    struct histogram *latency;
    struct tally tally;
};

/* Makes a worker with `actor_count` actors (their number, events, owner and filters are the caller's to
 * fill in) for packets of at most packet_size_max bytes. It belongs to the thread that turns it. */
void worker_init(struct worker *worker, struct load *load, uint32_t index, uint32_t actor_count,
                 uint32_t packet_size_max);
/* Closes what is open and frees everything. */
void worker_fini(struct worker *worker);

/* One turn of the loop: waits, handles what happened, opens actors, calls on_turn. */
void worker_turn(struct worker *worker);

/* Starts a thread that turns until PHASE_STOP; worker_join() waits for it. */
void worker_start(struct worker *worker);
void worker_join(struct worker *worker);

/* On the worker's thread, which does it by itself when it ends: sends DISCONNECT from every actor and turns until the broker has closed them all, so that it has
 * taken everything that was sent; at most limit_ns. Nothing else is done any more. */
void worker_leave_all(struct worker *worker, uint64_t limit_ns);

#endif
