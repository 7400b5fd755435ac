/* SPDX-License-Identifier: MIT
 *
 * will - a will that is due; the essay is in will.c.
 */
#ifndef SHARDMQ_BROKER_WILL_H
#define SHARDMQ_BROKER_WILL_H

#include "broker/broker_priv.h"

struct will_wait;

/* NULL is ignored. */
void will_free(struct will *will);

/* Publishes the session's will, if it has one and its client may, now or when that has been found out; the session has none
 * any more. */
void will_publish(struct broker *broker, struct session *session);
/* Whoever answered WAIT to the question about it has the answer; in a later turn. `link` and `rule` say by what it is
 * denied. */
void will_decided(struct broker *broker, struct will_wait *wait, bool allowed, const char *link,
                  const char *rule);
/* The end of the broker. Nobody will call will_decided() any more. */
void will_clear(struct broker *broker);

#endif
