/* SPDX-License-Identifier: MIT
 *
 * scenario - lines become words of a command line, so that files and command lines cannot differ in
 * what they take.
 */
#include "bench/scenario.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

#define FILE_SIZE_MAX (64u * 1024u)

static bool same_name(const char *a, const char *b)
{
    for (; *a != '\0' && *b != '\0'; a++, b++) {
        char left = *a == ' ' || *a == '_' ? '-' : (char)tolower((unsigned char)*a);
        char right = *b == ' ' || *b == '_' ? '-' : (char)tolower((unsigned char)*b);

        if (left != right) {
            return false;
        }
    }
    return *a == *b;
}

const struct scenario_file *scenario_find(const char *name)
{
    for (size_t i = 0; i < scenario_file_count; i++) {
        if (same_name(scenario_files[i].name, name)) {
            return &scenario_files[i];
        }
    }
    return NULL;
}

static bool read_file(struct scenario_source *source, const char *path, char *error,
                      size_t error_size)
{
    FILE *file = fopen(path, "re");
    size_t len;
    bool good;

    if (file == NULL) {
        if (errno == ENOENT && strpbrk(path, "/.") == NULL) {
            snprintf(error, error_size,
                     "there is no scenario \"%s\"; --list names them, and a file may be named",
                     path);
        } else {
            snprintf(error, error_size, "cannot read %s: %s", path, strerror(errno));
        }
        return false;
    }
    source->text = mem_alloc(FILE_SIZE_MAX + 1);
    len = fread(source->text, 1, FILE_SIZE_MAX + 1, file);
    good = !ferror(file) && len <= FILE_SIZE_MAX;
    if (!good) {
        snprintf(error, error_size, "cannot read %s: %s", path,
                 len > FILE_SIZE_MAX ? "it is too large to be a scenario" : strerror(errno));
    }
    source->text[good ? len : 0] = '\0';
    fclose(file);
    return good;
}

/* The last part of a path, without .conf. */
static void set_name(struct scenario_source *source, const char *path)
{
    const char *slash = strrchr(path, '/'), *base = slash != NULL ? slash + 1 : path;
    const char *dot = strrchr(base, '.');
    size_t len = dot != NULL && strcmp(dot, ".conf") == 0 ? (size_t)(dot - base) : strlen(base);

    snprintf(source->name, sizeof(source->name), "%.*s", (int)len, base);
    for (char *at = source->name; *at != '\0'; at++) { /* it becomes a label of metrics, too */
        *at = isgraph((unsigned char)*at) && strchr("\"\\{}", *at) == NULL ? *at : '-';
    }
}

/* Takes the blanks off both ends of text[0 .. len), in place. */
static char *trim(char *text, size_t len)
{
    while (len > 0 && isspace((unsigned char)text[len - 1])) {
        len--;
    }
    text[len] = '\0';
    while (isspace((unsigned char)*text)) {
        text++;
    }
    return text;
}

/* Handles one line. Returns false with a sentence in `error`. */
static bool take_line(struct scenario_source *source, char *line, struct bench_options *options,
                      char *error, size_t error_size)
{
    char *text = trim(line, strlen(line)), *equals = strchr(text, '='), *name, *value, *word;
    bool before[OPTIONS_COUNT];
    size_t room;

    if (*text == '\0' || *text == '#') {
        return true;
    }
    if (equals == NULL) {
        snprintf(error, error_size, "a line is \"option = value\", not \"%.60s\"", text);
        return false;
    }
    name = trim(text, (size_t)(equals - text));
    value = trim(equals + 1, strlen(equals + 1));
    room = strlen(name) + strlen(value) + 4;
    word = mem_alloc(room);
    snprintf(word, room, "--%s=%s", name, value);
    source->words = mem_realloc(source->words, (source->word_count + 1) * sizeof(char *));
    source->words[source->word_count++] = word;
    memcpy(before, options->given, sizeof(before));
    memset(options->given, 0, sizeof(before));
    if (*name == '\0' || *name == '-' ||
        options_parse(options, RUN | SCENARIO, 1, &word, error, error_size) != 0) {
        if (*name == '\0' || *name == '-' || strcmp(name, "help") == 0) {
            snprintf(error, error_size, "\"%.60s\" is not the name of an option", name);
        }
        return false;
    }
    for (size_t i = 0; i < OPTIONS_COUNT; i++) {
        if (before[i] && options->given[i]) {
            snprintf(error, error_size, "%.60s is set twice", name);
            return false;
        }
        options->given[i] |= before[i];
    }
    return true;
}

