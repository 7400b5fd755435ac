/* SPDX-License-Identifier: MIT
 *
 * control - the control shard: signals, reload, shutdown order, watchdog, $SYS, the control socket.
 */
#ifndef SHARDMQ_SHARDS_CONTROL_H
#define SHARDMQ_SHARDS_CONTROL_H

#include <stdbool.h>
#include <stddef.h>

struct completion;
struct conf;
struct control;
struct machine_reload;
struct machine;
struct policy;
struct shard;

/* Prepares the control shard of the machine, on the main thread, before data shards start: blocks
 * the signals it takes, opens the control socket. 0, or -1 and the reason in `why`. */
int control_open(struct machine *machine, char *why, size_t size);
void control_close(struct machine *machine);

/* Serves until the shutdown is complete; true when the broker is to start again. Call on the main thread, when all
 * shards have entered. */
bool control_run(struct machine *machine);

/* Reads the configuration again, or a changed one, and tells the shards of it. False when nothing has changed. Writes
 * the report (machine_options.reload) either way. */
bool control_reload(struct control *control, const struct machine_reload *what, char *report,
                    size_t size);
/* Whether the broker would start again if it ended now; if not, a sentence is in `why`. */
bool control_may_restart(const struct control *control, char *why, size_t size);
/* Begins a shutdown after which the broker starts again. */
void control_restart(struct control *control);

/* For the service (machine.h); on the control shard. */
struct shard *control_shard(struct control *control);
/* What the service's start() returned. */
void *control_service(struct shard *shard);
/* The configuration in force. */
const struct conf *control_conf(const struct control *control);
/* What was read from the files that it names. */
const struct policy *control_policy(const struct control *control);
/* Begins the shutdown; harmless when it has begun. */
void control_stop(struct control *control);
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
