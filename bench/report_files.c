/* SPDX-License-Identifier: MIT
 *
 * report_files - JSON for programs, CSV for spreadsheets.
 */
#include <cjson/cJSON.h>

#include "base/check.h"
#include "base/mem.h"
#include "bench/host.h"
#include "bench/payload.h"
#include "bench/report.h"

static double to_us(uint64_t value_ns)
{
    return (double)value_ns / (double)NANOSECONDS_PER_US;
}

static void add_rows(const struct report *report, cJSON *json)
{
    for (size_t i = 0; i < report->count; i++) {
        const struct report_row *row = &report->rows[i];

        if (row->text != NULL) {
            cJSON_AddStringToObject(json, row->key, row->text);
        } else {
            cJSON_AddNumberToObject(json, row->key, row->value);
        }
    }
    cJSON_AddBoolToObject(json, "ok", report->failure == NULL);
}

static void add_latency(const struct report *report, cJSON *json)
{
    const struct histogram *latency = report->latency;
    cJSON *object, *slots;

    if (latency == NULL) {
        return;
    }
    object = cJSON_AddObjectToObject(json, report->latency_key);
    for (size_t i = 0; i < report_percentile_count; i++) {
        cJSON_AddNumberToObject(object, report_percentiles[i].key,
                                to_us(report_percentile_of(latency, i)));
    }
    cJSON_AddNumberToObject(object, "mean", histogram_mean(latency) / (double)NANOSECONDS_PER_US);
    cJSON_AddNumberToObject(object, "count", (double)latency->count);
    /* [from, count], the slots that are not empty */
    slots = cJSON_AddArrayToObject(object, "histogram");
    for (uint32_t i = 0; i < HISTOGRAM_SLOTS; i++) {
        if (latency->slots[i] > 0) {
            const double pair[] = {to_us(histogram_slot_low(i)), (double)latency->slots[i]};

            cJSON_AddItemToArray(slots, cJSON_CreateDoubleArray(pair, ARRAY_LENGTH(pair)));
        }
    }
}

static void add_seconds(const struct report *report, cJSON *json)
{
    cJSON *seconds = cJSON_AddArrayToObject(json, "seconds");

    for (size_t i = 0; report->series != NULL && i < report->series->count; i++) {
        const struct sample *sample = &report->series->samples[i];
        cJSON *object = cJSON_CreateObject();

        cJSON_AddNumberToObject(object, "at_s", sample->at_s);
        cJSON_AddStringToObject(object, "phase", sample->phase);
#define TOTAL(name, help) cJSON_AddNumberToObject(object, #name, (double)sample->totals.name);
#define GAUGE(name, help) TOTAL(name, help)
#include "bench/totals.def"
#undef TOTAL
#undef GAUGE
        cJSON_AddNumberToObject(object, "sent_per_s", sample->sent_rate);
        cJSON_AddNumberToObject(object, "received_per_s", sample->received_rate);
        cJSON_AddNumberToObject(object, "p50_us", to_us(sample->p50_ns));
        cJSON_AddNumberToObject(object, "p99_us", to_us(sample->p99_ns));
        cJSON_AddNumberToObject(object, "max_us", to_us(sample->max_ns));
        cJSON_AddItemToArray(seconds, object);
    }
}

void report_write_json(const struct report *report, FILE *to)
{
    cJSON *json = cJSON_CreateObject(), *host;
    struct host_facts facts;
    char *text;

    ASSERT(json != NULL);
    host_read(&facts, report->options);
    add_rows(report, json);
    cJSON_AddStringToObject(json, "tool", facts.tool);
    cJSON_AddStringToObject(json, "command", facts.command);
    cJSON_AddStringToObject(json, "ended", facts.time);
    host = cJSON_AddObjectToObject(json, "host");
    cJSON_AddStringToObject(host, "name", facts.name);
    cJSON_AddStringToObject(host, "kernel", facts.kernel);
    cJSON_AddStringToObject(host, "cpu", facts.cpu);
    cJSON_AddNumberToObject(host, "cpus", facts.cpus);
    add_latency(report, json);
    add_seconds(report, json);
    text = cJSON_Print(json);
    ASSERT(text != NULL);
    fprintf(to, "%s\n", text);
    cJSON_free(text);
    cJSON_Delete(json);
}

void report_write_csv(const struct report *report, FILE *to)
{
    fputs("at_s,length_s,phase", to);
#define TOTAL(name, help) fputs("," #name, to);
#define GAUGE(name, help) TOTAL(name, help)
#include "bench/totals.def"
#undef TOTAL
#undef GAUGE
    fputs(",sent_per_s,received_per_s,latencies,p50_us,p90_us,p99_us,p99_9_us,max_us,"
          "tool_cpu_percent,broker_cpu_percent\n",
          to);
    for (size_t i = 0; report->series != NULL && i < report->series->count; i++) {
        const struct sample *sample = &report->series->samples[i];

        fprintf(to, "%.3f,%.3f,%s", sample->at_s, sample->length_s, sample->phase);
#define TOTAL(name, help) fprintf(to, ",%llu", (unsigned long long)sample->totals.name);
#define GAUGE(name, help) TOTAL(name, help)
#include "bench/totals.def"
#undef TOTAL
#undef GAUGE
        fprintf(to, ",%.1f,%.1f,%llu,%.1f,%.1f,%.1f,%.1f,%.1f,%.1f,%.1f\n", sample->sent_rate,
                sample->received_rate, (unsigned long long)sample->latency_count,
                to_us(sample->p50_ns), to_us(sample->p90_ns), to_us(sample->p99_ns),
                to_us(sample->p99_9_ns), to_us(sample->max_ns), sample->tool_cpu_percent,
                sample->broker_cpu_percent);
    }
}
