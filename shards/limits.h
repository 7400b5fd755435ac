/* SPDX-License-Identifier: MIT
 *
 * limits - every size of the machine, derived once from the configuration, the CPUs and the
 * descriptor limit.
 *
 * Class: boot.
 */
#ifndef SHARDMQ_SHARDS_LIMITS_H
#define SHARDMQ_SHARDS_LIMITS_H

#include "topic/tree.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct conf;

#define SHARDS_MAX                                                                                 \
    (TOPIC_SHARDS_MAX - 1) /* one bit of every interest mask is the control shard's */

struct shard_limits {
    int cpu;              /* to pin to, -1: none */
    uint32_t connections; /* open at once */
    uint32_t sessions;
    uint32_t submission_entries; /* requests that wait for one enter */
    uint32_t completion_entries;
    uint32_t receive_buffers, receive_buffer_size;
    uint32_t completion_batch; /* completions per turn, above which output goes first */
    uint32_t mesh_batch;       /* entries per turn and peer */
    uint32_t timer_batch;
    uint32_t busy_poll_us, batch_wait_us;
};

struct limits {
    unsigned shards;                 /* data shards */
    uint32_t descriptors;            /* RLIMIT_NOFILE after it was raised */
    uint32_t connections;            /* of the whole process */
    uint32_t mesh_depth[SHARDS_MAX]; /* of the rings to each shard */
    uint32_t control_mesh_depth;
    uint32_t mesh_congested, mesh_full; /* marks of the spill lists, in entries */
    uint64_t queue_memory;              /* bytes that the queues of one shard's sessions may hold */
    struct shard_limits control;
    struct shard_limits shard[SHARDS_MAX];
};

/* Derives everything. Raises the soft limit of descriptors to the hard one. 0, or -1 and the reason
 * in `why`. */
int limits_derive(struct limits *limits, const struct conf *conf, char *why, size_t size);

/* Writes the sizes and the memory budget, a line each. */
void limits_print(const struct limits *limits, FILE *to);

#endif
