/* SPDX-License-Identifier: MIT */
#include "http/http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Finds and parses; 0 when it is good, else the status of the refusal, 1 when it is incomplete. The head is in
 * memory of exactly its length, so that the sanitizer sees what is read behind it. */
static unsigned request_of(const char *text, size_t len, struct http_request *request,
                           struct http_error *error)
{
    static uint8_t *head;
    size_t scanned = 0, head_len = 0;

    free(head);
    head = malloc(len == 0 ? 1 : len);
    memcpy(head, text, len);
    *error = (struct http_error){0};
    switch (http_find_head(head, len, &scanned, &head_len, error)) {
    case HTTP_INCOMPLETE:
        return 1;
    case HTTP_REFUSED:
        return error->status;
    case HTTP_COMPLETE:
        break;
    }
    return http_parse_request(span_of(head, head_len), request, error) ? 0 : error->status;
}

static unsigned parse(const char *text, struct http_request *request)
{
    struct http_error error;

    return request_of(text, strlen(text), request, &error);
}

static void assert_span(struct span span, const char *text)
{
    assert_int_equal(span.len, strlen(text));
    assert_memory_equal(span.data, text, span.len);
}

static void a_request_is_read(void **state)
{
    struct http_request request;
    struct span value;

    (void)state;
    assert_int_equal(parse("\r\nPOST /a/b%20c?x=1&y HTTP/1.1\r\nHost: h\r\nContent-Length: 12\r\n"
                           "X-Empty:\r\nexpect: 100-Continue \r\n\r\nbody",
                           &request),
                     0);
    assert_int_equal(request.method, HTTP_METHOD_POST);
    assert_span(request.path, "/a/b%20c");
    assert_span(request.query, "x=1&y");
    assert_int_equal(request.content_length, 12);
    assert_true(request.keep_alive && request.http_1_1 && request.expects_continue);
    assert_false(request.chunked || request.upgrade);
    assert_int_equal(request.headers.count, 4);
    assert_true(http_header(&request.headers, "x-EMPTY", &value));
    assert_int_equal(value.len, 0);
    assert_false(http_header(&request.headers, "x-other", &value));
}

static void versions_and_keep_alive(void **state)
{
    struct http_request request;

    (void)state;
    assert_int_equal(parse("GET / HTTP/1.0\r\n\r\n", &request), 0);
    assert_false(request.keep_alive || request.http_1_1);
    assert_int_equal(parse("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", &request), 0);
    assert_true(request.keep_alive);
    assert_int_equal(parse("GET / HTTP/1.1\r\nHost: h\r\nConnection: x, close\r\n\r\n", &request),
                     0);
    assert_false(request.keep_alive);
    assert_int_equal(parse("GET /\r\n\r\n", &request), 505);
    assert_int_equal(parse("GET / HTTP/2.0\r\nHost: h\r\n\r\n", &request), 505);
    assert_int_equal(parse("GET ws://h/mqtt HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n"
                           "Connection: keep-alive, Upgrade\r\n\r\n",
                           &request),
                     0);
    assert_true(request.upgrade);
    assert_span(request.path, "/mqtt");
    assert_int_equal(parse("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", &request), 0);
    assert_span(request.path, "*");
    assert_int_equal(parse("PROPFIND / HTTP/1.1\r\nHost: h\r\n\r\n", &request), 0);
    assert_int_equal(request.method, HTTP_METHOD_OTHER);
}

