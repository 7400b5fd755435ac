/* SPDX-License-Identifier: MIT
 *
 * actor - one client of a load: it connects, makes its subscriptions, is ready, and leaves.
 *
 *   CLOSED -> opening (CONNECT, CONNACK, SUBSCRIBE, SUBACK) -> ready -> leaving -> CLOSED
 *
 * The protocol and the connection are those of every tool (shards/driver/client.h); this is what a load does with
 * them. Messages are written straight into the client's output, as encoded templates.
 */
#ifndef SHARDMQ_BENCH_ACTOR_H
#define SHARDMQ_BENCH_ACTOR_H

#include "shards/driver/client.h"

struct worker;
struct actor;

/* What the user of an actor does when something happens; NULL members are not wanted. boot. */
struct actor_events {
    /* Also after every reconnection. */
    void (*ready)(struct actor *actor);
    void (*message)(struct actor *actor, const struct publish_packet *message);
    /* A QoS 1 or 2 message that was sent is through: PUBACK or PUBCOMP came. */
    void (*acknowledged)(struct actor *actor, uint16_t identifier);
    /* The connection is gone, `why` is NULL when the actor itself left. */
    void (*closed)(struct actor *actor, const char *why);
};

/* Touched by the thread of its worker only. */
struct actor {
    struct client client;
    struct worker *worker;
    const struct actor_events *events;
    void *owner;                /* of events */
    const char *const *filters; /* subscribed to before it is ready; borrowed */
    uint32_t number;            /* makes its client identifier */
    uint16_t filter_count;
    bool ready, opening;
    struct login *login; /* owned; NULL: by user name and password, or not at all */
};

/* Makes an actor of `worker`; the other members are the caller's to fill in. */
void actor_init(struct actor *actor, struct worker *worker);
void actor_fini(struct actor *actor);

/* Begins to connect. On failure events->closed is called, maybe before this returns. */
void actor_open(struct actor *actor);

static inline bool actor_closed(const struct actor *actor)
{
    return actor->client.state == CLIENT_CLOSED;
}

/* True while output waits for the kernel: nothing more should be produced. */
static inline bool actor_blocked(const struct actor *actor)
{
    return client_blocked(&actor->client);
}

/* QoS 1 and 2 messages that the broker has not acknowledged. */
static inline uint32_t actor_unacknowledged(const struct actor *actor)
{
    return mqtt_client_unacknowledged(&actor->client.mqtt);
}

/* Room for `size` bytes or more of encoded messages that go out with this turn, at the end of what is
 * there already; it goes on to *end. NULL: not ready, or enough for one turn is written. */
uint8_t *actor_reserve(struct actor *actor, uint32_t size, const uint8_t **end);
/* `len` bytes were written there. */
void actor_commit(struct actor *actor, uint32_t len);

/* A packet identifier for a message of that QoS (1 or 2), 0 when too many are unacknowledged. */
static inline uint16_t actor_identifier(struct actor *actor, uint8_t qos)
{
    return mqtt_client_identifier(&actor->client.mqtt, qos);
}

/* With --reconnect: keeps an encoded message until it is acknowledged, to be sent again. */
void actor_keep(struct actor *actor, uint16_t identifier, const uint8_t *packet, uint32_t len);

/* Sends DISCONNECT. With `wait` the connection is closed when the broker has closed its side, so
 * that the broker sees an orderly end and no port waits in TIME_WAIT; otherwise at once. */
void actor_leave(struct actor *actor, bool wait);

/* Resets the connection without a word, as a network does that fails. `closed` is called with NULL. */
void actor_cut(struct actor *actor);

/* Writes the client identifier: prefix, run and number. Returns its length. */
uint32_t actor_client_identifier(const struct actor *actor, char *to, uint32_t room);

#endif