bool scenario_parse(struct scenario_source *source, const char *label,
                    struct bench_options *options, char *error, size_t error_size)
{
    char problem[300];
    unsigned line = 0;

    for (char *at = source->text; at != NULL;) {
        char *end = strchr(at, '\n');

        if (end != NULL) {
            *end = '\0';
        }
        line++;
        if (!take_line(source, at, options, problem, sizeof(problem))) {
            snprintf(error, error_size, "%.200s:%u: %s", label, line, problem);
            return false;
        }
        at = end != NULL ? end + 1 : NULL;
    }
    return true;
}

bool scenario_read(struct scenario_source *source, const char *name, struct bench_options *options,
                   char *error, size_t error_size)
{
    const struct scenario_file *file = scenario_find(name);

    memset(source, 0, sizeof(*source));
    if (file != NULL) {
        source->text = mem_strdup(file->text);
    } else if (!read_file(source, name, error, error_size)) {
        return false;
    }
    set_name(source, file != NULL ? file->name : name);
    return scenario_parse(source, name, options, error, error_size);
}

void scenario_fini(struct scenario_source *source)
{
    for (size_t i = 0; i < source->word_count; i++) {
        mem_free(source->words[i]);
    }
    mem_free(source->words);
    mem_free(source->text);
    memset(source, 0, sizeof(*source));
}

static void multiply(struct bench_options *options, const struct option_row *row)
{
    uint64_t *value = (uint64_t *)(void *)((char *)options + row->offset);
    double scaled = (double)*value * options->scale;

    scaled = scaled < 1 ? 1 : scaled > row->high ? row->high : scaled;
    *value = (uint64_t)(scaled + 0.5);
}

/* What scaling must not break: one subscriber that is not slow, and a publisher for each topic. */
static void keep_possible(struct bench_options *options, const bool fixed[OPTIONS_COUNT])
{
    if (!fixed[OPTION_INDEX_subscribers] && options->subscribers <= options->slow_subscribers) {
        options->subscribers = options->slow_subscribers + 1;
    }
    if (!fixed[OPTION_INDEX_topics] && options->topics > options->publishers) {
        options->topics = options->publishers;
    }
}

bool scenario_scale(struct bench_options *options, const bool fixed[OPTIONS_COUNT], char *error,
                    size_t error_size)
{
    const char *at = options->scales != NULL ? options->scales : "";
    size_t count;
    const struct option_row *rows = options_rows(RUN, &count);

    if (options->scale != 1 && *at == '\0') {
        snprintf(error, error_size, "--scale has no meaning here: the scenario says nothing of it");
        return false;
    }
    while (*at != '\0') {
        size_t len = strcspn(at, ", ");
        const struct option_row *row = option_find(rows, count, at, len);

        if (row == NULL || row->kind != OPTION_NUMBER) {
            snprintf(error, error_size, "scales: \"%.*s\" is not an option with a number", (int)len,
                     at);
            return false;
        }
        if (!fixed[row - rows]) {
            multiply(options, row);
        }
        at += len;
        at += strspn(at, ", ");
    }
    if (options->scale != 1) {
        keep_possible(options, fixed);
    }
    return true;
}

/* Prints one line; only when the scenario is, or is not, of the benchmark suite. */
static void list_one(FILE *to, const struct scenario_file *file, bool of_suite)
{
    struct bench_options options;
    struct scenario_source source;
    char error[300] = "";
    const char *text;

    options_preset(&options, RUN);
    text = scenario_read(&source, file->name, &options, error, sizeof(error)) &&
                   options.description != NULL
               ? options.description
               : error;
    if ((strncmp(text, "suite:", 6) == 0) == of_suite) {
        fprintf(to, "  %-24s %s\n", file->name, text);
    }
    scenario_fini(&source);
}

void scenario_list(FILE *to)
{
    for (unsigned of_suite = 0; of_suite < 2; of_suite++) {
        for (size_t i = 0; i < scenario_file_count; i++) {
            list_one(to, &scenario_files[i], of_suite);
        }
    }
}
