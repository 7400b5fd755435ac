/* SPDX-License-Identifier: MIT */
#include "base/timer.h"

#include <string.h>

#define LEVEL_0_BITS 8
#define UPPER_BITS   6

static unsigned level_shift(unsigned level)
{
    return level == 0 ? 0 : LEVEL_0_BITS + (level - 1) * UPPER_BITS;
}

static unsigned slot_at(unsigned level, uint64_t tick)
{
    if (level == 0)
        return (unsigned)(tick & (TIMER_SLOTS_0 - 1));
    return TIMER_SLOTS_0 + (level - 1) * TIMER_SLOTS_UPPER +
           (unsigned)((tick >> level_shift(level)) & (TIMER_SLOTS_UPPER - 1));
}

void timers_init(struct timers *timers, uint64_t now_ms, void *owner)
{
    timers->tick = now_ms / TIMER_TICK_MS;
    timers->run_tick = timers->tick;
    timers->count = 0;
    timers->owner = owner;
    memset(timers->used, 0, sizeof(timers->used));
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
    unsigned level = 0, slot;

    if (due < timers->tick)
        due = timers->tick;
    if (due - timers->tick >= horizon)
        due = timers->tick + horizon - 1;
    /* the lowest level whose turn reaches the due tick (I2) */
    while (level + 1 < TIMER_LEVELS &&
           (due >> level_shift(level)) - (timers->tick >> level_shift(level)) >=
               (level == 0 ? TIMER_SLOTS_0 : TIMER_SLOTS_UPPER))
        level++;
    slot = slot_at(level, due);
    list_append(&timers->slots[slot], &timer->node);
    timers->used[slot / 64] |= (uint64_t)1 << slot % 64; /* I5 */
}

/* Takes an armed timer out of its slot. */
static void unlink_timer(struct timers *timers, struct timer *timer)
{
    const struct list *next = timer->node.next;
    bool last = next == timer->node.previous; /* both are then the list itself */

    list_remove(&timer->node);
    if (last) {
        size_t slot = (size_t)(next - timers->slots);

        timers->used[slot / 64] &= ~((uint64_t)1 << slot % 64); /* I5 */
    }
}

void timer_arm(struct timers *timers, struct timer *timer, uint64_t deadline_ms)
{
    uint64_t earliest_ms = timers->run_tick * TIMER_TICK_MS; /* I4 */

    if (timer_armed(timer))
        unlink_timer(timers, timer);
    else
        timers->count++;
    timer->deadline_ms = deadline_ms < earliest_ms ? earliest_ms : deadline_ms;
    place(timers, timer);
}

void timer_disarm(struct timers *timers, struct timer *timer)
{
    if (!timer_armed(timer))
        return;
    unlink_timer(timers, timer);
    timers->count--;
}

/* The first tick from timers->tick on whose slot of level 0 is used, or UINT64_MAX. */
static uint64_t next_tick_0(const struct timers *timers)
{
    const unsigned words = TIMER_SLOTS_0 / 64;
    unsigned start = slot_at(0, timers->tick);

    /* the word of the start comes first with its upper end and last with its lower one */
    for (unsigned i = 0; i <= words; i++) {
        unsigned word = (start / 64 + i) % words;
        uint64_t bits = timers->used[word];

        if (i == 0)
            bits &= ~(uint64_t)0 << start % 64;
        if (bits != 0) {
            unsigned slot = word * 64 + (unsigned)__builtin_ctzll(bits);

            return timers->tick + ((slot - start) & (TIMER_SLOTS_0 - 1));
        }
    }
    return UINT64_MAX;
}

/* The first tick at which a used slot of an upper level is to be spread out, or UINT64_MAX. */
static uint64_t next_tick_upper(const struct timers *timers, unsigned level)
{
    unsigned shift = level_shift(level);
    uint64_t turn = timers->tick >> shift, bits = timers->used[TIMER_SLOTS_0 / 64 + level - 1];
    unsigned start = (unsigned)(turn & (TIMER_SLOTS_UPPER - 1));

    if (bits == 0)
        return UINT64_MAX;
    if (start != 0)
        bits = bits >> start | bits << (64 - start); /* bit n: the slot n turns from here */
    /* the slot of this turn was spread out when the turn began: what is in it waits for the next
     * time round */
    if (timers->tick != turn << shift) {
        if (bits == 1)
            return (turn + TIMER_SLOTS_UPPER) << shift;
        bits &= ~(uint64_t)1;
    }
    return (turn + (unsigned)__builtin_ctzll(bits)) << shift;
}

uint64_t timers_next(const struct timers *timers)
{
    uint64_t best;

    if (timers->count == 0)
        return TIMER_NEVER;
    best = next_tick_0(timers);
    for (unsigned level = 1; level < TIMER_LEVELS; level++) {
        uint64_t tick = next_tick_upper(timers, level);

        if (tick < best)
            best = tick;
    }
    return best == UINT64_MAX ? TIMER_NEVER : best * TIMER_TICK_MS;
}

static void spread(struct timers *timers, unsigned level)
{
    struct list moving;
    unsigned slot = slot_at(level, timers->tick);

    list_init(&moving);
    list_splice(&moving, &timers->slots[slot]);
    timers->used[slot / 64] &= ~((uint64_t)1 << slot % 64); /* I5 */
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
        slot = &timers->slots[slot_at(0, timers->tick)];
        while (!list_empty(slot)) {
            struct timer *timer = LIST_ENTRY(slot->next, struct timer, node);

            if (fired == limit)
                return fired;
            unlink_timer(timers, timer);
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
