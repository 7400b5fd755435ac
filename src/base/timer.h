/* SPDX-License-Identifier: MIT
 *
 * timer - a hierarchical timer wheel (Varghese and Lauck, 1987), one per shard.
 *
 * Owner: shard. Time is an input: milliseconds of a monotonic clock that the owner passes in. Timers
 * fire at or after their deadline, at most one tick (TIMER_TICK_MS) late with respect to the time
 * passed to timers_run(), in order of their ticks.
 *
 *   level 0: 256 slots of 1 tick, level 1: 64 slots of 256 ticks, level 2: 64 of 16384, level 3: 64 of
 *   2^20; what lies further away waits in the last slot of level 3 and is sorted again when it is reached.
 *
 * Invariants
 *   I1  a timer is in exactly one slot list, or in none (its node then points at itself)
 *   I2  a timer of level n is less than one turn of level n away from `tick`
 *   I3  timers_next() never names a time after the tick in which the earliest timer fires (it may name
 *       an earlier one: the moment when an upper slot must be spread out)
 *   I4  what is armed while the wheel runs fires in a later run: a run always comes to an end
 *   I5  the bit of a slot is set exactly while its list holds a timer: timers_next(), which every turn
 *       of an event loop asks, then reads seven words and no lists
 */
#ifndef SHARDMQ_BASE_TIMER_H
#define SHARDMQ_BASE_TIMER_H

#include "base/list.h"

#include <stdint.h>

#define TIMER_TICK_MS 8u
#define TIMER_NEVER   UINT64_MAX

struct timer {
    struct list node;
    uint64_t deadline_ms; /* as armed, but never before the next run (I4) */
    void (*fire)(void *owner, struct timer *timer);
};

#define TIMER_LEVELS      4
#define TIMER_SLOTS_0     256
#define TIMER_SLOTS_UPPER 64
#define TIMER_SLOTS       (TIMER_SLOTS_0 + (TIMER_LEVELS - 1) * TIMER_SLOTS_UPPER)

struct timers {
    uint64_t tick;     /* the next tick to be run */
    uint64_t run_tick; /* the first tick that the last run, or the one going on, leaves alone */
    uint64_t count;
    void *owner;
    uint64_t used[TIMER_SLOTS / 64]; /* a bit for each slot (I5) */
    struct list slots[TIMER_SLOTS];
};

/* `owner` is passed to every `fire`. */
void timers_init(struct timers *timers, uint64_t now_ms, void *owner);

void timer_init(struct timer *timer, void (*fire)(void *owner, struct timer *timer));
static inline bool timer_armed(const struct timer *timer)
{
    return !list_empty(&timer->node);
}

/* Arms, or moves an armed timer. A deadline in the past fires at the next run. */
void timer_arm(struct timers *timers, struct timer *timer, uint64_t deadline_ms);
/* Harmless when the timer is not armed. */
void timer_disarm(struct timers *timers, struct timer *timer);

/* The time until which nothing needs to be done, TIMER_NEVER without timers (I3). */
uint64_t timers_next(const struct timers *timers);

/* Fires what is due, at most `limit` timers; returns how many fired. When it returns `limit` there may
 * be more. `fire` may arm and disarm any timer, its own included, and may free it (I4). */
uint32_t timers_run(struct timers *timers, uint64_t now_ms, uint32_t limit);

#endif
