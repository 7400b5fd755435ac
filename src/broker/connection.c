/* SPDX-License-Identifier: MIT
 *
 * connection - bytes in, packets to dispatch; the end of a connection.
 *
 * Packets are handled where they lie in the receive buffer. Only a packet that is cut off by the
 * end of the buffer is copied (`input`), and what is missing of it is taken from the next buffer
 * before anything else. `input` grows with the bytes that have really come, never with what a
 * header announces, and before CONNECT a packet may be as large as mqtt.max_connect_size.
 *
 * Invariants
 *   I1  bytes are consumed in order, each once
 *   I2  after connection_end() or connection_drop() nothing that the client sends is looked at
 *   I3  a session is detached exactly once per connection, before its memory can be reused
 *   I4  a packet that waits for an answer (awaits_answer) is not consumed: the machine keeps its last byte at least, so
 *       that it is run again with the next connection_receive()
 */
#include "broker/audit.h"
#include "broker/authn_priv.h"
#include "broker/banned.h"
#include "broker/deliver.h"
#include "broker/plugins.h"
#include "mqtt/decode.h"
#include "mqtt/encode.h"
#include "session/alias.h"

#define INPUT_FIRST 512u /* first capacity of `input` */
#define CONTROL_MAX 512u /* room for DISCONNECT with its reason string */

void connection_mark_dirty(struct broker *broker, struct connection *connection)
{
    if (connection->dirty)
        return;
    connection->dirty = true;
    connection->dirty_next = broker->dirty;
    broker->dirty = connection;
}

/* [MQTT-4.8.0-2] */
void connection_abort(struct broker *broker, struct connection *connection)
{
    connection->closing = CLOSING_NOW;
    connection_mark_dirty(broker, connection);
}

uint8_t *connection_reserve(struct broker *broker, struct connection *connection, uint32_t size)
{
    uint8_t *to = outbox_reserve(&connection->out, &broker->pool, size);

    if (UNLIKELY(to == NULL))
        connection_abort(broker, connection);
    return to;
}

void connection_commit(struct broker *broker, struct connection *connection, uint32_t size)
{
    if (size == 0)
        return;
    outbox_commit(&connection->out, size);
    STAT_INC(broker->stats, packet_out);
    connection_mark_dirty(broker, connection);
}

/* ---- life ---- */

static uint64_t keep_alive_ms(const struct broker *broker, const struct connection *connection)
{
    return (uint64_t)connection->keep_alive_s * broker->conf->mqtt_keepalive_multiplier;
}

/* Bytes move only `heard_ms`; the timer looks at it when it fires, so that a packet costs no timer
 * work. */
static void connection_timer_fired(void *owner, struct timer *timer)
{
    struct broker *broker = owner;
    struct connection *connection = CONTAINER_OF(timer, struct connection, timer);
    uint64_t due;

    if (connection->attempt != NULL && connection->state == CONNECTION_AWAIT_CONNECT) {
        STAT_INC(broker->stats, authn_timeout);
        connect_undecided(broker, connection);
        return;
    }
    if (connection->state == CONNECTION_AWAIT_CONNECT) {
        STAT_INC(broker->stats, connect_timeout);
        connection_drop(broker, connection, MQTT_REASON_KEEP_ALIVE_TIMEOUT,
                        "no CONNECT within mqtt.connect_timeout");
        return;
    }
    /* Not read because of other shards: it may well have sent. One that does not take its output is not spared. */
    if (connection->out.bytes <= READ_MARK / 2 && !connection_may_read(broker, connection))
        connection->heard_ms = broker->now_ms;
    due = connection->heard_ms + keep_alive_ms(broker, connection);
    if (due > broker->now_ms) {
        timer_arm(&broker->timers, timer, due);
        return;
    }
    STAT_INC(broker->stats, keep_alive_timeout); /* [MQTT-3.1.2-22] [MQTT-3.1.2-24] */
    connection_end(broker, connection, MQTT_REASON_KEEP_ALIVE_TIMEOUT, "keep alive timeout");
}

