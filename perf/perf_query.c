/* SPDX-License-Identifier: MIT
 *
 * Steps of a list: what a shard pays in one turn for somebody who asks for all clients, or counts them.
 */
#include "broker/query_priv.h"
#include "conf/conf.h"
#include "perf/shim.h"

#include <stdio.h>

#define CLIENTS 10000u

void perf_register_query(void);

static struct broker *broker_with_clients(struct conf *conf, struct broker_shared *shared,
                                          struct shard_stats *stats)
{
    struct broker *broker = broker_create(&(struct broker_params){.shared = shared,
                                                                  .shard_count = 1,
                                                                  .conf = conf,
                                                                  .stats = stats,
                                                                  .session_limit = CLIENTS});
    char name[32];

    for (uint32_t i = 0; i < CLIENTS; i++) {
        struct session *session;

        snprintf(name, sizeof(name), "client-%06u", i);
        session = session_table_create(&broker->sessions, span_text(name));
        session_init(session);
        session->version = MQTT_3_1_1;
    }
    return broker;
}

static void list_clients(struct perf_state *state, void *argument)
{
    const struct query_terms *terms = argument;
    const struct conf_source source = {0};
    char errors[256];
    struct conf *conf = conf_load(&source, errors, sizeof(errors));
    struct broker_shared *shared = broker_shared_create(1);
    struct shard_stats *stats = mem_zalloc_aligned(sizeof(*stats));
    struct broker *broker = broker_with_clients(conf, shared, stats);
    struct query *query = query_create(terms);
    uint64_t steps = 0;

    while (perf_next(state)) {
        query_sessions(broker, query);
        query_next(query);
        if (query->complete)
            query_rewind(query);
        steps++;
    }
    perf_items(state, steps);
    query->errand.kind->release(&query->errand);
    broker_clear(broker);
    broker_destroy(broker);
    broker_shared_destroy(shared);
    mem_free(stats);
    conf_free(conf);
}

void perf_register_query(void)
{
    static struct query_terms all = {.list = QUERY_CLIENTS};
    static struct query_terms nobody = {.list = QUERY_CLIENTS, .versions = 1u << MQTT_3_1};

    perf_case("query/step/copy_clients", list_clients, &all);
    perf_case("query/step/filter_clients", list_clients, &nobody);
}
