/* SPDX-License-Identifier: MIT
 *
 * server - HTTP/1.1 on the byte connections of the control shard.
 *
 * One request of a connection at a time; what the client sent behind it (pipelining) waits where the
 * connections keep the bytes of those that are not read:
 *
 *   HEAD --head complete--> admitted? --no--> answer, close if a body was to follow
 *    ^                         |yes
 *    |                       BODY --complete--> handler --answers--> (output taken) --> HEAD
 *    |                                             |  \                        \--> CLOSING
 *    +----------- api_reply_*() <-- ANSWERING <----+   api_defer()
 *
 * The row, the credentials and the query are looked at before the body: nobody unknown makes the
 * broker keep more than a head.
 *
 * Invariants
 *   I1  `input` holds the present request and nothing behind it; the views of the request point into
 *       it, and follow when it is moved, which it is not between the dispatch and the answer
 *   I2  a request is answered exactly once; ANSWERING ends with the answer, the client's end or the
 *       timer
 *   I3  one timer: idle (HEAD without a byte), arriving (HEAD, BODY), deferred (ANSWERING), or an
 *       answer that is not taken
 *   I4  nothing is read while an answer is outstanding or OUTPUT_MARK bytes wait to be taken
 */
#include "api/api_priv.h"

#include "base/log.h"
#include "conf/conf.h"
#include "shards/machine.h"

#define INPUT_FIRST 1024u
#define OUTPUT_MARK 262144u

enum server_state { STATE_HEAD, STATE_BODY, STATE_ANSWERING, STATE_CLOSING };

/* Owner: shard. The state behind struct conn. */
struct server_conn {
    struct outbox out; /* first */
    struct api *api;
    uint8_t *input;
    uint32_t input_len, input_capacity;
    uint32_t head_len;
    size_t scanned;
    enum server_state state;
    bool keep_alive;
    struct http_chunks chunks;
    struct timer timer;
    struct api_request request;
};

static struct server_conn *server_of(const struct conn *conn)
{
    return conn_state(conn);
}

static struct server_conn *server_of_request(const struct api_request *request)
{
    return CONTAINER_OF((struct api_request *)(uintptr_t)request, struct server_conn, request);
}

/* ---- time ---- */

static void arm(struct server_conn *server, uint64_t wait_ms)
{
    struct shard *shard = server->api->shard;

    timer_arm(&shard->timers, &server->timer, shard->now_ms + wait_ms);
}

static void arm_for_state(struct server_conn *server)
{
    const struct conf *conf = api_conf(server->api);

    if (server->state == STATE_ANSWERING && !server->request.streaming)
        arm(server, API_DEFERRED_MS);
    else if (server->out.bytes == 0 && server->state == STATE_HEAD && server->input_len == 0)
        arm(server, conf->http_server_idle_timeout_ms);
    else
        arm(server, conf->http_server_request_timeout_ms);
}

static void timer_fired(void *owner, struct timer *timer)
{
    struct shard *shard = owner;
    struct server_conn *server = CONTAINER_OF(timer, struct server_conn, timer);
    struct conn *conn = conn_of_state(server);

    switch (server->state) {
    case STATE_ANSWERING:
        if (server->request.streaming) {
            conn_kill(shard, conn); /* it does not take its answer, or there is none any more */
            break;
        }
        server->keep_alive = false;
        api_reply_error(&server->request, 504, API_UNKNOWN, "the broker did not answer in time");
        break;
    case STATE_HEAD:
    case STATE_BODY:
        if (server->out.bytes == 0 && server->input_len != 0) {
            server->keep_alive = false;
            api_reply_error(&server->request, 408, API_UNKNOWN,
                            "the request did not arrive within http_server.request_timeout");
            break;
        }
        conn_kill(shard, conn); /* idle, or it does not take its answer */
        break;
    case STATE_CLOSING:
        conn_kill(shard, conn);
        break;
    }
}

/* ---- watchers ---- */

