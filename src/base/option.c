/* SPDX-License-Identifier: MIT
 *
 * option - the parser over rows of options.
 */
#include "base/option.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/distance.h"
#include "base/mem.h"

static void *value_of(const struct option_parser *parser, const struct option_row *row)
{
    return (char *)parser->values + row->offset;
}

void option_list_add(struct option_list *list, const char *item)
{
    list->items = mem_realloc(list->items, (list->count + 1) * sizeof(list->items[0]));
    list->items[list->count++] = item;
}

void option_preset(const struct option_parser *parser)
{
    for (size_t i = 0; i < parser->count; i++) {
        const struct option_row *row = &parser->rows[i];
        void *at = value_of(parser, row);

        switch (row->kind) {
        case OPTION_TEXT:
            memcpy(at, &row->text, sizeof(row->text));
            break;
        case OPTION_LIST:
            memset(at, 0, sizeof(struct option_list));
            break;
        case OPTION_FLAG:
            *(bool *)at = row->preset > 0;
            break;
        case OPTION_NUMBER:
            *(uint64_t *)at = row->preset < 0 ? 0 : (uint64_t)row->preset;
            break;
        case OPTION_TIME:
            *(double *)at = row->preset;
            break;
        }
    }
}

void option_release(const struct option_parser *parser)
{
    for (size_t i = 0; i < parser->count; i++) {
        if (parser->rows[i].kind == OPTION_LIST) {
            struct option_list *list = value_of(parser, &parser->rows[i]);

            mem_free(list->items);
            memset(list, 0, sizeof(*list));
        }
    }
}

/* name[0 .. len) against a word that ends at a blank or its end; - and _ are equal. */
static bool same_name(const char *word, const char *name, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        char left = word[i] == '-' ? '_' : word[i], right = name[i] == '-' ? '_' : name[i];

        if (left == '\0' || left == ' ' || left != right) {
            return false;
        }
    }
    return len > 0 && (word[len] == '\0' || word[len] == ' ');
}

static bool has_name(const struct option_row *row, const char *name, size_t len)
{
    const char *word = row->also;

    if (same_name(row->name, name, len)) {
        return true;
    }
    while (word != NULL) {
        if (same_name(word, name, len)) {
            return true;
        }
        word = strchr(word, ' ');
        word = word != NULL ? word + 1 : NULL;
    }
    return false;
}

const struct option_row *option_find(const struct option_row *rows, size_t count, const char *name,
                                     size_t len)
{
    for (size_t i = 0; i < count; i++) {
        if (has_name(&rows[i], name, len)) {
            return &rows[i];
        }
    }
    return NULL;
}

const struct option_row *option_near(const struct option_row *rows, size_t count, unsigned command,
                                     const char *name, size_t len)
{
    char word[64];
    const struct option_row *nearest = NULL;
    unsigned best = len < 6 ? 2 : (unsigned)len / 3 + 1;

    snprintf(word, sizeof(word), "%.*s", (int)(len < sizeof(word) ? len : sizeof(word)), name);
    for (size_t i = 0; i < count; i++) {
        unsigned far = text_distance(word, rows[i].name);

        if ((rows[i].commands & command) != 0 && far < best) {
            best = far;
            nearest = &rows[i];
        }
    }
    return nearest;
}

/* The same letter may stand in several rows, for different commands: the one of this command counts. */
static const struct option_row *find_letter(const struct option_parser *parser, char letter)
{
    const struct option_row *other = NULL;

    for (size_t i = 0; i < parser->count; i++) {
        const struct option_row *row = &parser->rows[i];

        if (row->letter != 0 && row->letter == letter) {
            if ((row->commands & parser->command) != 0) {
                return row;
            }
            other = row;
        }
    }
    return other;
}

/* The range as a reader likes to see it. */
static void say_range(const struct option_row *row, const char *text, char *error,
                      size_t error_size)
{
    snprintf(error, error_size, "--%s must be from %.14g to %.14g, not %s", row->name, row->low,
             row->high, text);
}

static bool take_number(void *at, const struct option_row *row, const char *text, char *error,
                        size_t error_size)
{
    char *end;
    unsigned long long value;

    errno = 0;
    value = strtoull(text, &end, 10);
    if (end == text || *end != '\0' || text[0] < '0' || text[0] > '9') {
        bool negative = text[0] == '-' && text[1] >= '0' && text[1] <= '9';

        if (negative) {
            say_range(row, text, error, error_size);
        } else {
            snprintf(error, error_size, "--%s takes a whole number, not \"%s\"", row->name, text);
        }
        return false;
    }
    if (errno != 0 || (double)value < row->low || (double)value > row->high) {
        say_range(row, text, error, error_size);
        return false;
    }
    *(uint64_t *)at = value;
    return true;
}

static bool take_time(void *at, const struct option_row *row, const char *text, char *error,
                      size_t error_size)
{
    char *end;
    double value;

    errno = 0;
    value = strtod(text, &end);
    if (end == text || *end != '\0' || errno != 0 || !isfinite(value)) {
        snprintf(error, error_size, "--%s takes a number of seconds, not \"%s\"", row->name, text);
        return false;
    }
    if (value < row->low || value > row->high) {
        say_range(row, text, error, error_size);
        return false;
    }
    *(double *)at = value;
    return true;
}

