/* SPDX-License-Identifier: MIT
 *
 * message - an application message, and what a PUBLISH is while it is being routed.
 *
 * struct publication is a view: topic, properties and payload as spans. While a PUBLISH is routed
 * they point into the receive buffer, and a QoS 0 delivery encodes straight from there. Whoever
 * needs the message later (an in-flight window, a queue, another shard, the retained store) asks
 * for struct message: the one copy, made at most once per PUBLISH, immutable from then on.
 *
 * Class: wire. The reference count is atomic because shards share messages; references for all
 * receivers of one routing step are taken in one addition.
 */
#ifndef SHARDMQ_SESSION_MESSAGE_H
#define SHARDMQ_SESSION_MESSAGE_H

#include "base/span.h"
#include "session/author.h"

#include <stdatomic.h>

/* Names a session from anywhere in the process: a stale one fails the generation check of its
 * owner. */
struct session_handle {
    uint32_t slot;
    uint16_t generation;
    uint16_t shard;
};

static inline bool session_handle_equal(struct session_handle a, struct session_handle b)
{
    return a.slot == b.slot && a.generation == b.generation && a.shard == b.shard;
}

#define SESSION_HANDLE_NONE ((struct session_handle){UINT32_MAX, UINT16_MAX, UINT16_MAX})

struct publication {
    struct span topic;
    struct span props; /* 5.0 properties that are forwarded unaltered; without their length */
    struct span payload;
    uint64_t topic_hash;             /* hash64(topic), the same on every shard; 0: not known */
    uint64_t expires_ms;             /* monotonic; 0: never (Message Expiry Interval) */
    uint64_t received_ns;            /* monotonic: when its turn began; 0: nobody's PUBLISH */
    struct session_handle publisher; /* for No Local; SESSION_HANDLE_NONE for the broker itself */
    const struct author *author;     /* of a retained one; NULL: nobody who could lose the right */
    uint8_t qos;
    bool retain;
};

struct message {
    struct publication publication; /* its spans point at bytes[] */
    _Atomic uint32_t references;
    uint32_t size; /* of the whole allocation: what queue limits in bytes count */
    /* For the owner of a retained message alone: the shard that posted it, and its place among those that this shard
     * posted to the owner (broker/retain_flow.c). Written before it is posted there. */
    uint32_t retain_sequence;
    uint16_t retain_from;
    uint8_t bytes[];
};

/* What message_create() allocates for it. */
static inline size_t message_size(const struct publication *publication)
{
    return sizeof(struct message) + publication->topic.len + publication->props.len +
           publication->payload.len;
}

/* Copies the publication into one allocation with `references` references; it has one of the author. NULL when memory is
 * gone. */
struct message *message_create(const struct publication *publication, uint32_t references);

static inline void message_ref(struct message *message, uint32_t references)
{
    atomic_fetch_add_explicit(&message->references, references, memory_order_relaxed);
}

/* Gives `references` references back; the last one frees. */
void message_unref_many(struct message *message, uint32_t references);

static inline void message_unref(struct message *message)
{
    message_unref_many(message, 1);
}

#endif
