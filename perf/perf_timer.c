/* SPDX-License-Identifier: MIT
 *
 * The timer wheel with many keep alives in it: moving one, and running a wheel on which few are due.
 */
#include "base/mem.h"
#include "base/random.h"
#include "base/timer.h"
#include "perf/shim.h"

#define TIMER_COUNT 100000

void perf_register_timer(void);

struct wheel {
    struct timers timers;
    struct timer entries[TIMER_COUNT];
    uint64_t now_ms;
};

static void fire(void *owner, struct timer *timer)
{
    struct wheel *wheel = owner;

    timer_arm(&wheel->timers, timer, wheel->now_ms + 60000 + timer->deadline_ms % 1000);
}

static struct wheel *make_wheel(void)
{
    struct wheel *wheel = mem_alloc(sizeof(*wheel));
    struct random random = {.state = 7};

    wheel->now_ms = 1000000;
    timers_init(&wheel->timers, wheel->now_ms, wheel);
    for (unsigned i = 0; i < TIMER_COUNT; i++) {
        timer_init(&wheel->entries[i], fire);
        timer_arm(&wheel->timers, &wheel->entries[i], wheel->now_ms + random_below(&random, 60000));
    }
    return wheel;
}

static void arm_case(struct perf_state *state, void *argument)
{
    struct wheel *wheel = make_wheel();
    struct random random = {.state = 9};
    uint64_t count = 0;

    (void)argument;
    while (perf_next(state)) {
        struct timer *timer = &wheel->entries[random_below(&random, TIMER_COUNT)];

        timer_arm(&wheel->timers, timer, wheel->now_ms + random_below(&random, 60000));
        count++;
    }
    perf_items(state, count);
    mem_free(wheel);
}

static void run_case(struct perf_state *state, void *argument)
{
    struct wheel *wheel = make_wheel();
    uint64_t fired = 0;

    (void)argument;
    while (perf_next(state)) {
        wheel->now_ms += TIMER_TICK_MS;
        fired += timers_run(&wheel->timers, wheel->now_ms, UINT32_MAX);
    }
    perf_items(state, fired);
    mem_free(wheel);
}

static void next_case(struct perf_state *state, void *argument)
{
    struct wheel *wheel = make_wheel();
    uint64_t sum = 0;

    (void)argument;
    while (perf_next(state)) {
        sum += timers_next(&wheel->timers);
        perf_keep(&sum);
    }
    mem_free(wheel);
}

/* One timer that is far away: what an almost idle wheel is asked before every sleep. */
static void next_of_one_case(struct perf_state *state, void *argument)
{
    struct timers *timers = mem_alloc(sizeof(*timers));
    struct timer timer;
    uint64_t sum = 0;

    (void)argument;
    timers_init(timers, 1000000, NULL);
    timer_init(&timer, fire);
    timer_arm(timers, &timer, 1060000);
    while (perf_next(state)) {
        sum += timers_next(timers);
        perf_keep(&sum);
    }
    mem_free(timers);
}

void perf_register_timer(void)
{
    perf_case("timer/arm/1e5", arm_case, NULL);
    perf_case("timer/run_tick/1e5", run_case, NULL);
    perf_case("timer/next/1e5", next_case, NULL);
    perf_case("timer/next/one", next_of_one_case, NULL);
}
