/* SPDX-License-Identifier: MIT
 *
 * Unit tests of the command lines of pub, sub and conn: tool_options, tool_expand, tool_complete and tool_url.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "bench/tool_options.h"
#include "bench/tool_url.h"

static char error[512];
static struct tool_options options;

/* Parses what the words say; a word may stand between apostrophes. */
static int parse(enum tool_command command, const char *words)
{
    static char text[1024];
    char *argv[64], *at = text;
    int argc = 0;

    snprintf(text, sizeof(text), "%s", words);
    while (*at != '\0') {
        char end = *at == '\'' ? '\'' : ' ';

        at += *at == '\'';
        argv[argc++] = at;
        at += strcspn(at, (char[]){end, '\0'});
        if (*at != '\0') {
            *at++ = '\0';
        }
        at += strspn(at, " ");
    }
    tool_options_release(&options);
    error[0] = '\0';
    return tool_options_parse(&options, command, argc, argv, error, sizeof(error));
}

static void expect_error(enum tool_command command, const char *words, const char *sentence)
{
    assert_int_equal(parse(command, words), -1);
    assert_string_equal(error, sentence);
}

static void test_presets(void **state)
{
    (void)state;
    assert_int_equal(parse(TOOL_PUB, "-t a -m b"), 0);
    assert_string_equal(options.host, "127.0.0.1");
    assert_int_equal(options.port, 1883);
    assert_int_equal(options.mqtt_version, MQTT_3_1_1);
    assert_int_equal(options.keep_alive_s, 60);
    assert_int_equal(options.qos, 0);
    assert_int_equal(options.limit, 1);
    assert_true(options.clean);
    assert_false(options.reconnect);
    assert_int_equal(parse(TOOL_SUB, "-t a"), 0);
    assert_int_equal(options.qos, 2);
    assert_true(options.reconnect);
    assert_int_equal(parse(TOOL_CONN, ""), 0);
    assert_int_equal(options.count, 1);
}

static void test_letters_with_two_meanings(void **state)
{
    (void)state;
    assert_int_equal(parse(TOOL_PUB, "-t a -m b -L 5 -I 20 -C 3 -n 7 -s -c false -i x -V 5"), 0);
    assert_int_equal(options.limit, 5);
    assert_int_equal(options.interval_ms, 20);
    assert_int_equal(options.count, 3);
    assert_int_equal(options.inflight, 7);
    assert_true(options.secure);
    assert_false(options.clean);
    assert_int_equal(parse(TOOL_PUB, "-t a -n -I prefix- -c -L mqtt://h/b"), 0);
    assert_true(options.null_message && options.persistent);
    assert_string_equal(options.id_prefix, "prefix-");
    assert_string_equal(options.host, "h");
    assert_int_equal(options.topics.count, 2);
    assert_int_equal(parse(TOOL_PUB, "-t a -s"), 0);
    assert_true(options.stdin_file && !options.secure);
    assert_int_equal(parse(TOOL_PUB, "-t a -s -l"), 0);
    assert_true(options.stdin_lines && options.secure);
    assert_int_equal(parse(TOOL_SUB, "-t a -C 3 -E -n 4 -s"), 0);
    assert_int_equal(options.message_count, 3);
    assert_true(options.exit_after_suback && options.secure);
    assert_int_equal(parse(TOOL_SUB, "-t a -E cert.pem"), 0);
    assert_string_equal(options.certfile, "cert.pem");
    assert_int_equal(parse(TOOL_CONN, "-C 3"), 0);
    assert_int_equal(options.count, 3);
}

