/* SPDX-License-Identifier: MIT
 *
 * passwd_import - the users of a file of another form.
 */
#ifndef SHARDMQ_APP_PASSWD_IMPORT_H
#define SHARDMQ_APP_PASSWD_IMPORT_H

#include "base/span.h"

/* Calls take() for each user of the file, with the password as it stands there, in clear text or hashed, until it answers
 * false. The file is one of mosquitto_passwd or of ours, a configuration with auth.password or auth.<n>.login, or what
 * such a one includes in auth.password. False, with sentences in `error`, when it is none of them, has a line that is
 * not good, or no user. */
bool passwd_import(const char *path,
                   bool (*take)(struct span user, struct span password, void *argument),
                   void *argument, char *error, size_t size);

#endif
