/* SPDX-License-Identifier: MIT
 *
 * tool_json - a message as a JSON object (RFC 8259), with the names that mosquitto_sub gives its members.
 *
 *   {"tst":"2026-03-01T12:00:00.123456Z","topic":"a","qos":1,"retain":0,"payloadlen":3,"mid":1,
 *    "properties":{"content-type":"text","user-properties":{"name":"value"}},"payload":"abc"}
 *
 * An empty payload is null, as there. One that is not UTF-8 cannot be a JSON string: it comes as "payload_base64"
 * (RFC 4648, 4).
 */
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "bench/tool_format.h"
#include "mqtt/decode.h"

/* Writes members with the commas and blanks that belong between them. */
struct json {
    struct tool_output *output;
    bool pretty, first;
    unsigned depth;
};

static void new_line(struct json *json)
{
    if (json->pretty) {
        tool_output_char(json->output, '\n');
        tool_output_fill(json->output, ' ', 2 * (size_t)json->depth);
    }
}

/* A string between quotation marks; what is not UTF-8 was dealt with before. */
static void put_string(struct json *json, struct span text)
{
    struct tool_output *output = json->output;
    uint32_t from = 0;

    tool_output_char(output, '"');
    for (uint32_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];

        if (c >= 0x20 && c != '"' && c != '\\') {
            continue;
        }
        tool_output_bytes(output, text.data + from, i - from);
        from = i + 1;
        if (c == '"' || c == '\\') {
            tool_output_char(output, '\\');
            tool_output_char(output, (char)c);
        } else if (c == '\n') {
            tool_output_text(output, "\\n");
        } else if (c == '\t') {
            tool_output_text(output, "\\t");
        } else if (c == '\r') {
            tool_output_text(output, "\\r");
        } else {
            tool_output_printf(output, "\\u%04x", c);
        }
    }
    tool_output_bytes(output, text.data + from, text.len - from);
    tool_output_char(output, '"');
}

static void put_base64(struct json *json, struct span bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    tool_output_char(json->output, '"');
    for (uint32_t i = 0; i < bytes.len; i += 3) {
        uint32_t left = bytes.len - i;
        uint32_t group = (uint32_t)bytes.data[i] << 16 |
                         (left > 1 ? (uint32_t)bytes.data[i + 1] << 8 : 0) |
                         (left > 2 ? bytes.data[i + 2] : 0);
        char text[4] = {digits[group >> 18], digits[group >> 12 & 63],
                        left > 1 ? digits[group >> 6 & 63] : '=',
                        left > 2 ? digits[group & 63] : '='};

        tool_output_bytes(json->output, text, sizeof(text));
    }
    tool_output_char(json->output, '"');
}

static void begin(struct json *json)
{
    tool_output_char(json->output, '{');
    json->depth++;
    json->first = true;
}

static void end(struct json *json)
{
    json->depth--;
    new_line(json);
    tool_output_char(json->output, '}');
    json->first = false;
}

static void put_name(struct json *json, struct span name)
{
    if (!json->first) {
        tool_output_char(json->output, ',');
    }
    json->first = false;
    new_line(json);
    put_string(json, name);
    tool_output_text(json->output, json->pretty ? ": " : ":");
}

static void member_number(struct json *json, const char *name, uint64_t value)
{
    put_name(json, span_text(name));
    tool_output_printf(json->output, "%" PRIu64, value);
}

/* Bytes: a string if they are UTF-8, else in base64 under the name with _base64 behind it. */
static void member_bytes(struct json *json, const char *name, struct span bytes)
{
    char other[40];

    if (utf8_valid(bytes.data, bytes.len) || memchr(bytes.data, 0, bytes.len) != NULL) {
        struct span rest = bytes;
        bool good = true;

        while (rest.len > 0 && good) { /* U+0000 is fine in JSON, only MQTT has it not */
            const uint8_t *zero = memchr(rest.data, 0, rest.len);
            uint32_t len = zero == NULL ? rest.len : (uint32_t)(zero - rest.data);

            good = utf8_valid(rest.data, len);
            rest = span_of(rest.data + len + (zero != NULL), rest.len - len - (zero != NULL));
        }
        if (good) {
            put_name(json, span_text(name));
            put_string(json, bytes);
            return;
        }
    }
    snprintf(other, sizeof(other), "%s_base64", name);
    put_name(json, span_text(other));
    put_base64(json, bytes);
}