/* It ends before a byte of it was read. */
static void refuse_banned_address(struct broker *broker, struct connection *connection)
{
    struct audit_refusal refusal = {.event = AUDIT_CONNECT,
                                    .counter = STAT_refused_banned,
                                    .connection = connection,
                                    .rule = "the address is banned"};
    struct peer_address peer;

    port_peer_address(connection, &peer);
    if (!banned_address(broker->banned, &peer, broker->wall_ms))
        return;
    audit_refusal(broker, &refusal);
    STAT_INC(broker->stats, connection_banned);
    STAT_INC(broker->stats, connection_refused);
    connection->closing = CLOSING_NOW;
    connection_drop(broker, connection, MQTT_REASON_BANNED, "the address is banned");
}

void connection_open(struct broker *broker, struct connection *connection, bool adopted)
{
    timer_init(&connection->timer, connection_timer_fired);
    connection->serial = ++broker->connection_serials;
    connection->adopted = adopted;
    connection->heard_ms = broker->now_ms;
    connection->packet_size_max = MQTT_PACKET_SIZE_MAX;
    connection->version = MQTT_3_1_1;
    timer_arm(&broker->timers, &connection->timer,
              broker->now_ms + (uint64_t)broker->conf->mqtt_connect_timeout_ms);
    STAT_INC(broker->stats, connection_open);
    if (UNLIKELY(broker->banned != NULL) && !adopted)
        refuse_banned_address(broker, connection);
}

/* There is a password in a CONNECT, and the proof of one in an AUTH; in no other packet. */
static bool input_confides(const struct connection *connection)
{
    return connection->input_len != 0 &&
           (connection->input[0] == MQTT_CONNECT << 4 || connection->input[0] == MQTT_AUTH << 4);
}

bool connection_confides(const struct connection *connection)
{
    return connection->state != CONNECTION_ONLINE ||
           (connection->identity != NULL && connection->identity->method != NULL);
}

static void free_input(struct connection *connection)
{
    if (input_confides(connection))
        mem_wipe(connection->input, connection->input_len);
    mem_free(connection->input);
    connection->input = NULL;
    connection->input_len = connection->input_capacity = 0;
}

static void release(struct broker *broker, struct connection *connection)
{
    timer_disarm(&broker->timers, &connection->timer);
    authn_abandon(broker, connection);
    identity_release(broker, connection);
    free_input(connection);
    mem_free(connection->mount);
    connection->mount = NULL;
    alias_destroy(connection->aliases);
    connection->aliases = NULL;
    authz_forget(broker, connection);
    STAT_DEC(broker->stats, connection_open);
}

void connection_forget(struct broker *broker, struct connection *connection)
{
    ASSERT(connection->session == NULL && connection->out.head == NULL);
    release(broker, connection);
}

/* Separates the session from its connection. First transmissions that the kernel has not confirmed
 * go back to the queue; those of them that the client has acknowledged already have evidently
 * arrived. */
static void detach(struct broker *broker, struct connection *connection)
{
    struct session *session = connection->session;
    uint32_t unconfirmed, back;

    if (session == NULL)
        return;
    unconfirmed = connection->ordinal_sent - connection->ordinal_confirmed;
    if (connection->ordinal_sent < connection->ordinal_confirmed)
        unconfirmed--; /* 0 was skipped when the numbers wrapped */
    back = window_rewind(&session->window, connection->ordinal_confirmed);
    STAT_ADD(broker->stats, delivery_sending, -(int64_t)unconfirmed);
    STAT_ADD(broker->stats, delivery_queued, back);
    STAT_ADD(broker->stats, message_out, unconfirmed - back);
    connection->session = NULL; /* I3; connection_sent() counts only QoS 0 from here on */
    sys_event_disconnected(broker, session, connection->end_reason);
    if (UNLIKELY(broker->plugin_hooks & PLUGIN_DISCONNECT))
        plugins_disconnected(broker, session, connection);
    session_detach(broker, session);
}

