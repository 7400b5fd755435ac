/* SPDX-License-Identifier: MIT */
#include "http/answer.h"

#include "base/check.h"

#define INTERIM_MAX 8u

void http_reader_begin(struct http_reader *reader, uint8_t *bytes, size_t room)
{
    ASSERT(room >= HTTP_HEAD_MAX);
    memset(reader, 0, offsetof(struct http_reader, answer)); /* the head's rows are written first */
    reader->answer.headers.count = 0;
    reader->chunks = (struct http_chunks){0};
    reader->body_left = 0;
    reader->state = HTTP_READING_HEAD;
    reader->chunked = reader->until_close = reader->keep_alive = false;
    reader->interim = 0;
    reader->sentence = NULL;
    reader->bytes = bytes;
    reader->room = room;
}

static enum http_found refuse(struct http_reader *reader, const char *sentence)
{
    reader->sentence = sentence;
    return HTTP_REFUSED;
}

static enum http_found complete(struct http_reader *reader, bool keep_alive)
{
    reader->state = HTTP_READ;
    reader->keep_alive = keep_alive;
    return HTTP_COMPLETE;
}

/* How the body ends. NULL, or what is wrong. */
static const char *read_framing(struct http_reader *reader)
{
    const struct http_headers *headers = &reader->answer.headers;
    unsigned lengths = http_header_count(headers, "Content-Length");
    unsigned encodings = http_header_count(headers, "Transfer-Encoding");
    struct span value;

    if (lengths + encodings > 1)
        return "it tells the length of its body more than once";
    if (encodings == 1) {
        http_header(headers, "Transfer-Encoding", &value);
        reader->chunked = http_token_equal(value, "chunked");
        return reader->chunked && reader->answer.http_1_1 ? NULL
                                                          : "its Transfer-Encoding is not known";
    }
    if (lengths == 1) {
        http_header(headers, "Content-Length", &value);
        return http_content_length(value, &reader->body_left)
                   ? NULL
                   : "its Content-Length is not a number";
    }
    reader->until_close = true;
    return NULL;
}

static enum http_found read_body(struct http_reader *reader, const uint8_t *data, size_t len);

/* The head is whole; data[0 .. len) is what came behind it. */
static enum http_found read_head(struct http_reader *reader, const uint8_t *data, size_t len)
{
    struct http_error error;
    unsigned status;

    if (!http_parse_answer(span_of(reader->bytes, reader->head_len), &reader->answer, &error))
        return refuse(reader, error.sentence);
    status = reader->answer.status;
    if (status == 101)
        return refuse(reader, "it switches to another protocol, which nobody asked for");
    if (status < 200) { /* RFC 9110, 15.2: the answer itself follows */
        if (++reader->interim > INTERIM_MAX)
            return refuse(reader, "it never comes to an end of its 1xx answers");
        reader->len = reader->scanned = reader->head_len = 0;
        return http_reader_feed(reader, data, len);
    }
    reader->state = HTTP_READING_BODY;
    if (status == 204 || status == 304)
        return complete(reader, reader->answer.keep_alive && len == 0);
    reader->sentence = read_framing(reader);
    if (reader->sentence != NULL)
        return HTTP_REFUSED;
    if (!reader->until_close && !reader->chunked &&
        reader->body_left > reader->room - reader->head_len)
        return refuse(reader, "its body is too large");
    return read_body(reader, data, len);
}

static enum http_found read_chunks(struct http_reader *reader, const uint8_t *data, size_t len)
{
    uint8_t piece[1024];

    while (len != 0) {
        size_t part = len < sizeof(piece) ? len : sizeof(piece), written, consumed;
        enum http_found found =
            http_chunks_decode(&reader->chunks, data, part, piece, &written, &consumed);

        if (found == HTTP_REFUSED)
            return refuse(reader, "its chunks are malformed");
        if (written > reader->room - reader->len)
            return refuse(reader, "its body is too large");
        memcpy(reader->bytes + reader->len, piece, written);
        reader->len += written;
        data += consumed;
        len -= consumed;
        if (found == HTTP_COMPLETE)
            return complete(reader, reader->answer.keep_alive && len == 0);
    }
    return HTTP_INCOMPLETE;
}

static enum http_found read_body(struct http_reader *reader, const uint8_t *data, size_t len)
{
    size_t take = reader->until_close || len < reader->body_left ? len : (size_t)reader->body_left;

    if (reader->chunked)
        return read_chunks(reader, data, len);
    if (take > reader->room - reader->len)
        return refuse(reader, "its body is too large");
    memcpy(reader->bytes + reader->len, data, take);
    reader->len += take;
    if (reader->until_close)
        return HTTP_INCOMPLETE;
    reader->body_left -= take;
    if (reader->body_left != 0)
        return HTTP_INCOMPLETE;
    return complete(reader, reader->answer.keep_alive && take == len);
}

enum http_found http_reader_feed(struct http_reader *reader, const uint8_t *data, size_t len)
{
    size_t take = HTTP_HEAD_MAX - reader->len;
    struct http_error error;

    if (reader->state == HTTP_READING_BODY)
        return read_body(reader, data, len);
    ASSERT(reader->state == HTTP_READING_HEAD);
    if (take > len)
        take = len;
    memcpy(reader->bytes + reader->len, data, take);
    switch (http_find_head(reader->bytes, reader->len + take, &reader->scanned, &reader->head_len,
                           &error)) {
    case HTTP_REFUSED:
        return refuse(reader, error.sentence);
    case HTTP_INCOMPLETE:
        reader->len += take;
        return reader->len == HTTP_HEAD_MAX ? refuse(reader, "its head is longer than 8192 bytes")
                                            : HTTP_INCOMPLETE;
    case HTTP_COMPLETE:
        break;
    }
    take = reader->head_len - reader->len;
    reader->len = reader->head_len;
    return read_head(reader, data + take, len - take);
}

enum http_found http_reader_close(struct http_reader *reader)
{
    if (reader->state == HTTP_READING_BODY && reader->until_close)
        return complete(reader, false);
    return refuse(reader, reader->len == 0 && reader->state == HTTP_READING_HEAD
                              ? "the connection was closed without an answer"
                              : "the connection was closed in the middle of it");
}
