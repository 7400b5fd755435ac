/* SPDX-License-Identifier: MIT
 *
 * observe - what the threads of the machine let others see of themselves, as plain copies.
 *
 * Read with relaxed loads by whoever asks: no shard is woken, asked or delayed. Numbers that belong
 * together may be a moment apart; at rest they are exact.
 */
#ifndef SHARDMQ_SHARDS_OBSERVE_H
#define SHARDMQ_SHARDS_OBSERVE_H

#include "base/stats.h"

#include <stdbool.h>
#include <stdint.h>

struct machine;
struct plugins;

/* A shard that works and has not come back for its next turn for so long is stuck; and so is one that was asked to
 * turn while it waited, and has not. */
#define SHARD_STALLED_MS 10000u
/* One that has waited for so long is asked when somebody wants to know. */
#define SHARD_ASK_MS 5000u

struct heartbeat {
    uint64_t age_ms; /* since its last turn began; how long it has waited when `waits` */
    bool waits;      /* in the kernel, for something to do */
    bool
        alive; /* began a turn less than SHARD_STALLED_MS ago; or waits, and has come when asked to */
};

/* The heartbeat of thread `index`: a data shard, or the control shard behind them. Call on the
 * control shard, whose clock it is measured with. */
struct heartbeat machine_heartbeat(const struct machine *machine, unsigned index);

/* Asks the data shards that have waited for SHARD_ASK_MS to turn once: one that sleeps and cannot be woken any more
 * looks like one that nobody has wanted anything of. What comes of it is seen SHARD_STALLED_MS later. Call on the
 * control shard, when health is asked for; never for metrics, which cost the shards nothing. */
void machine_ask_sleepers(struct machine *machine);

/* How many data shards are alive; all of them when it equals machine_shard_count(). Call on the control
 * shard. */
unsigned machine_shards_alive(const struct machine *machine);

/* The number of data shards. */
unsigned machine_shard_count(const struct machine *machine);

/* How long the machine has been running. Call on the control shard. */
uint64_t machine_uptime_ms(const struct machine *machine);

/* The plug-ins, which never change while the machine runs. */
const struct plugins *machine_plugins(const struct machine *machine);

struct shard_view {
    struct stats_snapshot stats;
    struct heartbeat heartbeat;
    uint32_t *ring_entries; /* [threads]: in the ring from this thread to that one */
};

/* A listener, and what was counted of it since its address was opened, whatever its name and rules were meanwhile. */
struct listener_view {
    char name[64]; /* as the configuration has it: "ssl.<name>" */
    char url[256]; /* "tcp://127.0.0.1:1883", with the port that the kernel chose */
    char kind[8];
    char mountpoint[256];     /* with its placeholders; empty: none */
    uint32_t max_connections; /* 0: no limit of its own */
    int64_t open;
    uint64_t accepted, refused;
};

struct machine_view {
    unsigned shards;  /* data shards */
    unsigned threads; /* data shards and the control shard, which is the last */
    uint64_t now_ns;  /* monotonic */
    uint64_t uptime_ms;
    struct stats_snapshot sum; /* of all threads */
    struct shard_view *views;  /* [threads] */
    unsigned listener_count;   /* without that of the HTTP API */
    struct listener_view *listeners;
};

/* A picture of the whole machine. Call on the control shard; free with machine_view_free(). */
struct machine_view *machine_observe(const struct machine *machine);
void machine_view_free(struct machine_view *view);

#endif
