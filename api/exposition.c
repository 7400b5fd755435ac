/* SPDX-License-Identifier: MIT */
#include "api/exposition.h"

#include "base/check.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PREFIX "shardmq_"

/* No metric is there twice: this does not compile when one is. */
struct exposition_metrics_differ {
    char shardmq_build_info, shardmq_mesh_ring_entries, shardmq_heartbeat_age_seconds;
#define METRIC(name, type, value, help) char name;
#include "api/exposition.def"
#undef METRIC
#define STAT(name, kind, unit, metric, help) char shardmq_##metric;
#define STAT_BY(name, kind, unit, metric, label, value, help)
#define STAT_METRIC(metric, help)          char shardmq_##metric;
#define STAT_HISTOGRAM(name, metric, help) char shardmq_##metric;
#include "base/stats.def"
};

/* ---- the format ---- */

/* Text of a HELP line (quotes: false) or of a label's value, escaped as the format wants it. */
static void put_escaped(FILE *to, const char *text, bool quotes)
{
    for (; *text != '\0'; text++) {
        if (*text == '\n')
            fputs("\\n", to);
        else if (*text == '\\' || (quotes && *text == '"'))
            fprintf(to, "\\%c", *text);
        else
            fputc(*text, to);
    }
}

static void put_head(FILE *to, const char *prefix, const char *name, const char *type,
                     const char *help)
{
    fprintf(to, "# HELP %s%s ", prefix, name);
    put_escaped(to, help, false);
    fprintf(to, "\n# TYPE %s%s %s\n", prefix, name, type);
}

static void put_label(FILE *to, bool first, const char *name, const char *value)
{
    fprintf(to, "%s%s=\"", first ? "{" : ",", name);
    put_escaped(to, value, true);
    fputc('"', to);
}

/* The value of the label `shard`. */
static const char *shard_name(const struct machine_view *machine, unsigned index, char *text,
                              size_t size)
{
    if (index == machine->shards)
        return "control";
    snprintf(text, size, "%u", index);
    return text;
}

static void put_shard(FILE *to, const struct machine_view *machine, unsigned index)
{
    char text[16];

    put_label(to, true, "shard", shard_name(machine, index, text, sizeof(text)));
}

/* Whole numbers as such, others with as many digits as a double has. */
static void put_number(FILE *to, double value)
{
    if (value == (double)(int64_t)value)
        fprintf(to, "%" PRId64 "\n", (int64_t)value);
    else
        fprintf(to, "%.17g\n", value);
}

/* ---- what shards count ---- */

/* In the base unit. */
static void put_value(FILE *to, const struct stat_info *info, int64_t value)
{
    if (strcmp(info->unit, "microseconds") == 0)
        fprintf(to, " %" PRId64 ".%06" PRId64 "\n", value / 1000000, value % 1000000);
    else
        fprintf(to, " %" PRId64 "\n", value);
}

static void put_counter(FILE *to, const struct machine_view *machine, unsigned id)
{
    const struct stat_info *info = &stat_infos[id];

    if (id == 0 || strcmp(info->metric, stat_infos[id - 1].metric) != 0)
        put_head(to, PREFIX, info->metric, info->kind == STAT_KIND_COUNTER ? "counter" : "gauge",
                 info->label == NULL ? info->help : stats_metric_help(info->metric));
    for (unsigned i = 0; i < machine->threads; i++) {
        fprintf(to, PREFIX "%s", info->metric);
        put_shard(to, machine, i);
        if (info->label != NULL)
            put_label(to, false, info->label, info->value);
        fputc('}', to);
        put_value(to, info, machine->views[i].stats.values[id]);
    }
}

static void put_histogram_of(FILE *to, const struct machine_view *machine, unsigned index,
                             const char *metric, const struct stat_histogram_snapshot *histogram)
{
    int64_t count = 0;
    char bound[32];

    for (unsigned bucket = 0; bucket < STAT_BUCKETS; bucket++) {
        uint64_t us = stat_bucket_bound_us(bucket);

        count += histogram->buckets[bucket];
        if (us == 0)
            snprintf(bound, sizeof(bound), "+Inf");
        else
            snprintf(bound, sizeof(bound), "%.9g", (double)us / 1e6);
        fprintf(to, PREFIX "%s_bucket", metric);
        put_shard(to, machine, index);
        put_label(to, false, "le", bound);
        fprintf(to, "} %" PRId64 "\n", count);
    }
    fprintf(to, PREFIX "%s_sum", metric);
    put_shard(to, machine, index);
    fprintf(to, "} %.9f\n" PREFIX "%s_count", (double)histogram->sum_ns / 1e9, metric);
    put_shard(to, machine, index);
    fprintf(to, "} %" PRId64 "\n", count);
}

