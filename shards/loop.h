/* SPDX-License-Identifier: MIT
 *
 * loop - the turn of one thread. The essay is in loop.c.
 */
#ifndef SHARDMQ_SHARDS_LOOP_H
#define SHARDMQ_SHARDS_LOOP_H

#include <stdint.h>

struct completion;
struct shard;

/* Reads the clocks: at the start of every turn, and before the first one. */
void loop_read_clock(struct shard *shard);

/* The monotonic clock at this moment. */
uint64_t loop_clock_ns(void);

/* Turns until the shard's phase is SHARD_ENDED. */
void loop_run(struct shard *shard);

/* Wakes a sleeping peer; called by the mesh. `argument` is the shard. */
void loop_wake_peer(void *argument, unsigned peer);

/* Starts listening for wakes, on a kernel without MSG_RING. */
void loop_arm_event(struct shard *shard);

/* Handlers of ops.def. */
void loop_ignore(struct shard *shard, const struct completion *completion);
void loop_wake_failed(struct shard *shard, const struct completion *completion);
void loop_event_done(struct shard *shard, const struct completion *completion);
void loop_event_failed(struct shard *shard, const struct completion *completion);

#endif
