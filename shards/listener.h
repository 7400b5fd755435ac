/* SPDX-License-Identifier: MIT
 *
 * listener - accepting on a shard.
 */
#ifndef SHARDMQ_SHARDS_LISTENER_H
#define SHARDMQ_SHARDS_LISTENER_H

#include <stdbool.h>
#include <stdint.h>

struct completion;
struct door;
struct listener_set;
struct shard;

/* A socket of the shard; the index of it is that of the operations. Owner: shard. */
struct listener {
    int fd;          /* -1: the entry is free when it is not armed */
    int kept;        /* in the end: the socket for the program that is executed next, or -1 */
    bool armed;      /* a request of the kernel names the entry */
    bool ends;       /* it closes when that request is over */
    unsigned number; /* of the sockets of the place */
    uint64_t place;  /* serial */
    struct door *door;
};

/* On the shard's thread: takes its sockets of the set and begins to accept; ends those whose place is not in it, and has
 * the others go on with the doors of the set. Connections stay in any case. */
void listener_apply(struct shard *shard, struct listener_set *set);
/* Stops for good: nobody is accepted any more. The sockets are closed, or kept for listener_pass(). */
void listener_stop(struct shard *shard);

/* After all threads ended: leaves the sockets that were kept open for the next program; frees what is left. */
void listener_pass(const struct shard *shard);
void listener_free(struct shard *shard);

/* Handlers of ops.def. */
void listener_accepted(struct shard *shard, const struct completion *completion);
void listener_accept_failed(struct shard *shard, const struct completion *completion);
void listener_waiting(struct shard *shard, const struct completion *completion);

#endif
