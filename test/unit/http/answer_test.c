/* SPDX-License-Identifier: MIT
 *
 * Answers of a server: whole, byte by byte, and wrong.
 */
#include "http/answer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define ROOM (HTTP_HEAD_MAX + 64u)

/* Feeds in pieces of that size; each piece in memory of exactly its length. */
static enum http_found read_in(struct http_reader *reader, uint8_t *memory, const char *text,
                               size_t len, size_t piece)
{
    enum http_found found = HTTP_INCOMPLETE;

    http_reader_begin(reader, memory, ROOM);
    for (size_t at = 0; at < len && found == HTTP_INCOMPLETE; at += piece) {
        size_t part = len - at < piece ? len - at : piece;
        uint8_t *copy = malloc(part);

        memcpy(copy, text + at, part);
        found = http_reader_feed(reader, copy, part);
        free(copy);
    }
    return found;
}

static void answers_are_read(void **state)
{
    static const struct {
        const char *text, *body;
        unsigned status;
        bool keep_alive, closed;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", 200, true, false},
        {"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n", "", 401, true, false},
        {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", "", 200, false,
         false},
        {"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nab", "ab", 200, false, false},
        {"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nab", "ab", 200,
         true, false},
        {"HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: "
         "x\r\n\r\n",
         "abcde", 200, true, false},
        {"HTTP/1.1 204 No Content\r\n\r\n", "", 204, true, false},
        {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 403 "
         "F\r\nContent-Length: 1\r\n\r\nx",
         "x", 403, true, false},
        {"HTTP/1.1 200 OK\r\n\r\nuntil the end", "until the end", 200, false, true},
    };
    struct http_reader reader;
    uint8_t *memory = malloc(ROOM);

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        size_t len = strlen(cases[i].text);

        for (size_t piece = 1; piece <= len; piece = piece < 4 ? piece + 1 : piece + len) {
            enum http_found found = read_in(&reader, memory, cases[i].text, len, piece);

            if (cases[i].closed) {
                assert_int_equal(found, HTTP_INCOMPLETE);
                found = http_reader_close(&reader);
            }
            if (found != HTTP_COMPLETE)
                fail_msg("%s: %s", cases[i].text, reader.sentence);
            assert_int_equal(reader.answer.status, cases[i].status);
            assert_int_equal(http_reader_body(&reader).len, strlen(cases[i].body));
            assert_memory_equal(http_reader_body(&reader).data, cases[i].body,
                                strlen(cases[i].body));
            assert_int_equal(reader.keep_alive, cases[i].keep_alive);
        }
    }
    free(memory);
}

static void what_is_wrong_is_refused(void **state)
{
    static const char *const cases[] = {
        "\x16\x03\x01\x02\r\n\r\n",
        "SSH-2.0-x\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1 abc OK\r\n\r\n",
        "HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
        "HTTP/1.1 100 C\r\n\r\nHTTP/1.1 100 C\r\n\r\nHTTP/1.1 100 C\r\n\r\nHTTP/1.1 100 C\r\n\r\n"
        "HTTP/1.1 100 C\r\n\r\nHTTP/1.1 100 C\r\n\r\nHTTP/1.1 100 C\r\n\r\nHTTP/1.1 100 C\r\n\r\n"
        "HTTP/1.1 100 C\r\n\r\n",
    };
    struct http_reader reader;
    uint8_t *memory = malloc(ROOM);

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        if (read_in(&reader, memory, cases[i], strlen(cases[i]), 7) != HTTP_REFUSED)
            fail_msg("%s is taken", cases[i]);
        assert_non_null(reader.sentence);
    }
    free(memory);
}

/* A body of any kind that is larger than its room, and a head that never ends. */
static void limits_hold(void **state)
{
    static const char *const heads[] = {
        "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n",
        "HTTP/1.1 200 OK\r\nX: "};
    struct http_reader reader;
    uint8_t *memory = malloc(ROOM), filling[100];

    (void)state;
    memset(filling, 'x', sizeof(filling));
    for (size_t i = 0; i < sizeof(heads) / sizeof(*heads); i++) {
        enum http_found found = read_in(&reader, memory, heads[i], strlen(heads[i]), 1000);
        unsigned fed = 0;

        while (found == HTTP_INCOMPLETE && fed++ < 1000)
            found = http_reader_feed(&reader, filling, sizeof(filling));
        assert_int_equal(found, HTTP_REFUSED);
        assert_true(reader.len <= ROOM);
    }
    free(memory);
}

static void an_early_end_is_told(void **state)
{
    static const char *const cases[] = {
        "", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"};
    struct http_reader reader;
    uint8_t *memory = malloc(ROOM);

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        assert_int_equal(read_in(&reader, memory, cases[i], strlen(cases[i]), 100),
                         HTTP_INCOMPLETE);
        assert_int_equal(http_reader_close(&reader), HTTP_REFUSED);
    }
    free(memory);
}

/* What comes behind an answer belongs to nothing: the connection is not used again. */
static void bytes_behind_the_end(void **state)
{
    static const char *const cases[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n",
        "HTTP/1.1 204 N\r\n\r\nx",
    };
    struct http_reader reader;
    uint8_t *memory = malloc(ROOM);

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        assert_int_equal(read_in(&reader, memory, cases[i], strlen(cases[i]), 1000), HTTP_COMPLETE);
        assert_false(reader.keep_alive);
    }
    free(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_read),     cmocka_unit_test(what_is_wrong_is_refused),
        cmocka_unit_test(limits_hold),          cmocka_unit_test(an_early_end_is_told),
        cmocka_unit_test(bytes_behind_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
