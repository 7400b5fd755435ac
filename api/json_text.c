/* SPDX-License-Identifier: MIT */
#include "api/json_text.h"

#include "base/mem.h"

#include <openssl/base64.h>

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

/* The decimal digits of a number, at the end of `digits`; returns where they begin. */
static char *print_number(uint64_t number, char *end)
{
    do {
        *--end = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    return end;
}

void json_text_number(struct json_text *text, uint64_t number)
{
    char digits[20], *begin = print_number(number, digits + sizeof(digits));

    append(text, begin, (size_t)(digits + sizeof(digits) - begin));
}

void json_text_bool(struct json_text *text, bool value)
{
    json_text_raw(text, value ? "true" : "false");
}

/* Year, month and day of a number of days since 1970: years are counted from March, so that the day that some of
 * them have more is their last one. */
static void date_of(uint64_t days, unsigned *year, unsigned *month, unsigned *day)
{
    uint64_t since_0 = days + 719468;                           /* from 1 March of the year 0 */
    uint64_t era = since_0 / 146097, in_era = since_0 % 146097; /* of 400 years */
    uint64_t years = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    uint64_t in_year = in_era - (365 * years + years / 4 - years / 100);
    uint64_t from_march = (5 * in_year + 2) / 153;

    *day = (unsigned)(in_year - (153 * from_march + 2) / 5 + 1);
    *month = (unsigned)(from_march < 10 ? from_march + 3 : from_march - 9);
    *year = (unsigned)(era * 400 + years + (*month <= 2));
}

static void put_digits(char *to, unsigned count, uint64_t number)
{
    while (count-- > 0) {
        to[count] = (char)('0' + number % 10);
        number /= 10;
    }
}

void json_text_time(struct json_text *text, uint64_t wall_ms)
{
    char written[] = "\"0000-00-00T00:00:00.000Z\"";
    uint64_t seconds = wall_ms / 1000 % 86400;
    unsigned year, month, day;

    date_of(wall_ms / 86400000, &year, &month, &day);
    put_digits(written + 1, 4, year);
    put_digits(written + 6, 2, month);
    put_digits(written + 9, 2, day);
    put_digits(written + 12, 2, seconds / 3600);
    put_digits(written + 15, 2, seconds / 60 % 60);
    put_digits(written + 18, 2, seconds % 60);
    put_digits(written + 21, 3, wall_ms % 1000);
    append(text, written, sizeof(written) - 1);
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
