/* SPDX-License-Identifier: MIT
 *
 * The timer wheel against a naive model: a plain array of deadlines.
 */
#include "base/timer.c"

#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MODEL_TIMERS 200u
#define HORIZON_MS   ((uint64_t)TIMER_TICK_MS << 26)

struct model_timer {
    struct timer timer;
    uint64_t deadline_ms; /* TIMER_NEVER: not armed */
    uint64_t rearm_ms;    /* arms itself again by so much when it fires; 0: does not */
};

struct world {
    struct timers timers;
    struct model_timer model[MODEL_TIMERS];
    struct random random;
    uint64_t now_ms;
    uint64_t last_tick; /* of the timer that fired before, in this run */
    unsigned fired;
};

static uint64_t tick_after(uint64_t deadline_ms)
{
    return (deadline_ms + TIMER_TICK_MS - 1) / TIMER_TICK_MS;
}

static void world_fire(void *owner, struct timer *timer)
{
    struct world *world = owner;
    struct model_timer *model = CONTAINER_OF(timer, struct model_timer, timer);

    assert_false(timer_armed(timer));
    assert_int_not_equal(model->deadline_ms, TIMER_NEVER);
    assert_true(model->deadline_ms <= world->now_ms);
    assert_true(timer->deadline_ms >= model->deadline_ms);
    assert_true(tick_after(timer->deadline_ms) >= world->last_tick); /* in order of ticks */
    world->last_tick = tick_after(timer->deadline_ms);
    world->fired++;
    model->deadline_ms = TIMER_NEVER;
    if (model->rearm_ms != 0) {
        model->deadline_ms = world->now_ms + model->rearm_ms;
        timer_arm(&world->timers, timer, model->deadline_ms);
    }
}

static void world_open(struct world *world, uint64_t seed, uint64_t now_ms)
{
    memset(world, 0, sizeof(*world));
    world->random.state = seed;
    world->now_ms = now_ms;
    timers_init(&world->timers, now_ms, world);
    for (unsigned i = 0; i < MODEL_TIMERS; i++) {
        timer_init(&world->model[i].timer, world_fire);
        world->model[i].deadline_ms = TIMER_NEVER;
    }
}

/* The naive model's answers. */
static uint64_t model_next(const struct world *world)
{
    uint64_t next = TIMER_NEVER;

    for (unsigned i = 0; i < MODEL_TIMERS; i++)
        if (world->model[i].deadline_ms < next)
            next = world->model[i].deadline_ms;
    return next;
}

static unsigned model_armed(const struct world *world)
{
    unsigned armed = 0;

    for (unsigned i = 0; i < MODEL_TIMERS; i++)
        armed += world->model[i].deadline_ms != TIMER_NEVER;
    return armed;
}

/* Distances of every order of magnitude, the borders of the levels and what lies behind the wheel. */
static uint64_t random_distance(struct random *random)
{
    static const uint64_t borders[] = {TIMER_TICK_MS << 8, TIMER_TICK_MS << 14, TIMER_TICK_MS << 20,
                                       HORIZON_MS, 3 * HORIZON_MS};

    if (random_below(random, 4) == 0)
        return borders[random_below(random, ARRAY_LENGTH(borders))] - 20 + random_below(random, 40);
    return random_next(random) >> (64 - 1 - random_below(random, 32));
}

static void check_world(struct world *world)
{
    uint64_t next = timers_next(&world->timers);
    uint64_t earliest = model_next(world);

    assert_int_equal(world->timers.count, model_armed(world));
    for (unsigned slot = 0; slot < TIMER_SLOTS; slot++) /* I5 */
        assert_true((world->timers.used[slot / 64] >> slot % 64 & 1) ==
                    !list_empty(&world->timers.slots[slot]));
    if (earliest == TIMER_NEVER) {
        assert_true(next == TIMER_NEVER);
    } else { /* I3 */
        uint64_t tick = tick_after(earliest);

        if (tick < world->timers.run_tick)
            tick = world->timers.run_tick;
        assert_true(next <= tick * TIMER_TICK_MS);
    }
}

