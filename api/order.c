/* SPDX-License-Identifier: MIT */
#include "api/order.h"

#include "api/api_priv.h"

#define ORDER_WAIT_MS 5000u

/* Owner: shard (the control shard). */
struct order {
    struct api *api;
    struct api_handle handle;
    order_back *back;
    void *argument;
};

static void came_back(void *argument, struct errand *errand)
{
    struct order *order = argument;
    struct api_request *request = api_resume(order->api, order->handle);

    if (request != NULL && errand != NULL)
        order->back(order->argument, request, errand);
    else if (request != NULL)
        api_reply_error(request, 503, API_UNKNOWN, "a shard did not answer in time");
    errand_free(api_shard(order->api)->broker, errand);
    mem_free(order);
}

void order_answer(struct api_request *request, unsigned shard, struct errand *errand,
                  order_back *back, void *argument)
{
    struct api *api = api_of(request);
    struct broker *broker = api_shard(api)->broker;
    struct order *order = errand == NULL ? NULL : mem_try_alloc(sizeof(*order));

    if (order == NULL) {
        errand_free(broker, errand);
    } else {
        *order = (struct order){api, api_defer(request), back, argument};
        if (errand_send(broker, shard, errand, ORDER_WAIT_MS, came_back, order, NULL))
            return;
        mem_free(order);
    }
    api_reply_error(request, 503, API_UNKNOWN, "too much is under way, or memory is gone");
}
