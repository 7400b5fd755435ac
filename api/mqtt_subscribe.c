/* SPDX-License-Identifier: MIT
 *
 * mqtt_subscribe - POST mqtt/subscribe, mqtt/unsubscribe and their batches: in the place of a client that is
 * connected.
 */
#include "api/api_priv.h"

#include "api/handlers.h"
#include "api/mqtt_job.h"
#include "broker/mqtt_orders.h"
#include "conf/conf.h"
#include "shards/observe.h"
#include "topic/topic.h"

static void read_item(struct mqtt_job *job, const cJSON *item, bool subscribe)
{
    struct api *api = mqtt_job_api(job);
    struct span client =
        span_text(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item, "clientid")));
    const cJSON *qos = cJSON_GetObjectItemCaseSensitive(item, "qos");
    uint32_t at = 0;
    struct span filter;

    while (mqtt_job_topic(item, &at, &filter)) {
        if (filter.len > UINT16_MAX ||
            filter_parse(filter, api_conf(api)->mqtt_max_topic_levels).form == FILTER_INVALID) {
            mqtt_job_fail(job, API_BAD_PARAMETER, "topic: not a topic filter");
            return;
        }
    }
    at = 0;
    while (mqtt_job_topic(item, &at, &filter)) {
        struct subscribe_order *order = subscribe_order_create(
            client, filter, subscribe, qos == NULL ? 0 : (uint8_t)qos->valuedouble);

        mqtt_job_add(job, order == NULL ? NULL : &order->errand,
                     broker_home_shard(client, machine_shard_count(api_shard(api)->machine)));
    }
}

static void read_subscription(struct mqtt_job *job, const cJSON *item)
{
    read_item(job, item, true);
}

static void read_unsubscription(struct mqtt_job *job, const cJSON *item)
{
    read_item(job, item, false);
}

static void back(struct mqtt_job *job, const struct errand *errand)
{
    const struct subscribe_order *order = subscribe_order_of((struct errand *)(uintptr_t)errand);

    if (!order->connected) {
        mqtt_job_fail(job, API_CLIENT_OFFLINE, "the client is not connected");
        return;
    }
    switch (order->reason) {
    case MQTT_REASON_WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED:
        mqtt_job_fail(job, API_BAD_PARAMETER, "topic: mqtt.wildcard_subscription is false");
        break;
    case MQTT_REASON_SHARED_SUBSCRIPTIONS_NOT_SUPPORTED:
        mqtt_job_fail(job, API_BAD_PARAMETER, "topic: mqtt.shared_subscription is false");
        break;
    case MQTT_REASON_NOT_AUTHORIZED:
        mqtt_job_fail(job, API_BAD_PARAMETER, "topic: the client may not subscribe to it");
        break;
    case MQTT_REASON_QUOTA_EXCEEDED:
        mqtt_job_fail(job, API_UNKNOWN,
                      "the client has mqtt.max_subscriptions subscriptions, or memory is gone");
        break;
    default:
        if (order->reason >= MQTT_REASON_UNSPECIFIED_ERROR)
            mqtt_job_fail(job, API_BAD_PARAMETER, "topic: not a topic filter");
    }
}

static const struct mqtt_job_kind subscribe_kind = {.item = "$Subscribe",
                                                    .names_client = true,
                                                    .read = read_subscription,
                                                    .back = back},
                                  unsubscribe_kind = {.item = "$Unsubscribe",
                                                      .names_client = true,
                                                      .read = read_unsubscription,
                                                      .back = back};

void api_subscribe(struct api_request *request)
{
    mqtt_job_run(request, &subscribe_kind, false);
}

void api_subscribe_batch(struct api_request *request)
{
    mqtt_job_run(request, &subscribe_kind, true);
}

void api_unsubscribe(struct api_request *request)
{
    mqtt_job_run(request, &unsubscribe_kind, false);
}

void api_unsubscribe_batch(struct api_request *request)
{
    mqtt_job_run(request, &unsubscribe_kind, true);
}