/* Reasons that are the client's breach of the protocol, or of a limit that it was told. */
static bool is_protocol_error(enum mqtt_reason reason)
{
    switch (reason) {
    case MQTT_REASON_MALFORMED_PACKET:
    case MQTT_REASON_PROTOCOL_ERROR:
    case MQTT_REASON_TOPIC_NAME_INVALID:
    case MQTT_REASON_TOPIC_FILTER_INVALID:
    case MQTT_REASON_TOPIC_ALIAS_INVALID:
    case MQTT_REASON_RECEIVE_MAXIMUM_EXCEEDED:
    case MQTT_REASON_PACKET_TOO_LARGE:
    case MQTT_REASON_QOS_NOT_SUPPORTED:
    case MQTT_REASON_RETAIN_NOT_SUPPORTED:
        return true;
    default:
        return false;
    }
}

static void log_end(const struct connection *connection, enum mqtt_reason reason, const char *why)
{
    char peer[PEER_NAME_MAX], client[128];

    port_peer_name(connection, peer, sizeof(peer));
    log_escape(client, sizeof(client),
               connection->session == NULL ? (struct span){0}
                                           : session_client_identifier(connection->session));
    if (reason < MQTT_REASON_UNSPECIFIED_ERROR)
        LOG_DEBUG("client \"%s\" at %s: connection closed: %s", client, peer, why);
    else if (is_protocol_error(reason))
        LOG_WARN("client \"%s\" at %s: connection closed: %s (reason 0x%02x)", client, peer, why,
                 (unsigned)reason);
    else
        LOG_INFO("client \"%s\" at %s: connection closed: %s (reason 0x%02x)", client, peer, why,
                 (unsigned)reason);
}

static void begin_closing(struct broker *broker, struct connection *connection,
                          enum mqtt_reason reason, const char *why, enum connection_closing how)
{
    log_end(connection, reason, why);
    if (is_protocol_error(reason))
        STAT_INC(broker->stats, protocol_error);
    if (connection->end_reason == 0) /* the client may have given one in DISCONNECT */
        connection->end_reason = (uint8_t)reason;
    connection->state = CONNECTION_CLOSING;
    connection->closing = (uint8_t)how;
    timer_disarm(&broker->timers, &connection->timer);
    authn_abandon(broker, connection);
    connection_mark_dirty(broker, connection);
    detach(broker, connection);
}

void connection_drop(struct broker *broker, struct connection *connection, enum mqtt_reason reason,
                     const char *why)
{
    if (connection->state != CONNECTION_CLOSING)
        /* closed after the reason, whether it was written or not [MQTT-4.13.2-1] */
        begin_closing(broker, connection, reason, why,
                      connection->closing == CLOSING_NOW ? CLOSING_NOW : CLOSING_AFTER_FLUSH);
}

void connection_end(struct broker *broker, struct connection *connection, enum mqtt_reason reason,
                    const char *why)
{
    if (connection->state == CONNECTION_CLOSING)
        return;
    /* no DISCONNECT before CONNACK [MQTT-3.14.0-1], nothing after it [MQTT-3.14.4-1]
     * [MQTT-3.14.4-2] */
    if (connection->state == CONNECTION_ONLINE && connection->version == MQTT_5 &&
        reason >= MQTT_REASON_UNSPECIFIED_ERROR) {
        uint8_t *to = connection_reserve(broker, connection, CONTROL_MAX);

        if (to != NULL)
            connection_commit(
                broker, connection,
                mqtt_encode_disconnect(to, CONTROL_MAX, MQTT_5, reason,
                                       connection->problem_information ? span_text(why)
                                                                       : (struct span){0},
                                       (struct span){0}, connection->packet_size_max));
    }
    begin_closing(broker, connection, reason, why,
                  connection->closing == CLOSING_NOW ? CLOSING_NOW : CLOSING_AFTER_FLUSH);
}

void connection_closed(struct broker *broker, struct connection *connection,
                       struct outbox_chunk *unsent)
{
    struct outbox_chunk *queued;

