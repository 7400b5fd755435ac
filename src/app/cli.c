/* SPDX-License-Identifier: MIT */
#include "app/cli.h"

#include "base/check.h"
#include "base/mem.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

enum action { SET, WORD, EVERYWHERE, NO_EFFECT, MISSING };

static const struct cli_row {
    const char *name;
    char letter;
    const char *argument;
    enum action action;
    const char *detail, *help;
} rows[] = {
#define CLI(name, letter, argument, action, detail, help)                                          \
    {name, letter, argument, action, detail, help},
#include "app/cli.def"
#undef CLI
};

static const char *purpose_of(const char *command)
{
    if (strcmp(command, "stop") == 0)
        return "Ends the running broker and waits until it is gone.";
    if (strcmp(command, "reload") == 0)
        return "Makes the running broker read its configuration again.";
    if (strcmp(command, "restart") == 0)
        return "Has the running broker start again, its listening sockets open meanwhile; with "
               "options of the broker, or\n"
               "when none runs, ends it and starts one.";
    return "Starts the broker, in the foreground without -d.";
}

void cli_help(const char *command, FILE *to)
{
    bool starts = strcmp(command, "stop") != 0 && strcmp(command, "reload") != 0;

    fprintf(to, "usage: shardmq %s [options]\n\n%s\n\n", command, purpose_of(command));
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        char left[64];

        if (!starts && rows[i].action != EVERYWHERE)
            continue;
        snprintf(left, sizeof(left), "%c%c%s--%s%s%s", rows[i].letter ? '-' : ' ',
                 rows[i].letter ? rows[i].letter : ' ', rows[i].letter ? ", " : "  ", rows[i].name,
                 rows[i].argument ? " " : "", rows[i].argument ? rows[i].argument : "");
        fprintf(to, "  %-32s %s\n", left, rows[i].help);
    }
    fputs("\nWithout --conf the file is $SHARDMQ_CONF_PATH, $NANOMQ_CONF_PATH, shardmq.conf beside "
          "the\n"
          "executable, or /etc/shardmq.conf; without any of them the defaults are in force.\n",
          to);
    if (!starts)
        fputs("The broker is found by its system.pid_file. The options of `shardmq start` are "
              "accepted too.\n",
              to);
}

/* The bits of a row in the forms of base/option.h. */
enum { FOR_START = 1, FOR_STOP = 2 };

/* The rows as the parser, the manuals and the completions want them, in the same order. */
static const struct option_row *all_options(void)
{
    static struct option_row options[ARRAY_LENGTH(rows)]; /* filled with the same whenever asked */

    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        options[i] = (struct option_row){
            .kind = rows[i].argument == NULL ? OPTION_FLAG : OPTION_TEXT,
            .letter = rows[i].letter,
            .name = rows[i].name,
            .argument = rows[i].argument,
            .help = rows[i].help,
            .commands = rows[i].action == MISSING      ? 0
                        : rows[i].action == EVERYWHERE ? FOR_START | FOR_STOP
                                                       : FOR_START,
        };
    }
    return options;
}

const struct option_row *cli_option_rows(bool starts, size_t *count, unsigned *command)
{
    *count = ARRAY_LENGTH(rows);
    *command = starts ? FOR_START : FOR_STOP;
    return all_options();
}

/* The row of an option of two dashes; - and _ in names are equal. */
static const struct cli_row *find_row(const char *argument, size_t len)
{
    const struct option_row *found = option_find(all_options(), ARRAY_LENGTH(rows), argument, len);

    return found == NULL ? NULL : &rows[found - all_options()];
}

static const struct cli_row *find_letter(char letter)
{
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
        if (rows[i].letter == letter)
            return &rows[i];
    return NULL;
}

static bool read_switch(const char *value, enum cli_switch *out)
{
    if (strcmp(value, "true") == 0 || strcmp(value, "yes") == 0)
        *out = CLI_ON;
    else if (strcmp(value, "false") == 0 || strcmp(value, "no") == 0)
        *out = CLI_OFF;
    else
        return false;
    return true;
}

