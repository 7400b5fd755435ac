/* SPDX-License-Identifier: MIT
 *
 * window - the QoS 1 and QoS 2 deliveries of one session: those in flight and, behind them, the
 * queue.
 *
 * Owner: shard. Callers: broker/deliver.c, broker/on_ack.c, broker/session_life.c.
 *
 *      head              next                tail            sequence numbers, free running
 *       | in flight ...   | queued ...        |              entries[sequence & (capacity - 1)]
 *
 *   QUEUED --sent--> SENT --PUBACK--> DONE
 *                      \--PUBREC--> RELEASED --PUBCOMP--> DONE
 *
 * A packet identifier is a function of the sequence number (sequence mod 65535, plus 1), so finding
 * the entry of an acknowledgement needs no table, and an identifier is free exactly when its entry
 * is gone.
 *
 * When the session resumes, `next` goes back to head: entries that are SENT are sent again with
 * DUP, in their original order and as the client's Receive Maximum allows, before anything new.
 *
 * Invariants
 *   I1  head <= next <= tail; next - head < 65535, so identifiers of entries in flight are unique
 *   I2  `outstanding` counts the entries with `in_quota`, and is at most the Receive Maximum
 *   I3  an entry before head does not exist; entries[head] is not DONE unless head == next
 *   I4  queued and queued_bytes count the QUEUED entries and their messages' sizes
 *   I5  an entry whose state is RELEASED or DONE holds no message
 *   I6  QUEUED entries lie in [next, tail), and none of them before `oldest`
 *
 * `ordinal`: first transmissions of a connection are numbered; the machine confirms numbers as the
 * kernel takes the bytes. When a connection is lost, entries with an unconfirmed number have not
 * been counted as message_out.
 *
 * Rejected: a list per state (a resume would have to merge them to keep the order), and an
 * identifier bitmap (one more table to keep consistent with the entries).
 */
#ifndef SHARDMQ_SESSION_WINDOW_H
#define SHARDMQ_SESSION_WINDOW_H

#include "session/message.h"

#define WINDOW_IDENTIFIERS 65535u

enum delivery_state { DELIVERY_QUEUED, DELIVERY_SENT, DELIVERY_RELEASED, DELIVERY_DONE };

/* Subscription Identifiers of a delivery that matched several subscriptions with one. */
struct identifier_list {
    uint32_t count;
    uint32_t values[];
};

struct delivery {
    struct message *message;             /* one reference; NULL when RELEASED or DONE (I5) */
    struct identifier_list *identifiers; /* owned; NULL unless more than one */
    uint32_t identifier;                 /* Subscription Identifier, 0: none */
    uint32_t share;   /* membership of the share group it came through, 0: none */
    uint32_t ordinal; /* valid while `transmitted` */
    uint8_t state, qos;
    bool retain : 1, transmitted : 1 /* counted or to be counted as message_out */, in_quota : 1,
        duplicate : 1 /* was sent on an earlier connection */;
};

struct window {
    struct delivery *entries;
    uint64_t head, next, tail;
    uint64_t oldest; /* where to look for the oldest QUEUED entry (I6) */
    uint64_t queued_bytes;
    uint32_t capacity, outstanding, queued;
};

static inline struct delivery *window_at(const struct window *window, uint64_t sequence)
{
    return &window->entries[sequence & (window->capacity - 1)];
}

static inline uint16_t window_packet_identifier(uint64_t sequence)
{
    return (uint16_t)(sequence % WINDOW_IDENTIFIERS + 1);
}

/* Appends a slot at the tail; the caller fills it in (state is DELIVERY_QUEUED, the rest zero) and
 * adds the message's size to queued_bytes (I4). May move entries that are QUEUED. NULL when memory
 * is gone. */
struct delivery *window_append(struct window *window);

/* The entry in flight with that packet identifier, NULL when there is none. */
struct delivery *window_find(const struct window *window, uint16_t packet_identifier);

/* The entry that has been queued for the longest time, NULL when none is. */
struct delivery *window_oldest(struct window *window);

/* The entry, QUEUED so far, is being sent: it leaves the queue. */
static inline void window_begin(struct window *window, struct delivery *delivery)
{
    window->queued--;
    window->queued_bytes -= delivery->message->size;
    delivery->state = DELIVERY_SENT;
}

/* Ends a delivery: releases what it holds, gives its quota back, moves head over finished entries
 * (and `next` with it). */
void window_finish(struct window *window, struct delivery *delivery);

/* Releases message and identifiers of an entry. */
void delivery_release(struct delivery *delivery);

/* Frees everything; returns how many deliveries were not finished and had never been transmitted.
 */
uint32_t window_clear(struct window *window);

/* The connection is gone: entries with unconfirmed ordinals (above `confirmed`) count as not
 * transmitted; returns how many. next goes back to head so that a resume sends again; nothing is
 * outstanding. */
uint32_t window_rewind(struct window *window, uint32_t confirmed);

/* Panics when an invariant does not hold. */
void window_check(const struct window *window);

#endif
