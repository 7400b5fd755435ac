/* SPDX-License-Identifier: MIT
 *
 * window - the QoS 1 and QoS 2 messages that a client has sent and that are not acknowledged yet.
 *
 * Owner: shard. Packet identifiers are given in turn, 1 .. capacity, so their order is the order of
 * sending and a resend walks the ring once; an identifier that is still in use when its turn comes
 * stops the sender. capacity is at least twice the limit, so that happens only when the server
 * leaves one message unacknowledged for a whole round.
 *
 *   FREE --sent--> PUBACK --PUBACK--> FREE                                        QoS 1
 *   FREE --sent--> PUBREC --PUBREC--> PUBCOMP (PUBREL sent) --PUBCOMP--> FREE     QoS 2
 *
 * After a reconnect every slot in use is UNSENT until it was sent again.
 *
 * Invariants
 *   W1  count is the number of slots that are not FREE, and never above the limit when one is taken
 *   W2  unsent is the number of slots with WINDOW_UNSENT, all at or behind resend_at
 *   W3  every slot in use lies in the last `capacity` positions of [oldest, turn)
 *   W4  a slot has a kept packet only in the states PUBACK and PUBREC
 */
#ifndef SHARDMQ_CLIENT_WINDOW_H
#define SHARDMQ_CLIENT_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

enum window_state {
    WINDOW_FREE,
    WINDOW_PUBACK,
    WINDOW_PUBREC,
    WINDOW_PUBCOMP,
    WINDOW_UNSENT = 0x80, /* a flag beside one of the states above */
};

#define CLIENT_INFLIGHT_MAX 16384u /* at most so many unacknowledged messages */
#define CLIENT_WINDOW_MAX   32768u /* identifiers above it are for SUBSCRIBE and UNSUBSCRIBE */

/* A PUBLISH as it is to be sent again, and what its sender calls it. */
struct client_kept {
    uint8_t *packet; /* owned; NULL when nothing is kept */
    uint32_t len;
    uint64_t tag;
};

struct client_window {
    uint8_t *states;          /* by identifier - 1; NULL until the first message */
    struct client_kept *kept; /* likewise; NULL unless packets are kept */
    uint32_t capacity, limit, count, unsent;
    uint32_t oldest, turn, resend_at; /* positions, free running; at [position & (capacity - 1)] */
};

/* Makes room for `limit` messages at a time. False when memory is gone. */
bool client_window_open(struct client_window *window, uint32_t limit, bool keep);
/* Forgets all messages and frees everything. */
void client_window_fini(struct client_window *window);

/* Takes the next identifier for a message whose next acknowledgement is `awaited`; 0 when none is
 * to be had now. */
static inline uint16_t client_window_take(struct client_window *window, enum window_state awaited)
{
    uint32_t at = window->turn & (window->capacity - 1);

    if (window->count >= window->limit || window->states[at] != WINDOW_FREE)
        return 0;
    window->states[at] = (uint8_t)awaited;
    window->count++;
    window->turn++;
    return (uint16_t)(at + 1);
}

/* How many identifiers are to be had now. */
uint32_t client_window_room(struct client_window *window);

/* Frees a slot that is in use, with what is kept there. */
void client_window_free(struct client_window *window, uint16_t identifier);

/* Frees the packet of a slot. */
void client_window_drop_packet(struct client_window *window, uint16_t identifier);

/* An acknowledgement came for `identifier`: goes from `awaited` to `then`. False when that one was
 * not awaited. */
static inline bool client_window_acknowledge(struct client_window *window, uint16_t identifier,
                                             enum window_state awaited, enum window_state then)
{
    uint32_t at = (uint32_t)identifier - 1;

    if (identifier == 0 || at >= window->capacity || window->states[at] != awaited)
        return false;
    if (window->kept != 0 && awaited != WINDOW_PUBCOMP)
        client_window_drop_packet(window, identifier);
    window->states[at] = (uint8_t)then;
    window->count -= then == WINDOW_FREE;
    return true;
}

/* The connection is gone: everything in flight is to be sent again, in its order. */
void client_window_rewind(struct client_window *window);

/* The identifier of the next message to be sent again, 0 when there is none. Its slot stays UNSENT
 * until client_window_resent(). */
uint16_t client_window_next_unsent(struct client_window *window);
void client_window_resent(struct client_window *window, uint16_t identifier);

static inline enum window_state client_window_state(const struct client_window *window,
                                                    uint16_t identifier)
{
    return (enum window_state)(window->states[identifier - 1] & ~(unsigned)WINDOW_UNSENT);
}

#endif
