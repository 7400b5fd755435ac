/* SPDX-License-Identifier: MIT
 *
 * inbox - how a thread that is no shard hands something to one: workers with an answer, plug-ins.
 *
 * Shards among themselves use the mesh, whose rings have one producer each. Here any thread may post, at any time, and
 * whoever posts never waits:
 *
 *   any thread                                      the shard
 *   inbox_post: item->next = newest                 turn of the loop: newest = NULL (one exchange),
 *               newest = item  (compare, exchange)                    oldest first, item->run()
 *               asleep? eventfd ------------------> its ring has a read on that descriptor
 *
 * Sleeping is the mesh's protocol (shards/mesh.c, I3), with the same word: the shard says that it sleeps and looks
 * once more, also into its inbox; whoever posts looks at that word after the item can be seen. One of the two sees what the other
 * wrote.
 *
 * Invariants
 *   I1  every item that was posted is run exactly once, on the shard's thread, in the order in which its thread posted
 *   I2  the shard takes all items at once: nobody else ever takes one, so `newest` cannot come back to a value that a
 *       poster has read while the list behind it has changed (no ABA)
 *   I3  a shard does not wait in the kernel while an item can be seen, unless a wake is on its way
 *   I4  a poster never takes the announcement back, as a peer in the mesh does: it may be stopped before it writes, for it
 *       has less weight than the shards, and peers would rely on its wake. Several may then wake the same sleeper, which
 *       costs a write each
 *
 * It has no limit of its own: what is in it was accepted before by something that has one (the workers' queue, the
 * attempts of authn.h). Rejected: a ring for each foreign thread (there is no telling how many), a mutex (a
 * poster that is preempted would stop the shard), MSG_RING (a foreign thread has no ring to send it with).
 */
#ifndef SHARDMQ_SHARDS_INBOX_H
#define SHARDMQ_SHARDS_INBOX_H

#include "base/check.h"
#include "broker/work.h"

#include <stdatomic.h>
#include <stdint.h>

/* Class: shared; any thread writes `newest`. The rest is boot. */
struct inbox {
    _Alignas(CACHE_LINE) _Atomic(struct inbox_item *) newest;
    _Atomic uint32_t *rest; /* enum mesh_rest of the thread that it belongs to */
    int event_fd;           /* wakes that thread; it has a read on it in its ring */
};

/* Empty; before anybody posts. `rest` and the descriptor stay the caller's. */
void inbox_open(struct inbox *inbox, _Atomic uint32_t *rest, int event_fd);

/* Any thread. The item is the inbox's from here on, and run() frees it. */
void inbox_post(struct inbox *inbox, struct inbox_item *item);

/* On the shard's thread. */
static inline bool inbox_ready(const struct inbox *inbox)
{
    return atomic_load_explicit(&inbox->newest, memory_order_relaxed) != NULL;
}

/* On the shard's thread: runs what was there when it began; returns how many. */
uint32_t inbox_run(struct inbox *inbox, struct broker *broker);

#endif
