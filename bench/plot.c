/* SPDX-License-Identifier: MIT
 *
 * plot - axes with round numbers, lines and bars.
 */
#include "bench/plot.h"

#include <math.h>
#include <stdint.h>

#include "base/check.h"

#define WIDTH      860.0
#define HEIGHT     300.0
#define LEFT       74.0
#define RIGHT      28.0
#define TOP        34.0
#define BOTTOM     44.0
#define TICKS      6
#define POINTS_MAX 1200u /* more than pixels: neighbours become one */

static const char *const colours[PLOT_LINES_MAX] = {"#1f6feb", "#d1570c", "#1a7f37", "#8250df"};

/* The visible range of one axis. */
struct axis {
    double low, high;
    bool log;
};

static double share(const struct axis *axis, double value)
{
    return axis->log ? (log10(value) - log10(axis->low)) / (log10(axis->high) - log10(axis->low))
                     : (value - axis->low) / (axis->high - axis->low);
}

static double place_x(const struct axis *axis, double value)
{
    return LEFT + share(axis, value) * (WIDTH - LEFT - RIGHT);
}

static double place_y(const struct axis *axis, double value)
{
    return HEIGHT - BOTTOM - share(axis, value) * (HEIGHT - TOP - BOTTOM);
}

void plot_escape(FILE *to, const char *text)
{
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '<':
            fputs("&lt;", to);
            break;
        case '>':
            fputs("&gt;", to);
            break;
        case '&':
            fputs("&amp;", to);
            break;
        case '"':
            fputs("&quot;", to);
            break;
        default:
            if ((unsigned char)*text >= ' ') {
                fputc(*text, to);
            }
        }
    }
}

/* The smallest of 1, 2 and 5 times a power of ten that is not below `value`. */
static double round_up(double value)
{
    double power = pow(10, floor(log10(value)));
    double digit = value / power;

    return power * (digit <= 1.000001 ? 1 : digit <= 2.000001 ? 2 : digit <= 5.000001 ? 5 : 10);
}

/* The largest of them that is not above it. */
static double round_down(double value)
{
    double power = pow(10, floor(log10(value)));
    double digit = value / power;

    return power * (digit < 1.999999 ? 1 : digit < 4.999999 ? 2 : digit < 9.999999 ? 5 : 10);
}

static struct axis find_axis(const double *values, size_t count, bool log, struct axis axis)
{
    for (size_t i = 0; i < count; i++) {
        if (log && values[i] <= 0) {
            continue;
        }
        axis.low = values[i] < axis.low ? values[i] : axis.low;
        axis.high = values[i] > axis.high ? values[i] : axis.high;
    }
    axis.log = log;
    return axis;
}

/* Widens an axis to round numbers, a linear one to 0. */
static void round_axis(struct axis *axis)
{
    if (axis->log) {
        if (axis->low > axis->high) { /* not one value */
            axis->low = axis->high = 1;
        }
        axis->low = round_down(axis->low);
        axis->high = round_up(axis->high * 1.000001);
    } else {
        double step;

        axis->high = axis->high > 0 ? axis->high : 1;
        step = round_up(axis->high / TICKS);
        axis->low = 0;
        axis->high = ceil(axis->high / step - 1e-6) * step;
    }
}

static void write_tick(FILE *to, const struct plot *plot, const struct axis *axis, double value,
                       bool is_x)
{
    char text[32];

    (is_x ? plot->format_x : plot->format_y)(text, sizeof(text), value);
    if (is_x) {
        double x = place_x(axis, value);

        fprintf(to, "<path d=\"M%.1f %.1fv5\"/><text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">",
                x, HEIGHT - BOTTOM, x, HEIGHT - BOTTOM + 18);
    } else {
        double y = place_y(axis, value);

        fprintf(to,
                "<path class=\"grid\" d=\"M%.1f %.1fH%.1f\"/>"
                "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">",
                LEFT, y, WIDTH - RIGHT, LEFT - 7, y + 4);
    }
    plot_escape(to, text);
    fputs("</text>\n", to);
}

