/* SPDX-License-Identifier: MIT
 *
 * order - a request that is one errand to one shard (broker/errand.h): it is sent, and when it is back the request is
 * answered.
 */
#ifndef SHARDMQ_API_ORDER_H
#define SHARDMQ_API_ORDER_H

#include "api/api.h"
#include "broker/errand.h"

/* Answers the request, whose client is still there, with what the errand brought back. */
typedef void order_back(void *argument, struct api_request *request, struct errand *errand);

/* Sends the errand, which is freed when it is back. NULL for it, too much under way, and a shard that does not answer
 * in time are answered with 503, without a call of `back`. `argument` has to outlive the request. */
void order_answer(struct api_request *request, unsigned shard, struct errand *errand,
                  order_back *back, void *argument);

#endif
