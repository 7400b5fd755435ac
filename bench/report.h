/* SPDX-License-Identifier: MIT
 *
 * report - the result of a run: printed as a table row by row, and written as JSON at the end.
 */
#ifndef SHARDMQ_BENCH_REPORT_H
#define SHARDMQ_BENCH_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/histogram.h"
#include "bench/options.h"

struct cJSON;

struct report {
    struct cJSON *json;
};

/* Begins the report of one scenario: its name and the options that matter to every one. */
void report_init(struct report *report, const char *scenario, const struct bench_options *options);

/* One row: `key` is its name in JSON, `label` and `unit` are what people read. */
void report_number(struct report *report, const char *key, const char *label, double value,
                   const char *unit);
void report_text(struct report *report, const char *key, const char *label, const char *value);
/* The percentiles of `histogram` in microseconds, as the object `key`. */
void report_latency(struct report *report, const char *key, const char *label,
                    const struct histogram *histogram);

/* Ends the report: the verdict, and the file of --json if it was asked for. `failure` is NULL when
 * all is well. Returns the exit status. */
int report_finish(struct report *report, const struct bench_options *options, const char *failure);

#endif
