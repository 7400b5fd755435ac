/* SPDX-License-Identifier: MIT
 *
 * The ring between two shards: pushing and popping on one thread (what the code costs), and to a second
 * thread that spins (what crossing to another core costs), by batch size.
 */
#include "perf/shim.h"
#include "shards/spsc.h"

#include <pthread.h>

void perf_register_spsc(void);

#define CAPACITY  8192
#define BATCH_MAX 256

static void same_thread(struct perf_state *state, void *argument)
{
    uint32_t batch = *(const uint32_t *)argument;
    struct spsc_element elements[BATCH_MAX] = {{{0}}}, out[BATCH_MAX];
    struct spsc ring;
    uint64_t count = 0;

    spsc_init(&ring, CAPACITY);
    while (perf_next(state)) {
        count += spsc_push(&ring, elements, batch);
        spsc_pop(&ring, out, batch);
        perf_keep(out);
    }
    perf_items(state, count);
    spsc_fini(&ring);
}

struct consumer {
    struct spsc ring;
    atomic_bool stop;
    uint64_t received;
};

static void *consume(void *argument)
{
    struct consumer *consumer = argument;
    struct spsc_element out[BATCH_MAX];

    while (!atomic_load_explicit(&consumer->stop, memory_order_acquire) ||
           spsc_ready(&consumer->ring))
        consumer->received += spsc_pop(&consumer->ring, out, BATCH_MAX);
    return NULL;
}

static void other_thread(struct perf_state *state, void *argument)
{
    uint32_t batch = *(const uint32_t *)argument;
    struct spsc_element elements[BATCH_MAX] = {{{0}}};
    struct consumer consumer = {.received = 0};
    pthread_t thread;
    uint64_t count = 0;

    spsc_init(&consumer.ring, CAPACITY);
    if (pthread_create(&thread, NULL, consume, &consumer) != 0)
        return;
    while (perf_next(state)) {
        uint32_t done = 0;

        while (done < batch)
            done += spsc_push(&consumer.ring, elements + done, batch - done);
        count += batch;
    }
    atomic_store_explicit(&consumer.stop, true, memory_order_release);
    pthread_join(thread, NULL);
    ASSERT(consumer.received == count);
    perf_items(state, count);
    spsc_fini(&consumer.ring);
}

void perf_register_spsc(void)
{
    static uint32_t batches[] = {1, 16, 256};

    perf_case("spsc/same_thread/batch_1", same_thread, &batches[0]);
    perf_case("spsc/same_thread/batch_16", same_thread, &batches[1]);
    perf_case("spsc/same_thread/batch_256", same_thread, &batches[2]);
    perf_case("spsc/other_thread/batch_1", other_thread, &batches[0]);
    perf_case("spsc/other_thread/batch_16", other_thread, &batches[1]);
    perf_case("spsc/other_thread/batch_256", other_thread, &batches[2]);
}
