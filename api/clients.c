/* SPDX-License-Identifier: MIT
 *
 * clients - the clients: lists, single ones, and their end by an operator's order.
 *
 * The members of NanoMQ come first, in its order; what it does not tell follows, with the names that EMQX has for it.
 */
#include "api/api_priv.h"

#include "api/handlers.h"
#include "api/list.h"
#include "api/order.h"
#include "base/utf8.h"
#include "broker/orders.h"
#include "conf/conf.h"
#include "shards/observe.h"

#include <arpa/inet.h>

/* ---- a client as JSON ---- */

struct client_texts {
    struct span client_identifier, username, will_topic, will_payload, peer_path;
};

static struct client_texts texts_of(const struct client_record *record)
{
    const uint8_t *at = record->text;
    struct client_texts texts;

    texts.client_identifier = span_of(at, record->client_identifier_len);
    at += record->client_identifier_len;
    texts.username = span_of(at, record->username_len);
    at += record->username_len;
    texts.will_topic = span_of(at, record->will_topic_len);
    at += record->will_topic_len;
    texts.will_payload = span_of(at, record->will_payload_len);
    at += record->will_payload_len;
    texts.peer_path = span_of(at, record->peer_path_len);
    return texts;
}

static void member_number(struct json_text *text, const char *name, uint64_t value)
{
    json_text_raw(text, name);
    json_text_number(text, value);
}

static void write_will(struct json_text *text, const struct client_texts *texts)
{
    struct span payload = texts->will_payload;

    json_text_raw(text, ",\"will_topic\":");
    json_text_string(text, texts->will_topic);
    json_text_raw(text, ",\"will_msg\":");
    if (utf8_valid(payload.data, payload.len)) {
        json_text_string(text, payload);
    } else {
        json_text_base64(text, payload);
        json_text_raw(text, ",\"will_msg_encoding\":\"base64\"");
    }
}

static void write_address(struct json_text *text, const struct client_record *record,
                          struct span path)
{
    char address[sizeof("unix:") + CONF_UNIX_PATH_MAX];

    if (record->connected && path.len != 0) {
        snprintf(address, sizeof(address), "unix:%.*s", (int)path.len, (const char *)path.data);
        json_text_raw(text, ",\"ip_address\":");
        json_text_string(text, span_text(address));
        json_text_raw(text, ",\"port\":null");
        return;
    }
    if (!record->connected ||
        inet_ntop(record->peer.family, record->peer.bytes, address, sizeof(address)) == NULL) {
        json_text_raw(text, ",\"ip_address\":null,\"port\":null");
        return;
    }
    json_text_raw(text, ",\"ip_address\":");
    json_text_string(text, span_text(address));
    member_number(text, ",\"port\":", record->peer.port);
}

static void write_times(struct json_text *text, const struct client_record *record)
{
    json_text_raw(text, record->connected ? ",\"connected_at\":" : ",\"disconnected_at\":");
    json_text_time(text, record->changed_ms);
    member_number(text, ",\"expiry_interval\":", record->expiry_s);
    if (!record->connected && record->expires_in_ms != UINT64_MAX)
        member_number(text, ",\"expires_in\":", record->expires_in_ms / 1000);
}

/* What a session has, and what its present connection has moved. */
static void write_traffic(struct json_text *text, const struct client_record *record)
{
    member_number(text, ",\"subscriptions_cnt\":", record->subscriptions);
    member_number(text, ",\"mqueue_len\":", record->queued);
    member_number(text, ",\"mqueue_bytes\":", record->queued_bytes);
    member_number(text, ",\"inflight\":", record->in_flight);
    member_number(text, ",\"max_inflight\":", record->receive_maximum);
    member_number(text, ",\"awaiting_rel\":", record->unreleased);
    member_number(text, ",\"recv_msg\":", record->traffic.message_in);
    member_number(text, ",\"recv_oct\":", record->traffic.byte_in);
    member_number(text, ",\"send_msg\":", record->traffic.message_out);
    member_number(text, ",\"send_oct\":", record->traffic.byte_out);
}

static void write_client(struct list_reply *reply, const struct query *query, const void *at)
{
    const struct client_record *record = at;
    const struct client_texts texts = texts_of(record);
    struct json_text *text = list_text(reply);

    list_comma(reply);
    json_text_raw(text, "{\"client_id\":");
    json_text_string(text, texts.client_identifier);
    json_text_raw(text, ",\"username\":");
    json_text_string(text, texts.username);
    member_number(text, ",\"keepalive\":", record->keep_alive_s);
    json_text_raw(text, record->connected ? ",\"conn_state\":\"connected\",\"clean_start\":"
                                          : ",\"conn_state\":\"disconnected\",\"clean_start\":");
    json_text_bool(text, record->clean_start);
    json_text_raw(text, record->version == MQTT_3_1 ? ",\"proto_name\":\"MQIsdp\""
                                                    : ",\"proto_name\":\"MQTT\"");
    member_number(text, ",\"proto_ver\":", record->version);
    if (record->has_will)
        write_will(text, &texts);
    write_address(text, record, texts.peer_path);
    write_times(text, record);
    write_traffic(text, record);
    member_number(text, ",\"shard\":", query->errand.shard);
    json_text_raw(text, "}");
}

