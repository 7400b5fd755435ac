/* SPDX-License-Identifier: MIT
 *
 * mqtt_publish - POST mqtt/publish and mqtt/publish_batch.
 *
 * `decoding` and `encoding` mean what they mean in NanoMQ: with decoding base64 the payload given is base64,
 * and its bytes are published; with encoding base64 the payload is published in base64. With both it is
 * decoded first.
 */
#include "api/api_priv.h"

#include "api/handlers.h"
#include "api/mqtt_job.h"
#include "base/log.h"
#include "broker/mqtt_orders.h"
#include "broker/query.h"
#include "shards/observe.h"

#include <openssl/base64.h>
#include <stdio.h>
#include <stdlib.h>

#define NUMBER_MAX 32u

/* One item as it is read. */
struct reading {
    struct publish_terms terms;
    uint8_t *payload; /* decoded, encoded; NULL: as it stands in the body */
    struct user_property *user_properties;
    char *numbers; /* their values that were no strings, NUMBER_MAX bytes each */
};

static void reading_end(struct reading *reading)
{
    mem_free(reading->payload);
    mem_free(reading->user_properties);
    mem_free(reading->numbers);
}

static const cJSON *member(const cJSON *item, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(item, name);
}

static struct span text_of(const cJSON *value)
{
    return span_text(cJSON_GetStringValue(value));
}

static bool is_base64(const cJSON *item, const char *name)
{
    const char *value = cJSON_GetStringValue(member(item, name));

    return value != NULL && strcmp(value, "base64") == 0;
}

/* ---- the payload ---- */

/* Puts `bytes` in the payload's place; `bytes` is NULL without memory. */
static void take_payload(struct reading *reading, uint8_t *bytes, size_t len)
{
    mem_free(reading->payload);
    reading->payload = bytes;
    reading->terms.payload = span_of(bytes, (uint32_t)len);
}

static const char *decode_payload(struct reading *reading)
{
    struct span text = reading->terms.payload;
    uint8_t *bytes = mem_try_alloc(text.len + 1u);
    size_t len = 0;

    if (bytes == NULL)
        return "no memory";
    if (text.len != 0 && EVP_DecodeBase64(bytes, &len, text.len, text.data, text.len) != 1) {
        mem_free(bytes);
        return "payload: not base64, as decoding says";
    }
    take_payload(reading, bytes, len);
    return NULL;
}

static const char *encode_payload(struct reading *reading)
{
    struct span from = reading->terms.payload;
    size_t room = 0;
    uint8_t *text = EVP_EncodedLength(&room, from.len) ? mem_try_alloc(room) : NULL;

    if (text == NULL)
        return "no memory";
    take_payload(reading, text, EVP_EncodeBlock(text, from.data, from.len));
    return NULL;
}

static const char *read_payload(struct reading *reading, const cJSON *item)
{
    const char *wrong = NULL;

    reading->terms.payload = text_of(member(item, "payload"));
    if (is_base64(item, "decoding"))
        wrong = decode_payload(reading);
    if (wrong == NULL && is_base64(item, "encoding"))
        wrong = encode_payload(reading);
    return wrong;
}

/* ---- properties ---- */

static void take_number(struct mqtt_props *props, enum mqtt_property id, const cJSON *value,
                        uint32_t *to)
{
    if (value == NULL)
        return;
    *to = (uint32_t)value->valuedouble;
    props->present |= (uint64_t)1 << id;
}

static void take_text(struct mqtt_props *props, enum mqtt_property id, const cJSON *value,
                      struct span *to)
{
    if (value == NULL)
        return;
    *to = text_of(value);
    props->present |= (uint64_t)1 << id;
}

/* A number as it was written, mostly: the shortest of these digits that are the same number. */
static struct span print_number(double number, char *to)
{
    static const double whole_most = 9007199254740992.0; /* 2^53: all integers below are exact */

    if (number > -whole_most && number < whole_most && number == (double)(int64_t)number) {
        snprintf(to, NUMBER_MAX, "%lld", (long long)number);
        return span_text(to);
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(to, NUMBER_MAX, "%.*g", digits, number);
        if (strtod(to, NULL) == number)
            break;
    }
    return span_text(to);
}

static struct span print_value(const cJSON *value, char *to)
{
    if (cJSON_IsString(value))
        return text_of(value);
    if (cJSON_IsBool(value))
        return span_text(cJSON_IsTrue(value) ? "true" : "false");
    return print_number(value->valuedouble, to);
}

