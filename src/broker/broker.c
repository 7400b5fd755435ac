/* SPDX-License-Identifier: MIT
 *
 * broker - one shard's broker put together, and what the machine calls of it.
 */
#include "broker/authn_priv.h"
#include "broker/deliver.h"
#include "broker/plugins.h"
#include "broker/share.h"
#include "broker/will.h"
#include "mqtt/encode.h"

struct broker_shared *broker_shared_create(unsigned shard_count)
{
    struct broker_shared *shared =
        mem_zalloc_aligned(sizeof(*shared) + (shard_count + 1) * sizeof(shared->row[0]));

    shared->rows = shard_count + 1;
    login_secret_make(&shared->login_secret);
    shared->slow_down = slow_down_create();
    return shared;
}

void broker_shared_destroy(struct broker_shared *shared)
{
    mem_wipe(&shared->login_secret, sizeof(shared->login_secret));
    slow_down_destroy(shared->slow_down);
    mem_free(shared);
}

struct broker *broker_create(const struct broker_params *params)
{
    struct broker *broker = mem_zalloc_aligned(sizeof(*broker));

    ASSERT(params->shard_count >= 1 && params->shard_count < TOPIC_SHARDS_MAX);
    broker->shard = params->shard;
    broker->shard_count = params->shard_count;
    broker->is_control = params->shard == params->shard_count;
    broker->conf = params->conf;
    broker->banned = params->banned;
    broker->policy = params->policy;
    authn_table_init(&broker->attempts);
    list_init(&broker->logins);
    broker->stats = params->stats;
    broker->shared = params->shared;
    broker->session_limit = params->session_limit;
    broker->queue_memory = params->queue_memory;
    broker->now_ns = params->now_ms * 1000000u;
    broker->now_ms = params->now_ms;
    broker->wall_ms = params->wall_ms;
    broker->machine = params->machine;
    broker->random.state = params->random_seed;
    broker->query_step = QUERY_STEP;
    broker->query_batch = QUERY_BATCH;
    broker->tree = topic_tree_create();
    broker->retained = retained_create();
    session_table_init(&broker->sessions, (uint16_t)params->shard);
    timers_init(&broker->timers, params->now_ms, broker);
    list_init(&broker->retain_waiting);
    list_init(&broker->retain_jobs);
    list_init(&broker->subscribe_ops);
    list_init(&broker->share_joins);
    list_init(&broker->wills_waiting);
    list_init(&broker->errands);
    list_init(&broker->errands_waiting);
    list_init(&broker->collectors);
    authz_configure(broker);
    return broker;
}

void broker_clear(struct broker *broker)
{
    uint32_t cursor = 0;
    struct session *session;

    broker->shutting_down = true;
    collectors_clear(broker);
    mount_clear(broker);
    while ((session = session_table_next(&broker->sessions, &cursor)) != NULL) {
        session_drop_will(session); /* a stop of the server sends no wills */
        session_end(broker, session);
    }
    while (!list_empty(&broker->subscribe_ops)) {
        struct list *node = broker->subscribe_ops.next;

        list_remove(node);
        mem_free(node); /* the node is the operation's first member */
    }
    share_clear(broker); /* posts withdrawals */
}

void broker_destroy(struct broker *broker)
{
    plugins_destroy(broker);
    errand_clear(broker);
    retain_clear(broker);
    will_clear(broker);
    authz_clear(broker);
    session_table_fini(&broker->sessions);
    topic_tree_destroy(broker->tree);
    authn_table_fini(&broker->attempts);
    login_cache_destroy(broker->login_cache);
    outbox_pool_clear(&broker->pool);
    mem_free(broker);
}

void *broker_machine(const struct broker *broker)
{
    return broker->machine;
}

void broker_set_clock(struct broker *broker, uint64_t now_ns, uint64_t wall_ms)
{
    broker->now_ns = now_ns;
    broker->now_ms = now_ns / 1000000u;
    broker->wall_ms = wall_ms;
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
    bool more =
        broker->answered; /* by a timer, perhaps: paused connections were looked at before */

    broker->answered = false;
    if (UNLIKELY(broker->sweeping))
        more |= authn_sweep(broker);
    if (UNLIKELY(!list_empty(&broker->errands)))
        more |= errand_run(broker);
    /* second: a subscription that was an errand may have begun a scan */
    if (UNLIKELY(!list_empty(&broker->retain_waiting) || !list_empty(&broker->retain_jobs)))
        more |= retain_run(broker);
    return more;
}

