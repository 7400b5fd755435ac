/* SPDX-License-Identifier: MIT
 *
 * conn_recv - bytes in: from the shard's receive buffers to the protocol.
 *
 * Until the protocol says that a connection stays (steady()) every receive is armed singly, so that
 * nothing is in flight when it is given to another shard; from then on one multishot receive stays
 * armed. A buffer is given back as soon as the protocol has looked at it: what it keeps it copies. While the protocol says
 * that there may be a password in it (confides()), it is overwritten before.
 */
#include "base/log.h"
#include "shards/bufring.h"
#include "shards/conn_filter.h"
#include "shards/machine_priv.h"
#include "shards/op.h"

#include <errno.h>

/* What a peer may still send into a connection that is being closed, before it is cut. */
#define DISCARD_MAX 4194304u

static void hold(struct shard *shard, struct conn *conn, const uint8_t *data, uint32_t len,
                 bool in_front)
{
    struct conn_held *held, **link = &conn->held;

    if (len == 0)
        return;
    held = mem_try_alloc(sizeof(*held) + len);
    if (held == NULL) {
        conn_kill(shard, conn);
        return;
    }
    held->len = len;
    memcpy(held->bytes, data, len);
    while (!in_front && *link != NULL)
        link = &(*link)->next;
    held->next = *link;
    *link = held;
}

void conn_free_held(struct conn_held *held)
{
    mem_wipe(held->bytes, held->len);
    mem_free(held);
}

void conn_drop_held(struct conn *conn)
{
    while (conn->held != NULL) {
        struct conn_held *next = conn->held->next;

        conn_free_held(conn->held);
        conn->held = next;
    }
}

bool conn_confides(const struct shard *shard, const struct conn *conn)
{
    const struct conn_protocol *protocol = shard->conns.protocol;

    return protocol->confides == NULL || protocol->confides(conn);
}

static void pause_reading(struct shard *shard, struct conn *conn)
{
    conn->flags |= CONN_PAUSED;
    conn_list_add(&shard->conns.paused, conn->slot);
    if ((conn->flags & (CONN_RECEIVING | CONN_CANCELLING)) == CONN_RECEIVING) {
        conn->flags |= CONN_CANCELLING;
        uring_cancel(shard->ring, op_pack(OP_RECEIVE, conn->slot, conn->generation));
    }
}

void conn_keep(struct shard *shard, struct conn *conn, const uint8_t *data, uint32_t len)
{
    hold(shard, conn, data, len, false);
}

void conn_hold(struct shard *shard, struct conn *conn, const uint8_t *data, uint32_t len)
{
    pause_reading(shard, conn);
    hold(shard, conn, data, len, false);
}

static void discard(struct shard *shard, struct conn *conn, uint32_t len)
{
    conn->discarded += len;
    if (conn->discarded > DISCARD_MAX && (conn->flags & CONN_LINGERING) != 0)
        conn_kill(shard, conn);
}

/* Feeds one piece; `in_front`: it comes from the head of the held bytes. */
static void feed(struct shard *shard, struct conn *conn, const uint8_t *data, uint32_t len,
                 bool in_front)
{
    uint32_t consumed = 0;

    if (UNLIKELY((conn->flags & (CONN_FLUSHING | CONN_DYING | CONN_ENDED)) != 0)) {
        discard(shard, conn, len);
        return;
    }
    if (UNLIKELY((conn->flags & CONN_PAUSED) != 0)) {
        hold(shard, conn, data, len, false);
        return;
    }
    if (shard->conns.protocol->on_bytes(shard, conn, data, len, &consumed) == CONN_PAUSE) {
        ASSERT(consumed <= len);
        pause_reading(shard, conn);
        hold(shard, conn, data + consumed, len - consumed, in_front);
    }
    if (UNLIKELY(conn->newcomer != NULL) &&
        ((conn->flags & CONN_PAUSED) != 0 || shard->conns.protocol->steady(conn)))
        newcomer_leave(shard, conn); /* it is ours to go on */
}

void conn_feed(struct shard *shard, struct conn *conn, const uint8_t *data, uint32_t len)
{
    feed(shard, conn, data, len, false);
}

void conn_arm(struct shard *shard, struct conn *conn)
{
    bool closing = (conn->flags & (CONN_FLUSHING | CONN_ENDED)) != 0;
    bool steady;

    if ((conn->flags &
         (CONN_RECEIVING | CONN_PAUSED | CONN_STARVED | CONN_DYING | CONN_END_OF_INPUT)) != 0 ||
        (closing && (conn->flags & CONN_LINGERING) == 0) || conn->fd < 0 ||
        (conn->filter != NULL && conn->filter->waiting))
        return;
    steady = !closing && shard->conns.protocol->steady(conn);
    conn->flags = (conn->flags | CONN_RECEIVING) & (uint32_t)~CONN_CANCELLING;
    conn->operations++;
    /* a peer that was just answered has seldom sent its next bytes already: no futile look */
    uring_receive(shard->ring, conn->fd, steady && shard->machine->features.receive_multishot,
                  steady, op_pack(OP_RECEIVE, conn->slot, conn->generation));
}

