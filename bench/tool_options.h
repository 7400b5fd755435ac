/* SPDX-License-Identifier: MIT
 *
 * tool_options - the command lines of `shardmq pub`, `sub` and `conn`, from tool_options.def.
 */
#ifndef SHARDMQ_BENCH_TOOL_OPTIONS_H
#define SHARDMQ_BENCH_TOOL_OPTIONS_H

#include "base/option.h"
#include "mqtt/packet.h"
#include "transport/transport.h"

enum tool_command { TOOL_PUB = 1, TOOL_SUB = 2, TOOL_CONN = 4 };

/* The values of one command line. Texts are those of argv, static, or in `owned`. boot. */
struct tool_options {
#define HEADING(text)
#define TEXT(member, name, letter, also, argument, preset, commands, help) const char *member;
#define LIST(member, name, letter, also, argument, commands, help)         struct option_list member;
#define FLAG(member, name, letter, also, preset, commands, help)           bool member;
#define NUMBER(member, name, letter, also, argument, preset, low, high, commands, help)            \
    uint64_t member;
#define TIME(member, name, letter, also, argument, preset, high, commands, help) double member;
#include "bench/tool_options.def"
#undef HEADING
#undef TEXT
#undef LIST
#undef FLAG
#undef NUMBER
#undef TIME
    enum tool_command command;
    bool start;                     /* written as NanoMQ 0.6.6 has it: `pub start` */
    enum mqtt_version mqtt_version; /* from --version, or what the other options need */
    enum transport_kind transport;  /* as --url, --ws and --secure say together */
    bool *given;                    /* by row of the table */
    struct option_list words;       /* argv with what stands for other words replaced */
    struct option_list owned;       /* allocated here */
};

/* The rows of the table. */
const struct option_row *tool_rows(size_t *count);
/* The heading that begins at row `index`; NULL: it goes on with the one before. */
const char *tool_heading(size_t index);

/* One meaning of a letter that has several; the rows of tool_letters.def. */
struct tool_letter {
    char letter;
    unsigned commands;
    const char *option, *who, *words;
};
const struct tool_letter *tool_letters(size_t *count);

/* Parses argv[0 .. argc), what follows `pub`, `sub` or `conn`, checks it and completes it (version, port, transport).
 * Returns 0, 1 when help was asked for, or -1 with a sentence in error[0 .. error_size). In every case
 * tool_options_release() is to be called. */
int tool_options_parse(struct tool_options *options, enum tool_command command, int argc,
                       char **argv, char *error, size_t error_size);
void tool_options_release(struct tool_options *options);

/* True when the option of that long name was on the command line. */
bool tool_given(const struct tool_options *options, const char *name);

/* Keeps a copy of text[0 .. len) for as long as the options. */
const char *tool_options_keep(struct tool_options *options, const char *text, size_t len);

/* The name of a command: "pub". */
const char *tool_command_name(enum tool_command command);

#endif
