/* SPDX-License-Identifier: MIT
 *
 * sent - what became of the bytes of an outbox: the place where message_out and byte_out are counted.
 *
 * While a connection lives the machine tells of whole chunks. When it ends, the kernel may have
 * accepted a part of one: the packets that lie in that part have reached the socket like any others,
 * and the client may well have read them before it vanished. They are counted as sent. Which they
 * are the bytes themselves tell, for a chunk begins with a packet, and consists of whole ones but
 * for the last, whose payload may be a chunk of its own (session/outbox.h, I1).
 *
 * Invariants
 *   I1  a delivery is counted as message_out, or as drop_connection_lost, or is back in the queue of
 *       its session; never as two of these
 *   I2  a PUBLISH that the kernel has accepted to its last byte while the session had the connection
 *       is counted as message_out
 *
 * Delivery time (stats.def) is told for each chunk as a whole, from when the messages in it came: a
 * delivery costs one comparison, and the clock is read once per turn. What a connection that ended
 * took of a chunk is not timed, nor what is known to have arrived by its acknowledgement alone.
 */
#include "base/endian.h"
#include "broker/deliver.h"
#include "mqtt/frame_inline.h"

/* First transmissions up to that ordinal are in the socket; returns how many are new. */
static uint32_t confirm(struct connection *connection, uint32_t ordinal)
{
    uint32_t confirmed = ordinal - connection->ordinal_confirmed;

    if (ordinal < connection->ordinal_confirmed)
        confirmed--; /* 0 was skipped when the numbers wrapped */
    connection->ordinal_confirmed = ordinal;
    return confirmed;
}

static void count_out(struct broker *broker, struct connection *connection, uint32_t deliveries)
{
    if (deliveries == 0)
        return;
    connection->traffic.message_out += deliveries;
    STAT_ADD(broker->stats, message_out, deliveries);
    STAT_ADD(broker->stats, delivery_sending, -(int64_t)deliveries);
}

static void count_times(struct broker *broker, const struct outbox_chunk *chunk)
{
    for (uint32_t i = 0; i <= chunk->older_runs; i++) {
        const struct outbox_run *run = &chunk->runs[i];

        if (run->received_ns != 0)
            STAT_TOOK(broker->stats, delivery, broker->now_ns - run->received_ns, run->deliveries);
    }
}

void connection_sent(struct broker *broker, struct connection *connection,
                     struct outbox_chunk *chunk)
{
    uint32_t delivered = outbox_losable(chunk);

    if (connection->session != NULL && chunk->ordinal != 0)
        delivered += confirm(connection, chunk->ordinal);
    if (connection->session != NULL || chunk->ordinal == 0)
        count_times(broker, chunk);
    count_out(broker, connection, delivered);
    STAT_ADD(broker->stats, byte_out, chunk->len);
    connection->traffic.byte_out += chunk->len;
    outbox_release(&connection->out, &broker->pool, chunk);
    if (connection->session != NULL && connection->out.bytes <= PUMP_MARK / 2) {
        struct session *session = connection->session;

        if (session->window.next < session->window.tail)
            session_pump(broker, session);
        if (session->hold != NULL)
            retain_resume(broker, session);
    }
}

/* The packet identifier of a PUBLISH of QoS 1 or 2 that lies in `frame` as a whole. */
static uint16_t identifier_of(const struct frame *frame)
{
    uint32_t topic_len = get_be16(frame->body);

    return get_be16(frame->body + 2 + topic_len);
}

/* The ordinal of the first transmission that this packet is; 0 when it is none, or is over. */
static uint32_t ordinal_of(const struct connection *connection, const struct frame *frame)
{
    const struct delivery *delivery;

    if (connection->session == NULL)
        return 0;
    delivery = window_find(&connection->session->window, identifier_of(frame));
    return delivery != NULL && delivery->state == DELIVERY_SENT && delivery->transmitted
               ? delivery->ordinal
               : 0;
}

void sent_in_part(struct broker *broker, struct connection *connection, struct outbox_chunk *chunk)
{
    uint32_t delivered = 0, ordinal = 0, at = 0, losable = outbox_losable(chunk);
    struct frame frame;

    STAT_ADD(broker->stats, byte_out, chunk->sent);
    if (chunk->message != NULL)
        return; /* a part of one payload */
    while (frame_find(chunk->data + at, chunk->sent - at, UINT32_MAX, &frame) == FRAME_READY) {
        at += frame.total_len;
        if (frame.type != MQTT_PUBLISH)
            continue;
        if (((frame.flags >> 1) & 3) != 0) {
            uint32_t its = ordinal_of(connection, &frame);

            ordinal = its != 0 ? its : ordinal;
        } else if (delivered < losable) {
            delivered++;
        }
    }
    chunk->kept += delivered; /* I1 */
    if (ordinal != 0)
        delivered += confirm(connection, ordinal);
    count_out(broker, connection, delivered);
}

void sent_never(struct broker *broker, struct connection *connection, struct outbox_chunk *chunk)
{
    while (chunk != NULL) {
        struct outbox_chunk *next = chunk->next;

        STAT_ADD(broker->stats, delivery_sending, -(int64_t)outbox_losable(chunk));
        STAT_ADD(broker->stats, drop_connection_lost, outbox_losable(chunk));
        outbox_release(&connection->out, &broker->pool, chunk);
        chunk = next;
    }
}
