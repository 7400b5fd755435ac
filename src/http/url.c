/* SPDX-License-Identifier: MIT */
#include "http/url.h"

#include "base/refuse.h"

#include <http_parser.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool copy_field(const struct http_parser_url *parsed, enum http_parser_url_fields field,
                       const char *text, char *to, size_t size)
{
    size_t len = (parsed->field_set & 1u << field) != 0 ? parsed->field_data[field].len : 0;

    if (len >= size)
        return false;
    memcpy(to, text + parsed->field_data[field].off, len);
    to[len] = '\0';
    return true;
}

/* http_parser lets many a character pass in paths that would end the request line, or split it. */
static bool only_url_characters(const char *text)
{
    for (; *text != '\0'; text++)
        if (*text <= ' ' || *text > '~' || strchr("\"<>\\^`{|}", *text) != NULL)
            return false;
    return true;
}

static bool read_target(const struct http_parser_url *parsed, const char *text,
                        struct http_url *url)
{
    char path[URL_TARGET_BYTES], query[URL_TARGET_BYTES];

    if (!copy_field(parsed, UF_PATH, text, path, sizeof(path)) ||
        !copy_field(parsed, UF_QUERY, text, query, sizeof(query)))
        return false;
    url->query = query[0] != '\0';
    return snprintf(url->target, sizeof(url->target), "%s%s%s", path[0] != '\0' ? path : "/",
                    url->query ? "?" : "", query) < (int)sizeof(url->target);
}

bool http_url_parse(const char *text, struct http_url *url, char *why, size_t size)
{
    struct http_parser_url parsed;
    char scheme[8];

    memset(url, 0, sizeof(*url));
    if (!only_url_characters(text))
        return refuse_with(why, size, "has a character that a URL must not have");
    http_parser_url_init(&parsed);
    if (strlen(text) > UINT16_MAX || http_parser_parse_url(text, strlen(text), 0, &parsed) != 0 ||
        !copy_field(&parsed, UF_SCHEMA, text, scheme, sizeof(scheme)))
        return refuse_with(
            why, size, "is not a URL with http:// or https://, as http://auth.example:8080/auth");
    url->tls = strcasecmp(scheme, "https") == 0;
    if (!url->tls && strcasecmp(scheme, "http") != 0)
        return refuse_with(why, size, "must begin with http:// or https://");
    if ((parsed.field_set & 1u << UF_USERINFO) != 0)
        return refuse_with(why, size,
                           "must not have a user name: send credentials in a header "
                           "(headers.authorization)");
    if ((parsed.field_set & 1u << UF_FRAGMENT) != 0)
        return refuse_with(why, size, "must not have a fragment (#)");
    if (!copy_field(&parsed, UF_HOST, text, url->host, sizeof(url->host)) || url->host[0] == '\0')
        return refuse_with(why, size, "has no host, or one of more than %u characters",
                           URL_HOST_BYTES - 1);
    url->ipv6 = strchr(url->host, ':') != NULL;
    url->port = (parsed.field_set & 1u << UF_PORT) != 0 ? parsed.port : url->tls ? 443 : 80;
    if (url->port == 0)
        return refuse_with(why, size, "has the port 0");
    return read_target(&parsed, text, url) ||
           refuse_with(why, size, "has more than %u characters behind its host",
                       URL_TARGET_BYTES - 1);
}
