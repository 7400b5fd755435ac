/* SPDX-License-Identifier: MIT
 *
 * man - the manual pages, in the language of man(7), from the tables of commands, options, statuses and
 * configuration. What no table says stands in man.def.
 */
#include "app/commands.h"
#include "base/check.h"
#include "bench/tool.h"
#include "bench/tool_options.h"
#include "conf/conf.h"

#include <string.h>

/* A paragraph of a page, behind the heading of the one before if `heading` is NULL; lines that begin with a blank are
 * printed as they are. boot. */
static const struct paragraph {
    const char *page, *place, *heading, *text;
} paragraphs[] = {
#define PARAGRAPH(page, place, heading, text) {page, place, heading, text},
#include "app/man.def"
#undef PARAGRAPH
};

static const struct page {
    const char *name, *section, *purpose;
} pages[] = {
    {"shardmq", "1", "MQTT broker, one thread per core"},
    {"shardmq-pub", "1", "publish MQTT messages"},
    {"shardmq-sub", "1", "subscribe to MQTT topics and print the messages"},
    {"shardmq-conn", "1", "connect to an MQTT broker and stay connected"},
    {"shardmq-passwd", "1", "manage the users of a password file"},
    {"shardmq-bench", "1", "load and measure MQTT brokers"},
    {"shardmq.conf", "5", "configuration of the ShardMQ broker"},
};

/* Text that is not to be taken for an instruction. `at_start`: it begins a line. */
static void put(const char *text, bool at_start, FILE *to)
{
    for (; *text != '\0'; text++) {
        if (at_start && (*text == '.' || *text == '\''))
            fputs("\\&", to);
        if (*text == '\\')
            fputs("\\e", to);
        else if (*text == '-')
            fputs("\\-", to);
        else if (*text == '^')
            fputs("\\(ha", to);
        else if (*text == '~')
            fputs("\\(ti", to);
        else if (*text == '\'')
            fputs("\\(aq", to);
        else
            fputc(*text, to);
        at_start = *text == '\n';
    }
}

static void put_heading(const char *heading, FILE *to)
{
    fputs(".SH \"", to);
    for (; *heading != '\0'; heading++)
        fputc(*heading >= 'a' && *heading <= 'z' ? *heading - 32 : *heading, to);
    fputs("\"\n", to);
}

static void put_paragraph(const struct paragraph *paragraph, FILE *to)
{
    bool is_literal = paragraph->text[0] == ' ';

    if (paragraph->heading != NULL)
        put_heading(paragraph->heading, to);
    fputs(is_literal ? ".PP\n.nf\n" : ".PP\n", to);
    put(paragraph->text, true, to);
    fputs(is_literal ? "\n.fi\n" : "\n", to);
}

static void put_paragraphs(const char *page, const char *place, FILE *to)
{
    for (size_t i = 0; i < ARRAY_LENGTH(paragraphs); i++) {
        if (strcmp(paragraphs[i].page, page) == 0 && strcmp(paragraphs[i].place, place) == 0)
            put_paragraph(&paragraphs[i], to);
    }
}

static void put_option(const struct option_row *row, FILE *to)
{
    const char *argument = row->kind == OPTION_FLAG ? "" : option_argument(row);
    char preset[128];

    fputs(".TP\n", to);
    if (row->letter != 0)
        fprintf(to, "\\fB\\-%c\\fR, ", row->letter);
    fputs("\\fB\\-\\-", to);
    put(row->name, false, to);
    fputs("\\fR", to);
    if (argument[0] != '\0') {
        fputs(" \\fI", to);
        put(argument, false, to);
        fputs("\\fR", to);
    }
    fputc('\n', to);
    put(row->help, true, to);
    fputc('.', to);
    option_default(row, preset, sizeof(preset));
    if (preset[0] != '\0' && row->kind != OPTION_FLAG) {
        fputs(" Default: ", to);
        put(preset, false, to);
        fputc('.', to);
    } else if (row->kind == OPTION_FLAG && row->preset > 0) {
        fputs(" Default: true.", to);
    }
    if (row->also != NULL) {
        fputs(" Also: \\-\\-", to);
        put(row->also, false, to);
        fputc('.', to);
    }
    fputc('\n', to);
}

static bool is_of(const struct command *command, const struct option_row *row)
{
    return (row->commands & command->bit) != 0;
}

