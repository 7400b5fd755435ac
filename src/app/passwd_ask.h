/* SPDX-License-Identifier: MIT
 *
 * passwd_ask - where `shardmq passwd` has a password from: a terminal, a pipe, a file or the command line.
 */
#ifndef SHARDMQ_APP_PASSWD_ASK_H
#define SHARDMQ_APP_PASSWD_ASK_H

#include "auth/password.h"

#include <stdbool.h>

/* Overwrite it (passwd_forget) when it is not needed any more. */
struct asked_password {
    uint8_t bytes[PASSWORD_BYTES_MAX + 1];
    uint32_t len;
};

/* From a terminal without echo, and a second time when `twice`; from anything else that is standard input its first line.
 * False with a sentence in `error`: it is empty, too long, or the second one is another. */
bool passwd_ask(struct asked_password *to, bool twice, char *error, size_t size);
/* The first line of a file. */
bool passwd_read(struct asked_password *to, const char *path, char *error, size_t size);
/* A word of the command line, which is overwritten there. */
bool passwd_take(struct asked_password *to, char *word, char *error, size_t size);

void passwd_forget(struct asked_password *password);

#endif