void api_watch(struct api_request *request, api_watcher *watcher, void *argument)
{
    request->watcher = watcher;
    request->watcher_argument = argument;
}

static void tell_gone(struct api_request *request)
{
    api_watcher *watcher = request->watcher;

    request->watcher = NULL;
    if (watcher != NULL)
        watcher(request->watcher_argument, API_GONE);
}

/* The client has taken some of an answer in pieces. The watcher may end it. */
static void tell_room(struct api_request *request)
{
    if (!request->wants_room || server_outbox(request)->bytes > OUTPUT_MARK / 2)
        return;
    request->wants_room = false;
    if (request->watcher != NULL)
        request->watcher(request->watcher_argument, API_ROOM);
}

bool server_piece_written(struct api_request *request)
{
    struct server_conn *server = server_of_request(request);

    arm_for_state(server);
    conn_again(server->api->shard, conn_of_state(server));
    request->wants_room = server->out.bytes > OUTPUT_MARK;
    return !request->wants_room;
}

/* ---- life ---- */

static void opened(struct shard *shard, struct conn *conn, bool adopted)
{
    struct server_conn *server = server_of(conn);

    (void)adopted;
    server->api = control_service(shard);
    timer_init(&server->timer, timer_fired);
    server->request.api = server->api;
    arm_for_state(server);
}

static void drop_input(struct server_conn *server)
{
    mem_free_wiped(server->input, server->input_capacity);
    server->input = NULL;
    server->input_len = server->input_capacity = 0;
}

/* Forgets the request that was answered. */
static void next_request(struct server_conn *server)
{
    cJSON_Delete(server->request.body);
    memset(&server->request, 0, sizeof(server->request));
    server->request.api = server->api;
    server->head_len = 0;
    server->scanned = 0;
    server->chunks = (struct http_chunks){0};
    drop_input(server);
    server->state = STATE_HEAD;
}

static void release_chunks(struct shard *shard, struct server_conn *server,
                           struct outbox_chunk *chunk)
{
    while (chunk != NULL) {
        struct outbox_chunk *next = chunk->next;

        outbox_release(&server->out, broker_outbox_pool(shard->broker), chunk);
        chunk = next;
    }
}

static void closed(struct shard *shard, struct conn *conn, struct outbox_chunk *unsent)
{
    struct server_conn *server = server_of(conn);
    struct outbox_chunk *queued = server->out.head;

    tell_gone(&server->request);
    server->out.head = server->out.tail = NULL;
    release_chunks(shard, server, unsent);
    release_chunks(shard, server, queued);
    timer_disarm(&shard->timers, &server->timer);
    next_request(server);
}

/* ---- bytes in ---- */

static bool room_for(struct server_conn *server, uint32_t more)
{
    uint32_t capacity = server->input_capacity == 0 ? INPUT_FIRST : server->input_capacity;
    uint8_t *grown;

    while (capacity - server->input_len < more)
        capacity *= 2;
    if (capacity == server->input_capacity)
        return true;
    grown = mem_try_realloc_wiped(server->input, server->input_len, capacity);
    if (grown == NULL)
        return false;
    server->input = grown;
    server->input_capacity = capacity;
    return true;
}

static bool append(struct server_conn *server, const uint8_t *data, uint32_t len)
{
    if (!room_for(server, len)) {
        server_give_up(&server->request);
        return false;
    }
    memcpy(server->input + server->input_len, data, len);
    server->input_len += len;
    return true;
}

/* Answers before the request was read to its end, so that what follows cannot be told from it. */
static void refuse(struct server_conn *server, const struct http_error *error)
{
    server->keep_alive = false;
    api_reply_error(&server->request, error->status, API_UNKNOWN, "%s", error->sentence);
}

static void dispatch(struct server_conn *server)
{
    struct api_request *request = &server->request;

    request->body_bytes =
        span_of(server->input + server->head_len, server->input_len - server->head_len);
    server->state = STATE_ANSWERING; /* until it is answered */
    router_dispatch(request);
    if (server->state == STATE_ANSWERING)
        arm_for_state(server);
}

