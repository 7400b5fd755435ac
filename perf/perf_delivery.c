/* SPDX-License-Identifier: MIT
 *
 * One publication through one shard's broker without the machine: from the bytes of PUBLISH to the chunk
 * that the kernel would have accepted, in turns of 20 messages.
 */
#include "base/mem.h"
#include "broker/broker.h"
#include "broker/plugins.h"
#include "conf/conf.h"
#include "perf/shim.h"
#include "shards/conn_io.h"

#include <string.h>

#define MESSAGES_PER_TURN 20u
#define RECEIVERS_MAX     20u
#define PAYLOAD           64u

void perf_register_delivery(void);

struct load {
    uint8_t qos;
    unsigned receivers;
    unsigned
        hooks; /* of a plug-in that says next to everything: PLUGIN_PUBLISH, PLUGIN_AUTHORIZE */
};

struct bench {
    struct conf *conf;
    struct broker_shared *shared;
    struct shard_stats *stats;
    struct broker *broker;
    struct connection *clients[RECEIVERS_MAX + 1]; /* the publisher is the last */
    struct plugins plugins;
    struct plugin plugin;
    _Atomic(struct plugin_desk *) desk;
    uint64_t now_ns;
};

static void feed(struct bench *bench, struct connection *client, const uint8_t *bytes, uint32_t len)
{
    uint32_t consumed;
    unsigned home;

    connection_receive(bench->broker, client, bytes, len, &consumed, &home);
}

/* Takes what the client is sent, and acknowledges every PUBLISH of QoS 1. */
static void drain(struct bench *bench, struct connection *client, bool acknowledge)
{
    struct outbox_chunk *chunk = client->out.head;
    uint8_t acks[MESSAGES_PER_TURN * 4];
    uint32_t len = 0;

    client->out.head = client->out.tail = NULL;
    while (chunk != NULL) {
        struct outbox_chunk *next = chunk->next;

        for (uint32_t at = 0; acknowledge && at < chunk->len; at += chunk->data[at + 1] + 2u) {
            if (chunk->data[at] != 0x32) /* PUBLISH, QoS 1 */
                continue;
            memcpy(acks + len, (const uint8_t[]){0x40, 2}, 2);
            memcpy(acks + len + 2, chunk->data + at + 5, 2); /* behind a topic of one character */
            len += 4;
        }
        chunk->next = NULL;
        connection_sent(bench->broker, client, chunk);
        chunk = next;
    }
    if (len != 0)
        feed(bench, client, acks, len);
}

static void pass_turn(struct bench *bench)
{
    struct connection *dirty = broker_take_dirty(bench->broker);

    for (; dirty != NULL; dirty = dirty->dirty_next)
        dirty->dirty = false;
    bench->now_ns += 50000;
    broker_set_clock(bench->broker, bench->now_ns, bench->now_ns / 1000000u);
}

static struct connection *join(struct bench *bench, char letter)
{
    const uint8_t connect[] = {0x10,           13, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0, 0, 1,
                               (uint8_t)letter};
    struct conn *conn = mem_zalloc_aligned(sizeof(*conn) + sizeof(struct connection));
    struct connection *client = conn_state(conn); /* the effects look at what is before it */

    connection_open(bench->broker, client, false);
    feed(bench, client, connect, sizeof(connect));
    drain(bench, client, false);
    return client;
}

static enum smq_decision let_through(void *self, void *state, const struct smq_publication *message,
                                     struct smq_answer *answer)
{
    (void)self;
    (void)state;
    (void)message;
    (void)answer;
    return SMQ_NEXT;
}

static enum smq_decision do_not_mind(void *self, void *state,
                                     const struct smq_authorization *question,
                                     struct smq_answer *answer)
{
    (void)self;
    (void)state;
    (void)question;
    (void)answer;
    return SMQ_NEXT;
}

static void add_plugin(struct bench *bench, unsigned hooks)
{
    char why[64];

    bench->plugin = (struct plugin){.name = "bench", .path = ""};
    if (hooks & PLUGIN_PUBLISH)
        bench->plugin.hooks.publish = let_through;
    if (hooks & PLUGIN_AUTHORIZE)
        bench->plugin.hooks.authorize = do_not_mind;
    bench->plugins = (struct plugins){
        .count = hooks != 0, .shards = 1, .list = &bench->plugin, .desks = &bench->desk};
    plugins_enter(bench->broker, &bench->plugins, why, sizeof(why));
}