static void write_axis(FILE *to, const struct plot *plot, const struct axis *axis, bool is_x)
{
    if (axis->log) {
        /* 1, 2 and 5 of each decade, or 1 alone when there are many */
        bool few = axis->high / axis->low < 3000;

        for (double value = few ? axis->low : pow(10, ceil(log10(axis->low) - 1e-6));
             value <= axis->high * 1.000001; value = few ? round_up(value * 1.01) : value * 10) {
            write_tick(to, plot, axis, value, is_x);
        }
        return;
    }
    double step = round_up((axis->high - axis->low) / TICKS * 0.999);

    for (double value = axis->low; value <= axis->high + step / 1000; value += step) {
        write_tick(to, plot, axis, value, is_x);
    }
}

static void write_line(FILE *to, const struct plot *plot, size_t line, const struct axis *x,
                       const struct axis *y)
{
    const double *values = plot->lines[line].values;
    size_t stride = plot->count / POINTS_MAX + 1;
    bool drawing = false;

    fprintf(to, "<path class=\"line\" style=\"stroke:%s\" d=\"", colours[line]);
    for (size_t i = 0; i < plot->count; i += stride) {
        double value = values[i];

        for (size_t j = i + 1; j < i + stride && j < plot->count; j++) {
            value = values[j] > value ? values[j] : value; /* a peak is never hidden */
        }
        if (y->log && value <= 0) {
            drawing = false;
            continue;
        }
        fprintf(to, "%c%.1f %.1f", drawing ? 'L' : 'M', place_x(x, plot->x[i]), place_y(y, value));
        drawing = true;
    }
    fputs("\"/>\n", to);
}

static void write_bars(FILE *to, const struct plot *plot, const struct axis *x,
                       const struct axis *y)
{
    fprintf(to, "<path class=\"bars\" style=\"fill:%s\" d=\"", colours[0]);
    for (size_t i = 0; i + 1 < plot->count; i++) {
        double value = plot->lines[0].values[i];

        if (value > (y->log ? y->low : 0)) {
            double left = place_x(x, plot->x[i]), right = place_x(x, plot->x[i + 1]);

            fprintf(to, "M%.1f %.1fH%.1fV%.1fH%.1fz", left, place_y(y, value), right,
                    HEIGHT - BOTTOM, left);
        }
    }
    fputs("\"/>\n", to);
}

static void write_legend(FILE *to, const struct plot *plot)
{
    double at = LEFT;

    fprintf(to, "<text class=\"title\" x=\"%.0f\" y=\"18\">", LEFT);
    plot_escape(to, plot->title);
    fputs("<tspan class=\"unit\">, ", to);
    plot_escape(to, plot->y_name);
    fputs("</tspan></text>\n", to);
    for (size_t i = 0; i < plot->line_count && !plot->bars; i++) {
        at = WIDTH - RIGHT - 110 * (double)(plot->line_count - i);
        fprintf(to,
                "<path style=\"stroke:%s;stroke-width:3\" d=\"M%.0f 14h18\"/><text x=\"%.0f\" "
                "y=\"18\">",
                colours[i], at, at + 24);
        plot_escape(to, plot->lines[i].name);
        fputs("</text>\n", to);
    }
    fprintf(to, "<text x=\"%.0f\" y=\"%.0f\" text-anchor=\"end\">", WIDTH - RIGHT, HEIGHT - 6);
    plot_escape(to, plot->x_name);
    fputs("</text>\n", to);
}

void plot_write(FILE *to, const struct plot *plot)
{
    struct axis x = {.low = INFINITY, .high = -INFINITY}, y = x;

    ASSERT(plot->line_count > 0 && plot->line_count <= PLOT_LINES_MAX);
    x = find_axis(plot->x, plot->count, plot->log_x, x);
    for (size_t i = 0; i < plot->line_count; i++) {
        y = find_axis(plot->lines[i].values, plot->count, plot->log_y, y);
    }
    round_axis(&y);
    if (plot->log_x) {
        round_axis(&x);
    } else {
        x.low = 0;
        x.high = x.high > 0 ? x.high : 1;
    }
    fprintf(to, "<svg viewBox=\"0 0 %.0f %.0f\" role=\"img\">\n", WIDTH, HEIGHT);
    write_axis(to, plot, &y, false);
    write_axis(to, plot, &x, true);
    fprintf(to, "<path d=\"M%.1f %.1fH%.1f\"/>\n", LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT);
    if (plot->bars) {
        write_bars(to, plot, &x, &y);
    } else {
        for (size_t i = 0; i < plot->line_count; i++) {
            write_line(to, plot, i, &x, &y);
        }
    }
    write_legend(to, plot);
    fputs("</svg>\n", to);
}