static const struct list_style client_style = {.write = write_client, .meta = true};

/* ---- filters ---- */

/* A term that must be equal to another one for the same thing. False when the two contradict each other. */
static bool same_or_new(struct span *term, struct span value)
{
    if (term->data != NULL)
        return span_equal(*term, value);
    *term = value.data == NULL ? span_of("", 0) : value;
    return true;
}

static enum query_choice choice_of(struct span value, const char *yes)
{
    return span_equal(value, span_text(yes)) ? QUERY_YES : QUERY_NO;
}

/* The versions of the protocol that proto_name and proto_ver leave. */
static unsigned versions_of(const struct api_request *request)
{
    unsigned versions = 1u << MQTT_3_1 | 1u << MQTT_3_1_1 | 1u << MQTT_5;
    struct span name;
    int64_t number;

    if (api_query(request, "proto_name", &name))
        versions &= span_equal(name, span_text("MQIsdp")) ? 1u << MQTT_3_1 : ~(1u << MQTT_3_1);
    if (api_query_number(request, "proto_ver", &number))
        versions &= 1u << number;
    return versions;
}

/* Adds the query's filters to the terms. False when nobody can fit them. */
static bool read_filters(const struct api_request *request, struct query_terms *terms)
{
    struct span value;
    unsigned versions = versions_of(request);

    if ((api_query(request, "clientid", &value) &&
         !same_or_new(&terms->client_identifier, value)) ||
        (api_query(request, "client_id", &value) &&
         !same_or_new(&terms->client_identifier, value)) ||
        (api_query(request, "username", &value) && !same_or_new(&terms->username, value)))
        return false;
    if (api_query(request, "conn_state", &value))
        terms->connected = choice_of(value, "connected");
    if (api_query(request, "clean_start", &value))
        terms->clean_start = choice_of(value, "true");
    terms->versions = (uint8_t)versions;
    return versions != 0;
}

static void answer(struct api_request *request, struct query_terms *terms)
{
    terms->list = QUERY_CLIENTS;
    if (read_filters(request, terms))
        list_answer(request, terms, &client_style, NULL);
    else
        list_answer_nothing(request, &client_style);
}

void api_list_clients(struct api_request *request)
{
    struct query_terms terms = {0};

    answer(request, &terms);
}

void api_get_client(struct api_request *request)
{
    struct query_terms terms = {.client_identifier = api_path_parameter(request, 0)};

    answer(request, &terms);
}

void api_get_clients_of_user(struct api_request *request)
{
    struct query_terms terms = {.username = api_path_parameter(request, 0)};

    answer(request, &terms);
}

/* ---- DELETE clients/{id} ---- */

static void kicked(void *argument, struct api_request *request, struct errand *errand)
{
    const struct kick *kick = kick_of(errand);

    (void)argument;
    if (!kick->known)
        api_reply_error(request, 404, API_CLIENT_OFFLINE, "there is no such client");
    else if (!kick->was_connected && kick->session_kept)
        api_reply_error(request, 404, API_CLIENT_OFFLINE,
                        "the client is not connected; session=remove ends its session");
    else
        api_reply_ok(request);
}

/* From the query, or from the body. False: it was answered. */
static bool read_kick(struct api_request *request, int64_t *reason, bool *remove)
{
    const cJSON *body = api_body(request);
    const cJSON *number = cJSON_GetObjectItemCaseSensitive(body, "reason_code");
    const cJSON *session = cJSON_GetObjectItemCaseSensitive(body, "session");
    struct span value;

    if (number != NULL)
        *reason = (int64_t)number->valuedouble;
    if (session != NULL)
        *remove = strcmp(session->valuestring, "remove") == 0;
    api_query_number(request, "reason_code", reason);
    if (api_query(request, "session", &value))
        *remove = span_equal(value, span_text("remove"));
    if (kick_reason_valid((unsigned)*reason))
        return true;
    api_reply_error(
        request, 400, API_BAD_PARAMETER,
        "reason_code: %lld is not a reason with which a server ends a connection: 128 to "
        "162, as MQTT 5.0 has them in 3.14.2.1",
        (long long)*reason);
    return false;
}

void api_kick_client(struct api_request *request)
{
    unsigned shards = machine_shard_count(api_shard(api_of(request))->machine);
    struct span identifier = api_path_parameter(request, 0);
    int64_t reason = MQTT_REASON_ADMINISTRATIVE_ACTION;
    bool remove = false;
    struct kick *kick;

    if (!read_kick(request, &reason, &remove))
        return;
    kick = kick_create(identifier, (uint8_t)reason, remove);
    order_answer(request, broker_home_shard(identifier, shards),
                 kick == NULL ? NULL : &kick->errand, kicked, NULL);
}
