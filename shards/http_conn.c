/* SPDX-License-Identifier: MIT
 *
 * http_conn - one connection of the HTTP client: opened, used for one request after another, closed.
 *
 *   CONNECTING --> HANDSHAKE (https) --> IDLE <--> BUSY
 *        |              |                  |        |
 *        +--------------+---- kill() ------+--------+--> DYING --> freed with its last completion
 *
 * A receive is armed from the moment it is connected, also while it is idle: that is how the end of a kept
 * connection is seen.
 */
#include "shards/http_client_priv.h"

#include "base/log.h"
#include "shards/op.h"
#include "shards/uring.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/uio.h>
#include <unistd.h>

#define SLOTS_AT_ONCE 16u

/* ---- slots ---- */

static bool take_slot(struct http_client *client, struct http_conn *conn)
{
    uint32_t slot = 0;

    while (slot < client->slot_count && client->slots[slot] != NULL)
        slot++;
    if (slot == client->slot_count) {
        uint32_t count = slot + SLOTS_AT_ONCE;
        struct http_conn **slots = mem_try_realloc(client->slots, count * sizeof(*slots));
        uint32_t *generations;

        if (slots == NULL)
            return false;
        client->slots = slots;
        generations = mem_try_realloc(client->generations, count * sizeof(*generations));
        if (generations == NULL)
            return false;
        client->generations = generations;
        for (uint32_t i = slot; i < count; i++) {
            slots[i] = NULL;
            generations[i] = 0;
        }
        client->slot_count = count;
    }
    client->slots[slot] = conn;
    conn->slot = slot;
    conn->generation = ++client->generations[slot];
    return true;
}

static struct http_conn *find(const struct shard *shard, const struct completion *completion)
{
    uint32_t slot = op_slot(completion->user_data);
    const struct http_client *client = &shard->http;

    /* I3: a completion's connection is always there */
    ASSERT(slot < client->slot_count && client->slots[slot] != NULL &&
           client->slots[slot]->generation == op_generation(completion->user_data));
    return client->slots[slot];
}

static uint64_t name_of(const struct http_conn *conn, enum op op)
{
    return op_pack(op, conn->slot, conn->generation);
}

static void wipe(struct transport_wire *wire)
{
    if (wire->data != NULL)
        mem_wipe(wire->data, wire->len);
    transport_wire_free(wire);
}

static void free_answer(struct http_conn *conn)
{
    mem_free(conn->answer);
    conn->answer = NULL;
}

/* ---- the end ---- */

static void cancel(struct http_conn *conn, enum http_operation operation, enum op op)
{
    if ((conn->operations & operation) != 0)
        uring_cancel(conn->backend->shard->ring, name_of(conn, op));
}

void http_conn_kill(struct http_conn *conn)
{
    struct http_backend *backend = conn->backend;

    if (conn->state == HTTP_CONN_DYING)
        return;
    if (conn->state < HTTP_CONN_IDLE)
        backend->opening_count--;
    conn->state = HTTP_CONN_DYING;
    list_remove(&conn->node);
    timer_disarm(&backend->shard->timers, &conn->timer);
    backend->conn_count--;
    backend->dying_count++;
    STAT_DEC(backend->shard->stats, http_client_connections);
    if (conn->exchange != NULL)
        conn->exchange->conn = NULL;
    conn->exchange = NULL;
    if (conn->fd >= 0)
        shutdown(conn->fd, SHUT_RDWR);
    cancel(conn, HTTP_OP_CONNECT, OP_HTTP_CONNECT);
    cancel(conn, HTTP_OP_RECEIVE, OP_HTTP_RECEIVE);
    cancel(conn, HTTP_OP_SEND, OP_HTTP_SEND);
}

static void conn_free(struct http_conn *conn)
{
    struct http_backend *backend = conn->backend;

    ASSERT(conn->operations == 0 && conn->state == HTTP_CONN_DYING);
    backend->shard->http.slots[conn->slot] = NULL;
    if (conn->fd >= 0)
        close(conn->fd);
    transport_destroy(conn->transport);
    wipe(&conn->wire);
    wipe(&conn->flying);
    free_answer(conn);
    mem_wipe(conn->received, sizeof(conn->received));
    mem_free(conn);
    backend->dying_count--;
    http_backend_settle(backend);
}

/* The last thing that a handler of completions does. */
static void settle(struct http_conn *conn)
{
    if (conn->state == HTTP_CONN_DYING && conn->operations == 0)
        conn_free(conn);
}

