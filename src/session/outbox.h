/* SPDX-License-Identifier: MIT
 *
 * outbox - the bytes that wait to be sent on one connection: a chain of chunks.
 *
 * Owner: shard. The broker appends whole packets; the machine takes the chain, sends it and gives
 * every chunk back through connection_sent(). An idle connection holds no chunk. The first chunk of
 * a run is small and the following ones are large, both from free lists of the shard; a large
 * payload is not copied but referenced by a chunk of its own.
 *
 * Invariants
 *   I1  a packet that is not larger than OUTBOX_COPY_MAX lies in one chunk
 *   I2  `bytes` counts everything appended and not yet given back, chunks that are being sent
 *       included
 *   I3  a delivery is counted (`runs`, `ordinal`) in the chunk that holds its last byte
 */
#ifndef SHARDMQ_SESSION_OUTBOX_H
#define SHARDMQ_SESSION_OUTBOX_H

#include "base/check.h"
#include "session/message.h"

#define OUTBOX_CHUNK_SMALL 4096u /* allocation sizes, chunk header included */
#define OUTBOX_CHUNK_LARGE 32768u
#define OUTBOX_COPY_MAX    4096u /* payloads above are sent by reference */

/* First transmissions that end in one chunk and whose messages came in one turn. */
struct outbox_run {
    uint64_t received_ns; /* 0: those that are not timed */
    uint32_t deliveries;
};

/* What comes to one chunk in more turns than this is timed as if it had come in the first of them. */
#define OUTBOX_RUNS 4u

struct outbox_chunk {
    struct outbox_chunk *next;
    const uint8_t *data; /* the chunk's own bytes, or the payload of `message` */
    uint32_t len, capacity;
    uint32_t sent;    /* bytes the kernel has accepted; told when the connection ends only */
    uint32_t kept;    /* deliveries that are not lost with the chunk: of QoS 1 and 2 */
    uint32_t ordinal; /* of the last QoS 1 or 2 first transmission that ends here, 0: none
                         (session/window.h) */
    uint32_t older_runs;
    struct message *message;             /* a reference, when data points into it */
    struct outbox_run runs[OUTBOX_RUNS]; /* the last one, then older_runs before it (I3) */
};

struct outbox {
    struct outbox_chunk *head, *tail;
    uint32_t bytes; /* I2 */
};

/* The shard's free lists. */
struct outbox_pool {
    struct outbox_chunk *small, *large;
    uint32_t small_count, large_count;
};

/* Room for `size` contiguous bytes at the end of the outbox, or NULL when memory is gone. Follow
 * with outbox_commit() of the bytes written, before anything else is done with the outbox. */
uint8_t *outbox_reserve_slow(struct outbox *outbox, struct outbox_pool *pool, uint32_t size);

static inline uint8_t *outbox_reserve(struct outbox *outbox, struct outbox_pool *pool,
                                      uint32_t size)
{
    struct outbox_chunk *tail = outbox->tail;

    if (tail != NULL && tail->capacity - tail->len >= size)
        return (uint8_t *)(uintptr_t)tail->data + tail->len;
    return outbox_reserve_slow(outbox, pool, size);
}

static inline void outbox_commit(struct outbox *outbox, uint32_t size)
{
    outbox->tail->len += size;
    outbox->bytes += size;
}

/* outbox_count() when the message did not come in the same turn as the one before. */
void outbox_begin_run(struct outbox_chunk *chunk, uint64_t received_ns)
    __attribute__((noinline, cold));

/* Counts a first transmission that ends in the chunk, of a message that came at received_ns; 0: it is
 * not to be timed. */
static inline void outbox_count(struct outbox_chunk *chunk, uint64_t received_ns)
{
    if (UNLIKELY(chunk->runs[0].received_ns != received_ns))
        outbox_begin_run(chunk, received_ns);
    chunk->runs[0].deliveries++;
}

/* The deliveries that are lost with the chunk: of QoS 0. */
static inline uint32_t outbox_losable(const struct outbox_chunk *chunk)
{
    uint32_t deliveries = 0;

    for (uint32_t i = 0; i <= chunk->older_runs; i++)
        deliveries += chunk->runs[i].deliveries;
    return deliveries - chunk->kept;
}

/* Appends the payload of `message` by reference (takes one). False when memory is gone. */
bool outbox_append_payload(struct outbox *outbox, struct message *message);

/* Frees one chunk that was sent or is discarded; lowers outbox->bytes by its length. */
void outbox_release(struct outbox *outbox, struct outbox_pool *pool, struct outbox_chunk *chunk);

void outbox_pool_clear(struct outbox_pool *pool);

#endif
