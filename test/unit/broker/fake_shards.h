/* SPDX-License-Identifier: MIT
 *
 * Data shards and a control broker on one thread, with a queue for each ordered pair of them, for unit tests of
 * what they say to each other. Include it once; the ports that are not here do nothing (test/support/quiet_ports.c).
 */
#ifndef SHARDMQ_TEST_FAKE_SHARDS_H
#define SHARDMQ_TEST_FAKE_SHARDS_H

#include "broker/broker_priv.h"
#include "broker/errand.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define FAKE_SHARDS 3
#define FAKE_QUEUE  65536

struct fake_queue {
    struct mesh_entry entries[FAKE_QUEUE];
    unsigned first, end;
};

/* What workers and other threads would have handed in: the test says when it is done (fake_run_works()). */
#define FAKE_WORKS 1024

struct fake_shards {
    struct work *works[FAKE_WORKS]; /* submitted and not run */
    struct broker *work_of[FAKE_WORKS];
    unsigned work_count, work_room;          /* more than work_room are refused */
    struct broker *brokers[FAKE_SHARDS + 1]; /* the control broker is the last */
    struct broker *control;
    struct broker_shared *shared;
    struct conf *conf;
    struct shard_stats stats[FAKE_SHARDS + 1];
    struct fake_queue mesh[FAKE_SHARDS + 1][FAKE_SHARDS + 1];
    uint64_t now_ms;
};

static unsigned fake_index(const struct fake_shards *fake, const struct broker *broker)
{
    unsigned i = 0;

    while (fake->brokers[i] != broker)
        i++;
    return i;
}

void port_post(struct broker *broker, unsigned to, struct mesh_entry entry)
{
    struct fake_shards *fake = broker_machine(broker);
    struct fake_queue *queue = &fake->mesh[fake_index(fake, broker)][to];

    assert_true(queue->end < FAKE_QUEUE);
    queue->entries[queue->end++] = entry;
}

void port_peer_address(const struct connection *connection, struct peer_address *to)
{
    (void)connection;
    *to = (struct peer_address){.family = 2, .port = 1234, .bytes = {127, 0, 0, 1}};
}

bool port_work(struct broker *broker, struct work *work)
{
    struct fake_shards *fake = broker_machine(broker);

    if (fake->work_count == fake->work_room)
        return false;
    fake->work_of[fake->work_count] = broker;
    fake->works[fake->work_count++] = work;
    return true;
}

/* The workers do what was submitted, in order, or send it back as at the end of the process. */
static inline void fake_run_works(struct fake_shards *fake, bool abandon)
{
    for (unsigned i = 0; i < fake->work_count; i++) { /* done() may submit more */
        struct work *work = fake->works[i];

        work->abandoned = abandon;
        if (!abandon)
            work->blocking(work);
        work->done(fake->work_of[i], work);
    }
    fake->work_count = 0;
}

void port_random_bytes(struct broker *broker, void *to, size_t size)
{
    struct fake_shards *fake = broker_machine(broker);

    for (size_t i = 0; i < size; i++)
        ((uint8_t *)to)[i] = (uint8_t)random_next(&fake->control->random);
}

static inline void fake_shards_begin(struct fake_shards *fake)
{
    const struct conf_source source = {0};
    char errors[256];

    memset(fake, 0, sizeof(*fake));
    fake->now_ms = 1000;
    fake->work_room = FAKE_WORKS;
    fake->conf = conf_load(&source, errors, sizeof(errors));
    assert_non_null(fake->conf);
    fake->shared = broker_shared_create(FAKE_SHARDS);
    for (unsigned i = 0; i <= FAKE_SHARDS; i++)
        fake->brokers[i] = broker_create(&(struct broker_params){
            .shared = fake->shared,
            .shard = i,
            .shard_count = FAKE_SHARDS,
            .conf = fake->conf,
            .stats = &fake->stats[i],
            .random_seed = i,
            .session_limit = 1000000,
            .queue_memory = UINT64_MAX,
            .now_ms = fake->now_ms,
            .wall_ms = fake->now_ms,
            .machine = fake,
        });
    fake->control = fake->brokers[FAKE_SHARDS];
}

/* One turn of one broker: takes what came, runs timers and batches. True when anything was done. */
static inline bool fake_turn(struct fake_shards *fake, unsigned shard)
{
    bool any = false;

    for (unsigned from = 0; from <= FAKE_SHARDS; from++) {
        struct fake_queue *queue = &fake->mesh[from][shard];

        while (queue->first < queue->end) {
            struct mesh_entry entry = queue->entries[queue->first++];

            broker_receive(fake->brokers[shard], from, &entry);
            any = true;
        }
        queue->first = queue->end = 0;
    }
    any |= broker_run_timers(fake->brokers[shard], 100) > 0;
    return broker_run_batches(fake->brokers[shard]) || any;
}

/* Turns of everybody, until there is nothing to do. */
static inline void fake_settle(struct fake_shards *fake)
{
    bool any = true;

    while (any) {
        any = false;
        for (unsigned i = 0; i <= FAKE_SHARDS; i++)
            any |= fake_turn(fake, i);
    }
}

static inline void fake_shards_pass_time(struct fake_shards *fake, uint64_t ms)
{
    fake->now_ms += ms;
    for (unsigned i = 0; i <= FAKE_SHARDS; i++)
        broker_set_clock(fake->brokers[i], fake->now_ms * 1000000u, fake->now_ms);
}

/* As the machine ends: sessions, then entries that are still under way, then the brokers. */
static inline void fake_shards_end(struct fake_shards *fake)
{
    fake_run_works(fake, true);
    for (unsigned i = 0; i <= FAKE_SHARDS; i++)
        broker_clear(fake->brokers[i]);
    for (unsigned from = 0; from <= FAKE_SHARDS; from++)
        for (unsigned to = 0; to <= FAKE_SHARDS; to++) {
            struct fake_queue *queue = &fake->mesh[from][to];

            while (queue->first < queue->end)
                broker_discard(&queue->entries[queue->first++]);
        }
    for (unsigned i = 0; i <= FAKE_SHARDS; i++)
        broker_destroy(fake->brokers[i]);
    broker_shared_destroy(fake->shared);
    conf_free(fake->conf);
}

#endif
