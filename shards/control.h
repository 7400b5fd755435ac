/* SPDX-License-Identifier: MIT
 *
 * control - the control shard: signals, reload, shutdown order, watchdog, $SYS, the control socket.
 */
#ifndef SHARDMQ_SHARDS_CONTROL_H
#define SHARDMQ_SHARDS_CONTROL_H

#include <stddef.h>

struct completion;
struct machine;
struct shard;

/* Prepares the control shard of the machine, on the main thread, before data shards start: blocks
 * the signals it takes, opens the control socket. 0, or -1 and the reason in `why`. */
int control_open(struct machine *machine, char *why, size_t size);
void control_close(struct machine *machine);

/* Serves until the shutdown is complete. Call on the main thread, when all shards have entered. */
void control_run(struct machine *machine);

/* Handlers of ops.def. */
void control_signal_done(struct shard *shard, const struct completion *completion);
void control_signal_failed(struct shard *shard, const struct completion *completion);
void control_accepted(struct shard *shard, const struct completion *completion);
void control_accept_failed(struct shard *shard, const struct completion *completion);
void control_received(struct shard *shard, const struct completion *completion);
void control_receive_failed(struct shard *shard, const struct completion *completion);
void control_sent(struct shard *shard, const struct completion *completion);
void control_send_failed(struct shard *shard, const struct completion *completion);

#endif
