/* SPDX-License-Identifier: MIT
 *
 * histogram - log-linear histogram of durations.
 */
#include "bench/histogram.h"

#include <math.h>

#include "base/check.h"

static uint64_t get(const _Atomic uint64_t *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

void histogram_merge(struct histogram *to, const struct histogram *from)
{
    uint64_t max_ns = get(&from->max_ns);

    for (uint32_t i = 0; i < HISTOGRAM_SLOTS; i++) {
        HISTOGRAM_RAISE(to->slots[i], get(&from->slots[i]));
    }
    HISTOGRAM_RAISE(to->count, get(&from->count));
    HISTOGRAM_RAISE(to->sum_ns, atomic_load_explicit(&from->sum_ns, memory_order_relaxed));
    if (max_ns > get(&to->max_ns)) {
        atomic_store_explicit(&to->max_ns, max_ns, memory_order_relaxed);
    }
}

uint64_t histogram_slot_low(uint32_t slot)
{
    uint32_t exponent;

    if (slot < 2 * HISTOGRAM_STEPS) {
        return slot;
    }
    exponent = slot / HISTOGRAM_STEPS - 1;
    return (uint64_t)(HISTOGRAM_STEPS + slot % HISTOGRAM_STEPS) << exponent;
}

/* The middle of a slot. */
static uint64_t slot_value(uint32_t slot)
{
    uint32_t exponent = slot / HISTOGRAM_STEPS;

    return histogram_slot_low(slot) + (exponent < 2 ? 0 : 1ull << (exponent - 2));
}

void histogram_difference(struct histogram *out, const struct histogram *now,
                          const struct histogram *before)
{
    uint64_t count = 0, max_ns = 0;

    for (uint32_t i = 0; i < HISTOGRAM_SLOTS; i++) {
        uint64_t more = get(&now->slots[i]) - get(&before->slots[i]);

        atomic_store_explicit(&out->slots[i], more, memory_order_relaxed);
        count += more;
        max_ns = more > 0 ? slot_value(i) : max_ns;
    }
    /* the exact maximum is known only when it is the maximum of all times */
    if (get(&now->max_ns) > get(&before->max_ns)) {
        max_ns = get(&now->max_ns);
    }
    atomic_store_explicit(&out->count, count, memory_order_relaxed);
    atomic_store_explicit(&out->max_ns, max_ns, memory_order_relaxed);
    atomic_store_explicit(&out->sum_ns,
                          atomic_load_explicit(&now->sum_ns, memory_order_relaxed) -
                              atomic_load_explicit(&before->sum_ns, memory_order_relaxed),
                          memory_order_relaxed);
}

uint64_t histogram_quantile(const struct histogram *histogram, double share)
{
    uint64_t count = get(&histogram->count), max_ns = get(&histogram->max_ns), seen = 0;
    uint64_t rank = (uint64_t)ceil(share * (double)count);

    ASSERT(share >= 0 && share <= 1);
    if (count == 0) {
        return 0;
    }
    if (rank == 0) {
        rank = 1;
    }
    for (uint32_t i = 0; i < HISTOGRAM_SLOTS; i++) {
        seen += get(&histogram->slots[i]);
        if (seen >= rank) {
            uint64_t value = slot_value(i);

            return value < max_ns ? value : max_ns;
        }
    }
    return max_ns;
}

uint64_t histogram_count_up_to(const struct histogram *histogram, uint64_t value_ns)
{
    uint64_t seen = 0;

    for (uint32_t i = 0; i < HISTOGRAM_SLOTS && slot_value(i) <= value_ns; i++) {
        seen += get(&histogram->slots[i]);
    }
    return seen;
}

double histogram_mean(const struct histogram *histogram)
{
    uint64_t count = get(&histogram->count);

    return count == 0
               ? 0
               : atomic_load_explicit(&histogram->sum_ns, memory_order_relaxed) / (double)count;
}