static void run_world(struct world *world, uint32_t limit)
{
    uint32_t fired;

    world->fired = 0;
    world->last_tick = 0;
    fired = timers_run(&world->timers, world->now_ms, limit);
    assert_int_equal(fired, world->fired);
    assert_true(fired <= limit);
    if (fired == limit)
        return;
    /* nothing that is due was left, but for what the tick and I4 put off */
    for (unsigned i = 0; i < MODEL_TIMERS; i++) {
        uint64_t deadline = world->model[i].deadline_ms;

        if (deadline != TIMER_NEVER && deadline + TIMER_TICK_MS <= world->now_ms)
            fail_msg("timer of %llu ms did not fire at %llu ms", (unsigned long long)deadline,
                     (unsigned long long)world->now_ms);
    }
}

static void random_step(struct world *world)
{
    struct model_timer *model = &world->model[random_below(&world->random, MODEL_TIMERS)];

    switch (random_below(&world->random, 8)) {
    case 0:
        timer_disarm(&world->timers, &model->timer);
        model->deadline_ms = TIMER_NEVER;
        break;
    case 1: /* time goes on a little */
        world->now_ms += random_below(&world->random, 30);
        run_world(world, UINT32_MAX);
        break;
    case 2: /* or a lot */
        world->now_ms += random_distance(&world->random) >> random_below(&world->random, 8);
        run_world(world, UINT32_MAX);
        break;
    case 3: /* to the moment that the wheel asks for */
        if (timers_next(&world->timers) != TIMER_NEVER &&
            timers_next(&world->timers) > world->now_ms)
            world->now_ms = timers_next(&world->timers);
        run_world(world, UINT32_MAX);
        break;
    default:
        model->rearm_ms =
            random_below(&world->random, 5) == 0 ? 1 + random_below(&world->random, 5000) : 0;
        model->deadline_ms = world->now_ms + random_distance(&world->random);
        timer_arm(&world->timers, &model->timer, model->deadline_ms);
        break;
    }
    assert_true(timer_armed(&model->timer) == (model->deadline_ms != TIMER_NEVER));
}

static void agrees_with_naive_model(void **unused)
{
    struct world *world = malloc(sizeof(*world));

    (void)unused;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        world_open(world, seed, random_next(&(struct random){.state = seed}) >> 20);
        for (unsigned step = 0; step < 2000; step++) {
            random_step(world);
            check_world(world);
        }
    }
    free(world);
}

/* With a limit the rest comes in later runs, all of it, and in order over the runs too. */
static void limit_splits_a_run(void **unused)
{
    struct world *world = malloc(sizeof(*world));
    unsigned fired = 0, runs = 0;
    uint32_t one;

    (void)unused;
    world_open(world, 5, 1000);
    for (unsigned i = 0; i < MODEL_TIMERS; i++) {
        world->model[i].deadline_ms = 1000 + random_below(&world->random, 100000);
        timer_arm(&world->timers, &world->model[i].timer, world->model[i].deadline_ms);
    }
    world->now_ms = 200000;
    do {
        one = timers_run(&world->timers, world->now_ms, 7);
        assert_true(one <= 7);
        fired += one;
        runs++;
    } while (one == 7);
    assert_int_equal(fired, MODEL_TIMERS);
    assert_int_equal(runs, MODEL_TIMERS / 7 + 1);
    assert_int_equal(timers_run(&world->timers, world->now_ms, 0), 0);
    free(world);
}

/* Whoever always works up to the time that timers_next() names fires each timer in its tick, and is
 * not woken more than once per level for it. */
static void next_leads_to_the_deadline(void **unused)
{
    struct world *world = malloc(sizeof(*world));

    (void)unused;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct model_timer *model = &world->model[0];
        unsigned wakes = 0;
        uint64_t deadline;

        world_open(world, seed, seed * 12345);
        deadline = world->now_ms + 1 + random_distance(&world->random) % HORIZON_MS;
        model->deadline_ms = deadline;
        timer_arm(&world->timers, &model->timer, deadline);
        while (model->deadline_ms != TIMER_NEVER) {
            uint64_t next = timers_next(&world->timers);

            assert_true(next > world->now_ms || wakes == 0);
            world->now_ms = next;
            run_world(world, UINT32_MAX);
            wakes++;
        }
        assert_int_equal(world->now_ms, tick_after(deadline) * TIMER_TICK_MS);
        assert_in_range(wakes, 1, TIMER_LEVELS + 1);
    }
    free(world);
}

