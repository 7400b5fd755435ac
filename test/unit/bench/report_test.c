/* SPDX-License-Identifier: MIT
 *
 * Unit tests of the formats of a report: JSON and CSV are parsed, HTML is one whole file that loads
 * nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <cjson/cJSON.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "bench/bench.h"
#include "bench/report.h"

static struct bench_options options;
static struct series series;
static struct histogram *latency;
static struct report report;
static char *text;
static size_t text_len;

static char words[][24] = {"a<b>&\"c\"", "--password", "secret words", "-Psecret"};
static char *argv[] = {words[0], words[1], words[2], words[3]};

static void make_report(void)
{
    options_preset(&options, RUN);
    options.argc = 4;
    options.argv = argv;
    for (int i = 1; i <= 20; i++) {
        struct sample sample = {.at_s = i, .phase = i < 3 ? "warmup" : "measure"};

        sample.totals.sent = (uint64_t)(1000 * i);
        sample.totals.received = (uint64_t)(999 * i);
        sample.totals.connected = 7;
        sample.p50_ns = 1000;
        sample.p99_ns = (uint64_t)i * 100000;
        sample.max_ns = i % 2 == 0 ? 0 : 5000000;
        series_add(&series, sample);
    }
    for (uint64_t value = 1; value < 1u << 24; value *= 2) {
        histogram_add(latency, value);
    }
    report_init(&report, "a<b>", &options, &series);
    report_number(&report, "rate", "the \"rate\"", 12345.5, "msg/s");
    report_latency(&report, "latency_us", "latency", latency);
    report_text(&report, "what", "what", "a & b < c");
}

static int setup(void **state)
{
    (void)state;
    memset(&series, 0, sizeof(series));
    latency = mem_zalloc(sizeof(*latency));
    make_report();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(report_finish(&report, NULL), BENCH_OK);
    series_fini(&series);
    mem_free(latency);
    free(text);
    text = NULL;
    return 0;
}

static void write_text(void (*write)(const struct report *report, FILE *to))
{
    FILE *file = open_memstream(&text, &text_len);

    assert_non_null(file);
    write(&report, file);
    fclose(file);
}

static void test_json(void **state)
{
    cJSON *json, *object;

    (void)state;
    write_text(report_write_json);
    json = cJSON_Parse(text);
    assert_non_null(json);
    assert_true(cJSON_GetObjectItem(json, "rate")->valuedouble == 12345.5);
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(json, "what")), "a & b < c");
    assert_true(cJSON_IsTrue(cJSON_GetObjectItem(json, "ok")));
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(json, "seconds")), 20);
    object = cJSON_GetArrayItem(cJSON_GetObjectItem(json, "seconds"), 1);
    assert_true(cJSON_GetObjectItem(object, "sent_per_s")->valuedouble == 1000);
    assert_true(cJSON_GetObjectItem(object, "connected")->valuedouble == 7);
    object = cJSON_GetObjectItem(json, "latency_us");
    assert_true(cJSON_GetObjectItem(object, "count")->valuedouble == 24);
    assert_non_null(cJSON_GetObjectItem(object, "p99_99"));
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(object, "histogram")), 24);
    assert_non_null(cJSON_GetObjectItem(cJSON_GetObjectItem(json, "host"), "kernel"));
    cJSON_Delete(json);
}

static void test_a_password_is_not_in_a_report(void **state)
{
    (void)state;
    write_text(report_write_json);
    assert_null(strstr(text, "secret"));
    free(text);
    write_text(report_write_html);
    assert_null(strstr(text, "secret"));
}

/* How many columns a line of CSV has. */
static unsigned columns(const char *line, size_t len)
{
    unsigned count = 1;

    for (size_t i = 0; i < len; i++) {
        count += line[i] == ',';
        assert_true(isprint((unsigned char)line[i]) && line[i] != '"');
    }
    return count;
}

static void test_csv(void **state)
{
    unsigned lines = 0, width = 0;

    (void)state;
    write_text(report_write_csv);
    assert_int_equal(text[text_len - 1], '\n');
    for (const char *at = text; *at != '\0'; at = strchr(at, '\n') + 1) {
        unsigned here = columns(at, strcspn(at, "\n"));

        width = width == 0 ? here : width;
        assert_int_equal(here, width);
        lines++;
    }
    assert_int_equal(lines, 21);
    assert_non_null(strstr(text, "at_s,length_s,phase,connected,"));
    assert_non_null(strstr(text, "\n20.000,1.000,measure,7,"));
}

