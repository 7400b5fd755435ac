/* SPDX-License-Identifier: MIT
 *
 * work - what crosses between a shard's thread and those that may block: calls that a worker makes for a shard
 * (shards/worker.h), and whatever else a foreign thread hands to one (shards/inbox.h). From src/broker both are reached
 * through ports.h.
 */
#ifndef SHARDMQ_BROKER_WORK_H
#define SHARDMQ_BROKER_WORK_H

#include <stdbool.h>

struct broker;
struct inbox;

/* To be done on a shard's thread. Class: wire; it belongs to whoever made it until it is posted, and to run() from then
 * on. Embedded in what it is about. */
struct inbox_item {
    struct inbox_item *next; /* the inbox's */
    void (*run)(struct broker *broker, struct inbox_item *item);
};

/* A blocking call. Class: wire. Until done() it belongs to the worker: whoever submitted it touches nothing of it, and
 * names what may be gone by then (a connection, an attempt) by a handle in it. It has copies or counted references of
 * everything that blocking() reads. */
struct work {
    struct inbox_item item; /* the way back; both are the pool's */
    struct inbox *back;
    /* On a worker's thread: no broker, no session. May block and take as long as it needs. */
    void (*blocking)(struct work *work);
    /* On the thread that submitted it; frees it. Called exactly once for each work that was accepted, also at
     * the end of the process; then blocking() may not have been called. */
    void (*done)(struct broker *broker, struct work *work);
    bool abandoned; /* blocking() was not called: the process ends */
};

#endif