static void setup(struct bench *bench, const struct load *load)
{
    const struct conf_source source = {0};
    const uint8_t subscribe[] = {0x82, 6, 0, 1, 0, 1, 't', load->qos};
    char errors[256];

    memset(bench, 0, sizeof(*bench));
    bench->now_ns = 1000000000u;
    bench->conf = conf_load(&source, errors, sizeof(errors));
    bench->shared = broker_shared_create(1);
    bench->stats = mem_zalloc_aligned(sizeof(*bench->stats));
    bench->broker = broker_create(&(struct broker_params){
        .shared = bench->shared,
        .shard_count = 1,
        .conf = bench->conf,
        .stats = bench->stats,
        .session_limit = 100,
        .queue_memory = UINT64_MAX,
        .now_ms = 1000,
        .wall_ms = 1000,
    });
    for (unsigned i = 0; i <= load->receivers; i++) {
        bench->clients[i] = join(bench, (char)('a' + i));
        if (i < load->receivers)
            feed(bench, bench->clients[i], subscribe, sizeof(subscribe));
        drain(bench, bench->clients[i], false);
    }
    add_plugin(bench, load->hooks);
    pass_turn(bench);
}

static void teardown(struct bench *bench, unsigned clients)
{
    for (unsigned i = 0; i < clients; i++) {
        connection_closed(bench->broker, bench->clients[i], NULL);
        mem_free(conn_of_state(bench->clients[i]));
    }
    broker_take_dirty(bench->broker);
    plugins_leave(bench->broker);
    broker_clear(bench->broker);
    broker_destroy(bench->broker);
    broker_shared_destroy(bench->shared);
    mem_free(bench->stats);
    conf_free(bench->conf);
}

/* Of its own, so that instructions can be counted: valgrind --tool=callgrind --toggle-collect=delivery_turn */
static __attribute__((noinline)) void delivery_turn(struct bench *bench, const struct load *load,
                                                    const uint8_t *bytes, uint32_t len)
{
    struct connection *publisher = bench->clients[load->receivers];

    feed(bench, publisher, bytes, len);
    drain(bench, publisher, false);
    for (unsigned i = 0; i < load->receivers; i++)
        drain(bench, bench->clients[i], load->qos != 0);
    pass_turn(bench);
}

static void run(struct perf_state *state, void *argument)
{
    const struct load *load = argument;
    uint8_t turn[MESSAGES_PER_TURN * (PAYLOAD + 7)];
    uint32_t len = 0;
    uint64_t turns = 0;
    struct bench bench;

    setup(&bench, load);
    for (unsigned i = 0; i < MESSAGES_PER_TURN; i++) {
        const uint8_t head[] = {(uint8_t)(0x30 | load->qos << 1),
                                (uint8_t)(PAYLOAD + (load->qos != 0 ? 5 : 3)),
                                0,
                                1,
                                't',
                                0,
                                1};

        memcpy(turn + len, head, sizeof(head));
        len += load->qos != 0 ? 7 : 5;
        memset(turn + len, 'x', PAYLOAD);
        len += PAYLOAD;
    }
    while (perf_next(state)) {
        delivery_turn(&bench, load, turn, len);
        turns++;
    }
    perf_items(state, turns * MESSAGES_PER_TURN * load->receivers);
    teardown(&bench, load->receivers + 1);
}

void perf_register_delivery(void)
{
    static struct load one0 = {0, 1, 0}, one1 = {1, 1, 0}, many0 = {0, 20, 0}, many1 = {1, 20, 0};
    static struct load looked_at = {0, 1, PLUGIN_PUBLISH}, asked = {0, 1, PLUGIN_AUTHORIZE};

    perf_case("delivery/qos0/receivers_1", run, &one0);
    perf_case("delivery/qos1/receivers_1", run, &one1);
    perf_case("delivery/qos0/receivers_20", run, &many0);
    perf_case("delivery/qos1/receivers_20", run, &many1);
    perf_case("delivery/qos0/receivers_1/plugin_publish", run, &looked_at);
    perf_case("delivery/qos0/receivers_1/plugin_authorize", run, &asked);
}
