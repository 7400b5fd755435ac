/* SPDX-License-Identifier: MIT
 *
 * Steps of a list: what a shard pays in one turn for somebody who asks for all clients, or for those that fit.
 */
#include "base/mem.h"
#include "broker/broker.h"
#include "broker/query.h"
#include "conf/conf.h"
#include "perf/shim.h"
#include "shards/conn_io.h"

#include <stdio.h>

#define CLIENTS 10000u

void perf_register_query(void);

/* A client that has connected and gone again; 3.1.1 keeps its session. */
static void leave_session(struct broker *broker, uint32_t number)
{
    struct conn *conn = mem_zalloc_aligned(sizeof(*conn) + sizeof(struct connection));
    struct connection *connection = conn_state(conn); /* the effects look at what is before it */
    uint8_t connect[64] = {0x10, 25, 0, 4, 'M', 'Q', 'T', 'T', 4, 0, 0, 0, 0, 13};
    uint32_t consumed;
    unsigned home;

    snprintf((char *)connect + 14, sizeof(connect) - 14, "client-%06u", number);
    connection_open(broker, connection, true);
    connection_receive(broker, connection, connect, 27, &consumed, &home);
    broker_take_dirty(broker);
    connection->dirty = false;
    connection_closed(broker, connection, NULL);
    broker_take_dirty(broker);
    mem_free(conn);
}

static void list_clients(struct perf_state *state, void *argument)
{
    const struct query_terms *terms = argument;
    const struct conf_source source = {0};
    char errors[256];
    struct conf *conf = conf_load(&source, errors, sizeof(errors));
    struct broker_shared *shared = broker_shared_create(1);
    struct shard_stats *stats = mem_zalloc_aligned(sizeof(*stats));
    struct broker *broker = broker_create(&(struct broker_params){.shared = shared,
                                                                  .shard_count = 1,
                                                                  .conf = conf,
                                                                  .stats = stats,
                                                                  .session_limit = CLIENTS,
                                                                  .queue_memory = UINT64_MAX,
                                                                  .now_ms = 1000,
                                                                  .wall_ms = 1000});
    struct query *query = query_create(terms);
    uint64_t steps = 0;

    for (uint32_t i = 0; i < CLIENTS; i++)
        leave_session(broker, i);
    while (perf_next(state)) {
        query->errand.kind->run(broker, &query->errand);
        if (query->complete)
            query_rewind(query);
        else
            query_next(query);
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
