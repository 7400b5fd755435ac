/* SPDX-License-Identifier: MIT
 *
 * run_topics - a topic for each actor of a worker, which it subscribes to.
 */
#ifndef SHARDMQ_BENCH_RUN_TOPICS_H
#define SHARDMQ_BENCH_RUN_TOPICS_H

#include "bench/worker.h"

#define RUN_TOPIC_SIZE 96u

/* boot */
struct run_topics {
    char (*filters)[RUN_TOPIC_SIZE]; /* owned */
    const char **pointers;           /* owned */
};

/* Numbers the actors of `worker`, gives them `events` and `owner` and, with --subscribe, the
 * subscription to a topic of their own. */
void run_topics_init(struct run_topics *topics, struct worker *worker,
                     const struct actor_events *events, void *owner);
/* After the worker has ended. */
void run_topics_fini(struct run_topics *topics);

#endif
