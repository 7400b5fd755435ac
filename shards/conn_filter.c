/* SPDX-License-Identifier: MIT
 *
 * conn_filter - TLS and WebSocket between a socket and its protocol.
 *
 *   in   receive buffer --unwrap--> plain bytes --> protocol->on_bytes
 *                          |
 *                          +--> next: handshake, pongs, alerts, close frames
 *   out  outbox --> conn->sending --wrap--> next --> sending --one send--> socket
 *
 * Who calls it: conn_recv.c and conn_send.c, where a connection has a filter.
 *
 * A handshake costs a hundred times what a message costs. So that a storm of them does not hold up those
 * who are connected, a turn gives handshakes HANDSHAKE_NS at most; the bytes of the others wait, in the
 * order in which they came, for the next turn. How many may be under way is limited (newcomer.c), and how
 * long one may take by the protocol (mqtt.connect_timeout). Slow signatures are made by workers (signing.c).
 *
 * Until a connection is steady (it may still be given to another shard) the protocol gets its bytes only
 * when nothing is left in this file: all that came is unwrapped first, and while something is to be sent
 * the plain bytes are held. What travels to the home shard is then the descriptor, the transport and the
 * bytes that conn_mqtt.c has.
 *
 * Invariants
 *   I1  unwrap is called until it wants more; nothing else of the transport library runs in between
 *   I2  `sending` is not touched while CONN_SENDING is set, but for conn_filter_sent()
 *   I3  a filter that has failed wraps nothing more: what it has to say (an alert, a close frame, an HTTP
 *       answer) is sent, then the connection ends
 *   I4  `next` is bounded: a peer that has NEXT_MAX bytes of pongs and the like waiting is cut
 *   I5  the peer's good-bye ends the connection behind all bytes before it, wherever those were held
 *       and whichever shard they were given to: it comes once, and the socket may stay open
 */
#include "shards/conn_filter.h"

#include "base/log.h"
#include "shards/machine_priv.h"
#include "shards/proxy.h"
#include "shards/refusal.h"
#include "shards/signing.h"
#include "transport/transport.h"

#include <time.h>

#define HANDSHAKE_NS 3000000u /* of a turn, for all handshakes together */
#define WRAP_MAX     65536u   /* plain bytes of one send */
#define WRAP_PIECES  64u
#define NEXT_MAX     65536u

struct conn_filter *conn_filter_create(struct transport *transport, bool proxied)
{
    struct conn_filter *filter = transport == NULL ? NULL : mem_try_zalloc(sizeof(*filter));

    if (filter == NULL) {
        transport_destroy(transport);
        return NULL;
    }
    filter->transport = transport;
    filter->proxied = proxied;
    return filter;
}

void conn_filter_destroy(struct conn_filter *filter)
{
    if (filter == NULL)
        return;
    transport_destroy(filter->transport);
    transport_wire_free(&filter->sending);
    transport_wire_free(&filter->next);
    transport_wire_free(&filter->header);
    mem_free(filter);
}

void conn_filter_attach(struct conn *conn, struct conn_filter *filter)
{
    conn->filter = filter;
    if (filter == NULL || (transport_ready(filter->transport) && !filter->proxied))
        return;
    filter->shaking = true;
}

struct conn_filter *conn_filter_detach(struct conn *conn)
{
    struct conn_filter *filter = conn->filter;

    conn->filter = NULL;
    return filter;
}

/* ---- in ---- */

/* Says why in the log and lets what the transport has to say be sent (I3). */
static void fail(struct shard *shard, struct conn *conn)
{
    struct conn_filter *filter = conn->filter;
    char peer[PEER_NAME_MAX];

    if (filter->failed)
        return;
    filter->failed = true;
    STAT_INC(shard->stats, transport_failed);
    if (filter->shaking)
        refusal_of_conn(shard, conn, STAT_refused_handshake, transport_why(filter->transport));
    if (LOG_ENABLED(LOG_LEVEL_INFO) && (!filter->shaking || conn->door->service)) {
        conn_peer_name(conn, peer, sizeof(peer));
        LOG_INFO("connection from %s closed: %s", peer, transport_why(filter->transport));
    }
    filter->shaking = false;
    conn_close_after_flush(shard, conn);
    conn_again(shard, conn);
}

