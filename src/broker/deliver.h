/* SPDX-License-Identifier: MIT
 *
 * deliver - one message to one session.
 */
#ifndef SHARDMQ_BROKER_DELIVER_H
#define SHARDMQ_BROKER_DELIVER_H

#include "broker/broker_priv.h"

/* Encoded forms of a message that receivers share: (5.0 or older) x QoS x RETAIN. */
#define DELIVER_VARIANTS 16

struct deliver_variant {
    const uint8_t
        *bytes; /* in the outbox of the first receiver, where it stays until the turn ends */
    uint32_t len, identifier_at;
};

/* A publication on its way to its receivers. */
struct routing {
    const struct publication *publication;
    struct message *message; /* the copy, once somebody needs it */
    uint32_t credits;        /* references taken in advance and not handed out yet */
    uint32_t matched;
    uint16_t variants_valid;
    bool no_memory;
    bool allowed; /* every receiver may be sent it; false: each is to be asked about */
    struct deliver_variant variants[DELIVER_VARIANTS];
};

/* `message` is the publication's message (one reference passes to the routing), or NULL. */
void routing_begin(struct routing *routing, const struct publication *publication,
                   struct message *message);
/* A reference to the message, made now if need be; NULL when memory is gone. */
struct message *routing_take(struct routing *routing);
/* Settles references and counters. */
void routing_end(struct broker *broker, struct routing *routing);

/* What a delivery is besides its message. */
struct delivery_terms {
    uint8_t qos;
    bool retain;
    bool transmitted;    /* counted as message_out before, by another member of a share group */
    uint32_t identifier; /* Subscription Identifier, 0: none */
    uint32_t share;      /* membership id, 0: none */
    const uint32_t *identifiers; /* when there is more than one */
    uint32_t identifier_count;
};

/* Delivers: sends, queues, holds or drops. Whatever happens is counted; delivery_matched is the
 * caller's (it knows whether the pair is new). */
void deliver(struct broker *broker, struct routing *routing, struct session *session,
             const struct delivery_terms *terms);
/* The same past session->hold: for retained messages, and for what was held. */
void deliver_now(struct broker *broker, struct routing *routing, struct session *session,
                 const struct delivery_terms *terms);

/* Sends what the window, the quota and the output marks allow. */
void session_pump(struct broker *broker, struct session *session);

/* Deliveries of a session that wait behind the retained messages of a new subscription, or behind
 * its SUBACK. Holds nest: the last release delivers everything in order. */
struct held_delivery;
struct retain_query;

struct hold {
    uint32_t count; /* reasons to wait: subscribe operations and retained queries */
    struct held_delivery *first, **last;
    uint64_t bytes;
    uint32_t length;
    struct list queries; /* retained queries that wait for room in the outbox */
};

/* False when memory is gone. */
bool session_hold(struct session *session);
void session_release_hold(struct broker *broker, struct session *session);
/* The session lost its connection or ends: forgets the holds; what is held goes to the queue or is
 * dropped. */
void session_break_hold(struct broker *broker, struct session *session, bool ending);

#endif
