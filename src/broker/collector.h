/* SPDX-License-Identifier: MIT
 *
 * collector - a list of all shards: queries (broker/query.h) to each of them, their batches in order.
 *
 * Owner: shard (the control shard). The order of a list is that of the shards, and on each the one in which its
 * walk goes: the same for each request as long as nobody comes or goes, so that pages fit together.
 */
#ifndef SHARDMQ_BROKER_COLLECTOR_H
#define SHARDMQ_BROKER_COLLECTOR_H

#include "broker/query.h"

struct collector;

enum collector_end {
    COLLECTOR_COMPLETE,
    COLLECTOR_LATE,     /* a shard did not answer within COLLECTOR_WAIT_MS */
    COLLECTOR_NO_MEMORY /* here or on a shard */
};

enum collector_verdict {
    COLLECTOR_MORE,
    COLLECTOR_PAUSE, /* nothing more before collector_go_on() */
    COLLECTOR_STOP   /* nothing more at all: the collector ends without done() */
};

struct collector_receiver {
    /* A batch of records of one shard; they are valid during the call. */
    enum collector_verdict (*batch)(void *argument, const struct query *query);
    /* It is over, and the collector is gone. */
    void (*done)(void *argument, enum collector_end end);
    void *argument;
};

struct collector_plan {
    struct query_terms terms;
    uint64_t skip;  /* records before the first one that is wanted */
    uint64_t limit; /* QUERY_ALL: all of them */
    bool
        count; /* counts all records there are, before the first batch: collector_count(). With `skip` it
                       does so anyway. */
};

/* Begins, or waits until fewer than COLLECTORS_RUNNING are at work. Calls nothing of the receiver before it returns.
 * NULL when memory is gone, or too much is under way. `broker` is that of the control shard. */
struct collector *collector_start(struct broker *broker, const struct collector_plan *plan,
                                  const struct collector_receiver *receiver);
/* All records under the terms, without `skip` and `limit`; from the first batch on, and during done(). */
uint64_t collector_count(const struct collector *collector);
/* The receiver has room again. May call it. */
void collector_go_on(struct collector *collector);
/* Ends it; the receiver is not called any more. Not from within batch() or done(). */
void collector_cancel(struct collector *collector);

#define COLLECTORS_RUNNING 4u
#define COLLECTOR_WAIT_MS  5000u

#endif
