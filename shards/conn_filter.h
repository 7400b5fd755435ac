/* SPDX-License-Identifier: MIT
 *
 * conn_filter - TLS and WebSocket between a socket and its protocol.
 *
 * Owner: shard; goes to another one with its connection. A connection without a filter is plain TCP
 * and pays for none of this.
 */
#ifndef SHARDMQ_SHARDS_CONN_FILTER_H
#define SHARDMQ_SHARDS_CONN_FILTER_H

#include "shards/conn_io.h"
#include "transport/transport.h"

struct conn_filter {
    struct transport *transport;
    struct transport_wire sending; /* a send in flight points at it (I2 of conn_filter.c) */
    size_t sent;                   /* of it */
    uint32_t covered;              /* bytes of conn->sending that it carries */
    struct transport_wire next;    /* what goes next: answers of the transport itself */
    bool shaking;                  /* its handshake is not over */
    bool waiting;                  /* its handshake waits for its turn, or for a signature */
    bool is_signed;                /* the signature has come, and was not looked at yet */
    bool proxied;                  /* a PROXY header is to come first */
    bool failed, said_goodbye;
    bool ended; /* its peer has said good-bye (I5 of conn_filter.c) */
    bool mute;  /* its peer closed the WebSocket, which was answered: nothing may follow */
    struct transport_wire header; /* of PROXY, as far as it has come */
    uint8_t peer_username;        /* enum conf_peer_username */
};

/* Takes the transport; NULL when there is no memory (the transport is then freed). `proxied`: a PROXY header comes
 * before everything else. */
struct conn_filter *conn_filter_create(struct transport *transport, bool proxied);
/* NULL is ignored. */
void conn_filter_destroy(struct conn_filter *filter);

/* The connection begins with, or ends or gives away, its filter. */
void conn_filter_attach(struct conn *conn, struct conn_filter *filter);
struct conn_filter *conn_filter_detach(struct conn *conn);

/* Bytes came from the socket. */
void conn_filter_receive(struct shard *shard, struct conn *conn, const uint8_t *data, uint32_t len);
/* The protocol has had bytes that were held for it, or came from another shard: ends a connection whose peer said
 * good-bye behind them. Does nothing without a filter. */
void conn_filter_fed(struct shard *shard, struct conn *conn);
/* The signature that its handshake waited for has come (signing.h): it goes on when it is its turn. */
void conn_filter_signed(struct shard *shard, struct conn *conn, struct transport_job *job);
/* Goes on with the handshakes that had to wait. True when any did. */
bool conn_filter_resume(struct shard *shard);

/* Puts what is to be sent into filter->sending, if that is empty: as much of conn->sending as goes in one
 * go, the good-bye when the connection is to be closed and nothing else is left. */
void conn_filter_fill(struct shard *shard, struct conn *conn);
/* `bytes` of filter->sending are in the socket. Returns how many bytes of conn->sending are through with it. */
uint32_t conn_filter_sent(struct conn_filter *filter, uint32_t bytes);

/* True when the filter has bytes for the socket. */
static inline bool conn_filter_output(const struct conn_filter *filter)
{
    return filter->sending.len != 0 || filter->next.len != 0;
}

#endif