/* Checks that elements are closed in the order they were opened. */
static void check_nesting(const char *at)
{
    static const char *const void_elements[] = {"meta", "path", "!DOCTYPE"};
    char open[64][16];
    unsigned depth = 0;

    while ((at = strchr(at, '<')) != NULL) {
        char name[16] = "";
        const char *end = strchr(at, '>');
        bool closes = at[1] == '/', is_void = false;

        assert_non_null(end);
        snprintf(name, sizeof(name), "%.*s", (int)strcspn(at + 1 + closes, " >/"), at + 1 + closes);
        for (size_t i = 0; i < ARRAY_LENGTH(void_elements); i++) {
            is_void |= strcmp(name, void_elements[i]) == 0;
        }
        if (closes) {
            assert_true(depth > 0);
            assert_string_equal(name, open[--depth]);
        } else if (!is_void) {
            assert_true(depth < ARRAY_LENGTH(open));
            memcpy(open[depth++], name, sizeof(name));
        }
        at = end;
    }
    assert_int_equal(depth, 0);
}

static void test_html(void **state)
{
    unsigned plots = 0;

    (void)state;
    write_text(report_write_html);
    check_nesting(text);
    assert_non_null(strstr(text, "<!DOCTYPE html>"));
    assert_non_null(strstr(text, "a &amp; b &lt; c"));
    assert_non_null(strstr(text, "a&lt;b&gt;"));
    assert_null(strstr(text, "nan"));
    assert_null(strstr(text, "inf\""));
    for (const char *at = text; (at = strstr(at, "<svg")) != NULL; at++) {
        plots++;
    }
    assert_int_equal(plots, 4);
    /* nothing is fetched */
    assert_null(strstr(text, "http"));
    assert_null(strstr(text, "src="));
    assert_null(strstr(text, "href"));
    assert_null(strstr(text, "url("));
    assert_null(strstr(text, "<script"));
}

/* What a run ends with is shorter than a second, and no break-down. */
static void test_a_short_last_sample_is_not_plotted(void **state)
{
    struct sample end = {.at_s = 20.2, .phase = "drain"};
    char *before;

    (void)state;
    write_text(report_write_html);
    before = text;
    *strstr(before, "</svg>") = '\0';
    end.totals = series.samples[19].totals;
    series_add(&series, end);
    write_text(report_write_html);
    *strstr(text, "</svg>") = '\0';
    assert_string_equal(strstr(text, "<svg"), strstr(before, "<svg"));
    free(before);
}

static void test_nothing_recorded(void **state)
{
    (void)state;
    report.series = NULL;
    report.latency = NULL;
    write_text(report_write_html);
    check_nesting(text);
    free(text);
    write_text(report_write_csv);
    assert_non_null(strstr(text, "at_s"));
    free(text);
    write_text(report_write_json);
    cJSON *json = cJSON_Parse(text);
    assert_non_null(json);
    cJSON_Delete(json);
}

static void test_files_that_cannot_be_written(void **state)
{
    struct bench_options bad;
    char error[200];

    (void)state;
    options_preset(&bad, RUN);
    assert_true(report_check_files(&bad, error, sizeof(error)));
    bad.csv = "/nowhere/at/all.csv";
    assert_false(report_check_files(&bad, error, sizeof(error)));
    assert_non_null(strstr(error, "--csv"));
}

static void test_series_are_bounded(void **state)
{
    struct series long_series = {0};
    double covered_s = 0;
    uint64_t worst_ns = 0;

    (void)state;
    for (uint64_t i = 1; i <= 3 * SERIES_MAX; i++) {
        struct sample sample = {
            .at_s = (double)i, .phase = "measure", .p99_ns = i == 12345 ? 99 : 1};

        sample.totals.sent = 10 * i;
        series_add(&long_series, sample);
        assert_true(long_series.count <= SERIES_MAX);
    }
    for (size_t i = 0; i < long_series.count; i++) {
        covered_s += long_series.samples[i].length_s;
        worst_ns =
            long_series.samples[i].p99_ns > worst_ns ? long_series.samples[i].p99_ns : worst_ns;
        assert_true(long_series.samples[i].sent_rate > 9.99 &&
                    long_series.samples[i].sent_rate < 10.01);
    }
    assert_true(covered_s == 3 * SERIES_MAX);
    assert_int_equal(worst_ns, 99);
    series_fini(&long_series);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_json, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_password_is_not_in_a_report, setup, teardown),
        cmocka_unit_test_setup_teardown(test_csv, setup, teardown),
        cmocka_unit_test_setup_teardown(test_html, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_short_last_sample_is_not_plotted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing_recorded, setup, teardown),
        cmocka_unit_test(test_files_that_cannot_be_written),
        cmocka_unit_test(test_series_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