static void receive_over(struct shard *shard, struct conn *conn)
{
    conn->flags &= (uint32_t) ~(CONN_RECEIVING | CONN_CANCELLING);
    conn_operation_over(shard, conn);
}

void conn_received(struct shard *shard, const struct completion *completion)
{
    struct conn *conn = conns_find(shard, completion->user_data);
    uint16_t first = completion_buffer(completion);
    uint32_t left = (uint32_t)completion->res;
    bool secret = conn != NULL && conn_confides(shard, conn);

    if (conn != NULL && (completion->flags & COMPLETION_MORE) == 0)
        receive_over(shard, conn);
    if (conn != NULL && left == 0 && (conn->flags & CONN_PAUSED) == 0)
        conn_end_of_input(shard, conn); /* a paused one will read the end again */
    if ((completion->flags & COMPLETION_BUFFER) != 0) {
        /* what a filter makes of them may cost much: first see whether there is room for a handshake */
        if (conn != NULL && UNLIKELY(conn->newcomer != NULL) && conn->filter != NULL && left != 0)
            newcomer_heard(shard, conn);
        while (conn != NULL && left != 0) {
            struct span piece = bufring_piece(shard->buffers, &first, &left);

            if (conn->filter != NULL)
                conn_filter_receive(shard, conn, piece.data, piece.len);
            else
                feed(shard, conn, piece.data, piece.len, false);
            if (UNLIKELY(secret))
                mem_wipe((uint8_t *)(uintptr_t)piece.data, piece.len);
        }
        bufring_recycle(shard->buffers, completion_buffer(completion), (uint32_t)completion->res);
        if (conn != NULL && UNLIKELY(conn->newcomer != NULL))
            newcomer_heard(shard, conn);
    }
    if (conn != NULL && (conn->flags & CONN_RECEIVING) == 0)
        conn_arm(shard, conn);
}

void conn_receive_failed(struct shard *shard, const struct completion *completion)
{
    struct conn *conn = conns_find(shard, completion->user_data);

    if (conn == NULL)
        return;
    if ((completion->flags & COMPLETION_MORE) == 0)
        receive_over(shard, conn);
    switch (completion->res) {
    case -ENOBUFS:
        STAT_INC(shard->stats, receive_buffers_exhausted);
        if ((conn->flags & (CONN_STARVED | CONN_DYING)) == 0) {
            conn->flags |= CONN_STARVED;
            conn_list_add(&shard->conns.starved, conn->slot);
        }
        break;
    case -ECANCELED:
    case -EINTR:
    case -EAGAIN:
        conn_arm(shard, conn); /* unless it is paused */
        break;
    default:
        conn_kill(shard, conn);
    }
}

void conn_feed_starved(struct shard *shard)
{
    struct conn_list *list = &shard->conns.starved;

    for (uint32_t i = 0; i < list->count; i++) {
        struct conn *conn = conn_at(&shard->conns, list->slots[i]);

        if ((conn->flags & CONN_STARVED) == 0)
            continue;
        conn->flags &= (uint32_t)~CONN_STARVED;
        conn_arm(shard, conn);
    }
    list->count = 0;
}

/* The protocol may have a paused connection's bytes: it wants them, and if it may give it away, nothing is left in its
 * filter. */
static bool may_resume(struct shard *shard, const struct conn *conn)
{
    const struct conn_protocol *protocol = shard->conns.protocol;

    if (conn->filter != NULL && !protocol->steady(conn) &&
        ((conn->flags & CONN_SENDING) != 0 || conn_filter_output(conn->filter)))
        return false;
    return protocol->may_read(shard, conn);
}

/* Feeds what was held while the protocol takes it. */
static void feed_held(struct shard *shard, struct conn *conn)
{
    while (conn->held != NULL && (conn->flags & CONN_PAUSED) == 0) {
        struct conn_held *held = conn->held;

        conn->held = held->next;
        feed(shard, conn, held->bytes, held->len, true);
        conn_free_held(held);
    }
}

bool conn_resume_paused(struct shard *shard)
{
    struct conn_list *list = &shard->conns.paused;
    uint32_t count = list->count, kept = 0;
    bool any = false;

    for (uint32_t i = 0; i < count; i++) {
        uint32_t slot = list->slots[i];
        struct conn *conn = conn_at(&shard->conns, slot);

        if ((conn->flags & CONN_PAUSED) == 0)
            continue;
        if ((conn->flags & (CONN_DYING | CONN_ENDED)) == 0 && !may_resume(shard, conn)) {
            list->slots[kept++] = slot;
            continue;
        }
        any = true;
        conn->flags &= (uint32_t)~CONN_PAUSED;
        feed_held(shard, conn); /* may pause it again: then it was added behind `count` */
        conn_filter_fed(shard, conn);
        conn_arm(shard, conn);
    }
    for (uint32_t i = count; i < list->count; i++)
        list->slots[kept++] = list->slots[i];
    list->count = kept;
    return any;
}
