/* SPDX-License-Identifier: MIT */
#include "base/file_read.h"

#include "base/mem.h"
#include "base/refuse.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Reads `wanted` bytes and looks whether that was all. NULL, or why not. */
static const char *read_whole(int descriptor, size_t wanted, struct file_bytes *to)
{
    size_t len = 0;

    to->data = mem_try_alloc(wanted + 1);
    if (to->data == NULL)
        return strerror(ENOMEM);
    to->len = wanted + 1; /* what is to be overwritten when this fails */
    while (len <= wanted) {
        ssize_t got = read(descriptor, to->data + len, wanted + 1 - len);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return strerror(errno);
        if (got == 0)
            break;
        len += (size_t)got;
    }
    if (len != wanted)
        return "this file was written to while it was read";
    to->data[len] = '\0';
    to->len = len;
    return NULL;
}

static const char *read_open(int descriptor, size_t most, struct file_bytes *to)
{
    struct stat status;

    if (fstat(descriptor, &status) != 0)
        return strerror(errno);
    if (!S_ISREG(status.st_mode))
        return "this is no regular file";
    if ((size_t)status.st_size > most)
        return "this file is too large";
    return read_whole(descriptor, (size_t)status.st_size, to);
}

bool file_read(const char *path, size_t most, struct file_bytes *to, char *error, size_t size)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    const char *why;

    *to = (struct file_bytes){0};
    if (descriptor < 0)
        return refuse_with(error, size, "%s: %s", path, strerror(errno));
    why = read_open(descriptor, most, to);
    close(descriptor);
    if (why == NULL)
        return true;
    file_bytes_free(to);
    return refuse_with(error, size, "%s: %s", path, why);
}

void file_bytes_free(struct file_bytes *bytes)
{
    if (bytes->data != NULL)
        explicit_bzero(bytes->data, bytes->len);
    mem_free(bytes->data);
    *bytes = (struct file_bytes){0};
}
