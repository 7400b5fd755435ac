/* SPDX-License-Identifier: MIT
 *
 * report_html - one HTML file with the table, the machine and plots; nothing is loaded from
 * anywhere.
 */
#include "base/mem.h"
#include "bench/host.h"
#include "bench/number.h"
#include "bench/payload.h"
#include "bench/plot.h"
#include "bench/report.h"

/* Slots of the histogram that make one bar: eight bars for each power of two. */
#define SLOTS_PER_BAR (HISTOGRAM_STEPS / 8)

static const char style[] =
    "body{font:15px/1.5 system-ui,sans-serif;max-width:900px;margin:2em auto;padding:0 1em;"
    "color:#1f2328;background:#fff}"
    "h1{font-size:1.5em;margin-bottom:0}h2{font-size:1.1em;margin-top:2em}"
    "table{border-collapse:collapse}td{padding:.15em 1.2em .15em 0;border-bottom:1px solid #eee}"
    "td.n{text-align:right;font-variant-numeric:tabular-nums}"
    ".good,.bad{display:inline-block;padding:.1em .7em;border-radius:1em;color:#fff}"
    ".good{background:#1a7f37}.bad{background:#cf222e}code{background:#f4f4f4;padding:.1em .3em}"
    "svg{width:100%;height:auto;font:11px system-ui,sans-serif;margin:.5em 0;fill:#57606a}"
    "svg path{stroke:#8c959f;fill:none}svg path.grid{stroke:#eee}"
    "svg path.line{stroke-width:1.6;stroke-linejoin:round}svg path.bars{stroke:none}"
    "svg .title{font-size:13px;font-weight:600;fill:#1f2328}"
    "svg .unit{font-weight:400;fill:#57606a}"
    "@media(prefers-color-scheme:dark){body{background:#0d1117;color:#e6edf3}"
    "td{border-color:#30363d}code{background:#21262d}svg{fill:#9198a1}"
    "svg path.grid{stroke:#30363d}svg .title{fill:#e6edf3}svg .unit{fill:#9198a1}}";

static void format_seconds(char *to, size_t room, double value)
{
    snprintf(to, room, "%g s", value);
}

static void write_fact(FILE *to, const char *label, const char *text)
{
    fputs("<tr><td>", to);
    plot_escape(to, label);
    fputs("</td><td>", to);
    plot_escape(to, text);
    fputs("</td></tr>\n", to);
}

static void write_number(FILE *to, const char *label, double value, const char *unit)
{
    char text[64];

    number_format(text, sizeof(text), value);
    fputs("<tr><td>", to);
    plot_escape(to, label);
    fprintf(to, "</td><td class=\"n\">%s</td><td>", text);
    plot_escape(to, unit);
    fputs("</td></tr>\n", to);
}

static void write_head(FILE *to, const struct report *report, const struct host_facts *facts)
{
    fprintf(to, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                "<meta name=\"viewport\" content=\"width=device-width\"><title>");
    plot_escape(to, report->name);
    fprintf(to, " - shardmq bench</title><style>%s</style></head><body>\n<h1>", style);
    plot_escape(to, report->name);
    fputs("</h1>\n<p>", to);
    plot_escape(to, facts->time);
    fprintf(to, "</p>\n<p><span class=\"%s\">", report->failure == NULL ? "good" : "bad");
    plot_escape(to, report->failure == NULL ? "nothing lost, duplicated, reordered or altered"
                                            : report->failure);
    fputs("</span></p>\n", to);
}

static void write_summary(FILE *to, const struct report *report)
{
    fputs("<h2>Summary</h2>\n<table>\n", to);
    for (size_t i = 0; i < report->count; i++) {
        const struct report_row *row = &report->rows[i];

        if (row->text == NULL) {
            write_number(to, row->label, row->value, row->unit);
        }
    }
    fputs("</table>\n", to);
}

static void write_percentiles(FILE *to, const struct report *report)
{
    if (report->latency == NULL || report->latency->count == 0) {
        return;
    }
    fputs("<h2>", to);
    plot_escape(to, report->latency_label);
    fputs("</h2>\n<table>\n", to);
    for (size_t i = 0; i < report_percentile_count; i++) {
        write_number(to, report_percentiles[i].label,
                     (double)report_percentile_of(report->latency, i) / (double)NANOSECONDS_PER_US,
                     "us");
    }
    fputs("</table>\n", to);
}

static void write_setting(FILE *to, const struct report *report, const struct host_facts *facts)
{
    char cpus[32];

    fputs("<h2>Setting</h2>\n<table>\n", to);
    for (size_t i = 0; i < report->count; i++) {
        if (report->rows[i].text != NULL) {
            write_fact(to, report->rows[i].label, report->rows[i].text);
        }
    }
    snprintf(cpus, sizeof(cpus), "%u", facts->cpus);
    write_fact(to, "tool", facts->tool);
    write_fact(to, "host", facts->name);
    write_fact(to, "kernel", facts->kernel);
    write_fact(to, "CPU", facts->cpu);
    write_fact(to, "CPUs", cpus);
    fputs("</table>\n<p><code>", to);
    plot_escape(to, facts->command);
    fputs("</code></p>\n", to);
}

