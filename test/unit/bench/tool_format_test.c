/* SPDX-License-Identifier: MIT
 *
 * Unit tests of what `shardmq sub` prints and of where `shardmq pub` reads: tool_format, tool_json, tool_output and
 * tool_input.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "bench/tool_format.h"
#include "bench/tool_input.h"
#include "mqtt/encode_client.h"
#include "mqtt/props.h"

static char error[256];

/* What a format makes of a message, with a final NUL. */
static char *print(const char *format, bool pretty, const struct publish_packet *publish)
{
    static char text[8192];
    struct tool_message message = {.publish = publish, .arrived = {1700000000, 123456789}};
    struct tool_output output;
    int ends[2];
    ssize_t len;

    assert_true(tool_format_check(format, error, sizeof(error)));
    assert_int_equal(pipe(ends), 0);
    tool_output_init(&output, ends[1]);
    assert_true(tool_format_print(format, pretty, &message, &output, error, sizeof(error)));
    assert_true(tool_output_flush(&output));
    tool_output_char(&output, '$');
    assert_true(tool_output_flush(&output)); /* so that there is something to read */
    tool_output_fini(&output);
    len = read(ends[0], text, sizeof(text) - 1);
    assert_true(len > 0);
    text[len - 1] = '\0';
    close(ends[0]);
    close(ends[1]);
    return text;
}

static struct publish_packet message(const char *topic, const char *payload)
{
    return (struct publish_packet){.qos = 1,
                                   .retain = true,
                                   .packet_identifier = 42,
                                   .topic = span_text(topic),
                                   .payload = span_text(payload)};
}

