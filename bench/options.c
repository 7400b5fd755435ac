/* SPDX-License-Identifier: MIT
 *
 * options - one parser over the rows of options.def.
 */
#include "bench/options.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "bench/payload.h"

enum option_kind { KIND_TEXT, KIND_FLAG, KIND_NUMBER, KIND_TIME };

/* One row of the table. boot. */
struct option_row {
    enum option_kind kind;
    const char *name, *help;
    char letter;
    size_t offset;
    unsigned commands;
    const char *text;
    double preset, run_preset, low, high;
};

static const struct option_row rows[] = {
#define TEXT(member, name, letter, preset, commands, help)                                         \
    {KIND_TEXT, name, help, letter, offsetof(struct bench_options, member), commands, preset,      \
     0,         0,    0,    0},
#define FLAG(member, name, letter, preset, commands, help)                                         \
    {KIND_FLAG, name,   help, letter, offsetof(struct bench_options, member), commands, NULL,      \
     preset,    preset, 0,    1},
#define NUMBER(member, name, letter, preset, run_preset, low, high, commands, help)                \
    {                                                                                              \
        KIND_NUMBER, name, help,   letter,     offsetof(struct bench_options, member),             \
        commands,    NULL, preset, run_preset, low,                                                \
        high},
#define TIME(member, name, letter, preset, run_preset, high, commands, help)                       \
    {KIND_TIME, name,       help, letter, offsetof(struct bench_options, member), commands, NULL,  \
     preset,    run_preset, 0,    high},
#include "bench/options.def"
};

static void set_value(struct bench_options *options, const struct option_row *row, double value)
{
    char *at = (char *)options + row->offset;

    switch (row->kind) {
    case KIND_FLAG:
        *(bool *)at = value > 0;
        break;
    case KIND_NUMBER:
        *(uint64_t *)(void *)at = (uint64_t)value;
        break;
    case KIND_TIME:
        *(double *)(void *)at = value;
        break;
    case KIND_TEXT:
        UNREACHABLE("a text is not a number");
    }
}

void options_preset(struct bench_options *options, enum bench_command command)
{
    memset(options, 0, sizeof(*options));
    options->command = command;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        if (rows[i].kind == KIND_TEXT) {
            memcpy((char *)options + rows[i].offset, &rows[i].text, sizeof(rows[i].text));
        } else {
            set_value(options, &rows[i], command == RUN ? rows[i].run_preset : rows[i].preset);
        }
    }
}

/* Long names are equal when they differ in - and _ only. */
static bool same_name(const char *a, const char *b, size_t b_len)
{
    size_t i;

    for (i = 0; i < b_len && a[i] != '\0'; i++) {
        char left = a[i] == '-' ? '_' : a[i], right = b[i] == '-' ? '_' : b[i];

        if (left != right) {
            return false;
        }
    }
    return i == b_len && a[i] == '\0';
}

static const struct option_row *find_long(const char *name, size_t len)
{
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        if (same_name(rows[i].name, name, len)) {
            return &rows[i];
        }
    }
    return NULL;
}

static const struct option_row *find_short(char letter)
{
    if (letter == 'l') {
        letter = 'L'; /* NanoMQ takes both for --limit */
    }
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        if (rows[i].letter != 0 && rows[i].letter == letter) {
            return &rows[i];
        }
    }
    return NULL;
}

/* Takes `text` as the value of `row`. Returns false with a sentence in `error`. */
static bool take_value(struct bench_options *options, const struct option_row *row,
                       const char *text, char *error, size_t error_size)
{
    char *end;
    double value;

    if (row->kind == KIND_TEXT) {
        memcpy((char *)options + row->offset, &text, sizeof(text));
        return true;
    }
    if (row->kind == KIND_FLAG) {
        if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0) {
            snprintf(error, error_size, "--%s takes true or false, not \"%s\"", row->name, text);
            return false;
        }
        set_value(options, row, text[0] == 't');
        return true;
    }
    errno = 0;
    value = strtod(text, &end);
    if (end == text || *end != '\0' || errno != 0 || !isfinite(value) ||
        (row->kind == KIND_NUMBER && value != floor(value))) {
        snprintf(error, error_size, "--%s takes %s, not \"%s\"", row->name,
                 row->kind == KIND_TIME ? "a number of seconds" : "a whole number", text);
        return false;
    }
    if (value < row->low || value > row->high) {
        snprintf(error, error_size, "--%s must be from %.0f to %.0f, not %s", row->name, row->low,
                 row->high, text);
        return false;
    }
    set_value(options, row, value);
    return true;
}

/* Splits one argument into its row and the value that is attached to it, if any. */
static const struct option_row *find_option(const char *argument, const char **attached)
{
    *attached = NULL;
    if (argument[0] != '-' || argument[1] == '\0') {
        return NULL;
    }
    if (argument[1] == '-') {
        const char *name = argument + 2, *equals = strchr(name, '=');

        *attached = equals != NULL ? equals + 1 : NULL;
        return find_long(name, equals != NULL ? (size_t)(equals - name) : strlen(name));
    }
    *attached = argument[2] != '\0' ? argument + 2 : NULL;
    return find_short(argument[1]);
}

static bool is_flag_value(const char *text)
{
    return strcmp(text, "true") == 0 || strcmp(text, "false") == 0;
}

int options_parse(struct bench_options *options, int argc, char **argv, char *error,
                  size_t error_size)
{
    for (int i = 0; i < argc; i++) {
        const char *value;
        const struct option_row *row = find_option(argv[i], &value);

        if (strcmp(argv[i], "--help") == 0) {
            return 1;
        }
        if (row == NULL) {
            snprintf(error, error_size, "unknown option \"%s\"", argv[i]);
            return -1;
        }
        if (!(row->commands & options->command)) {
            snprintf(error, error_size, "--%s has no meaning for this command", row->name);
            return -1;
        }
        if (value == NULL && row->kind == KIND_FLAG) {
            value = i + 1 < argc && is_flag_value(argv[i + 1]) ? argv[++i] : "true";
        } else if (value == NULL && i + 1 < argc) {
            value = argv[++i];
        } else if (value == NULL) {
            snprintf(error, error_size, "--%s needs a value", row->name);
            return -1;
        }
        if (!take_value(options, row, value, error, error_size)) {
            return -1;
        }
    }
    return 0;
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

static void print_preset(FILE *to, const struct option_row *row, enum bench_command command)
{
    double preset = command == RUN ? row->run_preset : row->preset;

    if (row->kind == KIND_TEXT && row->text != NULL) {
        fprintf(to, " [%s]", row->text);
    } else if (row->kind == KIND_FLAG) {
        fprintf(to, " [%s]", preset > 0 ? "true" : "false");
    } else if (row->kind != KIND_TEXT) {
        fprintf(to, " [%g]", preset);
    }
}

void options_help(FILE *to, enum bench_command command)
{
    static const char *const values[] = {
        [KIND_TEXT] = "TEXT", [KIND_FLAG] = "true|false", [KIND_NUMBER] = "N", [KIND_TIME] = "S"};

    fprintf(to, "options, with their [defaults]:\n");
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        char left[64];

        if (!(rows[i].commands & command)) {
            continue;
        }
        if (rows[i].letter != 0) {
            snprintf(left, sizeof(left), "-%c, --%s %s", rows[i].letter, rows[i].name,
                     values[rows[i].kind]);
        } else {
            snprintf(left, sizeof(left), "    --%s %s", rows[i].name, values[rows[i].kind]);
        }
        fprintf(to, "  %-30s %s", left, rows[i].help);
        print_preset(to, &rows[i], command);
        fputc('\n', to);
    }
}
