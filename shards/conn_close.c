/* SPDX-License-Identifier: MIT
 *
 * conn_close - how a connection ends.
 *
 * Three ways lead to the one place where a slot is freed, conn_bury():
 *
 *   conn_kill               errors, no time left: what is in flight is cancelled, nothing is sent
 *   conn_end_of_input       the peer closed: what is pending gets one send that does not wait, then
 *                           conn_kill; unless the protocol goes on answering, and closes it later
 *   conn_close_after_flush  the protocol said its last words (a CONNACK that refuses, a DISCONNECT, an
 *                           HTTP answer with Connection: close): they are sent, within FLUSH_MS; then the sending side is shut and input
 *                           thrown away until the peer closes or LINGER_MS pass
 *
 * Closing at once would lose the last words: a socket closed with unread input resets the
 * connection, and a reset discards what is still on its way.
 *
 * No slot is freed inside a handler: conn_bury() runs in the flush, when no connection of it is on
 * the protocol's list. The socket is closed there when nothing is being sent on it, and the slot is
 * freed when nothing at all is in flight.
 */
#include "base/log.h"
#include "shards/conn_filter.h"
#include "shards/door.h"
#include "shards/machine_priv.h"
#include "shards/op.h"

#define FLUSH_MS  5000u
#define LINGER_MS 1000u

static void sweep_flushing(void *owner, struct timer *timer);
static void sweep_lingering(void *owner, struct timer *timer);

void conn_close_init(struct shard *shard)
{
    shard->conns.flushing.wait_ms = FLUSH_MS;
    shard->conns.lingering.wait_ms = LINGER_MS;
    timer_init(&shard->conns.flushing.sweep, sweep_flushing);
    timer_init(&shard->conns.lingering.sweep, sweep_lingering);
}

void conn_close_fini(struct shard *shard)
{
    mem_free(shard->conns.flushing.queue);
    mem_free(shard->conns.lingering.queue);
}

static void deadlines_grow(struct conn_deadlines *deadlines)
{
    uint32_t capacity = deadlines->capacity == 0 ? 64 : deadlines->capacity * 2;
    struct conn_deadline *grown = mem_alloc(capacity * sizeof(*grown));

    for (uint32_t i = 0; i < deadlines->count; i++)
        grown[i] = deadlines->queue[(deadlines->first + i) & (deadlines->capacity - 1)];
    mem_free(deadlines->queue);
    deadlines->queue = grown;
    deadlines->first = 0;
    deadlines->capacity = capacity;
}

static void deadlines_add(struct shard *shard, struct conn_deadlines *deadlines,
                          const struct conn *conn)
{
    uint64_t at_ms = shard->now_ms + deadlines->wait_ms;

    if (deadlines->count == deadlines->capacity)
        deadlines_grow(deadlines);
    deadlines->queue[(deadlines->first + deadlines->count) & (deadlines->capacity - 1)] =
        (struct conn_deadline){.slot = conn->slot, .generation = conn->generation, .at_ms = at_ms};
    deadlines->count++;
    if (!timer_armed(&deadlines->sweep))
        timer_arm(&shard->timers, &deadlines->sweep, at_ms);
}

/* Kills those whose time is over and that are still what they were. */
static void sweep(struct shard *shard, struct conn_deadlines *deadlines, uint32_t flag)
{
    while (deadlines->count != 0) {
        struct conn_deadline *due = &deadlines->queue[deadlines->first];
        struct conn *conn = conn_at(&shard->conns, due->slot);

        if (due->at_ms > shard->now_ms) {
            timer_arm(&shard->timers, &deadlines->sweep, due->at_ms);
            return;
        }
        if ((conn->flags & CONN_USED) != 0 && conn->generation == due->generation &&
            (conn->flags & flag) != 0)
            conn_kill(shard, conn);
        deadlines->first = (deadlines->first + 1) & (deadlines->capacity - 1);
        deadlines->count--;
    }
}

static void sweep_flushing(void *owner, struct timer *timer)
{
    struct shard *shard = owner;

    (void)timer;
    sweep(shard, &shard->conns.flushing, CONN_FLUSHING);
}

static void sweep_lingering(void *owner, struct timer *timer)
{
    struct shard *shard = owner;

    (void)timer;
    sweep(shard, &shard->conns.lingering, CONN_LINGERING);
}

void conn_operation_over(struct shard *shard, struct conn *conn)
{
    (void)shard;
    ASSERT(conn->operations != 0); /* I1 */
    conn->operations--;
}

void conn_kill(struct shard *shard, struct conn *conn)
{
    if ((conn->flags & CONN_DYING) != 0)
        return;
    conn->flags |= CONN_DYING;
    newcomer_leave(shard, conn);
    conn_list_add(&shard->conns.dying, conn->slot);
    if ((conn->flags & (CONN_RECEIVING | CONN_CANCELLING)) == CONN_RECEIVING) {
        conn->flags |= CONN_CANCELLING;
        uring_cancel(shard->ring, op_pack(OP_RECEIVE, conn->slot, conn->generation));
    }
    if ((conn->flags & CONN_SEND_WAITS) != 0)
        uring_cancel(shard->ring, op_pack(OP_SEND_WAIT, conn->slot, conn->generation));
}