/* Options that are more than a value of the configuration. */
static bool take_word(struct cli *cli, const char *name, const char *value)
{
    if (strcmp(name, "conf") == 0 || strcmp(name, "old_conf") == 0) {
        cli->conf_file = value;
        cli->conf_is_key_value = name[0] == 'o';
    } else if (strcmp(name, "auth") == 0) {
        cli->users_file = value;
    } else if (strcmp(name, "log_file") == 0) {
        cli->log_file = value;
    } else if (strcmp(name, "log_stdout") == 0) {
        return read_switch(value, &cli->log_stdout);
    } else if (strcmp(name, "log_syslog") == 0) {
        return read_switch(value, &cli->log_syslog);
    } else if (strcmp(name, "check-config") == 0) {
        cli->check_config = true;
    } else if (strcmp(name, "dump-config") == 0) {
        cli->dump_config = true;
    } else if (strcmp(name, "defaults") == 0) {
        cli->defaults = true;
    } else if (strcmp(name, "list-options") == 0) {
        cli->list_options = true;
    } else if (strcmp(name, "openapi") == 0) {
        cli->openapi = true;
    } else {
        cli->help = true;
    }
    return true;
}

static bool add_override(struct cli *cli, const char *path, const char *value, const char *where)
{
    if (cli->override_count == CLI_OVERRIDES_MAX)
        return false;
    cli->overrides[cli->override_count++] = (struct conf_override){path, value, where};
    return true;
}

static bool take(struct cli *cli, const struct cli_row *row, const char *shown, const char *value,
                 char *error, size_t size)
{
    size_t used = strlen(cli->warnings);

    switch (row->action) {
    case SET:
        if (add_override(cli, row->detail, value == NULL ? "true" : value, shown))
            return true;
        snprintf(error, size, "%s: too many options", shown);
        return false;
    case NO_EFFECT:
        snprintf(cli->warnings + used, sizeof(cli->warnings) - used, "%s has no effect: %s\n",
                 shown, row->detail);
        return true;
    case MISSING:
        snprintf(error, size, "%s: %s is not part of this version", shown, row->detail);
        return false;
    case WORD:
    case EVERYWHERE:
        if (take_word(cli, row->name, value))
            return true;
        snprintf(error, size, "%s: '%s' is neither true nor false", shown, value);
        return false;
    }
    UNREACHABLE("an action that is not in the list");
}

static void no_such_option(const char *argument, char *error, size_t size)
{
    const struct option_row *near = NULL;

    if (strncmp(argument, "--", 2) == 0)
        near = option_near(all_options(), ARRAY_LENGTH(rows), FOR_START, argument + 2,
                           strcspn(argument + 2, "="));
    if (near != NULL)
        snprintf(error, size, "%s: there is no such option; did you mean --%s?", argument,
                 near->name);
    else
        snprintf(error, size, "%s: there is no such option; --help lists them", argument);
}

bool cli_parse(struct cli *cli, int argc, char **argv, char *error, size_t size)
{
    *cli = (struct cli){0};
    for (int i = 1; i < argc; i++) {
        const char *argument = argv[i], *value = NULL;
        const struct cli_row *row = NULL;

        if (argument[0] == '-' && argument[1] == '-') {
            const char *equals = strchr(argument, '=');
            size_t len = equals == NULL ? strlen(argument + 2) : (size_t)(equals - argument) - 2;

            row = find_row(argument + 2, len);
            value = equals == NULL ? NULL : equals + 1;
        } else if (argument[0] == '-' && argument[1] != '\0') {
            row = find_letter(argument[1]);
            value = argument[2] == '\0' ? NULL : argument + 2;
        }
        if (row == NULL) {
            no_such_option(argument, error, size);
            return false;
        }
        if (row->argument == NULL && value != NULL) {
            snprintf(error, size, "%s: takes no value", argument);
            return false;
        }
        if (row->argument != NULL && value == NULL) {
            if (i + 1 == argc) {
                snprintf(error, size, "%s: needs a value (%s)", argument, row->argument);
                return false;
            }
            value = argv[++i];
        }
        if (!take(cli, row, argument, value, error, size))
            return false;
    }
    return true;
}

