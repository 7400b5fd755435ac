/* SPDX-License-Identifier: MIT
 *
 * tool - the beginning of pub, sub and conn: the command line, or the help.
 */
#include "bench/tool.h"

#include <stdio.h>

#include "bench/tool_engine.h"

static const char *purpose_of(enum tool_command command)
{
    switch (command) {
    case TOOL_PUB:
        return "Publishes a message, several times if asked, or each line of standard input.";
    case TOOL_SUB:
        return "Subscribes to topics and prints the messages that come.";
    default:
        return "Connects to a broker and stays connected.";
    }
}

static void print_help(FILE *to, enum tool_command command)
{
    const char *name = tool_command_name(command);
    size_t count, letters;
    const struct option_row *rows = tool_rows(&count);
    const struct tool_letter *letter = tool_letters(&letters);

    fprintf(to, "usage: shardmq %s [start] [URL] [options]\n\n%s\n\n", name, purpose_of(command));
    option_help(to, rows, count, command);
    fprintf(to, "\nLetters that mean one thing or another:\n");
    for (size_t i = 0; i < letters; i++) {
        if ((letter[i].commands & command) != 0) {
            fprintf(to, "  -%c  --%-22s %s (%s)\n", letter[i].letter, letter[i].option,
                    letter[i].words, letter[i].who);
        }
    }
    fprintf(to, "\nThe manual has more: man shardmq-%s\n", name);
}

int tool_begin(struct tool_options *options, enum tool_command command, int argc, char **argv)
{
    char error[512];
    int parsed = tool_options_parse(options, command, argc - 1, argv + 1, error, sizeof(error));

    if (parsed > 0) {
        print_help(stdout, command);
        return TOOL_DONE;
    }
    if (parsed < 0) {
        fprintf(stderr, "shardmq %s: %s\n", tool_command_name(command), error);
        return TOOL_USAGE;
    }
    return -1;
}
