/* SPDX-License-Identifier: MIT */
#ifndef SHARDMQ_AUTH_PASSWORD_STORE_PRIV_H
#define SHARDMQ_AUTH_PASSWORD_STORE_PRIV_H

#include "auth/password_store.h"

/* Adds a user of line `line` of `where`; 0: it has no lines. */
bool password_store_insert(struct password_store *store, struct span user, struct span text,
                           const char *where, unsigned line, char *error, size_t size);

void password_store_warn(struct password_store *store, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
