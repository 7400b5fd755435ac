/* SPDX-License-Identifier: MIT
 *
 * conn_send - bytes out: one send per connection and turn, of everything that is pending.
 *
 * Who calls it: the loop, once at the end of each turn (conn_flush_all), and after it has handled
 * the completions of an enter (conn_settle_sends).
 *
 *   outbox --take--> sending --send--> socket --settle--> protocol->sent()
 *                       ^                |
 *                       +---- partial ---+--> CONN_BACKLOG: the next send waits in the kernel
 *
 * The usual send is fired and forgotten: MSG_DONTWAIT, MSG_WAITALL and no completion on success.
 * The enter that submits it also executes it; when no completion has come once the queue of that
 * enter is reaped, every byte is in the socket (measured over many million sends; without
 * MSG_WAITALL a short write would go unnoticed). Each such send leaves a note {slot, position in
 * the submission queue}, and settling goes through the notes whose requests the kernel has taken.
 *
 * What does not fit completes with a partial count or EAGAIN. The rest is sent by one request that
 * the kernel keeps until the socket has room; when that is through, the connection is back to the
 * usual way.
 *
 * A send carries at most SEND_BYTES_MAX, so that one large payload does not keep everybody else
 * waiting: the rest goes the next turn.
 *
 * Invariants
 *   I1  at most one send per connection is in flight: CONN_SENDING is set from preparing it until
 *       it is settled or completed, and nothing else is prepared meanwhile
 *   I2  chunks in `sending` from sending_offset on are what is not yet known to be in the socket,
 *       in order; the send in flight covers the first send_bytes of them
 *   I3  a note is settled only after its request was consumed, every completion posted until then
 *       was handled and the completion queue has not overflowed
 *   I4  iovecs and headers are reused only after an enter has consumed all requests
 *
 * Rejected: a completion per send (10 % of a small send's cost), two linked sends, MSG_ZEROCOPY
 * (dearer below tens of kilobytes).
 */
#include "base/log.h"
#include "shards/conn_filter.h"
#include "shards/machine_priv.h"
#include "shards/op.h"

#include <errno.h>

#define SEND_BYTES_MAX  262144u
#define ROUNDS_PER_TURN 4 /* closing a connection can give output to others */

void conn_send_init(struct shard *shard)
{
    struct send_batch *sends = &shard->sends;

    memset(sends, 0, sizeof(*sends));
    sends->vectors = mem_alloc(SEND_VECTORS * sizeof(struct iovec));
    sends->headers = mem_zalloc(SEND_HEADERS * sizeof(struct msghdr));
}

void conn_send_fini(struct shard *shard)
{
    mem_free(shard->sends.vectors);
    mem_free(shard->sends.headers);
    mem_free(shard->sends.notes);
}

void conn_again(struct shard *shard, struct conn *conn)
{
    if ((conn->flags & CONN_AGAIN) != 0)
        return;
    conn->flags |= CONN_AGAIN;
    conn_list_add(&shard->conns.again, conn->slot);
}

static void note(struct shard *shard, uint32_t slot)
{
    struct send_batch *sends = &shard->sends;

    if (sends->count == sends->capacity) {
        sends->capacity = sends->capacity == 0 ? 256 : sends->capacity * 2;
        sends->notes = mem_realloc(sends->notes, sends->capacity * sizeof(*sends->notes));
    }
    sends->notes[sends->count++] =
        (struct send_note){.slot = slot, .position = uring_position(shard->ring)};
}

/* Room for the vectors and the header of one more send (I4). */
static void make_room(struct shard *shard)
{
    struct send_batch *sends = &shard->sends;

    for (unsigned attempt = 0; uring_pending(shard->ring) != 0; attempt++) {
        int error;

        if (sends->vectors_used + IOVECS_PER_SEND <= SEND_VECTORS &&
            sends->headers_used < SEND_HEADERS)
            return;
        error = uring_enter(shard->ring, false, URING_NO_TIMEOUT, 0);
        if (attempt > 1000000)
            panic(__FILE__, __LINE__, "io_uring takes no sends: %s", strerror(-error));
    }
    sends->vectors_used = sends->headers_used = 0;
}