static uint64_t body_max(const struct server_conn *server)
{
    return api_conf(server->api)->http_server_max_body;
}

/* The head is there: goes on to the body, if it is to have one. */
static void begin(struct server_conn *server)
{
    struct api_request *request = &server->request;
    struct http_request *http = &request->http;
    struct http_error error;

    request->serial = ++server->api->serial;
    if (!http_parse_request(span_of(server->input, server->head_len), http, &error)) {
        refuse(server, &error);
        return;
    }
    log_escape(request->shown_path, sizeof(request->shown_path), http->path);
    server->keep_alive = http->keep_alive && !server->api->stopping;
    if (http->content_length > body_max(server)) {
        refuse(server, &(struct http_error){413, "the body is larger than http_server.max_body"});
        return;
    }
    server->state = STATE_BODY;
    if (!router_admit(request, conn_of_state(server)))
        return;
    if (!http->chunked && http->content_length == 0)
        dispatch(server);
    else if (http->expects_continue && !reply_continue(request))
        server_give_up(request);
}

static void move(struct span *view, uintptr_t from, const uint8_t *to)
{
    if (view->len != 0)
        view->data = to + ((uintptr_t)view->data - from);
}

/* The views of the request follow its bytes when those were moved. */
static void move_views(struct api_request *request, uintptr_t from, const uint8_t *to)
{
    move(&request->http.path, from, to);
    move(&request->http.query, from, to);
    move(&request->origin, from, to);
    for (unsigned i = 0; i < request->http.headers.count; i++) {
        move(&request->http.headers.row[i].name, from, to);
        move(&request->http.headers.row[i].value, from, to);
    }
    for (unsigned i = 0; i < API_PATH_PARAMETERS_MAX; i++)
        move(&request->parameters[i], from, to);
    for (unsigned i = 0; i < request->query_count; i++)
        move(&request->query[i].value, from, to);
}

static uint32_t take_head(struct server_conn *server, const uint8_t *data, uint32_t len)
{
    uint32_t before = server->input_len, take = len;
    struct http_error error;
    size_t head_len = 0;

    if (before == 0)
        arm(server, api_conf(server->api)->http_server_request_timeout_ms);
    if (take > HTTP_HEAD_MAX + 1 - before)
        take = HTTP_HEAD_MAX + 1 - before;
    if (!append(server, data, take))
        return len;
    switch (http_find_head(server->input, server->input_len, &server->scanned, &head_len, &error)) {
    case HTTP_INCOMPLETE:
        return take;
    case HTTP_REFUSED:
        refuse(server, &error);
        return len;
    case HTTP_COMPLETE:
        break;
    }
    server->head_len = server->input_len = (uint32_t)head_len;
    begin(server);
    return (uint32_t)head_len - before;
}

/* Room for body bytes, with the views of the head moved along. */
static bool room_for_body(struct server_conn *server, uint32_t len)
{
    uintptr_t before = (uintptr_t)server->input;

    if (!room_for(server, len)) {
        server_give_up(&server->request);
        return false;
    }
    if ((uintptr_t)server->input != before)
        move_views(&server->request, before, server->input);
    return true;
}

static uint32_t take_chunked(struct server_conn *server, const uint8_t *data, uint32_t len)
{
    size_t written = 0, consumed = 0;
    enum http_found found;

    if (!room_for_body(server, len))
        return len;
    found = http_chunks_decode(&server->chunks, data, len, server->input + server->input_len,
                               &written, &consumed);
    server->input_len += (uint32_t)written;
    if (found == HTTP_REFUSED)
        refuse(server, &(struct http_error){400, "the body is not chunked as RFC 9112 has it"});
    else if (server->input_len - server->head_len > body_max(server))
        refuse(server, &(struct http_error){413, "the body is larger than http_server.max_body"});
    else if (found == HTTP_COMPLETE)
        dispatch(server);
    return (uint32_t)consumed;
}

