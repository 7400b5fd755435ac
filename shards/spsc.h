/* SPDX-License-Identifier: MIT
 *
 * spsc - a bounded ring of 16-byte elements from one producing thread to one consuming thread.
 *
 * What it is: the only way data moves between two shards. There is one ring for each ordered pair
 * of threads (mesh.c), so neither end ever contends with a third party and no read-modify-write is
 * needed.
 *
 *        head (consumer)            tail (producer)      staged
 *          v                          v                    v
 *   +------+---+---+---+---+---+------+----+---+---+-------+------+
 *   | free | published: may be read   | written, not visible yet | free |
 *   +------+---+---+---+---+---+------+----+---+---+-------+------+
 *
 * The producer stages elements and publishes them together: one release store for a batch, so that
 * the cache line of the tail moves once per batch and not once per element (measured: 16 ns an
 * element one by one, 2.6 ns by sixteen). The consumer looks at a run of elements in place and
 * gives the whole run back at once.
 *
 * Each side keeps a copy of the other side's index and reads the real one, which lives in the other
 * core's cache, only when the copy says "full" or "empty".
 *
 * Indices run freely over 32 bits and are masked on use; the capacity is a power of two.
 *
 * Invariants
 *   I1  head <= tail <= staged <= head + capacity (as differences modulo 2^32)
 *   I2  tail and staged are written by the producer only, head by the consumer only
 *   I3  elements in [head, tail) are immutable until head passes them: the producer's release store
 *       of the tail makes them visible, the consumer's release store of the head gives the slots
 *       back
 *   I4  head_seen <= head and tail_seen <= tail: a copy is at worst too careful
 *
 * Rejected: one index word with a valid bit per slot (touches the payload's line to learn "empty"),
 * and pushing without a staging area (the tail's line then bounces per element).
 */
#ifndef SHARDMQ_SHARDS_SPSC_H
#define SHARDMQ_SHARDS_SPSC_H

#include "base/check.h"
#include "base/mem.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define SPSC_ELEMENT 16u /* bytes */

struct spsc_element {
    _Alignas(SPSC_ELEMENT) uint8_t bytes[SPSC_ELEMENT];
};

/* Class: shared. */
struct spsc {
    /* the producer's line; `tail` is read by the consumer */
    _Alignas(CACHE_LINE) _Atomic uint32_t tail;
    uint32_t staged;
    uint32_t head_seen;
    /* the consumer's line; `head` is read by the producer */
    _Alignas(CACHE_LINE) _Atomic uint32_t head;
    uint32_t tail_seen;
    /* never changes */
    _Alignas(CACHE_LINE) struct spsc_element *elements;
    uint32_t mask;
};

/* `capacity` is a power of two. Panics when memory is gone: rings exist from start-up on. */
static inline void spsc_init(struct spsc *ring, uint32_t capacity)
{
    ASSERT(capacity >= 2 && (capacity & (capacity - 1)) == 0);
    memset(ring, 0, sizeof(*ring));
    ring->elements = mem_zalloc_aligned((size_t)capacity * SPSC_ELEMENT);
    ring->mask = capacity - 1;
}

static inline void spsc_fini(struct spsc *ring)
{
    mem_free(ring->elements);
    ring->elements = NULL;
}

static inline uint32_t spsc_capacity(const struct spsc *ring)
{
    return ring->mask + 1;
}

/* Producer: room for at least one more element? */
static inline bool spsc_has_room(struct spsc *ring)
{
    if (LIKELY(ring->staged - ring->head_seen <= ring->mask))
        return true;
    ring->head_seen = atomic_load_explicit(&ring->head, memory_order_acquire); /* I4 */
    return ring->staged - ring->head_seen <= ring->mask;
}

/* Producer: writes one element behind the published ones. False when the ring is full. */
static inline bool spsc_stage(struct spsc *ring, const void *element)
{
    if (UNLIKELY(!spsc_has_room(ring)))
        return false;
    memcpy(ring->elements[ring->staged & ring->mask].bytes, element, SPSC_ELEMENT);
    ring->staged++;
    return true;
}

/* Any thread: elements that are published and not yet given back; a moment's picture. */
static inline uint32_t spsc_depth(const struct spsc *ring)
{
    uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    uint32_t depth = atomic_load_explicit(&ring->tail, memory_order_relaxed) - head;

    return depth <= ring->mask + 1 ? depth : 0; /* the two are not read at once */
}

/* Producer: elements that are staged and not yet published. */
static inline uint32_t spsc_unpublished(const struct spsc *ring)
{
    return ring->staged - atomic_load_explicit(&ring->tail, memory_order_relaxed);
}

/* Producer: makes everything staged visible. */
static inline void spsc_publish(struct spsc *ring)
{
    atomic_store_explicit(&ring->tail, ring->staged, memory_order_release); /* I3 */
}

/* Consumer: is something there? Exact at the time of the call. */
static inline bool spsc_ready(struct spsc *ring)
{
    uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);

    if (ring->tail_seen != head)
        return true;
    ring->tail_seen = atomic_load_explicit(&ring->tail, memory_order_acquire); /* I4 */
    return ring->tail_seen != head;
}

/* Consumer: up to `limit` elements that lie one behind the other in memory; *first is the oldest. 0
 * when the ring is empty. They stay valid until spsc_release(). */
static inline uint32_t spsc_peek(struct spsc *ring, const struct spsc_element **first,
                                 uint32_t limit)
{
    uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    uint32_t count, to_end;

    if (!spsc_ready(ring))
        return 0;
    count = ring->tail_seen - head;
    to_end = ring->mask + 1 - (head & ring->mask);
    ASSERT(count <= ring->mask + 1); /* I1 */
    count = count > to_end ? to_end : count;
    *first = &ring->elements[head & ring->mask];
    return count > limit ? limit : count;
}

/* Consumer: gives the oldest `count` elements back to the producer. */
static inline void spsc_release(struct spsc *ring, uint32_t count)
{
    uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);

    ASSERT(count <= ring->tail_seen - head);                                /* I1 */
    atomic_store_explicit(&ring->head, head + count, memory_order_release); /* I3 */
}

/* Producer: stages and publishes up to `count` elements; returns how many went in. */
static inline uint32_t spsc_push(struct spsc *ring, const struct spsc_element *from, uint32_t count)
{
    uint32_t done = 0;

    while (done < count && spsc_stage(ring, &from[done]))
        done++;
    spsc_publish(ring);
    return done;
}

/* Consumer: copies up to `limit` elements out; returns how many. */
static inline uint32_t spsc_pop(struct spsc *ring, struct spsc_element *to, uint32_t limit)
{
    uint32_t done = 0;

    while (done < limit) {
        const struct spsc_element *first;
        uint32_t count = spsc_peek(ring, &first, limit - done);

        if (count == 0)
            break;
        memcpy(&to[done], first, (size_t)count * SPSC_ELEMENT);
        spsc_release(ring, count);
        done += count;
    }
    return done;
}

#endif
