/* SPDX-License-Identifier: MIT
 *
 * tool_options - the rows of tool_options.def for the parser of base/option.h.
 */
#include "bench/tool_options.h"

#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "bench/tool_options_priv.h"

#define ROW(kind, member, name, letter, also, argument, commands, help, text, preset, low, high)   \
    {kind,     letter, name,   also, argument, help, offsetof(struct tool_options, member),        \
     commands, text,   preset, low,  high},

#define TEXT(member, name, letter, also, argument, preset, commands, help)                         \
    ROW(OPTION_TEXT, member, name, letter, also, argument, commands, help, preset, 0, 0, 0)
#define LIST(member, name, letter, also, argument, commands, help)                                 \
    ROW(OPTION_LIST, member, name, letter, also, argument, commands, help, NULL, 0, 0, 0)
#define FLAG(member, name, letter, also, preset, commands, help)                                   \
    ROW(OPTION_FLAG, member, name, letter, also, NULL, commands, help, NULL, preset, 0, 1)
#define NUMBER(member, name, letter, also, argument, preset, low, high, commands, help)            \
    ROW(OPTION_NUMBER, member, name, letter, also, argument, commands, help, NULL, preset, low,    \
        high)
#define TIME(member, name, letter, also, argument, preset, high, commands, help)                   \
    ROW(OPTION_TIME, member, name, letter, also, argument, commands, help, NULL, preset, 0, high)

static const struct option_row rows[] = {
#define HEADING(text)
#include "bench/tool_options.def"
#undef HEADING
};

#define ROW_COUNT ARRAY_LENGTH(rows)

#undef TEXT
#undef LIST
#undef FLAG
#undef NUMBER
#undef TIME
#define TEXT(member, ...)   {offsetof(struct tool_options, member), NULL},
#define LIST(member, ...)   {offsetof(struct tool_options, member), NULL},
#define FLAG(member, ...)   {offsetof(struct tool_options, member), NULL},
#define NUMBER(member, ...) {offsetof(struct tool_options, member), NULL},
#define TIME(member, ...)   {offsetof(struct tool_options, member), NULL},

/* Rows and headings in their order, to find which heading stands right before a row. */
static const struct {
    size_t offset;
    const char *heading;
} headings[] = {
#define HEADING(text) {0, text},
#include "bench/tool_options.def"
};

enum when { START, VALUE, NUMBER_, BOOLEAN, ADDRESS, NOTHING, ALWAYS };

#undef NUMBER
#define NUMBER NUMBER_
static const enum when letter_when[] = {
#define LETTER(letter, commands, when, option, who, words) when,
#include "bench/tool_letters.def"
#undef LETTER
};

static const struct tool_letter letter_rows[] = {
#define LETTER(letter, commands, when, option, who, words) {letter, commands, option, who, words},
#include "bench/tool_letters.def"
#undef LETTER
};

const struct option_row *tool_rows(size_t *count)
{
    *count = ROW_COUNT;
    return rows;
}

const char *tool_heading(size_t index)
{
    for (size_t i = 1; i < ARRAY_LENGTH(headings); i++) {
        if (headings[i].heading == NULL && headings[i].offset == rows[index].offset) {
            return headings[i - 1].heading;
        }
    }
    return NULL;
}

const struct tool_letter *tool_letters(size_t *count)
{
    *count = ARRAY_LENGTH(letter_rows);
    return letter_rows;
}

const char *tool_command_name(enum tool_command command)
{
    return command == TOOL_PUB ? "pub" : command == TOOL_SUB ? "sub" : "conn";
}

static const struct option_row *row_of(const char *name)
{
    const struct option_row *row = option_find(rows, ROW_COUNT, name, strlen(name));

    ASSERT(row != NULL);
    return row;
}

bool tool_given(const struct tool_options *options, const char *name)
{
    return options->given[row_of(name) - rows];
}

const char *tool_options_keep(struct tool_options *options, const char *text, size_t len)
{
    char *copy = mem_alloc(len + 1);

    memcpy(copy, text, len);
    copy[len] = '\0';
    option_list_add(&options->owned, copy);
    return copy;
}

static bool is_number(const char *word)
{
    return word != NULL && word[0] != '\0' && strspn(word, "0123456789") == strlen(word);
}

