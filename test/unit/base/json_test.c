/* SPDX-License-Identifier: MIT */
#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* In memory of exactly its length, so that the sanitizer sees what is read behind it. */
static cJSON *parse(const char *text, size_t len, const char **why)
{
    uint8_t *copy = malloc(len == 0 ? 1 : len);
    cJSON *value;

    memcpy(copy, text, len);
    *why = NULL;
    value = json_parse(span_of(copy, len), why);
    free(copy);
    assert_true((value == NULL) == (*why != NULL));
    return value;
}

static void what_is_json_is_taken(void **state)
{
    static const char *const good[] = {
        "0",
        "-0.5e+3",
        "\"\"",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00\"",
        "[]",
        " { } ",
        "[1,2,[3]]",
        "{\"a\":{\"a\":[{\"a\":null}]},\"b\":true,\"c\":false}",
        "\t\r\n1 ",
        "{\"\":1}",
        "\"\x7f\xc3\xa9\"",
        "1e308",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        const char *why;
        cJSON *value = parse(good[i], strlen(good[i]), &why);

        if (value == NULL)
            fail_msg("%s: %s", good[i], why);
        cJSON_Delete(value);
    }
}

static void what_is_not_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        " ",
        "nul",
        "truex",
        "01",
        "+1",
        ".5",
        "1.",
        "1e",
        "-",
        "NaN",
        "1e999",
        "-1e400",
        "\"",
        "\"\\",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\\u12",
        "\"\\u0000\"",
        "\"\\ud800\"",
        "\"\\udc00\"",
        "\"\\ud800\\u0041\"",
        "\"\\ud800\\ud800\"",
        "\"\\ud800x\"",
        "1000000000000000000000000000000000000000000000000000000000000000", /* 64 digits */
        "\"a\nb\"",
        "\"\xff\"",
        "\"\xed\xa0\x80\"",
        "'a'",
        "[",
        "[1",
        "[1,]",
        "[1 2]",
        "{",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,}",
        "{\"a\" 1}",
        "{a:1}",
        "{1:1}",
        "1 2",
        "{}x",
        "/**/1",
        "\xef\xbb\xbf{}",
        "{\"a\":1,\"a\":2}",
        "{\"b\":[{\"a\":1,\"\\u0061\":2}]}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const char *why;

        if (parse(bad[i], strlen(bad[i]), &why) != NULL)
            fail_msg("was taken: %s", bad[i]);
        if (why == json_no_memory)
            fail_msg("it is said that there was no memory for: %s", bad[i]);
    }
}

static unsigned long left; /* allocations of cJSON that succeed */

static void *allocate(size_t size)
{
    return left == 0 ? NULL : (left--, malloc(size));
}

static void memory_that_is_gone_is_told_from_bad_text(void **state)
{
    static const char text[] = "{\"a\":[1,\"\\ud83d\\ude00\",{\"b\":null}],\"c\":\"d\"}";
    cJSON_Hooks hooks = {allocate, free};
    unsigned long needed = 0;
    cJSON *value = NULL;

    (void)state;
    cJSON_InitHooks(&hooks);
    while (value == NULL) {
        const char *why;

        left = needed++;
        value = parse(text, strlen(text), &why);
        if (value == NULL && why != json_no_memory)
            fail_msg("with memory for %lu pieces: %s", needed - 1, why);
    }
    cJSON_Delete(value);
    cJSON_InitHooks(NULL);
    assert_true(needed > 8);
}

static char *repeated(const char *begin, const char *end, unsigned count)
{
    char *text = malloc((strlen(begin) + strlen(end)) * count + 2), *to = text;

    for (unsigned i = 0; i < count; i++)
        to += sprintf(to, "%s", begin);
    to += sprintf(to, "1");
    for (unsigned i = 0; i < count; i++)
        to += sprintf(to, "%s", end);
    return text;
}

static void depth_and_members_are_limited(void **state)
{
    const char *why;
    char *text, name[32];
    cJSON *value;

    (void)state;
    for (unsigned depth = JSON_DEPTH_MAX - 1; depth <= 100000; depth = depth * 2 + 2) {
        text = repeated("[", "]", depth);
        value = parse(text, strlen(text), &why);
        assert_int_equal(value != NULL, depth < JSON_DEPTH_MAX);
        cJSON_Delete(value);
        free(text);
    }
    for (unsigned count = JSON_MEMBERS_MAX; count <= JSON_MEMBERS_MAX + 1; count++) {
        text = malloc(count * 16 + 16);
        strcpy(text, "{");
        for (unsigned i = 0; i < count; i++) {
            snprintf(name, sizeof(name), "%s\"m%u\":1", i == 0 ? "" : ",", i);
            strcat(text, name);
        }
        strcat(text, "}");
        value = parse(text, strlen(text), &why);
        assert_int_equal(value != NULL, count <= JSON_MEMBERS_MAX);
        cJSON_Delete(value);
        free(text);
    }
}

static void assert_raw(const char *text, const char *digits)
{
    struct span raw = json_raw_number(span_text(text), "seq");

    assert_int_equal(raw.len, strlen(digits));
    assert_memory_equal(raw.data == NULL ? (const void *)"" : raw.data, digits, raw.len);
}

static void digits_come_back_as_they_stand(void **state)
{
    (void)state;
    assert_raw("{\"seq\":18446744073709551615}", "18446744073709551615");
    assert_raw(" { \"req\" : 2 , \"seq\" : 9007199254740993 } ", "9007199254740993");
    assert_raw("{\"x\":{\"seq\":1},\"y\":[\"seq\",2],\"seq\":3}", "3");
    assert_raw("{\"s\":\"seq\",\"t\":\"\\\"seq\\\":4\"}", "");
    assert_raw("{\"seq\":-1}", "");
    assert_raw("{\"seq\":1.0}", "");
    assert_raw("{\"seq\":1e3}", "");
    assert_raw("{\"seq\":\"1\"}", "");
    assert_raw("{\"seq\":null}", "");
    assert_raw("{}", "");
    assert_raw("[1]", "");
    assert_raw("1", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_json_is_taken),
        cmocka_unit_test(what_is_not_is_refused),
        cmocka_unit_test(depth_and_members_are_limited),
        cmocka_unit_test(digits_come_back_as_they_stand),
        cmocka_unit_test(memory_that_is_gone_is_told_from_bad_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
