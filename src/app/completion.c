/* SPDX-License-Identifier: MIT
 *
 * completion - what makes bash and zsh complete commands, options and those values that are known.
 *
 * Both scripts have the same shape: from the words before the cursor to a command, then a list that was made of the
 * command's rows. A value whose name in the help is FILE or FOLDER is completed as a file, one that is written a|b|c as one
 * of these.
 */
#include "app/commands.h"
#include "base/check.h"
#include "bench/scenario.h"

#include <string.h>

static bool belongs(const struct command *command, const struct option_row *row)
{
    return (row->commands & command->bit) != 0;
}

static bool is_file(const struct option_row *row)
{
    const char *argument = option_argument(row);

    return strncmp(argument, "FILE", 4) == 0 || strcmp(argument, "FOLDER") == 0;
}

static bool is_choice(const struct option_row *row)
{
    return row->kind != OPTION_FLAG && strchr(option_argument(row), '|') != NULL;
}

/* Writes the choices of a|b|c with blanks between them. */
static void put_choices(const struct option_row *row, FILE *to)
{
    for (const char *at = option_argument(row); *at != '\0'; at++)
        fputc(*at == '|' ? ' ' : *at, to);
}

static void put_scenarios(FILE *to)
{
    for (size_t i = 0; i < scenario_file_count; i++)
        fprintf(to, "%s%s", i > 0 ? " " : "", scenario_files[i].name);
}

/* The first words of all commands, each once. */
static void put_first_words(FILE *to)
{
    size_t count;
    const struct command *list = commands(&count);

    fputs("broker", to);
    for (size_t i = 0; i < count; i++) {
        size_t len = strcspn(list[i].words, " ");

        if (i == 0 || strncmp(list[i].words, list[i - 1].words, len) != 0 ||
            list[i - 1].words[len] != list[i].words[len])
            fprintf(to, " %.*s", (int)len, list[i].words);
    }
    fputs(" man completion", to);
}

/* --- bash ------------------------------------------------------------------------------------- */

/* A pattern for the option itself: "pub --qos"|"pub -q". */
static void put_pattern(const struct command *command, const struct option_row *row, FILE *to)
{
    fprintf(to, "    '%s --%s'", command->words, row->name);
    if (row->letter != 0)
        fprintf(to, "|'%s -%c'", command->words, row->letter);
    fputs(") ", to);
}

static void bash_values(const struct command *command, FILE *to)
{
    for (size_t i = 0; i < command->count; i++) {
        const struct option_row *row = &command->rows[i];

        if (!belongs(command, row) || !option_needs_value(row))
            continue;
        put_pattern(command, row, to);
        if (is_file(row)) {
            fputs("_shardmq_files; return ;;\n", to);
        } else if (is_choice(row)) {
            fputs("_shardmq_words '", to);
            put_choices(row, to);
            fputs("'; return ;;\n", to);
        } else {
            fputs("return ;;\n", to);
        }
    }
}

static void bash_options(const struct command *command, FILE *to)
{
    fprintf(to, "    '%s') options='--help", command->words);
    for (size_t i = 0; i < command->count; i++) {
        if (belongs(command, &command->rows[i]) && strcmp(command->rows[i].name, "help") != 0)
            fprintf(to, " --%s", command->rows[i].name);
    }
    fputs("' ;;\n", to);
}

static const char bash_begin[] =
    "# bash completion of shardmq; made by: shardmq completion bash\n"
    "_shardmq_words() { mapfile -t COMPREPLY < <(compgen -W \"$1\" -- \"$current\"); }\n"
    "_shardmq_files() { compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "
    "\"$current\"); }\n"
    "\n"
    "_shardmq() {\n"
    "    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}\n"
    "    local command=${COMP_WORDS[1]} at=2 options=\n"
    "    COMPREPLY=()\n"
    "    if ((COMP_CWORD == 1)); then\n"
    "        _shardmq_words '";

static const char bash_middle[] =
    "'\n"
    "        return\n"
    "    fi\n"
    "    case $command in\n"
    "    broker)\n"
    "        if ((COMP_CWORD == 2)); then _shardmq_words 'start stop restart reload'; return; fi\n"
    "        command=${COMP_WORDS[2]} ;;\n"
    "    bench)\n"
    "        [[ ${COMP_WORDS[2]} == start ]] && at=3\n"
    "        if ((COMP_CWORD <= at)); then _shardmq_words 'start pub sub conn run'; return; fi\n"
    "        command=\"bench ${COMP_WORDS[at]}\" ;;\n"
    "    completion) _shardmq_words 'bash zsh'; return ;;\n"
    "    man) _shardmq_words '";

