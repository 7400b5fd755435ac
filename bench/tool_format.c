/* SPDX-License-Identifier: MIT
 *
 * tool_format - the sequences of -F, one letter after the other.
 */
#include "bench/tool_format.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "mqtt/decode.h"

#define LETTERS    "tpxXlqrmIUjJACDEFPRS%"
#define ESCAPES    "\\0aenrtv"
#define WIDTH_MAX  10000
#define TEXT_BYTES 256

/* What stands between % and its letter. */
struct field {
    bool left, zeros;
    size_t width, precision; /* SIZE_MAX: no precision */
};

void tool_message_time(struct tool_message *message)
{
    if (message->arrived.tv_sec == 0) {
        clock_gettime(CLOCK_REALTIME, &message->arrived);
    }
}

/* Reads the field at `at`; returns its letter's place. */
static const char *read_field(const char *at, struct field *field)
{
    char *end;

    *field = (struct field){.precision = SIZE_MAX};
    for (; *at == '-' || *at == '0'; at++) {
        field->left |= *at == '-';
        field->zeros |= *at == '0';
    }
    if (*at >= '1' && *at <= '9') {
        field->width = strtoul(at, &end, 10);
        at = end;
    }
    if (*at == '.') {
        at++;
        field->precision = 0;
        if (*at >= '0' && *at <= '9') {
            field->precision = strtoul(at, &end, 10);
            at = end;
        }
    }
    return at;
}

bool tool_format_check(const char *format, char *error, size_t error_size)
{
    for (const char *at = format; *at != '\0'; at++) {
        struct field field;

        if (*at == '%') {
            at = read_field(at + 1, &field);
            if (*at == '\0' || strchr(LETTERS, *at) == NULL) {
                snprintf(error, error_size,
                         "--format: %%%.1s is not known; %%%% prints a percent sign", at);
                return false;
            }
            if (field.width > WIDTH_MAX) {
                snprintf(error, error_size, "--format: a width of more than %d", WIDTH_MAX);
                return false;
            }
        } else if (*at == '@') {
            at++;
            if (*at == '\0') {
                snprintf(error, error_size, "--format ends with a @; @@ prints one");
                return false;
            }
        } else if (*at == '\\') {
            at++;
            if (*at == '\0' || strchr(ESCAPES, *at) == NULL) {
                snprintf(error, error_size,
                         "--format: \\%.1s is not known; \\\\ prints a backslash", at);
                return false;
            }
        }
    }
    return true;
}

static void pad_before(const struct field *field, size_t len, struct tool_output *output)
{
    if (!field->left && len < field->width) {
        tool_output_fill(output, field->zeros ? '0' : ' ', field->width - len);
    }
}

static void pad_behind(const struct field *field, size_t len, struct tool_output *output)
{
    if (field->left && len < field->width) {
        tool_output_fill(output, ' ', field->width - len);
    }
}

static void put_span(const struct field *field, struct span span, struct tool_output *output)
{
    if (span.len > field->precision) {
        span.len = (uint32_t)field->precision;
    }
    pad_before(field, span.len, output);
    tool_output_span(output, span);
    pad_behind(field, span.len, output);
}

static void put_number(const struct field *field, uint64_t number, struct tool_output *output)
{
    char text[24];

    snprintf(text, sizeof(text), "%" PRIu64, number);
    put_span(field, span_text(text), output);
}

static void put_hex(const struct field *field, struct span span, const char *digits,
                    struct tool_output *output)
{
    if (span.len > field->precision) {
        span.len = (uint32_t)field->precision;
    }
    pad_before(field, 2 * (size_t)span.len, output);
    for (uint32_t i = 0; i < span.len; i++) {
        tool_output_char(output, digits[span.data[i] >> 4]);
        tool_output_char(output, digits[span.data[i] & 15]);
    }
    pad_behind(field, 2 * (size_t)span.len, output);
}

/* strftime(3) of one letter. */
static void put_time(char letter, struct tool_message *message, struct tool_output *output)
{
    char format[3] = {'%', letter, '\0'}, text[TEXT_BYTES];
    struct tm local;

    tool_message_time(message);
    if (letter == 'N') {
        tool_output_printf(output, "%09ld", message->arrived.tv_nsec);
    } else if (letter == 's') {
        tool_output_printf(output, "%lld", (long long)message->arrived.tv_sec);
    } else if (letter == '@') {
        tool_output_char(output, '@');
    } else {
        localtime_r(&message->arrived.tv_sec, &local);
        tool_output_bytes(output, text, strftime(text, sizeof(text), format, &local));
    }
}

static void put_arrival(const struct field *field, char letter, struct tool_message *message,
                        struct tool_output *output)
{
    char text[TEXT_BYTES];
    struct tm local;

    tool_message_time(message);
    if (letter == 'U') {
        snprintf(text, sizeof(text), "%lld.%09ld", (long long)message->arrived.tv_sec,
                 message->arrived.tv_nsec);
    } else {
        localtime_r(&message->arrived.tv_sec, &local);
        strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S%z", &local);
    }
    put_span(field, span_text(text), output);
}