/* ---- bytes out ---- */

static void send_more(struct http_conn *conn)
{
    struct shard *shard = conn->backend->shard;

    if ((conn->operations & HTTP_OP_SEND) != 0 || conn->state == HTTP_CONN_DYING)
        return;
    if (conn->flying_at == conn->flying.len) {
        wipe(&conn->flying); /* I4 */
        conn->flying = conn->wire;
        conn->flying_at = 0;
        conn->wire = (struct transport_wire){0};
    }
    if (conn->flying_at == conn->flying.len)
        return;
    conn->operations |= HTTP_OP_SEND;
    uring_send(shard->ring, conn->fd, conn->flying.data + conn->flying_at,
               (uint32_t)(conn->flying.len - conn->flying_at), true, name_of(conn, OP_HTTP_SEND));
}

static void receive(struct http_conn *conn)
{
    if ((conn->operations & HTTP_OP_RECEIVE) != 0 || conn->state == HTTP_CONN_DYING)
        return;
    conn->operations |= HTTP_OP_RECEIVE;
    uring_receive_into(conn->backend->shard->ring, conn->fd, conn->received, sizeof(conn->received),
                       name_of(conn, OP_HTTP_RECEIVE));
}

bool http_conn_begin(struct http_conn *conn, struct http_exchange *exchange)
{
    size_t room = HTTP_HEAD_MAX + (size_t)conn->backend->settings.body_max;
    struct iovec piece = {.iov_base = (void *)(uintptr_t)exchange->data, .iov_len = exchange->len};

    ASSERT(conn->state == HTTP_CONN_IDLE && conn->exchange == NULL);
    conn->answer = mem_try_alloc(room);
    if (conn->answer == NULL ||
        !(conn->transport != NULL
              ? transport_wrap(conn->transport, &piece, 1, &conn->wire)
              : transport_wire_append(&conn->wire, exchange->data, exchange->len))) {
        http_conn_kill(conn);
        return false;
    }
    http_reader_begin(&conn->reader, conn->answer, room);
    list_remove(&conn->node);
    conn->state = HTTP_CONN_BUSY;
    conn->exchange = exchange;
    exchange->conn = conn;
    send_more(conn);
    return true;
}

/* ---- opening ---- */

/* The connection cannot be: whoever waits for one hears of it. */
static void fail_opening(struct http_conn *conn, enum http_outcome outcome, const char *why)
{
    struct http_backend *backend = conn->backend;

    snprintf(backend->why, sizeof(backend->why), "%s", why);
    http_conn_kill(conn);
    http_backend_no_connection(backend, outcome);
}

static void opened(struct http_conn *conn)
{
    struct http_backend *backend = conn->backend;

    timer_disarm(&backend->shard->timers, &conn->timer);
    backend->opening_count--;
    conn->state = HTTP_CONN_IDLE;
    http_conn_free_for_use(conn);
}

static void took_too_long(void *owner, struct timer *timer)
{
    struct http_conn *conn = CONTAINER_OF(timer, struct http_conn, timer);

    (void)owner;
    fail_opening(conn, HTTP_TIMEOUT,
                 conn->state == HTTP_CONN_HANDSHAKE ? "the TLS handshake took too long"
                                                    : "connecting took too long");
}

