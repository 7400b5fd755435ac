/* SPDX-License-Identifier: MIT
 *
 * orders - what operators order about single clients and retained messages: small errands (broker/errand.h).
 *
 * Each is made with ..._create(), sent to the shard that is named there, and has its result when it is back.
 */
#ifndef SHARDMQ_BROKER_ORDERS_H
#define SHARDMQ_BROKER_ORDERS_H

#include "base/span.h"
#include "broker/errand.h"

/* Ends the connection of a client. A 5.0 client is told by DISCONNECT with the reason. The will is published, as for
 * every connection that the client has not ended itself [MQTT-3.1.2-8]. */
struct kick {
    struct errand errand;
    uint8_t reason;   /* kick_reason_valid() */
    bool end_session; /* and its session, also that of a client that is away */
    /* the result */
    bool known, was_connected, session_kept;
    uint32_t client_identifier_len;
    uint8_t client_identifier[];
};

/* For broker_home_shard(client_identifier). NULL when memory is gone. */
struct kick *kick_create(struct span client_identifier, uint8_t reason, bool end_session);
/* Whether a server may say that in DISCONNECT to end a connection: 0x80 and above, as MQTT 5.0, 3.14.2.1 has them. */
bool kick_reason_valid(unsigned reason);

static inline struct kick *kick_of(struct errand *errand)
{
    return CONTAINER_OF(errand, struct kick, errand);
}

/* Removes a retained message. Subscribers are not told: it is as if it had expired. */
struct forget {
    struct errand errand;
    bool known; /* the result: there was one */
    uint32_t topic_len;
    uint8_t topic[];
};

/* For query_retained_owner(topic). `topic` is a valid topic name. NULL when memory is gone. */
struct forget *forget_create(struct span topic);

static inline struct forget *forget_of(struct errand *errand)
{
    return CONTAINER_OF(errand, struct forget, errand);
}

#endif
