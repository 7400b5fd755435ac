/* SPDX-License-Identifier: MIT
 *
 * sys_events - $SYS/brokers/connected and $SYS/brokers/disconnected, with NanoMQ's members.
 *
 * The text is made only when somebody subscribes. Values that clients chose are JSON-escaped; ts is
 * wall clock milliseconds.
 */
#include "broker/broker_priv.h"

#include <stdarg.h>
#include <stdio.h>

#define TOPIC_CONNECTED    "$SYS/brokers/connected"
#define TOPIC_DISCONNECTED "$SYS/brokers/disconnected"

/* A JSON text that is being written; `room` is enough for whatever the session's strings become. */
struct text {
    char *data;
    size_t len, room;
};

static void append(struct text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void append(struct text *text, const char *format, ...)
{
    va_list arguments;
    int len;

    va_start(arguments, format);
    len = vsnprintf(text->data + text->len, text->room - text->len, format, arguments);
    va_end(arguments);
    ASSERT(len >= 0 && text->len + (size_t)len < text->room);
    text->len += (size_t)len;
}

/* Every byte may become six (\u00xx). */
static void append_escaped(struct text *text, struct span from)
{
    for (uint32_t i = 0; i < from.len; i++) {
        uint8_t byte = from.data[i];

        if (byte < 0x20 || byte == '"' || byte == '\\')
            append(text, "\\u%04x", byte);
        else
            text->data[text->len++] = (char)byte;
    }
}

static bool wanted(struct broker *broker, const char *topic)
{
    struct topic_match match;

    return broker->conf->sys_events &&
           topic_tree_match(broker->tree, span_text(topic), UINT32_MAX, &match) &&
           (match.count > 0 || match.shards != 0);
}

/* Begins the text with the user name. False when memory is gone. */
static bool begin(struct text *text, const struct session *session)
{
    const char *username = session->username == NULL ? "(null)" : session->username;

    text->len = 0;
    text->room = 512 + 6 * (strlen(username) + session->client_identifier_len);
    text->data = mem_try_alloc(text->room);
    if (text->data == NULL)
        return false;
    append(text, "{\"username\":\"");
    append_escaped(text, span_text(username));
    append(text, "\"");
    return true;
}

static void append_client(struct text *text, const struct session *session)
{
    append(text, ",\"client_id\":\"");
    append_escaped(text, session_client_identifier(session));
    append(text, "\"");
}

static void publish(struct broker *broker, const char *topic, struct text *text)
{
    append(text, "}");
    broker_publish(broker, span_text(topic), span_of(text->data, text->len), 0, false);
    mem_free(text->data);
}

void sys_event_connected(struct broker *broker, const struct session *session,
                         const struct connection *connection, bool clean_start)
{
    struct text text;

    if (!wanted(broker, TOPIC_CONNECTED) || !begin(&text, session))
        return;
    append(&text,
           ",\"ts\":%llu,\"proto_name\":\"%s\",\"keepalive\":%u,\"return_code\":\"0\",\"proto_"
           "ver\":%u",
           (unsigned long long)broker->wall_ms, connection->version == MQTT_3_1 ? "MQIsdp" : "MQTT",
           connection->keep_alive_s, connection->version);
    append_client(&text, session);
    append(&text, ",\"clean_start\":%d", clean_start);
    publish(broker, TOPIC_CONNECTED, &text);
}

void sys_event_disconnected(struct broker *broker, const struct session *session, uint8_t reason)
{
    struct text text;

    if (!wanted(broker, TOPIC_DISCONNECTED) || !begin(&text, session))
        return;
    append(&text, ",\"ts\":%llu,\"reason_code\":\"%x\"", (unsigned long long)broker->wall_ms,
           reason);
    append_client(&text, session);
    publish(broker, TOPIC_DISCONNECTED, &text);
}
