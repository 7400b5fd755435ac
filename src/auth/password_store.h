/* SPDX-License-Identifier: MIT
 *
 * password_store - the users and their passwords: one of everything that the configuration names, whole or not at all.
 *
 *   configuration --password_store_add()-------\
 *   password file --password_store_add_file()---+--> a store --> never changed again, until the last
 *                                                               reference to it is given back
 *
 * A file is read line by line: `user:password`, the password in any form of auth/password.h; blank lines and those that
 * begin with # are skipped; a carriage return at the end of a line and a byte order mark in front of the first are not
 * part of it. Whatever else there is in a line makes the file bad, and a bad file gives no store: a line that nobody
 * understood must never be a user without password.
 *
 * Invariants
 *   I1  a user name is there once, in all sources together
 *   I2  each entry has a password that is not empty
 *   I3  whoever is refused has cost the work of the costliest entry, whether the user is there or not, but for one who is
 *       there with a cheaper hash: he has cost that. See password_store_costliest()
 *
 * A file that was cut off while it was written is told by its last line: hashes have a known length, and a password in
 * clear text must end with the end of its line.
 */
#ifndef SHARDMQ_AUTH_PASSWORD_STORE_H
#define SHARDMQ_AUTH_PASSWORD_STORE_H

#include "auth/password.h"

#define PASSWORD_USER_MAX       1023u       /* bytes of a user name */
#define PASSWORD_FILE_BYTES_MAX (64u << 20) /* of a password file */
#define PASSWORD_USERS_MAX      1000000u    /* in a store */

struct password_store;

/* An empty one, with one reference. */
struct password_store *password_store_create(void);

/* One more reference, from any thread. */
struct password_store *password_store_ref(struct password_store *store);
/* Gives one back; the last one frees and overwrites everything. NULL is ignored. */
void password_store_unref(struct password_store *store);

/* Adds a user while the store is being made. `where` says in messages where that stands ("auth.password"). False, with
 * a sentence without secrets in error[0 .. size): a bad name or password, or a name that is there already. */
bool password_store_add(struct password_store *store, struct span user, struct span password,
                        const char *where, char *error, size_t size);

/* Adds all users of a password file. False, with a sentence that names the file and the line: the store is then of no
 * use and is to be given back. Blocks while the file is read. */
bool password_store_add_file(struct password_store *store, const char *path, char *error,
                             size_t size);

/* The same of a file in memory. */
bool password_store_add_text(struct password_store *store, const char *name, struct span text,
                             char *error, size_t size);

/* What should be changed, sentences, one a line: passwords in clear text with their lines, and a file that others can
 * read. "" when there is nothing. */
const char *password_store_warnings(const struct password_store *store);

/* The number of users. */
size_t password_store_count(const struct password_store *store);

/* The stored password of a user; NULL: there is none of that name. */
const struct password *password_store_find(const struct password_store *store, struct span user);
/* The one that is most work to check; NULL: the store is empty. It is to be checked, and what it says thrown away, when
 * a user is not there, or is with a password that is checked in microseconds and was wrong: then the time does not tell who
 * is there. As long as all hashes of a store are made with the same parameters that is true of all users; else of those with
 * the costliest ones and of those in clear text or $6$. */
const struct password *password_store_costliest(const struct password_store *store);

/* What SCRAM is to be answered with for that user: keys, or the password in clear text to derive them from, with salt and
 * iterations in `keys` in any case. A user who is not there, or whose entry has neither, gets salt and iterations that
 * look like those of the others, and stay the same until the first entry of the store changes; *known is false then. */
enum scram_source {
    SCRAM_NONE,  /* nobody in the store can use SCRAM */
    SCRAM_READY, /* the keys are complete */
    SCRAM_DERIVE /* scram_derive(keys, *clear), on a worker, completes them */
};
enum scram_source password_store_scram(const struct password_store *store, struct span user,
                                       struct scram_keys *keys, struct span *clear, bool *known);

/* Calls visit() for each user in the order in which they were added, until it answers false. `line` is 0 for one that
 * was not in a file. */
void password_store_visit(const struct password_store *store,
                          bool (*visit)(struct span user, const struct password *password,
                                        unsigned line, void *argument),
                          void *argument);

#endif
