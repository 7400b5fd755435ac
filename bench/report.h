/* SPDX-License-Identifier: MIT
 *
 * report - the result of a run: printed as a table row by row, and written at the end as JSON, CSV
 * and HTML.
 */
#ifndef SHARDMQ_BENCH_REPORT_H
#define SHARDMQ_BENCH_REPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "bench/histogram.h"
#include "bench/options.h"
#include "bench/series.h"

#define REPORT_ROWS_MAX 96u

/* One line of the table. */
struct report_row {
    const char *key, *unit; /* its name in JSON; what the number counts. Static. */
    char *label, *text;     /* what people read; a text instead of a number, or NULL. Owned */
    double value;
};

/* Touched by one thread only. */
struct report {
    const struct bench_options *options;
    const struct series *series; /* NULL: nothing was recorded */
    const char *name, *failure;  /* NULL: all is well */
    struct report_row rows[REPORT_ROWS_MAX];
    size_t count;
    const char *latency_key, *latency_label;
    const struct histogram *latency; /* NULL: none */
};

/* Begins the report of a run: its name and the options that matter to every one. `series` (may be
 * NULL) is read when the report is finished. */
void report_init(struct report *report, const char *name, const struct bench_options *options,
                 const struct series *series);

/* One row: `key` is its name in JSON, `label` and `unit` are what people read. */
void report_number(struct report *report, const char *key, const char *label, double value,
                   const char *unit);
void report_text(struct report *report, const char *key, const char *label, const char *value);
/* The percentiles of `histogram` in microseconds, as the object `key`. One in a report; borrowed
 * until it is finished. */
void report_latency(struct report *report, const char *key, const char *label,
                    const struct histogram *histogram);

/* Ends the report: the verdict, and the files that were asked for. `failure` is NULL when all is
 * well. Returns the exit status. */
int report_finish(struct report *report, const char *failure);

/* The formats. Each writes the whole report to `to`. */
void report_write_json(const struct report *report, FILE *to);
void report_write_csv(const struct report *report, FILE *to);
void report_write_html(const struct report *report, FILE *to);

/* The percentiles that are reported. */
struct report_percentile {
    const char *key, *label;
    double share; /* 1: the maximum */
};
extern const struct report_percentile report_percentiles[];
extern const size_t report_percentile_count;
/* In nanoseconds. */
uint64_t report_percentile_of(const struct histogram *histogram, size_t index);

/* True when every file that was asked for can be written; creates them. Otherwise a sentence in
 * `error`. */
bool report_check_files(const struct bench_options *options, char *error, size_t error_size);

#endif
