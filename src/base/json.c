/* SPDX-License-Identifier: MIT */
#include "base/json.h"

#include "base/check.h"
#include "base/utf8.h"

#include <ctype.h>
#include <math.h>

#define NUMBER_BYTES_MAX 63 /* cJSON cuts longer ones off */

const char json_no_memory[] = "there is no memory";

struct scan {
    const uint8_t *at, *end;
    const char *why;
};

static bool fail(struct scan *scan, const char *why)
{
    if (scan->why == NULL)
        scan->why = why;
    return false;
}

static void skip_space(struct scan *scan)
{
    while (scan->at < scan->end &&
           (*scan->at == ' ' || *scan->at == '\t' || *scan->at == '\n' || *scan->at == '\r'))
        scan->at++;
}

static bool take(struct scan *scan, char c)
{
    if (scan->at == scan->end || *scan->at != c)
        return false;
    scan->at++;
    return true;
}

static bool scan_hexadecimal(struct scan *scan, unsigned *value)
{
    *value = 0;
    if (scan->end - scan->at < 4)
        return fail(scan, "a string does not end");
    for (unsigned i = 0; i < 4; i++) {
        uint8_t c = scan->at[i];

        if (!isxdigit(c))
            return fail(scan, "\\u without four hexadecimal digits");
        *value = *value * 16 + (unsigned)(isdigit(c) ? c - '0' : tolower(c) - 'a' + 10);
    }
    scan->at += 4;
    return true;
}

/* Behind \u; the two halves of a pair are one character. */
static bool scan_unicode(struct scan *scan)
{
    unsigned value, other;

    if (!scan_hexadecimal(scan, &value))
        return false;
    if (value >= 0xD800 && value <= 0xDBFF) {
        if (!take(scan, '\\') || !take(scan, 'u') || !scan_hexadecimal(scan, &other) ||
            other < 0xDC00 || other > 0xDFFF)
            return fail(scan, "half of a character in a string");
    } else if (value >= 0xDC00 && value <= 0xDFFF) {
        return fail(scan, "half of a character in a string");
    }
    return value != 0 || fail(scan, "a string contains U+0000");
}

static bool scan_string(struct scan *scan)
{
    if (!take(scan, '"'))
        return fail(scan, "a string was expected");
    while (scan->at < scan->end) {
        uint8_t c = *scan->at++;

        if (c == '"')
            return true;
        if (c < 0x20)
            return fail(scan, "a control character in a string");
        if (c != '\\')
            continue;
        if (scan->at == scan->end)
            break;
        c = *scan->at++;
        if (c == 'u') {
            if (!scan_unicode(scan))
                return false;
        } else if (c == '\0' || strchr("\"\\/bfnrt", c) == NULL) {
            return fail(scan, "an escape sequence that JSON does not have");
        }
    }
    return fail(scan, "a string does not end");
}

static bool scan_digits(struct scan *scan)
{
    const uint8_t *begin = scan->at;

    while (scan->at < scan->end && isdigit(*scan->at))
        scan->at++;
    return scan->at != begin || fail(scan, "a number was expected");
}

static bool scan_number_parts(struct scan *scan)
{
    take(scan, '-');
    if (!take(scan, '0') && !scan_digits(scan))
        return false;
    if (take(scan, '.') && !scan_digits(scan))
        return false;
    if (take(scan, 'e') || take(scan, 'E')) {
        if (!take(scan, '+'))
            take(scan, '-');
        return scan_digits(scan);
    }
    return true;
}

static bool scan_number(struct scan *scan)
{
    const uint8_t *begin = scan->at;

    return scan_number_parts(scan) && (scan->at - begin <= NUMBER_BYTES_MAX ||
                                       fail(scan, "a number has more than 63 characters"));
}

static bool scan_word(struct scan *scan, const char *word)
{
    size_t len = strlen(word);

    if ((size_t)(scan->end - scan->at) < len || memcmp(scan->at, word, len) != 0)
        return fail(scan, "a value was expected");
    scan->at += len;
    return true;
}

