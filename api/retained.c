/* SPDX-License-Identifier: MIT
 *
 * retained - retained messages: lists, one with its payload and properties, and its removal.
 */
#include "api/api_priv.h"

#include "api/handlers.h"
#include "api/list.h"
#include "api/order.h"
#include "base/utf8.h"
#include "broker/orders.h"
#include "shards/observe.h"

/* ---- GET retained ---- */

static void write_expiry(struct json_text *text, const struct publication *publication,
                         const struct api *api)
{
    uint64_t now_ms = api_shard(api)->now_ms;

    json_text_raw(text, ",\"expires_in\":");
    if (publication->expires_ms == 0)
        json_text_raw(text, "null");
    else
        json_text_number(text, publication->expires_ms > now_ms
                                   ? (publication->expires_ms - now_ms + 999) / 1000
                                   : 0);
}

static void write_head(struct list_reply *reply, const struct publication *publication)
{
    struct json_text *text = list_text(reply);

    list_comma(reply);
    json_text_raw(text, "{\"topic\":");
    json_text_string(text, publication->topic);
    json_text_raw(text, ",\"qos\":");
    json_text_number(text, publication->qos);
    json_text_raw(text, ",\"size\":");
    json_text_number(text, publication->payload.len);
    write_expiry(text, publication, list_api(reply));
}

static void write_retained(struct list_reply *reply, const struct query *query, const void *at)
{
    const struct retained_record *record = at;

    (void)query;
    write_head(reply, &record->message->publication);
    json_text_raw(list_text(reply), "}");
}

static const struct list_style retained_style = {.write = write_retained, .meta = true};

void api_list_retained(struct api_request *request)
{
    struct query_terms terms = {.list = QUERY_RETAINED, .filter = span_text("#")};

    if (api_query(request, "topic", &terms.filter) && !query_filter_valid(terms.filter))
        api_reply_error(request, 400, API_BAD_PARAMETER, "topic: this is not a topic filter");
    else
        list_answer(request, &terms, &retained_style, NULL);
}

/* ---- GET retained/{topic} ---- */

/* How the payload is to be written. */
enum encoding { AS_IT_FITS, AS_TEXT, AS_BASE64 };

static void write_user_properties(struct json_text *text, struct span props)
{
    struct retained_property property;
    bool any = false;

    json_text_raw(text, "\"user_properties\":[");
    while (query_next_property(&props, &property)) {
        if (property.id != MQTT_PROPERTY_USER_PROPERTY)
            continue;
        json_text_raw(text, any ? ",{\"key\":" : "{\"key\":");
        json_text_string(text, property.name);
        json_text_raw(text, ",\"value\":");
        json_text_string(text, property.value);
        json_text_raw(text, "}");
        any = true;
    }
    json_text_raw(text, "]");
}

static void write_property(struct json_text *text, const struct retained_property *property)
{
    switch (property->id) {
    case MQTT_PROPERTY_PAYLOAD_FORMAT_INDICATOR:
        json_text_raw(text, "\"payload_format_indicator\":");
        json_text_number(text, property->number);
        break;
    case MQTT_PROPERTY_CONTENT_TYPE:
        json_text_raw(text, "\"content_type\":");
        json_text_string(text, property->value);
        break;
    case MQTT_PROPERTY_RESPONSE_TOPIC:
        json_text_raw(text, "\"response_topic\":");
        json_text_string(text, property->value);
        break;
    case MQTT_PROPERTY_CORRELATION_DATA:
        json_text_raw(text, "\"correlation_data\":");
        if (utf8_valid(property->value.data, property->value.len)) {
            json_text_string(text, property->value);
        } else {
            json_text_base64(text, property->value);
            json_text_raw(text, ",\"correlation_data_encoding\":\"base64\"");
        }
        break;
    default:
        return;
    }
    json_text_raw(text, ",");
}

static void write_properties(struct json_text *text, const struct publication *publication)
{
    struct span props = publication->props;
    struct retained_property property;

    json_text_raw(text, ",\"properties\":{");
    while (query_next_property(&props, &property))
        write_property(text, &property);
    write_user_properties(text, publication->props);
    json_text_raw(text, "}");
}

static void write_whole(struct list_reply *reply, const struct query *query, const void *at)
{
    const enum encoding *encoding = list_state(reply);
    const struct retained_record *record = at;
    const struct publication *publication = &record->message->publication;
    struct json_text *text = list_text(reply);
    struct span payload = publication->payload;
    bool is_text = *encoding != AS_BASE64 && utf8_valid(payload.data, payload.len);

    (void)query;
    if (*encoding == AS_TEXT && !is_text) {
        list_fail_with(reply, 400, API_BAD_PARAMETER,
                       "encoding: the payload is not UTF-8 text; ask for base64");
        return;
    }
    write_head(reply, publication);
    json_text_raw(text, is_text ? ",\"encoding\":\"plain\",\"payload\":"
                                : ",\"encoding\":\"base64\",\"payload\":");
    if (is_text)
        json_text_string(text, payload);
    else
        json_text_base64(text, payload);
    write_properties(text, publication);
    json_text_raw(text, "}");
}

static void nothing_there(struct list_reply *reply)
{
    list_fail_with(reply, 404, API_UNKNOWN, "nothing is retained for this topic");
}

static const struct list_style whole_style = {
    .write = write_whole, .absent = nothing_there, .release = mem_free, .single = true};

/* False, and it was answered, when the path's topic is none. */
static bool read_topic(struct api_request *request, struct span *topic)
{
    *topic = api_path_parameter(request, 0);
    if (query_topic_valid(*topic))
        return true;
    api_reply_error(request, 400, API_BAD_PARAMETER,
                    "this is not a topic name; \"/\" in it is written %%2F");
    return false;
}

void api_get_retained(struct api_request *request)
{
    struct query_terms terms = {.list = QUERY_RETAINED};
    enum encoding *encoding;
    struct span value;

    if (!read_topic(request, &terms.filter))
        return;
    encoding = mem_try_zalloc(sizeof(*encoding));
    if (encoding == NULL) {
        api_reply_error(request, 503, API_UNKNOWN, "the broker has no memory left for this");
        return;
    }
    if (api_query(request, "encoding", &value))
        *encoding = span_equal(value, span_text("plain")) ? AS_TEXT : AS_BASE64;
    list_answer(request, &terms, &whole_style, encoding);
}

/* ---- DELETE retained/{topic} ---- */

static void forgotten(void *argument, struct api_request *request, struct errand *errand)
{
    (void)argument;
    if (forget_of(errand)->known)
        api_reply_ok(request);
    else
        api_reply_error(request, 404, API_UNKNOWN, "nothing is retained for this topic");
}

void api_delete_retained(struct api_request *request)
{
    unsigned shards = machine_shard_count(api_shard(api_of(request))->machine);
    struct span topic;
    struct forget *forget;

    if (!read_topic(request, &topic))
        return;
    forget = forget_create(topic);
    order_answer(request, query_retained_owner(topic, shards),
                 forget == NULL ? NULL : &forget->errand, forgotten, NULL);
}
