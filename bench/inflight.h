/* SPDX-License-Identifier: MIT
 *
 * inflight - packet identifiers of the QoS 1 and QoS 2 messages that one client has sent.
 *
 * Identifiers are used in turn, 1 .. capacity, where capacity is at least twice the limit; an
 * identifier that is still in use when its turn comes again stops the sender.
 */
#ifndef SHARDMQ_BENCH_INFLIGHT_H
#define SHARDMQ_BENCH_INFLIGHT_H

#include <stdbool.h>
#include <stdint.h>

enum inflight_state { INFLIGHT_FREE, INFLIGHT_PUBACK, INFLIGHT_PUBREC, INFLIGHT_PUBCOMP };

/* Touched by the thread of its client only. */
struct inflight {
    uint8_t *states; /* enum inflight_state, by identifier - 1 */
    uint32_t capacity, limit, count, turn;
};

/* How many messages may be sent now without asking again. */
static inline uint32_t inflight_room(const struct inflight *inflight)
{
    return inflight->limit - inflight->count;
}

/* Takes the next identifier for a message whose next acknowledgement is `awaited`; 0 when it is in
 * use. */
static inline uint16_t inflight_take(struct inflight *inflight, enum inflight_state awaited)
{
    uint32_t at = inflight->turn;

    if (inflight->count == inflight->limit || inflight->states[at] != INFLIGHT_FREE) {
        return 0;
    }
    inflight->states[at] = (uint8_t)awaited;
    inflight->count++;
    inflight->turn = (at + 1) & (inflight->capacity - 1);
    return (uint16_t)(at + 1);
}

/* An acknowledgement came for `identifier`: goes from `awaited` to `then`. False when that one was
 * not awaited. */
static inline bool inflight_acknowledge(struct inflight *inflight, uint16_t identifier,
                                        enum inflight_state awaited, enum inflight_state then)
{
    uint32_t at = (uint32_t)identifier - 1;

    if (identifier == 0 || at >= inflight->capacity || inflight->states[at] != awaited) {
        return false;
    }
    inflight->states[at] = (uint8_t)then;
    inflight->count -= then == INFLIGHT_FREE;
    return true;
}

#endif
