/* SPDX-License-Identifier: MIT
 *
 * http_client - HTTP requests of a shard's own, on its ring: nothing of it ever blocks the shard.
 *
 *   http_backend_ask() --> waiting --> connection of the pool: connect, TLS, request, answer --> done()
 *      |                    |  ^              |
 *      no: why              |  pump()         +--> kept for the next one, or closed
 *      (nothing follows)    +--> timeout
 *
 * A backend is one server: scheme, host, port. It has a pool of connections, a queue of requests that wait for one, the
 * addresses of its name, and a circuit breaker (http/breaker.h). A connection has one request at a time (no
 * pipelining: an answer that is late would be somebody else's).
 *
 * Everything is bounded: connections, requests that wait, the time of a request from the question to the last byte of
 * the answer, the head and the body of the answer. What goes beyond is refused, and counted by its reason.
 *
 * Names are resolved by a worker, and kept for HTTP_NAME_MS. Before every connection the address is held against the
 * policy (http/destination.h), so a name that changes its mind gains nothing. Redirections are answers like any other:
 * they are not followed.
 *
 * Invariants
 *   I1  every request that was accepted gets exactly one done(), on the shard's thread, never from inside http_backend_ask()
 *   I2  a request is either in the queue of its backend, or has a connection
 *   I3  a connection that is not being freed has a request in the kernel whenever no handler of it runs; it is freed when
 *       the last of these has completed, so the kernel never writes into memory that is not there
 *   I4  bytes of a request are wiped as soon as the kernel has taken them
 *   I5  a connection whose answer was not understood, came late or did not end is closed, never used again
 *
 * Rejected: libcurl (it brings another TLS library, and its own loop), a thread for each request (the pool of workers
 * would stand still with a backend that is down), an event loop of its own beside io_uring.
 */
#ifndef SHARDMQ_SHARDS_HTTP_CLIENT_H
#define SHARDMQ_SHARDS_HTTP_CLIENT_H

#include "base/timer.h"
#include "http/answer.h"
#include "http/destination.h"
#include "http/url.h"

struct completion;
struct shard;
struct tls_context;

#define HTTP_NAME_MS 30000u /* for how long the addresses of a name are good */

/* One server, and how it is asked. Class: boot. */
struct http_server_settings {
    const struct http_url *url;              /* of which the path does not matter here */
    struct tls_context *tls;                 /* of https; a reference is taken */
    const struct destination_policy *policy; /* copied, as is the URL */
    uint64_t timeout_ms, connect_timeout_ms, breaker_pause_ms;
    uint32_t connections, waiting; /* at most, of this shard */
    uint32_t breaker_failures;
    uint32_t body_max;
};

struct http_backend;
struct http_conn;

/* Owner: shard. */
struct http_client {
    struct list backends;
    struct http_conn **slots;
    uint32_t slot_count, *generations;
    bool stopping;
};

enum http_outcome {
    HTTP_ANSWERED,
    HTTP_TIMEOUT,
    HTTP_NO_CONNECTION, /* the name, the connection, or TLS */
    HTTP_FORBIDDEN,     /* where the policy does not allow to go */
    HTTP_BAD_ANSWER,    /* what came is no answer, too large, or ended early */
    HTTP_GIVEN_UP,      /* the breaker opened meanwhile, or the shard ends */
    HTTP_NO_MEMORY
};

/* How a request ended; valid during done(). */
struct http_result {
    enum http_outcome outcome;
    const char *why;                  /* but for HTTP_ANSWERED: a sentence */
    const struct http_answer *answer; /* of HTTP_ANSWERED */
    struct span body;
};

/* A request. Owner: shard; embedded in whatever waits for it. */
struct http_exchange {
    const uint8_t *data; /* the whole request; the caller's, until done() */
    size_t len;
    void (*done)(struct shard *shard, struct http_exchange *exchange,
                 const struct http_result *result);
    /* the client's own */
    struct list node;
    struct http_backend *backend;
    struct http_conn *conn; /* NULL: it waits */
    struct timer timer;
    bool again; /* it was sent once, to a server that closed a kept connection meanwhile */
    bool probe; /* the breaker's */
};

/* For the shards that have a client; and when the loop has ended. */
void http_client_init(struct shard *shard);
void http_client_fini(struct shard *shard);
/* The shutdown: whatever is under way is given up, nothing is accepted any more. */
void http_client_stop(struct shard *shard);
/* True when nothing of it is in the kernel any more. */
bool http_client_stopped(const struct shard *shard);

struct http_backend *http_backend_create(struct shard *shard,
                                         const struct http_server_settings *settings);
/* It is asked no more: what is under way is answered, then it is freed. */
void http_backend_retire(struct http_backend *backend);

/* Asks. NULL: done() follows. Else why not, a sentence, and done() does not. data, len and done are set, the rest is
 * overwritten. */
const char *http_backend_ask(struct http_backend *backend, struct http_exchange *exchange);

/* ---- completions ---- */
void http_connected(struct shard *shard, const struct completion *completion);
void http_connect_failed(struct shard *shard, const struct completion *completion);
void http_received(struct shard *shard, const struct completion *completion);
void http_receive_failed(struct shard *shard, const struct completion *completion);
void http_sent(struct shard *shard, const struct completion *completion);
void http_send_failed(struct shard *shard, const struct completion *completion);

#endif
