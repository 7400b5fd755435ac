/* SPDX-License-Identifier: MIT
 *
 * file_read - a whole file in memory, or a sentence. For files that may hold a secret: nothing of them stays behind.
 *
 * A named pipe or a device is refused, which would never end. All of it blocks for as long as the disk takes.
 */
#ifndef SHARDMQ_BASE_FILE_READ_H
#define SHARDMQ_BASE_FILE_READ_H

#include <stdbool.h>
#include <stddef.h>

/* Owner: whoever reads it (file_bytes_free). Zeroed: nothing. */
struct file_bytes {
    char *data; /* `len` bytes and a terminator that is not counted; may have others within */
    size_t len;
};

/* Reads a regular file of at most `most` bytes. False, with a sentence that begins with the path in `error`, when there
 * is none, it cannot be read, is larger, or there is no memory; nothing is then to be freed. */
bool file_read(const char *path, size_t most, struct file_bytes *to, char *error, size_t size);

/* Overwrites the bytes and frees them. */
void file_bytes_free(struct file_bytes *bytes);

#endif
