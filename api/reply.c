/* SPDX-License-Identifier: MIT
 *
 * reply - how answers look: a status line, the same headers each time, and the body.
 */
#include "api/api_priv.h"

#include "base/log.h"
#include "base/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#define HEAD_MAX     2048u
#define SENTENCE_MAX 512u

/* ---- headers ---- */

static void print_date(const struct api_request *request, FILE *to)
{
    time_t seconds = (time_t)(request->api->shard->wall_ms / 1000u);
    struct tm utc;
    char text[48];

    gmtime_r(&seconds, &utc);
    strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &utc); /* RFC 9110, 5.6.7 */
    fprintf(to, "Date: %s\r\n", text);
}

/* For pages of other origins that were allowed to read the answer. */
static void print_cors(const struct api_request *request, FILE *to)
{
    fprintf(to, "Access-Control-Allow-Origin: %.*s\r\nVary: Origin\r\n", (int)request->origin.len,
            (const char *)request->origin.data);
    if (request->http.method != HTTP_METHOD_OPTIONS)
        return;
    fprintf(to,
            "Access-Control-Allow-Methods: %s\r\n"
            "Access-Control-Allow-Headers: Authorization, Content-Type\r\n"
            "Access-Control-Max-Age: 600\r\n",
            request->allow);
}

/* How the body's end is found (RFC 9112, 6.3). */
static void print_length(const struct api_request *request, size_t len, FILE *to)
{
    if (!request->streaming)
        fprintf(to, "Content-Length: %zu\r\n", len);
    else if (request->http.http_1_1)
        fputs("Transfer-Encoding: chunked\r\n", to);
}

static void print_head(const struct api_request *request, unsigned status, const char *content_type,
                       size_t len, FILE *to)
{
    bool old = request->http.headers.count != 0 && !request->http.http_1_1;

    fprintf(to, "HTTP/1.1 %u %s\r\n", status, http_reason(status));
    print_date(request, to);
    if (status != 204) {
        fprintf(to, "Content-Type: %s\r\n", content_type);
        print_length(request, len, to);
    }
    fputs("Cache-Control: no-store\r\n"
          "X-Content-Type-Options: nosniff\r\n"
          "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n"
          "Referrer-Policy: no-referrer\r\n",
          to);
    if (request->challenge)
        fputs(api_conf(request->api)->http_server_auth_type == CONF_HTTP_AUTH_JWT
                  ? "WWW-Authenticate: Bearer realm=\"ShardMQ\"\r\n"
                  : "WWW-Authenticate: Basic realm=\"ShardMQ\", charset=\"UTF-8\"\r\n",
              to);
    if (request->retry_s != 0)
        fprintf(to, "Retry-After: %u\r\n", request->retry_s);
    if (request->allow[0] != '\0')
        fprintf(to, "Allow: %s\r\n", request->allow);
    if (request->origin.len != 0)
        print_cors(request, to);
    if (server_closes(request))
        fputs("Connection: close\r\n", to);
    else if (old)
        fputs("Connection: keep-alive\r\n", to);
    fputs("\r\n", to);
}

/* ---- bytes ---- */

static bool put(struct api_request *request, const void *data, size_t len)
{
    struct outbox *out = server_outbox(request);
    uint8_t *to;

    if (len == 0)
        return true;
    if (len > UINT32_MAX / 2)
        return false;
    to = outbox_reserve(out, broker_outbox_pool(request->api->shard->broker), (uint32_t)len);
    if (to == NULL)
        return false;
    memcpy(to, data, len);
    outbox_commit(out, (uint32_t)len);
    return true;
}

bool reply_continue(struct api_request *request)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";

    if (!put(request, text, sizeof(text) - 1))
        return false;
    server_flush(request);
    return true;
}

static void count_answer(const struct api_request *request, unsigned status)
{
    struct shard_stats *stats = request->api->shard->stats;

    if (status < 400)
        STAT_INC(stats, http_done);
    else if (status < 500)
        STAT_INC(stats, http_refused);
    else
        STAT_INC(stats, http_failed);
}

/* Counts it; what changes something is one line for whoever wants to know who did it. */
static void note_answer(const struct api_request *request, unsigned status)
{
    bool reads = request->http.method == HTTP_METHOD_GET ||
                 request->http.method == HTTP_METHOD_HEAD ||
                 request->http.method == HTTP_METHOD_OPTIONS;
    char peer[PEER_NAME_MAX];

    count_answer(request, status);
    if (!LOG_ENABLED(reads ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO))
        return;
    server_peer_name(request, peer, sizeof(peer));
    if (reads)
        LOG_DEBUG("http: %s %s from %s: %u", http_method_name(request->http.method),
                  request->shown_path, peer, status);
    else
        LOG_INFO("http: %s %s from %s: %u", http_method_name(request->http.method),
                 request->shown_path, peer, status);
}

