/* SPDX-License-Identifier: MIT
 *
 * option - one form of row for the command lines of all commands, and one parser over such rows.
 *
 * A command has a struct for the values and a table of rows that say where each value goes. The parser, --help, the
 * manual pages and the completions of the shells are made from the rows. A row belongs to one or more commands (bits
 * that the table's owner defines).
 */
#ifndef SHARDMQ_BASE_OPTION_H
#define SHARDMQ_BASE_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum option_kind {
    OPTION_TEXT,   /* const char *, a word of argv or static */
    OPTION_LIST,   /* struct option_list: may be given several times */
    OPTION_FLAG,   /* bool: true, false or no value */
    OPTION_NUMBER, /* uint64_t */
    OPTION_TIME,   /* double, seconds, fractions allowed */
};

/* Values of an option that may be given several times. Touched by one thread only. */
struct option_list {
    const char **items;
    unsigned count;
};

/* boot. */
struct option_row {
    enum option_kind kind;
    char letter;          /* 0: it has no short form */
    const char *name;     /* long name without dashes; - and _ are equal */
    const char *also;     /* further long names, separated by blanks; NULL: none */
    const char *argument; /* what the help shows for the value; NULL: by the kind */
    const char *help;     /* one sentence without a full stop */
    size_t offset;        /* of the value */
    unsigned commands;
    const char *text; /* default of a text; NULL: none */
    double preset, low,
        high; /* default and bounds of the other kinds; a default below `low`: 0, when it is not given */
};

/* A parser for one command line. Touched by one thread only. */
struct option_parser {
    const struct option_row *rows;
    size_t count;
    unsigned command; /* the one bit of the command */
    void *values;     /* the struct that the offsets refer to */
    bool *given;      /* count of them, set for each option that was given; NULL: not wanted */
    /* Decides what a letter means where that depends on its value: `attached` to it, or NULL, and then `next`, the
     * word behind it, or NULL. Returns NULL to leave it to the rows. May be NULL. */
    const struct option_row *(*choose)(const struct option_parser *parser, char letter,
                                       const char *attached, const char *next);
    const struct option_row
        *stray; /* takes a word that is no option; NULL: such a word is an error */
};

/* Adds at the end. */
void option_list_add(struct option_list *list, const char *item);

/* Sets every value to its default. */
void option_preset(const struct option_parser *parser);

/* Frees what lists hold. */
void option_release(const struct option_parser *parser);

/* Parses argv[0 .. argc), options only. An option may be written --name value, --name=value, -x value or -xvalue; `-`
 * and `_` in long names are equal. Returns 0, 1 when --help was asked for, or -1 with a sentence in
 * error[0 .. error_size). */
int option_parse(const struct option_parser *parser, int argc, char **argv, char *error,
                 size_t error_size);

/* The row of a long name of name[0 .. len), or NULL. */
const struct option_row *option_find(const struct option_row *rows, size_t count, const char *name,
                                     size_t len);

/* The row of the command whose name is so near to `name` that it is probably meant; NULL: none is. */
const struct option_row *option_near(const struct option_row *rows, size_t count, unsigned command,
                                     const char *name, size_t len);

/* True when a value of the row is needed: everything but a flag. */
static inline bool option_needs_value(const struct option_row *row)
{
    return row->kind != OPTION_FLAG;
}

/* What stands for the value in a help: "N", "TEXT", a name of its own; "" for a flag. */
const char *option_argument(const struct option_row *row);

/* Writes the default to to[0 .. size): "" when there is none to speak of. */
void option_default(const struct option_row *row, char *to, size_t size);

/* Prints a line for each option of `command`. */
void option_help(FILE *to, const struct option_row *rows, size_t count, unsigned command);

#endif
