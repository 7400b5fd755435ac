/* SPDX-License-Identifier: MIT
 *
 * sequence - which numbers of one flow have arrived: finds duplicates, late arrivals and losses.
 *
 *      next            highest
 *   ....v...............v
 *   1111 0 0 1 1 0 1 0 1            bits from `next` on live in a ring that exists only while
 *                                   something has arrived ahead of something else
 *
 * Invariants
 *   S1  every number below `next` has arrived or was given up as lost
 *   S2  `ahead` is the number of bits set in the ring; when it is 0 the ring is all zero
 *   S3  a number with its bit set is at least `next` + 1 and less than `next` + capacity
 */
#ifndef SHARDMQ_BENCH_SEQUENCE_H
#define SHARDMQ_BENCH_SEQUENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/check.h"

/* The ring never grows beyond this many numbers; what is further behind is given up as lost. */
#define SEQUENCE_AHEAD_MAX (1u << 22)

enum sequence_verdict {
    SEQUENCE_NEW,      /* first arrival, nothing with a higher number came before */
    SEQUENCE_LATE,     /* first arrival, but a higher number came before it */
    SEQUENCE_DUPLICATE /* has arrived before, or was given up */
};

/* Touched by the thread of its receiver only. Zeroed is a valid start. */
struct sequence {
    uint64_t next, highest; /* highest: one more than the highest number that has arrived */
    uint64_t *ring;
    uint32_t capacity, ahead; /* capacity in bits, a power of two */
};

/* Frees the ring. */
void sequence_fini(struct sequence *sequence);

/* The general case of sequence_accept(). */
enum sequence_verdict sequence_accept_slow(struct sequence *sequence, uint64_t number);

/* Takes note of the arrival of `number`. */
static inline enum sequence_verdict sequence_accept(struct sequence *sequence, uint64_t number)
{
    if (LIKELY(number == sequence->next && sequence->ahead == 0)) {
        sequence->highest = ++sequence->next;
        return SEQUENCE_NEW;
    }
    return sequence_accept_slow(sequence, number);
}

#endif
