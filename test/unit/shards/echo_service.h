/* SPDX-License-Identifier: MIT
 *
 * echo_service - a protocol for the control shard, for tests of the machine: it echoes what comes, goes on only when
 * that has left after a 'p', and closes after a 'q'.
 */
#ifndef SHARDMQ_TEST_ECHO_SERVICE_H
#define SHARDMQ_TEST_ECHO_SERVICE_H

#include "shards/control.h"
#include "shards/machine_priv.h"

#include <stdatomic.h>

struct echo_conn {
    struct outbox out;
    bool paused;
};

static atomic_uint echo_opened, echo_closed, echo_stopping, echo_stopped;
static unsigned echo_state;

static void echo_open(struct shard *shard, struct conn *conn, bool adopted)
{
    const struct echo_conn *echo_conn = conn_state(conn);

    ASSERT(!adopted && !echo_conn->paused);
    ASSERT(control_service(shard) == &echo_state);
    atomic_fetch_add(&echo_opened, 1);
}

static enum conn_verdict echo_bytes(struct shard *shard, struct conn *conn, const uint8_t *data,
                                    uint32_t len, uint32_t *consumed)
{
    struct echo_conn *echo_conn = conn_state(conn);

    while (*consumed < len) {
        uint8_t byte = data[(*consumed)++];
        uint8_t *to = outbox_reserve(&echo_conn->out, broker_outbox_pool(shard->broker), 1);

        *to = byte;
        outbox_commit(&echo_conn->out, 1);
        conn_again(shard, conn);
        if (byte == 'q') {
            conn_close_after_flush(shard, conn);
            return CONN_STOP;
        }
        if (byte == 'p') {
            echo_conn->paused = true;
            return CONN_PAUSE;
        }
    }
    return CONN_CONTINUE;
}

/* What was sent before the pause has left. */
static bool echo_may_read(struct shard *shard, const struct conn *conn)
{
    struct echo_conn *echo_conn = conn_state(conn);

    (void)shard;
    if (echo_conn->out.bytes == 0)
        echo_conn->paused = false;
    return !echo_conn->paused;
}

static bool echo_steady(const struct conn *conn)
{
    return conn->slot % 2 == 0;
}

static void echo_sent(struct shard *shard, struct conn *conn, struct outbox_chunk *chunk)
{
    outbox_release(conn_outbox(conn), broker_outbox_pool(shard->broker), chunk);
}

static bool echo_lingers(const struct conn *conn)
{
    (void)conn;
    return true;
}

static void echo_close(struct shard *shard, struct conn *conn, struct outbox_chunk *unsent)
{
    struct outbox *out = conn_outbox(conn);
    struct outbox_chunk *chains[] = {unsent, out->head};

    for (unsigned i = 0; i < 2; i++)
        while (chains[i] != NULL) {
            struct outbox_chunk *next = chains[i]->next;

            outbox_release(out, broker_outbox_pool(shard->broker), chains[i]);
            chains[i] = next;
        }
    ASSERT(out->bytes == 0);
    atomic_fetch_add(&echo_closed, 1);
}

static void *echo_start(struct control *of)
{
    (void)of;
    return &echo_state;
}

static void echo_stops(void *service)
{
    ASSERT(service == &echo_state);
    atomic_fetch_add(&echo_stopping, 1);
}

static void echo_stop(void *service)
{
    (void)service;
    ASSERT(atomic_load(&echo_opened) == atomic_load(&echo_closed));
    atomic_fetch_add(&echo_stopped, 1);
}

static const struct conn_protocol echo_protocol = {
    .state_size = sizeof(struct echo_conn),
    .opened = echo_open,
    .on_bytes = echo_bytes,
    .may_read = echo_may_read,
    .steady = echo_steady,
    .sent = echo_sent,
    .lingers = echo_lingers,
    .closed = echo_close,
};

static const struct machine_service echo_service = {
    .protocol = &echo_protocol,
    .start = echo_start,
    .stopping = echo_stops,
    .stop = echo_stop,
};

#endif
