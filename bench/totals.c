/* SPDX-License-Identifier: MIT
 *
 * totals - sums over threads that go on counting.
 */
#include "bench/totals.h"

void totals_gather(struct totals *totals, const struct worker *workers, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct tally *tally = &workers[i].tally;
        /* what ended is read first, so that it is never more than what began */
        uint64_t ended = tally_get(&tally->ended), ready = tally_get(&tally->ready);

        totals->connected += ready - ended;
        totals->connects += ready;
        totals->disconnects += tally_get(&tally->disconnects);
        totals->sent += tally_get(&tally->sent);
        totals->received += tally_get(&tally->received);
        totals->copies += tally_get(&tally->copies);
        totals->duplicated += tally_get(&tally->duplicates);
        totals->reordered += tally_get(&tally->late);
        totals->altered += tally_get(&tally->altered);
        totals->missing += tally_get(&tally->missing);
    }
}

void totals_gather_latency(struct histogram *to, const struct worker *workers, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        histogram_merge(to, workers[i].latency);
    }
}
