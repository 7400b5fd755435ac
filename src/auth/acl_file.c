/* SPDX-License-Identifier: MIT
 *
 * acl_file - reads Mosquitto's acl_file, in one pass for each of the four kinds of lines that come after each other.
 */
#include "auth/acl_file.h"

#include "base/check.h"
#include "base/utf8.h"

#include <stdio.h>
#include <string.h>

/* In the order in which they decide. */
enum turn { TURN_DENY, TURN_ALLOW, TURN_PATTERN_DENY, TURN_PATTERN_ALLOW, TURN_COUNT };

struct reader {
    struct acl_builder *builder;
    const char *name;
    unsigned line;
    enum turn turn;
    bool has_user;
    struct span user;
    char *why;
    size_t size;
};

static bool fail(struct reader *reader, const char *what)
{
    snprintf(reader->why, reader->size, "%s:%u: %s", reader->name, reader->line, what);
    return false;
}

static bool is_blank(uint8_t byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static struct span trim(struct span text)
{
    while (text.len > 0 && is_blank(text.data[0]))
        text = span_of(text.data + 1, text.len - 1);
    while (text.len > 0 && is_blank(text.data[text.len - 1]))
        text.len--;
    return text;
}

/* Takes the first word; `rest` is what follows it, without blanks around it. */
static struct span take_word(struct span text, struct span *rest)
{
    struct span word = {text.data, 0};

    while (word.len < text.len && !is_blank(text.data[word.len]))
        word.len++;
    *rest = trim(span_of(text.data + word.len, text.len - word.len));
    return word;
}

static bool is_word(struct span word, const char *what)
{
    return span_equal(word, span_text(what));
}

struct access {
    unsigned actions;
    bool allow;
};

/* The access that a line begins with; without one it is readwrite, and the line is all topic. */
static struct access take_access(struct span *line)
{
    static const struct {
        const char *word;
        struct access access;
    } words[] = {{"read", {ACL_BIT(ACL_SUBSCRIBE), true}},
                 {"write", {ACL_BIT(ACL_PUBLISH), true}},
                 {"readwrite", {ACL_BOTH, true}},
                 {"deny", {ACL_BOTH, false}}};
    struct span rest, word = take_word(*line, &rest);

    for (unsigned i = 0; i < ARRAY_LENGTH(words); i++) {
        if (rest.len > 0 && is_word(word, words[i].word)) {
            *line = rest;
            return words[i].access;
        }
    }
    return (struct access){ACL_BOTH, true};
}

static bool add(struct reader *reader, struct access access, bool pattern, struct span topic)
{
    struct acl_condition user = {reader->has_user ? ACL_USERNAME : ACL_NO_USERNAME, reader->user};
    char place[512], what[256];

    snprintf(place, sizeof(place), "%s:%u", reader->name, reader->line);
    if (acl_rule_begin(reader->builder, access.allow, access.actions, span_text(place), what,
                       sizeof(what)) &&
        (pattern || acl_rule_clause(reader->builder, &user, 1, what, sizeof(what))) &&
        acl_rule_topic(reader->builder, topic, pattern ? ACL_TOPIC_PATTERN : ACL_TOPIC_AS_FILTER,
                       what, sizeof(what)))
        return true;
    return fail(reader, what);
}

static bool read_topic(struct reader *reader, struct span line, bool pattern)
{
    struct access access = take_access(&line);
    enum turn turn = pattern ? (access.allow ? TURN_PATTERN_ALLOW : TURN_PATTERN_DENY)
                             : (access.allow ? TURN_ALLOW : TURN_DENY);

    if (line.len == 0)
        return fail(reader, pattern ? "a pattern was expected" : "a topic was expected");
    return turn != reader->turn || add(reader, access, pattern, line);
}

static bool read_line(struct reader *reader, struct span line)
{
    struct span rest, word;

    line = trim(line);
    if (line.len == 0 || line.data[0] == '#')
        return true;
    if (!utf8_valid(line.data, line.len))
        return fail(reader, "this is not UTF-8 text");
    word = take_word(line, &rest);
    if (is_word(word, "topic"))
        return read_topic(reader, rest, false);
    if (is_word(word, "pattern"))
        return read_topic(reader, rest, true);
    if (!is_word(word, "user"))
        return fail(reader, "a line begins with user, topic, pattern or #");
    if (rest.len == 0)
        return fail(reader, "a user name was expected");
    if (is_word(rest, "#"))
        return fail(reader, "# is not a user name: pattern lines are for everybody");
    reader->has_user = true;
    reader->user = rest;
    return true;
}

static bool read_turn(struct reader *reader, struct span text)
{
    reader->has_user = false;
    reader->user = (struct span){0};
    for (reader->line = 1; text.len > 0; reader->line++) {
        const uint8_t *end = memchr(text.data, '\n', text.len);
        uint32_t len = end != NULL ? (uint32_t)(end - text.data) : text.len;

        if (!read_line(reader, span_of(text.data, len)))
            return false;
        len += end != NULL;
        text = span_of(text.data + len, text.len - len);
    }
    return true;
}

bool acl_file_add(struct acl_builder *builder, const char *name, struct span text, char *why,
                  size_t size)
{
    struct reader reader = {.builder = builder, .name = name, .why = why, .size = size};

    if (span_starts_with(text, "\xEF\xBB\xBF"))
        text = span_of(text.data + 3, text.len - 3);
    for (unsigned turn = 0; turn < TURN_COUNT; turn++) {
        reader.turn = (enum turn)turn;
        if (!read_turn(&reader, text))
            return false;
    }
    return true;
}
