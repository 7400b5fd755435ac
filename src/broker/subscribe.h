/* SPDX-License-Identifier: MIT
 *
 * subscribe - what on_subscribe.c, on_unsubscribe.c and subscribe_op.c call of each other.
 */
#ifndef SHARDMQ_BROKER_SUBSCRIBE_H
#define SHARDMQ_BROKER_SUBSCRIBE_H

#include "broker/broker_priv.h"
#include "broker/mqtt_orders.h"
#include "mqtt/decode.h"

/* Of one SUBSCRIBE or UNSUBSCRIBE, and of subscriptions that wait for their retained messages. */
#define FILTERS_MAX 65536u

/* Owner: shard, with its operation. */
struct subscribe_item {
    struct span filter; /* as in SUBSCRIBE; points into the operation */
    struct subscription subscription;
    bool fetch_retained;
};

/* Owner: shard. A SUBSCRIBE whose SUBACK has not been sent. */
struct subscribe_op {
    struct list node;
    struct session_handle session;
    uint32_t connection_serial, serial;
    uint32_t announcement;  /* to be confirmed */
    uint32_t share_waiting; /* groups that have not answered */
    uint16_t packet_identifier;
    bool holds, waits;             /* counted in session->hold, in connection->subscribes */
    struct subscribe_order *order; /* an operator's, which goes back instead of a SUBACK */
    uint32_t count;
    uint8_t *text; /* where the next filter is copied to */
    uint8_t *codes;
    struct subscribe_item *items;
    uint8_t bytes[];
};

/* ---- subscribe_op.c ---- */
/* For that many filters, whose texts have filters_len bytes, of a session that is connected. NULL when memory is
 * gone; freed by subscribe_op_finish(), subscribe_op_give_up(), or mem_free() before it has begun. */
struct subscribe_op *subscribe_op_create(struct broker *broker, const struct session *session,
                                         uint32_t filter_count, uint32_t filters_len);
/* Before the first filter, for joins can answer it. */
void subscribe_op_begin(struct broker *broker, struct subscribe_op *op);
/* Behind the last filter. */
void subscribe_op_all_through(struct broker *broker, struct subscribe_op *op);
/* Nothing is waited for any more: it is to be finished. */
bool subscribe_op_ready(const struct broker *broker, const struct subscribe_op *op);
/* SUBACK (or the order goes back), and the retained messages. */
void subscribe_op_finish(struct broker *broker, struct subscribe_op *op);
/* It waits in the broker's list until it is ready. */
void subscribe_op_wait(struct subscribe_op *op, struct session *session);
/* Ends it, and the connection, without SUBACK. */
void subscribe_op_give_up(struct broker *broker, struct connection *connection,
                          struct subscribe_op *op, enum mqtt_reason reason, const char *why);
/* SUBACK or UNSUBACK. Without it the client could not go on, so one that is larger than the client
 * takes ends the connection. */
void send_suback(struct broker *broker, struct connection *connection, enum mqtt_packet_type type,
                 uint16_t packet_identifier, const uint8_t *codes, uint32_t count);

/* ---- on_subscribe.c ---- */
bool session_has_filter(struct broker *broker, const struct session *session, struct span filter);
/* Each filter of a packet takes some memory and time at once, so there is a limit to them. True: the
 * connection has been ended. */
bool filters_too_many(struct broker *broker, struct connection *connection,
                      const struct subscribe_packet *packet);
/* Makes the filters of a packet whole ones, behind a mount point; *block is to be freed. False: the connection has been
 * ended. */
bool filters_make_whole(struct broker *broker, struct connection *connection,
                        struct subscribe_packet *packet, uint8_t **block);

#endif
