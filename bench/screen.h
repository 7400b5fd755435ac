/* SPDX-License-Identifier: MIT
 *
 * screen - the live view: one screen on a terminal that shows what the run does.
 */
#ifndef SHARDMQ_BENCH_SCREEN_H
#define SHARDMQ_BENCH_SCREEN_H

#include <stdbool.h>
#include <stdio.h>

#include "bench/series.h"

/* What is drawn. boot, but for `series` and `latency`, which are read when drawing. */
struct screen_view {
    const char *title, *target; /* what runs, and against which broker */
    double duration_s;          /* of the measuring; 0: until interrupted */
    bool sends, receives;       /* which rates are of interest */
    bool unicode;               /* the terminal shows block characters */
    const struct series *series;
    const struct histogram *latency; /* of the whole measuring */
};

/* Draws over the last drawing: `columns` wide, and not more than fits. The terminal's own output
 * stays above, nothing is cleared that was not drawn here. Returns how many lines were drawn;
 * `lines_before` is what the last call returned (0: the first). */
int screen_draw(FILE *to, const struct screen_view *view, int columns, int lines_before);

/* Writes the values as one line of `columns` characters (UTF-8 blocks, or ASCII) to `to`, the last
 * ones if there are more. */
void screen_sparkline(FILE *to, const double *values, size_t count, size_t columns, bool unicode);

/* True when the environment says that the terminal shows UTF-8. */
bool screen_has_unicode(void);

#endif
