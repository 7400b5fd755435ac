/* SPDX-License-Identifier: MIT */
#include "topic/topic.h"

#include "base/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define LEVELS 128

static bool valid(const char *topic)
{
    return topic_name_valid(span_text(topic), LEVELS);
}

static void test_topic_names(void **state)
{
    static const char *const good[] = {
        "a",
        "/",
        "//",
        "/finance",
        "sport/tennis/player1",
        "Accounts payable",
        "$SYS/",
        "\t\x7f",
        "a$b",
        "ACCOUNTS",
        "123456712345678123456789",
        "\xc3\xa4/\xe2\x82\xac",
        "\xef\xbb\xbfx",
        "\xf0\xaa\x9b\x94",
        "$share/g/f",
    };
    static const char *const bad[] = {
        "",
        "+",
        "#",
        "a/+",
        "a/#",
        "a+",
        "a#b",
        "1234567+",
        "12345678#",
        "\xff",
        "a/\xc0\x80",
        "\xed\xa0\x80",
        "12345678\xe2\x82",
        "\xf4\x90\x80\x80",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(good); i++)
        assert_true(valid(good[i]));
    for (size_t i = 0; i < ARRAY_LENGTH(bad);
         i++) /* [MQTT-4.7.0-1] [MQTT-4.7.3-1] [MQTT-1.5.4-1] */
        assert_false(valid(bad[i]));
}

/* [MQTT-3.3.2-2] [MQTT-4.7.3-2] [MQTT-1.5.4-2]: at every place of words and tails */
static void test_topic_forbidden_bytes(void **state)
{
    static const uint8_t forbidden[] = {'+', '#', 0, 0xff};
    uint8_t topic[40];

    (void)state;
    for (uint32_t len = 1; len <= sizeof(topic); len++) {
        for (uint32_t at = 0; at < len; at++) {
            memset(topic, 'x', sizeof(topic));
            assert_true(topic_name_valid(span_of(topic, len), 1));
            for (size_t i = 0; i < sizeof(forbidden); i++) {
                topic[at] = forbidden[i];
                assert_false(topic_name_valid(span_of(topic, len), 1));
            }
            topic[at] = '/';
            assert_false(topic_name_valid(span_of(topic, len), 1));
            assert_true(topic_name_valid(span_of(topic, len), 2));
        }
    }
}

static void test_topic_every_byte(void **state)
{
    uint8_t topic[9] = "abcdefgh";

    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        bool good = byte < 0x80 && byte != 0 && byte != '+' && byte != '#';

        topic[3] = (uint8_t)byte;
        assert_int_equal(topic_name_valid(span_of(topic, 8), LEVELS), good);
        assert_int_equal(topic_name_valid(span_of(topic + 3, 3), LEVELS), good);
    }
}

/* [MQTT-4.7.3-3], and levels that are counted right however many there are */
static void test_topic_sizes(void **state)
{
    uint8_t *slashes = malloc(70000);

    (void)state;
    memset(slashes, '/', 70000);
    assert_false(topic_name_valid(span_of(slashes, 65535), 65535));
    assert_true(topic_name_valid(span_of(slashes, 65535), 65536));
    assert_false(topic_name_valid(span_of(slashes, 65536), 100000));
    assert_true(topic_name_valid(span_of(slashes, 127), LEVELS));
    assert_false(topic_name_valid(span_of(slashes, 128), LEVELS));
    assert_int_equal(filter_parse(span_of(slashes, 127), LEVELS).form, FILTER_EXACT);
    assert_int_equal(filter_parse(span_of(slashes, 128), LEVELS).form, FILTER_INVALID);
    assert_int_equal(filter_parse(span_of(slashes, 65536), 100000).form, FILTER_INVALID);
    free(slashes);
}

static void expect_filter(const char *text, enum filter_form form, const char *share,
                          const char *filter)
{
    struct filter_parts parts = filter_parse(span_text(text), LEVELS);

    if (parts.form != form)
        fail_msg("%s: form %d", text, (int)parts.form);
    if (form == FILTER_INVALID)
        return;
    assert_true(span_equal(parts.share_name, span_text(share)));
    assert_true(span_equal(parts.filter, span_text(filter)));
}

