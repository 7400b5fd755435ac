/* SPDX-License-Identifier: MIT
 *
 * Unit tests of base/option and base/distance.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/option.c"

enum { FIRST = 1, SECOND = 2 };

struct values {
    const char *text;
    struct option_list list;
    bool flag;
    uint64_t number;
    double time;
};

static const struct option_row rows[] = {
    {OPTION_TEXT, 't', "text", "words long-words", NULL, "a text", offsetof(struct values, text),
     FIRST, "preset", 0, 0, 0},
    {OPTION_LIST, 'l', "list_of", NULL, NULL, "a list", offsetof(struct values, list),
     FIRST | SECOND, NULL, 0, 0, 0},
    {OPTION_FLAG, 'f', "flag", NULL, NULL, "a flag", offsetof(struct values, flag), FIRST | SECOND,
     NULL, 1, 0, 1},
    {OPTION_NUMBER, 'n', "number", NULL, "BYTES", "a number", offsetof(struct values, number),
     FIRST | SECOND, NULL, 7, 1, 1e12},
    {OPTION_TIME, 't', "time", NULL, NULL, "a time", offsetof(struct values, time), SECOND, NULL,
     0.5, 0, 10},
};

static struct values values;
static bool given[ARRAY_LENGTH(rows)];
static char error[256];

/* -x is --list_of when a word follows, else --flag. */
static const struct option_row *choose(const struct option_parser *parser, char letter,
                                       const char *attached, const char *next)
{
    (void)attached;
    return letter == 'x' ? &parser->rows[next != NULL ? 1 : 2] : NULL;
}

static int parse(unsigned command, const char *words)
{
    static char text[512];
    char *argv[32], *rest;
    int argc = 0;
    struct option_parser parser = {rows,    ARRAY_LENGTH(rows), command, &values, given,
                                   choose,  command == SECOND ? &rows[1] : NULL};

    snprintf(text, sizeof(text), "%s", words);
    for (char *word = strtok_r(text, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        argv[argc++] = word;
    }
    option_release(&parser);
    option_preset(&parser);
    memset(given, 0, sizeof(given));
    error[0] = '\0';
    return option_parse(&parser, argc, argv, error, sizeof(error));
}

static void test_presets_and_every_way_to_write_a_value(void **state)
{
    (void)state;
    assert_int_equal(parse(FIRST, ""), 0);
    assert_string_equal(values.text, "preset");
    assert_true(values.flag);
    assert_int_equal(values.number, 7);
    assert_true(values.time > 0.4 && values.time < 0.6);
    assert_int_equal(values.list.count, 0);
    assert_int_equal(parse(FIRST, "--text=a -n12 --list-of b -l c --list_of=d --flag false"), 0);
    assert_string_equal(values.text, "a");
    assert_int_equal(values.number, 12);
    assert_int_equal(values.list.count, 3);
    assert_string_equal(values.list.items[2], "d");
    assert_false(values.flag);
    assert_true(given[0] && given[1] && given[2] && given[3] && !given[4]);
    assert_int_equal(parse(FIRST, "--words b --long_words c"), 0);
    assert_string_equal(values.text, "c");
    assert_int_equal(parse(FIRST, "-n 999999999999 -f"), 0);
    assert_int_equal(values.number, 999999999999);
    assert_int_equal(parse(FIRST, "-t x --help"), 1);
}

static void test_a_letter_belongs_to_the_command(void **state)
{
    (void)state;
    assert_int_equal(parse(FIRST, "-t word"), 0);
    assert_string_equal(values.text, "word");
    assert_int_equal(parse(SECOND, "-t 2.5"), 0);
    assert_true(values.time > 2.4 && values.time < 2.6);
    assert_int_equal(parse(FIRST, "-x a -x"), 0);
    assert_int_equal(values.list.count, 1);
    assert_true(given[2]);
    assert_int_equal(parse(SECOND, "stray -f word"), 0);
    assert_int_equal(values.list.count, 2);
    assert_string_equal(values.list.items[1], "word");
    assert_int_equal(parse(SECOND, "--text a"), -1);
    assert_string_equal(error, "--text has no meaning for this command");
}

static void test_wrong_options_get_one_sentence(void **state)
{
    static const struct {
        const char *words, *sentence;
    } cases[] = {
        {"--numbr 5", "unknown option \"--numbr\"; did you mean --number?"},
        {"--zzzzzz 5", "unknown option \"--zzzzzz\"; --help lists them"},
        {"-z", "unknown option \"-z\"; --help lists them"},
        {"stray", "\"stray\" is not an option"},
        {"-", "\"-\" is not an option"},
        {"--number", "--number needs a value"},
        {"--number 1x", "--number takes a whole number, not \"1x\""},
        {"--number=", "--number takes a whole number, not \"\""},
        {"--number -5", "--number must be from 1 to 1000000000000, not -5"},
        {"--number 0", "--number must be from 1 to 1000000000000, not 0"},
        {"--number 99999999999999999999999",
         "--number must be from 1 to 1000000000000, not 99999999999999999999999"},
        {"--flag=maybe", "--flag takes true or false, not \"maybe\""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        assert_int_equal(parse(FIRST, cases[i].words), -1);
        assert_string_equal(error, cases[i].sentence);
    }
    assert_int_equal(parse(SECOND, "--time nan"), -1);
    assert_string_equal(error, "--time takes a number of seconds, not \"nan\"");
    assert_int_equal(parse(SECOND, "--time 11"), -1);
    assert_string_equal(error, "--time must be from 0 to 10, not 11");
}

static void test_help_shows_what_the_command_has(void **state)
{
    char *text = NULL;
    size_t len;
    FILE *to = open_memstream(&text, &len);

    (void)state;
    option_help(to, rows, ARRAY_LENGTH(rows), FIRST);
    fclose(to);
    assert_non_null(strstr(text, "-t, --text TEXT"));
    assert_non_null(strstr(text, "a text [preset]"));
    assert_non_null(strstr(text, "-f, --flag true|false"));
    assert_non_null(strstr(text, "--number BYTES"));
    assert_null(strstr(text, "--time"));
    mem_free_libc(text);
}

static void test_distance(void **state)
{
    (void)state;
    assert_int_equal(text_distance("", ""), 0);
    assert_int_equal(text_distance("topic", "topic"), 0);
    assert_int_equal(text_distance("topc", "topic"), 1);
    assert_int_equal(text_distance("kitten", "sitting"), 3);
    assert_int_equal(text_distance("", "abc"), 3);
}

static int release(void **state)
{
    (void)state;
    return parse(FIRST, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_presets_and_every_way_to_write_a_value),
        cmocka_unit_test(test_a_letter_belongs_to_the_command),
        cmocka_unit_test(test_wrong_options_get_one_sentence),
        cmocka_unit_test(test_help_shows_what_the_command_has),
        cmocka_unit_test(test_distance),
    };

    return cmocka_run_group_tests(tests, NULL, release);
}
