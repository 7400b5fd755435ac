/* SPDX-License-Identifier: MIT
 *
 * api_priv - the state of the API's server, for the files of this folder.
 *
 *   server.c   bytes, requests and answers on a connection    router.c  which row, may it, is it well-formed
 *   auth.c     who asks                                       schema.c  what types mean
 *   reply.c    how an answer looks                            openapi.c the description of it all
 */
#ifndef SHARDMQ_API_API_PRIV_H
#define SHARDMQ_API_API_PRIV_H

#include "api/api.h"
#include "api/auth.h"
#include "api/rates.h"
#include "api/schema.h"
#include "http/http.h"
#include "session/outbox.h"
#include "shards/control.h"
#include "shards/shard.h"

#define API_PATH_PARAMETERS_MAX 2u
#define API_QUERY_MAX           16u

enum api_flag {
    API_NO_AUTH = 1u << 0,       /* anybody may ask */
    API_ENVELOPE = 1u << 1,      /* the body is a request code of codes.def */
    API_ANY_METHOD = 1u << 2,    /* like POST, whatever the method is */
    API_MAY_LACK_BODY = 1u << 3, /* the body may be left out */
};

/* A row of routes.def. Class: boot. */
struct api_route {
    enum http_request_method method;
    const char *path;
    api_handler *handler;
    const char *name;
    unsigned flags;
    const char *query;  /* NULL: takes none; else a schema of members, as in "page?:1..1000000" */
    const char *body;   /* NULL: takes none; "text": any bytes; else a schema */
    const char *answer; /* a schema, or a media type: "text/plain" */
    const char *doc;
};

/* A row of codes.def. Class: boot. */
struct api_request_code {
    unsigned number;
    api_handler *handler;
    const char *name;
    enum jwt_scope scope;
    const char *members; /* schema of what the envelope has beside req and seq, or "" */
    const char *data;    /* schema of the answer's data; NULL: it has none */
    const char *doc;
};

extern const struct api_route api_routes[];
extern const unsigned api_route_count;
extern const struct api_request_code api_request_codes[];
extern const unsigned api_request_code_count;

/* The schemas of a row, made once. Class: boot. */
struct api_row_schemas {
    struct schema *query, *body;
};

/* Owner: shard (the control shard). */
struct api {
    struct control *control;
    struct shard *shard;
    struct schemas *schemas;
    struct api_row_schemas *routes; /* [api_route_count] */
    struct api_row_schemas *codes;  /* [api_request_code_count]; body: of the whole envelope */
    struct auth auth;
    struct rates *rates;
    double started_s;    /* seconds since 1970 */
    struct list_budget { /* the CPU time that lists may take: list.c */
        uint64_t until_ms, began_ns;
    } lists;
    uint32_t serial; /* of requests */
    bool stopping;
};

struct api_query_value {
    const char *name;
    struct span value;
};

/* One request of a connection. Its views point into the connection's input. */
struct api_request {
    struct api *api;
    struct http_request http;
    char shown_path[256]; /* as it came, for the log: decoding writes over it in `http` */
    const struct api_route *route;
    const struct api_request_code *code; /* with API_ENVELOPE, when it is known */
    struct span parameters[API_PATH_PARAMETERS_MAX];
    struct api_query_value query[API_QUERY_MAX];
    unsigned query_count;
    struct span body_bytes;
    cJSON *body;
    char seq[24];         /* with API_ENVELOPE: the digits as they came */
    double rep;           /* with API_ENVELOPE: req, 0 while it is not known */
    struct span origin;   /* of a page that may read the answer (CORS); empty: none */
    char allow[64];       /* 405 and OPTIONS: the methods of the path */
    unsigned retry_s;     /* 429: Retry-After */
    bool challenge;       /* 401: WWW-Authenticate */
    enum jwt_scope scope; /* what its token allows; without tokens everything */
    bool answered;
    bool streaming,
        wants_room; /* between api_stream_begin() and its end; and it was told to wait */
    api_watcher *watcher;
    void *watcher_argument;
    uint32_t serial;
};

/* ---- router.c ---- */

/* Whether the request may go on to its body: the row, who asks, the query. When not it was answered. */
bool router_admit(struct api_request *request, const struct conn *conn);
/* The body is there: checks it and calls the handler. */
void router_dispatch(struct api_request *request);

/* ---- reply.c ---- */

/* Answers with whatever the request's members say about headers. */
void reply_bytes(struct api_request *request, unsigned status, const char *content_type,
                 const void *body, size_t len);
/* "100 Continue". False when memory is gone. */
bool reply_continue(struct api_request *request);

/* ---- server.c ---- */

/* The bytes of an answer are in the outbox: what comes next on the connection. */
void server_answered(struct api_request *request);
struct outbox *server_outbox(struct api_request *request);
/* True when the connection is closed after this answer. */
bool server_closes(const struct api_request *request);
/* Sends what is in the outbox at the end of the turn. */
void server_flush(struct api_request *request);
void server_peer_name(const struct api_request *request, char *to, size_t size);
/* A piece of an answer is in the outbox: sends it. Whether more may follow at once. */
bool server_piece_written(struct api_request *request);
/* Memory is gone: the connection ends without an answer. */
void server_give_up(struct api_request *request);

#endif