static void put_histogram(FILE *to, const struct machine_view *machine, unsigned id)
{
    const struct stat_histogram_info *info = &stat_histogram_infos[id];

    put_head(to, PREFIX, info->metric, "histogram", info->help);
    for (unsigned i = 0; i < machine->threads; i++)
        put_histogram_of(to, machine, i, info->metric, &machine->views[i].stats.histograms[id]);
}

/* ---- shards and the mesh between them ---- */

static void put_mesh(FILE *to, const struct machine_view *machine)
{
    char text[16];

    put_head(to, PREFIX, "mesh_ring_entries", "gauge",
             "entries that wait in the ring from a shard to a peer");
    for (unsigned from = 0; from < machine->threads; from++) {
        for (unsigned peer = 0; peer < machine->threads; peer++) {
            if (peer == from)
                continue;
            fputs(PREFIX "mesh_ring_entries", to);
            put_shard(to, machine, from);
            put_label(to, false, "peer", shard_name(machine, peer, text, sizeof(text)));
            fprintf(to, "} %u\n", machine->views[from].ring_entries[peer]);
        }
    }
}

static void put_heartbeats(FILE *to, const struct machine_view *machine)
{
    put_head(to, PREFIX, "heartbeat_age_seconds", "gauge",
             "time since a shard that works began its last turn; 0 while it waits for work");
    for (unsigned i = 0; i < machine->threads; i++) {
        const struct heartbeat *beat = &machine->views[i].heartbeat;

        fputs(PREFIX "heartbeat_age_seconds", to);
        put_shard(to, machine, i);
        fprintf(to, "} %.3f\n", beat->waits && beat->alive ? 0.0 : (double)beat->age_ms / 1e3);
    }
}

static void put_listener(FILE *to, const char *metric, const struct listener_view *listener,
                         double value)
{
    fprintf(to, PREFIX "%s", metric);
    put_label(to, true, "listener", listener->name);
    fputs("} ", to);
    put_number(to, value);
}

static void put_listeners(FILE *to, const struct machine_view *machine)
{
    const struct listener_view *end = machine->listeners + machine->listener_count, *listener;

    put_head(to, PREFIX, "listener_connections", "gauge", "open connections that came in through the listener");
    for (listener = machine->listeners; listener < end; listener++)
        put_listener(to, "listener_connections", listener, (double)listener->open);
    put_head(to, PREFIX, "listener_accepted_total", "counter",
             "connections that the listener has let in since it was opened");
    for (listener = machine->listeners; listener < end; listener++)
        put_listener(to, "listener_accepted_total", listener, (double)listener->accepted);
    put_head(
        to, PREFIX, "listener_refused_total", "counter",
        "connections that came to the listener and were closed at once: limits, proxies, memory");
    for (listener = machine->listeners; listener < end; listener++)
        put_listener(to, "listener_refused_total", listener, (double)listener->refused);
}

static void put_build(FILE *to)
{
    put_head(to, PREFIX, "build_info", "gauge", "1, with what the broker was built from");
    fputs(PREFIX "build_info", to);
    put_label(to, true, "version", SHARDMQ_VERSION);
    put_label(to, false, "compiler", __VERSION__);
    fputs("} 1\n", to);
}

static unsigned alive(const struct machine_view *machine)
{
    unsigned count = 0;

    for (unsigned i = 0; i < machine->shards; i++)
        count += machine->views[i].heartbeat.alive;
    return count;
}

static void put_table(FILE *to, const struct machine_view *machine,
                      const struct process_view *process, const struct rates *rates,
                      double started_s)
{
#define COUNT(name) machine->sum.values[STAT_##name]
#define METRIC(name, type, value, help)                                                            \
    put_head(to, "", #name, #type, help);                                                          \
    fputs(#name " ", to);                                                                          \
    put_number(to, (double)(value));
#include "api/exposition.def"
#undef METRIC
#undef COUNT
}

char *exposition_write(const struct machine_view *machine, const struct process_view *process,
                       const struct rates *rates, double started_s, size_t *len_out)
{
    char *text = NULL;
    FILE *to = open_memstream(&text, len_out);

    if (to == NULL)
        return NULL;
    put_build(to);
    for (unsigned id = 0; id < STAT_ID_COUNT; id++)
        put_counter(to, machine, id);
    for (unsigned id = 0; id < STAT_HISTOGRAM_COUNT; id++)
        put_histogram(to, machine, id);
    put_mesh(to, machine);
    put_heartbeats(to, machine);
    put_listeners(to, machine);
    put_table(to, machine, process, rates, started_s);
    if (fclose(to) != 0) {
        mem_free_libc(text);
        return NULL;
    }
    return text;
}
