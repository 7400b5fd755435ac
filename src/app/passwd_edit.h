/* SPDX-License-Identifier: MIT
 *
 * passwd_edit - a password file that is changed: read as a whole, changed in memory, and replaced as a whole.
 *
 *   passwd_edit_open    under a lock, so that two who change it do not undo each other
 *   passwd_edit_set     any number of them; _remove
 *   passwd_edit_save    the file, mode 0600 when it is new
 *   passwd_edit_close
 *
 * Comments and blank lines stay where they are. So do lines that are not good: they are told to whoever asks, for the broker
 * will not take the file.
 */
#ifndef SHARDMQ_APP_PASSWD_EDIT_H
#define SHARDMQ_APP_PASSWD_EDIT_H

#include "base/file_read.h"
#include "base/span.h"

/* Owner: whoever opened it. */
struct passwd_edit {
    const char *path;
    struct file_bytes file; /* as it was */
    struct passwd_row {
        struct span text; /* without the end of the line; of the file, or `own` */
        char *own;
        size_t own_size;
        struct span user, password; /* of a line that is no user's both are empty */
        unsigned number;            /* of the line in the file; 0: new */
        const char *why;            /* what is wrong with it, or NULL */
    } * rows;
    size_t count, space;
    int lock; /* a descriptor, or -1 */
};

/* Reads `path`, which must stay valid; `fresh`: it must not be there yet. False, with a sentence in `error`: it is no
 * password file, cannot be read, or is there although it should not be. */
bool passwd_edit_open(struct passwd_edit *edit, const char *path, bool fresh, char *error,
                      size_t size);

/* The row of that user, or NULL. */
const struct passwd_row *passwd_edit_find(const struct passwd_edit *edit, struct span user);

/* Gives the user that stored password (auth/password.h), in the place of the former one or at the end. */
void passwd_edit_set(struct passwd_edit *edit, struct span user, const char *stored);

/* False when there is no such user. */
bool passwd_edit_remove(struct passwd_edit *edit, struct span user);

bool passwd_edit_save(struct passwd_edit *edit, char *error, size_t size);

/* Overwrites and frees everything. */
void passwd_edit_close(struct passwd_edit *edit);

#endif