static void test_sequences(void **state)
{
    struct publish_packet publish = message("a/b", "payload");
    static const struct {
        const char *format, *printed;
    } cases[] = {
        {"%t %p %l %q %r %m %%", "a/b payload 7 1 1 42 %"},
        {"%x|%X", "7061796c6f6164|7061796C6F6164"},
        {"%6t|%-6t|%.1t|%6.1t|%-6.1t|", "   a/b|a/b   |a|     a|a     |"},
        {"%05q|%5q|%-5q|%2p|%.3p|%.2x", "00001|    1|1    |payload|pay|7061"},
        {"%U", "1700000000.123456789"},
        {"@s.@N@@@Y", "1700000000.123456789@2023"},
        {"a\\tb\\n\\\\\\e", "a\tb\n\\\x1b"},
        {"[%A%C%D%E%F%P%R%S]", "[]"},
        {"", ""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        assert_string_equal(print(cases[i].format, false, &publish), cases[i].printed);
    }
    setenv("TZ", "UTC", 1);
    assert_string_equal(print("%I @H:@M", false, &publish), "2023-11-14T22:13:20+0000 22:13");
}

static void test_unknown_sequences(void **state)
{
    static const char *const bad[] = {"%", "%z", "%5",  "%-",      "%.",
                                      "@", "\\", "\\x", "%99999t", "%5z"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        error[0] = '\0';
        assert_false(tool_format_check(bad[i], error, sizeof(error)));
        assert_true(strlen(error) > 10);
    }
}

static void test_properties(void **state)
{
    struct publish_packet publish = message("t", "p");
    struct mqtt_props *props = &publish.props;
    uint8_t raw[64];
    uint32_t len = mqtt_encode_user_property(raw, sizeof(raw), span_text("a"), span_text("b"));

    (void)state;
    len += mqtt_encode_user_property(raw + len, sizeof(raw) - len, span_text("c"), span_text("\""));
    props->raw = span_of(raw, len);
    props->present = PROP_BIT(MQTT_PROPERTY_USER_PROPERTY) | PROP_BIT(MQTT_PROPERTY_CONTENT_TYPE) |
                     PROP_BIT(MQTT_PROPERTY_MESSAGE_EXPIRY_INTERVAL) |
                     PROP_BIT(MQTT_PROPERTY_CORRELATION_DATA);
    props->content_type = span_text("text");
    props->message_expiry = 9;
    props->correlation_data = span_of("\xff\x00", 2);
    assert_string_equal(print("%P|%C|%E|%R", false, &publish), "a:b c:\"|text|9|");
    assert_string_equal(print("%A|%F|%S|%2A|%-2F|%3E", false, &publish), "|||  |  |  9");
    assert_string_equal(
        print("%j", false, &publish),
        "{\"tst\":\"2023-11-14T22:13:20.123456Z\",\"topic\":\"t\",\"qos\":1,\"retain\":1,"
        "\"payloadlen\":1,"
        "\"mid\":42,\"properties\":{\"message-expiry-interval\":9,\"content-type\":\"text\","
        "\"correlation-data_base64\":\"/wA=\",\"user-properties\":{\"a\":\"b\",\"c\":\"\\\"\"}},"
        "\"payload\":\"p\"}");
}

static void test_json(void **state)
{
    struct publish_packet publish = message("t", "{\"a\": [1, 12345678901234567890]}\n");
    struct tool_message broken = {.publish = &publish};
    struct tool_output output;

    (void)state;
    publish.qos = 0;
    assert_non_null(
        strstr(print("%J", false, &publish), "\"payload\":{\"a\":[1,12345678901234567890]}}"));
    assert_non_null(strstr(print("%j", true, &publish), "{\n  \"tst\": \"2023"));
    publish.payload = span_of("a\0b\x01\n", 5);
    assert_non_null(strstr(print("%j", false, &publish), "\"payload\":\"a\\u0000b\\u0001\\n\"}"));
    publish.payload = span_of("\xc3\x28\xff\xfe", 4);
    assert_non_null(strstr(print("%j", false, &publish), "\"payload_base64\":\"wyj//g==\"}"));
    publish.payload = span_of("", 0);
    assert_non_null(strstr(print("%j", false, &publish), "\"payload\":null}"));
    assert_non_null(strstr(print("%J", false, &publish), "\"payload\":null}"));
    tool_output_init(&output, -1);
    for (unsigned i = 0; i < 3; i++) {
        publish.payload = span_text(i == 0 ? "{\"a\":" : i == 1 ? "1 2" : " ");
        assert_false(tool_format_print("%J", false, &broken, &output, error, sizeof(error)));
        assert_string_equal(error, "a message of topic \"t\" is not JSON, as %J wants it");
    }
    assert_int_equal(output.len, 0);
    tool_output_fini(&output);
}

static void test_output_of_any_size_and_a_reader_that_left(void **state)
{
    struct tool_output output;
    char *large = mem_zalloc(TOOL_OUTPUT_SIZE * 3);
    char name[] = "/tmp/tool_output_XXXXXX";
    int fd = mkstemp(name), ends[2];

    (void)state;
    unlink(name);
    tool_output_init(&output, fd);
    tool_output_text(&output, "begin");
    tool_output_bytes(&output, large, TOOL_OUTPUT_SIZE * 3);
    for (unsigned i = 0; i < TOOL_OUTPUT_SIZE; i++) {
        tool_output_text(&output, "xyz");
    }
    assert_true(tool_output_flush(&output));
    assert_int_equal(lseek(fd, 0, SEEK_END), 5 + TOOL_OUTPUT_SIZE * 6);
    tool_output_fini(&output);
    close(fd);
    assert_int_equal(pipe(ends), 0);
    close(ends[0]);
    signal(SIGPIPE, SIG_IGN);
    tool_output_init(&output, ends[1]);
    tool_output_text(&output, "x");
    assert_false(tool_output_flush(&output));
    assert_int_equal(output.error, EPIPE);
    tool_output_fini(&output);
    close(ends[1]);
    mem_free(large);
}

/* Writes lines of all lengths from another process and takes them back. */
static void test_lines(void **state)
{
    static const uint32_t lengths[] = {0, 1, 5, 0, 262143, 262144, 262145, 3000000, 2, 0};
    struct tool_lines lines;
    struct span line;
    unsigned count = 0;
    int ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    if (fork() == 0) {
        FILE *to = fdopen(ends[1], "w");

        for (size_t i = 0; i < ARRAY_LENGTH(lengths); i++) {
            for (uint32_t j = 0; j < lengths[i]; j++) {
                fputc(j % 251 == 10 ? 0 : (int)(j % 251), to);
            }
            fputc('\n', to);
        }
        fputs("last without an end", to);
        fclose(to);
        _exit(0);
    }
    close(ends[1]);
    tool_lines_init(&lines, ends[0]);
    while (!tool_lines_done(&lines)) {
        if (!tool_lines_next(&lines, &line)) {
            tool_lines_read(&lines);
            continue;
        }
        tool_lines_unread(&lines, line);
        assert_true(tool_lines_next(&lines, &line));
        if (count < ARRAY_LENGTH(lengths)) {
            assert_int_equal(line.len, lengths[count]);
            assert_true(line.len == 0 ||
                        line.data[line.len - 1] ==
                            ((line.len - 1) % 251 == 10 ? 0 : (line.len - 1) % 251));
        } else {
            assert_int_equal(line.len, 19);
        }
        count++;
    }
    assert_int_equal(count, ARRAY_LENGTH(lengths) + 1);
    assert_int_equal(lines.error, 0);
    tool_lines_fini(&lines);
    close(ends[0]);
}

static void test_files(void **state)
{
    char name[] = "/tmp/tool_file_XXXXXX";
    int fd = mkstemp(name);
    size_t len;
    char *data, *expected = mem_zalloc(1000003);

    (void)state;
    data = tool_read_file(name, &len, error, sizeof(error));
    assert_non_null(data);
    assert_int_equal(len, 0);
    mem_free(data);
    expected[1000002] = 'x';
    assert_int_equal(write(fd, expected, 1000003), 1000003);
    data = tool_read_file(name, &len, error, sizeof(error));
    assert_int_equal(len, 1000003);
    assert_memory_equal(data, expected, len);
    mem_free(data);
    mem_free(expected);
    assert_int_equal(ftruncate(fd, (off_t)TOOL_PAYLOAD_MAX + 1), 0);
    assert_null(tool_read_file(name, &len, error, sizeof(error)));
    assert_non_null(strstr(error, "is larger than the 268435455 bytes of an MQTT message"));
    close(fd);
    unlink(name);
    assert_null(tool_read_file(name, &len, error, sizeof(error)));
    assert_non_null(strstr(error, "No such file"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sequences),
        cmocka_unit_test(test_unknown_sequences),
        cmocka_unit_test(test_properties),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_output_of_any_size_and_a_reader_that_left),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
