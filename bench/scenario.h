/* SPDX-License-Identifier: MIT
 *
 * scenario - the files that describe what `bench run` does.
 *
 *   # fan-out: one publisher to all subscribers
 *   description = one publisher to all subscribers
 *   pattern = all
 *   subscribers = 100
 *   scales = subscribers
 *
 * A line is `option = value`, with the long names of options.def; blank lines and lines that begin
 * with # are skipped, a # further on belongs to the value. What the command line says goes first.
 * Those of bench/scenario are part of the program.
 */
#ifndef SHARDMQ_BENCH_SCENARIO_H
#define SHARDMQ_BENCH_SCENARIO_H

#include "bench/options.h"

/* A file of bench/scenario, as it was when the program was built. boot. */
struct scenario_file {
    const char *name, *text;
};
extern const struct scenario_file scenario_files[];
extern const size_t scenario_file_count;

/* What was read; owns the texts that the options point to. */
struct scenario_source {
    char name[80];
    char *text;   /* owned, cut into lines */
    char **words; /* owned; "--option=value", for the parser */
    size_t word_count;
};

/* The file of that name, blanks, - and _ being equal and case ignored; NULL: none. */
const struct scenario_file *scenario_find(const char *name);

/* Reads the scenario `name`, which is one of the program's or the path of a file, into `options`
 * (which hold the defaults). Returns false with a sentence in `error`, which names file and line;
 * scenario_fini() is due either way. */
bool scenario_read(struct scenario_source *source, const char *name, struct bench_options *options,
                   char *error, size_t error_size);

/* Takes source->text, which is cut into lines, into `options`; `label` names it in errors. Returns false
 * with a sentence in `error`. */
bool scenario_parse(struct scenario_source *source, const char *label,
                    struct bench_options *options, char *error, size_t error_size);
void scenario_fini(struct scenario_source *source);

/* Multiplies the options that the scenario names in `scales` by options->scale, but for those in
 * `fixed`, which the command line gave. Returns false with a sentence in `error`. */
bool scenario_scale(struct bench_options *options, const bool fixed[OPTIONS_COUNT], char *error,
                    size_t error_size);

/* Prints the name and the description of each scenario of the program, those of the Open MQTT
 * Benchmark Suite last. */
void scenario_list(FILE *to);

#endif
