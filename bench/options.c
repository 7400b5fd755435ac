/* SPDX-License-Identifier: MIT
 *
 * options - the rows of options.def for the parser of base/option.h, and what contradicts what.
 */
#include "bench/options.h"

#include <string.h>

#include "base/check.h"
#include "bench/payload.h"

/* The rows twice, because `run` has defaults of its own. */
#define ROW(kind, member, name, letter, commands, help, text, preset, low, high)                   \
    {kind,     letter, name,   NULL, NULL, help, offsetof(struct bench_options, member),           \
     commands, text,   preset, low,  high},
#define TEXT(member, name, letter, preset, commands, help)                                         \
    ROW(OPTION_TEXT, member, name, letter, commands, help, preset, 0, 0, 0)
#define FLAG(member, name, letter, preset, commands, help)                                         \
    ROW(OPTION_FLAG, member, name, letter, commands, help, NULL, preset, 0, 1)
#define NUMBER(member, name, letter, preset, run_preset, low, high, commands, help)                \
    ROW(OPTION_NUMBER, member, name, letter, commands, help, NULL, CHOOSE(preset, run_preset),     \
        low, high)
#define TIME(member, name, letter, preset, run_preset, high, commands, help)                       \
    ROW(OPTION_TIME, member, name, letter, commands, help, NULL, CHOOSE(preset, run_preset), 0,    \
        high)

static const struct option_row loop_rows[] = {
#define CHOOSE(preset, run_preset) preset
#include "bench/options.def"
#undef CHOOSE
};

static const struct option_row run_rows[] = {
#define CHOOSE(preset, run_preset) run_preset
#include "bench/options.def"
#undef CHOOSE
};

_Static_assert(ARRAY_LENGTH(loop_rows) == ARRAY_LENGTH(run_rows), "one table, twice");

const struct option_row *options_rows(enum bench_command command, size_t *count)
{
    *count = ARRAY_LENGTH(run_rows);
    return command == RUN ? run_rows : loop_rows;
}

/* NanoMQ takes -l for --limit too. */
static const struct option_row *choose(const struct option_parser *parser, char letter,
                                       const char *attached, const char *next)
{
    (void)attached;
    (void)next;
    return letter == 'l' ? option_find(parser->rows, parser->count, "limit", strlen("limit"))
                         : NULL;
}

static struct option_parser parser_of(struct bench_options *options)
{
    struct option_parser parser = {
        .command = options->command, .values = options, .choose = choose};

    parser.rows = options_rows(options->command, &parser.count);
    return parser;
}

void options_preset(struct bench_options *options, enum bench_command command)
{
    struct option_parser parser;

    memset(options, 0, sizeof(*options));
    options->command = command;
    parser = parser_of(options);
    option_preset(&parser);
}

int options_parse(struct bench_options *options, int argc, char **argv, char *error,
                  size_t error_size)
{
    struct option_parser parser = parser_of(options);

    return option_parse(&parser, argc, argv, error, error_size);
}

bool options_check(struct bench_options *options, char *error, size_t error_size)
{
    const char *problem = NULL;

    if (options->ssl || options->ws || options->certfile || options->keyfile || options->cafile ||
        options->keypass) {
        problem = "this version of the load tool speaks MQTT over plain TCP only, not over TLS or "
                  "WebSocket";
    } else if ((options->command & (PUB | SUB)) && options->topic == NULL) {
        problem = "--topic is required";
    } else if (options->command == RUN && options->size < PAYLOAD_HEADER_SIZE) {
        problem = "--size must be 24 or more, or nothing could be checked";
    } else if (options->unbounded && (options->window > 0 || options->rate > 0)) {
        problem = "--unbounded contradicts --window and --rate";
    } else if (options->password != NULL && options->username == NULL && options->version < 5) {
        problem = "a password without a user name needs --version 5";
    } else if (options->command == RUN && options->duration_s <= 0) {
        problem = "--duration must be above 0: every run ends by itself";
    } else if (options->command != RUN && options->count == 0) {
        problem = "--count must be above 0";
    }
    if (problem != NULL) {
        snprintf(error, error_size, "%s", problem);
        return false;
    }
    if (options->port == 0) {
        options->port = 1883;
    }
    return true;
}

void options_help(FILE *to, enum bench_command command)
{
    size_t count;
    const struct option_row *rows = options_rows(command, &count);

    option_help(to, rows, count, command);
}
