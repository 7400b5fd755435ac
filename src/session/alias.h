/* SPDX-License-Identifier: MIT
 *
 * alias - the topic aliases of one connection, both directions (MQTT 5.0, 3.3.2.3.4).
 *
 * Owner: shard. Made when a connection first uses an alias and gone with the connection
 * [MQTT-3.3.2-7]. Towards the client, aliases go to the first topics that are sent and stay with
 * them: a client that gets few topics gains, one that gets many loses nothing.
 */
#ifndef SHARDMQ_SESSION_ALIAS_H
#define SHARDMQ_SESSION_ALIAS_H

#include "base/span.h"

struct alias_topic {
    uint8_t *data;
    uint32_t len;
};

struct alias_table {
    uint16_t inbound_max, outbound_max;
    uint16_t outbound_count;
    struct alias_topic *inbound;  /* [inbound_max], alias 1 is at 0; NULL until used */
    struct alias_topic *outbound; /* [outbound_max] in order of their aliases; NULL until used */
};

/* NULL when memory is gone. */
struct alias_table *alias_create(uint16_t inbound_max, uint16_t outbound_max);
void alias_destroy(struct alias_table *table);

/* The client maps `alias` (1 .. inbound_max) to a topic. False when memory is gone. */
bool alias_learn(struct alias_table *table, uint16_t alias, struct span topic);
/* The topic of an alias; empty when there is none. */
struct span alias_topic(const struct alias_table *table, uint16_t alias);

/* The alias to send for a topic, 0 for none. *known_out tells that the client has it already, so
 * the topic name can be left out. */
uint16_t alias_for_topic(struct alias_table *table, struct span topic, bool *known_out);
/* The packet with the alias that alias_for_topic() gave last, and that was not known, is not sent. */
void alias_forget_last(struct alias_table *table);

#endif
