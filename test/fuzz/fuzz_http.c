/* SPDX-License-Identifier: MIT
 *
 * A request as the API's server and the WebSocket upgrade read it: the head, its query, a chunked
 * body. What is accepted has one length and points into its own bytes. And an answer as the client reads it.
 */
#include "fuzz.h"

#include "http/answer.h"

#include <stdlib.h>

static void inside(struct span part, const uint8_t *whole, size_t len)
{
    ASSERT(part.len == 0 || (part.data >= whole && part.data + part.len <= whole + len));
}

static void look_at_request(uint8_t *head, size_t len)
{
    struct http_request request;
    struct http_error error = {0};
    struct span query, name, value;

    if (!http_parse_request(span_of(head, len), &request, &error)) {
        ASSERT(error.status >= 400 && error.status < 600 && error.sentence != NULL);
        return;
    }
    inside(request.path, head, len);
    inside(request.query, head, len);
    for (unsigned i = 0; i < request.headers.count; i++) {
        inside(request.headers.row[i].name, head, len);
        inside(request.headers.row[i].value, head, len);
    }
    ASSERT(!request.chunked || request.content_length == 0);
    query = request.query;
    while (http_query_next(&query, &name, &value)) {
        inside(name, head, len);
        inside(value, head, len);
        if (http_percent_decode(&value, true))
            ASSERT(memchr(value.data == NULL ? (const void *)"" : value.data, 0, value.len) ==
                   NULL);
    }
}

/* The same bytes as the answer to a request of ours, in pieces, until the server closes. */
static void look_at_answer(const uint8_t *data, size_t size)
{
    size_t room = HTTP_HEAD_MAX + 256, piece = size < 8 ? 1 : size / 4;
    uint8_t *bytes = malloc(room);
    enum http_found found = HTTP_INCOMPLETE;
    struct http_reader reader;

    http_reader_begin(&reader, bytes, room);
    for (size_t at = 0; at < size && found == HTTP_INCOMPLETE; at += piece)
        found = http_reader_feed(&reader, data + at, size - at < piece ? size - at : piece);
    if (found == HTTP_INCOMPLETE)
        found = http_reader_close(&reader);
    ASSERT(reader.len <= room);
    if (found == HTTP_COMPLETE)
        inside(http_reader_body(&reader), bytes, room);
    else
        ASSERT(reader.sentence != NULL);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = calloc(1, size == 0 ? 1 : size);
    struct http_answer answer;
    struct http_error error;
    struct http_chunks chunks = {0};
    size_t scanned = 0, head_len = 0, written, consumed;

    if (size != 0)
        memcpy(copy, data, size);
    /* in two steps, as it comes from a socket */
    if (http_find_head(copy, size / 2, &scanned, &head_len, &error) == HTTP_INCOMPLETE &&
        http_find_head(copy, size, &scanned, &head_len, &error) == HTTP_COMPLETE) {
        ASSERT(head_len <= HTTP_HEAD_MAX && head_len <= size);
        http_parse_answer(span_of(copy, head_len), &answer, &error);
        look_at_request(copy, head_len);
        http_chunks_decode(&chunks, copy + head_len, size - head_len, copy + head_len, &written,
                           &consumed);
        ASSERT(written <= consumed && consumed <= size - head_len);
    }
    free(copy);
    look_at_answer(data, size);
    return 0;
}