static void put_options(const struct command *command, FILE *to)
{
    const char *heading = NULL;

    for (size_t i = 0; i < command->count; i++) {
        const char *begins = command_heading(command, i);

        heading = begins != NULL ? begins : heading;
        if (!is_of(command, &command->rows[i]))
            continue;
        if (heading != NULL) {
            fputs(".SS \"", to);
            put(heading, false, to);
            fputs("\"\n", to);
            heading = NULL;
        }
        put_option(&command->rows[i], to);
    }
}

static void put_letters(const struct command *command, FILE *to)
{
    size_t count;
    const struct tool_letter *letters = tool_letters(&count);

    put_heading("Letters with two meanings", to);
    fputs(".PP\nNanoMQ, its version 0.6.6 and mosquitto use some letters for different things. The "
          "first line "
          "that holds decides.\n",
          to);
    for (size_t i = 0; i < count; i++) {
        if ((letters[i].commands & command->bit) == 0)
            continue;
        fprintf(to, ".TP\n\\fB\\-%c\\fR ", letters[i].letter);
        put(letters[i].words, false, to);
        fputs("\n\\-\\-", to);
        put(letters[i].option, false, to);
        fprintf(to, ", as %s has it.\n", letters[i].who);
    }
}

static void put_statuses(FILE *to)
{
    static const struct {
        int number;
        const char *text;
    } statuses[] = {
#define STATUS(name, number, text) {number, text},
#include "bench/tool_statuses.def"
#undef STATUS
    };

    put_heading("Exit status", to);
    for (size_t i = 0; i < ARRAY_LENGTH(statuses); i++) {
        fprintf(to, ".TP\n\\fB%d\\fR\n", statuses[i].number);
        put(statuses[i].text, true, to);
        fputc('\n', to);
    }
    fputs(".TP\n\\fB128\\fR and more\nThe broker refused the connection, a subscription or a "
          "message, or ended the "
          "connection, with this reason code of MQTT 5.0: 135 not authorized, 134 bad user name or "
          "password, 142 "
          "session taken over. The return codes of 3.1.1 come as the reason codes that say the "
          "same.\n",
          to);
}

static void put_tool(const struct command *command, const char *page, FILE *to)
{
    put_heading("Options", to);
    fputs(".PP\nAn option is written \\-\\-name value, \\-\\-name=value, \\-x value or \\-xvalue; "
          "\\- and _ in names "
          "are equal. One that is on or off takes true, false or no value.\n",
          to);
    put_options(command, to);
    put_letters(command, to);
    put_paragraphs(page, "behind options", to);
    put_statuses(to);
}

/* The options of every command of a page that has several. */
static void put_commands(const char *page, FILE *to)
{
    size_t count;
    const struct command *list = commands(&count);

    for (size_t i = 0; i < count; i++) {
        if (strcmp(list[i].page, page) != 0)
            continue;
        fputs(".SH \"OPTIONS OF ", to);
        for (const char *at = list[i].words; *at != '\0'; at++)
            fputc(*at >= 'a' && *at <= 'z' ? *at - 32 : *at, to);
        fputs("\"\n.PP\n", to);
        put(list[i].purpose, true, to);
        fputs(".\n", to);
        if (i > 0 && list[i].rows == list[i - 1].rows && list[i].bit == list[i - 1].bit)
            fprintf(to, ".PP\nIts options are those of %s.\n", list[i - 1].words);
        else
            put_options(&list[i], to);
    }
    put_paragraphs(page, "behind options", to);
}

static void put_conf_option(const struct conf_description *option, void *argument)
{
    FILE *to = argument;

    if (option->preset == NULL) {
        put_heading(option->path, to);
        fputs(".PP\n", to);
        put(option->help, true, to);
        fputc('\n', to);
        return;
    }
    fputs(".TP\n\\fB", to);
    put(option->path, false, to);
    fputs("\\fR\n", to);
    put(option->help, true, to);
    fputs("\n.br\nDefault: ", to);
    put(option->preset, false, to);
    fputs(" (", to);
    put(option->bounds, false, to);
    fprintf(to, "). Changes at %s.\n", option->reload ? "reload" : "the next start");
}

