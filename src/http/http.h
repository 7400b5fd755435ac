/* SPDX-License-Identifier: MIT
 *
 * http - HTTP/1.1 heads: what a request or an answer says before its body. Pure functions over
 * bytes: no I/O, no state, no allocation. Used by the API's server, by the client (answer.h), and by the
 * WebSocket upgrade on both sides.
 *
 * http_parser reads the head; before that, http_find_head() refuses what http_parser tolerates and
 * what makes two readers of one stream disagree about where a request ends (request smuggling):
 *
 *   bytes --> http_find_head --complete--> http_parse_request / http_parse_answer --> views
 *
 * Invariants
 *   I1  every view points into the caller's bytes
 *   I2  lines end in CR LF; no CR, LF or NUL stands anywhere else, and no line is folded (RFC 9112,
 *       2.2 and 5.2)
 *   I3  a request has at most one way to tell its length: Content-Length, once and of digits only,
 *       or Transfer-Encoding: chunked, once and alone, and only in HTTP/1.1 (RFC 9112, 6.1 and 6.3)
 */
#ifndef SHARDMQ_HTTP_HTTP_H
#define SHARDMQ_HTTP_HTTP_H

#include "base/span.h"

#include <stddef.h>

#define HTTP_HEAD_MAX    8192u /* of a head, its last empty line included */
#define HTTP_HEADERS_MAX 64u

/* The methods of RFC 9110 and PATCH; anything else is HTTP_METHOD_OTHER. */
enum http_request_method {
    HTTP_METHOD_GET,
    HTTP_METHOD_HEAD,
    HTTP_METHOD_POST,
    HTTP_METHOD_PUT,
    HTTP_METHOD_DELETE,
    HTTP_METHOD_OPTIONS,
    HTTP_METHOD_PATCH,
    HTTP_METHOD_OTHER
};

struct http_header {
    struct span name, value; /* the value without blanks around it */
};

struct http_headers {
    unsigned count;
    struct http_header row[HTTP_HEADERS_MAX];
};

struct http_request {
    enum http_request_method method;
    struct span path, query; /* not decoded; the path begins with '/', or is "*" */
    struct http_headers headers;
    uint64_t content_length; /* 0 without a body, and when it is chunked */
    bool chunked;
    bool http_1_1;   /* else 1.0 */
    bool keep_alive; /* the client will send another request */
    bool expects_continue;
    bool upgrade; /* Connection: upgrade, with an Upgrade header */
};

struct http_answer {
    unsigned status;
    struct http_headers headers;
    bool http_1_1; /* else 1.0 */
    bool
        keep_alive; /* the server will take another request, if the body does not end with the connection */
    bool upgrade;
};

/* Why a head was refused: the status to answer with and a sentence. */
struct http_error {
    unsigned status; /* 400, 413, 414, 417, 431, 501 or 505 */
    const char *sentence;
};

enum http_found { HTTP_INCOMPLETE, HTTP_COMPLETE, HTTP_REFUSED };

/* Looks for the end of a head in data[0 .. len). `*scanned`, 0 at first, remembers how far earlier
 * calls on the same growing bytes came. HTTP_COMPLETE: the head is data[0 .. *head_len). Refuses
 * heads that are longer than HTTP_HEAD_MAX and bytes that no head may contain, as soon as they
 * come. Empty lines before a request are part of its head (RFC 9112, 2.2). */
enum http_found http_find_head(const uint8_t *data, size_t len, size_t *scanned, size_t *head_len,
                               struct http_error *error);

/* Reads a complete head. False, and the reason, when it is not one of a request that can be served. */
bool http_parse_request(struct span head, struct http_request *request, struct http_error *error);
/* The same for a server's answer. */
bool http_parse_answer(struct span head, struct http_answer *answer, struct http_error *error);

/* The value of a header, the name in any case; false when there is none. With several of that name
 * the first. */
bool http_header(const struct http_headers *headers, const char *name, struct span *value);
/* How often a header is there. */
unsigned http_header_count(const struct http_headers *headers, const char *name);
/* True when one of the comma-separated elements of the headers of that name is `token`, in any case
 * (Connection: keep-alive, Upgrade). */
bool http_header_has(const struct http_headers *headers, const char *name, const char *token);
/* The value of Content-Length: digits only (RFC 9112, 6.3). */
bool http_content_length(struct span digits, uint64_t *length);
/* Compares without case. */
bool http_token_equal(struct span a, const char *b);

/* "GET"; "?" for HTTP_METHOD_OTHER. */
const char *http_method_name(enum http_request_method method);
/* "Not Found"; "Unknown" for a status without a row. */
const char *http_reason(unsigned status);

/* Decodes %XX in place and lowers text->len; `plus_is_blank` in queries. False when a '%' is not
 * followed by two hexadecimal digits, or when the result contains NUL or is not UTF-8 (`text` is
 * then undefined). The bytes must be writable. */
bool http_percent_decode(struct span *text, bool plus_is_blank);

/* Takes the next "name=value" from *query; false when none is left. Empty pairs ("&&") are skipped;
 * without '=' the value is empty. Nothing is decoded. */
bool http_query_next(struct span *query, struct span *name, struct span *value);

/* ---- bodies with Transfer-Encoding: chunked (RFC 9112, 7.1) ----
 *
 * Decoded by hand: the http_parser of distributions is built without its strict mode and lets a bare
 * LF end a chunk's line. Chunk extensions and trailers are read and ignored. */
struct http_chunks {
    uint64_t left; /* of the present chunk */
    uint32_t line; /* bytes of the present line */
    uint32_t trailer;
    uint8_t state;
};

/* Decodes data[0 .. len): writes to `to` (which may be `data`), sets *written and *consumed.
 * HTTP_COMPLETE at the end of the body; HTTP_INCOMPLETE when everything was consumed before it;
 * HTTP_REFUSED when it is malformed. `chunks` is zeroed before the first call. */
enum http_found http_chunks_decode(struct http_chunks *chunks, const uint8_t *data, size_t len,
                                   uint8_t *to, size_t *written, size_t *consumed);

#endif
