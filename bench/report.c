/* SPDX-License-Identifier: MIT
 *
 * report - the final table and its JSON twin, filled by the same calls so that they cannot
 * disagree.
 */
#include "bench/report.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#include "base/check.h"
#include "bench/bench.h"
#include "bench/payload.h"

#define LABEL_WIDTH 34

void report_init(struct report *report, const char *scenario, const struct bench_options *options)
{
    struct utsname system;
    char text[300];

    report->json = cJSON_CreateObject();
    ASSERT(report->json != NULL);
    report_text(report, "scenario", "scenario", scenario);
    report_text(report, "tool", "tool", "shardmq bench " SHARDMQ_VERSION);
    if (uname(&system) == 0) {
        snprintf(text, sizeof(text), "%s %s %s", system.sysname, system.release, system.machine);
        report_text(report, "system", "system", text);
    }
    snprintf(text, sizeof(text), "%.200s:%u", options->host, (unsigned)options->port);
    report_text(report, "broker", "broker", text);
    report_text(report, "mqtt_version", "MQTT version",
                options->version == 3   ? "3.1"
                : options->version == 4 ? "3.1.1"
                                        : "5.0");
}

/* Whole numbers in groups of three, others with as many digits as are worth reading. */
static void format_number(char *to, size_t room, double value)
{
    char digits[40];
    size_t len, out = 0, start;

    if (fabs(value) < 100 && value != floor(value)) {
        snprintf(to, room, "%.*f", fabs(value) < 10 ? 3 : 2, value);
        return;
    }
    len = (size_t)snprintf(digits, sizeof(digits), "%.0f", value);
    start = digits[0] == '-';
    for (size_t i = 0; i < len && out + 2 < room; i++) {
        if (i > start && (len - i) % 3 == 0) {
            to[out++] = ',';
        }
        to[out++] = digits[i];
    }
    to[out] = '\0';
}

void report_number(struct report *report, const char *key, const char *label, double value,
                   const char *unit)
{
    char text[64];

    format_number(text, sizeof(text), value);
    printf("  %-*s %16s %s\n", LABEL_WIDTH, label, text, unit);
    cJSON_AddNumberToObject(report->json, key, value);
}

void report_text(struct report *report, const char *key, const char *label, const char *value)
{
    printf("  %-*s %s\n", LABEL_WIDTH, label, value);
    cJSON_AddStringToObject(report->json, key, value);
}

void report_latency(struct report *report, const char *key, const char *label,
                    const struct histogram *histogram)
{
    static const struct {
        const char *key, *label;
        double share;
    } rows[] = {{"p50", "p50", 0.5},       {"p90", "p90", 0.9},          {"p99", "p99", 0.99},
                {"p99_9", "p99.9", 0.999}, {"p99_99", "p99.99", 0.9999}, {"max", "max", 1}};
    cJSON *object = cJSON_AddObjectToObject(report->json, key);

    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        uint64_t value_ns =
            rows[i].share < 1 ? histogram_quantile(histogram, rows[i].share) : histogram->max_ns;
        double value_us = (double)value_ns / (double)NANOSECONDS_PER_US;
        char name[64], text[64];

        snprintf(name, sizeof(name), "%s %s", label, rows[i].label);
        format_number(text, sizeof(text), value_us);
        printf("  %-*s %16s us\n", LABEL_WIDTH, name, text);
        cJSON_AddNumberToObject(object, rows[i].key, value_us);
    }
    cJSON_AddNumberToObject(object, "mean", histogram_mean(histogram) / (double)NANOSECONDS_PER_US);
    cJSON_AddNumberToObject(object, "count", (double)histogram->count);
}

static bool write_json(const cJSON *json, const char *path)
{
    char *text = cJSON_Print(json);
    FILE *file = fopen(path, "we");
    bool good = text != NULL && file != NULL && fputs(text, file) >= 0 && fputc('\n', file) != EOF;

    if (file != NULL && fclose(file) != 0) {
        good = false;
    }
    if (!good) {
        fprintf(stderr, "bench: cannot write %s: %s\n", path, strerror(errno));
    }
    cJSON_free(text);
    return good;
}

int report_finish(struct report *report, const struct bench_options *options, const char *failure)
{
    int status = failure == NULL ? BENCH_OK : BENCH_FAILED;

    cJSON_AddBoolToObject(report->json, "ok", failure == NULL);
    report_text(report, "result", "result", failure == NULL ? "good" : failure);
    fflush(stdout);
    if (options->json != NULL && !write_json(report->json, options->json)) {
        status = BENCH_FAILED;
    }
    if (failure != NULL) {
        fprintf(stderr, "bench: %s\n", failure);
    }
    cJSON_Delete(report->json);
    report->json = NULL;
    return status;
}
