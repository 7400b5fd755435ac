/* SPDX-License-Identifier: MIT
 *
 * traffic - publishers, receivers and the windows between them.
 *
 *   publisher --(its flows: one per topic)--> broker --> receiver (a subscriber, or a shared group)
 *       ^                                                   |
 *       +------- link: expected - received < window --------+
 *
 * A publisher counts on each of its links what that receiver is to get, the receiver counts what it
 * got. The publisher sends while the fullest of its links is below the window: so the broker always
 * has work, and no queue in it grows beyond what the windows add up to. It sends in pieces of a
 * quarter of its window, since single messages would measure system calls.
 *
 * Invariants
 *   T1  link->expected is written by the publisher's thread only, link->received by the receiver's
 *       only
 *   T2  flow->sent is raised before the message can reach anybody, so a number at or above it is
 *       forged
 */
#ifndef SHARDMQ_BENCH_TRAFFIC_H
#define SHARDMQ_BENCH_TRAFFIC_H

#include <stdatomic.h>

#include "bench/sequence.h"
#include "bench/template.h"
#include "bench/worker.h"

/* What one receiver lacks of one publisher. shared. */
struct link {
    _Alignas(64) _Atomic uint64_t expected;
    _Alignas(64) _Atomic uint64_t received;
    bool slow; /* boot: of a receiver that nobody waits for */
};

/* The messages of one publisher to one topic. */
struct flow {
    struct template template;            /* boot */
    _Atomic uint64_t sent;               /* by the publisher's thread; the next number */
    uint32_t first_target, target_count; /* in traffic->targets: the links that get its messages */
};

/* Touched by the thread of its client only. */
struct publisher {
    struct actor *actor;
    struct traffic *traffic;
    struct flow *flows;
    struct link *links;
    uint32_t flow_count, next_flow, link_count;
    uint64_t paced_next_ns; /* when the next message is to be sent, if paced */
};

/* What a receiver knows of one flow. Touched by the receiver's thread only. */
struct check {
    struct sequence sequence;
    struct link *link;
    uint16_t copies_max; /* subscriptions that match it; 0: it must not come here */
    uint16_t copies;     /* of the newest message so far */
};

/* A subscriber, or a whole shared group. Touched by one thread only. */
struct receiver {
    struct traffic *traffic;
    struct check *checks; /* of the flows flow_first .. flow_first + flow_count - 1 */
    uint32_t flow_first, flow_count;
    bool any_order;        /* members of a group are read one after the other */
    struct actor *slow;    /* reads at --slow_rate only; NULL: as fast as it can */
    uint64_t slow_next_ns; /* it may read again from then on */
};

/* boot, but for the atomic members of what it points to. */
struct traffic {
    struct load *load;
    struct worker *workers;
    struct publisher *publishers;
    struct receiver *receivers;
    struct flow *flows;
    struct link *links;
    struct check *checks;
    struct link **targets;
    char **texts; /* topics and filters, owned */
    uint32_t worker_count, publisher_count, subscriber_count, receiver_count, flow_count,
        link_count, text_count, slow_count; /* the first receivers are the slow ones */
    uint64_t window;                        /* UINT64_MAX: unbounded */
    uint64_t pace_gap_ns;                   /* between two messages of one publisher; 0: unpaced */
    uint32_t mark;
};

/* Events of the clients of publishers (owner: struct publisher) and receivers (struct receiver). */
extern const struct actor_events publisher_events, receiver_events;

/* The on_turn of a worker whose owner is a struct traffic: sends what may be sent. */
void traffic_turn(struct worker *worker);

/* Sets the times of the first paced messages, evenly spread over one period from start_ns. */
void traffic_pace(struct traffic *traffic, uint64_t start_ns);

/* Messages that some receiver still lacks: one of those that read slowly, or of the others. */
uint64_t traffic_outstanding(const struct traffic *traffic, bool slow);

/* Makes everything for the options of load, one worker per thread, clients not yet open. `traffic`
 * is zeroed. Returns false with a sentence in `error`; traffic_fini() is due either way. */
bool traffic_build(struct traffic *traffic, struct load *load, char *error, size_t error_size);
void traffic_fini(struct traffic *traffic);

/* How many connections that will be. */
uint64_t traffic_connections(const struct bench_options *options);

#endif
