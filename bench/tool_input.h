/* SPDX-License-Identifier: MIT
 *
 * tool_input - where payloads come from: a file or standard input as a whole, or line by line.
 *
 * Lines are read in large pieces and handed out where they lie. A line may be as long as an MQTT message.
 */
#ifndef SHARDMQ_BENCH_TOOL_INPUT_H
#define SHARDMQ_BENCH_TOOL_INPUT_H

#include "base/span.h"

#include <stddef.h>

#define TOOL_PAYLOAD_MAX 268435455u /* what the Remaining Length can say (2.1.4) */

/* Reads a whole file ("-": standard input) into memory, to be freed with mem_free(). NULL and a sentence in `error`;
 * also when it is larger than a message can be. */
char *tool_read_file(const char *name, size_t *len, char *error, size_t error_size);

/* Lines of a descriptor. Touched by one thread only. */
struct tool_lines {
    int fd;
    bool ended;    /* the end of the input was read */
    bool too_long; /* a line is longer than a message can be */
    int error;     /* errno of a read that failed */
    char *data;
    size_t size, from, looked, len; /* data[from .. len) is there; no end of line before `looked` */
};

void tool_lines_init(struct tool_lines *lines, int fd);
void tool_lines_fini(struct tool_lines *lines);

/* The next line without its end, valid until the next call of tool_lines_read(); false when more must be read. The
 * last line needs no end. */
bool tool_lines_next(struct tool_lines *lines, struct span *line);
/* Puts the line that tool_lines_next() gave back: it comes again. */
void tool_lines_unread(struct tool_lines *lines, struct span line);
/* Reads once; waits when nothing is there. False at the end or after an error. */
bool tool_lines_read(struct tool_lines *lines);
/* True when there is no further line: all was handed out and the input has ended. */
static inline bool tool_lines_done(const struct tool_lines *lines)
{
    return lines->ended && lines->from == lines->len;
}

#endif
