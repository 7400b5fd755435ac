/* SPDX-License-Identifier: MIT
 *
 * process - what a broker is to the system: pid file, background, privileges, limits.
 */
#ifndef SHARDMQ_APP_PROCESS_H
#define SHARDMQ_APP_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* The pid file is locked by the broker that wrote it, so a stale one is told from a live one whatever process has
 * the number now. */

/* The process that holds the pid file, 0 when there is none. */
pid_t pid_file_owner(const char *path);
/* Creates (with its folder), locks and writes it. `user` is who the process will become, or is: the folder may be
 * that user's, root's, or open to all as /tmp is. The descriptor to be kept open, or -1 with a sentence in `error`. */
int pid_file_take(const char *path, uid_t user, char *error, size_t size);
/* Removes the file and lets the lock go. */
void pid_file_release(const char *path, int descriptor);
/* Makes the file and its folder belong to another user, who will have to remove it. */
void pid_file_give(const char *path, int descriptor, uid_t user, gid_t group);

/* Looks a user up. False when there is none. */
bool find_user(const char *name, uid_t *user, gid_t *group);
/* Who the process will be with that system.user, which may be empty. False, with a sentence, when it cannot become
 * that user. */
bool final_user(const char *name, uid_t *user, char *error, size_t size);
/* Becomes that user for good. False with a sentence in `error`. */
bool become_user(const char *name, char *error, size_t size);

/* Raises the limit of open descriptors as far as it goes. */
void raise_descriptor_limit(void);

/* Forks. In the child: a new session, and *ready_out is where to report with daemon_ready(); returns true. The
 * parent waits for the report and exits with its status. */
bool daemonize(int *ready_out);
/* The child works: lets the parent go, and the terminal. */
void daemon_ready(int ready);

#endif
