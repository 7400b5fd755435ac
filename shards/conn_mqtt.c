/* SPDX-License-Identifier: MIT
 *
 * conn_mqtt - the broker's connections (broker/connection.h) as a protocol on byte connections.
 *
 * The broker marks connections with output or a wish to be closed on its dirty list, which is taken
 * once for each round of the flush. A connection that turns out to belong to another shard is handed
 * over (handoff.c) before CONNECT is answered; until then receives are armed singly, so that nothing
 * is in flight on it.
 */
#include "shards/conn_mqtt.h"

#include "shards/machine_priv.h"

_Static_assert(offsetof(struct connection, out) == 0, "a protocol's state begins with its outbox");

static void opened(struct shard *shard, struct conn *conn, bool adopted)
{
    if (!adopted)
        STAT_INC(shard->stats, connection_accepted);
    connection_open(shard->broker, conn_mqtt_of(conn), adopted);
}

static enum conn_verdict on_bytes(struct shard *shard, struct conn *conn, const uint8_t *data,
                                  uint32_t len, uint32_t *consumed)
{
    unsigned home = 0;

    switch (connection_receive(shard->broker, conn_mqtt_of(conn), data, len, consumed, &home)) {
    case CONNECTION_CONTINUE:
        return CONN_CONTINUE;
    case CONNECTION_PAUSE:
        return CONN_PAUSE;
    case CONNECTION_HANDOFF:
        ASSERT(*consumed <= len);
        conn_hand_over(shard, conn, home, data + *consumed, len - *consumed);
        return CONN_STOP;
    case CONNECTION_STOP:
        break;
    }
    return CONN_STOP;
}

static bool may_read(struct shard *shard, const struct conn *conn)
{
    return connection_may_read(shard->broker, conn_mqtt_of(conn));
}

static bool steady(const struct conn *conn)
{
    return conn_mqtt_of(conn)->state == CONNECTION_ONLINE;
}

static bool confides(const struct conn *conn)
{
    return connection_confides(conn_mqtt_of(conn));
}

static bool flush_marked(struct shard *shard)
{
    struct connection *dirty = broker_take_dirty(shard->broker);
    bool any = dirty != NULL;

    while (dirty != NULL) {
        struct connection *next = dirty->dirty_next;
        struct conn *conn = conn_of_mqtt(dirty);

        dirty->dirty = false;
        dirty->dirty_next = NULL;
        if (UNLIKELY(dirty->closing == CLOSING_NOW))
            conn_kill(shard, conn);
        else if (UNLIKELY(dirty->closing == CLOSING_AFTER_FLUSH))
            conn_close_after_flush(shard, conn);
        conn_flush(shard, conn);
        dirty = next;
    }
    return any;
}

static bool marked(const struct conn *conn)
{
    return conn_mqtt_of(conn)->dirty;
}

static void sent(struct shard *shard, struct conn *conn, struct outbox_chunk *chunk)
{
    connection_sent(shard->broker, conn_mqtt_of(conn), chunk);
}

/* A client that ended the connection itself sends no more: there is nothing to wait for. */
static bool lingers(const struct conn *conn)
{
    return conn_mqtt_of(conn)->end_reason >= MQTT_REASON_UNSPECIFIED_ERROR;
}

static void closed(struct shard *shard, struct conn *conn, struct outbox_chunk *unsent)
{
    connection_closed(shard->broker, conn_mqtt_of(conn), unsent);
}

const struct conn_protocol conn_mqtt = {
    .state_size = sizeof(struct connection),
    .opened = opened,
    .on_bytes = on_bytes,
    .may_read = may_read,
    .steady = steady,
    .confides = confides,
    .flush_marked = flush_marked,
    .marked = marked,
    .sent = sent,
    .lingers = lingers,
    .closed = closed,
};

void conn_mqtt_end_nameless(struct shard *shard)
{
    for (uint32_t slot = 0; slot < shard->conns.page_count << CONN_PAGE_BITS; slot++) {
        struct conn *conn = conn_at(&shard->conns, slot);

        if ((conn->flags & CONN_USED) != 0 && conn_mqtt_of(conn)->state == CONNECTION_AWAIT_CONNECT)
            conn_kill(shard, conn);
    }
}
