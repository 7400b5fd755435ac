/* SPDX-License-Identifier: MIT
 *
 * uring_priv - what uring.c and bufring.c share; nobody else includes it.
 */
#ifndef SHARDMQ_SHARDS_URING_PRIV_H
#define SHARDMQ_SHARDS_URING_PRIV_H

#include <liburing.h>
#include <stdbool.h>
#include <stdint.h>

#define URING_BUFFER_GROUP 0  /* each ring has one group of receive buffers */
#define URING_COLLECT      64 /* completions that end a minimum wait early */

/* Owner: shard. */
struct uring {
    struct io_uring kernel;
    uint32_t enter_flags, cq_mask;
    bool bundle, minimum_wait;
};

#endif
