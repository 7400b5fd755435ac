/* SPDX-License-Identifier: MIT */
#include "base/timer.h"

#define LEVEL_0_BITS 8
#define UPPER_BITS   6

static unsigned level_shift(unsigned level)
{
    return level == 0 ? 0 : LEVEL_0_BITS + (level - 1) * UPPER_BITS;
}

static struct list *slot_at(struct timers *timers, unsigned level, uint64_t tick)
{
    if (level == 0)
        return &timers->slots[tick & (TIMER_SLOTS_0 - 1)];
    return &timers->slots[TIMER_SLOTS_0 + (level - 1) * TIMER_SLOTS_UPPER +
                          ((tick >> level_shift(level)) & (TIMER_SLOTS_UPPER - 1))];
}

void timers_init(struct timers *timers, uint64_t now_ms, void *owner)
{
    timers->tick = now_ms / TIMER_TICK_MS;
    timers->run_tick = timers->tick;
    timers->count = 0;
    timers->owner = owner;
    for (unsigned i = 0; i < ARRAY_LENGTH(timers->slots); i++)
        list_init(&timers->slots[i]);
}

void timer_init(struct timer *timer, void (*fire)(void *owner, struct timer *timer))
{
    list_init(&timer->node);
    timer->deadline_ms = TIMER_NEVER;
    timer->fire = fire;
}

/* A timer is due at the first tick that lies wholly at or after its deadline. */
static uint64_t due_tick(const struct timer *timer)
{
    return timer->deadline_ms / TIMER_TICK_MS + (timer->deadline_ms % TIMER_TICK_MS != 0);
}

static void place(struct timers *timers, struct timer *timer)
{
    uint64_t due = due_tick(timer);
    uint64_t horizon = (uint64_t)1 << (LEVEL_0_BITS + 3 * UPPER_BITS);
    unsigned level = 0;

    if (due < timers->tick)
        due = timers->tick;
    if (due - timers->tick >= horizon)
        due = timers->tick + horizon - 1;
    /* the lowest level whose turn reaches the due tick (I2) */
    while (level + 1 < TIMER_LEVELS &&
           (due >> level_shift(level)) - (timers->tick >> level_shift(level)) >=
               (level == 0 ? TIMER_SLOTS_0 : TIMER_SLOTS_UPPER))
        level++;
    list_append(slot_at(timers, level, due), &timer->node);
}

void timer_arm(struct timers *timers, struct timer *timer, uint64_t deadline_ms)
{
    uint64_t earliest_ms = timers->run_tick * TIMER_TICK_MS; /* I4 */

    if (timer_armed(timer))
        list_remove(&timer->node);
    else
        timers->count++;
    timer->deadline_ms = deadline_ms < earliest_ms ? earliest_ms : deadline_ms;
    place(timers, timer);
}

void timer_disarm(struct timers *timers, struct timer *timer)
{
    if (!timer_armed(timer))
        return;
    list_remove(&timer->node);
    timers->count--;
}

uint64_t timers_next(const struct timers *timers)
{
    uint64_t best = TIMER_NEVER;

    if (timers->count == 0)
        return TIMER_NEVER;
    for (unsigned i = 0; i < TIMER_SLOTS_0; i++) {
        uint64_t tick = timers->tick + i;

        if (!list_empty(&timers->slots[tick & (TIMER_SLOTS_0 - 1)])) {
            best = tick;
            break;
        }
    }
    for (unsigned level = 1; level < TIMER_LEVELS; level++) {
        unsigned shift = level_shift(level);
        uint64_t base = timers->tick >> shift;

        for (unsigned i = 0; i <= TIMER_SLOTS_UPPER; i++) {
            uint64_t tick = (base + i)
                            << shift; /* the slot is spread out when its first tick comes */

            if (tick < timers->tick || tick >= best)
                continue;
            if (!list_empty(&timers->slots[TIMER_SLOTS_0 + (level - 1) * TIMER_SLOTS_UPPER +
                                           ((base + i) & (TIMER_SLOTS_UPPER - 1))])) {
                best = tick;
                break;
            }
        }
    }
    return best == TIMER_NEVER ? TIMER_NEVER : best * TIMER_TICK_MS;
}

static void spread(struct timers *timers, unsigned level)
{
    struct list moving;
    struct list *slot = slot_at(timers, level, timers->tick);

    list_init(&moving);
    list_splice(&moving, slot);
    while (!list_empty(&moving)) {
        struct timer *timer = LIST_ENTRY(moving.next, struct timer, node);

        list_remove(&timer->node);
        place(timers, timer);
    }
}

/* Enters the tick: upper slots that begin here are spread out, uppermost first. */
static void enter_tick(struct timers *timers)
{
    for (unsigned level = TIMER_LEVELS - 1; level > 0; level--)
        if ((timers->tick & (((uint64_t)1 << level_shift(level)) - 1)) == 0)
            spread(timers, level);
}

uint32_t timers_run(struct timers *timers, uint64_t now_ms, uint32_t limit)
{
    uint64_t now_tick = now_ms / TIMER_TICK_MS;
    uint32_t fired = 0;

    if (timers->run_tick <= now_tick)
        timers->run_tick = now_tick + 1;
    while (timers->tick <= now_tick) {
        struct list *slot;

        if (timers->count == 0) {
            timers->tick = now_tick + 1;
            break;
        }
        enter_tick(timers);
        slot = slot_at(timers, 0, timers->tick);
        while (!list_empty(slot)) {
            struct timer *timer = LIST_ENTRY(slot->next, struct timer, node);

            if (fired == limit)
                return fired;
            list_remove(&timer->node);
            timers->count--;
            fired++;
            timer->fire(timers->owner, timer);
        }
        timers->tick++;
        if (timers->tick <=
            now_tick) { /* jump over the empty stretch, as far as the next slot in use */
            uint64_t next_ms = timers_next(timers);
            uint64_t next = next_ms == TIMER_NEVER ? now_tick + 1 : next_ms / TIMER_TICK_MS;

            timers->tick = next > now_tick ? now_tick + 1 : next;
        }
    }
    return fired;
}
