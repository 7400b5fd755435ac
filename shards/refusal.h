/* SPDX-License-Identifier: MIT
 *
 * refusal - who is refused below MQTT: the same line and the same counter (broker/audit.h) as for who is refused by it.
 *
 * Its event is `accept`, whose lines have a rate limit of their own: a flood of connections hides no wrong password. Nothing is
 * written of connections to the HTTP API: whoever calls says so in its own words.
 */
#ifndef SHARDMQ_SHARDS_REFUSAL_H
#define SHARDMQ_SHARDS_REFUSAL_H

#include "base/stats.h"
#include "shards/conn_io.h"
#include "shards/door.h"

struct shard;

/* Of a socket that was accepted and is no connection yet. `counter` is a row of refusals_total, `why` names the limit, or says
 * what was wrong. */
void refusal_of_socket(struct shard *shard, const struct door *door, int fd, enum stat_id counter,
                       const char *why);
/* The same of one that another shard had accepted. */
void refusal_of_peer(struct shard *shard, const struct door *door, const struct conn_peer *peer,
                     enum stat_id counter, const char *why);
/* Of a connection that is still open. */
void refusal_of_conn(struct shard *shard, const struct conn *conn, enum stat_id counter,
                     const char *why);

#endif