static void note_handshake(struct shard *shard, struct conn *conn)
{
    struct conn_filter *filter = conn->filter;
    char peer[PEER_NAME_MAX], how[96];

    if (!filter->shaking || filter->proxied || !transport_ready(filter->transport))
        return;
    filter->shaking = false;
    STAT_INC(shard->stats, transport_handshake);
    transport_describe(filter->transport, how, sizeof(how));
    if (transport_resumed(filter->transport))
        STAT_INC(shard->stats, transport_resumed);
    if (LOG_ENABLED(LOG_LEVEL_DEBUG)) {
        conn_peer_name(conn, peer, sizeof(peer));
        LOG_DEBUG("connection from %s: %s", peer, how[0] != '\0' ? how : "WebSocket");
    }
}

static void note_end(struct conn_filter *filter, enum transport_status status)
{
    if (status != TRANSPORT_END)
        return;
    filter->ended = true;
    filter->mute = transport_kind_of(filter->transport) != TRANSPORT_TLS;
}

void conn_filter_fed(struct shard *shard, struct conn *conn)
{
    if (conn->filter != NULL && conn->filter->ended &&
        (conn->flags & (CONN_PAUSED | CONN_DYING | CONN_ENDED | CONN_END_OF_INPUT)) == 0)
        conn_end_of_input(shard, conn);
}

/* Somebody else signs; the rest of the input waits, and no more is received meanwhile. */
static void wait_for_signature(struct shard *shard, struct conn *conn, struct span rest)
{
    struct transport_job *job = transport_take_job(conn->filter->transport);

    if (job == NULL)
        return; /* it is on its way */
    if (!signing_begin(shard, conn, job)) {
        conn_kill(shard, conn);
        return;
    }
    conn->filter->waiting = true;
    if (rest.len != 0)
        conn_keep(shard, conn, rest.data, rest.len);
}

void conn_filter_signed(struct shard *shard, struct conn *conn, struct transport_job *job)
{
    transport_give_job(conn->filter->transport, job);
    conn->filter->is_signed = true;
    conn_list_add(&shard->conns.shaking, conn->slot);
}

/* What follows from the last unwrap, which left `rest`; the plain bytes were given on. */
static void settle(struct shard *shard, struct conn *conn, enum transport_status status,
                   struct span rest)
{
    struct conn_filter *filter = conn->filter;

    if (filter == NULL) /* it was given away */
        return;
    note_handshake(shard, conn);
    if (status == TRANSPORT_FAILED) {
        fail(shard, conn);
        return;
    }
    if (status == TRANSPORT_WAITING)
        wait_for_signature(shard, conn, rest);
    if (filter->next.len > NEXT_MAX) { /* I4 */
        LOG_INFO("a connection is cut: it does not take the answers to its pings");
        conn_kill(shard, conn);
        return;
    }
    if (filter->next.len != 0)
        conn_again(shard, conn);
    note_end(filter, status);
    conn_filter_fed(shard, conn);
}

static void receive_steady(struct shard *shard, struct conn *conn, struct span input)
{
    struct conn_filter *filter = conn->filter;
    bool secret = conn_confides(shard, conn);
    enum transport_status status;
    struct span plain;

    while ((status = transport_unwrap(filter->transport, &input, &plain, &filter->next)) ==
           TRANSPORT_MORE) {
        conn_feed(shard, conn, plain.data, plain.len);
        if (secret)
            mem_wipe((uint8_t *)(uintptr_t)plain.data, plain.len);
    }
    settle(shard, conn, status, input);
}

/* Plain bytes among which a password may be. */
struct collected {
    uint8_t *data;
    size_t len;
};

static bool collect(struct collected *collected, struct span plain)
{
    uint8_t *larger =
        mem_try_realloc_wiped(collected->data, collected->len, collected->len + plain.len);

    if (larger == NULL)
        return false;
    memcpy(larger + collected->len, plain.data, plain.len);
    collected->data = larger;
    collected->len += plain.len;
    return true;
}