void conn_end_of_input(struct shard *shard, struct conn *conn)
{
    if ((conn->flags & CONN_LINGERING) != 0) {
        conn_kill(shard, conn);
        return;
    }
    conn->flags |= CONN_END_OF_INPUT;
    if (shard->conns.protocol->half_closed != NULL &&
        (conn->flags & (CONN_FLUSHING | CONN_DYING | CONN_ENDED)) == 0 &&
        shard->conns.protocol->half_closed(shard, conn)) {
        conn->flags |= CONN_ANSWERING;
        return;
    }
    if ((conn->flags & (CONN_SEND_WAITS | CONN_FLUSHING)) == CONN_SEND_WAITS)
        conn_kill(shard, conn); /* a backlog for a peer that has gone */
    else
        conn_again(shard, conn);
}

void conn_close_after_flush(struct shard *shard, struct conn *conn)
{
    if ((conn->flags & CONN_FLUSHING) != 0)
        return;
    conn->flags |= CONN_FLUSHING;
    newcomer_leave(shard, conn);
    conn_drop_held(conn);
    deadlines_add(shard, &shard->conns.flushing, conn);
}

static bool is_marked(const struct shard *shard, const struct conn *conn)
{
    const struct conn_protocol *protocol = shard->conns.protocol;

    return protocol->marked != NULL && protocol->marked(conn);
}

void conn_linger(struct shard *shard, struct conn *conn)
{
    /* a filter's peer answers a good-bye, or has not read an alert yet */
    bool lingers = conn->filter != NULL || shard->conns.protocol->lingers(conn);
    struct outbox_chunk *unsent = conn->sending; /* only when the filter has failed */

    if (is_marked(shard, conn)) { /* still on the protocol's list: the next round */
        conn_again(shard, conn);
        return;
    }
    conn->flags |= CONN_ENDED;
    conn->sending = NULL;
    shard->conns.protocol->closed(shard, conn, unsent);
    conn_filter_destroy(conn_filter_detach(conn));
    if ((conn->flags & CONN_END_OF_INPUT) != 0 || !lingers || shutdown(conn->fd, SHUT_WR) != 0) {
        conn_kill(shard, conn);
        return;
    }
    conn->flags |= CONN_LINGERING;
    deadlines_add(shard, &shard->conns.lingering, conn);
    conn_arm(shard, conn);
}

static void release_slot(struct shard *shard, struct conn *conn)
{
    struct conns *conns = &shard->conns;

    door_count(shard, conn->door, -1);
    door_unref(conn->door);
    conn->door = NULL;
    conn->flags = 0;
    conn->generation++;
    conn->next_free = conns->free_slot;
    conns->free_slot = conn->slot;
    conns->used--;
    atomic_store_explicit(&shard->connection_count, conns->used, memory_order_relaxed);
}

int conn_give_away(struct shard *shard, struct conn *conn)
{
    int fd = conn->fd;

    ASSERT(conn->operations == 0 && conn->sending == NULL && conn->filter == NULL);
    conn->fd = -1;
    conn->flags |= CONN_ENDED;
    conn_kill(shard, conn); /* frees the slot at the end of the turn */
    return fd;
}

/* Tells the protocol and closes the socket. A receive that is being cancelled may still be in flight:
 * it holds the file itself and its cancellation was requested before. */
static void close_socket(struct shard *shard, struct conn *conn)
{
    conn_drop_held(conn);
    if ((conn->flags & CONN_ENDED) == 0) {
        struct outbox_chunk *unsent = conn->sending;

        conn->flags |= CONN_ENDED;
        conn->sending = NULL;
        if (unsent != NULL)
            unsent->sent = conn->sending_offset;
        shard->conns.protocol->closed(shard, conn, unsent);
    }
    conn_filter_destroy(conn_filter_detach(conn));
    if (conn->fd >= 0)
        uring_close_descriptor(shard->ring, conn->fd);
    conn->fd = -1;
}

bool conn_bury(struct shard *shard)
{
    struct conn_list *list = &shard->conns.dying;
    uint32_t count = list->count, kept = 0;
    bool any = false;

    for (uint32_t i = 0; i < count; i++) {
        struct conn *conn = conn_at(&shard->conns, list->slots[i]);
        bool waits = (conn->flags & CONN_SENDING) != 0 || is_marked(shard, conn);

        if (!waits && (conn->fd >= 0 || (conn->flags & CONN_ENDED) == 0)) {
            close_socket(shard, conn);
            any = true;
        }
        if (waits || conn->operations != 0)
            list->slots[kept++] = list->slots[i];
        else
            release_slot(shard, conn);
    }
    for (uint32_t i = count; i < list->count; i++)
        list->slots[kept++] = list->slots[i];
    list->count = kept;
    return any;
}

void conn_kill_all(struct shard *shard)
{
    for (uint32_t slot = 0; slot < shard->conns.page_count << CONN_PAGE_BITS; slot++) {
        struct conn *conn = conn_at(&shard->conns, slot);

        if ((conn->flags & CONN_USED) != 0)
            conn_kill(shard, conn);
    }
}
