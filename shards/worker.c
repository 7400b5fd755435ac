/* SPDX-License-Identifier: MIT */
#include "shards/worker.h"

#include "base/mem.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define WORKER_NICE                                                                                \
    5 /* shards come first: they have messages, and whoever waits for a worker waits anyway */

/* Class: shared. */
struct cell {
    _Atomic uint32_t turn;
    struct work *work; /* of whoever has the turn */
};

/* Class: shared; `threads` is the starting thread's. */
struct worker_pool {
    _Alignas(CACHE_LINE) _Atomic uint32_t in;  /* next position to put into */
    _Alignas(CACHE_LINE) _Atomic uint32_t out; /* next position to take from */
    _Alignas(CACHE_LINE) sem_t full;
    _Atomic bool ending;
    uint32_t mask;
    struct cell *cells;
    unsigned count;
    pthread_t threads[];
};

/* ---- the ring ---- */

static bool put(struct worker_pool *pool, struct work *work)
{
    uint32_t position = atomic_load_explicit(&pool->in, memory_order_relaxed);

    for (;;) {
        struct cell *cell = &pool->cells[position & pool->mask];
        int32_t lead =
            (int32_t)(atomic_load_explicit(&cell->turn, memory_order_acquire) - position);

        if (lead < 0)
            return false; /* still full from the round before */
        if (lead > 0) {
            position = atomic_load_explicit(&pool->in, memory_order_relaxed);
        } else if (atomic_compare_exchange_weak_explicit(&pool->in, &position, position + 1,
                                                         memory_order_relaxed,
                                                         memory_order_relaxed)) {
            cell->work = work;
            atomic_store_explicit(&cell->turn, position + 1, memory_order_release);
            return true;
        }
    }
}

static struct work *take(struct worker_pool *pool)
{
    uint32_t position = atomic_load_explicit(&pool->out, memory_order_relaxed);

    for (;;) {
        struct cell *cell = &pool->cells[position & pool->mask];
        int32_t lead =
            (int32_t)(atomic_load_explicit(&cell->turn, memory_order_acquire) - (position + 1));

        if (lead < 0)
            return NULL; /* empty, or the one who took this position has not put it there yet */
        if (lead > 0) {
            position = atomic_load_explicit(&pool->out, memory_order_relaxed);
        } else if (atomic_compare_exchange_weak_explicit(&pool->out, &position, position + 1,
                                                         memory_order_relaxed,
                                                         memory_order_relaxed)) {
            struct work *work = cell->work;

            atomic_store_explicit(&cell->turn, position + pool->mask + 1, memory_order_release);
            return work;
        }
    }
}

/* ---- the threads ---- */

static void work_back(struct broker *broker, struct inbox_item *item)
{
    struct work *work = CONTAINER_OF(item, struct work, item);

    work->done(broker, work);
}

static void send_back(struct work *work)
{
    work->item.run = work_back;
    inbox_post(work->back, &work->item); /* I1 */
}

/* The semaphore says that there is one; whoever puts it there may have stopped between two of its steps, and so may
 * others before it: then this thread has it a moment later. */
static struct work *take_announced(struct worker_pool *pool)
{
    struct work *work;

    while ((work = take(pool)) == NULL)
        sched_yield();
    return work;
}

static void *thread_main(void *argument)
{
    struct worker_pool *pool = argument;

    pthread_setname_np(pthread_self(), "worker");
    setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), WORKER_NICE); /* or as before */
    for (;;) {
        struct work *work;

        while (sem_wait(&pool->full) != 0)
            ASSERT(errno == EINTR);
        if (atomic_load_explicit(&pool->ending, memory_order_acquire))
            break;
        work = take_announced(pool);
        work->blocking(work);
        mem_wipe_stack(); /* it was about passwords, tokens and keys */
        send_back(work);
    }
    return NULL;
}

static uint32_t power_of_two(uint32_t least)
{
    uint32_t size = 2;

    while (size < least)
        size *= 2;
    return size;
}

struct worker_pool *worker_pool_start(unsigned threads, uint32_t room, char *why, size_t size)
{
    struct worker_pool *pool = mem_zalloc_aligned(sizeof(*pool) + threads * sizeof(pthread_t));

    pool->mask = power_of_two(room) - 1;
    pool->cells = mem_zalloc((pool->mask + 1u) * sizeof(*pool->cells));
    for (uint32_t i = 0; i <= pool->mask; i++)
        atomic_init(&pool->cells[i].turn, i);
    sem_init(&pool->full, 0, 0);
    for (; pool->count < threads; pool->count++) {
        int error = pthread_create(&pool->threads[pool->count], NULL, thread_main, pool);

        if (error != 0) {
            snprintf(why, size, "no thread for a worker: %s", strerror(error));
            worker_pool_stop(pool);
            return NULL;
        }
    }
    return pool;
}

bool worker_submit(struct worker_pool *pool, struct inbox *back, struct work *work)
{
    work->back = back;
    work->abandoned = false;
    if (!put(pool, work))
        return false; /* I2 */
    sem_post(&pool->full);
    return true;
}

void worker_pool_stop(struct worker_pool *pool)
{
    struct work *work;

    if (pool == NULL)
        return;
    atomic_store_explicit(&pool->ending, true, memory_order_release);
    for (unsigned i = 0; i < pool->count; i++)
        sem_post(&pool->full);
    for (unsigned i = 0; i < pool->count; i++)
        pthread_join(pool->threads[i], NULL);
    while ((work = take(pool)) != NULL) { /* I3 */
        work->abandoned = true;
        send_back(work);
    }
    sem_destroy(&pool->full);
    mem_free(pool->cells);
    mem_free(pool);
}