static void test_filters(void **state)
{
    static const char *const invalid[] = {
        "",
        "a#",
        "#a",
        "a/#b",
        "#/",
        "sport/tennis#",
        "sport/tennis/#/ranking", /* [MQTT-4.7.1-1] */
        "a+",
        "+a",
        "sport+",
        "a/+b/c",
        "++",
        "+#",
        "#+",
        "a/b+/c", /* [MQTT-4.7.1-2] */
    };
    static const char *const exact[] = {"a", "/", "a//b", "$SYS/x", "/a", "sport/tennis/player1"};
    static const char *const wildcard[] = {
        "#",    "+",   "/+",     "+/+", "/#", "+/#", "+/tennis/#", "sport/+/player1",
        "a/+/", "//#", "$SYS/#",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(invalid); i++)
        expect_filter(invalid[i], FILTER_INVALID, "", "");
    for (size_t i = 0; i < ARRAY_LENGTH(exact); i++)
        expect_filter(exact[i], FILTER_EXACT, "", exact[i]);
    for (size_t i = 0; i < ARRAY_LENGTH(wildcard); i++)
        expect_filter(wildcard[i], FILTER_WILDCARD, "", wildcard[i]);
    assert_int_equal(filter_parse(span_of("a\0b", 3), LEVELS).form, FILTER_INVALID);
}

/* [MQTT-4.8.2-1] [MQTT-4.8.2-2] */
static void test_shared_filters(void **state)
{
    static const char *const invalid[] = {
        "$share",     "$share/",    "$share//",    "$share//f", "$share/g",    "$share/g/",
        "$share/+/f", "$share/#/f", "$share/g+/f", "$share/#",  "$share/g/a#", "$share/+",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(invalid); i++)
        expect_filter(invalid[i], FILTER_INVALID, "", "");
    expect_filter("$share/g/f", FILTER_EXACT, "g", "f");
    expect_filter("$share/g/#", FILTER_WILDCARD, "g", "#");
    expect_filter("$share/g//", FILTER_EXACT, "g", "/");
    expect_filter("$share/consumer1//finance", FILTER_EXACT, "consumer1", "/finance");
    expect_filter("$share/consumer1/sport/tennis/+", FILTER_WILDCARD, "consumer1",
                  "sport/tennis/+");
    expect_filter("$sharex/g/f", FILTER_EXACT, "", "$sharex/g/f");
    expect_filter("$SHARE/g/f", FILTER_EXACT, "", "$SHARE/g/f");
    expect_filter("$shar", FILTER_EXACT, "", "$shar");
    assert_int_equal(filter_parse(span_of("$share/g\0/f", 11), LEVELS).form, FILTER_INVALID);
    /* The share name is no level of the filter. */
    assert_int_equal(filter_parse(span_text("$share/g/a/b"), 2).form, FILTER_EXACT);
    assert_int_equal(filter_parse(span_text("$share/g/a/b/c"), 2).form, FILTER_INVALID);
}

static void test_matching(void **state)
{
#define MATCHES(filter, topic)                                                                     \
    {                                                                                              \
        filter, topic, true                                                                        \
    }
#define DIFFERS(filter, topic)                                                                     \
    {                                                                                              \
        filter, topic, false                                                                       \
    }
    static const struct {
        const char *filter, *topic;
        bool matches;
    } rows[] = {
#include "topic_matching.def"
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        if (filter_matches(span_text(rows[i].filter), span_text(rows[i].topic)) != rows[i].matches)
            fail_msg("%s with %s", rows[i].filter, rows[i].topic);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_topic_names),      cmocka_unit_test(test_topic_forbidden_bytes),
        cmocka_unit_test(test_topic_every_byte), cmocka_unit_test(test_topic_sizes),
        cmocka_unit_test(test_filters),          cmocka_unit_test(test_shared_filters),
        cmocka_unit_test(test_matching),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
