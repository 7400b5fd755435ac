/* SPDX-License-Identifier: MIT
 *
 * options - the command line of the load tool, generated from options.def.
 */
#ifndef SHARDMQ_BENCH_OPTIONS_H
#define SHARDMQ_BENCH_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/option.h"

/* SCENARIO: keys of scenario files, which take the options of RUN as well. */
enum bench_command { PUB = 1, SUB = 2, CONN = 4, RUN = 8, SCENARIO = 16 };

/* The index of each option's row: OPTION_INDEX_<member>. */
enum {
#define TEXT(member, ...)   OPTION_INDEX_##member,
#define FLAG(member, ...)   OPTION_INDEX_##member,
#define NUMBER(member, ...) OPTION_INDEX_##member,
#define TIME(member, ...)   OPTION_INDEX_##member,
#include "bench/options.def"
#undef TEXT
#undef FLAG
#undef NUMBER
#undef TIME
    OPTIONS_COUNT
};

/* The values of one command line. Texts are those of argv, of the scenario's file, or static. boot. */
struct bench_options {
#define TEXT(member, ...)   const char *member;
#define FLAG(member, ...)   bool member;
#define NUMBER(member, ...) uint64_t member;
#define TIME(member, ...)   double member;
#include "bench/options.def"
#undef TEXT
#undef FLAG
#undef NUMBER
#undef TIME
    enum bench_command command;
    bool given[OPTIONS_COUNT];
    int argc; /* the words of the command line, for reports */
    char **argv;
};

/* True when `member` was given, on the command line or in the scenario's file. */
#define OPTIONS_GIVEN(options, member) ((options)->given[OPTION_INDEX_##member])

/* The rows that `command` takes its options from, those for other commands among them. */
const struct option_row *options_rows(enum bench_command command, size_t *count);

/* Sets every option to its default for `command`. */
void options_preset(struct bench_options *options, enum bench_command command);

/* Parses argv[0 .. argc) (options only) into `options`, which holds the defaults. An option may be
 * written --name value, --name=value, -x value or -xvalue; `-` and `_` in long names are equal.
 * `commands` are those whose options are taken, options->command as a rule. Returns 0, 1 when help
 * was asked for, or -1 with a sentence in error[0 .. error_size). */
int options_parse(struct bench_options *options, unsigned commands, int argc, char **argv,
                  char *error, size_t error_size);

/* Looks for what is impossible and for contradictions, and fills in what follows from other options
 * (TLS, the port). Returns false with a sentence in `error`. */
bool options_check(struct bench_options *options, char *error, size_t error_size);

/* Writes where the broker is: "localhost:1883", or a path. */
void options_place(const struct bench_options *options, char *to, size_t size);

/* Prints one line per option of `command`. */
void options_help(FILE *to, enum bench_command command);

#endif