static uint32_t take_body(struct server_conn *server, const uint8_t *data, uint32_t len)
{
    uint64_t missing = server->request.http.content_length - (server->input_len - server->head_len);
    uint32_t take = len < missing ? len : (uint32_t)missing;

    if (server->request.http.chunked)
        return take_chunked(server, data, len);
    if (!room_for_body(server, take))
        return len;
    memcpy(server->input + server->input_len, data, take);
    server->input_len += take;
    if (take == missing)
        dispatch(server);
    return take;
}

static bool may_read(struct shard *shard, const struct conn *conn)
{
    const struct server_conn *server = server_of(conn);

    (void)shard;
    return server->state != STATE_ANSWERING && server->out.bytes <= OUTPUT_MARK; /* I4 */
}

static enum conn_verdict on_bytes(struct shard *shard, struct conn *conn, const uint8_t *data,
                                  uint32_t len, uint32_t *consumed)
{
    struct server_conn *server = server_of(conn);

    while (*consumed < len && server->state != STATE_CLOSING) {
        if (!may_read(shard, conn))
            return CONN_PAUSE;
        if (server->state == STATE_HEAD)
            *consumed += take_head(server, data + *consumed, len - *consumed);
        else
            *consumed += take_body(server, data + *consumed, len - *consumed);
    }
    return server->state == STATE_CLOSING ? CONN_STOP
           : may_read(shard, conn)        ? CONN_CONTINUE
                                          : CONN_PAUSE;
}

static bool steady(const struct conn *conn)
{
    (void)conn;
    return true;
}

static bool half_closed(struct shard *shard, struct conn *conn)
{
    struct server_conn *server = server_of(conn);

    (void)shard;
    server->keep_alive = false;
    if (server->state == STATE_HEAD && server->out.bytes != 0)
        server->state = STATE_CLOSING;
    return server->state == STATE_ANSWERING || server->state == STATE_CLOSING;
}

/* ---- answers ---- */

struct outbox *server_outbox(struct api_request *request)
{
    return &server_of_request(request)->out;
}

/* Whether the request was read to its end, so that the next one can be told from it. */
static bool is_read(const struct server_conn *server)
{
    const struct http_request *http = &server->request.http;

    return server->state == STATE_ANSWERING ||
           (server->state == STATE_BODY && !http->chunked && http->content_length == 0);
}

bool server_closes(const struct api_request *request)
{
    const struct server_conn *server = server_of_request(request);

    return !server->keep_alive || !is_read(server) ||
           (request->streaming && !request->http.http_1_1);
}

void server_flush(struct api_request *request)
{
    struct server_conn *server = server_of_request(request);

    conn_again(server->api->shard, conn_of_state(server));
}

void server_peer_name(const struct api_request *request, char *to, size_t size)
{
    conn_peer_name(conn_of_state(server_of_request(request)), to, size);
}

void server_give_up(struct api_request *request)
{
    struct server_conn *server = server_of_request(request);

    server->state = STATE_CLOSING;
    request->answered = true;
    conn_kill(server->api->shard, conn_of_state(server));
}

void server_answered(struct api_request *request)
{
    struct server_conn *server = server_of_request(request);

    ASSERT(!request->answered); /* I2 */
    request->answered = true;
    tell_gone(request);
    if (server_closes(request))
        server->state = STATE_CLOSING;
    else
        next_request(server);
    arm_for_state(server);
    conn_again(server->api->shard, conn_of_state(server));
}

static void sent(struct shard *shard, struct conn *conn, struct outbox_chunk *chunk)
{
    struct server_conn *server = server_of(conn);

    outbox_release(&server->out, broker_outbox_pool(shard->broker), chunk);
    if (server->state == STATE_CLOSING && server->out.bytes == 0)
        conn_close_after_flush(shard, conn);
    else if (server->state != STATE_ANSWERING || server->request.streaming)
        arm_for_state(server);
    if (server->state == STATE_ANSWERING)
        tell_room(&server->request);
}