static void put_user_properties(struct json *json, const struct mqtt_props *props)
{
    struct span raw = props->raw;
    struct property_view view;

    put_name(json, span_text("user-properties"));
    begin(json);
    while (props_next(&raw, &view)) {
        if (view.id == MQTT_PROPERTY_USER_PROPERTY) {
            put_name(json, view.name);
            put_string(json, view.value);
        }
    }
    end(json);
}

static void put_subscription_identifiers(struct json *json, const struct mqtt_props *props)
{
    struct span raw = props->raw;
    struct property_view view;
    const char *between = "";

    put_name(json, span_text("subscription-identifiers"));
    tool_output_char(json->output, '[');
    while (props_next(&raw, &view)) {
        if (view.id == MQTT_PROPERTY_SUBSCRIPTION_IDENTIFIER) {
            tool_output_printf(json->output, "%s%" PRIu32, between, view.number);
            between = ",";
        }
    }
    tool_output_char(json->output, ']');
}

static void put_properties(struct json *json, const struct mqtt_props *props)
{
    put_name(json, span_text("properties"));
    begin(json);
    if (props_has(props, MQTT_PROPERTY_PAYLOAD_FORMAT_INDICATOR)) {
        member_number(json, "payload-format-indicator", props->payload_format);
    }
    if (props_has(props, MQTT_PROPERTY_MESSAGE_EXPIRY_INTERVAL)) {
        member_number(json, "message-expiry-interval", props->message_expiry);
    }
    if (props_has(props, MQTT_PROPERTY_CONTENT_TYPE)) {
        member_bytes(json, "content-type", props->content_type);
    }
    if (props_has(props, MQTT_PROPERTY_RESPONSE_TOPIC)) {
        member_bytes(json, "response-topic", props->response_topic);
    }
    if (props_has(props, MQTT_PROPERTY_CORRELATION_DATA)) {
        member_bytes(json, "correlation-data", props->correlation_data);
    }
    if (props_has(props, MQTT_PROPERTY_TOPIC_ALIAS)) {
        member_number(json, "topic-alias", props->topic_alias);
    }
    if (props_has(props, MQTT_PROPERTY_SUBSCRIPTION_IDENTIFIER)) {
        put_subscription_identifiers(json, props);
    }
    if (props_has(props, MQTT_PROPERTY_USER_PROPERTY)) {
        put_user_properties(json, props);
    }
    end(json);
}

static void put_arrival(struct json *json, struct tool_message *message)
{
    char text[64];
    struct tm utc;
    size_t len;

    tool_message_time(message);
    gmtime_r(&message->arrived.tv_sec, &utc);
    len = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(text + len, sizeof(text) - len, ".%06ldZ", message->arrived.tv_nsec / 1000);
    put_name(json, span_text("tst"));
    put_string(json, span_text(text));
}

void tool_json_print(struct tool_message *message, bool pretty, const char *payload_json,
                     struct tool_output *output)
{
    const struct publish_packet *publish = message->publish;
    struct json json = {.output = output, .pretty = pretty};

    begin(&json);
    put_arrival(&json, message);
    member_bytes(&json, "topic", publish->topic);
    member_number(&json, "qos", publish->qos);
    member_number(&json, "retain", publish->retain);
    member_number(&json, "payloadlen", publish->payload.len);
    if (publish->qos > 0) {
        member_number(&json, "mid", publish->packet_identifier);
    }
    if (publish->props.present != 0) {
        put_properties(&json, &publish->props);
    }
    if (payload_json != NULL || publish->payload.len == 0) {
        put_name(&json, span_text("payload"));
        tool_output_text(output, payload_json != NULL ? payload_json : "null");
    } else {
        member_bytes(&json, "payload", publish->payload);
    }
    end(&json);
}

char *tool_json_payload(struct span payload)
{
    char *text;
    cJSON *tree = NULL;

    if (payload.len == 0) {
        return mem_strdup("null");
    }
    text = mem_alloc((size_t)payload.len + 1);
    memcpy(text, payload.data, payload.len);
    text[payload.len] = '\0';
    /* the whole of it, to its final NUL: nothing behind the value, and no NUL within */
    if (strlen(text) == payload.len && utf8_valid(payload.data, payload.len)) {
        tree = cJSON_ParseWithLengthOpts(text, (size_t)payload.len + 1, NULL, 1);
    }
    if (tree == NULL) {
        mem_free(text);
        return NULL;
    }
    cJSON_Delete(tree);
    cJSON_Minify(text); /* not printed from the tree, which would round large numbers */
    return text;
}
