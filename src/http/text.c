/* SPDX-License-Identifier: MIT */
#include "http/http.h"

#include "base/check.h"
#include "base/utf8.h"

#include <ctype.h>

/* ---- names ---- */

const char *http_method_name(enum http_request_method method)
{
    static const char *const names[] = {
        [HTTP_METHOD_GET] = "GET",       [HTTP_METHOD_HEAD] = "HEAD",
        [HTTP_METHOD_POST] = "POST",     [HTTP_METHOD_PUT] = "PUT",
        [HTTP_METHOD_DELETE] = "DELETE", [HTTP_METHOD_OPTIONS] = "OPTIONS",
        [HTTP_METHOD_PATCH] = "PATCH",   [HTTP_METHOD_OTHER] = "?",
    };

    return names[method];
}

const char *http_reason(unsigned status)
{
    static const struct {
        unsigned status;
        const char *reason;
    } rows[] = {
        {100, "Continue"},
        {101, "Switching Protocols"},
        {200, "OK"},
        {204, "No Content"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {417, "Expectation Failed"},
        {422, "Unprocessable Content"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };

    for (unsigned i = 0; i < ARRAY_LENGTH(rows); i++)
        if (rows[i].status == status)
            return rows[i].reason;
    return "Unknown";
}

/* ---- headers ---- */

bool http_token_equal(struct span a, const char *b)
{
    for (uint32_t i = 0; i < a.len; i++)
        if (b[i] == '\0' || tolower(a.data[i]) != tolower((unsigned char)b[i]))
            return false;
    return b[a.len] == '\0';
}

bool http_header(const struct http_headers *headers, const char *name, struct span *value)
{
    for (unsigned i = 0; i < headers->count; i++) {
        if (!http_token_equal(headers->row[i].name, name))
            continue;
        *value = headers->row[i].value;
        return true;
    }
    return false;
}

unsigned http_header_count(const struct http_headers *headers, const char *name)
{
    unsigned count = 0;

    for (unsigned i = 0; i < headers->count; i++)
        count += http_token_equal(headers->row[i].name, name);
    return count;
}

static bool list_has(struct span list, const char *token)
{
    while (list.len != 0) {
        const uint8_t *comma = memchr(list.data, ',', list.len);
        uint32_t len = comma == NULL ? list.len : (uint32_t)(comma - list.data);
        struct span element = {.data = list.data, .len = len};

        while (element.len != 0 && (element.data[0] == ' ' || element.data[0] == '\t')) {
            element.data++;
            element.len--;
        }
        while (element.len != 0 &&
               (element.data[element.len - 1] == ' ' || element.data[element.len - 1] == '\t'))
            element.len--;
        if (http_token_equal(element, token))
            return true;
        len += comma != NULL;
        list.data += len;
        list.len -= len;
    }
    return false;
}

bool http_header_has(const struct http_headers *headers, const char *name, const char *token)
{
    for (unsigned i = 0; i < headers->count; i++)
        if (http_token_equal(headers->row[i].name, name) && list_has(headers->row[i].value, token))
            return true;
    return false;
}

/* ---- targets ---- */

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (uint8_t)tolower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool http_percent_decode(struct span *text, bool plus_is_blank)
{
    uint8_t *to = (uint8_t *)(uintptr_t)text->data;
    uint32_t len = 0;

    for (uint32_t i = 0; i < text->len; i++) {
        uint8_t c = text->data[i];

        if (c == '%') {
            int high = i + 2 < text->len ? hex_value(text->data[i + 1]) : -1;
            int low = i + 2 < text->len ? hex_value(text->data[i + 2]) : -1;

            if (high < 0 || low < 0)
                return false;
            c = (uint8_t)(high * 16 + low);
            i += 2;
        } else if (c == '+' && plus_is_blank) {
            c = ' ';
        }
        to[len++] = c;
    }
    text->len = len;
    return utf8_valid(text->data, text->len);
}

bool http_query_next(struct span *query, struct span *name, struct span *value)
{
    while (query->len != 0) {
        const uint8_t *end = memchr(query->data, '&', query->len);
        uint32_t len = end == NULL ? query->len : (uint32_t)(end - query->data);
        const uint8_t *equals = memchr(query->data, '=', len);
        uint32_t name_len = equals == NULL ? len : (uint32_t)(equals - query->data);

        *name = span_of(query->data, name_len);
        *value = equals == NULL ? (struct span){0} : span_of(equals + 1, len - name_len - 1);
        query->data += len + (end != NULL);
        query->len -= len + (end != NULL);
        if (len != 0)
            return true;
    }
    return false;
}
