/* SPDX-License-Identifier: MIT
 *
 * ban_sweep - ends the connections of those who are banned: an errand (broker/errand.h) for every data shard, to be sent
 * when a new snapshot of the bans was.
 */
#ifndef SHARDMQ_BROKER_BAN_SWEEP_H
#define SHARDMQ_BROKER_BAN_SWEEP_H

#include "broker/errand.h"

struct ban_sweep {
    struct errand errand;
    uint32_t cursor; /* slot of the session table */
    uint32_t ended;  /* the result */
};

/* NULL when memory is gone. */
struct ban_sweep *ban_sweep_create(void);

static inline struct ban_sweep *ban_sweep_of(struct errand *errand)
{
    return CONTAINER_OF(errand, struct ban_sweep, errand);
}

#endif
