/* SPDX-License-Identifier: MIT
 *
 * Unit tests of bench/options and of the topic placeholders.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bench/message_text.h"
#include "bench/options.c"

static char error[256];
static struct bench_options options;

/* Parses what the variadic words say. */
static int parse(enum bench_command command, const char *words)
{
    static char text[512];
    char *argv[32], *rest;
    int argc = 0;

    snprintf(text, sizeof(text), "%s", words);
    for (char *word = strtok_r(text, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        argv[argc++] = word;
    }
    options_preset(&options, command);
    error[0] = '\0';
    return options_parse(&options, command, argc, argv, error, sizeof(error));
}

static void test_presets_are_those_of_nanomq(void **state)
{
    (void)state;
    assert_int_equal(parse(PUB, "-t msg"), 0);
    assert_true(options_check(&options, error, sizeof(error)));
    assert_string_equal(options.host, "localhost");
    assert_int_equal(options.port, 1883);
    assert_int_equal(options.version, 5);
    assert_int_equal(options.count, 200);
    assert_int_equal(options.interval_ms, 10);
    assert_int_equal(options.message_interval_ms, 1000);
    assert_int_equal(options.size, 256);
    assert_int_equal(options.qos, 0);
    assert_int_equal(options.keep_alive_s, 300);
    assert_true(options.clean);
    assert_false(options.retain);
    assert_false(options.ssl);
    assert_int_equal(parse(RUN, ""), 0);
    assert_int_equal(options.version, 4);
    assert_int_equal(options.size, 64);
}

static void test_the_announced_commands(void **state)
{
    (void)state;
    assert_int_equal(parse(PUB, "-t msg -h 127.0.0.1 -s 16 -q 0 -c 10 -I 100"), 0);
    assert_string_equal(options.topic, "msg");
    assert_string_equal(options.host, "127.0.0.1");
    assert_int_equal(options.size, 16);
    assert_int_equal(options.message_interval_ms, 100);
    assert_int_equal(parse(SUB, "-t msg -h 127.0.0.1 -c 500"), 0);
    assert_int_equal(options.count, 500);
    assert_int_equal(parse(CONN, "-h 127.0.0.1 -c 1000"), 0);
}

static void test_forms(void **state)
{
    (void)state;
    assert_int_equal(parse(PUB, "--count=7 -q1 --interval-of-msg 5 -l 9 --startnumber 3"), 0);
    assert_int_equal(options.count, 7);
    assert_int_equal(options.qos, 1);
    assert_int_equal(options.message_interval_ms, 5);
    assert_int_equal(options.limit, 9);
    assert_int_equal(options.start_number, 3);
    assert_int_equal(parse(RUN, "--duration 0.25 --help"), 1);
    assert_true(options.duration_s == 0.25);
}

static void test_flags_take_a_value_or_none(void **state)
{
    (void)state;
    assert_int_equal(parse(PUB, "-r -C false -c 3"), 0);
    assert_true(options.retain);
    assert_false(options.clean);
    assert_int_equal(options.count, 3);
    assert_int_equal(parse(PUB, "--retain=false --clean true -S"), 0);
    assert_false(options.retain);
    assert_true(options.clean);
    assert_true(options.ssl);
    assert_int_equal(parse(PUB, "--retain=yes"), -1);
}

static void test_mistakes(void **state)
{
    static const char *const bad[] = {
        "--nonsense", "-y",       "-c",   "-c x",           "-c 1.5",       "-q 3",
        "-V 2",       "-p 65536", "-p 0", "-c 0",           "--count 0x10", "-t",
        "--size -1",  "msg",      "-",    "--duration inf", "--pairs 5",    "--count 1e99"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        assert_int_equal(parse(PUB, bad[i]), -1);
        assert_true(strlen(error) > 10);
    }
}

static bool check(enum bench_command command, const char *words)
{
    assert_int_equal(parse(command, words), 0);
    return options_check(&options, error, sizeof(error));
}

static void test_contradictions(void **state)
{
    (void)state;
    assert_true(check(RUN, "--size 16"));
    assert_false(check(RUN, "--size 15"));
    assert_false(check(RUN, "--unbounded --window 5"));
    assert_false(check(RUN, "--unbounded --rate 5"));
    assert_false(check(RUN, "--duration 0"));
    assert_false(check(PUB, "-c 5"));
    assert_false(check(PUB, "-t a/+"));
    assert_false(check(PUB, "-t $share/g/a"));
    assert_false(check(SUB, "-t a/#/b"));
    assert_false(check(SUB, "-t a+"));
    assert_true(check(SUB, "-t +/a/#"));
    assert_false(check(SUB, "-t $share/g"));
    assert_false(check(SUB, "-t \xff"));
    assert_false(check(CONN, "-u \xc0\xaf"));
    assert_false(check(RUN, "--inflight 5 --qos 0"));
    assert_false(check(PUB, "-t a --inflight 5"));
    assert_true(check(PUB, "-t a --inflight 5 -q 2"));
    assert_true(check(RUN, "--inflight 5 --qos 1"));
    assert_false(check(RUN, "--json a --csv a"));
    assert_false(check(RUN, "--shared a/b"));
    assert_false(check(CONN, "-P secret -V 4"));
    assert_true(check(CONN, "-P secret -V 5"));
    assert_true(check(CONN, "-S"));
    assert_int_equal(options.port, 8883);
    assert_true(check(CONN, "--ws"));
    assert_int_equal(options.port, 8083);
    assert_true(check(CONN, "--ws --cafile x"));
    assert_int_equal(options.port, 8084);
    assert_true(options.ssl);
    assert_true(check(CONN, "--cafile x -p 1"));
    assert_int_equal(options.port, 1);
    assert_false(check(CONN, "--insecure"));
    assert_false(check(CONN, "--path /x"));
    assert_false(check(CONN, "--ws --path x"));
    assert_false(check(CONN, "--certfile x"));
}

static void test_every_preset_is_within_its_bounds(void **state)
{
    static const enum bench_command commands[] = {PUB, SUB, CONN, RUN};

    (void)state;
    for (size_t c = 0; c < ARRAY_LENGTH(commands); c++) {
        size_t count;
        const struct option_row *rows = options_rows(commands[c], &count);

        for (size_t i = 0; i < count; i++) {
            assert_true(rows[i].kind == OPTION_TEXT || !(rows[i].commands & commands[c]) ||
                        rows[i].preset == 0 || /* not given */
                        (rows[i].preset >= rows[i].low && rows[i].preset <= rows[i].high));
            for (size_t j = 0; j < i; j++) {
                assert_string_not_equal(rows[i].name, rows[j].name);
                assert_true(rows[i].letter == 0 || rows[i].letter != rows[j].letter);
            }
        }
    }
}

static void test_placeholders(void **state)
{
    char topic[32];

    (void)state;
    assert_true(message_topic(topic, sizeof(topic), "a/%i/%c/%u/b%i", 12, "id", "me"));
    assert_string_equal(topic, "a/12/id/me/b12");
    assert_true(message_topic(topic, sizeof(topic), "%u%x%", 0, "id", NULL));
    assert_string_equal(topic, "undefined%x%");
    assert_false(message_topic(topic, 4, "abcd", 0, "id", NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_presets_are_those_of_nanomq),
        cmocka_unit_test(test_the_announced_commands),
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_flags_take_a_value_or_none),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_contradictions),
        cmocka_unit_test(test_every_preset_is_within_its_bounds),
        cmocka_unit_test(test_placeholders),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