static const char *read_user_properties(struct reading *reading, const cJSON *object)
{
    unsigned count = (unsigned)cJSON_GetArraySize(object), i = 0;
    const cJSON *pair;

    if (count == 0)
        return NULL;
    reading->user_properties = mem_try_alloc(count * sizeof(*reading->user_properties));
    reading->numbers = mem_try_alloc((size_t)count * NUMBER_MAX);
    if (reading->user_properties == NULL || reading->numbers == NULL)
        return "no memory";
    cJSON_ArrayForEach(pair, object)
    {
        reading->user_properties[i] = (struct user_property){
            span_text(pair->string), print_value(pair, reading->numbers + i * NUMBER_MAX)};
        i++;
    }
    reading->terms.user_properties = reading->user_properties;
    reading->terms.user_property_count = count;
    return NULL;
}

static const char *read_properties(struct reading *reading, const cJSON *from)
{
    struct mqtt_props *props = &reading->terms.props;
    uint32_t format = 0;

    if (member(from, "subscription_identifier") != NULL) /* [MQTT-3.3.4-6] */
        return "properties.subscription_identifier: it is the subscriber's, given with its "
               "subscription";
    take_number(props, MQTT_PROPERTY_PAYLOAD_FORMAT_INDICATOR,
                member(from, "payload_format_indicator"), &format);
    props->payload_format = (uint8_t)format;
    take_number(props, MQTT_PROPERTY_MESSAGE_EXPIRY_INTERVAL,
                member(from, "message_expiry_interval"), &props->message_expiry);
    take_text(props, MQTT_PROPERTY_RESPONSE_TOPIC, member(from, "response_topic"),
              &props->response_topic);
    take_text(props, MQTT_PROPERTY_CORRELATION_DATA, member(from, "correlation_data"),
              &props->correlation_data);
    take_text(props, MQTT_PROPERTY_CONTENT_TYPE, member(from, "content_type"),
              &props->content_type);
    return read_user_properties(reading, member(from, "user_properties"));
}

/* ---- an item ---- */

static const char *read_terms(struct reading *reading, const cJSON *item)
{
    const cJSON *qos = member(item, "qos"), *retain = member(item, "retain");
    const char *wrong = read_payload(reading, item);

    reading->terms.qos = qos == NULL ? 0 : (uint8_t)qos->valuedouble;
    reading->terms.retain = cJSON_IsTrue(retain);
    return wrong != NULL ? wrong : read_properties(reading, member(item, "properties"));
}

static const char *check_topics(const struct mqtt_job *job, struct reading *reading,
                                const cJSON *item)
{
    const char *wrong = NULL;
    uint32_t at = 0;

    while (wrong == NULL && mqtt_job_topic(item, &at, &reading->terms.topic))
        wrong = publish_terms_check(&reading->terms, api_conf(mqtt_job_api(job)));
    return wrong;
}

static void read_item(struct mqtt_job *job, const cJSON *item)
{
    const struct shard *shard = api_shard(mqtt_job_api(job));
    const char *client = cJSON_GetStringValue(member(item, "clientid"));
    struct reading reading = {0};
    const char *wrong = read_terms(&reading, item);
    uint32_t at = 0;

    if (wrong == NULL)
        wrong = check_topics(job, &reading, item);
    if (wrong != NULL)
        mqtt_job_fail(job, strcmp(wrong, "no memory") == 0 ? API_UNKNOWN : API_BAD_PARAMETER,
                      wrong);
    else
        LOG_DEBUG("a publication over HTTP, by \"%s\"",
                  client == NULL ? "NanoMQ-HTTP-Client" : client);
    while (wrong == NULL && mqtt_job_topic(item, &at, &reading.terms.topic)) {
        struct publish_order *order = publish_order_create(&reading.terms, shard->now_ns);

        mqtt_job_add(
            job, order == NULL ? NULL : &order->errand,
            query_retained_owner(reading.terms.topic, machine_shard_count(shard->machine)));
    }
    reading_end(&reading);
}

static void back(struct mqtt_job *job, const struct errand *errand)
{
    enum mqtt_reason reason = publish_order_of((struct errand *)(uintptr_t)errand)->reason;

    if (reason >= MQTT_REASON_UNSPECIFIED_ERROR)
        mqtt_job_fail(
            job, reason == MQTT_REASON_PAYLOAD_FORMAT_INVALID ? API_BAD_PARAMETER : API_UNKNOWN,
            publish_order_refusal(reason));
}

static const struct mqtt_job_kind publish_kind = {
    .item = "$Publish", .read = read_item, .back = back};

void api_publish(struct api_request *request)
{
    mqtt_job_run(request, &publish_kind, false);
}

void api_publish_batch(struct api_request *request)
{
    mqtt_job_run(request, &publish_kind, true);
}
