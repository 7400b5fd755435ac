/* SPDX-License-Identifier: MIT
 *
 * tool_expand - words of a command line that stand for other words.
 *
 *   -D publish content-type text/plain    becomes  --content_type=text/plain
 *   -D publish user-property name value   becomes  --user_property=name=value
 *   -o file                               becomes  what the lines of the file say
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/check.h"
#include "base/mem.h"
#include "bench/tool_options_priv.h"

static const struct property_row {
    const char *packet, *property, *option;
    unsigned commands;
} properties[] = {
#define PROPERTY(packet, property, option, commands) {packet, property, option, commands},
#include "bench/tool_properties.def"
#undef PROPERTY
};

static const struct property_row *find_property(const struct tool_options *options,
                                                const char *packet, const char *property)
{
    for (size_t i = 0; i < ARRAY_LENGTH(properties); i++) {
        const struct property_row *row = &properties[i];

        if (row->packet != NULL && (row->commands & options->command) != 0 &&
            strcasecmp(row->packet, packet) == 0 && strcasecmp(row->property, property) == 0) {
            return row;
        }
    }
    return NULL;
}

bool tool_needs_5(const struct tool_options *options, const char **option)
{
    for (size_t i = 0; i < ARRAY_LENGTH(properties); i++) {
        if (tool_given(options, properties[i].option)) {
            *option = properties[i].option;
            return true;
        }
    }
    return false;
}

static void add_formatted(struct tool_options *options, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void add_formatted(struct tool_options *options, const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    int len;

    va_start(arguments, format);
    len = vasprintf(&text, format, arguments);
    va_end(arguments);
    ASSERT(len >= 0);
    option_list_add(&options->words, tool_options_keep(options, text, (size_t)len));
    mem_free_libc(text);
}

/* -D and what follows it, words[0 .. count). Returns how many words it took, 0 with a sentence in `error`. */
static unsigned take_property(struct tool_options *options, const char *const *words,
                              unsigned count, char *error, size_t error_size)
{
    const struct property_row *row;

    if (count < 3) {
        snprintf(error, error_size, "-D needs a packet, a property and a value");
        return 0;
    }
    row = find_property(options, words[0], words[1]);
    if (row == NULL) {
        snprintf(error, error_size, "-D %s %s: there is no such property of that packet here",
                 words[0], words[1]);
        return 0;
    }
    if (strcasecmp(words[1], "user-property") == 0) {
        if (count < 4) {
            snprintf(error, error_size, "-D %s user-property needs a name and a value", words[0]);
            return 0;
        }
        add_formatted(options, "--%s=%s=%s", row->option, words[2], words[3]);
        return 4;
    }
    if (strncmp(words[1], "request-", 8) == 0) { /* a flag here, 0 or 1 there */
        add_formatted(options, "--%s=%s", row->option,
                      strcmp(words[2], "0") == 0   ? "false"
                      : strcmp(words[2], "1") == 0 ? "true"
                                                   : words[2]);
        return 3;
    }
    add_formatted(options, "--%s=%s", row->option, words[2]);
    return 3;
}

/* Splits one line of an options file into words: the option and all that is behind it, and of -D each word. */
static void split_line(struct tool_options *options, struct option_list *words, char *line)
{
    bool is_property = strncmp(line, "-D", 2) == 0 || strncmp(line, "--property", 10) == 0;
    unsigned parts = is_property ? (strstr(line, "user-property") != NULL ? 5 : 4) : 2;

    for (unsigned i = 0; i < parts && *line != '\0'; i++) {
        size_t len = i + 1 < parts ? strcspn(line, " \t") : strlen(line);

        option_list_add(words, tool_options_keep(options, line, len));
        line += len;
        line += strspn(line, " \t");
    }
}

static bool expand_words(struct tool_options *options, const char *const *words, unsigned count,
                         bool from_file, char *error, size_t error_size);

/* -o: the words that the lines of a file make. */
static bool take_file(struct tool_options *options, const char *name, char *error,
                      size_t error_size)
{
    FILE *file = fopen(name, "re");
    struct option_list words = {NULL, 0};
    char *line = NULL;
    size_t size = 0;
    ssize_t len;
    bool good;

    if (file == NULL) {
        snprintf(error, error_size, "cannot read the options file %s: %s", name, strerror(errno));
        return false;
    }
    while ((len = getline(&line, &size, file)) >= 0) {
        char *text = line + strspn(line, " \t");

        while (len > 0 && strchr("\r\n \t", line[len - 1]) != NULL) {
            line[--len] = '\0';
        }
        if (text[0] != '\0' && text[0] != '#') {
            split_line(options, &words, text);
        }
    }
    good = !ferror(file);
    if (!good) {
        snprintf(error, error_size, "cannot read the options file %s: %s", name, strerror(errno));
    }
    fclose(file);
    mem_free_libc(line);
    good = good && expand_words(options, words.items, words.count, true, error, error_size);
    mem_free(words.items);
    return good;
}

/* True when the word is an option that takes the next word as its value, whatever that looks like. */
static bool takes_next(const char *word)
{
    size_t count;
    const struct option_row *rows = tool_rows(&count);

    if (word[0] != '-' || word[1] == '\0') {
        return false;
    }
    if (word[1] == '-') {
        const struct option_row *row = option_find(rows, count, word + 2, strlen(word + 2));

        return row != NULL && option_needs_value(row);
    }
    for (size_t i = 0; i < count && word[2] == '\0'; i++) {
        if (rows[i].letter == word[1]) {
            return option_needs_value(&rows[i]);
        }
    }
    return false;
}

static bool is(const char *word, const char *letter, const char *name)
{
    return strcmp(word, letter) == 0 || strcmp(word, name) == 0;
}

static bool expand_words(struct tool_options *options, const char *const *words, unsigned count,
                         bool from_file, char *error, size_t error_size)
{
    for (unsigned i = 0; i < count; i++) {
        if (is(words[i], "-D", "--property")) {
            unsigned taken =
                take_property(options, words + i + 1, count - i - 1, error, error_size);

            if (taken == 0) {
                return false;
            }
            i += taken;
        } else if (is(words[i], "-o", "--options-file") && i + 1 < count) {
            if (from_file) {
                snprintf(error, error_size, "an options file cannot name another one (%s)",
                         words[i + 1]);
                return false;
            }
            if (!take_file(options, words[++i], error, error_size)) {
                return false;
            }
        } else {
            option_list_add(&options->words, words[i]);
            if (takes_next(words[i]) && i + 1 < count) {
                option_list_add(&options->words, words[++i]);
            }
        }
    }
    return true;
}

bool tool_expand(struct tool_options *options, int argc, char **argv, char *error,
                 size_t error_size)
{
    return expand_words(options, (const char *const *)argv, (unsigned)argc, false, error,
                        error_size);
}
