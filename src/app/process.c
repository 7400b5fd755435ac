/* SPDX-License-Identifier: MIT */
#include "app/process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t read_pid(int descriptor)
{
    char text[32] = "";
    ssize_t len = pread(descriptor, text, sizeof(text) - 1, 0);

    return len <= 0 ? 0 : (pid_t)strtol(text, NULL, 10);
}

pid_t pid_file_owner(const char *path)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    pid_t owner = 0;

    if (descriptor < 0)
        return 0;
    if (flock(descriptor, LOCK_SH | LOCK_NB) != 0)
        owner = read_pid(descriptor);
    close(descriptor);
    return owner > 0 ? owner : 0;
}

/* Makes the folder of `path` when it is not there, for `user`, who will put the control socket into
 * it. False when it is somebody else's, who could put links into it. */
static bool own_folder(const char *path, uid_t user)
{
    char folder[4096];
    struct stat status;
    char *slash;

    snprintf(folder, sizeof(folder), "%s", path);
    slash = strrchr(folder, '/');
    if (slash == NULL || slash == folder)
        return true;
    *slash = '\0';
    if (mkdir(folder, 0755) == 0) {
        if (user != geteuid())
            (void)!chown(folder, user, (gid_t)-1);
        return true;
    }
    if (stat(folder, &status) != 0)
        return true; /* opening the file says why */
    return status.st_uid == geteuid() || status.st_uid == 0 || status.st_uid == user ||
           (status.st_mode & S_ISVTX) != 0;
}

/* Another broker may have removed the file, in the end of its life, after we opened it. */
static bool still_there(const char *path, int descriptor)
{
    struct stat opened, named;

    return fstat(descriptor, &opened) == 0 && stat(path, &named) == 0 &&
           opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

/* Opens and locks; -1 with a sentence in `error`. */
static int open_locked(const char *path, char *error, size_t size)
{
    for (;;) {
        int descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);

        if (descriptor < 0) {
            snprintf(error, size,
                     "the pid file %s cannot be written: %s; name another with system.pid_file",
                     path, strerror(errno));
            return -1;
        }
        if (flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
            snprintf(error, size,
                     "a broker runs already, process %d holds %s; stop it, or give this one a "
                     "system.pid_file of its own",
                     (int)read_pid(descriptor), path);
            close(descriptor);
            return -1;
        }
        if (still_there(path, descriptor))
            return descriptor;
        close(descriptor);
    }
}

int pid_file_take(const char *path, uid_t user, char *error, size_t size)
{
    char text[32];
    int descriptor, len;

    if (!own_folder(path, user)) {
        snprintf(error, size,
                 "the folder of the pid file %s belongs to another user; name another with "
                 "system.pid_file",
                 path);
        return -1;
    }
    descriptor = open_locked(path, error, size);
    if (descriptor < 0)
        return -1;
    len = snprintf(text, sizeof(text), "%d\n", (int)getpid());
    if (ftruncate(descriptor, 0) != 0 || pwrite(descriptor, text, (size_t)len, 0) != len) {
        snprintf(error, size, "the pid file %s cannot be written: %s", path, strerror(errno));
        close(descriptor);
        return -1;
    }
    (void)!fchmod(descriptor,
                  0644); /* `stop` by another user should find it in spite of our umask */
    return descriptor;
}

void pid_file_release(const char *path, int descriptor)
{
    (void)unlink(path);
    close(descriptor);
}

void pid_file_give(const char *path, int descriptor, uid_t user, gid_t group)
{
    char folder[4096];
    char *slash;

    (void)!fchown(descriptor, user, group);
    snprintf(folder, sizeof(folder), "%s", path);
    slash = strrchr(folder, '/');
    /* only a folder of our own name: never /run or /tmp */
    if (slash != NULL) {
        *slash = '\0';
        slash = strrchr(folder, '/');
        if (slash != NULL && strcmp(slash, "/shardmq") == 0)
            (void)!chown(folder, user, group);
    }
}

bool find_user(const char *name, uid_t *user, gid_t *group)
{
    struct passwd *entry = getpwnam(name);

    if (entry == NULL)
        return false;
    *user = entry->pw_uid;
    *group = entry->pw_gid;
    return true;
}

bool final_user(const char *name, uid_t *user, char *error, size_t size)
{
    gid_t group;

    *user = geteuid();
    if (name[0] == '\0')
        return true;
    if (!find_user(name, user, &group)) {
        snprintf(error, size, "system.user: there is no user '%s'", name);
        return false;
    }
    if (geteuid() != 0 && geteuid() != *user) {
        snprintf(error, size, "system.user: only root can become '%s'", name);
        return false;
    }
    return true;
}

bool become_user(const char *name, char *error, size_t size)
{
    uid_t user;
    gid_t group;

    if (!find_user(name, &user, &group)) {
        snprintf(error, size, "system.user: there is no user '%s'", name);
        return false;
    }
    if (initgroups(name, group) != 0 || setgid(group) != 0 || setuid(user) != 0 ||
        (user != 0 && setuid(0) == 0)) {
        snprintf(error, size, "system.user: cannot become '%s': %s", name, strerror(errno));
        return false;
    }
    return true;
}

void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

bool daemonize(int *ready_out)
{
    int report[2];
    pid_t child;

    if (pipe2(report, O_CLOEXEC) != 0)
        return false;
    child = fork();
    if (child < 0)
        return false;
    if (child > 0) {
        char byte;
        int status = 0;

        close(report[1]);
        if (read(report[0], &byte, 1) == 1)
            _exit(0);
        /* it ended without a report: with its own words on this terminal */
        if (waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) != 0)
            _exit(WEXITSTATUS(status));
        _exit(1);
    }
    close(report[0]);
    setsid();
    *ready_out = report[1];
    return true;
}

void daemon_ready(int ready)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    fflush(stdout);
    if (null >= 0) {
        dup2(null, STDIN_FILENO);
        dup2(null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
        close(null);
    }
    (void)!write(ready, "", 1);
    close(ready);
}