/* True when the command line names a payload by other words than -s. */
static bool names_payload(const struct tool_options *options)
{
    static const char *const words[] = {"-m",
                                        "-f",
                                        "-l",
                                        "-n",
                                        "--msg",
                                        "--message",
                                        "--file",
                                        "--stdin-line",
                                        "--stdin-lines",
                                        "--stdin-file",
                                        "--null-message"};

    for (unsigned i = 0; i < options->words.count; i++) {
        for (size_t j = 0; j < ARRAY_LENGTH(words); j++) {
            const char *word = options->words.items[i];
            size_t len = strlen(words[j]);
            bool is_long = words[j][1] == '-';

            if (strncmp(word, words[j], len) != 0 ||
                (is_long && word[len] != '\0' && word[len] != '=')) {
                continue;
            }
            if (words[j][1] == 'n' && i + 1 < options->words.count &&
                is_number(options->words.items[i + 1])) {
                continue; /* -n 5 is not a payload */
            }
            return true;
        }
    }
    return false;
}

static bool holds(const struct tool_options *options, enum when when, const char *value)
{
    switch (when) {
    case START:
        return options->start;
    case VALUE:
        return value != NULL && value[0] != '-';
    case NUMBER_:
        return is_number(value);
    case BOOLEAN:
        return value != NULL && (strcmp(value, "true") == 0 || strcmp(value, "false") == 0);
    case ADDRESS:
        return value != NULL && strstr(value, "://") != NULL;
    case NOTHING:
        return !names_payload(options);
    case ALWAYS:
        return true;
    }
    UNREACHABLE("a condition that is not in the list");
}

static const struct option_row *choose(const struct option_parser *parser, char letter,
                                       const char *attached, const char *next)
{
    const struct tool_options *options = parser->values;

    for (size_t i = 0; i < ARRAY_LENGTH(letter_rows); i++) {
        if (letter_rows[i].letter == letter && (letter_rows[i].commands & parser->command) != 0 &&
            holds(options, letter_when[i], attached != NULL ? attached : next)) {
            return row_of(letter_rows[i].option);
        }
    }
    return NULL;
}

/* `start` in front, and -h only with a host behind it: in NanoMQ 0.6.6 it asks for help. */
static void take_start(struct tool_options *options, int *argc, char ***argv)
{
    if (*argc == 0 || strcmp((*argv)[0], "start") != 0) {
        return;
    }
    options->start = true;
    ++*argv;
    --*argc;
    for (int i = 0; i < *argc; i++) {
        if (strncmp((*argv)[i], "-h", 2) == 0 || strncmp((*argv)[i], "--host", 6) == 0) {
            options->start = false;
        }
    }
}

static bool asks_for_help(int argc, char **argv)
{
    return argc > 0 && strcmp(argv[argc - 1], "-h") == 0;
}

int tool_options_parse(struct tool_options *options, enum tool_command command, int argc,
                       char **argv, char *error, size_t error_size)
{
    struct option_parser parser = {.rows = rows,
                                   .count = ROW_COUNT,
                                   .command = command,
                                   .values = options,
                                   .choose = choose,
                                   .stray = row_of("url")};
    int parsed;

    memset(options, 0, sizeof(*options));
    options->command = command;
    options->given = mem_zalloc(ROW_COUNT * sizeof(options->given[0]));
    parser.given = options->given;
    option_preset(&parser);
    take_start(options, &argc, &argv);
    if (asks_for_help(argc, argv)) {
        return 1;
    }
    if (argc > 0 && strcmp(argv[0], "stop") == 0) {
        snprintf(error, error_size,
                 "there is nothing to stop: a client ends with SIGINT or SIGTERM");
        return -1;
    }
    if (!tool_expand(options, argc, argv, error, error_size)) {
        return -1;
    }
    parsed = option_parse(&parser, (int)options->words.count, (char **)options->words.items, error,
                          error_size);
    if (parsed == 0 && !tool_complete(options, error, error_size)) {
        parsed = -1;
    }
    return parsed;
}

void tool_options_release(struct tool_options *options)
{
    struct option_parser parser = {.rows = rows, .count = ROW_COUNT, .values = options};

    option_release(&parser);
    mem_free(options->given);
    for (unsigned i = 0; i < options->owned.count; i++) {
        mem_free((char *)options->owned.items[i]);
    }
    mem_free(options->owned.items);
    mem_free(options->words.items);
    memset(options, 0, sizeof(*options));
}
