/* SPDX-License-Identifier: MIT
 *
 * fake_broker - implements src/broker/broker.h and connection.h for tests of the machine. It speaks
 * a protocol of its own: a client says 'C', the number of its home shard as a digit, and a mode. It
 * is answered '+'.
 *
 *   e   everything is echoed; not read while a megabyte waits to be sent
 *   p   the same, but reading pauses after every PAUSE_BYTES for some milliseconds
 *   b   BIG_BYTES of the pattern are sent after the first byte, then it is closed after the flush
 *   q   "bye" after the first byte, then closed after the flush
 *   n   closed at once after the first byte
 *   m   every byte posts an entry to every other shard
 */
#ifndef SHARDMQ_TEST_FAKE_BROKER_H
#define SHARDMQ_TEST_FAKE_BROKER_H

#include "base/mem.h"
#include "broker/audit.h"
#include "broker/ban_sweep.h"
#include "broker/broker.h"
#include "broker/plugins.h"
#include "broker/ports.h"

#include <stdatomic.h>

#define BIG_BYTES   (8u << 20)
#define PAUSE_BYTES 30000u
#define PAUSE_MS    2u
#define READ_MARK   (1u << 20)

struct broker {
    struct broker_params params;
    struct timers timers;
    struct connection *dirty;
    struct outbox_pool pool;
    uint32_t open;
    uint64_t now_ms;
};

static atomic_uint fake_opened, fake_closed, fake_forgotten, fake_paused, fake_entries;
static atomic_uint fake_configured;
static const struct conf *_Atomic fake_conf[8];

static inline uint8_t pattern(uint64_t at)
{
    return (uint8_t)(at * 31 + (at >> 8) * 7 + (at >> 16));
}

struct broker_shared *broker_shared_create(unsigned shard_count)
{
    (void)shard_count;
    return mem_zalloc(1);
}

void broker_shared_destroy(struct broker_shared *shared)
{
    mem_free(shared);
}

/* Counts; who it was is for scenarios. */
void audit_refusal(struct broker *broker, const struct audit_refusal *refusal)
{
    stat_add(&broker->params.stats->values[refusal->counter], 1);
}

struct outbox_pool *broker_outbox_pool(struct broker *broker)
{
    return &broker->pool;
}

struct broker *broker_create(const struct broker_params *params)
{
    struct broker *broker = mem_zalloc(sizeof(*broker));

    broker->params = *params;
    broker->now_ms = params->now_ms;
    timers_init(&broker->timers, params->now_ms, broker);
    return broker;
}

void broker_clear(struct broker *broker)
{
    ASSERT(broker->open == 0);
}

void broker_destroy(struct broker *broker)
{
    outbox_pool_clear(&broker->pool);
    mem_free(broker);
}

void *broker_machine(const struct broker *broker)
{
    return broker->params.machine;
}

void broker_set_clock(struct broker *broker, uint64_t now_ns, uint64_t wall_ms)
{
    (void)wall_ms;
    broker->now_ms = now_ns / 1000000u;
}

uint64_t broker_next_deadline(const struct broker *broker)
{
    return timers_next(&broker->timers);
}

uint32_t broker_run_timers(struct broker *broker, uint32_t limit)
{
    return timers_run(&broker->timers, broker->now_ms, limit);
}

bool broker_run_batches(struct broker *broker)
{
    (void)broker;
    return false;
}

void broker_receive(struct broker *broker, unsigned from, const struct mesh_entry *entry)
{
    ASSERT(entry->kind == MESH_PUBLISH && entry->number == from);
    (void)broker;
    atomic_fetch_add(&fake_entries, 1);
}

void broker_discard(const struct mesh_entry *entry)
{
    ASSERT(entry->kind == MESH_PUBLISH);
}

struct connection *broker_take_dirty(struct broker *broker)
{
    struct connection *first = broker->dirty;

    broker->dirty = NULL;
    return first;
}

void broker_configure(struct broker *broker, const struct conf *conf)
{
    broker->params.conf = conf;
    atomic_store(&fake_conf[broker->params.shard], conf);
    atomic_fetch_add(&fake_configured, 1);
}

const struct conf *broker_conf(const struct broker *broker)
{
    return broker->params.conf;
}

void broker_set_policy(struct broker *broker, const struct policy *policy)
{
    (void)broker;
    (void)policy;
}

