/* SPDX-License-Identifier: MIT
 *
 * Unit tests of what people look at: the live view, and numbers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "bench/number.h"
#include "bench/screen.h"

static char *text;
static size_t text_len;

static void test_the_view_is_drawn_over_itself(void **state)
{
    struct series series = {0};
    struct histogram *latency = mem_zalloc(sizeof(*latency));
    struct screen_view view = {.title = "bench p2p",
                               .target = "localhost:1883",
                               .sends = true,
                               .receives = true,
                               .series = &series,
                               .latency = latency};
    FILE *file = open_memstream(&text, &text_len);
    int first, second;

    (void)state;
    assert_non_null(file);
    for (int i = 1; i < 4; i++) {
        struct sample sample = {.at_s = i, .phase = "measure"};

        sample.totals.sent = (uint64_t)(1000000 * i);
        sample.totals.missing = 3;
        series_add(&series, sample);
    }
    histogram_add(latency, 1500000);
    first = screen_draw(file, &view, 100, 0);
    second = screen_draw(file, &view, 100, first);
    fclose(file);
    assert_true(first > 5);
    assert_int_equal(first, second);
    assert_non_null(strstr(text, "1,000,000/s"));
    assert_non_null(strstr(text, "1.50 ms"));
    assert_non_null(strstr(text, "3 missing"));
    assert_non_null(strstr(text, "\033[7A\r"));
    free(text);
    series_fini(&series);
    mem_free(latency);
}

static void test_sparklines(void **state)
{
    static const double values[] = {9, 0, 4, 7};
    FILE *file = open_memstream(&text, &text_len);

    (void)state;
    screen_sparkline(file, values, 4, 3, false); /* the last three */
    fclose(file);
    assert_string_equal(text, "_=#");
    free(text);
    file = open_memstream(&text, &text_len);
    screen_sparkline(file, values + 1, 3, 10, true);
    fclose(file);
    assert_string_equal(text, "▁▅█");
    free(text);
}

static void test_numbers(void **state)
{
    static const struct {
        void (*format)(char *to, size_t room, double value);
        double value;
        const char *text;
    } cases[] = {
        {number_format, 0, "0"},
        {number_format, 999, "999"},
        {number_format, 1234567, "1,234,567"},
        {number_format, -1234, "-1,234"},
        {number_format, 1.5, "1.500"},
        {number_format, 99.99, "99.99"},
        {number_duration, 0, "0 ns"},
        {number_duration, 870, "870 ns"},
        {number_duration, 12340, "12.3 us"},
        {number_duration, 4560000, "4.56 ms"},
        {number_duration, 1.2e9, "1.20 s"},
        {number_duration, 999.9e3, "1.00 ms"},
        {number_short, 250000, "250k"},
        {number_short, 1500000, "1.5M"},
        {number_short, 0, "0"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        char got[64];

        cases[i].format(got, sizeof(got), cases[i].value);
        assert_string_equal(got, cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_view_is_drawn_over_itself),
        cmocka_unit_test(test_sparklines),
        cmocka_unit_test(test_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