static void test_start_is_nanomq_0_6_6(void **state)
{
    (void)state;
    assert_int_equal(parse(TOOL_PUB,
                           "start --url mqtt-tcp://10.0.0.1:1884 -t a -m b -u me -p secret -i 30 "
                           "-I name -C 2 -c true -V 4"),
                     0);
    assert_string_equal(options.host, "10.0.0.1");
    assert_int_equal(options.port, 1884);
    assert_string_equal(options.password, "secret");
    assert_int_equal(options.interval_ms, 30);
    assert_string_equal(options.identifier, "name");
    assert_int_equal(options.count, 2);
    assert_int_equal(parse(TOOL_SUB, "start tls+mqtt-tcp://h -t a -C 2"), 0);
    assert_int_equal(options.transport, TRANSPORT_TLS);
    assert_int_equal(options.port, 8883);
    assert_int_equal(options.count, 2);
    assert_int_equal(options.qos, 0);
    assert_int_equal(parse(TOOL_SUB, "start -h localhost -p 99 -t a"), 0);
    assert_int_equal(options.port, 99);
    assert_int_equal(parse(TOOL_SUB, "start -h"), 1);
    assert_int_equal(parse(TOOL_SUB, "--help"), 1);
}

static void test_versions(void **state)
{
    static const struct {
        const char *words;
        enum mqtt_version version;
    } cases[] = {{"-V 3", MQTT_3_1},     {"-V mqttv31", MQTT_3_1},
                 {"-V 311", MQTT_3_1_1}, {"-V MQTTv311", MQTT_3_1_1},
                 {"-V 5", MQTT_5},       {"-V mqttv5", MQTT_5},
                 {"-x 10", MQTT_5},      {"--will-topic w --will_delay_interval 0", MQTT_5}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        assert_int_equal(parse(TOOL_CONN, cases[i].words), 0);
        assert_int_equal(options.mqtt_version, cases[i].version);
    }
    expect_error(TOOL_CONN, "-V 6",
                 "--version takes 3, 4 or 5 (mqttv31, mqttv311, mqttv5), not \"6\"");
    expect_error(TOOL_CONN, "-V 4 -x 5",
                 "--session_expiry_interval needs MQTT 5.0, which --version 4 rules out");
    assert_int_equal(parse(TOOL_CONN, "-V 5 -c -i a"), 0);
    assert_int_equal(options.session_expiry, UINT32_MAX);
}

static void test_properties_as_mosquitto_writes_them(void **state)
{
    (void)state;
    assert_int_equal(
        parse(TOOL_PUB, "-t a -m -D -D publish content-type text/plain -D connect "
                        "session-expiry-interval 7 -D PUBLISH user-property 'one two' 'a = b' -D "
                        "connect request-problem-information 0 -D will user-property x y "
                        "--will-topic w"),
        0);
    assert_string_equal(options.message, "-D");
    assert_string_equal(options.content_type, "text/plain");
    assert_int_equal(options.session_expiry, 7);
    assert_int_equal(options.user_property.count, 1);
    assert_string_equal(options.user_property.items[0], "one two=a = b");
    assert_false(options.request_problem);
    assert_string_equal(options.will_user_property.items[0], "x=y");
    assert_int_equal(options.mqtt_version, MQTT_5);
    expect_error(TOOL_PUB, "-t a -m b -D publish content-typ x",
                 "-D publish content-typ: there is no such property of that packet here");
    expect_error(TOOL_PUB, "-t a -m b -D publish", "-D needs a packet, a property and a value");
    expect_error(TOOL_SUB, "-t a -D subscribe user-property b",
                 "-D subscribe user-property needs a name and a value");
}

static void test_options_from_a_file(void **state)
{
    char name[] = "/tmp/tool_options_XXXXXX", words[64];
    int fd = mkstemp(name);
    static const char text[] =
        "# comment\n\n-h broker\r\n --topic  a b c \n-q 1\n-D publish user-property k v w\n-r";

    (void)state;
    assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
    close(fd);
    snprintf(words, sizeof(words), "-m x -o %s", name);
    assert_int_equal(parse(TOOL_PUB, words), 0);
    unlink(name);
    assert_string_equal(options.host, "broker");
    assert_string_equal(options.topics.items[0], "a b c");
    assert_int_equal(options.qos, 1);
    assert_true(options.retain);
    assert_string_equal(options.user_property.items[0], "k=v w");
    expect_error(TOOL_PUB, "-o /does/not/exist",
                 "cannot read the options file /does/not/exist: No such file or directory");
}

