/* SPDX-License-Identifier: MIT
 *
 * commands - what the program can be told to do, with the options of each: for the manual pages and the completions.
 */
#ifndef SHARDMQ_APP_COMMANDS_H
#define SHARDMQ_APP_COMMANDS_H

#include "base/option.h"

/* boot. */
struct command {
    const char *words;    /* "bench pub" */
    const char *page;     /* the manual page that it is in */
    const char *synopsis; /* behind the words */
    const char *purpose;  /* a sentence without a full stop */
    const struct option_row *rows;
    size_t count;
    unsigned bit; /* in rows[].commands */
};

/* All commands, those of one page behind each other. */
const struct command *commands(size_t *count);

/* The heading that begins at row `index` of a command, or NULL. */
const char *command_heading(const struct command *command, size_t index);

/* `shardmq man [PAGE]`: prints a manual page for man(1), or the names of all. */
int command_man(int argc, char **argv);

/* `shardmq completion bash|zsh`: prints what makes that shell complete commands and options. */
int command_completion(int argc, char **argv);

#endif
