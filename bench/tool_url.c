/* SPDX-License-Identifier: MIT
 *
 * tool_url - taking the address of a broker apart.
 */
#include "bench/tool_url.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/check.h"

static const struct {
    const char *scheme;
    enum transport_kind transport;
} schemes[] = {
    {"mqtt", TRANSPORT_PLAIN},       {"tcp", TRANSPORT_PLAIN},
    {"mqtt-tcp", TRANSPORT_PLAIN},   {"mqtt+tcp", TRANSPORT_PLAIN},
    {"nmq-tcp", TRANSPORT_PLAIN},    {"nmq+tcp", TRANSPORT_PLAIN},
    {"broker+tcp", TRANSPORT_PLAIN}, {"mqtts", TRANSPORT_TLS},
    {"ssl", TRANSPORT_TLS},          {"tls", TRANSPORT_TLS},
    {"tls+mqtt-tcp", TRANSPORT_TLS}, {"tls+mqtt+tcp", TRANSPORT_TLS},
    {"tls+nmq-tcp", TRANSPORT_TLS},  {"mqtt+tls", TRANSPORT_TLS},
    {"mqtt+ssl", TRANSPORT_TLS},     {"ws", TRANSPORT_WS},
    {"mqtt-ws", TRANSPORT_WS},       {"mqtt+ws", TRANSPORT_WS},
    {"nmq-ws", TRANSPORT_WS},        {"nmq+ws", TRANSPORT_WS},
    {"wss", TRANSPORT_WSS},          {"mqtt-wss", TRANSPORT_WSS},
    {"mqtt+wss", TRANSPORT_WSS},     {"nmq-wss", TRANSPORT_WSS},
    {"nmq+wss", TRANSPORT_WSS},      {"unix", TRANSPORT_PLAIN},
};

/* Where the parts are written, one behind the other. */
struct space {
    char *at, *end;
};

static int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *found = c == '\0' ? NULL : strchr(digits, c >= 'A' && c <= 'F' ? c + 32 : c);

    return found == NULL ? -1 : (int)(found - digits);
}

/* Copies text[0 .. len) decoded. NULL when it is not well encoded, has a NUL, or there is no space. */
static const char *decode(struct space *space, const char *text, size_t len)
{
    char *start = space->at;

    for (size_t i = 0; i < len; i++) {
        char c = text[i];

        if (c == '%') {
            int high = i + 2 < len ? hex_digit(text[i + 1]) : -1;
            int low = i + 2 < len ? hex_digit(text[i + 2]) : -1;

            if (high < 0 || low < 0 || high + low == 0) {
                return NULL;
            }
            c = (char)(high * 16 + low);
            i += 2;
        }
        if (space->at + 1 >= space->end) {
            return NULL;
        }
        *space->at++ = c;
    }
    if (space->at >= space->end) {
        return NULL;
    }
    *space->at++ = '\0';
    return start;
}

static bool find_scheme(const char *text, size_t len, enum transport_kind *transport)
{
    for (size_t i = 0; i < ARRAY_LENGTH(schemes); i++) {
        if (strlen(schemes[i].scheme) == len && strncasecmp(schemes[i].scheme, text, len) == 0) {
            *transport = schemes[i].transport;
            return true;
        }
    }
    return false;
}

/* The end of the host at `text`, brackets included; NULL when a bracket is not closed. */
static const char *end_of_host(const char *text, const char *end)
{
    const char *at;

    if (*text == '[') {
        at = memchr(text, ']', (size_t)(end - text));
        return at == NULL ? NULL : at + 1;
    }
    at = memchr(text, ':', (size_t)(end - text));
    return at == NULL ? end : at;
}

/* host[:port] in text[.. end). */
static bool take_host(struct tool_url *url, struct space *space, const char *text, const char *end)
{
    const char *host_end = end_of_host(text, end);
    unsigned long port = 0;

    if (host_end == NULL || host_end == text) {
        return false;
    }
    if (*text == '[') {
        url->host = decode(space, text + 1, (size_t)(host_end - text) - 2);
    } else {
        url->host = decode(space, text, (size_t)(host_end - text));
    }
    if (url->host == NULL || url->host[0] == '\0') {
        return false;
    }
    if (host_end == end) {
        return true;
    }
    if (*host_end != ':' || host_end + 1 == end) {
        return false;
    }
    for (const char *digit = host_end + 1; digit < end; digit++) {
        if (*digit < '0' || *digit > '9' || port > 65535) {
            return false;
        }
        port = port * 10 + (unsigned long)(*digit - '0');
    }
    url->port = (uint16_t)port;
    return port > 0 && port <= 65535;
}

/* user[:password] in text[.. end). */
static bool take_user(struct tool_url *url, struct space *space, const char *text, const char *end)
{
    const char *colon = memchr(text, ':', (size_t)(end - text));

    url->username = decode(space, text, (size_t)((colon == NULL ? end : colon) - text));
    if (colon != NULL) {
        url->password = decode(space, colon + 1, (size_t)(end - colon) - 1);
    }
    return url->username != NULL && (colon == NULL || url->password != NULL);
}

/* [user[:password]@]host[:port][/rest] */
static bool take_network(struct tool_url *url, struct space *space, const char *text)
{
    const char *end = text + strcspn(text, "/?#"), *user_end = NULL;

    for (const char *at = text; at < end; at++) {
        user_end = *at == '@' ? at : user_end;
    }
    if (user_end != NULL && !take_user(url, space, text, user_end)) {
        return false;
    }
    if (!take_host(url, space, user_end == NULL ? text : user_end + 1, end)) {
        return false;
    }
    if (*end == '/' && end[1] != '\0') {
        url->rest = decode(space, end + 1, strlen(end + 1));
        return url->rest != NULL;
    }
    return true;
}

/* The whole of it is the path of a UNIX socket. */
static bool take_path(struct tool_url *url, struct space *space, const char *text)
{
    url->host = *text == '/' ? decode(space, text, strlen(text)) : NULL;
    return url->host != NULL;
}

bool tool_url_parse(const char *text, struct tool_url *url, char *to, size_t size, char *error,
                    size_t error_size)
{
    const char *after = strstr(text, "://");
    struct space space = {to, to + size};
    bool good;

    memset(url, 0, sizeof(*url));
    if (after == NULL) {
        snprintf(error, error_size, "\"%s\" is not an address: scheme://host:port is one", text);
        return false;
    }
    if (!find_scheme(text, (size_t)(after - text), &url->transport)) {
        snprintf(
            error, error_size,
            "\"%s\": the scheme %.*s is not one of mqtt, mqtts, ws, wss, mqtt-tcp, tls+mqtt-tcp",
            text, (int)(after - text), text);
        return false;
    }
    after += 3;
    good = strncasecmp(text, "unix:", 5) == 0 ? take_path(url, &space, after)
                                              : take_network(url, &space, after);
    if (!good) {
        snprintf(
            error, error_size,
            "\"%s\" is not an address: scheme://user:password@host:port is the form of one, with "
            "%%XX for what is special",
            text);
    }
    return good;
}
