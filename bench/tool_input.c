/* SPDX-License-Identifier: MIT */
#include "bench/tool_input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

#define PIECE (256u * 1024u) /* read at a time */

/* Doubles the buffer when less than a piece is free behind data[0 .. len). */
static void make_room(char **data, size_t *size, size_t len)
{
    if (*size - len < PIECE) {
        *size = *size == 0 ? 2 * PIECE : 2 * *size;
        *data = mem_realloc(*data, *size);
    }
}

static char *read_all(int fd, const char *name, size_t *len, char *error, size_t error_size)
{
    char *data = NULL;
    size_t size = 0;
    ssize_t got;

    *len = 0;
    do {
        make_room(&data, &size, *len);
        got = read(fd, data + *len, size - *len);
        if (got > 0) {
            *len += (size_t)got;
        }
    } while ((got > 0 && *len <= TOOL_PAYLOAD_MAX) || (got < 0 && errno == EINTR));
    if (got < 0) {
        snprintf(error, error_size, "cannot read %s: %s", name, strerror(errno));
    } else if (*len > TOOL_PAYLOAD_MAX) {
        snprintf(error, error_size, "%s is larger than the 268435455 bytes of an MQTT message",
                 name);
    } else {
        return data;
    }
    mem_free(data);
    return NULL;
}

char *tool_read_file(const char *name, size_t *len, char *error, size_t error_size)
{
    bool is_stdin = strcmp(name, "-") == 0;
    int fd = is_stdin ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC);
    char *data;

    if (fd < 0) {
        snprintf(error, error_size, "cannot open %s: %s", name, strerror(errno));
        return NULL;
    }
    data = read_all(fd, is_stdin ? "standard input" : name, len, error, error_size);
    if (!is_stdin) {
        close(fd);
    }
    return data;
}

void tool_lines_init(struct tool_lines *lines, int fd)
{
    *lines = (struct tool_lines){.fd = fd};
}

void tool_lines_fini(struct tool_lines *lines)
{
    mem_free(lines->data);
    lines->data = NULL;
}

bool tool_lines_next(struct tool_lines *lines, struct span *line)
{
    const char *end = NULL;

    if (lines->looked < lines->len) {
        end = memchr(lines->data + lines->looked, '\n', lines->len - lines->looked);
    }
    if (end != NULL) {
        *line = span_of(lines->data + lines->from, (size_t)(end - lines->data) - lines->from);
        lines->from = lines->looked = (size_t)(end - lines->data) + 1;
        return true;
    }
    lines->looked = lines->len;
    if (!lines->ended || lines->from == lines->len) {
        return false;
    }
    *line = span_of(lines->data + lines->from, lines->len - lines->from);
    lines->from = lines->len;
    return true;
}

void tool_lines_unread(struct tool_lines *lines, struct span line)
{
    lines->from = lines->looked = (size_t)((const char *)line.data - lines->data);
}

bool tool_lines_read(struct tool_lines *lines)
{
    ssize_t got;

    if (lines->ended) {
        return false;
    }
    if (lines->from > 0) {
        memmove(lines->data, lines->data + lines->from, lines->len - lines->from);
        lines->len -= lines->from;
        lines->looked -= lines->from;
        lines->from = 0;
    }
    if (lines->len > TOOL_PAYLOAD_MAX) {
        lines->too_long = lines->ended = true;
        lines->len = lines->looked = 0;
        return false;
    }
    make_room(&lines->data, &lines->size, lines->len);
    do {
        got = read(lines->fd, lines->data + lines->len, lines->size - lines->len);
    } while (got < 0 && errno == EINTR);
    if (got > 0) {
        lines->len += (size_t)got;
        return true;
    }
    lines->error = got < 0 ? errno : 0;
    lines->ended = true;
    return false;
}