/* Begins to connect to the next address. False when there is none left, or no descriptor. */
static bool try_address(struct http_conn *conn)
{
    struct http_backend *backend = conn->backend;
    int on = 1;

    if (conn->tried == backend->address_count)
        return false;
    conn->address =
        backend->addresses[(backend->first_address + conn->tried++) % backend->address_count];
    if (conn->fd >= 0)
        close(conn->fd);
    conn->fd = socket(conn->address.bytes.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (conn->fd < 0) {
        snprintf(backend->why, sizeof(backend->why), "no socket: %s", strerror(errno));
        return false;
    }
    setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    conn->operations |= HTTP_OP_CONNECT;
    uring_connect(backend->shard->ring, conn->fd, (const struct sockaddr *)&conn->address.bytes,
                  conn->address.len, name_of(conn, OP_HTTP_CONNECT));
    return true;
}

bool http_conn_open(struct http_backend *backend)
{
    struct http_conn *conn = mem_try_zalloc(sizeof(*conn));

    snprintf(backend->why, sizeof(backend->why), "no memory is left for a connection");
    if (conn == NULL)
        return false;
    conn->backend = backend;
    conn->fd = -1;
    timer_init(&conn->timer, took_too_long);
    if (!take_slot(&backend->shard->http, conn)) {
        mem_free(conn);
        return false;
    }
    if (!try_address(conn)) {
        backend->shard->http.slots[conn->slot] = NULL;
        mem_free(conn);
        return false;
    }
    list_append(&backend->opening, &conn->node);
    backend->opening_count++;
    backend->conn_count++;
    STAT_INC(backend->shard->stats, http_client_connections);
    timer_arm(&backend->shard->timers, &conn->timer,
              backend->shard->now_ms + backend->settings.connect_timeout_ms);
    return true;
}

static void begin_tls(struct http_conn *conn)
{
    const struct transport_settings settings = {
        .kind = TRANSPORT_TLS,
        .role = TRANSPORT_CLIENT,
        .tls = conn->backend->settings.tls,
        .server_name = conn->backend->url.host,
    };

    conn->state = HTTP_CONN_HANDSHAKE;
    conn->transport = transport_create(&settings);
    if (conn->transport == NULL || !transport_start(conn->transport, &conn->wire)) {
        fail_opening(conn, HTTP_NO_MEMORY, "no memory is left for TLS");
        return;
    }
    send_more(conn);
}

void http_connected(struct shard *shard, const struct completion *completion)
{
    struct http_conn *conn = find(shard, completion);

    conn->operations &= (uint8_t)~HTTP_OP_CONNECT;
    if (conn->state == HTTP_CONN_CONNECTING) {
        struct http_backend *backend = conn->backend;

        /* what worked is tried first the next time */
        backend->first_address =
            (backend->first_address + conn->tried - 1) % backend->address_count;
        receive(conn);
        if (backend->url.tls)
            begin_tls(conn);
        else
            opened(conn);
    }
    settle(conn);
}

void http_connect_failed(struct shard *shard, const struct completion *completion)
{
    struct http_conn *conn = find(shard, completion);

    conn->operations &= (uint8_t)~HTTP_OP_CONNECT;
    if (conn->state == HTTP_CONN_CONNECTING && !try_address(conn)) {
        char why[HTTP_WHY_BYTES];

        snprintf(why, sizeof(why), "no connection: %s", strerror(-completion->res));
        fail_opening(conn, HTTP_NO_CONNECTION, why);
    }
    settle(conn);
}

/* ---- bytes in ---- */

/* The answer is whole: the connection goes on, or ends. */
static void answered(struct http_conn *conn)
{
    struct http_exchange *exchange = conn->exchange;
    struct http_result result = {.outcome = HTTP_ANSWERED,
                                 .answer = &conn->reader.answer,
                                 .body = http_reader_body(&conn->reader)};
    uint8_t *answer = conn->answer;
    /* with its request still going out the answer was none to it */
    bool keep = conn->reader.keep_alive && (conn->operations & HTTP_OP_SEND) == 0;

    conn->answer = NULL;
    conn->exchange = NULL;
    exchange->conn = NULL;
    if (!keep)
        http_conn_kill(conn);
    http_exchange_over(exchange, &result);
    mem_free(answer);
    if (!keep) {
        http_backend_pump(conn->backend); /* somebody may have waited for its place */
        return;
    }
    conn->used = true;
    conn->state = HTTP_CONN_IDLE;
    http_conn_free_for_use(conn);
}

/* It ended, or what came is of no use. */
static void fail(struct http_conn *conn, enum http_outcome outcome, const char *why)
{
    struct http_backend *backend = conn->backend;
    struct http_exchange *exchange = conn->exchange;
    struct http_result result = {.outcome = outcome, .why = backend->why};

    if (conn->state < HTTP_CONN_IDLE) {
        fail_opening(conn, HTTP_NO_CONNECTION, why);
        return;
    }
    if (exchange == NULL) { /* a kept one was closed: nobody minds */
        http_conn_kill(conn);
        return;
    }
    snprintf(backend->why, sizeof(backend->why), "%s", why);
    /* RFC 9112, 9.3.1: the server closed while the request was on its way */
    if (conn->used && !exchange->again && conn->reader.state == HTTP_READING_HEAD &&
        conn->reader.len == 0 && outcome == HTTP_NO_CONNECTION) {
        http_conn_kill(conn);
        http_exchange_again(exchange);
        return;
    }
    http_conn_kill(conn);
    http_exchange_over(exchange, &result);
    http_backend_pump(backend); /* it is still there: it has a dying connection */
}

static void take_plain(struct http_conn *conn, const uint8_t *data, size_t len)
{
    enum http_found found;

    if (len == 0)
        return;
    if (conn->exchange == NULL) {
        fail(conn, HTTP_BAD_ANSWER, "an answer came that nobody asked for");
        return;
    }
    found = http_reader_feed(&conn->reader, data, len);
    if (found == HTTP_COMPLETE)
        answered(conn);
    else if (found == HTTP_REFUSED)
        fail(conn, HTTP_BAD_ANSWER, conn->reader.sentence);
}

/* The server sends no more. */
static void ended(struct http_conn *conn)
{
    bool whole = conn->transport == NULL || conn->secure_end; /* else it may have been cut */
    bool nothing = conn->exchange == NULL ||
                   (conn->reader.state == HTTP_READING_HEAD && conn->reader.len == 0);

    if (conn->state < HTTP_CONN_IDLE)
        fail(conn, HTTP_NO_CONNECTION, "the server closed the connection in the TLS handshake");
    else if (nothing)
        fail(conn, HTTP_NO_CONNECTION, "the server closed the connection without an answer");
    else if (whole && http_reader_close(&conn->reader) == HTTP_COMPLETE)
        answered(conn);
    else
        fail(conn, HTTP_BAD_ANSWER, "the server closed the connection in the middle of its answer");
}

static void take_secure(struct http_conn *conn, const uint8_t *data, size_t len)
{
    struct span input = span_of(data, len), plain;
    enum transport_status status;

    do {
        status = transport_unwrap(conn->transport, &input, &plain, &conn->wire);
        if (conn->state == HTTP_CONN_HANDSHAKE && transport_ready(conn->transport))
            opened(conn);
        if (status == TRANSPORT_MORE)
            take_plain(conn, plain.data, plain.len);
    } while (status == TRANSPORT_MORE && conn->state != HTTP_CONN_DYING);
    if (conn->state == HTTP_CONN_DYING)
        return;
    if (status == TRANSPORT_FAILED) {
        char why[HTTP_WHY_BYTES];

        snprintf(why, sizeof(why), "%s", transport_why(conn->transport));
        fail(conn, HTTP_BAD_ANSWER, why);
    } else if (status == TRANSPORT_END) {
        conn->secure_end = true;
        ended(conn);
    }
    send_more(conn);
}

void http_received(struct shard *shard, const struct completion *completion)
{
    struct http_conn *conn = find(shard, completion);
    size_t len = (size_t)completion->res;

    conn->operations &= (uint8_t)~HTTP_OP_RECEIVE;
    if (conn->state != HTTP_CONN_DYING) {
        if (len == 0)
            ended(conn);
        else if (conn->transport != NULL)
            take_secure(conn, conn->received, len);
        else
            take_plain(conn, conn->received, len);
        if (len != 0)
            receive(conn);
    }
    settle(conn);
}

void http_receive_failed(struct shard *shard, const struct completion *completion)
{
    struct http_conn *conn = find(shard, completion);
    char why[HTTP_WHY_BYTES];

    conn->operations &= (uint8_t)~HTTP_OP_RECEIVE;
    if (conn->state != HTTP_CONN_DYING) {
        if (completion->res == -EINTR || completion->res == -EAGAIN) {
            receive(conn);
        } else {
            snprintf(why, sizeof(why), "the connection failed: %s", strerror(-completion->res));
            fail(conn, HTTP_NO_CONNECTION, why);
        }
    }
    settle(conn);
}

void http_sent(struct shard *shard, const struct completion *completion)
{
    struct http_conn *conn = find(shard, completion);

    conn->operations &= (uint8_t)~HTTP_OP_SEND;
    conn->flying_at += (size_t)completion->res;
    ASSERT(conn->flying_at <= conn->flying.len);
    if (conn->flying_at == conn->flying.len) {
        wipe(&conn->flying); /* I4 */
        conn->flying_at = 0;
    }
    send_more(conn);
    settle(conn);
}

void http_send_failed(struct shard *shard, const struct completion *completion)
{
    struct http_conn *conn = find(shard, completion);

    conn->operations &= (uint8_t)~HTTP_OP_SEND;
    /* an answer that was sent before the connection was closed may still be read: the receive tells */
    if (conn->state != HTTP_CONN_DYING && (completion->res == -EINTR || completion->res == -EAGAIN))
        send_more(conn);
    else
        conn->flying_at = conn->flying.len;
    settle(conn);
}