static void plot_throughput(FILE *to, const struct series *series, double *room)
{
    double *x = room, *sent = room + series->count, *received = sent + series->count;
    struct plot plot = {.title = "Throughput",
                        .x_name = "time since the start",
                        .y_name = "messages per second",
                        .x = x,
                        .count = series->count,
                        .lines = {{"sent", sent}, {"received", received}},
                        .line_count = 2,
                        .format_x = format_seconds,
                        .format_y = number_short};

    for (size_t i = 0; i < series->count; i++) {
        x[i] = series->samples[i].at_s;
        sent[i] = series->samples[i].sent_rate;
        received[i] = series->samples[i].received_rate;
    }
    plot_write(to, &plot);
}

static void plot_connections(FILE *to, const struct series *series, double *room)
{
    double *x = room, *connected = room + series->count;
    struct plot plot = {.title = "Connections",
                        .x_name = "time since the start",
                        .y_name = "connected clients",
                        .x = x,
                        .count = series->count,
                        .lines = {{"connected", connected}},
                        .line_count = 1,
                        .format_x = format_seconds,
                        .format_y = number_short};

    for (size_t i = 0; i < series->count; i++) {
        x[i] = series->samples[i].at_s;
        connected[i] = (double)series->samples[i].totals.connected;
    }
    plot_write(to, &plot);
}

static void plot_latency_over_time(FILE *to, const struct series *series, double *room)
{
    double *x = room, *p50 = x + series->count, *p99 = p50 + series->count,
           *max = p99 + series->count;
    struct plot plot = {.title = "Latency of each second",
                        .x_name = "time since the start",
                        .y_name = "latency",
                        .x = x,
                        .count = series->count,
                        .lines = {{"p50", p50}, {"p99", p99}, {"max", max}},
                        .line_count = 3,
                        .log_y = true,
                        .format_x = format_seconds,
                        .format_y = number_duration};

    for (size_t i = 0; i < series->count; i++) {
        x[i] = series->samples[i].at_s;
        p50[i] = (double)series->samples[i].p50_ns;
        p99[i] = (double)series->samples[i].p99_ns;
        max[i] = (double)series->samples[i].max_ns;
    }
    plot_write(to, &plot);
}

static void plot_histogram(FILE *to, const struct histogram *histogram)
{
    double x[HISTOGRAM_SLOTS / SLOTS_PER_BAR + 1], bars[HISTOGRAM_SLOTS / SLOTS_PER_BAR + 1];
    size_t count = 0;
    struct plot plot = {.title = "Latency histogram",
                        .x_name = "latency",
                        .y_name = "messages",
                        .x = x,
                        .lines = {{"messages", bars}},
                        .line_count = 1,
                        .log_x = true,
                        .bars = true,
                        .format_x = number_duration,
                        .format_y = number_short};
    uint64_t seen = 0;

    /* from the first bar that is not empty to the last; below 64 ns no histogram of a network is */
    for (uint32_t i = HISTOGRAM_STEPS; i < HISTOGRAM_SLOTS && seen < histogram->count;
         i += SLOTS_PER_BAR) {
        uint64_t values = 0;

        for (uint32_t j = 0; j < SLOTS_PER_BAR; j++) {
            values += histogram->slots[i + j];
        }
        if (values > 0 || count > 0) {
            x[count] = (double)histogram_slot_low(i);
            bars[count++] = (double)values;
        }
        seen += values;
        if (seen == histogram->count) {
            x[count] = (double)histogram_slot_low(i + SLOTS_PER_BAR);
            bars[count++] = 0;
        }
    }
    plot.count = count;
    plot_write(to, &plot);
}

/* The samples that the plots over time show. A last one that is much shorter than a second, when the rest of the
 * messages is waited for, would look as if the broker had broken down. */
static struct series plotted(const struct series *all)
{
    struct series shown = *all;
    const struct sample *last = &all->samples[all->count - 1];

    shown.count -= all->count > 2 && last->length_s < last[-1].length_s / 2;
    return shown;
}

static void write_plots(FILE *to, const struct report *report)
{
    const struct series *series = report->series;
    struct series shown;
    bool has_messages = false, has_latency = report->latency != NULL && report->latency->count > 0;
    double *room;

    if (series != NULL && series->count > 1) {
        const struct totals *last = &series->samples[series->count - 1].totals;

        has_messages = last->sent + last->received > 0;
        shown = plotted(series);
        room = mem_alloc(4 * shown.count * sizeof(double));
        if (has_messages) {
            plot_throughput(to, &shown, room);
        }
        if (has_messages && has_latency) {
            plot_latency_over_time(to, &shown, room);
        }
        plot_connections(to, &shown, room);
        mem_free(room);
    }
    if (has_latency) {
        plot_histogram(to, report->latency);
    }
}

void report_write_html(const struct report *report, FILE *to)
{
    struct host_facts facts;

    host_read(&facts, report->options);
    write_head(to, report, &facts);
    write_plots(to, report);
    write_summary(to, report);
    write_percentiles(to, report);
    write_setting(to, report, &facts);
    fputs("</body></html>\n", to);
}