/* Describes the next bytes to send in iovecs; returns how many vectors. */
static uint32_t gather(struct conn *conn, struct iovec *vectors)
{
    struct outbox_chunk *chunk = conn->sending;
    uint32_t count = 0, offset = conn->sending_offset;

    conn->send_bytes = 0;
    while (chunk != NULL && count < IOVECS_PER_SEND && conn->send_bytes < SEND_BYTES_MAX) {
        uint32_t len = chunk->len - offset;

        if (len > SEND_BYTES_MAX - conn->send_bytes)
            len = SEND_BYTES_MAX - conn->send_bytes;
        vectors[count].iov_base = (void *)(uintptr_t)(chunk->data + offset);
        vectors[count].iov_len = len;
        count++;
        conn->send_bytes += len;
        offset = 0;
        chunk = chunk->next;
    }
    return count;
}

static void send_next(struct shard *shard, struct conn *conn)
{
    struct send_batch *sends = &shard->sends;
    bool wait = (conn->flags & CONN_BACKLOG) != 0;
    uint64_t name = op_pack(wait ? OP_SEND_WAIT : OP_SEND, conn->slot, conn->generation);
    struct outbox_chunk *only = conn->sending;

    ASSERT((conn->flags & CONN_SENDING) == 0); /* I1 */
    if (conn->filter != NULL) {
        const struct conn_filter *filter = conn->filter;
        size_t left = filter->sending.len - filter->sent;

        conn->send_bytes = left < SEND_BYTES_MAX ? (uint32_t)left : SEND_BYTES_MAX;
        uring_send(shard->ring, conn->fd, filter->sending.data + filter->sent, conn->send_bytes,
                   wait, name);
    } else if (LIKELY(only->next == NULL && only->len - conn->sending_offset <= SEND_BYTES_MAX)) {
        conn->send_bytes = only->len - conn->sending_offset;
        uring_send(shard->ring, conn->fd, only->data + conn->sending_offset, conn->send_bytes, wait,
                   name);
    } else {
        struct msghdr *header;

        make_room(shard);
        header = &sends->headers[sends->headers_used++];
        header->msg_iov = &sends->vectors[sends->vectors_used];
        header->msg_iovlen = gather(conn, header->msg_iov);
        sends->vectors_used += (uint32_t)header->msg_iovlen;
        uring_send_message(shard->ring, conn->fd, header, wait, name);
    }
    conn->operations++;
    conn->flags |= CONN_SENDING;
    if (wait)
        conn->flags |= CONN_SEND_WAITS;
    else
        note(shard, conn->slot);
}

/* Takes what waits in the outbox; false when there is nothing to send. */
static bool take_output(struct shard *shard, struct conn *conn)
{
    if (conn->sending == NULL) {
        struct outbox *outbox = conn_outbox(conn);

        conn->sending = outbox->head;
        outbox->head = outbox->tail = NULL;
        conn->sending_offset = 0;
    }
    if (LIKELY(conn->filter == NULL))
        return conn->sending != NULL;
    conn_filter_fill(shard, conn);
    return conn->filter->sending.len != 0;
}

void conn_flush(struct shard *shard, struct conn *conn)
{
    bool output;

    if (UNLIKELY((conn->flags & (CONN_DYING | CONN_ENDED)) != 0))
        return;
    if ((conn->flags & CONN_SENDING) != 0)
        return; /* its completion or settling comes back here */
    output = take_output(shard, conn);
    if (UNLIKELY((conn->flags & (CONN_FLUSHING | CONN_END_OF_INPUT)) != 0)) {
        bool last_sent = (conn->flags & CONN_LAST_SEND) != 0;

        if ((conn->flags & CONN_FLUSHING) == 0 && (!output || last_sent)) {
            if ((conn->flags & CONN_ANSWERING) == 0) {
                conn_kill(shard, conn);
                return;
            }
        } else if (!output) {
            conn_linger(shard, conn);
            return;
        }
        conn->flags |= CONN_LAST_SEND;
    }
    if (output)
        send_next(shard, conn);
}