/* All of it first, for the protocol may give the connection away. */
static void receive_unsteady(struct shard *shard, struct conn *conn, struct span input)
{
    struct conn_filter *filter = conn->filter;
    struct collected collected = {0};
    enum transport_status status;
    struct span plain;
    bool kept = true;

    while ((status = transport_unwrap(filter->transport, &input, &plain, &filter->next)) ==
           TRANSPORT_MORE) {
        kept = kept && collect(&collected, plain);
        mem_wipe((uint8_t *)(uintptr_t)plain.data, plain.len);
    }
    note_end(filter, status); /* it may be somebody else's below */
    if (!kept) {
        conn_kill(shard, conn);
    } else if (collected.len != 0 && status != TRANSPORT_FAILED) {
        note_handshake(shard, conn);
        if ((conn->flags & CONN_SENDING) != 0 || conn_filter_output(filter))
            conn_hold(shard, conn, collected.data, (uint32_t)collected.len);
        else
            conn_feed(shard, conn, collected.data, (uint32_t)collected.len);
    }
    mem_free_wiped(collected.data, collected.len);
    settle(shard, conn, status, input);
}

/* Takes the PROXY header off the front. False when it is not complete yet, or the connection was cut. */
static bool take_proxy_header(struct shard *shard, struct conn *conn, struct span *input)
{
    struct conn_filter *filter = conn->filter;
    size_t before = filter->header.len, used = 0;
    uint32_t take = input->len < PROXY_HEADER_MAX ? input->len : PROXY_HEADER_MAX;
    struct conn_peer peer = {.family = conn->family, .port = conn->port};
    enum proxy_found found = PROXY_REFUSED;

    memcpy(peer.address, conn->address, sizeof(peer.address));
    if (transport_wire_append(&filter->header, input->data, take))
        found = proxy_read(filter->header.data, filter->header.len, &used, &peer);
    if (found == PROXY_REFUSED) {
        refusal_of_conn(shard, conn, STAT_refused_proxy, "it does not begin with a PROXY header");
        STAT_INC(shard->stats, transport_failed);
        conn_kill(shard, conn);
        return false;
    }
    if (found == PROXY_INCOMPLETE)
        return false;
    *input = span_of(input->data + (used - before), input->len - (used - before));
    transport_wire_free(&filter->header);
    filter->proxied = false;
    conn->family = peer.family;
    conn->port = peer.port;
    memcpy(conn->address, peer.address, sizeof(conn->address));
    newcomer_has_address(shard, conn);
    if (transport_kind_of(filter->transport) != TRANSPORT_PLAIN)
        return input->len != 0;
    conn_filter_destroy(conn_filter_detach(conn)); /* the rest is plain */
    if (input->len != 0)
        conn_feed(shard, conn, input->data, input->len);
    return false;
}