void broker_receive(struct broker *broker, unsigned from, const struct mesh_entry *entry)
{
    switch (entry->kind) {
    case MESH_PUBLISH:
        route_from_peer(broker, entry->pointer);
        break;
    case MESH_INTEREST_EXACT:
    case MESH_INTEREST_WILDCARD:
    case MESH_INTEREST_CONFIRM:
    case MESH_SYS_INTEREST:
        interest_on_entry(broker, from, entry);
        break;
    case MESH_RETAIN_SET:
    case MESH_RETAIN_ASK:
    case MESH_RETAIN_TOLD:
    case MESH_RETAIN_QUERY:
    case MESH_RETAIN_ANSWER:
        retain_on_entry(broker, from, entry);
        break;
    case MESH_SHARE_JOIN:
    case MESH_SHARE_READY:
    case MESH_SHARE_LEAVE:
    case MESH_SHARE_STATE:
    case MESH_SHARE_DONE:
    case MESH_SHARE_RECALL:
    case MESH_SHARE_DELIVER:
    case MESH_SHARE_RETURN:
        share_on_entry(broker, from, entry);
        break;
    case MESH_ERRAND:
    case MESH_ERRAND_BACK:
        errand_on_entry(broker, entry);
        break;
    default:
        UNREACHABLE("an entry that is not for a broker");
    }
}

void broker_discard(const struct mesh_entry *entry)
{
    switch (entry->kind) {
    case MESH_PUBLISH:
        message_unref(entry->pointer);
        break;
    case MESH_INTEREST_WILDCARD:
        mem_free(entry->pointer);
        break;
    case MESH_RETAIN_SET:
    case MESH_RETAIN_ASK:
    case MESH_RETAIN_TOLD:
    case MESH_RETAIN_QUERY:
    case MESH_RETAIN_ANSWER:
        retain_discard(entry);
        break;
    case MESH_ERRAND:
    case MESH_ERRAND_BACK:
        errand_discard(entry);
        break;
    default:
        share_discard(entry);
        break;
    }
}

struct connection *broker_take_dirty(struct broker *broker)
{
    struct connection *first = broker->dirty;

    broker->dirty = NULL;
    return first;
}

struct outbox_pool *broker_outbox_pool(struct broker *broker)
{
    return &broker->pool;
}

void broker_configure(struct broker *broker, const struct conf *conf)
{
    broker->conf = conf;
    authz_configure(broker);
}

const struct conf *broker_conf(const struct broker *broker)
{
    return broker->conf;
}

void broker_set_banned(struct broker *broker, const struct banned *banned)
{
    broker->banned = banned;
}

void broker_set_policy(struct broker *broker, const struct policy *policy)
{
    broker->policy = policy;
    authz_configure(broker);
    login_cache_destroy(broker->login_cache);
    broker->login_cache = NULL; /* made again with the first password that is right */
    broker->sweeping = true;
    broker->sweep_cursor = 0;
}

void broker_shutdown(struct broker *broker)
{
    uint32_t cursor = 0;
    struct session *session;

    broker->shutting_down = true;
    while ((session = session_table_next(&broker->sessions, &cursor)) != NULL) {
        if (session->connection == NULL)
            continue;
        session_drop_will(session);
        connection_end(broker, session->connection, MQTT_REASON_SERVER_SHUTTING_DOWN,
                       "the server is shutting down");
    }
}

static void publish_from_control(struct broker *broker, const struct publication *publication)
{
    uint64_t shards = broker->sys_shards;
    struct message *message;

    if (shards == 0 && !publication->retain)
        return;
    message = message_create(publication, 1 + (uint32_t)__builtin_popcountll(shards));
    if (message == NULL)
        return; /* the next interval brings the next value */
    for (; shards != 0; shards &= shards - 1) {
        port_post(broker, (unsigned)__builtin_ctzll(shards),
                  (struct mesh_entry){.kind = MESH_PUBLISH, .pointer = message});
        STAT_INC(broker->stats, forward_out);
    }
    if (publication->retain)
        retain_publish(broker, publication, message);
    else
        message_unref(message);
}

void broker_publish(struct broker *broker, struct span topic, struct span payload, uint8_t qos,
                    bool retain)
{
    struct publication publication = {
        .topic = topic,
        .payload = payload,
        .publisher = SESSION_HANDLE_NONE,
        .received_ns = broker->now_ns,
        .qos = qos,
        .retain = retain,
    };
    bool matched;

    if (broker->is_control)
        publish_from_control(broker, &publication);
    else if (!route_publication(broker, &publication, &matched))
        UNREACHABLE("the broker's own topics are valid");
}

bool broker_sys_wanted(const struct broker *broker)
{
    return broker->sys_shards != 0;
}
