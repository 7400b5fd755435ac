/* SPDX-License-Identifier: MIT
 *
 * api - what a handler of the HTTP API sees of its request, and how it answers.
 *
 * Everything here runs on the control shard, on its thread. A handler never touches a session or a
 * tree: it reads counters (base/stats.h), asks shards by message (shard_post()) and answers at once
 * or later. What is routed to it has been checked against its row in routes.def: the credentials,
 * the names and values of the query, and the types and members of the body.
 *
 * Every handler answers exactly once: by one api_reply_*() before it returns, or by api_defer() and
 * an api_reply_*() on what api_resume() gives. An answer ends the request: nothing of it, its spans
 * and its body included, may be used after that.
 */
#ifndef SHARDMQ_API_API_H
#define SHARDMQ_API_API_H

#include "base/span.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct api;
struct api_request;
struct conf;
struct control;
struct machine_service;
struct mesh_entry;
struct shard;

typedef void api_handler(struct api_request *request);

/* The result codes of NanoMQ that an answer carries beside its HTTP status. */
enum api_code {
    API_OK = 0,
    API_RPC_ERROR = 101, /* no such section or action */
    API_UNKNOWN = 102,   /* no such path, and whatever has no code of its own */
    API_WRONG_PASSWORD = 103,
    API_NO_PASSWORD = 104,
    API_MISSING_PARAMETER = 107,
    API_BAD_PARAMETER = 108,
    API_NOT_JSON = 109,
    API_FEATURE_CLOSED = 111,
    API_CLIENT_OFFLINE = 112,
    API_TOKEN_EXPIRED = 116,
    API_NOT_HOCON = 117,
    API_FILE_NOT_WRITTEN = 118,
};

/* ---- the request; everything is valid until it is answered ---- */

/* The n-th ":name" of the route's path, from 0: percent-decoded, valid UTF-8 without U+0000. */
struct span api_path_parameter(const struct api_request *request, unsigned n);
/* A parameter of the query, decoded like the path; false when it was not given. */
bool api_query(const struct api_request *request, const char *name, struct span *value);
/* The same for one whose type in the row is a number; *value stays as it is when it was not given. */
bool api_query_number(const struct api_request *request, const char *name, int64_t *value);
/* The parsed body; it has the members that the row asks for. NULL when the route takes no JSON. For
 * a request code: the whole envelope. */
const cJSON *api_body(const struct api_request *request);
/* The body as it came. */
struct span api_body_bytes(const struct api_request *request);

/* ---- the broker ---- */
struct api *api_of(const struct api_request *request);
/* The control shard: for shard_post(), its clock (now_ms, wall_ms), its broker and the machine. */
struct shard *api_shard(const struct api *api);
struct control *api_control(const struct api *api);
/* The configuration in force. */
const struct conf *api_conf(const struct api *api);

/* ---- the answer ---- */

/* `body` is taken, and may be NULL when memory is gone (then the answer is 500). */
void api_reply_json(struct api_request *request, unsigned status, cJSON *body);
/* 200 {"code":0,"data":...}; takes `data`; NULL like above. */
void api_reply_data(struct api_request *request, cJSON *data);
/* 200 {"code":0} */
void api_reply_ok(struct api_request *request);
/* `text` is the caller's and copied. */
void api_reply_text(struct api_request *request, unsigned status, const char *content_type,
                    const char *text, size_t len);
/* {"code":...,"message":...}; the sentence must not contain a secret. For a request code the
 * envelope with seq and rep. */
void api_reply_error(struct api_request *request, unsigned status, enum api_code code,
                     const char *format, ...) __attribute__((format(printf, 4, 5)));
/* For a request code (codes.def): 200 and the envelope {"code":0,"seq":..,"rep":..,"data":..}. Takes
 * `data`; NULL: the envelope without the member. Errors go with api_reply_error(). */
void api_reply_code(struct api_request *request, cJSON *data);

/* ---- later ---- */

/* Names a request that is answered later. Class: a value; may cross threads in messages. */
struct api_handle {
    uint32_t slot, generation, serial;
};

/* The request stays open; nothing more is read from its connection. */
struct api_handle api_defer(struct api_request *request);
/* The request of a handle, or NULL when its client has gone: then there is nothing to do. Whoever
 * defers must resume in bounded time; the API itself gives up after API_DEFERRED_MS with 504. */
struct api_request *api_resume(struct api *api, struct api_handle handle);

#define API_DEFERRED_MS 15000u

/* ---- in pieces: answers whose length is not known when they begin ---- */

/* What happens to a deferred request meanwhile. */
enum api_event {
    API_ROOM, /* api_stream_write() said false, and the client has taken enough of it by now */
    API_GONE /* the client has gone, or the request was answered by somebody else; nothing follows */
};
typedef void api_watcher(void *argument, enum api_event event);
/* Has the watcher called, until it was called with API_GONE, the request is answered, or the watcher
 * is NULL. */
void api_watch(struct api_request *request, api_watcher *watcher, void *argument);

/* For a deferred request: 200 and a body that follows (chunked; for a client of HTTP/1.0 up to the
 * end of the connection). Then any number of api_stream_write() and one api_stream_end(), or
 * api_stream_abort(), which ends the connection so that the client knows that a part is missing. */
void api_stream_begin(struct api_request *request, const char *content_type);
/* Appends; `len` may be 0. False when the client should take some of it before more is written:
 * API_ROOM tells when. A client that takes nothing for http_server.request_timeout is cut off. */
bool api_stream_write(struct api_request *request, const char *data, size_t len);
void api_stream_end(struct api_request *request);
void api_stream_abort(struct api_request *request);

/* ---- for src/app: the service that the control shard runs ---- */
extern const struct machine_service api_service;

/* Writes the OpenAPI 3.1 description as it is served and checked in (api/openapi.json). Returns text
 * of the C library (mem_free_libc()), NULL without memory. */
char *api_openapi(void);

#endif
