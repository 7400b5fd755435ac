/* SPDX-License-Identifier: MIT
 *
 * subscriptions - who has subscribed to what, flat and by client; request codes 4 and 5.
 */
#include "api/api_priv.h"

#include "api/handlers.h"
#include "api/list.h"

static struct span client_of(const struct subscription_record *record)
{
    return span_of(record->text, record->client_identifier_len);
}

static struct span filter_of(const struct subscription_record *record)
{
    return span_of(record->text + record->client_identifier_len, record->filter_len);
}

/* ---- GET subscriptions ---- */

static void write_subscription(struct list_reply *reply, const struct query *query, const void *at)
{
    const struct subscription_record *record = at;
    struct json_text *text = list_text(reply);

    (void)query;
    list_comma(reply);
    json_text_raw(text, "{\"clientid\":");
    json_text_string(text, client_of(record));
    json_text_raw(text, ",\"topic\":");
    json_text_string(text, filter_of(record));
    json_text_raw(text, ",\"qos\":");
    json_text_number(text, record->qos);
    json_text_raw(text, "}");
}

static const struct list_style subscription_style = {.write = write_subscription, .meta = true};

static void answer(struct api_request *request, struct query_terms *terms)
{
    int64_t qos;

    terms->list = QUERY_SUBSCRIPTIONS;
    (void)api_query(request, "topic", &terms->filter);
    if (api_query_number(request, "qos", &qos))
        terms->qos = (uint8_t)(1u << qos);
    list_answer(request, terms, &subscription_style, NULL);
}

void api_list_subscriptions(struct api_request *request)
{
    struct query_terms terms = {0};

    (void)api_query(request, "clientid", &terms.client_identifier);
    answer(request, &terms);
}

void api_list_client_subscriptions(struct api_request *request)
{
    struct query_terms terms = {.client_identifier = api_path_parameter(request, 0)};

    answer(request, &terms);
}

/* ---- req 4: one element for each client that has any ---- */

/* Records of one client follow each other: the element stays open until those of another come. */
struct open_element {
    struct json_text client; /* as it was written; empty: none is open */
};

static void open_element(struct list_reply *reply, struct span client)
{
    struct open_element *open = list_state(reply);
    struct json_text *text = list_text(reply), name = {0};

    json_text_string(&name, client);
    if (name.failed) {
        text->failed = true;
        json_text_free(&name);
        return;
    }
    if (open->client.len == name.len && memcmp(open->client.data, name.data, name.len) == 0) {
        json_text_free(&name);
        json_text_raw(text, ",");
        return;
    }
    if (open->client.len > 0)
        json_text_raw(text, "]}");
    json_text_free(&open->client);
    open->client = name;
    list_comma(reply);
    json_text_raw(text, "{\"client_id\":");
    json_text_string(text, client);
    json_text_raw(text, ",\"subscriptions\":[");
}

static void write_grouped(struct list_reply *reply, const struct query *query, const void *at)
{
    const struct subscription_record *record = at;
    struct json_text *text = list_text(reply);

    (void)query;
    open_element(reply, client_of(record));
    json_text_raw(text, "{\"topic\":");
    json_text_string(text, filter_of(record));
    json_text_raw(text, ",\"qos\":");
    json_text_number(text, record->qos);
    json_text_raw(text, "}");
}

static void close_element(struct list_reply *reply)
{
    struct open_element *open = list_state(reply);

    if (open->client.len > 0)
        json_text_raw(list_text(reply), "]}");
}

static void release_element(void *state)
{
    struct open_element *open = state;

    if (open == NULL)
        return;
    json_text_free(&open->client);
    mem_free(open);
}

static const struct list_style grouped_style = {
    .write = write_grouped, .finish = close_element, .release = release_element};

void api_code_subscriptions(struct api_request *request)
{
    const struct query_terms terms = {.list = QUERY_SUBSCRIPTIONS};
    struct open_element *open = mem_try_zalloc(sizeof(*open));

    if (open == NULL)
        api_reply_error(request, 503, API_UNKNOWN, "the broker has no memory left for this list");
    else
        list_answer(request, &terms, &grouped_style, open);
}

/* ---- req 5: every client ---- */

static void write_short_client(struct list_reply *reply, const struct query *query, const void *at)
{
    const struct client_record *record = at;
    struct json_text *text = list_text(reply);

    (void)query;
    list_comma(reply);
    json_text_raw(text, "{\"client_id\":");
    json_text_string(text, span_of(record->text, record->client_identifier_len));
    json_text_raw(text, ",\"username\":");
    json_text_string(text,
                     span_of(record->text + record->client_identifier_len, record->username_len));
    json_text_raw(text, ",\"keepalive\":");
    json_text_number(text, record->keep_alive_s);
    json_text_raw(text, ",\"protocol\":");
    json_text_number(text, record->version);
    json_text_raw(text, record->connected ? ",\"connect_status\":1" : ",\"connect_status\":0");
    json_text_raw(text, ",\"message_receive\":");
    json_text_number(text, record->traffic.message_out);
    json_text_raw(text, "}");
}

static const struct list_style short_style = {.write = write_short_client};

void api_code_clients(struct api_request *request)
{
    const struct query_terms terms = {.list = QUERY_CLIENTS};

    list_answer(request, &terms, &short_style, NULL);
}
