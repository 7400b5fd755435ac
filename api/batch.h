/* SPDX-License-Identifier: MIT
 *
 * batch - a request that is many errands (broker/errand.h) to shards: they are sent in their order, some at
 * a time, and when all are back the request is answered.
 */
#ifndef SHARDMQ_API_BATCH_H
#define SHARDMQ_API_BATCH_H

#include "api/api.h"
#include "broker/errand.h"

#define BATCH_AT_ONCE 32u /* errands of one request that are under way */

struct batch_unit {
    struct errand *errand; /* NULL: nothing to send */
    unsigned shard;
};

/* The n-th unit is back; `errand` is NULL when it could not be sent or is not back in time. */
typedef void batch_back(void *argument, unsigned n, struct errand *errand);
/* All are back. Answers the request, which is NULL when its client has gone, and frees the argument. */
typedef void batch_over(void *argument, struct api_request *request);

/* Takes the units (mem_free()) and their errands. `back` for each that had one, then `over` once, maybe
 * before this returns. Without memory the request is answered with 500 after `over` with NULL. */
void batch_run(struct api_request *request, struct batch_unit *units, unsigned count,
               batch_back *back, batch_over *over, void *argument);

#endif