    if (connection->state == CONNECTION_ONLINE) {
        STAT_INC(broker->stats, connection_lost);
        log_end(connection, MQTT_REASON_SUCCESS, "the client closed the connection");
        connection->state = CONNECTION_CLOSING;
        connection->lost = true;
    }
    connection->closing = CLOSING_NOW; /* nothing is encoded for it any more */
    if (unsent != NULL && unsent->sent != 0)
        sent_in_part(broker, connection, unsent);
    detach(broker, connection);
    queued = connection->out.head;
    connection->out.head = connection->out.tail = NULL;
    sent_never(broker, connection, unsent);
    sent_never(broker, connection, queued);
    release(broker, connection);
}

/* ---- bytes in ---- */

static uint32_t packet_limit(const struct broker *broker, const struct connection *connection)
{
    return connection->state == CONNECTION_AWAIT_CONNECT
               ? (uint32_t)broker->conf->mqtt_max_connect_size
               : connection->packet_size_limit;
}

static bool input_append(struct connection *connection, const uint8_t *data, uint32_t len,
                         uint32_t total_len)
{
    uint32_t needed = connection->input_len + len;

    if (needed > connection->input_capacity) {
        uint32_t capacity =
            connection->input_capacity == 0 ? INPUT_FIRST : connection->input_capacity * 2;
        uint8_t *grown;

        if (total_len != 0 && capacity > total_len)
            capacity = total_len;
        if (capacity < needed)
            capacity = needed;
        grown = input_confides(connection)
                    ? mem_try_realloc_wiped(connection->input, connection->input_len, capacity)
                    : mem_try_realloc(connection->input, capacity);
        if (grown == NULL)
            return false;
        connection->input = grown;
        connection->input_capacity = capacity;
    }
    memcpy(connection->input + connection->input_len, data, len);
    connection->input_len = needed;
    return true;
}

static enum connection_verdict refuse_frame(struct broker *broker, struct connection *connection,
                                            enum frame_status status, const struct frame *frame)
{
    if (status == FRAME_TOO_LARGE && connection->state == CONNECTION_ONLINE)
        connection_end(broker, connection, MQTT_REASON_PACKET_TOO_LARGE, "packet too large");
    else if (status == FRAME_TOO_LARGE && frame->type == MQTT_CONNECT)
        connection_end(broker, connection, MQTT_REASON_PACKET_TOO_LARGE,
                       "CONNECT larger than mqtt.max_connect_size");
    else
        connection_end(broker, connection, MQTT_REASON_MALFORMED_PACKET,
                       connection->state == CONNECTION_AWAIT_CONNECT ? "not MQTT"
                                                                     : "malformed packet");
    return CONNECTION_STOP;
}

bool shards_keep_up(struct broker *broker)
{
    for (unsigned shard = 0; shard < broker->shard_count; shard++)
        if (!shard_is_home(broker, shard) && port_congested(broker, shard))
            return false;
    return true;
}

bool connection_may_read(struct broker *broker, const struct connection *connection)
{
    if (connection->awaits_owner || connection->awaits_answer || authn_holds(connection) ||
        connection->out.bytes > READ_MARK / 2 || connection->subscribes > SUBSCRIBES_MARK / 2)
        return false;
    return shards_keep_up(broker);
}

/* After a packet: go on, pause or stop? */
static enum connection_verdict verdict_after(struct broker *broker, struct connection *connection,
                                             enum connection_verdict verdict)
{
    if (verdict != CONNECTION_CONTINUE)
        return verdict;
    if (UNLIKELY(connection->closing != CLOSING_NO))
        return CONNECTION_STOP;
    if (UNLIKELY(authn_holds(connection)))
        return CONNECTION_PAUSE;
    if (UNLIKELY(route_congested(broker) || connection->out.bytes > READ_MARK ||
                 connection->subscribes > SUBSCRIBES_MARK || connection->awaits_owner)) {
        STAT_INC(broker->stats, read_paused);
        return CONNECTION_PAUSE;
    }
    return CONNECTION_CONTINUE;
}

/* First bytes of a packet that is not CONNECT, before CONNECT: nothing of it is kept [MQTT-3.1.0-1]
 */
