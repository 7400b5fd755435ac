/* SPDX-License-Identifier: MIT
 *
 * clients_priv - what the files of the load commands share.
 *
 *   clients.c       set-up, phases, the end and the summary
 *   clients_pub.c   which publisher sends when
 *   clients_sub.c   what arrives, checked as far as a receiver can who does not know the publishers
 *
 * Client i belongs to thread i mod threads.
 */
#ifndef SHARDMQ_BENCH_CLIENTS_PRIV_H
#define SHARDMQ_BENCH_CLIENTS_PRIV_H

#include "bench/due.h"
#include "bench/flows.h"
#include "bench/message_text.h"
#include "bench/monitor.h"
#include "bench/template.h"
#include "bench/worker.h"

/* One client of ours, beside its struct actor. Touched by the thread of its client only. */
struct loader {
    char *topic; /* owned; NULL for conn */
    const char *filters[1];
    struct template template; /* pub, but for texts that change with every message */
    struct message_text text; /* pub, with --payload */
    uint64_t number, due_ns;  /* of the next message */
    uint64_t *awaited_since;  /* owned; by packet identifier - 1, thread->identifiers of them */
    bool waits;               /* in thread->due or thread->stalled */
    bool settled;             /* its first attempt to connect has come to an end */
};

/* The clients of one thread. Touched by it only, but for the atomic members. */
struct clients_thread {
    struct clients_run *run;
    struct worker *worker;
    struct loader *loaders; /* by index in the worker */
    struct due due;         /* publishers, by when their next message is due */
    uint32_t *stalled;      /* publishers that the broker holds up */
    uint32_t stalled_count;
    uint32_t identifiers;     /* the most that a publisher uses; 0 with QoS 0 */
    struct flows flows;       /* sub */
    uint8_t *payload;         /* room for a text */
    _Atomic uint64_t settled; /* loaders whose first attempt has ended */
    _Atomic uint64_t lost;    /* clients that are gone for good */
    _Atomic uint64_t unacknowledged;
    _Atomic uint64_t unchecked; /* messages without a header of ours */
};

struct clients_run {
    struct load load;
    struct monitor monitor;
    struct worker *workers;
    struct clients_thread *threads;
    struct message_text text; /* of --payload */
    uint32_t thread_count;
    uint32_t flow_base;       /* of this process: flows of others have other numbers */
    bool group;               /* sub: all are members of one group */
    uint64_t gap_ns;          /* between two messages of one publisher; 0: as fast as it goes */
    _Atomic uint64_t claimed; /* messages, towards --limit */
    struct totals begin, end; /* of the measuring */
    uint64_t begin_ns, end_ns, start_ns, connected_ns;
    uint64_t away; /* --reconnect: clients that were not connected at the end */
    atomic_bool reason_written;
    char reason[256]; /* why the first connection was lost; written by one thread */
};

/* clients_pub.c */
extern const struct actor_events clients_pub_events;
void clients_publish(struct clients_thread *thread);
/* Counts what is unacknowledged or not written yet into thread->unacknowledged. */
void clients_count_unacknowledged(struct clients_thread *thread);

/* clients_sub.c */
extern const struct actor_events clients_sub_events;
void clients_sub_setup(void);

/* clients.c: for the events of both. */
void clients_on_ready(struct actor *actor);
void clients_on_closed(struct actor *actor, const char *why);

static inline uint32_t clients_index(const struct actor *actor)
{
    return (uint32_t)(actor - actor->worker->actors);
}

#endif
