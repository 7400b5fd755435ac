/* SPDX-License-Identifier: MIT
 *
 * passwd - `shardmq passwd`: users of a password file are added, changed, removed, imported, listed and checked.
 */
#ifndef SHARDMQ_APP_PASSWD_H
#define SHARDMQ_APP_PASSWD_H

#include "base/option.h"

/* The options, for the manual page and the completions; their one bit is 1. */
const struct option_row *passwd_rows(size_t *count);

/* Status 0: done, or the password was right; 1: it failed, or the password was wrong; 2: the command line is wrong. */
int command_passwd(int argc, char **argv);

#endif
