/* SPDX-License-Identifier: MIT
 *
 * cli - the command line of `shardmq start`, from the table cli.def.
 */
#ifndef SHARDMQ_APP_CLI_H
#define SHARDMQ_APP_CLI_H

#include "base/option.h"
#include "conf/conf.h"

#define CLI_OVERRIDES_MAX 128

/* A log sink that the command line switches. */
enum cli_switch { CLI_LEAVE, CLI_ON, CLI_OFF };

struct cli {
    const char *users_file; /* --auth; NULL: $SHARDMQ_AUTH_CONF_PATH or $NANOMQ_AUTH_CONF_PATH */
    const char *conf_file;  /* NULL: the usual places */
    bool conf_is_key_value;
    struct conf_override overrides[CLI_OVERRIDES_MAX];
    size_t override_count;
    const char *log_file; /* NULL: as configured */
    enum cli_switch log_stdout, log_syslog;
    bool check_config, dump_config, defaults, list_options, openapi, help;
    char warnings[2048]; /* one sentence a line */
};

/* Reads argv[1 .. argc). False, with a sentence in `error`, when the options are wrong. */
bool cli_parse(struct cli *cli, int argc, char **argv, char *error, size_t size);

/* The help of `shardmq <command>`. */
void cli_help(const char *command, FILE *to);

/* What else than the command line says. Zeroed: nothing. */
struct cli_more {
    const char *file;                    /* instead of the command line's; or NULL */
    const struct conf_files *files;      /* what the files hold, instead of the disk; or NULL */
    const struct conf_override *changes; /* made while the broker ran */
    size_t change_count;
};

/* The configuration of that command line: file, environment, options, and what was changed since. NULL with sentences
 * in `errors`. */
struct conf *cli_load(const struct cli *cli, const struct cli_more *more, char *errors,
                      size_t size);

/* The options of `shardmq start`, or those of `stop` and `reload`, for manuals and completions: those rows that have the
 * bit *command. */
const struct option_row *cli_option_rows(bool starts, size_t *count, unsigned *command);

#endif