static bool put_head(struct api_request *request, unsigned status, const char *content_type,
                     size_t len)
{
    char head[HEAD_MAX];
    FILE *to = fmemopen(head, sizeof(head), "w");
    long head_len = -1;

    if (to != NULL) {
        print_head(request, status, content_type, len, to);
        head_len = ftell(to);
        if (fclose(to) != 0)
            head_len = -1;
    }
    return head_len > 0 && put(request, head, (size_t)head_len);
}

void reply_bytes(struct api_request *request, unsigned status, const char *content_type,
                 const void *body, size_t len)
{
    bool bodiless = request->http.method == HTTP_METHOD_HEAD || status == 204;

    if (!put_head(request, status, content_type, len) || !put(request, body, bodiless ? 0 : len)) {
        server_give_up(request); /* a part of an answer is none */
        return;
    }
    note_answer(request, status);
    server_answered(request);
}

/* ---- in pieces ---- */

void api_stream_begin(struct api_request *request, const char *content_type)
{
    ASSERT(!request->streaming);
    request->streaming = true;
    if (!put_head(request, 200, content_type, 0))
        server_give_up(request);
    else
        note_answer(request, 200);
}

/* One chunk (RFC 9112, 7.1); the last one has no bytes. */
static bool put_chunk(struct api_request *request, const char *data, size_t len)
{
    char size[24];

    if (!request->http.http_1_1)
        return put(request, data, len);
    return put(request, size, (size_t)snprintf(size, sizeof(size), "%zx\r\n", len)) &&
           put(request, data, len) && put(request, "\r\n", 2);
}

bool api_stream_write(struct api_request *request, const char *data, size_t len)
{
    ASSERT(request->streaming);
    if (request->answered) /* given up */
        return true;
    if (len != 0 && request->http.method != HTTP_METHOD_HEAD && !put_chunk(request, data, len)) {
        server_give_up(request); /* a part of an answer is none */
        return true;
    }
    return server_piece_written(request);
}

void api_stream_end(struct api_request *request)
{
    ASSERT(request->streaming);
    if (request->answered)
        return;
    if (request->http.method != HTTP_METHOD_HEAD && !put_chunk(request, "", 0))
        server_give_up(request);
    else
        server_answered(request);
}

void api_stream_abort(struct api_request *request)
{
    ASSERT(request->streaming);
    if (!request->answered)
        server_give_up(request);
}

/* ---- whole ---- */

void api_reply_text(struct api_request *request, unsigned status, const char *content_type,
                    const char *text, size_t len)
{
    reply_bytes(request, status, content_type, text, len);
}

void api_reply_json(struct api_request *request, unsigned status, cJSON *body)
{
    char *text = body == NULL ? NULL : cJSON_PrintUnformatted(body);

    cJSON_Delete(body);
    if (text == NULL) {
        static const char sorry[] = "{\"code\":102,\"message\":\"no memory\"}";

        reply_bytes(request, 500, "application/json", sorry, sizeof(sorry) - 1);
        return;
    }
    reply_bytes(request, status, "application/json", text, strlen(text));
    cJSON_free(text);
}

/* ---- what they say ---- */

/* code, then for a request code seq and rep (nanomq's order of members). */
static cJSON *envelope(const struct api_request *request, enum api_code code)
{
    cJSON *json = cJSON_CreateObject();

    cJSON_AddNumberToObject(json, "code", code);
    if (request->route == NULL || (request->route->flags & API_ENVELOPE) == 0)
        return json;
    cJSON_AddRawToObject(json, "seq", request->seq[0] == '\0' ? "0" : request->seq);
    if (request->rep > 0)
        cJSON_AddNumberToObject(json, "rep", request->rep);
    return json;
}

void api_reply_data(struct api_request *request, cJSON *data)
{
    cJSON *json = data == NULL ? NULL : envelope(request, API_OK);

    if (json != NULL)
        cJSON_AddItemToObject(json, "data", data);
    api_reply_json(request, 200, json);
}

void api_reply_ok(struct api_request *request)
{
    api_reply_json(request, 200, envelope(request, API_OK));
}

void api_reply_code(struct api_request *request, cJSON *data)
{
    if (data == NULL)
        api_reply_ok(request);
    else
        api_reply_data(request, data);
}

/* What was cut in the middle of a character must not make the answer something else than UTF-8. */
static void make_unicode(char *sentence)
{
    if (utf8_valid((const uint8_t *)sentence, strlen(sentence)))
        return;
    for (; *sentence != '\0'; sentence++)
        if ((unsigned char)*sentence >= 0x80)
            *sentence = '?';
}

void api_reply_error(struct api_request *request, unsigned status, enum api_code code,
                     const char *format, ...)
{
    char sentence[SENTENCE_MAX];
    cJSON *json = envelope(request, code);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(sentence, sizeof(sentence), format, arguments);
    va_end(arguments);
    make_unicode(sentence);
    cJSON_AddStringToObject(json, "message", sentence);
    api_reply_json(request, status, json);
}