/* Takes `text` as the value of `row`. Returns false with a sentence in `error`. */
static bool take_value(const struct option_parser *parser, const struct option_row *row,
                       const char *text, char *error, size_t error_size)
{
    void *at = value_of(parser, row);

    switch (row->kind) {
    case OPTION_TEXT:
        memcpy(at, &text, sizeof(text));
        return true;
    case OPTION_LIST:
        option_list_add(at, text);
        return true;
    case OPTION_FLAG:
        if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0) {
            snprintf(error, error_size, "--%s takes true or false, not \"%s\"", row->name, text);
            return false;
        }
        *(bool *)at = text[0] == 't';
        return true;
    case OPTION_NUMBER:
        return take_number(at, row, text, error, error_size);
    case OPTION_TIME:
        return take_time(at, row, text, error, error_size);
    }
    UNREACHABLE("a kind of option that is not in the list");
}

/* Splits one argument into its row and the value that is attached to it, if any. */
static const struct option_row *find_row(const struct option_parser *parser, const char *argument,
                                         const char *next, const char **attached)
{
    const struct option_row *chosen = NULL;

    *attached = NULL;
    if (argument[0] != '-' || argument[1] == '\0') {
        return NULL;
    }
    if (argument[1] == '-') {
        const char *name = argument + 2, *equals = strchr(name, '=');

        *attached = equals != NULL ? equals + 1 : NULL;
        return option_find(parser->rows, parser->count, name,
                           equals != NULL ? (size_t)(equals - name) : strlen(name));
    }
    *attached = argument[2] != '\0' ? argument + 2 : NULL;
    if (parser->choose != NULL) {
        chosen = parser->choose(parser, argument[1], *attached, next);
    }
    return chosen != NULL ? chosen : find_letter(parser, argument[1]);
}

static void no_such_option(const struct option_parser *parser, const char *argument, char *error,
                           size_t error_size)
{
    const struct option_row *near = NULL;

    if (argument[0] != '-' || argument[1] == '\0') {
        snprintf(error, error_size, "\"%s\" is not an option", argument);
        return;
    }
    if (argument[1] == '-') {
        near = option_near(parser->rows, parser->count, parser->command, argument + 2,
                           strcspn(argument + 2, "="));
    }
    if (near != NULL) {
        snprintf(error, error_size, "unknown option \"%s\"; did you mean --%s?", argument,
                 near->name);
    } else {
        snprintf(error, error_size, "unknown option \"%s\"; --help lists them", argument);
    }
}

static bool is_flag_value(const char *text)
{
    return text != NULL && (strcmp(text, "true") == 0 || strcmp(text, "false") == 0);
}

int option_parse(const struct option_parser *parser, int argc, char **argv, char *error,
                 size_t error_size)
{
    for (int i = 0; i < argc; i++) {
        const char *value, *next = i + 1 < argc ? argv[i + 1] : NULL;
        const struct option_row *row = find_row(parser, argv[i], next, &value);

        if (strcmp(argv[i], "--help") == 0) {
            return 1;
        }
        if (row == NULL && parser->stray != NULL && argv[i][0] != '-') {
            row = parser->stray;
            value = argv[i];
        }
        if (row == NULL) {
            no_such_option(parser, argv[i], error, error_size);
            return -1;
        }
        if (!(row->commands & parser->command)) {
            snprintf(error, error_size, "--%s has no meaning for this command", row->name);
            return -1;
        }
        if (value == NULL && !option_needs_value(row)) {
            value = is_flag_value(next) ? argv[++i] : "true";
        } else if (value == NULL && next != NULL) {
            value = argv[++i];
        } else if (value == NULL) {
            snprintf(error, error_size, "--%s needs a value", row->name);
            return -1;
        }
        if (!take_value(parser, row, value, error, error_size)) {
            return -1;
        }
        if (parser->given != NULL) {
            parser->given[row - parser->rows] = true;
        }
    }
    return 0;
}

const char *option_argument(const struct option_row *row)
{
    static const char *const by_kind[] = {
        [OPTION_TEXT] = "TEXT", [OPTION_LIST] = "TEXT", [OPTION_FLAG] = "",
        [OPTION_NUMBER] = "N",  [OPTION_TIME] = "S",
    };

    return row->argument != NULL ? row->argument : by_kind[row->kind];
}

void option_default(const struct option_row *row, char *to, size_t size)
{
    to[0] = '\0';
    switch (row->kind) {
    case OPTION_TEXT:
        snprintf(to, size, "%s", row->text != NULL ? row->text : "");
        break;
    case OPTION_LIST:
        break;
    case OPTION_FLAG:
        snprintf(to, size, "%s", row->preset > 0 ? "true" : "false");
        break;
    case OPTION_NUMBER:
    case OPTION_TIME:
        if (row->preset >= row->low) {
            snprintf(to, size, "%.12g", row->preset);
        }
        break;
    }
}

void option_help(FILE *to, const struct option_row *rows, size_t count, unsigned command)
{
    fprintf(to, "options, with their [defaults]:\n");
    for (size_t i = 0; i < count; i++) {
        const struct option_row *row = &rows[i];
        const char *argument = row->kind == OPTION_FLAG ? "true|false" : option_argument(row);
        char left[96], preset[64];

        if (!(row->commands & command)) {
            continue;
        }
        option_default(row, preset, sizeof(preset));
        if (row->letter != 0) {
            snprintf(left, sizeof(left), "-%c, --%s %s", row->letter, row->name, argument);
        } else {
            snprintf(left, sizeof(left), "    --%s %s", row->name, argument);
        }
        fprintf(to, "  %-36s %s", left, row->help);
        if (preset[0] != '\0') {
            fprintf(to, " [%s]", preset);
        }
        fputc('\n', to);
    }
}
