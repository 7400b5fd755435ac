/* SPDX-License-Identifier: MIT
 *
 * One publication through one shard's broker without the machine: from the bytes of PUBLISH to the chunk
 * that the kernel would have accepted, in turns of 20 messages; without rules of access, and with 10,000 of which the last
 * one allows what is done.
 */
#include "base/mem.h"
#include "broker/broker.h"
#include "broker/plugins.h"
#include "broker/policy.h"
#include "conf/conf.h"
#include "perf/shim.h"
#include "shards/conn_io.h"

#include <stdio.h>
#include <string.h>

#define MESSAGES_PER_TURN 20u
#define RECEIVERS_MAX     20u
#define PAYLOAD           64u
#define TOPIC_MAX         24u
#define FILL_ROUNDS       4u /* until all that is remembered of topics is */

void perf_register_delivery(void);

struct load {
    uint8_t qos;
    unsigned receivers;
    unsigned
        hooks; /* of a plug-in that says next to everything: PLUGIN_PUBLISH, PLUGIN_AUTHORIZE */
    unsigned rules;  /* of auth.acl; 0: everything is allowed */
    unsigned topics; /* that the publisher uses in turn; 0: one of a single character */
};

struct bench {
    struct conf *conf;
    struct broker_shared *shared;
    struct shard_stats *stats;
    struct policy *policy;
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
            memcpy(acks + len + 2, chunk->data + at + 4 + chunk->data[at + 3],
                   2); /* behind the topic */
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

/* As JSON: rules for everybody and for single users, that are about other topics and other users; the last one allows. */
static char *make_rules(unsigned count)
{
    size_t size = count * 100u + 200, used = 1;
    char *rules = mem_alloc(size);

    rules[0] = '[';
    for (unsigned i = 0; i + 1 < count; i++)
        used += (size_t)snprintf(
            rules + used, size - used,
            i % 2 == 0 ? "{\"permit\":\"deny\",\"topics\":[\"s/%u/secret/#\"]},"
                       : "{\"permit\":\"allow\",\"username\":\"u%u\",\"topics\":[\"#\"]},",
            i);
    snprintf(rules + used, size - used,
             "{\"permit\":\"allow\",\"topics\":[\"t\",\"s/+/state\",\"+/#\"]}]");
    return rules;
}

static void configure(struct bench *bench, unsigned rules)
{
    char *text = rules == 0 ? NULL : make_rules(rules), errors[256];
    const struct conf_override change = {"auth.acl.rules", text, "the benchmark"};
    const struct conf_source source = {.changes = &change, .change_count = rules != 0};

    bench->conf = conf_load(&source, errors, sizeof(errors));
    bench->policy = policy_create(bench->conf, errors, sizeof(errors));
    mem_free(text);
}

static void setup(struct bench *bench, const struct load *load)
{
    const uint8_t one[] = {0x82, 6, 0, 1, 0, 1, 't', load->qos},
                  all[] = {0x82, 8, 0, 1, 0, 3, 's', '/', '#', load->qos};

    memset(bench, 0, sizeof(*bench));
    bench->now_ns = 1000000000u;
    configure(bench, load->rules);
    bench->shared = broker_shared_create(1);
    bench->stats = mem_zalloc_aligned(sizeof(*bench->stats));
    bench->broker = broker_create(&(struct broker_params){
        .shared = bench->shared,
        .shard_count = 1,
        .conf = bench->conf,
        .policy = bench->policy,
        .stats = bench->stats,
        .session_limit = 100,
        .queue_memory = UINT64_MAX,
        .now_ms = 1000,
        .wall_ms = 1000,
    });
    for (unsigned i = 0; i <= load->receivers; i++) {
        bench->clients[i] = join(bench, (char)('a' + i));
        if (i < load->receivers && load->topics == 0)
            feed(bench, bench->clients[i], one, sizeof(one));
        else if (i < load->receivers)
            feed(bench, bench->clients[i], all, sizeof(all));
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
    policy_unref(bench->policy);
    conf_free(bench->conf);
}

static void pass_messages(struct bench *bench, const struct load *load, const uint8_t *bytes,
                          uint32_t len)
{
    struct connection *publisher = bench->clients[load->receivers];

    feed(bench, publisher, bytes, len);
    drain(bench, publisher, false);
    for (unsigned i = 0; i < load->receivers; i++)
        drain(bench, bench->clients[i], load->qos != 0);
    pass_turn(bench);
}

/* Functions of their own, so that instructions can be counted: valgrind --tool=callgrind --toggle-collect=delivery_turn,
 * and delivery_fill for the first time that each topic comes, which is not measured as time. */
static __attribute__((noinline)) void delivery_turn(struct bench *bench, const struct load *load,
                                                    const uint8_t *bytes, uint32_t len)
{
    pass_messages(bench, load, bytes, len);
    perf_keep(bench);
}

static __attribute__((noinline)) void delivery_fill(struct bench *bench, const struct load *load,
                                                    const uint8_t *bytes, uint32_t len)
{
    pass_messages(bench, load, bytes, len);
    perf_keep(load);
}

/* The n-th PUBLISH; returns its length. */
static uint32_t write_publish(const struct load *load, unsigned n, uint8_t *to)
{
    char topic[TOPIC_MAX] = "t";
    uint8_t topic_len;

    if (load->topics != 0)
        snprintf(topic, sizeof(topic), "s/%u/state", n % load->topics);
    topic_len = (uint8_t)strlen(topic);
    to[0] = (uint8_t)(0x30 | load->qos << 1);
    to[1] = (uint8_t)(PAYLOAD + topic_len + (load->qos != 0 ? 4 : 2));
    to[2] = 0;
    to[3] = topic_len;
    memcpy(to + 4, topic, topic_len);
    memcpy(to + 4 + topic_len, (const uint8_t[]){0, 1}, 2);
    memset(to + to[1] + 2 - PAYLOAD, 'x', PAYLOAD);
    return to[1] + 2u;
}

static void run(struct perf_state *state, void *argument)
{
    const struct load *load = argument;
    uint8_t turn[MESSAGES_PER_TURN * (PAYLOAD + TOPIC_MAX + 6)];
    unsigned turns_made = load->topics <= MESSAGES_PER_TURN ? 1 : load->topics / MESSAGES_PER_TURN;
    uint8_t *bytes = mem_alloc(turns_made * sizeof(turn));
    uint32_t *lens = mem_zalloc(turns_made * sizeof(*lens));
    uint64_t turns = 0;
    struct bench bench;

    setup(&bench, load);
    for (unsigned n = 0; n < turns_made * MESSAGES_PER_TURN; n++) {
        unsigned at = n / MESSAGES_PER_TURN;

        lens[at] += write_publish(load, n, bytes + at * sizeof(turn) + lens[at]);
    }
    for (unsigned at = 0; at < FILL_ROUNDS * turns_made; at++)
        delivery_fill(&bench, load, bytes + at % turns_made * sizeof(turn), lens[at % turns_made]);
    while (perf_next(state)) {
        unsigned at = (unsigned)(turns++ % turns_made);

        delivery_turn(&bench, load, bytes + at * sizeof(turn), lens[at]);
    }
    mem_free(bytes);
    mem_free(lens);
    perf_items(state, turns * MESSAGES_PER_TURN * load->receivers);
    teardown(&bench, load->receivers + 1);
}

void perf_register_delivery(void)
{
    static struct {
        const char *name;
        struct load load;
    } cases[] = {
        {"delivery/qos0/receivers_1", {.qos = 0, .receivers = 1}},
        {"delivery/qos1/receivers_1", {.qos = 1, .receivers = 1}},
        {"delivery/qos0/receivers_20", {.qos = 0, .receivers = 20}},
        {"delivery/qos1/receivers_20", {.qos = 1, .receivers = 20}},
        {"delivery/qos0/receivers_1/plugin_publish",
         {.qos = 0, .receivers = 1, .hooks = PLUGIN_PUBLISH}},
        {"delivery/qos0/receivers_1/plugin_authorize",
         {.qos = 0, .receivers = 1, .hooks = PLUGIN_AUTHORIZE}},
        {"delivery/qos0/receivers_1/rules_10000", {.qos = 0, .receivers = 1, .rules = 10000}},
        {"delivery/qos0/topics_1/rules_0", {.qos = 0, .receivers = 1, .topics = 1, .rules = 0}},
        {"delivery/qos0/topics_1/rules_10000",
         {.qos = 0, .receivers = 1, .topics = 1, .rules = 10000}},
        {"delivery/qos0/topics_4/rules_0", {.qos = 0, .receivers = 1, .topics = 4, .rules = 0}},
        {"delivery/qos0/topics_4/rules_10000",
         {.qos = 0, .receivers = 1, .topics = 4, .rules = 10000}},
        {"delivery/qos0/topics_1000/rules_0",
         {.qos = 0, .receivers = 1, .topics = 1000, .rules = 0}},
        {"delivery/qos0/topics_1000/rules_10000",
         {.qos = 0, .receivers = 1, .topics = 1000, .rules = 10000}},
        {"delivery/qos1/topics_1/rules_0", {.qos = 1, .receivers = 1, .topics = 1, .rules = 0}},
        {"delivery/qos1/topics_1/rules_10000",
         {.qos = 1, .receivers = 1, .topics = 1, .rules = 10000}},
        {"delivery/qos1/topics_4/rules_0", {.qos = 1, .receivers = 1, .topics = 4, .rules = 0}},
        {"delivery/qos1/topics_4/rules_10000",
         {.qos = 1, .receivers = 1, .topics = 4, .rules = 10000}},
        {"delivery/qos1/topics_1000/rules_0",
         {.qos = 1, .receivers = 1, .topics = 1000, .rules = 0}},
        {"delivery/qos1/topics_1000/rules_10000",
         {.qos = 1, .receivers = 1, .topics = 1000, .rules = 10000}},
        {"delivery/qos0/receivers_20/topics_4/rules_0",
         {.qos = 0, .receivers = 20, .topics = 4, .rules = 0}},
        {"delivery/qos0/receivers_20/topics_4/rules_10000",
         {.qos = 0, .receivers = 20, .topics = 4, .rules = 10000}},
        {"delivery/qos1/receivers_20/topics_4/rules_0",
         {.qos = 1, .receivers = 20, .topics = 4, .rules = 0}},
        {"delivery/qos1/receivers_20/topics_4/rules_10000",
         {.qos = 1, .receivers = 20, .topics = 4, .rules = 10000}},
    };

    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
        perf_case(cases[i].name, run, &cases[i].load);
}