static void what_readers_could_disagree_about_is_refused(void **state)
{
    static const struct {
        const char *head;
        unsigned status;
    } rows[] = {
        {"GET / HTTP/1.1\nHost: h\n\n", 400},
        {"GET / HTTP/1.1\r\nHost: h\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: h\rX: y\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: h\r\n folded\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\n Host: h\r\n\r\n", 400},
        {" GET / HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost : h\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: h\r\nContent Length: 1\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: h\r\n: x\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: h\r\nnonsense\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400},
        {"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1, 1\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +1\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0x1\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999999\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
         400},
        {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: "
         "chunked\r\n\r\n",
         400},
        {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501},
        {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n", 400},
        {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: h\r\nExpect: 200-ok\r\n\r\n", 417},
        {"GET http:"
         "//user@h/ HTTP/1.1\r\nHost: h\r\n\r\n",
         400},
        {"GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        {"GET a HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        {"GET * HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        {"G@T / HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        {"\x10\x0c", 400},
        {"\x16\x03\x01", 400},
        {"\n", 400},
    };
    struct http_request request;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (parse(rows[i].head, &request) != rows[i].status)
            fail_msg("row %zu gave %u: %s", i, parse(rows[i].head, &request), rows[i].head);
}

static void nul_bytes_are_refused(void **state)
{
    static const char head[] = "GET / HTTP/1.1\r\nHost: h\0\r\n\r\n";
    struct http_request request;
    struct http_error error;

    (void)state;
    assert_int_equal(request_of(head, sizeof(head) - 1, &request, &error), 400);
}

static void limits_hold(void **state)
{
    char *text = malloc(20000);
    struct http_request request;
    struct http_error error;
    int len;

    (void)state;
    /* exactly HTTP_HEAD_MAX fits, one byte more does not */
    for (unsigned more = 0; more < 2; more++) {
        len = snprintf(text, 20000, "GET /%0*d HTTP/1.1\r\nHost: h\r\n\r\n",
                       (int)(HTTP_HEAD_MAX - 27 + more), 0);
        assert_int_equal(len, HTTP_HEAD_MAX + more);
        assert_int_equal(request_of(text, (size_t)len, &request, &error), more == 0 ? 0 : 431);
    }
    for (unsigned count = HTTP_HEADERS_MAX; count <= HTTP_HEADERS_MAX + 1; count++) {
        len = snprintf(text, 20000, "GET / HTTP/1.1\r\nHost: h\r\n");
        for (unsigned i = 1; i < count; i++)
            len += snprintf(text + len, 20000 - (size_t)len, "X-%u: %u\r\n", i, i);
        len += snprintf(text + len, 20000 - (size_t)len, "\r\n");
        assert_int_equal(request_of(text, (size_t)len, &request, &error),
                         count > HTTP_HEADERS_MAX ? 431 : 0);
    }
    free(text);
}

/* A head that comes byte by byte is found at the same place, and no earlier byte completes it. */
static void heads_may_come_in_pieces(void **state)
{
    static const uint8_t head[] = "\r\nGET /a HTTP/1.1\r\nHost: h\r\n\r\n";
    size_t scanned = 0, head_len = 0;
    struct http_error error;

    (void)state;
    for (size_t len = 0; len < sizeof(head) - 1; len++)
        assert_int_equal(http_find_head(head, len, &scanned, &head_len, &error), HTTP_INCOMPLETE);
    assert_int_equal(http_find_head(head, sizeof(head) - 1, &scanned, &head_len, &error),
                     HTTP_COMPLETE);
    assert_int_equal(head_len, sizeof(head) - 1);
}

static void answers_are_read(void **state)
{
    static const char head[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                               "Connection: Upgrade\r\nSec-WebSocket-Accept: x=\r\n\r\n";
    struct http_answer answer;
    struct http_error error;
    struct span value;

    (void)state;
    assert_true(http_parse_answer(span_text(head), &answer, &error));
    assert_int_equal(answer.status, 101);
    assert_true(answer.upgrade);
    assert_true(http_header(&answer.headers, "sec-websocket-accept", &value));
    assert_span(value, "x=");
    assert_false(http_parse_answer(span_text("SSH-2.0-x\r\n\r\n"), &answer, &error));
}

static void percent_decoding(void **state)
{
    static const struct {
        const char *from, *to; /* NULL: refused */
    } rows[] = {
        {"a%2Fb%2fc", "a/b/c"},
        {"a+b%2B", "a b+"},
        {"%C3%A9", "\xc3\xa9"},
        {"", ""},
        {"%", NULL},
        {"%4", NULL},
        {"%zz", NULL},
        {"a%0", NULL},
        {"%00", NULL},
        {"%ff", NULL},
        {"%c0%af", NULL},
        {"%ed%a0%80", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t len = strlen(rows[i].from);
        char *copy = malloc(len == 0 ? 1 : len);
        struct span text = span_of(copy, len);

        memcpy(copy, rows[i].from, len);
        assert_int_equal(http_percent_decode(&text, true), rows[i].to != NULL);
        if (rows[i].to != NULL)
            assert_span(text, rows[i].to);
        free(copy);
    }
}

static void queries(void **state)
{
    struct span query = span_text("&&a=1&b&=c&d==&&"), name, value;

    (void)state;
    assert_true(http_query_next(&query, &name, &value));
    assert_span(name, "a");
    assert_span(value, "1");
    assert_true(http_query_next(&query, &name, &value));
    assert_span(name, "b");
    assert_int_equal(value.len, 0);
    assert_true(http_query_next(&query, &name, &value));
    assert_int_equal(name.len, 0);
    assert_span(value, "c");
    assert_true(http_query_next(&query, &name, &value));
    assert_span(name, "d");
    assert_span(value, "=");
    assert_false(http_query_next(&query, &name, &value));
}

/* Decodes with every split into two pieces; the verdict and the bytes must not depend on it. */
static enum http_found decode(const char *text, char *to, size_t *len, size_t *rest)
{
    size_t size = strlen(text);
    enum http_found first = HTTP_INCOMPLETE;

    for (size_t split = 0; split <= size; split++) {
        struct http_chunks chunks = {0};
        uint8_t *input = malloc(size + 1);
        size_t written = 0, consumed = 0, more = 0, used = 0;
        enum http_found found;

        memcpy(input, text, size);
        found = http_chunks_decode(&chunks, input, split, input, &written, &consumed);
        if (found == HTTP_INCOMPLETE) {
            assert_int_equal(consumed, split);
            found = http_chunks_decode(&chunks, input + split, size - split, input + written, &more,
                                       &used);
        }
        if (split == 0)
            first = found;
        assert_int_equal(found, first);
        *len = written + more;
        *rest = size - consumed - used;
        memcpy(to, input, *len);
        free(input);
    }
    return first;
}

static void chunked_bodies(void **state)
{
    static const char *const refused[] = {
        "\r\n",
        "g\r\n",
        "-1\r\n",
        "0x1\r\n",
        "1\nx",
        "1\r\nx\n",
        "1\r\nxy",
        "1;a\nx",
        "fffffffffffff\r\n",
        "0\r\nA: b\n\r\n",
        "0\r\n folded\r\n\r\n",
        "1\r\nx\r\n\r\n",
        "0\r\n\rX",
    };
    char to[64];
    size_t len, rest;

    (void)state;
    assert_int_equal(
        decode("5\r\nhello\r\n1;ext=\"x\"\r\n!\r\n0\r\nTrailer: x\r\n\r\nGET", to, &len, &rest),
        HTTP_COMPLETE);
    assert_int_equal(len, 6);
    assert_memory_equal(to, "hello!", 6);
    assert_int_equal(rest, 3);
    assert_int_equal(decode("3\r\nab", to, &len, &rest), HTTP_INCOMPLETE);
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        if (decode(refused[i], to, &len, &rest) != HTTP_REFUSED)
            fail_msg("not refused: row %zu", i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_read),
        cmocka_unit_test(versions_and_keep_alive),
        cmocka_unit_test(what_readers_could_disagree_about_is_refused),
        cmocka_unit_test(nul_bytes_are_refused),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(heads_may_come_in_pieces),
        cmocka_unit_test(answers_are_read),
        cmocka_unit_test(percent_decoding),
        cmocka_unit_test(queries),
        cmocka_unit_test(chunked_bodies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
