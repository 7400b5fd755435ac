/* SPDX-License-Identifier: MIT
 *
 * flows - the sequence checks of receivers that do not know who will publish: a hash table from
 * (receiver, flow) to what has arrived.
 *
 * The first message of a flow that a receiver gets begins the count, since earlier ones were sent
 * before it subscribed: only gaps behind it are missing messages.
 */
#ifndef SHARDMQ_BENCH_FLOWS_H
#define SHARDMQ_BENCH_FLOWS_H

#include "bench/sequence.h"

/* So many pairs of receiver and publisher are checked; the messages of others are only counted. */
#define FLOWS_MAX (1u << 22)

struct flow_check {
    uint64_t first; /* number with which it began; set by the user */
    uint64_t key;   /* receiver and flow; 0 with `used` unset: empty */
    struct sequence sequence;
    bool used, begun; /* begun: for the user, false when new */
};

/* Touched by one thread only. Zeroed is a valid start. */
struct flows {
    struct flow_check *slots; /* owned */
    uint32_t capacity, count; /* capacity: a power of two */
};

/* The check of one flow at one receiver; made when it is new. NULL: there are too many. Valid until
 * the next call. */
struct flow_check *flows_find(struct flows *flows, uint32_t receiver, uint32_t flow);

void flows_fini(struct flows *flows);

#endif