static bool scan_value(struct scan *scan, unsigned depth);

static bool scan_array(struct scan *scan, unsigned depth)
{
    skip_space(scan);
    if (take(scan, ']'))
        return true;
    do {
        if (!scan_value(scan, depth))
            return false;
        skip_space(scan);
    } while (take(scan, ','));
    return take(scan, ']') || fail(scan, "an array does not end");
}

static bool scan_object(struct scan *scan, unsigned depth)
{
    unsigned members = 0;

    skip_space(scan);
    if (take(scan, '}'))
        return true;
    do {
        skip_space(scan);
        if (++members > JSON_MEMBERS_MAX)
            return fail(scan, "an object has more than 256 members");
        if (!scan_string(scan))
            return false;
        skip_space(scan);
        if (!take(scan, ':'))
            return fail(scan, "a colon was expected");
        if (!scan_value(scan, depth))
            return false;
        skip_space(scan);
    } while (take(scan, ','));
    return take(scan, '}') || fail(scan, "an object does not end");
}

static bool scan_value(struct scan *scan, unsigned depth)
{
    skip_space(scan);
    if (scan->at == scan->end)
        return fail(scan, "a value was expected");
    if (depth == JSON_DEPTH_MAX)
        return fail(scan, "more than 32 levels");
    switch (*scan->at) {
    case '{':
        scan->at++;
        return scan_object(scan, depth + 1);
    case '[':
        scan->at++;
        return scan_array(scan, depth + 1);
    case '"':
        return scan_string(scan);
    case 't':
        return scan_word(scan, "true");
    case 'f':
        return scan_word(scan, "false");
    case 'n':
        return scan_word(scan, "null");
    default:
        return scan_number(scan);
    }
}

/* What shows only in the tree: members that are there twice, numbers out of range. */
static const char *check_tree(const cJSON *value)
{
    for (const cJSON *child = value->child; child != NULL; child = child->next) {
        const char *why = check_tree(child);

        if (why != NULL)
            return why;
        for (const cJSON *other = value->child; cJSON_IsObject(value) && other != child;
             other = other->next)
            if (strcmp(other->string, child->string) == 0)
                return "a member is there twice";
    }
    return cJSON_IsNumber(value) && !isfinite(value->valuedouble) ? "a number is out of range"
                                                                  : NULL;
}

cJSON *json_parse(struct span text, const char **why)
{
    struct scan scan = {.at = text.data, .end = text.data + text.len};
    cJSON *value;

    if (!utf8_valid(text.data, text.len)) {
        *why = "it is not UTF-8";
        return NULL;
    }
    if (scan_value(&scan, 0)) {
        skip_space(&scan);
        if (scan.at != scan.end)
            fail(&scan, "something stands behind the value");
    }
    if (scan.why != NULL) {
        *why = scan.why;
        return NULL;
    }
    value = cJSON_ParseWithLength((const char *)text.data, text.len);
    *why = value == NULL ? json_no_memory : check_tree(value);
    if (*why == NULL)
        return value;
    cJSON_Delete(value);
    return NULL;
}

struct span json_raw_number(struct span text, const char *member)
{
    struct scan scan = {.at = text.data, .end = text.data + text.len};

    skip_space(&scan);
    if (!take(&scan, '{'))
        return (struct span){0};
    do {
        const uint8_t *begin;
        bool found;

        skip_space(&scan);
        begin = scan.at;
        if (!scan_string(&scan))
            break;
        found = span_equal(span_of(begin + 1, (size_t)(scan.at - begin) - 2), span_text(member));
        skip_space(&scan);
        take(&scan, ':');
        skip_space(&scan);
        begin = scan.at;
        if (!scan_value(&scan, 0))
            break;
        if (found) {
            for (const uint8_t *digit = begin; digit < scan.at; digit++)
                if (!isdigit(*digit))
                    return (struct span){0};
            return span_of(begin, (size_t)(scan.at - begin));
        }
        skip_space(&scan);
    } while (take(&scan, ','));
    return (struct span){0};
}
