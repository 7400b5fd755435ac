/* SPDX-License-Identifier: MIT */
#include "client/output.h"

#include "base/mem.h"

#define SMALL_ROOM (CLIENT_BLOCK_SMALL - (uint32_t)sizeof(struct client_block))
#define FREE_MAX   256u  /* ordinary blocks that a pool keeps: 16 MiB */
#define SMALL_MAX  4096u /* small ones: 2 MiB */

struct client_block *client_block_get(struct client_pool *pool, uint32_t size)
{
    struct client_block **list = size <= SMALL_ROOM ? &pool->small_free : &pool->free;
    struct client_block *block = size <= CLIENT_BLOCK_ROOM ? *list : NULL;

    if (block != NULL) {
        *list = block->next;
        pool->free_count -= list == &pool->free;
        pool->small_count -= list == &pool->small_free;
    } else {
        size = size <= SMALL_ROOM          ? SMALL_ROOM
               : size <= CLIENT_BLOCK_ROOM ? CLIENT_BLOCK_ROOM
                                           : size;
        block = mem_try_alloc(sizeof(*block) + size);
        if (block == NULL)
            return NULL;
        block->size = size;
    }
    block->len = block->at = 0;
    return block;
}

static void keep(struct client_block **list, uint32_t *count, uint32_t most,
                 struct client_block *block)
{
    if (*count == most) {
        mem_free(block);
        return;
    }
    block->next = *list;
    *list = block;
    ++*count;
}

void client_block_put(struct client_pool *pool, struct client_block *block)
{
    if (block == NULL)
        return;
    if (block->size == CLIENT_BLOCK_ROOM)
        keep(&pool->free, &pool->free_count, FREE_MAX, block);
    else if (block->size == SMALL_ROOM)
        keep(&pool->small_free, &pool->small_count, SMALL_MAX, block);
    else
        mem_free(block);
}

static void free_list(struct client_block *block)
{
    while (block != NULL) {
        struct client_block *next = block->next;

        mem_free(block);
        block = next;
    }
}

void client_pool_fini(struct client_pool *pool)
{
    free_list(pool->free);
    free_list(pool->small_free);
    *pool = (struct client_pool){0};
}
