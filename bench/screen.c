/* SPDX-License-Identifier: MIT
 *
 * screen - drawn again each second by going up over the last drawing, so that it stays when the run
 * ends and the summary comes below it.
 */
#include "bench/screen.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "bench/number.h"

#define COLUMNS_MIN     40
#define SPARKLINE_MAX   120u
#define LABEL_WIDTH     12
#define CLEAR_LINE_TAIL "\033[K"
#define BOLD            "\033[1m"
#define DIM             "\033[2m"
#define PLAIN           "\033[0m"

void screen_sparkline(FILE *to, const double *values, size_t count, size_t columns, bool unicode)
{
    static const char *const blocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    static const char *const letters[] = {"_", ".", ":", "-", "=", "+", "*", "#"};
    size_t first = count > columns ? count - columns : 0;
    double highest = 0;

    for (size_t i = first; i < count; i++) {
        highest = values[i] > highest ? values[i] : highest;
    }
    for (size_t i = first; i < count; i++) {
        size_t level = highest > 0 ? (size_t)(values[i] / highest * 7 + 0.5) : 0;

        fputs(unicode ? blocks[level] : letters[level], to);
    }
}

bool screen_has_unicode(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};

    for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
        const char *value = getenv(names[i]);

        if (value != NULL && *value != '\0') {
            return strcasestr(value, "utf-8") != NULL || strcasestr(value, "utf8") != NULL;
        }
    }
    return false;
}

static void label(FILE *to, const char *text)
{
    fprintf(to, "  " DIM "%-*s" PLAIN, LABEL_WIDTH, text);
}

static void end_line(FILE *to, int *lines)
{
    fputs(CLEAR_LINE_TAIL "\n", to);
    (*lines)++;
}

/* Seconds since the first sample of the phase that the last one is in. */
static double phase_s(const struct series *series)
{
    const struct sample *last = &series->samples[series->count - 1];
    size_t first = series->count - 1;

    while (first > 0 && series->samples[first - 1].phase == last->phase) {
        first--;
    }
    return last->at_s - series->samples[first].at_s + series->samples[first].length_s;
}

static void draw_head(FILE *to, const struct screen_view *view, const struct sample *last,
                      int columns, int *lines)
{
    char where[64];
    int room = columns - 34;

    if (view->duration_s > 0 && strcmp(last->phase, "measure") == 0) {
        snprintf(where, sizeof(where), "%s, %.0f of %.0f s", last->phase, phase_s(view->series),
                 view->duration_s);
    } else {
        snprintf(where, sizeof(where), "%s, %.0f s", last->phase, phase_s(view->series));
    }
    fprintf(to, BOLD "%.*s" PLAIN " on %.*s " DIM "%s" PLAIN, room / 2, view->title, room / 2,
            view->target, where);
    end_line(to, lines);
}

static void draw_clients(FILE *to, const struct totals *totals, int *lines)
{
    label(to, "connected");
    fprintf(to, "%-14" PRIu64, totals->connected);
    if (totals->disconnects > 0) {
        fprintf(to, BOLD "%" PRIu64 " connections lost" PLAIN, totals->disconnects);
    }
    end_line(to, lines);
}

/* One counter with its rate and how the rate went. */
static void draw_rate(FILE *to, const struct screen_view *view, const char *name, uint64_t total,
                      bool sent, int columns, int *lines)
{
    const struct series *series = view->series;
    const struct sample *last = &series->samples[series->count - 1];
    double rates[SPARKLINE_MAX];
    size_t room = (size_t)(columns - LABEL_WIDTH - 40), count = 0;
    char rate[32], sum[32];

    room = columns < LABEL_WIDTH + 44 ? 0 : room > SPARKLINE_MAX ? SPARKLINE_MAX : room;
    for (size_t i = series->count > room ? series->count - room : 0; i < series->count; i++) {
        rates[count++] = sent ? series->samples[i].sent_rate : series->samples[i].received_rate;
    }
    number_format(rate, sizeof(rate), sent ? last->sent_rate : last->received_rate);
    number_format(sum, sizeof(sum), (double)total);
    label(to, name);
    fprintf(to, "%14s/s %18s  ", rate, sum);
    screen_sparkline(to, rates, count, room, view->unicode);
    end_line(to, lines);
}

static void draw_percentiles(FILE *to, const char *name, const uint64_t *values_ns, int *lines)
{
    static const char *const names[] = {"p50", "p90", "p99", "p99.9", "max"};

    label(to, name);
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
        char text[32];

        number_duration(text, sizeof(text), (double)values_ns[i]);
        fprintf(to, "%s " BOLD "%s" PLAIN "  ", names[i], text);
    }
    end_line(to, lines);
}

static void draw_latency(FILE *to, const struct screen_view *view, const struct sample *last,
                         int *lines)
{
    const struct histogram *all = view->latency;
    const uint64_t now[] = {last->p50_ns, last->p90_ns, last->p99_ns, last->p99_9_ns, last->max_ns};

    if (all->count == 0) {
        return;
    }
    const uint64_t whole[] = {histogram_quantile(all, 0.5), histogram_quantile(all, 0.9),
                              histogram_quantile(all, 0.99), histogram_quantile(all, 0.999),
                              all->max_ns};

    if (last->latency_count > 0) {
        draw_percentiles(to, "last second", now, lines);
    } else {
        label(to, "last second");
        fputs("nothing", to);
        end_line(to, lines);
    }
    draw_percentiles(to, "all", whole, lines);
}

static void draw_faults(FILE *to, const struct totals *totals, int *lines)
{
    uint64_t faults = totals->missing + totals->duplicated + totals->reordered + totals->altered;

    label(to, "checked");
    if (faults == 0) {
        fputs("nothing missing, duplicated, reordered or altered", to);
    } else {
        fprintf(to,
                BOLD "%" PRIu64 " missing, %" PRIu64 " duplicated, %" PRIu64 " reordered, %" PRIu64
                     " altered" PLAIN,
                totals->missing, totals->duplicated, totals->reordered, totals->altered);
    }
    end_line(to, lines);
}

int screen_draw(FILE *to, const struct screen_view *view, int columns, int lines_before)
{
    const struct sample *last = &view->series->samples[view->series->count - 1];
    int lines = 0;

    columns = columns < COLUMNS_MIN ? COLUMNS_MIN : columns;
    if (lines_before > 0) {
        fprintf(to, "\033[%dA\r", lines_before);
    }
    draw_head(to, view, last, columns, &lines);
    draw_clients(to, &last->totals, &lines);
    if (view->sends) {
        draw_rate(to, view, "sent", last->totals.sent, true, columns, &lines);
    }
    if (view->receives) {
        draw_rate(to, view, "received", last->totals.received + last->totals.copies, false, columns,
                  &lines);
    }
    draw_latency(to, view, last, &lines);
    if (view->receives) {
        draw_faults(to, &last->totals, &lines);
    }
    while (lines < lines_before) {
        end_line(to, &lines);
    }
    fflush(to);
    return lines;
}
