/* SPDX-License-Identifier: MIT */
#include "base/file_replace.h"

#include "base/check.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool fail(const char *path, const char *why, char *error, size_t size)
{
    snprintf(error, size, "%s cannot be written: %s", path, why);
    return false;
}

/* Where the bytes are to be in the end: a link stays one. A file that does not exist yet is its own target. */
static char *follow(const char *path)
{
    char *found = realpath(path, NULL), *copy;

    if (found == NULL)
        return errno == ENOENT ? mem_strdup(path) : NULL;
    copy = mem_strdup(found);
    mem_free_libc(found); /* realpath's */
    return copy;
}

/* ".<name>.XXXXXX" in the folder of `target`. */
static char *temporary_name(const char *target)
{
    const char *slash = strrchr(target, '/');
    size_t folder = slash == NULL ? 0 : (size_t)(slash - target) + 1, size = strlen(target) + 9;
    char *name = mem_alloc(size);

    snprintf(name, size, "%.*s.%s.XXXXXX", (int)folder, target, target + folder);
    return name;
}

bool file_write_all(int descriptor, const void *from, size_t len)
{
    const char *bytes = from;

    while (len > 0) {
        ssize_t written = write(descriptor, bytes, len);

        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        bytes += written;
        len -= (size_t)written;
    }
    return true;
}

/* Mode and owner as those of the file that is there. */
static bool take_after(int descriptor, const char *target, mode_t mode, const char **why)
{
    struct stat old;

    *why = NULL;
    if (stat(target, &old) != 0)
        return errno == ENOENT && fchmod(descriptor, mode) == 0;
    if (!S_ISREG(old.st_mode)) {
        *why = "it is not a file";
        return false;
    }
    if ((old.st_uid != geteuid() || old.st_gid != getegid()) &&
        fchown(descriptor, old.st_uid, old.st_gid) != 0) {
        *why = "it belongs to somebody else, and would not any more";
        return false;
    }
    return fchmod(descriptor, old.st_mode & 07777) == 0;
}

static bool fill(int descriptor, const char *target, const void *bytes, size_t len, mode_t mode,
                 const char **why)
{
    bool good = take_after(descriptor, target, mode, why) &&
                file_write_all(descriptor, bytes, len) && fsync(descriptor) == 0;

    if (!good && *why == NULL)
        *why = strerror(errno);
    return good;
}

bool file_replace_stage(struct file_replace *replace, const char *path, const void *bytes,
                        size_t len, mode_t mode, char *error, size_t size)
{
    const char *why = NULL;
    int descriptor;
    bool good;

    *replace = (struct file_replace){.target = follow(path)};
    if (replace->target == NULL)
        return fail(path, strerror(errno), error, size);
    replace->temporary = temporary_name(replace->target);
    descriptor = mkostemp(replace->temporary, O_CLOEXEC);
    if (descriptor < 0) {
        fail(path, strerror(errno), error, size);
        mem_free(replace->temporary);
        replace->temporary = NULL;
        file_replace_abandon(replace);
        return false;
    }
    good = fill(descriptor, replace->target, bytes, len, mode, &why);
    if (close(descriptor) != 0 && good) {
        why = strerror(errno);
        good = false;
    }
    if (good)
        return true;
    fail(path, why, error, size);
    file_replace_abandon(replace);
    return false;
}

/* The new name is on the disk when its folder is. */
static void sync_folder(const char *path)
{
    char folder[PATH_MAX];
    char *slash;
    int descriptor;

    snprintf(folder, sizeof(folder), "%s", path);
    slash = strrchr(folder, '/');
    if (slash != NULL)
        slash[slash == folder] = '\0';
    descriptor = open(slash != NULL ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0)
        return; /* it is written, if not for certain after a power cut */
    (void)fsync(descriptor);
    close(descriptor);
}

bool file_replace_commit(struct file_replace *replace, char *error, size_t size)
{
    ASSERT(replace->temporary != NULL);
    if (rename(replace->temporary, replace->target) != 0)
        return fail(replace->target,
                    errno == EBUSY ? "it is a mount point; mount its folder instead"
                                   : strerror(errno),
                    error, size);
    sync_folder(replace->target);
    mem_free(replace->temporary);
    replace->temporary = NULL;
    file_replace_abandon(replace);
    return true;
}

void file_replace_abandon(struct file_replace *replace)
{
    if (replace->temporary != NULL)
        (void)unlink(replace->temporary);
    mem_free(replace->temporary);
    mem_free(replace->target);
    *replace = (struct file_replace){0};
}
