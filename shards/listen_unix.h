/* SPDX-License-Identifier: MIT
 *
 * listen_unix - listening sockets in the file system.
 */
#ifndef SHARDMQ_SHARDS_LISTEN_UNIX_H
#define SHARDMQ_SHARDS_LISTEN_UNIX_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

struct conf_listener;

/* Which file is ours: its name may be somebody else's by now. */
struct listen_file {
    dev_t device;
    ino_t inode; /* 0: none */
};

/* Writes the address of the listener's path; its size. */
socklen_t listen_unix_address(const struct conf_listener *conf, struct sockaddr_storage *to);

/* A socket that is bound to the listener's path, which it makes with its owner and mode; it does not listen yet, so nobody
 * can connect before those are right. A file that a broker left which is not there any more is removed. -errno on failure:
 * ENOTSOCK: what has the name is no socket; EADDRINUSE: somebody listens there; ESRCH: there is no such owner or group. */
int listen_unix_bind(const struct conf_listener *conf);
/* Gives the file the owner and mode that the listener wants, where it has others. 0 or -errno. */
int listen_unix_permit(const struct conf_listener *conf);
/* What that error means, after "cannot listen on <path>: "; NULL: what the system calls it. */
const char *listen_unix_trouble(int error);

/* Remembers the file of a socket that is bound, and removes it, unless another one has its name by now. */
void listen_unix_remember(const struct conf_listener *conf, struct listen_file *file);
void listen_unix_remove(const char *path, const struct listen_file *file);
/* Whether there is a socket of that name. */
bool listen_unix_there(const char *path);

#endif
