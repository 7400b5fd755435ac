/* SPDX-License-Identifier: MIT
 *
 * file_replace - a file's contents are replaced as a whole or not at all, whatever fails or dies meanwhile.
 *
 *   file_replace_stage    a temporary file beside it is written and synced: everything that can fail, but one
 *   file_replace_commit   it takes the other's name; the folder is synced
 *   file_replace_abandon  it is removed
 *
 * Between the two, the caller can do what must only be done if the file can be written. All of it blocks for as long
 * as the disk takes.
 */
#ifndef SHARDMQ_BASE_FILE_REPLACE_H
#define SHARDMQ_BASE_FILE_REPLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Owner: whoever began it. Zeroed: nothing is staged. */
struct file_replace {
    char *target; /* what a symbolic link led to */
    char *temporary;
};

/* Writes the bytes beside `path`. The new file has the mode and the owner of the one that it will replace, and `mode`
 * when there is none. False, with a sentence in `error`, when it cannot be written; there is then nothing to abandon. */
bool file_replace_stage(struct file_replace *replace, const char *path, const void *bytes,
                        size_t len, mode_t mode, char *error, size_t size);
/* Makes it the file. False, with a sentence in `error`: the old one is still there; abandon the new one. */
bool file_replace_commit(struct file_replace *replace, char *error, size_t size);
/* Removes what was staged and not committed, if anything. */
void file_replace_abandon(struct file_replace *replace);

/* Writes all of the bytes; false, with errno, when that fails. */
bool file_write_all(int descriptor, const void *bytes, size_t len);

#endif
