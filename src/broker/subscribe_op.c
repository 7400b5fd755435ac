/* SPDX-License-Identifier: MIT
 *
 * subscribe_op - a SUBSCRIBE from its first filter to its SUBACK.
 *
 * A subscription is live on this shard at once; SUBACK waits until every other shard has confirmed
 * its interest (and share groups that the member has joined). After SUBACK the retained messages are
 * fetched; live messages for the session wait behind both (session->hold), so a client sees SUBACK,
 * retained messages, live messages, in this order.
 *
 * Invariants
 *   I1  an operation names its session by handle and connection serial: an answer for a connection
 *       that is gone goes nowhere
 *   I2  an operation that waits for interest waits for all that had been announced when it began, so
 *       those in the list are in the order of their announcements
 */
#include "broker/deliver.h"
#include "broker/subscribe.h"
#include "mqtt/encode.h"

struct subscribe_op *subscribe_op_create(struct broker *broker, const struct session *session,
                                         uint32_t filter_count, uint32_t filters_len)
{
    size_t items_size = filter_count * sizeof(struct subscribe_item);
    struct subscribe_op *op = mem_try_zalloc(sizeof(*op) + items_size + filters_len + filter_count);

    if (op == NULL)
        return NULL;
    list_init(&op->node);
    op->session = session->handle;
    op->connection_serial = session->connection->serial;
    op->serial = ++broker->subscribe_serial;
    op->announcement = broker->interest.all_confirmed;
    op->items = (struct subscribe_item *)(void *)op->bytes;
    op->text = op->bytes + items_size;
    op->codes = op->text + filters_len;
    return op;
}

void send_suback(struct broker *broker, struct connection *connection, enum mqtt_packet_type type,
                 uint16_t packet_identifier, const uint8_t *codes, uint32_t count)
{
    uint32_t room = mqtt_suback_size_max(count), size;
    uint8_t *to = connection_reserve(broker, connection, room);

    if (to == NULL)
        return;
    size = mqtt_encode_suback(to, room, connection->version, type, packet_identifier, codes,
                              count);        /* [MQTT-3.8.4-2] [MQTT-2.2.1-6] [MQTT-2.3.1-7] */
    if (size <= connection->packet_size_max) /* [MQTT-3.1.2-24] */
        connection_commit(broker, connection, size);
    else
        connection_end(broker, connection, MQTT_REASON_PACKET_TOO_LARGE,
                       "an answer larger than the client's Maximum Packet Size");
}

/* The session that asked, as long as it is on the same connection; NULL otherwise. */
static struct session *op_session(struct broker *broker, const struct subscribe_op *op)
{
    struct session *session = session_table_get(&broker->sessions, op->session);

    return session != NULL && session->connection != NULL &&
                   session->connection->serial == op->connection_serial /* I1 */
               ? session
               : NULL;
}

bool subscribe_op_ready(const struct broker *broker, const struct subscribe_op *op)
{
    return op->share_waiting == 0 && interest_confirmed(broker, op->announcement);
}

void subscribe_op_finish(struct broker *broker, struct subscribe_op *op)
{
    struct session *session = op_session(broker, op);

    list_remove(&op->node);
    if (session != NULL && op->waits)
        session->connection->subscribes--;
    if (op->order != NULL)
        errand_return(broker, &op->order->errand);
    else if (session != NULL && op->packet_identifier != 0)
        send_suback(broker, session->connection, MQTT_SUBACK, op->packet_identifier, op->codes,
                    op->count);
    session = op_session(broker, op); /* SUBACK may have ended it */
    if (session != NULL) {
        for (uint32_t i = 0; i < op->count; i++) {
            struct subscribe_item *item = &op->items[i];

            /* an UNSUBSCRIBE may have come while the operation waited */
            if (item->fetch_retained && session_has_filter(broker, session, item->filter))
                retain_fetch(broker, session, item->filter, &item->subscription);
        }
        if (op->holds)
            session_release_hold(broker, session);
    }
    mem_free(op);
}

/* Those that wait for interest are in the order of their announcements (I2): behind the first that
 * is not confirmed there is none to be found. */
static struct subscribe_op *first_ready(const struct broker *broker)
{
    for (struct list *node = broker->subscribe_ops.next; node != &broker->subscribe_ops;
         node = node->next) {
        struct subscribe_op *op = LIST_ENTRY(node, struct subscribe_op, node);

        if (!interest_confirmed(broker, op->announcement))
            return NULL;
        if (op->share_waiting == 0)
            return op;
    }
    return NULL;
}

void subscribe_ops_advance(struct broker *broker)
{
    struct subscribe_op *op;

    /* from the front each time: finishing one may end a connection, and with it other operations */
    while ((op = first_ready(broker)) != NULL)
        subscribe_op_finish(broker, op);
}

void subscribe_op_share_ready(struct broker *broker, uint32_t serial, bool failed)
{
    for (struct list *node = broker->subscribe_ops.next; node != &broker->subscribe_ops;
         node = node->next) {
        struct subscribe_op *op = LIST_ENTRY(node, struct subscribe_op, node);

        if (op->serial != serial)
            continue;
        ASSERT(op->share_waiting > 0);
        op->share_waiting--;
        if (failed)
            LOG_WARN("a shared subscription was not made: out of memory");
        if (subscribe_op_ready(broker, op))
            subscribe_op_finish(broker, op);
        return;
    }
    STAT_INC(broker->stats, stale_handle); /* the connection ended meanwhile */
}

void subscribe_ops_cancel(struct broker *broker, const struct session *session)
{
    struct list *node = broker->subscribe_ops.next;

    while (node != &broker->subscribe_ops) {
        struct subscribe_op *op = LIST_ENTRY(node, struct subscribe_op, node);

        node = node->next;
        if (session_handle_equal(op->session, session->handle)) {
            list_remove(&op->node);
            if (op->order != NULL) { /* the client has gone meanwhile */
                op->order->connected = false;
                errand_return(broker, &op->order->errand);
            }
            mem_free(op);
        }
    }
}

static bool op_wants_retained(const struct subscribe_op *op)
{
    for (uint32_t i = 0; i < op->count; i++)
        if (op->items[i].fetch_retained)
            return true;
    return false;
}

void subscribe_op_begin(struct broker *broker, struct subscribe_op *op)
{
    list_append(&broker->subscribe_ops, &op->node);
    op->share_waiting = 1; /* ours, until all filters are through */
}

void subscribe_op_all_through(struct broker *broker, struct subscribe_op *op)
{
    op->share_waiting--;
    if (!interest_confirmed(broker, op->announcement))
        op->announcement = broker->interest.announced; /* I2 */
}

void subscribe_op_wait(struct subscribe_op *op, struct session *session)
{
    op->waits = true;
    session->connection->subscribes++;
    op->holds = op_wants_retained(op) && session_hold(session);
}

void subscribe_op_give_up(struct broker *broker, struct connection *connection,
                          struct subscribe_op *op, enum mqtt_reason reason, const char *why)
{
    list_remove(&op->node);
    mem_free(op);
    connection_end(broker, connection, reason, why);
}