static void test_contradictions(void **state)
{
    static const struct {
        enum tool_command command;
        const char *words, *sentence;
    } cases[] = {
        {TOOL_PUB, "-m x", "--topic is required"},
        {TOOL_PUB, "-t a",
         "there is nothing to publish: --msg, --file, --stdin-line, --stdin-file or "
         "--null-message is required"},
        {TOOL_PUB, "-t a -m x -f y", "--file contradicts --msg: there is one payload"},
        {TOOL_PUB, "-t a/# -m x", "--topic \"a/#\": a topic has no + and no #"},
        {TOOL_PUB, "-t '' -m x", "--topic must not be empty"},
        {TOOL_PUB, "-t a\xff -m x", "--topic is not UTF-8"},
        {TOOL_PUB, "-t a -l -C 2", "--stdin-line needs --count 1: the lines are there once"},
        {TOOL_PUB, "-t a -m x --will-qos 1", "--will-qos needs --will-topic"},
        {TOOL_PUB, "-t a -m x -q 3", "--qos must be from 0 to 2, not 3"},
        {TOOL_PUB, "-t a -m x --user_property a", "--user_property takes NAME=VALUE, not \"a\""},
        {TOOL_PUB, "-t a -m x -T b", "--filter-out has no meaning for this command"},
        {TOOL_PUB, "-t a -m x -P secret", "a password without a user name needs --version 5"},
        {TOOL_SUB, "", "--topic is required"},
        {TOOL_SUB, "-t a#",
         "--topic \"a#\" is not a topic filter: + stands for a level, # for the last ones"},
        {TOOL_SUB, "-t a -T +b",
         "--filter-out \"+b\" is not a topic filter: + stands for a level, # for the last ones"},
        {TOOL_SUB, "-t a -R --retained-only", "--retained-only and --no-retained leave nothing"},
        {TOOL_SUB, "-t a --json -F %p", "--format and --json contradict each other"},
        {TOOL_SUB, "-t $share/g/a --no_local",
         "--no_local is not allowed for a shared subscription"},
        {TOOL_CONN, "-c", "a session that goes on needs a client identifier (--identifier)"},
        {TOOL_CONN, "-c -i a --clean_session true",
         "--disable-clean-session contradicts --clean_session true"},
        {TOOL_CONN, "--keyfile k", "--keyfile needs --certfile: a key alone proves nothing"},
        {TOOL_CONN, "--insecure",
         "--insecure, --servername, --tls-version and --tls-alpn need --secure"},
        {TOOL_CONN, "--secure false --cafile c",
         "--secure false contradicts the certificate that is named"},
        {TOOL_CONN, "--tls false --url mqtts://b", "--secure false contradicts mqtts://b"},
        {TOOL_CONN, "--ws false --url ws://b", "--ws false contradicts ws://b"},
        {TOOL_CONN, "--path /x", "--path needs --ws"},
        {TOOL_CONN, "--ws --path x", "--path must begin with /, not \"x\""},
        {TOOL_CONN, "-h a --url mqtt://b", "--url and --host both say where the broker is"},
        {TOOL_CONN, "--unix /a --url mqtt://b",
         "--unix and --host, --port or --url both say where the broker is"},
        {TOOL_CONN, "--unix a", "--unix takes a path that begins with a slash, not \"a\""},
        {TOOL_CONN, "--url mqtt://b/topic",
         "\"mqtt://b/topic\" has a topic, which conn has no use for"},
        {TOOL_CONN, "stray", "\"stray\" is not an address: scheme://host:port is one"},
        {TOOL_CONN, "--prt 5", "unknown option \"--prt\"; did you mean --port?"},
        {TOOL_SUB, "stop", "there is nothing to stop: a client ends with SIGINT or SIGTERM"},
        {TOOL_CONN, "-p 70000", "--port must be from 1 to 65535, not 70000"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        expect_error(cases[i].command, cases[i].words, cases[i].sentence);
    }
}

static void test_addresses(void **state)
{
    static const struct {
        const char *text, *username, *password, *host, *rest;
        enum transport_kind transport;
        uint16_t port;
    } good[] = {
        {"mqtt://h", NULL, NULL, "h", NULL, TRANSPORT_PLAIN, 0},
        {"mqtt-tcp://h:1884", NULL, NULL, "h", NULL, TRANSPORT_PLAIN, 1884},
        {"TLS+MQTT-TCP://h:1/", NULL, NULL, "h", NULL, TRANSPORT_TLS, 1},
        {"mqtts://u:p%40:x@h.example:65535/a/b%2Fc#", "u", "p@:x", "h.example", "a/b/c#",
         TRANSPORT_TLS, 65535},
        {"ws://[::1]:80/mqtt", NULL, NULL, "::1", "mqtt", TRANSPORT_WS, 80},
        {"nmq-wss://u@h", "u", NULL, "h", NULL, TRANSPORT_WSS, 0},
        {"mqtt://u%20:@h", "u ", "", "h", NULL, TRANSPORT_PLAIN, 0},
        {"unix:///run/a%20b/c@d:1", NULL, NULL, "/run/a b/c@d:1", NULL, TRANSPORT_PLAIN, 0},
    };
    static const char *const bad[] = {
        "h:1883",      "http://localhost", "mqtt://",        "mqtt://:1883",
        "mqtt://h:",   "mqtt://h:0",       "mqtt://h:65536", "mqtt://h:1x",
        "mqtt://[::1", "mqtt://[::1]x",    "mqtt://%zz",     "mqtt://h%0",
        "mqtt://h%00", "mqtt://[]",        "unix://run/x",   "unix://"};
    char space[128];
    struct tool_url url;

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(good); i++) {
        assert_true(tool_url_parse(good[i].text, &url, space, strlen(good[i].text) + 5, error,
                                   sizeof(error)));
        assert_int_equal(url.transport, good[i].transport);
        assert_int_equal(url.port, good[i].port);
        assert_string_equal(url.host, good[i].host);
        assert_string_equal(url.username != NULL ? url.username : "-",
                            good[i].username != NULL ? good[i].username : "-");
        assert_string_equal(url.password != NULL ? url.password : "-",
                            good[i].password != NULL ? good[i].password : "-");
        assert_string_equal(url.rest != NULL ? url.rest : "-",
                            good[i].rest != NULL ? good[i].rest : "-");
    }
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        error[0] = '\0';
        assert_false(tool_url_parse(bad[i], &url, space, sizeof(space), error, sizeof(error)));
        assert_true(strlen(error) > 20);
    }
    assert_int_equal(parse(TOOL_SUB, "ws://h:81/other/path -t a"), 0);
    assert_string_equal(options.path, "/other/path");
    assert_int_equal(options.port, 81);
    assert_int_equal(parse(TOOL_SUB, "mqtts://h/a/#"), 0);
    assert_string_equal(options.topics.items[0], "a/#");
    assert_int_equal(options.port, 8883);
}

static void test_the_table_is_consistent(void **state)
{
    size_t count, letters;
    const struct option_row *rows = tool_rows(&count);
    const struct tool_letter *letter = tool_letters(&letters);

    (void)state;
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < i; j++) {
            assert_ptr_equal(option_find(rows, count, rows[i].name, strlen(rows[i].name)),
                             &rows[i]);
            assert_false(rows[i].letter != 0 && rows[i].letter == rows[j].letter);
        }
        for (size_t j = 0; j < letters; j++) {
            assert_true(rows[i].letter == 0 || rows[i].letter != letter[j].letter ||
                        letter[j].letter == 'p' || letter[j].letter == 'i');
        }
    }
    assert_string_equal(tool_heading(0), "The broker");
    assert_null(tool_heading(1));
}

static int release(void **state)
{
    (void)state;
    tool_options_release(&options);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_presets),
        cmocka_unit_test(test_letters_with_two_meanings),
        cmocka_unit_test(test_start_is_nanomq_0_6_6),
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_properties_as_mosquitto_writes_them),
        cmocka_unit_test(test_options_from_a_file),
        cmocka_unit_test(test_contradictions),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_the_table_is_consistent),
    };

    return cmocka_run_group_tests(tests, NULL, release);
}
