/* SPDX-License-Identifier: MIT
 *
 * report - the final table, whose rows are also what the files are made of, so that they cannot
 * disagree.
 */
#include "bench/report.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "bench/bench.h"
#include "bench/number.h"
#include "bench/payload.h"

#define LABEL_WIDTH 34

const struct report_percentile report_percentiles[] = {
    {"p50", "p50", 0.5},  {"p90", "p90", 0.9},       {"p95", "p95", 0.95},
    {"p99", "p99", 0.99}, {"p99_9", "p99.9", 0.999}, {"p99_99", "p99.99", 0.9999},
    {"max", "max", 1},
};
const size_t report_percentile_count = ARRAY_LENGTH(report_percentiles);

uint64_t report_percentile_of(const struct histogram *histogram, size_t index)
{
    double share = report_percentiles[index].share;

    return share < 1 ? histogram_quantile(histogram, share) : histogram->max_ns;
}

void report_init(struct report *report, const char *name, const struct bench_options *options,
                 const struct series *series)
{
    char text[300];

    memset(report, 0, sizeof(*report));
    report->options = options;
    report->series = series;
    report->name = name;
    report_text(report, "scenario", "scenario", name);
    options_place(options, text, sizeof(text));
    report_text(report, "broker", "broker", text);
    report_text(report, "mqtt_version", "MQTT version",
                options->version == 3   ? "3.1"
                : options->version == 4 ? "3.1.1"
                                        : "5.0");
}

static struct report_row *add_row(struct report *report, const char *key, const char *label)
{
    struct report_row *row = &report->rows[report->count++];

    ASSERT(report->count <= REPORT_ROWS_MAX);
    row->key = key;
    row->label = mem_strdup(label);
    return row;
}

void report_number(struct report *report, const char *key, const char *label, double value,
                   const char *unit)
{
    struct report_row *row = add_row(report, key, label);
    char text[64];

    row->value = value;
    row->unit = unit;
    number_format(text, sizeof(text), value);
    printf("  %-*s %16s%s%s\n", LABEL_WIDTH, label, text, *unit != '\0' ? " " : "", unit);
}

void report_text(struct report *report, const char *key, const char *label, const char *value)
{
    struct report_row *row = add_row(report, key, label);

    row->text = mem_strdup(value);
    row->unit = "";
    printf("  %-*s %s\n", LABEL_WIDTH, label, value);
}

void report_latency(struct report *report, const char *key, const char *label,
                    const struct histogram *histogram)
{
    ASSERT(report->latency == NULL);
    report->latency_key = key;
    report->latency_label = label;
    report->latency = histogram;
    if (histogram->count == 0) {
        return;
    }
    for (size_t i = 0; i < report_percentile_count; i++) {
        double value_ns = (double)report_percentile_of(histogram, i);
        char name[64], text[64];

        snprintf(name, sizeof(name), "%s %s", label, report_percentiles[i].label);
        number_format(text, sizeof(text), value_ns / (double)NANOSECONDS_PER_US);
        printf("  %-*s %16s us\n", LABEL_WIDTH, name, text);
    }
}

static bool write_file(const struct report *report, const char *path,
                       void (*write)(const struct report *report, FILE *to))
{
    FILE *file;
    bool good;

    if (path == NULL) {
        return true;
    }
    file = fopen(path, "we");
    good = file != NULL;
    if (good) {
        write(report, file);
        good = !ferror(file);
        good = fclose(file) == 0 && good;
    }
    if (!good) {
        fprintf(stderr, "bench: cannot write %s: %s\n", path, strerror(errno));
    }
    return good;
}

int report_finish(struct report *report, const char *failure)
{
    const struct bench_options *options = report->options;
    int status = failure == NULL ? BENCH_OK : BENCH_FAILED;
    bool written;

    report->failure = failure;
    report_text(report, "result", "result", failure == NULL ? "good" : failure);
    fflush(stdout);
    written = write_file(report, options->json, report_write_json);
    written &= write_file(report, options->csv, report_write_csv);
    written &= write_file(report, options->report, report_write_html);
    if (failure != NULL) {
        fprintf(stderr, "bench: %s\n", failure);
    }
    for (size_t i = 0; i < report->count; i++) {
        mem_free(report->rows[i].label);
        mem_free(report->rows[i].text);
    }
    report->count = 0;
    return written ? status : BENCH_FAILED;
}

bool report_check_files(const struct bench_options *options, char *error, size_t error_size)
{
    const struct {
        const char *option, *path;
    } files[] = {{"json", options->json}, {"csv", options->csv}, {"report", options->report}};

    for (size_t i = 0; i < ARRAY_LENGTH(files); i++) {
        FILE *file = files[i].path == NULL ? NULL : fopen(files[i].path, "ae");

        if (files[i].path != NULL && file == NULL) {
            snprintf(error, error_size, "--%s: cannot write %s: %s", files[i].option, files[i].path,
                     strerror(errno));
            return false;
        }
        if (file != NULL) {
            fclose(file);
        }
    }
    return true;
}