void broker_set_banned(struct broker *broker, const struct banned *banned)
{
    broker->params.banned = banned;
}

/* There are no plug-ins in these tests. */
bool plugins_enter(struct broker *broker, struct plugins *plugins, char *why, size_t size)
{
    (void)broker;
    (void)plugins;
    (void)why;
    (void)size;
    return true;
}

void plugins_leave(struct broker *broker)
{
    (void)broker;
}

uint64_t plugins_defer(struct smq_call *call)
{
    (void)call;
    return 0;
}

bool plugins_complete(struct plugins *plugins, uint64_t ticket, enum smq_decision decision,
                      const struct smq_answer *answer)
{
    (void)plugins;
    (void)ticket;
    (void)decision;
    (void)answer;
    return false;
}

/* Nobody is banned in these tests: the sweep is not sent. */
struct ban_sweep *ban_sweep_create(void)
{
    return NULL;
}

bool errand_send(struct broker *broker, unsigned shard, struct errand *errand, uint64_t wait_ms,
                 errand_done *done, void *argument, struct errand_handle *handle)
{
    (void)broker;
    (void)shard;
    (void)errand;
    (void)wait_ms;
    (void)done;
    (void)argument;
    (void)handle;
    return false;
}

void errand_free(struct broker *broker, struct errand *errand)
{
    (void)broker;
    (void)errand;
}

void broker_shutdown(struct broker *broker)
{
    (void)broker; /* the tests close their connections themselves, or let them be cut */
}

unsigned broker_home_shard(struct span client_identifier, unsigned shard_count)
{
    return (unsigned)client_identifier.len % shard_count;
}

void broker_publish(struct broker *broker, struct span topic, struct span payload, uint8_t qos,
                    bool retain)
{
    (void)broker;
    (void)topic;
    (void)payload;
    (void)qos;
    (void)retain;
}

bool broker_sys_wanted(const struct broker *broker)
{
    (void)broker;
    return false;
}

static void fake_mark_dirty(struct broker *broker, struct connection *connection)
{
    if (connection->dirty)
        return;
    connection->dirty = true;
    connection->dirty_next = broker->dirty;
    broker->dirty = connection;
}

static void fake_write(struct broker *broker, struct connection *connection, const uint8_t *data,
                       uint32_t len)
{
    while (len != 0) {
        uint32_t piece = len < 3000 ? len : 3000;
        uint8_t *to = outbox_reserve(&connection->out, &broker->pool, piece);

        ASSERT(to != NULL);
        memcpy(to, data, piece);
        outbox_commit(&connection->out, piece);
        data += piece;
        len -= piece;
    }
    fake_mark_dirty(broker, connection);
}

static void fake_write_pattern(struct broker *broker, struct connection *connection, uint32_t len)
{
    uint8_t *bytes = mem_alloc(len);

    for (uint32_t i = 0; i < len; i++)
        bytes[i] = pattern(i);
    fake_write(broker, connection, bytes, len);
    mem_free(bytes);
}

/* While a connection is paused its timer brings turns, in which the machine asks again. */
static void fake_pause_over(void *owner, struct timer *timer)
{
    (void)owner;
    (void)timer;
}

void connection_open(struct broker *broker, struct connection *connection, bool adopted)
{
    static const struct connection zeroed;

    ASSERT(memcmp(connection, &zeroed, sizeof(zeroed)) == 0);
    connection->adopted = adopted;
    timer_init(&connection->timer, fake_pause_over);
    broker->open++;
    STAT_INC(broker->params.stats, connection_open);
    atomic_fetch_add(&fake_opened, 1);
}

static enum connection_verdict fake_close(struct broker *broker, struct connection *connection,
                                          enum connection_closing how)
{
    connection->closing = (uint8_t)how;
    connection->state = CONNECTION_CLOSING;
    fake_mark_dirty(broker, connection);
    return CONNECTION_STOP;
}

