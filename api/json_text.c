/* SPDX-License-Identifier: MIT */
#include "api/json_text.h"

#include "base/mem.h"

#include <inttypes.h>
#include <openssl/base64.h>
#include <stdio.h>
#include <time.h>

#define FIRST_CAPACITY 1024u

void json_text_free(struct json_text *text)
{
    mem_free(text->data);
    *text = (struct json_text){0};
}

/* Room for `size` more bytes. False when memory is gone. */
static bool reserve(struct json_text *text, size_t size)
{
    size_t capacity = text->capacity == 0 ? FIRST_CAPACITY : text->capacity;
    char *grown;

    if (text->failed)
        return false;
    if (text->capacity - text->len >= size)
        return true;
    while (capacity - text->len < size)
        capacity *= 2;
    grown = mem_try_realloc(text->data, capacity);
    if (grown == NULL) {
        text->failed = true;
        return false;
    }
    text->data = grown;
    text->capacity = capacity;
    return true;
}

static void append(struct json_text *text, const void *data, size_t len)
{
    if (len == 0 || !reserve(text, len))
        return;
    memcpy(text->data + text->len, data, len);
    text->len += len;
}

void json_text_raw(struct json_text *text, const char *raw)
{
    append(text, raw, strlen(raw));
}

void json_text_string(struct json_text *text, struct span string)
{
    static const char digits[] = "0123456789abcdef";
    char *to;

    if (!reserve(text, 2 + 6 * (size_t)string.len)) /* every byte may become \u00xx */
        return;
    to = text->data + text->len;
    *to++ = '"';
    for (uint32_t i = 0; i < string.len; i++) {
        uint8_t byte = string.data[i];

        if (byte == '"' || byte == '\\') {
            *to++ = '\\';
            *to++ = (char)byte;
        } else if (byte < 0x20 || byte == 0x7f) {
            memcpy(to, "\\u00", 4);
            to[4] = digits[byte >> 4];
            to[5] = digits[byte & 15];
            to += 6;
        } else {
            *to++ = (char)byte;
        }
    }
    *to++ = '"';
    text->len = (size_t)(to - text->data);
}

void json_text_number(struct json_text *text, uint64_t number)
{
    char digits[24];

    append(text, digits, (size_t)snprintf(digits, sizeof(digits), "%" PRIu64, number));
}

void json_text_bool(struct json_text *text, bool value)
{
    json_text_raw(text, value ? "true" : "false");
}

void json_text_time(struct json_text *text, uint64_t wall_ms)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm parts;
    char written[40];

    gmtime_r(&seconds, &parts);
    append(text, written,
           (size_t)snprintf(written, sizeof(written), "\"%04d-%02d-%02dT%02d:%02d:%02d.%03uZ\"",
                            parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour,
                            parts.tm_min, parts.tm_sec, (unsigned)(wall_ms % 1000)));
}

void json_text_base64(struct json_text *text, struct span bytes)
{
    size_t room;

    if (!EVP_EncodedLength(&room, bytes.len) || !reserve(text, room + 2)) {
        text->failed = true;
        return;
    }
    text->data[text->len++] = '"';
    text->len += EVP_EncodeBlock((uint8_t *)text->data + text->len, bytes.data, bytes.len);
    text->data[text->len++] = '"';
}
