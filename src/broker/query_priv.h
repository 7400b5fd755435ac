/* SPDX-License-Identifier: MIT
 *
 * query_priv - the steps of a query, for query.c and the walks.
 */
#ifndef SHARDMQ_BROKER_QUERY_PRIV_H
#define SHARDMQ_BROKER_QUERY_PRIV_H

#include "broker/broker_priv.h"
#include "broker/query.h"

/* What things cost in a step. */
enum query_cost {
    QUERY_COST_SLOT = 1,    /* a look into the table */
    QUERY_COST_LOOK = 2,    /* at a subscription of a session */
    QUERY_COST_SESSION = 8, /* a session that is not in the cache */
    QUERY_COST_COPY = 24,   /* a record */
    QUERY_COST_BYTES = 64   /* bytes of a record that cost one unit */
};

/* Whether one that fits the terms is to be copied: counts it, or passes it over, or takes it from the limit. */
static inline bool query_takes(struct query *query)
{
    if (query->count_only) {
        query->count++;
        return false;
    }
    if (query->skip > 0) {
        query->skip--;
        return false;
    }
    if (query->limit == 0)
        return false;
    query->limit--;
    return true;
}

/* Room for a record of `size` bytes, which are zeroed; its size is filled in. NULL, and no_memory is set, when
 * there is none. */
void *query_append(struct query *query, size_t size);

/* One step of the walk through the sessions, and through the retained messages. They end with the step's cost, with
 * a full batch, or by setting query->complete. */
void query_sessions(struct broker *broker, struct query *query);
void query_retained(struct broker *broker, struct query *query);

#endif
