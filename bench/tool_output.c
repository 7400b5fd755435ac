/* SPDX-License-Identifier: MIT */
#include "bench/tool_output.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"

void tool_output_init(struct tool_output *output, int fd)
{
    *output = (struct tool_output){.fd = fd, .data = mem_alloc(TOOL_OUTPUT_SIZE)};
}

void tool_output_fini(struct tool_output *output)
{
    mem_free(output->data);
    output->data = NULL;
}

/* All of data[0 .. len). A descriptor that somebody made non-blocking is waited for. */
static void write_all(struct tool_output *output, const char *data, size_t len)
{
    while (len > 0 && output->error == 0) {
        ssize_t written = write(output->fd, data, len);

        if (written >= 0) {
            data += written;
            len -= (size_t)written;
        } else if (errno == EAGAIN) {
            struct pollfd wait = {.fd = output->fd, .events = POLLOUT};

            poll(&wait, 1, -1);
        } else if (errno != EINTR) {
            output->error = errno;
        }
    }
}

bool tool_output_flush(struct tool_output *output)
{
    write_all(output, output->data, output->len);
    output->len = 0;
    return output->error == 0;
}

void tool_output_bytes(struct tool_output *output, const void *data, size_t len)
{
    if (len > TOOL_OUTPUT_SIZE - output->len) {
        tool_output_flush(output);
        if (len >= TOOL_OUTPUT_SIZE) {
            write_all(output, data, len);
            return;
        }
    }
    if (len > 0) {
        memcpy(output->data + output->len, data, len);
        output->len += len;
    }
}

void tool_output_printf(struct tool_output *output, const char *format, ...)
{
    char text[256];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    tool_output_text(output, text);
}

void tool_output_fill(struct tool_output *output, char c, size_t count)
{
    while (count-- > 0) {
        tool_output_char(output, c);
    }
}
