/* SPDX-License-Identifier: MIT
 *
 * listen_unix - listening sockets in the file system.
 *
 * There is no SO_REUSEPORT for them: the shards have copies of one descriptor, all for the same queue of connections. A
 * shard takes one connection at a time from it and then goes behind the others who wait (listener.c), so that they come to
 * the shards in turn; which shard a session lives on does not depend on it (handoff.c). (With a request that stays, the
 * kernel would wake the same shard each time: of 60 connections, one after the other, it had 60.)
 *
 * A file stays when its broker is killed. Whether somebody listens on it is found out by connecting: refused means that
 * nobody does, and the file is removed. What is no socket is never removed.
 */
#include "shards/listen_unix.h"

#include "base/check.h"
#include "base/log.h"
#include "conf/conf.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define MODE_BITS 0777u
/* A broker that was killed listens a little longer than it lives: the kernel takes its time to end an io_uring. Then it
 * closes who connected meanwhile, which no broker does so soon. */
#define WAIT_FOR_END_MS 500
#define PROBES          4u

_Static_assert(CONF_UNIX_PATH_MAX < sizeof(((struct sockaddr_un *)0)->sun_path), "it fits");

socklen_t listen_unix_address(const struct conf_listener *conf, struct sockaddr_storage *to)
{
    struct sockaddr_un *address = (struct sockaddr_un *)to;

    memset(to, 0, sizeof(*to));
    address->sun_family = AF_UNIX;
    ASSERT(strlen(conf->address.path) <= CONF_UNIX_PATH_MAX); /* conf/conf_value.c */
    memcpy(address->sun_path, conf->address.path, strlen(conf->address.path) + 1);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(address->sun_path) + 1);
}

/* ---- what has the name already ---- */

bool listen_unix_there(const char *path)
{
    struct stat status;

    return lstat(path, &status) == 0 && S_ISSOCK(status.st_mode);
}

/* 0: nobody listens there; EADDRINUSE: somebody does; EAGAIN: somebody did until now; else why that cannot be found
 * out. */
static int probe(const struct sockaddr_storage *address, socklen_t size)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), error = 0;
    struct pollfd ends = {.fd = fd, .events = POLLIN};

    if (fd < 0)
        return errno;
    if (connect(fd, (const struct sockaddr *)address, size) == 0)
        error = poll(&ends, 1, WAIT_FOR_END_MS) > 0 ? EAGAIN : EADDRINUSE;
    else if (errno == EAGAIN) /* its queue is full */
        error = EADDRINUSE;
    else if (errno != ECONNREFUSED && errno != ENOENT)
        error = errno;
    close(fd);
    return error;
}

/* Removes a file that nobody listens on. 0 or errno. */
static int remove_stale(const char *path, const struct sockaddr_storage *address, socklen_t size)
{
    struct stat status;
    int error = EAGAIN;

    if (lstat(path, &status) != 0)
        return 0;
    if (!S_ISSOCK(status.st_mode))
        return ENOTSOCK;
    for (unsigned i = 0; i < PROBES && error == EAGAIN; i++)
        error = probe(address, size);
    if (error != 0)
        return error == EAGAIN ? EADDRINUSE : error;
    LOG_INFO("removing %s, which nobody listens on any more", path);
    return unlink(path) == 0 || errno == ENOENT ? 0 : errno;
}

/* ---- owner and mode ---- */

/* The number of a user, or of a group; -1 as a uid_t, which changes nothing, for the empty name. False when there is none. */
static bool find_owner(const char *name, uid_t *owner)
{
    const struct passwd *user = name[0] == '\0' ? NULL : getpwnam(name);

    *owner = user == NULL ? (uid_t)-1 : user->pw_uid;
    return user != NULL || name[0] == '\0';
}

static bool find_group(const char *name, gid_t *group)
{
    const struct group *found = name[0] == '\0' ? NULL : getgrnam(name);

    *group = found == NULL ? (gid_t)-1 : found->gr_gid;
    return found != NULL || name[0] == '\0';
}

int listen_unix_permit(const struct conf_listener *conf)
{
    mode_t mode = (mode_t)strtoul(conf->mode, NULL, 8) & MODE_BITS;
    const char *path = conf->address.path;
    struct stat status;
    uid_t owner;
    gid_t group;

    if (!find_owner(conf->owner, &owner) || !find_group(conf->group, &group))
        return -ESRCH;
    if (lstat(path, &status) != 0)
        return -errno;
    if (((owner != (uid_t)-1 && owner != status.st_uid) ||
         (group != (gid_t)-1 && group != status.st_gid)) &&
        lchown(path, owner, group) != 0)
        return -errno;
    if ((status.st_mode & MODE_BITS) != mode && chmod(path, mode) != 0)
        return -errno;
    return 0;
}

/* ---- binding ---- */

/* In the folder of the pid file, which is made later, it may be the first. */
static void make_folder(const char *path)
{
    char folder[CONF_URL_PATH_BYTES]; /* as large as where it is from */
    char *slash;

    snprintf(folder, sizeof(folder), "%s", path);
    slash = strrchr(folder, '/');
    if (slash == NULL || slash == folder)
        return;
    *slash = '\0';
    (void)mkdir(folder, 0755); /* binding says why it is not there */
}

int listen_unix_bind(const struct conf_listener *conf)
{
    struct sockaddr_storage address;
    socklen_t size = listen_unix_address(conf, &address);
    int error = remove_stale(conf->address.path, &address, size), fd;

    if (error != 0)
        return -error;
    make_folder(conf->address.path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    if (bind(fd, (const struct sockaddr *)&address, size) != 0) {
        error = -errno;
        close(fd);
        return error;
    }
    error = listen_unix_permit(conf);
    if (error == 0)
        return fd;
    unlink(conf->address.path);
    close(fd);
    return error;
}

const char *listen_unix_trouble(int error)
{
    switch (error) {
    case ENOTSOCK:
        return "there is something of that name that is no socket; it is not touched";
    case EADDRINUSE:
        return "another program, or another broker, listens there";
    case ESRCH:
        return "there is no user or group with the name of owner or group";
    case ENOENT:
        return "there is no such folder";
    default:
        return NULL;
    }
}

/* ---- the end ---- */

void listen_unix_remember(const struct conf_listener *conf, struct listen_file *file)
{
    struct stat status;

    *file = (struct listen_file){0};
    if (lstat(conf->address.path, &status) == 0)
        *file = (struct listen_file){status.st_dev, status.st_ino};
}

void listen_unix_remove(const char *path, const struct listen_file *file)
{
    struct stat status;

    if (file->inode == 0 || lstat(path, &status) != 0 || !S_ISSOCK(status.st_mode) ||
        status.st_dev != file->device || status.st_ino != file->inode)
        return;
    if (unlink(path) != 0)
        LOG_WARN("%s cannot be removed: %s", path, strerror(errno));
}
