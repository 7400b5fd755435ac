/* SPDX-License-Identifier: MIT
 *
 * sequence - the part of the sequence check that is needed once something arrived out of order.
 */
#include "bench/sequence.h"

#include <string.h>

#include "base/mem.h"

#define WORD_BITS    64u
#define CAPACITY_MIN 1024u

static bool get_bit(const struct sequence *sequence, uint64_t number)
{
    uint64_t bit = number & (sequence->capacity - 1);

    return (sequence->ring[bit / WORD_BITS] >> (bit % WORD_BITS)) & 1;
}

static void flip_bit(struct sequence *sequence, uint64_t number)
{
    uint64_t bit = number & (sequence->capacity - 1);

    sequence->ring[bit / WORD_BITS] ^= 1ull << (bit % WORD_BITS);
}

void sequence_fini(struct sequence *sequence)
{
    mem_free(sequence->ring);
    sequence->ring = NULL;
    sequence->capacity = 0;
    sequence->ahead = 0;
}

/* Moves `next` over everything that has arrived (S1). */
static void advance(struct sequence *sequence)
{
    while (sequence->ahead > 0 && get_bit(sequence, sequence->next)) {
        flip_bit(sequence, sequence->next);
        sequence->ahead--;
        sequence->next++;
    }
}

/* Makes room for `number` in the ring, keeping its bits. */
static void grow(struct sequence *sequence, uint64_t number)
{
    struct sequence larger = *sequence;

    larger.capacity = sequence->capacity > 0 ? sequence->capacity : CAPACITY_MIN;
    while (larger.capacity <= number - sequence->next) {
        larger.capacity *= 2;
    }
    larger.ring = mem_zalloc(larger.capacity / 8);
    for (uint64_t at = sequence->next; sequence->ahead > 0 && at < sequence->highest; at++) {
        if (get_bit(sequence, at)) {
            flip_bit(&larger, at);
        }
    }
    mem_free(sequence->ring);
    *sequence = larger;
}

/* Gives up the lowest numbers until `number` fits below the limit of the ring. */
static void give_up_behind(struct sequence *sequence, uint64_t number)
{
    uint64_t keep_from = number - SEQUENCE_AHEAD_MAX + 1;

    while (sequence->next < keep_from && sequence->ahead > 0) {
        if (get_bit(sequence, sequence->next)) {
            flip_bit(sequence, sequence->next);
            sequence->ahead--;
        }
        sequence->next++;
    }
    if (sequence->next < keep_from) {
        sequence->next = keep_from;
    }
    advance(sequence);
}

enum sequence_verdict sequence_accept_slow(struct sequence *sequence, uint64_t number)
{
    enum sequence_verdict verdict = number < sequence->highest ? SEQUENCE_LATE : SEQUENCE_NEW;

    if (number < sequence->next) {
        return SEQUENCE_DUPLICATE;
    }
    if (number - sequence->next >= SEQUENCE_AHEAD_MAX) {
        give_up_behind(sequence, number);
    }
    if (number >= sequence->highest) {
        if (number - sequence->next >= sequence->capacity) {
            grow(sequence, number);
        }
        sequence->highest = number + 1;
    } else if (get_bit(sequence, number)) {
        return SEQUENCE_DUPLICATE;
    }
    ASSERT(number - sequence->next < sequence->capacity); /* S3 */
    if (number == sequence->next) {
        sequence->next++;
    } else {
        flip_bit(sequence, number);
        sequence->ahead++;
    }
    advance(sequence);
    return verdict;
}