/* shardmq.conf beside the executable; "" when that cannot be told. */
static void beside_executable(char *to, size_t size)
{
    ssize_t len = readlink("/proc/self/exe", to, size - 1);
    char *slash;

    to[len < 0 ? 0 : len] = '\0';
    slash = strrchr(to, '/');
    if (slash == NULL || (size_t)(slash - to) + sizeof("/shardmq.conf") > size)
        to[0] = '\0';
    else
        memcpy(slash, "/shardmq.conf", sizeof("/shardmq.conf"));
}

/* What the first of two variables that is set and not empty says; NULL: none is. */
static const char *first_variable(const char *ours, const char *theirs)
{
    const char *named = getenv(ours);

    if (named == NULL || named[0] == '\0')
        named = getenv(theirs);
    return named != NULL && named[0] != '\0' ? named : NULL;
}

static const char *usual_file(char *buffer, size_t size)
{
    const char *named = first_variable("SHARDMQ_CONF_PATH", "NANOMQ_CONF_PATH");

    if (named != NULL)
        return named;
    beside_executable(buffer, size);
    if (buffer[0] != '\0' && access(buffer, F_OK) == 0)
        return buffer;
    return access("/etc/shardmq.conf", F_OK) == 0 ? "/etc/shardmq.conf" : NULL;
}

static void set_bit(uint32_t *bits, unsigned bit, enum cli_switch how)
{
    if (how == CLI_ON)
        *bits |= 1u << bit;
    else if (how == CLI_OFF)
        *bits &= ~(1u << bit);
}

static void replace_text(char **text, const char *from, size_t len)
{
    char *copy = mem_alloc(len + 1);

    memcpy(copy, from, len);
    copy[len] = '\0';
    mem_free(*text);
    *text = copy;
}

/* What the command line says of the log's sinks, on top of what is configured. */
static void switch_sinks(const struct cli *cli, struct conf *conf)
{
    set_bit(&conf->log_to, CONF_LOG_TO_CONSOLE, cli->log_stdout);
    set_bit(&conf->log_to, CONF_LOG_TO_SYSLOG, cli->log_syslog);
    if (cli->log_file != NULL) {
        const char *slash = strrchr(cli->log_file, '/');
        const char *name = slash == NULL ? cli->log_file : slash + 1;

        set_bit(&conf->log_to, CONF_LOG_TO_FILE, CLI_ON);
        if (slash == NULL)
            replace_text(&conf->log_dir, ".", 1);
        else
            replace_text(&conf->log_dir, cli->log_file,
                         slash == cli->log_file ? 1 : (size_t)(slash - cli->log_file));
        replace_text(&conf->log_file, name, strlen(name));
    }
}

struct conf *cli_load(const struct cli *cli, const struct cli_more *more, char *errors, size_t size)
{
    static const struct cli_more nothing;
    char buffer[4096];
    const struct cli_more *given = more != NULL ? more : &nothing;
    struct conf_source source = {
        .file = given->file != NULL ? given->file : cli->conf_file,
        .files = given->files,
        .form = cli->conf_is_key_value ? CONF_FORM_KEY_VALUE : CONF_FORM_DETECT,
        .environment = environ,
        .overrides = cli->overrides,
        .override_count = cli->override_count,
        .changes = given->changes,
        .change_count = given->change_count,
    };
    struct conf *conf;

    if (source.file == NULL)
        source.file = usual_file(buffer, sizeof(buffer));
    source.users_file = cli->users_file != NULL
                            ? cli->users_file
                            : first_variable("SHARDMQ_AUTH_CONF_PATH", "NANOMQ_AUTH_CONF_PATH");
    conf = conf_load(&source, errors, size);
    if (conf != NULL)
        switch_sinks(cli, conf);
    return conf;
}
