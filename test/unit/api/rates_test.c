/* SPDX-License-Identifier: MIT */
#include "api/rates.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define THREADS 2u

struct world {
    struct shard_view views[THREADS];
    struct machine_view machine;
    struct process_view process;
    struct rates *rates;
};

static void begin(struct world *world)
{
    *world = (struct world){.process.cores = 4};
    world->machine.shards = THREADS - 1;
    world->machine.threads = THREADS;
    world->machine.views = world->views;
    world->machine.now_ns = 100000000000u;
    world->rates = rates_create(THREADS);
}

static void ask_after(struct world *world, uint64_t ms)
{
    world->machine.now_ns += ms * 1000000u;
    world->machine.uptime_ms += ms;
    world->machine.sum.values[STAT_session_connected] =
        world->views[0].stats.values[STAT_session_connected];
    rates_update(world->rates, &world->machine, &world->process);
}

static void near(double value, double expected)
{
    assert_true(value > expected - 1e-9 && value < expected + 1e-9);
}

static void rates_are_means_since_somebody_asked(void **unused)
{
    struct world world;
    int64_t *values = world.views[0].stats.values;
    const struct shard_rates *rates;

    (void)unused;
    begin(&world);
    rates = &world.rates->shards[0];
    values[STAT_message_in] = 50;
    values[STAT_loop_busy_us] = 500000;
    world.process.cpu_s = 1;
    ask_after(&world, 5000); /* the first one: since the start */
    near(world.rates->interval_s, 5);
    near(rates->message_in, 10);
    near(rates->busy, 0.1);
    near(world.rates->cpu_percent, 5); /* one second of five, of four cores */

    values[STAT_message_in] = 250;
    ask_after(&world, 999); /* too soon for another */
    near(rates->message_in, 10);
    ask_after(&world, 1);
    near(rates->message_in, 200);
    near(rates->busy, 0);
    near(world.rates->interval_s, 1);

    values[STAT_message_in] += 3600;
    values[STAT_loop_busy_us] += 2 * 3600 * (int64_t)1000000;
    ask_after(&world, 3600000);
    near(rates->message_in, 1);
    near(rates->busy, 1); /* never more than all the time */
    near(world.rates->shards[1].message_in, 0);
    rates_destroy(world.rates);
}

static void a_first_question_at_the_start_divides_by_nothing(void **unused)
{
    struct world world;

    (void)unused;
    begin(&world);
    world.views[0].stats.values[STAT_message_in] = 7;
    ask_after(&world, 0);
    near(world.rates->shards[0].message_in, 0);
    ask_after(&world, 999); /* nor is a moment taken for a second */
    near(world.rates->shards[0].message_in, 0);
    ask_after(&world, 1);
    near(world.rates->shards[0].message_in, 7);
    rates_destroy(world.rates);
}

static void the_highest_values_stay(void **unused)
{
    struct world world;

    (void)unused;
    begin(&world);
    world.views[0].stats.values[STAT_session_connected] = 3;
    world.process.resident_bytes = 500;
    ask_after(&world, 10);
    world.views[0].stats.values[STAT_session_connected] = 2;
    world.process.resident_bytes = 600;
    ask_after(&world, 10);
    assert_int_equal(world.rates->peaks.connections, 3);
    assert_int_equal(world.rates->peaks.resident_bytes, 600);
    rates_destroy(world.rates);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_are_means_since_somebody_asked),
        cmocka_unit_test(a_first_question_at_the_start_divides_by_nothing),
        cmocka_unit_test(the_highest_values_stay),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
