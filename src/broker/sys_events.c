/* SPDX-License-Identifier: MIT
 *
 * sys_events - $SYS/brokers/connected and $SYS/brokers/disconnected, with NanoMQ's members.
 *
 * The text is made only when somebody subscribes. Values that clients chose are JSON-escaped; ts is
 * wall clock milliseconds.
 */
#include "broker/broker_priv.h"

#include <stdio.h>

#define TOPIC_CONNECTED    "$SYS/brokers/connected"
#define TOPIC_DISCONNECTED "$SYS/brokers/disconnected"

/* Every byte may become six (\u00xx). */
static char *append_escaped(char *to, struct span text)
{
    for (uint32_t i = 0; i < text.len; i++) {
        uint8_t byte = text.data[i];

        if (byte == '"' || byte == '\\') {
            *to++ = '\\';
            *to++ = (char)byte;
        } else if (byte < 0x20) {
            to += sprintf(to, "\\u%04x", byte);
        } else {
            *to++ = (char)byte;
        }
    }
    return to;
}

static bool wanted(struct broker *broker, const char *topic)
{
    struct topic_match match;

    return broker->conf->sys_events &&
           topic_tree_match(broker->tree, span_text(topic), UINT32_MAX, &match) &&
           (match.count > 0 || match.shards != 0);
}

static char *text_buffer(const struct session *session)
{
    size_t username = session->username == NULL ? 8 : strlen(session->username);

    return mem_try_alloc(512 + 6 * (username + session->client_identifier_len));
}

static char *append_username(char *to, const struct session *session)
{
    to += sprintf(to, "{\"username\":\"");
    to = append_escaped(to, span_text(session->username == NULL ? "(null)" : session->username));
    return to;
}

static void publish(struct broker *broker, const char *topic, char *text, const char *end)
{
    broker_publish(broker, span_text(topic), span_of(text, (size_t)(end - text)), 0, false);
    mem_free(text);
}

void sys_event_connected(struct broker *broker, const struct session *session,
                         const struct connection *connection, bool clean_start)
{
    char *text, *to;

    if (!wanted(broker, TOPIC_CONNECTED) || (text = text_buffer(session)) == NULL)
        return;
    to = append_username(text, session);
    to += sprintf(to,
                  "\",\"ts\":%llu,\"proto_name\":\"%s\",\"keepalive\":%u,\"return_code\":\"0\","
                  "\"proto_ver\":%u,\"client_id\":\"",
                  (unsigned long long)broker->wall_ms,
                  connection->version == MQTT_3_1 ? "MQIsdp" : "MQTT", connection->keep_alive_s,
                  connection->version);
    to = append_escaped(to, session_client_identifier(session));
    to += sprintf(to, "\",\"clean_start\":%d}", clean_start);
    publish(broker, TOPIC_CONNECTED, text, to);
}

void sys_event_disconnected(struct broker *broker, const struct session *session, uint8_t reason)
{
    char *text, *to;

    if (!wanted(broker, TOPIC_DISCONNECTED) || (text = text_buffer(session)) == NULL)
        return;
    to = append_username(text, session);
    to += sprintf(to, "\",\"ts\":%llu,\"reason_code\":\"%x\",\"client_id\":\"",
                  (unsigned long long)broker->wall_ms, reason);
    to = append_escaped(to, session_client_identifier(session));
    to += sprintf(to, "\"}");
    publish(broker, TOPIC_DISCONNECTED, text, to);
}
