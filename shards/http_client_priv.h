/* SPDX-License-Identifier: MIT
 *
 * http_client_priv - what the files of the HTTP client share: http_client.c (requests, backends, the queue),
 * http_conn.c (one connection), http_name.c (addresses of a name).
 */
#ifndef SHARDMQ_SHARDS_HTTP_CLIENT_PRIV_H
#define SHARDMQ_SHARDS_HTTP_CLIENT_PRIV_H

#include "http/breaker.h"
#include "shards/http_client.h"
#include "shards/shard.h"
#include "transport/tls_context.h"
#include "transport/transport.h"

#include <netinet/in.h>
#include <sys/socket.h>

#define HTTP_ADDRESSES_MAX 8u
#define HTTP_WHY_BYTES     256u
#define HTTP_RECEIVE_BYTES 4096u

struct http_address {
    struct sockaddr_storage bytes;
    socklen_t len;
};

enum http_conn_state {
    HTTP_CONN_CONNECTING,
    HTTP_CONN_HANDSHAKE,
    HTTP_CONN_IDLE,
    HTTP_CONN_BUSY, /* it has a request */
    HTTP_CONN_DYING /* I3 */
};

/* Requests of a connection in the kernel. */
enum http_operation { HTTP_OP_CONNECT = 1, HTTP_OP_RECEIVE = 2, HTTP_OP_SEND = 4 };

/* Owner: shard. */
struct http_conn {
    struct list node; /* of the backend's idle or opening ones; else alone */
    struct http_backend *backend;
    struct http_exchange *exchange;
    enum http_conn_state state;
    uint32_t slot, generation;
    uint8_t operations; /* enum http_operation */
    bool used;          /* it has had a request before */
    bool secure_end;    /* TLS: the server said that it closes */
    unsigned tried;     /* addresses */
    int fd;
    struct http_address address;  /* that is being connected to */
    struct timer timer;           /* of connecting */
    struct transport *transport;  /* NULL: plain */
    struct transport_wire wire;   /* to be sent */
    struct transport_wire flying; /* in the kernel, from flying_at on */
    size_t flying_at;
    struct http_reader reader;
    uint8_t *answer; /* the reader's memory, while it is busy */
    uint8_t received[HTTP_RECEIVE_BYTES];
};

/* Owner: shard. */
struct http_backend {
    struct list node; /* of the client */
    struct shard *shard;
    struct http_server_settings settings;
    struct http_url url;
    struct destination_policy policy;
    struct breaker breaker;
    struct list waiting, idle, opening;
    uint32_t waiting_count, conn_count, opening_count; /* conn_count: but for dying ones */
    uint32_t dying_count;
    bool retired;
    struct timer later; /* tells what failed while somebody asked */
    /* addresses of the name */
    struct http_address addresses[HTTP_ADDRESSES_MAX];
    unsigned address_count, first_address; /* the one that worked last comes first */
    uint64_t addresses_until_ms;
    struct http_name_job *job; /* resolving */
    const char
        *name_refused; /* what the last resolution led to, when nothing of it may be reached */
    char why[HTTP_WHY_BYTES]; /* of the last failure */
};

/* ---- http_client.c ---- */
/* The connection has no request to work on: it takes the next one, or is idle. */
void http_conn_free_for_use(struct http_conn *conn);
/* It could not be opened. */
void http_backend_no_connection(struct http_backend *backend, enum http_outcome outcome);
/* Ends a request. Its connection and its backend may be gone when it returns. */
void http_exchange_over(struct http_exchange *exchange, const struct http_result *result);
/* Puts a request back that a closed connection has not been able to answer. */
void http_exchange_again(struct http_exchange *exchange);
/* Gives requests to connections, and opens more. */
void http_backend_pump(struct http_backend *backend);
/* After a connection or a job is gone: frees a retired backend with nothing left. */
void http_backend_settle(struct http_backend *backend);

/* ---- http_conn.c ---- */
/* False when there can be none now (descriptors, memory): the reason is in backend->why. */
bool http_conn_open(struct http_backend *backend);
/* False when memory is gone; it is dying then, and the request has no connection. */
bool http_conn_begin(struct http_conn *conn, struct http_exchange *exchange);
void http_conn_kill(struct http_conn *conn);

/* ---- http_name.c ---- */
/* True when backend->addresses are good now. Otherwise they are being looked for, and http_name_found() is
 * called, or they cannot be (*failed). */
bool http_name_ready(struct http_backend *backend, bool *failed);
/* The backend goes: the answer is not wanted any more. */
void http_name_forget(struct http_backend *backend);

/* The resolution is over: there are addresses, or none (`why` is in the backend). */
void http_backend_resolved(struct http_backend *backend);

#endif
