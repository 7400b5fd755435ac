/* SPDX-License-Identifier: MIT
 *
 * laws - what the counters and the structures of all shards say together.
 */
#include "sim.h"

static struct stats_snapshot sum_of(const struct sim *sim)
{
    struct stats_snapshot sum = {0};

    for (unsigned i = 0; i <= SIM_SHARDS(sim); i++)
        stats_sum(&sum, sim->stats[i]);
    return sum;
}

static void check_gauges(const struct sim *sim)
{
    for (unsigned shard = 0; shard <= SIM_SHARDS(sim); shard++)
        for (unsigned i = 0; i < STAT_ID_COUNT; i++)
            if (stat_infos[i].kind == STAT_KIND_GAUGE && sim->stats[shard]->values[i] < 0)
                sim_fail(sim, "%s of shard %u is %lld", stat_infos[i].name, shard,
                         (long long)sim->stats[shard]->values[i]);
}

/* Laws 1 and 2 of base/stats.def. Deliveries to share groups and forwards are nowhere else than in
 * the mesh while they are on their way: with an empty mesh the laws hold at any time. */
void laws_check_counters(struct sim *sim)
{
    struct stats_snapshot sum = sum_of(sim);
    int64_t matched = sum.values[STAT_delivery_matched] + sum.values[STAT_drop_forward_full];
    int64_t settled =
        sum.values[STAT_message_out] + stats_message_drop(&sum) + stats_delivery_pending(&sum);

    check_gauges(sim);
    if (matched != settled)
        sim_fail(
            sim,
            "law 1: %lld matched (+ %lld not forwarded), %lld out + %lld dropped + %lld queued "
            "+ %lld sending + %lld held",
            (long long)sum.values[STAT_delivery_matched],
            (long long)sum.values[STAT_drop_forward_full], (long long)sum.values[STAT_message_out],
            (long long)stats_message_drop(&sum), (long long)sum.values[STAT_delivery_queued],
            (long long)sum.values[STAT_delivery_sending],
            (long long)sum.values[STAT_delivery_held]);
    if (sum.values[STAT_forward_out] != sum.values[STAT_forward_in])
        sim_fail(sim, "law 2: %lld forwarded, %lld taken", (long long)sum.values[STAT_forward_out],
                 (long long)sum.values[STAT_forward_in]);
}

struct tally {
    int64_t sessions, connected, subscriptions, shared, queue_bytes;
};

static void check_session(struct broker *broker, struct session *session, struct tally *tally)
{
    window_check(&session->window);
    tally->sessions++;
    tally->connected += session->connection != NULL;
    tally->subscriptions += session->subscription_count;
    tally->queue_bytes += (int64_t)session->window.queued_bytes;
    for (uint32_t i = 0; i < session->subscription_count; i++)
        tally->shared += session->subscriptions[i].membership != NULL;
    ASSERT(session->connection == NULL || session->connection->session == session);
    ASSERT(session_table_find(&broker->sessions, session_client_identifier(session)) == session);
    ASSERT(session_table_get(&broker->sessions, session->handle) == session);
    ASSERT(session->hold == NULL || session->hold->count > 0);
}

static void compare(const struct sim *sim, unsigned shard, enum stat_id id, int64_t counted)
{
    int64_t told = sim->stats[shard]->values[id];

    if (told != counted)
        sim_fail(sim, "shard %u has %lld %s and tells %lld", shard, (long long)counted,
                 stat_infos[id].name, (long long)told);
}

void laws_check_structures(struct sim *sim)
{
    for (unsigned shard = 0; shard < SIM_SHARDS(sim); shard++) {
        struct broker *broker = sim->brokers[shard];
        struct tally tally = {0};
        struct session *session;
        uint32_t cursor = 0;

        topic_tree_check(broker->tree);
        retained_check(broker->retained);
        while ((session = session_table_next(&broker->sessions, &cursor)) != NULL)
            check_session(broker, session, &tally);
        compare(sim, shard, STAT_session_count, tally.sessions);
        compare(sim, shard, STAT_session_connected, tally.connected);
        compare(sim, shard, STAT_subscription_count, tally.subscriptions);
        compare(sim, shard, STAT_shared_subscription_count, tally.shared);
        compare(sim, shard, STAT_retained_count, (int64_t)retained_count(broker->retained));
        if ((int64_t)broker->queue_bytes != tally.queue_bytes)
            sim_fail(sim, "shard %u has %lld bytes in queues and tells %llu", shard,
                     (long long)tally.queue_bytes, (unsigned long long)broker->queue_bytes);
    }
}

static void count_sys_filter(void *argument, const struct topic_filter *filter,
                             const struct subscription *entries, uint32_t count)
{
    (void)entries;
    (void)count;
    if (span_starts_with(topic_filter_text(filter), "$SYS"))
        ++*(uint32_t *)argument;
}

/* The control shard knows who has subscriptions below $SYS. */
static void check_sys_interest(const struct sim *sim)
{
    const struct broker *control = sim->brokers[SIM_SHARDS(sim)];

    for (unsigned shard = 0; shard < SIM_SHARDS(sim); shard++) {
        uint32_t filters = 0;

        topic_tree_walk(sim->brokers[shard]->tree, count_sys_filter, &filters);
        if ((control->sys_shards >> shard & 1) != (filters > 0))
            sim_fail(sim, "shard %u has %u filters below $SYS and the control shard is told %s",
                     shard, filters, filters > 0 ? "nothing" : "otherwise");
    }
}

/* Everybody is connected, reads and has acknowledged everything. */
void laws_check_rest(struct sim *sim)
{
    struct stats_snapshot sum = sum_of(sim);

    laws_check_counters(sim);
    laws_check_structures(sim);
    check_sys_interest(sim);
    if (!sim->set.memory && stats_delivery_pending(&sum) != 0)
        sim_fail(sim, "at rest %lld deliveries are queued, %lld sending, %lld held",
                 (long long)sum.values[STAT_delivery_queued],
                 (long long)sum.values[STAT_delivery_sending],
                 (long long)sum.values[STAT_delivery_held]);
    for (unsigned shard = 0; shard < SIM_SHARDS(sim); shard++) {
        struct broker *broker = sim->brokers[shard];
        struct session *session;
        uint32_t cursor = 0;

        if (!list_empty(&broker->subscribe_ops) || !list_empty(&broker->share_joins) ||
            !list_empty(&broker->retain_jobs) || !list_empty(&broker->retain_waiting))
            sim_fail(sim, "at rest shard %u still waits for something", shard);
        while (!sim->set.memory &&
               (session = session_table_next(&broker->sessions, &cursor)) != NULL) {
            if (session->window.head != session->window.tail || session->hold != NULL ||
                session->window.outstanding != 0)
                sim_fail(sim, "at rest a session of shard %u has %llu deliveries", shard,
                         (unsigned long long)(session->window.tail - session->window.head));
        }
    }
}