static bool lingers(const struct conn *conn)
{
    (void)conn;
    return true; /* it may have sent a body, or another request */
}

/* ---- later ---- */

struct api_handle api_defer(struct api_request *request)
{
    const struct conn *conn = conn_of_state(server_of_request(request));

    ASSERT(!request->answered);
    return (struct api_handle){
        .slot = conn->slot, .generation = conn->generation, .serial = request->serial};
}

struct api_request *api_resume(struct api *api, struct api_handle handle)
{
    struct conn *conn = conns_get(&api->shard->conns, handle.slot, handle.generation);
    struct server_conn *server;

    if (conn == NULL || (conn->flags & (CONN_DYING | CONN_ENDED)) != 0)
        return NULL;
    server = server_of(conn);
    return server->state == STATE_ANSWERING && server->request.serial == handle.serial
               ? &server->request
               : NULL;
}

/* ---- the service ---- */

static const struct conn_protocol protocol = {
    .state_size = sizeof(struct server_conn),
    .opened = opened,
    .on_bytes = on_bytes,
    .may_read = may_read,
    .steady = steady,
    .sent = sent,
    .half_closed = half_closed,
    .lingers = lingers,
    .closed = closed,
};

static void create_rows(struct api *api)
{
    api->schemas = schemas_create();
    api->routes = mem_zalloc(api_route_count * sizeof(*api->routes));
    api->codes = mem_zalloc((api_request_code_count + 1) * sizeof(*api->codes));
    for (unsigned i = 0; i < api_route_count; i++) {
        const struct api_route *route = &api_routes[i];

        if (route->query != NULL)
            api->routes[i].query = schema_create(api->schemas, route->query);
        if (route->body != NULL && strcmp(route->body, "text") != 0)
            api->routes[i].body = schema_create(api->schemas, route->body);
    }
    for (unsigned i = 0; i < api_request_code_count; i++) {
        char text[512];

        snprintf(text, sizeof(text), "{req:int,seq?:any%s%s}",
                 api_request_codes[i].members[0] == '\0' ? "" : ",", api_request_codes[i].members);
        api->codes[i].body = schema_create(api->schemas, text);
    }
}

static void *start(struct control *control)
{
    struct api *api = mem_zalloc(sizeof(*api));

    api->control = control;
    api->shard = control_shard(control);
    create_rows(api);
    api->rates = rates_create(machine_shard_count(api->shard->machine) + 1);
    api->started_s = (double)api->shard->wall_ms / 1e3;
    return api;
}

static void stopping(void *service)
{
    struct api *api = service;
    struct conns *conns = &api->shard->conns;

    api->stopping = true;
    for (uint32_t slot = 0; slot < conns->page_count << CONN_PAGE_BITS; slot++) {
        struct conn *conn = conn_at(conns, slot);
        struct server_conn *server = server_of(conn);

        if ((conn->flags & CONN_USED) == 0)
            continue;
        server->keep_alive = false;
        if (server->state == STATE_HEAD && server->out.bytes == 0 && server->input_len == 0)
            conn_kill(api->shard, conn);
    }
}

static void stop(void *service)
{
    struct api *api = service;

    for (unsigned i = 0; i < api_route_count; i++) {
        schema_destroy(api->routes[i].query);
        schema_destroy(api->routes[i].body);
    }
    for (unsigned i = 0; i < api_request_code_count; i++)
        schema_destroy(api->codes[i].body);
    mem_free(api->routes);
    mem_free(api->codes);
    schemas_destroy(api->schemas);
    rates_destroy(api->rates);
    mem_free(api);
}

const struct machine_service api_service = {
    .protocol = &protocol,
    .start = start,
    .stopping = stopping,
    .stop = stop,
};
