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

#include <stdint.h>

#define HISTOGRAM_STEP_BITS 6u
#define HISTOGRAM_STEPS     (1u << HISTOGRAM_STEP_BITS)
#define HISTOGRAM_SLOTS     ((64u - HISTOGRAM_STEP_BITS + 1u) * HISTOGRAM_STEPS)

/* Owned by one thread; merged when that thread has ended. */
struct histogram {
    uint64_t count, max_ns;
    double sum_ns;
    uint64_t slots[HISTOGRAM_SLOTS];
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

static inline void histogram_add(struct histogram *histogram, uint64_t value_ns)
{
    histogram->slots[histogram_slot(value_ns)]++;
    histogram->count++;
    histogram->sum_ns += (double)value_ns;
    if (value_ns > histogram->max_ns) {
        histogram->max_ns = value_ns;
    }
}

/* Adds all of `from` to `to`. */
void histogram_merge(struct histogram *to, const struct histogram *from);

/* The value that `share` (0 to 1) of all values do not exceed, in nanoseconds; 0 when empty. */
uint64_t histogram_quantile(const struct histogram *histogram, double share);

/* The mean in nanoseconds; 0 when empty. */
double histogram_mean(const struct histogram *histogram);

#endif