static void flush_list(struct shard *shard)
{
    struct conn_list *list = &shard->conns.again;
    uint32_t count = list->count;

    for (uint32_t i = 0; i < count; i++) {
        struct conn *conn = conn_at(&shard->conns, list->slots[i]);

        if ((conn->flags & CONN_AGAIN) == 0)
            continue;
        conn->flags &= (uint32_t)~CONN_AGAIN;
        conn_flush(shard, conn);
    }
    list->count -= count;
    memmove(list->slots, list->slots + count, list->count * sizeof(uint32_t));
}

bool conn_flush_all(struct shard *shard)
{
    bool (*flush_marked)(struct shard *) = shard->conns.protocol->flush_marked;
    bool more = true;

    for (unsigned round = 0; round < ROUNDS_PER_TURN && more; round++) {
        more = flush_marked != NULL && flush_marked(shard);
        if (shard->conns.again.count != 0)
            flush_list(shard);
        if (shard->conns.dying.count != 0 && conn_bury(shard))
            more = true;
    }
    return more;
}

/* `bytes` of the send in flight are in the socket: gives the chunks that are complete back (I2). */
static void advance(struct shard *shard, struct conn *conn, uint32_t bytes)
{
    while (conn->sending != NULL) {
        struct outbox_chunk *chunk = conn->sending;
        uint32_t left = chunk->len - conn->sending_offset;

        if (left > bytes) {
            conn->sending_offset += bytes;
            return;
        }
        bytes -= left;
        conn->sending = chunk->next;
        conn->sending_offset = 0;
        chunk->next = NULL;
        shard->conns.protocol->sent(shard, conn, chunk);
    }
    ASSERT(bytes == 0);
}

/* The send in flight is over. */
static void send_over(struct shard *shard, struct conn *conn, uint32_t bytes)
{
    conn->flags &= (uint32_t) ~(CONN_SENDING | CONN_SEND_WAITS | CONN_BACKLOG);
    if (bytes < conn->send_bytes)
        conn->flags |= CONN_BACKLOG;
    advance(shard, conn, conn->filter == NULL ? bytes : conn_filter_sent(conn->filter, bytes));
    conn->send_bytes = 0;
    if (conn->sending != NULL || conn_outbox(conn)->head != NULL ||
        (conn->filter != NULL && conn_filter_output(conn->filter)) ||
        (conn->flags & (CONN_FLUSHING | CONN_END_OF_INPUT)) != 0)
        conn_again(shard, conn);
    conn_operation_over(shard, conn);
}

void conn_settle_sends(struct shard *shard)
{
    struct send_batch *sends = &shard->sends;
    uint32_t consumed = uring_consumed(shard->ring), kept = 0;

    for (uint32_t i = 0; i < sends->count; i++) {
        struct send_note settled = sends->notes[i];
        struct conn *conn;

        if (UNLIKELY((int32_t)(consumed - settled.position) < 0)) { /* I3 */
            sends->notes[kept++] = settled;
            continue;
        }
        conn = conn_at(&shard->conns, settled.slot);
        if (LIKELY((conn->flags & (CONN_SENDING | CONN_SEND_WAITS)) == CONN_SENDING))
            send_over(shard, conn, conn->send_bytes);
    }
    sends->count = kept;
}

void conn_sent_in_part(struct shard *shard, const struct completion *completion)
{
    struct conn *conn = conns_find(shard, completion->user_data);

    if (conn != NULL)
        send_over(shard, conn, (uint32_t)completion->res);
}

void conn_sent_waiting(struct shard *shard, const struct completion *completion)
{
    struct conn *conn = conns_find(shard, completion->user_data);

    if (conn != NULL)
        send_over(shard, conn, (uint32_t)completion->res);
}

void conn_send_failed(struct shard *shard, const struct completion *completion)
{
    struct conn *conn = conns_find(shard, completion->user_data);
    bool again =
        completion->res == -EAGAIN || completion->res == -EINTR || completion->res == -ECANCELED;

    if (conn == NULL)
        return;
    send_over(shard, conn, 0);
    if (!again)
        conn_kill(shard, conn);
}
