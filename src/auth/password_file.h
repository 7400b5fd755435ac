/* SPDX-License-Identifier: MIT
 *
 * password_file - the lines of a password file, for those who read it and those who change it.
 */
#ifndef SHARDMQ_AUTH_PASSWORD_FILE_H
#define SHARDMQ_AUTH_PASSWORD_FILE_H

#include "base/span.h"

/* One line; `whole` is all of it with its end, `user` and `password` are parts of it. */
struct password_line {
    struct span whole, user, password; /* of a line without a user both are empty */
    unsigned number;                   /* from 1 */
    bool has_user;
    bool ended;      /* with a line feed */
    const char *why; /* what is wrong with it, a part of a sentence; NULL: nothing */
};

/* Cuts the next line off the front of `rest`; `line->number` counts on from what it was (0 before the first). False at
 * the end. What is in front of the colon is looked at, what is behind it is not. */
bool password_file_next(struct span *rest, struct password_line *line);

/* What is wrong with a user name in any source, a part of a sentence; NULL: nothing. */
const char *password_user_fault(struct span user);

/* The same for one that is to stand in a file. */
const char *password_file_user_fault(struct span user);

#endif