/* User properties as name:value, subscription identifiers as numbers; a blank between them. */
static void put_repeated(enum mqtt_property id, const struct mqtt_props *props,
                         struct tool_output *output)
{
    struct span raw = props->raw;
    struct property_view view;
    const char *between = "";

    while (props_has(props, id) && props_next(&raw, &view)) {
        if (view.id != id) {
            continue;
        }
        tool_output_text(output, between);
        if (id == MQTT_PROPERTY_USER_PROPERTY) {
            tool_output_span(output, view.name);
            tool_output_char(output, ':');
            tool_output_span(output, view.value);
        } else {
            tool_output_printf(output, "%" PRIu32, view.number);
        }
        between = " ";
    }
}

/* A property that a message has at most once; one that it has not is empty, as wide as it is to be. */
static void put_single(const struct field *field, char letter, const struct mqtt_props *props,
                       struct tool_output *output)
{
    struct span text = {NULL, 0};

    if (letter == 'A' && props_has(props, MQTT_PROPERTY_TOPIC_ALIAS)) {
        put_number(field, props->topic_alias, output);
        return;
    }
    if (letter == 'E' && props_has(props, MQTT_PROPERTY_MESSAGE_EXPIRY_INTERVAL)) {
        put_number(field, props->message_expiry, output);
        return;
    }
    if (letter == 'F' && props_has(props, MQTT_PROPERTY_PAYLOAD_FORMAT_INDICATOR)) {
        put_number(field, props->payload_format, output);
        return;
    }
    if (letter == 'C' && props_has(props, MQTT_PROPERTY_CONTENT_TYPE)) {
        text = props->content_type;
    } else if (letter == 'D' && props_has(props, MQTT_PROPERTY_CORRELATION_DATA)) {
        text = props->correlation_data;
    } else if (letter == 'R' && props_has(props, MQTT_PROPERTY_RESPONSE_TOPIC)) {
        text = props->response_topic;
    }
    put_span(field, text, output);
}

static void put_letter(const struct field *field, char letter, struct tool_message *message,
                       bool pretty, const char *payload_json, struct tool_output *output)
{
    const struct publish_packet *publish = message->publish;

    switch (letter) {
    case '%':
        tool_output_char(output, '%');
        break;
    case 't':
        put_span(field, publish->topic, output);
        break;
    case 'p':
        put_span(field, publish->payload, output);
        break;
    case 'x':
        put_hex(field, publish->payload, "0123456789abcdef", output);
        break;
    case 'X':
        put_hex(field, publish->payload, "0123456789ABCDEF", output);
        break;
    case 'l':
        put_number(field, publish->payload.len, output);
        break;
    case 'q':
        put_number(field, publish->qos, output);
        break;
    case 'r':
        put_number(field, publish->retain, output);
        break;
    case 'm':
        put_number(field, publish->packet_identifier, output);
        break;
    case 'I':
    case 'U':
        put_arrival(field, letter, message, output);
        break;
    case 'j':
        tool_json_print(message, pretty, NULL, output);
        break;
    case 'J':
        tool_json_print(message, pretty, payload_json, output);
        break;
    case 'P':
        put_repeated(MQTT_PROPERTY_USER_PROPERTY, &publish->props, output);
        break;
    case 'S':
        put_repeated(MQTT_PROPERTY_SUBSCRIPTION_IDENTIFIER, &publish->props, output);
        break;
    default:
        put_single(field, letter, &publish->props, output);
    }
}

static char escaped(char letter)
{
    static const char results[] = {'\\', '\0', '\a', 27, '\n', '\r', '\t', '\v'};

    return results[strchr(ESCAPES, letter) - ESCAPES];
}

/* Whether %J stands in the format. */
static bool wants_payload_json(const char *format)
{
    for (const char *at = format; *at != '\0'; at++) {
        struct field field;

        if (*at == '%') {
            at = read_field(at + 1, &field);
            if (*at == 'J') {
                return true;
            }
        } else if ((*at == '@' || *at == '\\') && at[1] != '\0') {
            at++;
        }
    }
    return false;
}

bool tool_format_print(const char *format, bool pretty, struct tool_message *message,
                       struct tool_output *output, char *error, size_t error_size)
{
    char *payload_json = NULL;

    if (wants_payload_json(format)) {
        payload_json = tool_json_payload(message->publish->payload);
        if (payload_json == NULL) {
            snprintf(error, error_size, "a message of topic \"%.*s\" is not JSON, as %%J wants it",
                     (int)message->publish->topic.len, (const char *)message->publish->topic.data);
            return false;
        }
    }
    for (const char *at = format; *at != '\0'; at++) {
        struct field field;

        if (*at == '%') {
            at = read_field(at + 1, &field);
            put_letter(&field, *at, message, pretty, payload_json, output);
        } else if (*at == '@') {
            put_time(*++at, message, output);
        } else if (*at == '\\') {
            tool_output_char(output, escaped(*++at));
        } else {
            tool_output_char(output, *at);
        }
    }
    mem_free(payload_json);
    return true;
}