static bool wrong_first_packet(const struct connection *connection, const uint8_t *data)
{
    return connection->state == CONNECTION_AWAIT_CONNECT && connection->attempt == NULL &&
           data[0] != MQTT_CONNECT << 4;
}

/* Completes and handles the packet in `input`. *used tells how much of data it took. */
static enum connection_verdict finish_input(struct broker *broker, struct connection *connection,
                                            const uint8_t *data, uint32_t len, uint32_t *used,
                                            unsigned *home_out)
{
    for (;;) {
        struct frame frame;
        enum frame_status status = frame_find(connection->input, connection->input_len,
                                              packet_limit(broker, connection), &frame);
        enum connection_verdict verdict;
        uint32_t want, take;

        if (status == FRAME_READY) {
            verdict = dispatch_packet(broker, connection, &frame, home_out);
            if (UNLIKELY(verdict == CONNECTION_PAUSE)) { /* I4 */
                ASSERT(*used > 0);
                connection->input_len--;
                (*used)--;
                return verdict;
            }
            if (verdict != CONNECTION_HANDOFF) /* an idle connection holds no buffer */
                free_input(connection);
            return verdict_after(broker, connection, verdict);
        }
        if (status != FRAME_INCOMPLETE)
            return refuse_frame(broker, connection, status, &frame);
        want = frame.total_len == 0 ? 1 : frame.total_len - connection->input_len;
        take = want < len - *used ? want : len - *used;
        if (take == 0)
            return CONNECTION_CONTINUE;
        if (!input_append(connection, data + *used, take, frame.total_len)) {
            connection_end(broker, connection, MQTT_REASON_QUOTA_EXCEEDED, "out of memory");
            return CONNECTION_STOP;
        }
        *used += take;
    }
}

static enum connection_verdict take_packets(struct broker *broker, struct connection *connection,
                                            const uint8_t *data, uint32_t len, uint32_t *used,
                                            unsigned *home_out)
{
    enum connection_verdict verdict = CONNECTION_CONTINUE;

    if (UNLIKELY(connection->input_len > 0))
        verdict = finish_input(broker, connection, data, len, used, home_out);
    while (*used < len && verdict == CONNECTION_CONTINUE) {
        struct frame frame;
        enum frame_status status;

        if (UNLIKELY(wrong_first_packet(connection, data + *used))) {
            connection_end(broker, connection, MQTT_REASON_PROTOCOL_ERROR,
                           "the first packet is not CONNECT");
            return CONNECTION_STOP;
        }
        status = frame_find(data + *used, len - *used, packet_limit(broker, connection), &frame);
        if (LIKELY(status == FRAME_READY)) {
            verdict = dispatch_packet(broker, connection, &frame, home_out);
            if (verdict == CONNECTION_HANDOFF || UNLIKELY(verdict == CONNECTION_PAUSE)) /* I4 */
                return verdict;
            *used += frame.total_len; /* I1 */
            verdict = verdict_after(broker, connection, verdict);
        } else if (status == FRAME_INCOMPLETE) {
            if (!input_append(connection, data + *used, len - *used, frame.total_len)) {
                connection_end(broker, connection, MQTT_REASON_QUOTA_EXCEEDED, "out of memory");
                return CONNECTION_STOP;
            }
            *used = len;
        } else {
            return refuse_frame(broker, connection, status, &frame);
        }
    }
    return verdict;
}

enum connection_verdict connection_receive(struct broker *broker, struct connection *connection,
                                           const uint8_t *data, uint32_t len, uint32_t *consumed,
                                           unsigned *home_out)
{
    enum connection_verdict verdict;

    *consumed = 0;
    if (UNLIKELY(connection->closing != CLOSING_NO)) { /* I2 */
        *consumed = len;
        return CONNECTION_STOP;
    }
    connection->heard_ms = broker->now_ms;
    verdict = take_packets(broker, connection, data, len, consumed, home_out);
    if (verdict != CONNECTION_HANDOFF) {
        STAT_ADD(broker->stats, byte_in, *consumed);
        connection->traffic.byte_in += *consumed;
    }
    return verdict;
}
