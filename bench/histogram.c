/* SPDX-License-Identifier: MIT
 *
 * histogram - log-linear histogram of durations.
 */
#include "bench/histogram.h"

#include <math.h>

#include "base/check.h"

void histogram_merge(struct histogram *to, const struct histogram *from)
{
    for (uint32_t i = 0; i < HISTOGRAM_SLOTS; i++) {
        to->slots[i] += from->slots[i];
    }
    to->count += from->count;
    to->sum_ns += from->sum_ns;
    if (from->max_ns > to->max_ns) {
        to->max_ns = from->max_ns;
    }
}

/* The middle of a slot. */
static uint64_t slot_value(uint32_t slot)
{
    uint32_t exponent;
    uint64_t low;

    if (slot < 2 * HISTOGRAM_STEPS) {
        return slot;
    }
    exponent = slot / HISTOGRAM_STEPS - 1;
    low = (uint64_t)(HISTOGRAM_STEPS + slot % HISTOGRAM_STEPS) << exponent;
    return low + (1ull << (exponent - 1));
}

uint64_t histogram_quantile(const struct histogram *histogram, double share)
{
    uint64_t rank = (uint64_t)ceil(share * (double)histogram->count), seen = 0;

    ASSERT(share >= 0 && share <= 1);
    if (histogram->count == 0) {
        return 0;
    }
    if (rank == 0) {
        rank = 1;
    }
    for (uint32_t i = 0; i < HISTOGRAM_SLOTS; i++) {
        seen += histogram->slots[i];
        if (seen >= rank) {
            uint64_t value = slot_value(i);

            return value < histogram->max_ns ? value : histogram->max_ns;
        }
    }
    return histogram->max_ns;
}

double histogram_mean(const struct histogram *histogram)
{
    return histogram->count == 0 ? 0 : histogram->sum_ns / (double)histogram->count;
}