static void bash(FILE *to)
{
    size_t count;
    const struct command *list = commands(&count);

    fputs(bash_begin, to);
    put_first_words(to);
    fputs(bash_middle, to);
    fputs("shardmq shardmq.conf shardmq-pub shardmq-sub shardmq-conn shardmq-passwd shardmq-bench'; return ;;\n"
          "    esac\n"
          "    case \"$command $previous\" in\n",
          to);
    for (size_t i = 0; i < count; i++)
        bash_values(&list[i], to);
    fputs("    'bench run run') if [[ $current != -* ]]; then _shardmq_words '", to);
    put_scenarios(to);
    fputs("'; return; fi ;;\n"
          "    esac\n"
          "    case $command in\n",
          to);
    for (size_t i = 0; i < count; i++)
        bash_options(&list[i], to);
    fputs("    esac\n"
          "    [[ $current == -* ]] && _shardmq_words \"$options\"\n"
          "    return 0\n"
          "}\n"
          "complete -F _shardmq shardmq\n",
          to);
}

/* --- zsh ---------------------------------------------------------------------------------------- */

/* Text within '...[...]' of an _arguments specification. */
static void put_zsh_text(const char *text, FILE *to)
{
    for (; *text != '\0'; text++) {
        if (*text == '\'')
            fputs("'\\''", to);
        else if (strchr("[]:\\", *text) != NULL)
            fprintf(to, "\\%c", *text);
        else
            fputc(*text, to);
    }
}

static void zsh_value(const struct option_row *row, FILE *to)
{
    if (row->kind == OPTION_FLAG)
        return;
    fputc(':', to);
    put_zsh_text(option_argument(row), to);
    fputc(':', to);
    if (is_file(row)) {
        fputs("_files", to);
    } else if (is_choice(row)) {
        fputc('(', to);
        put_choices(row, to);
        fputc(')', to);
    }
}

static void zsh_option(const struct option_row *row, FILE *to)
{
    const char *many = row->kind == OPTION_LIST ? "*" : "";

    for (unsigned is_long = row->letter == 0; is_long < 2; is_long++) {
        if (is_long)
            fprintf(to, "        '%s--%s[", many, row->name);
        else
            fprintf(to, "        '%s-%c[", many, row->letter);
        put_zsh_text(row->help, to);
        fputc(']', to);
        zsh_value(row, to);
        fputs("'\n", to);
    }
}

static void zsh_command(const struct command *command, FILE *to)
{
    fprintf(to, "    '%s') options+=(\n", command->words);
    for (size_t i = 0; i < command->count; i++) {
        if (belongs(command, &command->rows[i]))
            zsh_option(&command->rows[i], to);
    }
    if (strcmp(command->words, "bench run") == 0) {
        fputs("        '1:scenario:(", to);
        put_scenarios(to);
        fputs(")'\n", to);
    }
    fputs("    ) ;;\n", to);
}

static void zsh(FILE *to)
{
    size_t count;
    const struct command *list = commands(&count);

    fputs("#compdef shardmq\n"
          "# zsh completion of shardmq; made by: shardmq completion zsh\n"
          "local command=$words[2]\n"
          "local -a options\n"
          "integer used=1\n"
          "if ((CURRENT == 2)); then\n"
          "    compadd -- ",
          to);
    put_first_words(to);
    fputs("\n"
          "    return\n"
          "fi\n"
          "case $command in\n"
          "broker)\n"
          "    if ((CURRENT == 3)); then compadd -- start stop restart reload; return; fi\n"
          "    command=$words[3] used=2 ;;\n"
          "bench)\n"
          "    used=2\n"
          "    [[ $words[3] == start ]] && used=3\n"
          "    if ((CURRENT <= used + 1)); then compadd -- start pub sub conn run; return; fi\n"
          "    command=\"bench $words[used + 1]\" ;;\n"
          "completion) compadd -- bash zsh; return ;;\n"
          "man) compadd -- shardmq shardmq.conf shardmq-pub shardmq-sub shardmq-conn "
          "shardmq-passwd shardmq-bench; return ;;\n"
          "pub|sub|conn)\n"
          "    [[ $words[3] == start ]] && used=2 ;;\n"
          "esac\n"
          "case $command in\n",
          to);
    for (size_t i = 0; i < count; i++)
        zsh_command(&list[i], to);
    fputs("esac\n"
          "shift used words\n"
          "((CURRENT -= used))\n"
          "_arguments $options\n",
          to);
}

int command_completion(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "bash") == 0) {
        bash(stdout);
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "zsh") == 0) {
        zsh(stdout);
        return 0;
    }
    fputs("usage: shardmq completion bash|zsh\n\n"
          "Prints a script for that shell. Installed with the program; by hand:\n"
          "  source <(shardmq completion bash)\n"
          "  shardmq completion zsh > ~/.zfunc/_shardmq    (a folder of $fpath)\n",
          argc == 2 && strcmp(argv[1], "--help") == 0 ? stdout : stderr);
    return argc == 2 && strcmp(argv[1], "--help") == 0 ? 0 : 2;
}
