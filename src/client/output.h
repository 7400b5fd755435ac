/* SPDX-License-Identifier: MIT
 *
 * output - the blocks that packets are written into until they are sent.
 *
 * A client holds a block only while it has something to say, and hands it over as a whole; whoever
 * has sent it gives it back to the pool. So idle clients hold no memory for output, and a few warm
 * blocks serve thousands of connections. A few words (an acknowledgement, a DISCONNECT) go into a small
 * block, so that thousands who say them at the same moment do not touch a page each.
 */
#ifndef SHARDMQ_CLIENT_OUTPUT_H
#define SHARDMQ_CLIENT_OUTPUT_H

#include <stdint.h>

#define CLIENT_BLOCK_SIZE  (64u * 1024u) /* of an ordinary block, its header included */
#define CLIENT_BLOCK_SMALL 512u          /* of a small one, likewise */
#define CLIENT_BLOCK_ROOM  (CLIENT_BLOCK_SIZE - (uint32_t)sizeof(struct client_block))

/* Owner: shard. Belongs to a client, to whoever sends it, or to the pool: one at a time. */
struct client_block {
    struct client_block *next; /* in the pool, or in a list of its present owner */
    void *user;                /* of its present owner */
    uint64_t tag;              /* likewise */
    uint32_t len, at, size;    /* bytes written, bytes sent (its owner's business), room in data */
    uint8_t data[];
};

/* The blocks of one thread. Owner: shard. Zeroed is a valid start. */
struct client_pool {
    struct client_block *free, *small_free;
    uint32_t free_count, small_count;
};

/* An empty block with room for `size` bytes or more. NULL when memory is gone. */
struct client_block *client_block_get(struct client_pool *pool, uint32_t size);
/* NULL is ignored. */
void client_block_put(struct client_pool *pool, struct client_block *block);
/* Frees what is in the pool. */
void client_pool_fini(struct client_pool *pool);

#endif