static enum connection_verdict fake_online(struct broker *broker, struct connection *connection,
                                           const uint8_t *data, uint32_t len, uint32_t *consumed)
{
    uint32_t most = connection->version == 'p' && len > PAUSE_BYTES ? PAUSE_BYTES : len;

    switch (connection->version) {
    case 'b':
        fake_write_pattern(broker, connection, BIG_BYTES);
        return fake_close(broker, connection, CLOSING_AFTER_FLUSH);
    case 'q':
        connection->end_reason = MQTT_REASON_UNSPECIFIED_ERROR; /* its peer may go on sending */
        fake_write(broker, connection, (const uint8_t *)"bye", 3);
        return fake_close(broker, connection, CLOSING_AFTER_FLUSH);
    case 'n':
        return fake_close(broker, connection, CLOSING_NOW);
    case 'm':
        for (uint32_t i = 0; i < len; i++)
            for (unsigned to = 0; to < broker->params.shard_count; to++)
                if (to != broker->params.shard)
                    port_post(
                        broker, to,
                        (struct mesh_entry){.kind = MESH_PUBLISH, .number = broker->params.shard});
        *consumed += len;
        return CONNECTION_CONTINUE;
    default:
        fake_write(broker, connection, data, most);
        *consumed += most;
        connection->ordinal_sent += most;
        if (connection->version == 'p' && connection->ordinal_sent >= PAUSE_BYTES) {
            connection->ordinal_sent = 0;
            connection->heard_ms = broker->now_ms + PAUSE_MS;
            timer_arm(&broker->timers, &connection->timer, connection->heard_ms);
            atomic_fetch_add(&fake_paused, 1);
            return CONNECTION_PAUSE;
        }
        return connection->out.bytes > READ_MARK ? CONNECTION_PAUSE : CONNECTION_CONTINUE;
    }
}

enum connection_verdict connection_receive(struct broker *broker, struct connection *connection,
                                           const uint8_t *data, uint32_t len, uint32_t *consumed,
                                           unsigned *home_out)
{
    *consumed = 0;
    ASSERT(len != 0);
    if (connection->closing != CLOSING_NO) {
        *consumed = len;
        return CONNECTION_STOP;
    }
    while (connection->state == CONNECTION_AWAIT_CONNECT && *consumed < len) {
        if (connection->input == NULL)
            connection->input = mem_zalloc(3);
        connection->input[connection->input_len++] = data[(*consumed)++];
        if (connection->input_len < 3)
            continue;
        *home_out = (unsigned)connection->input[1] - '0';
        if (connection->input[0] != 'C' || *home_out >= broker->params.shard_count)
            return fake_close(broker, connection, CLOSING_NOW);
        if (*home_out != broker->params.shard) {
            ASSERT(!connection->adopted);
            return CONNECTION_HANDOFF;
        }
        connection->state = CONNECTION_ONLINE;
        connection->version = connection->input[2];
        mem_free(connection->input);
        connection->input = NULL;
        connection->input_len = 0;
        fake_write(broker, connection, (const uint8_t *)"+", 1);
    }
    if (*consumed == len)
        return CONNECTION_CONTINUE;
    return fake_online(broker, connection, data + *consumed, len - *consumed, consumed);
}

bool connection_may_read(struct broker *broker, const struct connection *connection)
{
    return broker->now_ms >= connection->heard_ms && connection->out.bytes < READ_MARK / 2;
}

bool connection_confides(const struct connection *connection)
{
    return connection->state != CONNECTION_ONLINE;
}

void connection_sent(struct broker *broker, struct connection *connection,
                     struct outbox_chunk *chunk)
{
    STAT_ADD(broker->params.stats, byte_out, chunk->len);
    outbox_release(&connection->out, &broker->pool, chunk);
}

static void fake_release(struct broker *broker, struct connection *connection)
{
    timer_disarm(&broker->timers, &connection->timer);
    mem_free(connection->input);
    broker->open--;
    STAT_DEC(broker->params.stats, connection_open);
}

void connection_closed(struct broker *broker, struct connection *connection,
                       struct outbox_chunk *unsent)
{
    struct outbox_chunk *chains[] = {unsent, connection->out.head};

    for (unsigned i = 0; i < 2; i++)
        while (chains[i] != NULL) {
            struct outbox_chunk *next = chains[i]->next;

            outbox_release(&connection->out, &broker->pool, chains[i]);
            chains[i] = next;
        }
    ASSERT(connection->out.bytes == 0); /* every chunk was given back */
    ASSERT(!connection->dirty);
    fake_release(broker, connection);
    atomic_fetch_add(&fake_closed, 1);
}

void connection_forget(struct broker *broker, struct connection *connection)
{
    ASSERT(connection->out.head == NULL);
    fake_release(broker, connection);
    atomic_fetch_add(&fake_forgotten, 1);
}

#endif
