/* SPDX-License-Identifier: MIT */
#include "shards/bufring.h"

#include "base/check.h"
#include "base/mem.h"
#include "shards/uring_priv.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>

/* Owner: shard. */
struct bufring {
    struct io_uring_buf_ring *ring; /* page-aligned, shared with the kernel */
    uint8_t *memory;
    uint16_t *order;    /* identifier at each position, for two rounds of the ring (I3) */
    uint16_t *position; /* of each identifier when it was last given back; counts on without end */
    uint32_t count, size;
    uint16_t tail; /* position of the next buffer that is given back */
    uint16_t published;
};

static size_t ring_bytes(uint32_t count)
{
    return (size_t)count * sizeof(struct io_uring_buf);
}

static void *map(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return memory == MAP_FAILED ? NULL : memory;
}

static void add(struct bufring *buffers, uint16_t identifier)
{
    uint16_t at = buffers->tail & (uint16_t)(buffers->count - 1);
    struct io_uring_buf *entry = &buffers->ring->bufs[at];

    entry->addr = (uint64_t)(uintptr_t)(buffers->memory + (size_t)identifier * buffers->size);
    entry->len = buffers->size;
    entry->bid = identifier;
    buffers->order[buffers->tail & (2 * buffers->count - 1)] = identifier;
    buffers->position[identifier] = buffers->tail;
    buffers->tail++;
}

struct bufring *bufring_open(struct uring *ring, uint32_t count, uint32_t size, char *why,
                             size_t why_size)
{
    struct bufring *buffers = mem_zalloc(sizeof(*buffers));
    struct io_uring_buf_reg registration = {0};
    int error = -ENOMEM;

    ASSERT(count <= BUFRING_COUNT_MAX && (count & (count - 1)) == 0);
    buffers->count = count;
    buffers->size = size;
    buffers->order = mem_zalloc(2 * count * sizeof(uint16_t));
    buffers->position = mem_zalloc(count * sizeof(uint16_t));
    buffers->ring = map(ring_bytes(count));
    buffers->memory = map((size_t)count * size);
    if (buffers->ring != NULL && buffers->memory != NULL) {
        registration.ring_addr = (uint64_t)(uintptr_t)buffers->ring;
        registration.ring_entries = count;
        registration.bgid = URING_BUFFER_GROUP;
        error = io_uring_register_buf_ring(&ring->kernel, &registration, 0);
    }
    if (error != 0) {
        snprintf(why, why_size,
                 "%u receive buffers of %u bytes cannot be registered: %s. Linux 5.19 or newer is "
                 "needed.",
                 count, size, strerror(-error));
        bufring_close(buffers);
        return NULL;
    }
    for (uint32_t i = 0; i < count; i++)
        add(buffers, (uint16_t)i);
    bufring_publish(buffers);
    return buffers;
}

void bufring_close(struct bufring *buffers)
{
    if (buffers->ring != NULL)
        munmap(buffers->ring, ring_bytes(buffers->count));
    if (buffers->memory != NULL)
        munmap(buffers->memory, (size_t)buffers->count * buffers->size);
    mem_free(buffers->order);
    mem_free(buffers->position);
    mem_free(buffers);
}

/* The buffer that the kernel took after this one. Completions of different requests may come in
 * another order than that in which the buffers were taken; the second round in order[] keeps what
 * was, while buffers of the same turn are already given back. */
static uint16_t following(const struct bufring *buffers, uint16_t identifier)
{
    return buffers->order[(buffers->position[identifier] + 1u) & (2 * buffers->count - 1)];
}

struct span bufring_piece(struct bufring *buffers, uint16_t *first, uint32_t *left)
{
    struct span piece = {.data = buffers->memory + (size_t)*first * buffers->size};
    uint16_t at = *first;

    for (;;) {
        uint32_t here = *left < buffers->size ? *left : buffers->size;
        uint16_t next;

        piece.len += here;
        *left -= here;
        if (*left == 0)
            return piece;
        next = following(buffers, at);
        if (next != at + 1) { /* not neighbours in memory */
            *first = next;
            return piece;
        }
        at = next;
    }
}

void bufring_recycle(struct bufring *buffers, uint16_t first, uint32_t bytes)
{
    uint16_t identifier = first;

    for (;;) {
        uint16_t next = following(buffers, identifier); /* before add() moves it */

        add(buffers, identifier);
        if (bytes <= buffers->size)
            return;
        bytes -= buffers->size;
        identifier = next;
    }
}

void bufring_publish(struct bufring *buffers)
{
    if (buffers->published == buffers->tail)
        return;
    buffers->published = buffers->tail;
    __atomic_store_n(&buffers->ring->tail, buffers->tail, __ATOMIC_RELEASE);
}

size_t bufring_memory(uint32_t count, uint32_t size)
{
    return ring_bytes(count) + (size_t)count * size;
}