struct chain {
    struct timers timers;
    struct timer timer, other;
    unsigned fired, other_fired;
    uint64_t arm_ms;
};

static void chain_fire(void *owner, struct timer *timer)
{
    struct chain *chain = owner;

    chain->fired++;
    timer_arm(&chain->timers, timer, chain->arm_ms);
    timer_disarm(&chain->timers, &chain->other);
}

static void chain_other(void *owner, struct timer *timer)
{
    struct chain *chain = owner;

    (void)timer;
    chain->other_fired++;
}

/* I4: not even a timer that arms itself for the past, after a long pause, keeps a run from ending. */
static void armed_for_the_past_waits_for_the_next_run(void **unused)
{
    static const uint64_t pauses[] = {1, 100, 3000, 5000 * TIMER_TICK_MS};

    (void)unused;
    for (unsigned i = 0; i < ARRAY_LENGTH(pauses); i++) {
        struct chain chain = {.arm_ms = 0};
        uint64_t now = 1000;

        timers_init(&chain.timers, now, &chain);
        timer_init(&chain.timer, chain_fire);
        timer_init(&chain.other, chain_other);
        timer_arm(&chain.timers, &chain.timer, 0);
        for (unsigned run = 1; run <= 5; run++) {
            assert_int_equal(timers_run(&chain.timers, now, 1000), 1);
            assert_int_equal(chain.fired, run);
            /* and it does not wait longer than a tick */
            assert_true(timers_next(&chain.timers) <= now + TIMER_TICK_MS);
            now += pauses[i] + TIMER_TICK_MS;
        }
    }
}

/* A timer of the same tick that an earlier one disarms does not fire. */
static void disarmed_by_another_of_the_same_tick(void **unused)
{
    struct chain chain = {.arm_ms = 100000};

    (void)unused;
    timers_init(&chain.timers, 1000, &chain);
    timer_init(&chain.timer, chain_fire);
    timer_init(&chain.other, chain_other);
    timer_arm(&chain.timers, &chain.timer, 2000);
    timer_arm(&chain.timers, &chain.other, 2000);
    assert_int_equal(timers_run(&chain.timers, 1999, 10), 0);
    assert_int_equal(timers_run(&chain.timers, 2000, 10), 1);
    assert_int_equal(chain.other_fired, 0);
    assert_false(timer_armed(&chain.other));
    assert_int_equal(chain.timers.count, 1);
    timer_disarm(&chain.timers, &chain.timer);
    timer_disarm(&chain.timers, &chain.timer); /* harmless */
    assert_int_equal(timers_next(&chain.timers), TIMER_NEVER);
}

static void forever_is_far_away(void **unused)
{
    struct chain chain = {.arm_ms = TIMER_NEVER};

    (void)unused;
    timers_init(&chain.timers, 0, &chain);
    timer_init(&chain.timer, chain_fire);
    timer_init(&chain.other, chain_other);
    timer_arm(&chain.timers, &chain.timer, UINT64_MAX - 1);
    timer_arm(&chain.timers, &chain.other, UINT64_MAX);
    for (uint64_t now = 0; now < 20 * HORIZON_MS; now += HORIZON_MS / 3)
        assert_int_equal(timers_run(&chain.timers, now, 10), 0);
    assert_int_equal(chain.timers.count, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_naive_model),
        cmocka_unit_test(limit_splits_a_run),
        cmocka_unit_test(next_leads_to_the_deadline),
        cmocka_unit_test(armed_for_the_past_waits_for_the_next_run),
        cmocka_unit_test(disarmed_by_another_of_the_same_tick),
        cmocka_unit_test(forever_is_far_away),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
