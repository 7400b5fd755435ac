/* SPDX-License-Identifier: MIT
 *
 * log_escape - what clients choose must neither forge lines nor steer a terminal.
 */
#include "base/log.h"
#include "base/utf8.h"

#include <stdio.h>

/* Characters that print nothing or change how their neighbours print: soft hyphen, joiners,
 * direction marks, line and paragraph separators, interlinear annotations, tags, and what is not a
 * character. */
static bool invisible(uint32_t c)
{
    static const struct {
        uint32_t first, last;
    } ranges[] = {{0x80, 0xA0},       {0xAD, 0xAD},       {0x61C, 0x61C},   {0x180E, 0x180E},
                  {0x200B, 0x200F},   {0x2028, 0x202E},   {0x2060, 0x206F}, {0xE000, 0xF8FF},
                  {0xFDD0, 0xFDEF},   {0xFE00, 0xFE0F},   {0xFEFF, 0xFEFF}, {0xFFF0, 0xFFFF},
                  {0x1FFFE, 0x1FFFF}, {0xE0000, 0x10FFFF}};

    for (size_t i = 0; i < ARRAY_LENGTH(ranges); i++) {
        if (c >= ranges[i].first && c <= ranges[i].last)
            return true;
    }
    return false;
}

/* The length of the well-formed character at `data`, and the character; 0 when there is none. */
static size_t decode(const uint8_t *data, size_t len, uint32_t *character)
{
    uint8_t lead = data[0];
    size_t size = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;

    if (size > len || !utf8_valid(data, size))
        return 0;
    *character = size == 1 ? lead : lead & (0x7Fu >> size);
    for (size_t i = 1; i < size; i++)
        *character = (*character << 6) | (data[i] & 0x3Fu);
    return size;
}

/* Writes how the character or byte at `data` looks to `out` (terminated); returns the bytes it
 * took. */
static size_t escape_one(char out[16], const uint8_t *data, size_t len)
{
    uint32_t character = 0;
    size_t size = decode(data, len, &character);

    if (data[0] == '"' || data[0] == '\\') {
        snprintf(out, 16, "\\%c", data[0]);
    } else if (data[0] == '\n' || data[0] == '\r' || data[0] == '\t') {
        snprintf(out, 16, "\\%c", data[0] == '\n' ? 'n' : data[0] == '\r' ? 'r' : 't');
    } else if (size == 0 || character < 0x20 || character == 0x7F) {
        snprintf(out, 16, "\\x%02x", data[0]);
        return 1;
    } else if (invisible(character)) {
        snprintf(out, 16, "\\u{%x}", (unsigned)character);
    } else {
        memcpy(out, data, size);
        out[size] = '\0';
    }
    return size;
}

const char *log_escape(char *to, size_t size, struct span text)
{
    size_t used = 0, fits = 0; /* fits: where "..." can still follow */

    ASSERT(size >= 8);
    for (size_t at = 0; at < text.len;) {
        char one[16];
        size_t taken = escape_one(one, text.data + at, text.len - at), need = strlen(one);

        if (used + need >= size) {
            memcpy(to + fits, "...", sizeof("..."));
            return to;
        }
        memcpy(to + used, one, need);
        used += need;
        at += taken;
        if (used + sizeof("...") <= size)
            fits = used;
    }
    to[used] = '\0';
    return to;
}