static uint64_t now_ns(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void receive_now(struct shard *shard, struct conn *conn, struct span input)
{
    uint64_t began = 0;

    if (conn->filter->shaking)
        began = now_ns();
    transport_confide(conn->filter->transport, conn_confides(shard, conn));
    if (shard->conns.protocol->steady(conn))
        receive_steady(shard, conn, input);
    else
        receive_unsteady(shard, conn, input);
    if (began != 0)
        shard->conns.handshake_ns += now_ns() - began;
}

void conn_filter_receive(struct shard *shard, struct conn *conn, const uint8_t *data, uint32_t len)
{
    struct conn_filter *filter = conn->filter;
    struct span input;

    if ((conn->flags & (CONN_FLUSHING | CONN_DYING | CONN_ENDED | CONN_END_OF_INPUT)) != 0) {
        conn_feed(shard, conn, data, len); /* it is thrown away */
        return;
    }
    if (filter->shaking && (filter->waiting || shard->conns.handshake_ns > HANDSHAKE_NS)) {
        conn_keep(shard, conn, data, len); /* nothing more is received meanwhile: conn_arm() */
        if (!filter->waiting)
            conn_list_add(&shard->conns.shaking, conn->slot);
        filter->waiting = true;
        return;
    }
    input = span_of(data, len);
    if (!filter->proxied || take_proxy_header(shard, conn, &input))
        receive_now(shard, conn, input);
}

/* The handshake has its signature. */
static void go_on(struct shard *shard, struct conn *conn)
{
    conn->filter->is_signed = false;
    if ((conn->flags & (CONN_FLUSHING | CONN_DYING | CONN_ENDED | CONN_END_OF_INPUT)) == 0)
        receive_now(shard, conn, (struct span){0});
}

bool conn_filter_resume(struct shard *shard)
{
    struct conn_list *list = &shard->conns.shaking;
    uint32_t done = 0;

    while (done < list->count && shard->conns.handshake_ns <= HANDSHAKE_NS) {
        struct conn *conn = conn_at(&shard->conns, list->slots[done++]);
        struct conn_held *held = conn->held;

        if ((conn->flags & CONN_USED) == 0 || conn->filter == NULL || !conn->filter->waiting)
            continue; /* another one has the slot */
        conn->filter->waiting = false;
        conn->held = NULL;
        if (conn->filter->is_signed)
            go_on(shard, conn);
        while (held != NULL) {
            struct conn_held *next = held->next;

            if (conn->filter != NULL)
                conn_filter_receive(shard, conn, held->bytes, held->len);
            conn_free_held(held);
            held = next;
        }
        conn_arm(shard, conn);
    }
    memmove(list->slots, list->slots + done, (list->count - done) * sizeof(*list->slots));
    list->count -= done;
    return done != 0;
}

/* ---- out ---- */

/* Wraps what is first in conn->sending. */
static void wrap_some(struct shard *shard, struct conn *conn)
{
    struct conn_filter *filter = conn->filter;
    struct outbox_chunk *chunk = conn->sending;
    uint32_t offset = conn->sending_offset, total = 0;
    struct iovec pieces[WRAP_PIECES];
    unsigned count = 0;

    while (chunk != NULL && count < WRAP_PIECES && total < WRAP_MAX) {
        uint32_t len = chunk->len - offset;

        if (len > WRAP_MAX - total)
            len = WRAP_MAX - total;
        pieces[count].iov_base = (void *)(uintptr_t)(chunk->data + offset);
        pieces[count++].iov_len = len;
        total += len;
        offset = 0;
        chunk = chunk->next;
    }
    filter->covered = total;
    if (!transport_wrap(filter->transport, pieces, count, &filter->next)) {
        filter->covered = 0;
        fail(shard, conn);
    }
}

/* Nothing of the protocol is left to be sent after what is covered. */
static bool all_covered(const struct conn *conn)
{
    uint32_t covered = conn->filter->covered + conn->sending_offset;
    const struct outbox_chunk *chunk = conn->sending;

    for (; chunk != NULL && chunk->len <= covered; chunk = chunk->next)
        covered -= chunk->len;
    return chunk == NULL && conn_outbox(conn)->head == NULL;
}

/* It is closed by us, or its peer has closed it and is not being answered any more. */
static bool ends(const struct conn *conn)
{
    return (conn->flags & CONN_FLUSHING) != 0 ||
           (conn->flags & (CONN_END_OF_INPUT | CONN_ANSWERING)) == CONN_END_OF_INPUT;
}

void conn_filter_fill(struct shard *shard, struct conn *conn)
{
    struct conn_filter *filter = conn->filter;

    if (filter->sending.len != 0) /* I2 */
        return;
    ASSERT(filter->covered == 0);
    if (conn->sending != NULL && !filter->failed && !filter->mute && !filter->said_goodbye &&
        transport_ready(filter->transport))
        wrap_some(shard, conn);
    if (ends(conn) && !filter->said_goodbye &&
        (filter->failed || filter->mute || all_covered(conn))) {
        filter->said_goodbye = true;
        transport_close(filter->transport,
                        shard->phase == SHARD_SERVING ? WEBSOCKET_NORMAL : WEBSOCKET_GOING_AWAY,
                        &filter->next);
    }
    filter->sending = filter->next;
    filter->next = (struct transport_wire){0};
    filter->sent = 0;
}

uint32_t conn_filter_sent(struct conn_filter *filter, uint32_t bytes)
{
    uint32_t covered = filter->covered;

    filter->sent += bytes;
    ASSERT(filter->sent <= filter->sending.len);
    if (filter->sent < filter->sending.len)
        return 0;
    transport_wire_free(&filter->sending);
    filter->sent = 0;
    filter->covered = 0;
    return covered;
}
