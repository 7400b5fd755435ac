/* SPDX-License-Identifier: MIT
 *
 * conn_mqtt - MQTT on the byte connections of a data shard.
 */
#ifndef SHARDMQ_SHARDS_CONN_MQTT_H
#define SHARDMQ_SHARDS_CONN_MQTT_H

#include "broker/connection.h"
#include "shards/conn_io.h"

extern const struct conn_protocol conn_mqtt;

/* The broker's connection in a slot, and the slot of one. */
static inline struct connection *conn_mqtt_of(const struct conn *conn)
{
    return conn_state(conn);
}

static inline struct conn *conn_of_mqtt(const struct connection *connection)
{
    return conn_of_state(connection);
}

/* The shutdown began: ends connections that have not said who they are; they get no goodbye. */
void conn_mqtt_end_nameless(struct shard *shard);

/* ---- handoff.c ---- */

/* A connection on its way to its home shard. Class: wire. */
struct handoff {
    int fd;
    struct conn_peer peer;
    struct conn_filter *filter; /* TLS and WebSocket, or NULL */
    struct door *door;          /* a reference */
    uint32_t len;
    uint8_t bytes[];
};

/* Sends the connection to its home shard with the bytes that came so far. */
void conn_hand_over(struct shard *shard, struct conn *conn, unsigned home, const uint8_t *data,
                    uint32_t len);
/* A connection came from the shard that accepted it. */
void conn_adopt(struct shard *shard, struct handoff *handoff);
void handoff_discard(struct handoff *handoff);

#endif
