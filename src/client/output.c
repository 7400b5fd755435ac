/* SPDX-License-Identifier: MIT */
#include "client/output.h"

#include "base/mem.h"

#define ORDINARY_SIZE (CLIENT_BLOCK_SIZE - (uint32_t)sizeof(struct client_block))
#define FREE_MAX      256u /* blocks that a pool keeps: 16 MiB */

struct client_block *client_block_get(struct client_pool *pool, uint32_t size)
{
    struct client_block *block = pool->free;

    if (size <= ORDINARY_SIZE && block != NULL) {
        pool->free = block->next;
        pool->free_count--;
    } else {
        size = size < ORDINARY_SIZE ? ORDINARY_SIZE : size;
        block = mem_try_alloc(sizeof(*block) + size);
        if (block == NULL)
            return NULL;
        block->size = size;
    }
    block->len = block->at = 0;
    return block;
}

void client_block_put(struct client_pool *pool, struct client_block *block)
{
    if (block == NULL)
        return;
    if (block->size != ORDINARY_SIZE || pool->free_count == FREE_MAX) {
        mem_free(block);
        return;
    }
    block->next = pool->free;
    pool->free = block;
    pool->free_count++;
}

void client_pool_fini(struct client_pool *pool)
{
    while (pool->free != NULL) {
        struct client_block *block = pool->free;

        pool->free = block->next;
        mem_free(block);
    }
    pool->free_count = 0;
}
