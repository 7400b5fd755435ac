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

enum bench_command { PUB = 1, SUB = 2, CONN = 4, RUN = 8 };

/* The values of one command line. Texts are those of argv or static. boot. */
struct bench_options {
#define TEXT(member, name, letter, preset, commands, help)                          const char *member;
#define FLAG(member, name, letter, preset, commands, help)                          bool member;
#define NUMBER(member, name, letter, preset, run_preset, low, high, commands, help) uint64_t member;
#define TIME(member, name, letter, preset, run_preset, high, commands, help)        double member;
#include "bench/options.def"
#undef TEXT
#undef FLAG
#undef NUMBER
#undef TIME
    enum bench_command command;
};

/* The rows that `command` takes its options from, those for other commands among them. */
const struct option_row *options_rows(enum bench_command command, size_t *count);

/* Sets every option to its default for `command`. */
void options_preset(struct bench_options *options, enum bench_command command);

/* Parses argv[0 .. argc) (options only) into `options`, which holds the defaults. An option may be
 * written --name value, --name=value, -x value or -xvalue; `-` and `_` in long names are equal.
 * Returns 0, 1 when help was asked for, or -1 with a sentence in error[0 .. error_size). */
int options_parse(struct bench_options *options, int argc, char **argv, char *error,
                  size_t error_size);

/* Looks for contradictions between options. Returns false with a sentence in `error`. */
bool options_check(struct bench_options *options, char *error, size_t error_size);

/* Prints one line per option of `command`. */
void options_help(FILE *to, enum bench_command command);

#endif
