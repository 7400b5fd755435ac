/* SPDX-License-Identifier: MIT
 *
 * histogram - log-linear histogram of durations in nanoseconds.
 *
 * Every power of two is divided into HISTOGRAM_STEPS equal steps, so that a value is known to
 * within 1/64 of itself (0.8 % either way when the middle of the step is reported) from 1 ns to 584
 * years, in a fixed 30 KiB. The largest value is kept exactly.
 */
#ifndef SHARDMQ_BENCH_HISTOGRAM_H
#define SHARDMQ_BENCH_HISTOGRAM_H

#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#define HISTOGRAM_STEP_BITS 6u
#define HISTOGRAM_STEPS     (1u << HISTOGRAM_STEP_BITS)
#define HISTOGRAM_SLOTS     ((64u - HISTOGRAM_STEP_BITS + 1u) * HISTOGRAM_STEPS)

/* Written by one thread, read by any while it grows: relaxed single-writer atomics. shared. */
struct histogram {
    _Atomic uint64_t count, max_ns;
    _Atomic double sum_ns;
    _Atomic uint64_t slots[HISTOGRAM_SLOTS];
};

static inline uint32_t histogram_slot(uint64_t value_ns)
{
    uint32_t exponent;

    if (value_ns < HISTOGRAM_STEPS) {
        return (uint32_t)value_ns;
    }
    exponent = 63u - (uint32_t)__builtin_clzll(value_ns) - HISTOGRAM_STEP_BITS;
    return (exponent + 1) * HISTOGRAM_STEPS +
           (uint32_t)((value_ns >> exponent) & (HISTOGRAM_STEPS - 1));
}

/* Adds without a locked instruction: there is one writer. */
#define HISTOGRAM_RAISE(member, by)                                                                \
    atomic_store_explicit(&(member), atomic_load_explicit(&(member), memory_order_relaxed) + (by), \
                          memory_order_relaxed)

static inline void histogram_add(struct histogram *histogram, uint64_t value_ns)
{
    HISTOGRAM_RAISE(histogram->slots[histogram_slot(value_ns)], 1);
    HISTOGRAM_RAISE(histogram->count, 1);
    HISTOGRAM_RAISE(histogram->sum_ns, (double)value_ns);
    if (value_ns > atomic_load_explicit(&histogram->max_ns, memory_order_relaxed)) {
        atomic_store_explicit(&histogram->max_ns, value_ns, memory_order_relaxed);
    }
}

/* Adds all of `from` to `to`, which belongs to the caller. */
void histogram_merge(struct histogram *to, const struct histogram *from);

/* Makes `out` what came into `now` since it was `before`; the maximum is that of the highest slot. */
void histogram_difference(struct histogram *out, const struct histogram *now,
                          const struct histogram *before);

/* The value that `share` (0 to 1) of all values do not exceed, in nanoseconds; 0 when empty. */
uint64_t histogram_quantile(const struct histogram *histogram, double share);

/* How many values are not above `value_ns`, to within one step. */
uint64_t histogram_count_up_to(const struct histogram *histogram, uint64_t value_ns);

/* The smallest value that is counted in a slot. */
uint64_t histogram_slot_low(uint32_t slot);

/* The mean in nanoseconds; 0 when empty. */
double histogram_mean(const struct histogram *histogram);

#endif
