/* SPDX-License-Identifier: MIT
 *
 * tickets - the keys of TLS session tickets: changed every hour, and handed on at a restart, so that clients that come
 * back then resume their sessions instead of shaking hands in full, all at once.
 */
#ifndef SHARDMQ_SHARDS_TICKETS_H
#define SHARDMQ_SHARDS_TICKETS_H

#include "base/timer.h"

#include <stdint.h>

struct machine;
struct shard;

/* New keys, or those that the program before has left. When they are to be changed, in milliseconds of
 * CLOCK_MONOTONIC, is in *due_ms; 0: in an hour. */
struct tls_tickets *tickets_open(uint64_t *due_ms);
/* On the control shard: they change from now on. */
void tickets_start(struct shard *control, struct timer *rotation);
/* Before a restart, when the shards have ended: leaves the keys for the program that is executed next. */
void tickets_pass(const struct machine *machine);

#endif
