/* SPDX-License-Identifier: MIT
 *
 * signing - signatures of TLS handshakes that take long (RSA, ECDSA with more than P-256), made by workers.
 */
#ifndef SHARDMQ_SHARDS_SIGNING_H
#define SHARDMQ_SHARDS_SIGNING_H

#include <stdbool.h>
#include <stdint.h>

struct conn;
struct shard;
struct transport_job;

/* The handshakes of a shard that wait for one. Owner: shard. */
struct signings {
    struct signing *first, *last; /* not yet with a worker, oldest first */
    uint32_t under_way;           /* with the workers */
};

/* Has a worker do the job, and conn_filter_signed() called afterwards if the connection is still there. Takes the job; false
 * when nobody can do it. */
bool signing_begin(struct shard *shard, struct conn *conn, struct transport_job *job);

/* After all threads ended: frees what was not begun. */
void signing_end(struct shard *shard);

#endif