static void put_synopsis(const char *page, FILE *to)
{
    size_t count;
    const struct command *list = commands(&count);

    put_heading("Synopsis", to);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(list[i].page, page) != 0)
            continue;
        fprintf(to, ".PP\n\\fBshardmq %s\\fR ", list[i].words);
        put(list[i].synopsis, false, to);
        fputc('\n', to);
    }
}

static const struct command *command_of(const char *page)
{
    size_t count;
    const struct command *list = commands(&count);

    for (size_t i = 0; i < count; i++) {
        if (strcmp(list[i].page, page) == 0)
            return &list[i];
    }
    return NULL;
}

static void put_see_also(const char *page, FILE *to)
{
    const char *between = "";

    put_heading("See also", to);
    for (size_t i = 0; i < ARRAY_LENGTH(pages); i++) {
        if (strcmp(pages[i].name, page) == 0)
            continue;
        fputs(between, to);
        fputs("\\fB", to);
        put(pages[i].name, false, to);
        fprintf(to, "\\fR(%s)", pages[i].section);
        between = ", ";
    }
    fputc('\n', to);
}

static void put_page(const struct page *page, FILE *to)
{
    const struct command *command = command_of(page->name);

    fprintf(to, ".\\\" made by: shardmq man %s\n.TH \"%s\" %s \"\" \"ShardMQ %s\" \"ShardMQ\"\n",
            page->name, page->name, page->section, SHARDMQ_VERSION);
    fputs(".SH NAME\n", to);
    put(page->name, false, to);
    fputs(" \\- ", to);
    put(page->purpose, false, to);
    fputc('\n', to);
    if (command != NULL)
        put_synopsis(page->name, to);
    put_paragraphs(page->name, "before options", to);
    if (command == NULL) {
        conf_describe(put_conf_option, to);
        put_paragraphs(page->name, "behind options", to);
    } else if (command->rows == command_of("shardmq-pub")->rows) {
        put_tool(command, page->name, to);
    } else {
        put_commands(page->name, to);
    }
    put_see_also(page->name, to);
}

/* bench/letters.md. */
static void put_letters_markdown(FILE *to)
{
    static const struct {
        unsigned bit;
        const char *name;
    } names[] = {{TOOL_PUB, "pub"}, {TOOL_SUB, "sub"}, {TOOL_CONN, "conn"}};
    size_t count;
    const struct tool_letter *letters = tool_letters(&count);

    fputs("# Letters with two meanings\n\n"
          "NanoMQ, its version 0.6.6 and mosquitto_pub and mosquitto_sub use some letters for "
          "different things. "
          "`shardmq pub`,\n`sub` and `conn` decide by what stands behind the letter; the first "
          "line that holds "
          "counts. Long names have one meaning.\n"
          "This file is made by `shardmq man --letters`.\n\n"
          "| letter | in | when | means | as |\n|---|---|---|---|---|\n",
          to);
    for (size_t i = 0; i < count; i++) {
        const char *between = "";

        fprintf(to, "| `-%c` | ", letters[i].letter);
        for (size_t j = 0; j < ARRAY_LENGTH(names); j++) {
            if ((letters[i].commands & names[j].bit) != 0) {
                fprintf(to, "%s%s", between, names[j].name);
                between = ", ";
            }
        }
        fprintf(to, " | %s | `--%s` | %s |\n", letters[i].words, letters[i].option, letters[i].who);
    }
}

int command_man(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--letters") == 0) {
        put_letters_markdown(stdout);
        return 0;
    }
    for (size_t i = 0; i < ARRAY_LENGTH(pages) && argc == 2; i++) {
        if (strcmp(pages[i].name, argv[1]) == 0) {
            put_page(&pages[i], stdout);
            return 0;
        }
    }
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        for (size_t i = 0; i < ARRAY_LENGTH(pages); i++)
            printf("%s.%s\n", pages[i].name, pages[i].section);
        return 0;
    }
    fputs("usage: shardmq man PAGE | man -l -\n\nPages:\n", argc == 1 ? stdout : stderr);
    for (size_t i = 0; i < ARRAY_LENGTH(pages); i++)
        fprintf(argc == 1 ? stdout : stderr, "  %-14s %s\n", pages[i].name, pages[i].purpose);
    return argc == 1 || strcmp(argv[1], "--help") == 0 ? 0 : 2;
}
