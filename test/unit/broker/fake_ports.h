/* SPDX-License-Identifier: MIT
 *
 * A broker of one shard for unit tests, whose ports do nothing (test/support/quiet_ports.c). Include it once.
 */
#ifndef SHARDMQ_TEST_FAKE_PORTS_H
#define SHARDMQ_TEST_FAKE_PORTS_H

#include "broker/broker_priv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

struct fake {
    struct broker *broker;
    struct broker_shared *shared;
    struct conf *conf;
    struct shard_stats stats;
    uint64_t now_ms;
};

/* Begins at one second, with the default configuration. */
static inline void fake_begin(struct fake *fake)
{
    const struct conf_source source = {0};
    char errors[256];

    memset(fake, 0, sizeof(*fake));
    fake->now_ms = 1000;
    fake->conf = conf_load(&source, errors, sizeof(errors));
    assert_non_null(fake->conf);
    fake->shared = broker_shared_create(1);
    fake->broker = broker_create(&(struct broker_params){
        .shared = fake->shared,
        .shard_count = 1,
        .conf = fake->conf,
        .stats = &fake->stats,
        .session_limit = 1000,
        .queue_memory = UINT64_MAX,
        .now_ms = fake->now_ms,
        .wall_ms = fake->now_ms,
    });
}

static inline void fake_pass_time(struct fake *fake, uint64_t ms)
{
    fake->now_ms += ms;
    broker_set_clock(fake->broker, fake->now_ms * 1000000u, fake->now_ms);
    while (broker_run_timers(fake->broker, 100) == 100)
        ;
}

static inline int64_t fake_stat(const struct fake *fake, enum stat_id id)
{
    return fake->stats.values[id];
}

static inline void fake_end(struct fake *fake)
{
    broker_clear(fake->broker);
    broker_destroy(fake->broker);
    broker_shared_destroy(fake->shared);
    conf_free(fake->conf);
}

#endif
