/* SPDX-License-Identifier: MIT
 *
 * tool_output - what the tools print, collected and written in large pieces.
 *
 * The owner writes it out when there is nothing else to do (tool_output_flush), so a slow stream appears at once and
 * a fast one costs one system call for many messages.
 */
#ifndef SHARDMQ_BENCH_TOOL_OUTPUT_H
#define SHARDMQ_BENCH_TOOL_OUTPUT_H

#include "base/span.h"

#include <stdarg.h>
#include <stddef.h>

#define TOOL_OUTPUT_SIZE (256u * 1024u)

/* Touched by one thread only. */
struct tool_output {
    int fd;
    int error; /* errno of the write that failed; nothing is written after it. EPIPE: the reader has had enough */
    size_t len;
    char *data; /* TOOL_OUTPUT_SIZE */
};

void tool_output_init(struct tool_output *output, int fd);
/* Frees; what was not flushed is lost. */
void tool_output_fini(struct tool_output *output);

/* Writes what is there, waiting for a reader that is slow. False when it failed: output->error. */
bool tool_output_flush(struct tool_output *output);

void tool_output_bytes(struct tool_output *output, const void *data, size_t len);

static inline void tool_output_span(struct tool_output *output, struct span span)
{
    tool_output_bytes(output, span.data, span.len);
}

static inline void tool_output_char(struct tool_output *output, char c)
{
    tool_output_bytes(output, &c, 1);
}

static inline void tool_output_text(struct tool_output *output, const char *text)
{
    tool_output_bytes(output, text, strlen(text));
}

/* At most 255 characters. */
void tool_output_printf(struct tool_output *output, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* `count` times the same character. */
void tool_output_fill(struct tool_output *output, char c, size_t count);

#endif
