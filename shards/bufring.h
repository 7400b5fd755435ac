/* SPDX-License-Identifier: MIT
 *
 * bufring - the receive buffers of one shard: a ring from which the kernel takes a buffer when
 * bytes come, so that an idle connection holds none.
 *
 * Buffers lie one behind the other in memory and are given back in the order in which they were
 * taken, so that the kernel nearly always takes neighbours; bytes of one bundled receive then lie
 * in one piece.
 *
 * Invariants
 *   I1  a buffer is either in the ring (the kernel's) or lent to the handler of one completion
 *       (ours)
 *   I2  every buffer lent in a turn is back in the ring before the next enter that may need it, at
 *       the latest at the end of the turn: nobody keeps one
 *   I3  order[] holds the identifiers in ring order: the kernel takes them from `taken` on
 */
#ifndef SHARDMQ_SHARDS_BUFRING_H
#define SHARDMQ_SHARDS_BUFRING_H

#include "base/span.h"

#include <stddef.h>
#include <stdint.h>

struct uring;
struct bufring;

#define BUFRING_COUNT_MAX 32768u

/* `count` buffers (a power of two) of `size` bytes, registered with the ring. NULL and `why` on
 * failure. */
struct bufring *bufring_open(struct uring *ring, uint32_t count, uint32_t size, char *why,
                             size_t why_size);
/* After the ring it was registered with is closed, or when nothing is armed any more. */
void bufring_close(struct bufring *buffers);

/* The next piece of what a completion brought: `first` is the buffer of the completion, *left the
 * bytes not yet looked at (start with the result). Lowers *left; merges neighbours. Call until
 * *left is 0. Buffers go back with bufring_recycle(). */
struct span bufring_piece(struct bufring *buffers, uint16_t *first, uint32_t *left);

/* Gives back the buffers of a completion that used buffer `first` and brought `bytes` (0: the one
 * buffer). */
void bufring_recycle(struct bufring *buffers, uint16_t first, uint32_t bytes);

/* Makes recycled buffers available to the kernel. */
void bufring_publish(struct bufring *buffers);

size_t bufring_memory(uint32_t count, uint32_t size);

#endif
