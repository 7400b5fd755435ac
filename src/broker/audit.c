/* SPDX-License-Identifier: MIT
 *
 * audit - the line and the counter of a refusal; audit.h has the form.
 */
#include "broker/audit.h"

#include "auth/jwt.h"
#include "broker/broker_priv.h"

#include <arpa/inet.h>
#include <stdio.h>

#define NAME_MAX_SHOWN 160 /* bytes of an escaped name or topic in the line */

/* "-" when there is none, else in quotes and escaped. */
static const char *quoted(char *to, size_t size, struct span text)
{
    size_t len;

    if (text.data == NULL) {
        snprintf(to, size, "-");
        return to;
    }
    to[0] = '"';
    log_escape(to + 1, size - 2, text);
    len = strlen(to);
    to[len] = '"';
    to[len + 1] = '\0';
    return to;
}

/* A token may stand where the user name is (auth.jwt.from), and whoever reads it could use it. */
static struct span shown_username(struct span username)
{
    return jwt_is_meant(username) ? span_text("(a token)") : username;
}

static void write_address(char *to, size_t size, const struct audit_refusal *refusal)
{
    char text[INET6_ADDRSTRLEN];

    if (refusal->connection != NULL)
        port_peer_name(refusal->connection, to, size);
    else if ((refusal->peer.family == AF_INET || refusal->peer.family == AF_INET6) &&
             inet_ntop(refusal->peer.family, refusal->peer.bytes, text, sizeof(text)) != NULL)
        snprintf(to, size, refusal->peer.family == AF_INET ? "%s:%u" : "[%s]:%u", text,
                 refusal->peer.port);
    else
        snprintf(to, size, "-");
}

static void format(char *line, size_t size, const struct audit_refusal *refusal)
{
    static const char *const events[AUDIT_EVENT_COUNT] = {
        [AUDIT_ACCEPT] = "accept",       [AUDIT_CONNECT] = "connect", [AUDIT_PUBLISH] = "publish",
        [AUDIT_SUBSCRIBE] = "subscribe", [AUDIT_WILL] = "will",
    };
    const char *link = refusal->link == NULL ? "" : refusal->link;
    const char *rule = refusal->rule == NULL ? "" : refusal->rule;
    char client[NAME_MAX_SHOWN], user[NAME_MAX_SHOWN], topic[NAME_MAX_SHOWN];
    char by[AUTHZ_RULE_MAX + 32], by_quoted[AUTHZ_RULE_MAX + 64], address[PEER_NAME_MAX];
    struct peer_door door = {.listener = refusal->listener};

    write_address(address, sizeof(address), refusal);
    if (refusal->connection != NULL)
        port_peer_door(refusal->connection, &door);
    snprintf(by, sizeof(by), "%s%s%s", link, link[0] == '\0' || rule[0] == '\0' ? "" : ": ", rule);
    snprintf(
        line, size,
        "refused: event=%s client=%s user=%s address=%s listener=%s topic=%s reason=%s by=%s",
        events[refusal->event], quoted(client, sizeof(client), refusal->client_identifier),
        quoted(user, sizeof(user), shown_username(refusal->username)), address,
        door.listener == NULL ? "-" : door.listener, quoted(topic, sizeof(topic), refusal->topic),
        stat_infos[refusal->counter].value,
        quoted(by_quoted, sizeof(by_quoted), by[0] == '\0' ? (struct span){0} : span_text(by)));
}

void audit_refusal(struct broker *broker, const struct audit_refusal *refusal)
{
    static struct log_site
        sites[AUDIT_EVENT_COUNT]; /* shared: a flood of one event hides no other */
    char line[LOG_LINE_MAX];
    uint32_t suppressed;

    stat_add(&broker->stats->values[refusal->counter], 1);
    if (!LOG_ENABLED(LOG_LEVEL_WARN) || !log_site_allows(&sites[refusal->event], &suppressed))
        return;
    format(line, sizeof(line), refusal);
    log_write(LOG_LEVEL_WARN, suppressed, "%s", line);
}

enum stat_id audit_connect_counter(enum mqtt_reason reason)
{
    switch (reason) {
    case MQTT_REASON_BANNED:
        return STAT_refused_banned;
    case MQTT_REASON_BAD_USER_NAME_OR_PASSWORD:
        return STAT_refused_credentials;
    case MQTT_REASON_NOT_AUTHORIZED:
    case MQTT_REASON_BAD_AUTHENTICATION_METHOD:
        return STAT_refused_not_authorized;
    case MQTT_REASON_QUOTA_EXCEEDED:
    case MQTT_REASON_PACKET_TOO_LARGE:
    case MQTT_REASON_CONNECTION_RATE_EXCEEDED:
    case MQTT_REASON_SERVER_BUSY:
        return STAT_refused_limit;
    case MQTT_REASON_SERVER_UNAVAILABLE:
    case MQTT_REASON_SERVER_SHUTTING_DOWN:
        return STAT_refused_unavailable;
    default:
        return STAT_refused_protocol;
    }
}
