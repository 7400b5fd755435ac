/* SPDX-License-Identifier: MIT
 *
 * answer - the answer to a request of ours, read as its bytes come (RFC 9112, 6.3).
 *
 *   INCOMPLETE: more bytes ---> http_reader_feed ---> COMPLETE: head and body, in one piece
 *   the server closed      ---> http_reader_close --> COMPLETE, if its body ends so; else REFUSED
 *
 * Pure: no socket, no clock, no allocation; the caller's memory is the limit. Whoever sends garbage, a head or a body
 * that are too large, or tells the length of a body in two ways, is refused; what follows on the connection would be
 * anybody's guess, so it must be closed then.
 *
 * Invariants
 *   I1  no more than `room` bytes are ever kept
 *   I2  the body is as long as the answer said, or as there was until the server closed
 */
#ifndef SHARDMQ_HTTP_ANSWER_H
#define SHARDMQ_HTTP_ANSWER_H

#include "http/http.h"

enum http_reading { HTTP_READING_HEAD, HTTP_READING_BODY, HTTP_READ };

/* Owner: whoever reads; one answer. */
struct http_reader {
    uint8_t *bytes; /* the caller's: head, then body */
    size_t room;
    size_t len; /* of bytes that are kept */
    size_t scanned, head_len;
    struct http_answer answer; /* from the end of the head on */
    struct http_chunks chunks;
    uint64_t body_left; /* of a Content-Length */
    enum http_reading state;
    bool chunked, until_close;
    bool keep_alive;      /* the connection may have another request; when complete */
    unsigned interim;     /* 1xx answers that were skipped */
    const char *sentence; /* why it was refused */
};

/* Begins an answer. `bytes` has room for HTTP_HEAD_MAX and the largest body that is taken. */
void http_reader_begin(struct http_reader *reader, uint8_t *bytes, size_t room);

/* Takes data[0 .. len); bytes behind the end of the answer make the connection useless and are dropped. */
enum http_found http_reader_feed(struct http_reader *reader, const uint8_t *data, size_t len);
/* The server sends no more. */
enum http_found http_reader_close(struct http_reader *reader);

/* Of a complete answer. */
static inline struct span http_reader_body(const struct http_reader *reader)
{
    return span_of(reader->bytes + reader->head_len, reader->len - reader->head_len);
}

#endif
