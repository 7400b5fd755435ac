/* SPDX-License-Identifier: MIT
 *
 * plot - line and bar plots as inline SVG.
 */
#ifndef SHARDMQ_BENCH_PLOT_H
#define SHARDMQ_BENCH_PLOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define PLOT_LINES_MAX 4u

struct plot_line {
    const char *name;
    const double *values; /* as many as the plot's x */
};

struct plot {
    const char *title, *x_name, *y_name;
    const double *x;
    size_t count;
    struct plot_line lines[PLOT_LINES_MAX];
    size_t line_count;
    bool log_x, log_y; /* values at or below 0 are then left out */
    bool bars;         /* lines[0] as bars from x[i] to x[i + 1] */
    void (*format_x)(char *to, size_t room, double value);
    void (*format_y)(char *to, size_t room, double value);
};

/* Writes one <svg> element. Nothing of it is loaded from elsewhere. */
void plot_write(FILE *to, const struct plot *plot);

/* Writes text with what HTML reserves escaped. */
void plot_escape(FILE *to, const char *text);

#endif
