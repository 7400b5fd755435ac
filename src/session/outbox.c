/* SPDX-License-Identifier: MIT */
#include "session/outbox.h"

#include "base/mem.h"

/* Free chunks kept per shard: enough for a turn's connections, bounded so that a burst's memory is
 * given back (4 MiB and 8 MiB). */
#define POOL_SMALL_MAX 1024
#define POOL_LARGE_MAX 256

static uint8_t *chunk_bytes(struct outbox_chunk *chunk)
{
    return (uint8_t *)(chunk + 1);
}

/* All but the older runs, of which there are none. */
static void chunk_init(struct outbox_chunk *chunk)
{
    memset(chunk, 0, offsetof(struct outbox_chunk, runs[1]));
}

static struct outbox_chunk *chunk_get(struct outbox_pool *pool, bool small, uint32_t size)
{
    struct outbox_chunk *chunk;
    uint32_t total = small ? OUTBOX_CHUNK_SMALL : OUTBOX_CHUNK_LARGE;

    if (size + sizeof(*chunk) > total)
        total = OUTBOX_CHUNK_LARGE;
    if (size + sizeof(*chunk) > total)
        total = size + (uint32_t)sizeof(*chunk); /* one packet that is larger: a chunk of its own */
    if (total == OUTBOX_CHUNK_SMALL && pool->small != NULL) {
        chunk = pool->small;
        pool->small = chunk->next;
        pool->small_count--;
    } else if (total == OUTBOX_CHUNK_LARGE && pool->large != NULL) {
        chunk = pool->large;
        pool->large = chunk->next;
        pool->large_count--;
    } else {
        chunk = mem_try_alloc(total);
        if (chunk == NULL)
            return NULL;
    }
    chunk_init(chunk);
    chunk->data = chunk_bytes(chunk);
    chunk->capacity = total - (uint32_t)sizeof(*chunk);
    return chunk;
}

static void chunk_link(struct outbox *outbox, struct outbox_chunk *chunk)
{
    if (outbox->tail == NULL)
        outbox->head = chunk;
    else
        outbox->tail->next = chunk;
    outbox->tail = chunk;
}

uint8_t *outbox_reserve_slow(struct outbox *outbox, struct outbox_pool *pool, uint32_t size)
{
    /* behind a referenced payload comes little: the head of the next packet */
    bool small = outbox->bytes == 0 || (outbox->tail != NULL && outbox->tail->message != NULL);
    struct outbox_chunk *chunk = chunk_get(pool, small, size);

    if (chunk == NULL)
        return NULL;
    chunk_link(outbox, chunk);
    return chunk_bytes(chunk);
}

/* The two oldest become one; what is partly not timed is not timed. */
static void merge_oldest(struct outbox_run *runs)
{
    struct outbox_run *oldest = &runs[OUTBOX_RUNS - 1], *newer = oldest - 1;

    oldest->deliveries += newer->deliveries;
    if (newer->received_ns == 0)
        oldest->received_ns = 0;
}

void outbox_begin_run(struct outbox_chunk *chunk, uint64_t received_ns)
{
    struct outbox_run *runs = chunk->runs;

    if (runs[0].deliveries != 0) {
        uint32_t moved = chunk->older_runs + 1;

        if (moved == OUTBOX_RUNS) {
            merge_oldest(runs);
            moved -= 2;
        } else {
            chunk->older_runs++;
        }
        memmove(&runs[1], &runs[0], moved * sizeof(runs[0]));
    }
    runs[0] = (struct outbox_run){.received_ns = received_ns};
}

bool outbox_append_payload(struct outbox *outbox, struct message *message)
{
    struct outbox_chunk *chunk = mem_try_alloc(sizeof(*chunk));

    if (chunk == NULL)
        return false;
    message_ref(message, 1);
    chunk_init(chunk);
    chunk->data = message->publication.payload.data;
    chunk->len = chunk->capacity = message->publication.payload.len;
    chunk->message = message;
    chunk_link(outbox, chunk);
    outbox->bytes += chunk->len;
    return true;
}

void outbox_release(struct outbox *outbox, struct outbox_pool *pool, struct outbox_chunk *chunk)
{
    ASSERT(outbox->bytes >= chunk->len); /* I2 */
    outbox->bytes -= chunk->len;
    if (chunk->message != NULL) {
        message_unref(chunk->message);
        mem_free(chunk);
    } else if (chunk->capacity + sizeof(*chunk) == OUTBOX_CHUNK_SMALL &&
               pool->small_count < POOL_SMALL_MAX) {
        chunk->next = pool->small;
        pool->small = chunk;
        pool->small_count++;
    } else if (chunk->capacity + sizeof(*chunk) == OUTBOX_CHUNK_LARGE &&
               pool->large_count < POOL_LARGE_MAX) {
        chunk->next = pool->large;
        pool->large = chunk;
        pool->large_count++;
    } else {
        mem_free(chunk);
    }
}

static void free_chain(struct outbox_chunk *chunk)
{
    while (chunk != NULL) {
        struct outbox_chunk *next = chunk->next;

        mem_free(chunk);
        chunk = next;
    }
}

void outbox_pool_clear(struct outbox_pool *pool)
{
    free_chain(pool->small);
    free_chain(pool->large);
    *pool = (struct outbox_pool){0};
}
