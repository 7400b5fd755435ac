/* SPDX-License-Identifier: MIT
 *
 * worker - a small pool of threads for calls that block or that compute for long: hashing of passwords, private-key
 * operations, files. No shard ever waits for one.
 *
 *   shard                       pool                          shard
 *   worker_submit() -->  bounded ring, oldest first  -->  work->blocking() on one of the threads
 *     false: full                                             --inbox--> work->done()
 *
 * The ring takes from many threads and gives to many (after Vyukov's bounded queue): a cell has a turn, which says whose it is.
 *
 *   cell.turn == position                 free for whoever takes `position` to put something in
 *   cell.turn == position + 1             full, for whoever takes `position` to take something out
 *   cell.turn == position + size          free again, one round later
 *
 * A semaphore counts what can be taken: a worker with nothing to do waits for it, and posting it never waits.
 *
 * Invariants
 *   I1  done() is called exactly once for every work that was accepted, on the thread that submitted it
 *   I2  submitting takes no lock and never waits: a full ring is the answer "no", and the caller counts and refuses
 *   I3  after worker_pool_stop() no thread of the pool runs, and whatever was not begun went back abandoned
 *   I4  the semaphore is never higher than the number of full cells, plus one for each thread when the pool ends
 *
 * Rejected: a mutex with a condition variable (a worker that is preempted inside would hold up a shard), a queue for each
 * worker (what is behind a slow call would wait while others idle), an unbounded queue (memory, and answers nobody waits for).
 */
#ifndef SHARDMQ_SHARDS_WORKER_H
#define SHARDMQ_SHARDS_WORKER_H

#include "broker/work.h"
#include "shards/inbox.h"

#include <stddef.h>
#include <stdint.h>

struct worker_pool;

/* Starts `threads` threads, with room for `room` works that wait; rounded up to a power of two. They block every
 * signal that the caller has blocked, and have less weight than the shards where CPUs are short. NULL and the reason in
 * `why`. */
struct worker_pool *worker_pool_start(unsigned threads, uint32_t room, char *why, size_t size);

/* Any thread that has an inbox: has work->blocking() called, then work->done() by way of `back`. False: the ring is full,
 * and the work is still the caller's. */
bool worker_submit(struct worker_pool *pool, struct inbox *back, struct work *work);

/* When nobody submits any more and every inbox is still there: waits for calls that are under way, sends the rest back
 * abandoned, ends the threads. NULL is ignored. */
void worker_pool_stop(struct worker_pool *pool);

#endif
