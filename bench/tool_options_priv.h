/* SPDX-License-Identifier: MIT
 *
 * tool_options_priv - the steps of tool_options_parse() before and after the parser itself.
 */
#ifndef SHARDMQ_BENCH_TOOL_OPTIONS_PRIV_H
#define SHARDMQ_BENCH_TOOL_OPTIONS_PRIV_H

#include "bench/tool_options.h"

/* Copies argv to options->words, replacing what stands for other words: -D packet property value, and -o file by
 * what the file says. False with a sentence in `error`. (tool_expand.c) */
bool tool_expand(struct tool_options *options, int argc, char **argv, char *error,
                 size_t error_size);

/* What the parsed options say together: the version, the transport, the port; refuses what is impossible or
 * contradicts itself. False with a sentence in `error`. (tool_complete.c) */
bool tool_complete(struct tool_options *options, char *error, size_t error_size);

/* True when an option was given that MQTT 5.0 alone knows; its name in *option. (tool_expand.c) */
bool tool_needs_5(const struct tool_options *options, const char **option);

#endif
