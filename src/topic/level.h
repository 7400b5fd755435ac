/* SPDX-License-Identifier: MIT
 *
 * level - takes topic names and filters apart at their separators. Empty levels are levels: "/" has
 * two.
 */
#ifndef SHARDMQ_TOPIC_LEVEL_H
#define SHARDMQ_TOPIC_LEVEL_H

#include "base/span.h"

enum level_kind { LEVEL_LITERAL, LEVEL_PLUS, LEVEL_HASH };

struct level_cursor {
    struct span rest;
    bool more;
};

static inline struct level_cursor levels_of(struct span text)
{
    return (struct level_cursor){.rest = text, .more = true};
}

/* Takes the next level; false behind the last one. */
static inline bool level_take(struct level_cursor *cursor, struct span *level)
{
    struct span rest = cursor->rest;
    uint32_t end = 0;

    if (!cursor->more)
        return false;
    while (end < rest.len && rest.data[end] != '/')
        end++;
    *level = span_of(rest.data, end);
    cursor->more = end < rest.len;
    if (cursor->more)
        cursor->rest = span_of(rest.data + end + 1, rest.len - end - 1);
    return true;
}

static inline uint32_t level_count(struct span text)
{
    uint32_t levels = 1;

    for (uint32_t i = 0; i < text.len; i++)
        levels += text.data[i] == '/';
    return levels;
}

/* The kind of one level of a filter. */
static inline enum level_kind level_kind(struct span level)
{
    if (level.len != 1)
        return LEVEL_LITERAL;
    return level.data[0] == '+' ? LEVEL_PLUS : level.data[0] == '#' ? LEVEL_HASH : LEVEL_LITERAL;
}

#endif
