/* SPDX-License-Identifier: MIT */
#include "auth/saslprep.h"

#include "base/check.h"
#include "base/mem.h"
#include "base/utf8.h"

#include <uninorm.h>
#include <unistr.h>

/* U+0390 takes three times its bytes in NFKC, U+FDFA eleven times, and none takes more (UAX 15, 14.1). */
#define EXPANSION 11u

struct range {
    ucs4_t first, last;
};

static bool is_among(ucs4_t c, const struct range *ranges, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (c >= ranges[i].first && c <= ranges[i].last)
            return true;
    return false;
}

/* RFC 3454, C.1.2. */
static bool is_blank(ucs4_t c)
{
    static const struct range blanks[] = {{0xA0, 0xA0},     {0x1680, 0x1680}, {0x2000, 0x200B},
                                          {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}};

    return is_among(c, blanks, ARRAY_LENGTH(blanks));
}

/* RFC 3454, B.1. */
static bool is_nothing(ucs4_t c)
{
    static const struct range nothings[] = {{0xAD, 0xAD},     {0x34F, 0x34F},   {0x1806, 0x1806},
                                            {0x180B, 0x180D}, {0x200B, 0x200D}, {0x2060, 0x2060},
                                            {0xFE00, 0xFE0F}, {0xFEFF, 0xFEFF}};

    return is_among(c, nothings, ARRAY_LENGTH(nothings));
}

/* Into as many bytes as there are, at most; how many it takes. */
static size_t map(struct span text, uint8_t *to)
{
    size_t used = 0;
    ucs4_t c;

    for (uint32_t at = 0, len; at < text.len; at += len) {
        len = (uint32_t)u8_mbtouc(&c, text.data + at, text.len - at);
        if (is_blank(c)) {
            to[used++] = ' ';
        } else if (!is_nothing(c)) {
            memcpy(to + used, text.data + at, len);
            used += len;
        }
    }
    return used;
}

static bool is_ascii(struct span text)
{
    for (uint32_t i = 0; i < text.len; i++)
        if (text.data[i] >= 0x80)
            return false;
    return true;
}

bool saslprep(struct span text, struct prepared *to)
{
    size_t mapped, len;
    uint8_t *made;

    *to = (struct prepared){.text = text};
    if (is_ascii(text) || !utf8_valid(text.data, text.len))
        return true;
    len = (size_t)text.len * EXPANSION;
    to->room_size = text.len + len;
    to->room = mem_try_alloc(to->room_size);
    if (to->room == NULL)
        return false;
    mapped = map(text, to->room);
    made = u8_normalize(UNINORM_NFKC, to->room, mapped, to->room + text.len, &len);
    mem_wipe_stack();
    if (made == to->room + text.len) {
        to->text = span_of(made, len);
        return true;
    }
    if (made != NULL) /* it has found more than EXPANSION */
        mem_wipe(made, len);
    mem_free_libc(made);
    saslprep_free(to);
    return false;
}

void saslprep_free(struct prepared *prepared)
{
    mem_free_wiped(prepared->room, prepared->room_size);
    *prepared = (struct prepared){0};
}

bool saslprep_same(struct span one, struct span other)
{
    struct prepared a, b;
    bool same = false;

    if (span_equal(one, other))
        return true;
    if (!saslprep(one, &a))
        return false;
    if (saslprep(other, &b)) {
        same = span_equal(a.text, b.text);
        saslprep_free(&b);
    }
    saslprep_free(&a);
    return same;
}
