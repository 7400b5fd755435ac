/* SPDX-License-Identifier: MIT
 *
 * JSON that is written as it goes, against what the C library and cJSON make of the same.
 */
#include "api/json_text.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cjson/cJSON.h>
#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static void assert_text(struct json_text *text, const char *wanted)
{
    assert_false(text->failed);
    assert_int_equal(text->len, strlen(wanted));
    assert_memory_equal(text->data, wanted, text->len);
    text->len = 0;
}

static void numbers(void **state)
{
    static const uint64_t some[] = {0,         1, 9, 10, 99, 100, 12345, UINT32_MAX, UINT64_MAX - 1,
                                    UINT64_MAX};
    struct json_text text = {0};

    (void)state;
    for (unsigned i = 0; i < sizeof(some) / sizeof(some[0]); i++) {
        char wanted[32];

        snprintf(wanted, sizeof(wanted), "%" PRIu64, some[i]);
        json_text_number(&text, some[i]);
        assert_text(&text, wanted);
    }
    json_text_bool(&text, true);
    json_text_bool(&text, false);
    assert_text(&text, "truefalse");
    json_text_free(&text);
}

/* Every day of 1,000 years, and some times of day. */
static void times(void **state)
{
    struct json_text text = {0};

    (void)state;
    for (uint64_t day = 0; day < 365250; day++) {
        uint64_t wall_ms = day * 86400000 + day * 7919 % 86400000;
        time_t seconds = (time_t)(wall_ms / 1000);
        struct tm parts;
        char begin[32], wanted[48];

        gmtime_r(&seconds, &parts);
        strftime(begin, sizeof(begin), "%Y-%m-%dT%H:%M:%S", &parts);
        snprintf(wanted, sizeof(wanted), "\"%s.%03uZ\"", begin, (unsigned)(wall_ms % 1000));
        json_text_time(&text, wall_ms);
        assert_text(&text, wanted);
    }
    json_text_free(&text);
}

/* Whatever stands in a string, a reader gets it back. */
static void strings(void **state)
{
    struct json_text text = {0};
    char all[128 + 16], *last = all;
    cJSON *back;

    (void)state;
    for (int c = 1; c < 128; c++)
        *last++ = (char)c;
    memcpy(last, "\xc3\xa9\xe6\x97\xa5\xf0\x9f\x98\x80", 10);
    json_text_string(&text, span_text(all));
    back = cJSON_ParseWithLength(text.data, text.len);
    assert_non_null(back);
    assert_string_equal(back->valuestring, all);
    cJSON_Delete(back);
    text.len = 0;
    json_text_string(&text, (struct span){0});
    json_text_string(&text, span_text("a\"\\/\n\x7f"));
    assert_text(&text, "\"\"\"a\\\"\\\\/\\u000a\\u007f\"");
    json_text_free(&text);
}

static void bytes(void **state)
{
    struct json_text text = {0};

    (void)state;
    json_text_base64(&text, (struct span){0});
    json_text_base64(&text, span_of("\0\xff\x01", 3));
    json_text_base64(&text, span_of("ab", 2));
    json_text_base64(&text, span_of("a", 1));
    assert_text(&text, "\"\"\"AP8B\"\"YWI=\"\"YQ==\"");
    json_text_free(&text);
}

static void without_memory(void **state)
{
    struct json_text text = {0};
    char *large = calloc(1, 5000);

    (void)state;
    memset(large, 'x', 4999);
    json_text_raw(&text, "[");
    mem_fail_after(1);
    json_text_string(&text, span_text(large));
    mem_fail_after(0);
    assert_true(text.failed);
    assert_int_equal(text.len, 1);
    json_text_raw(&text, "]"); /* nothing is written behind a gap */
    assert_int_equal(text.len, 1);
    json_text_free(&text);
    free(large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers), cmocka_unit_test(times),          cmocka_unit_test(strings),
        cmocka_unit_test(bytes),   cmocka_unit_test(without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
