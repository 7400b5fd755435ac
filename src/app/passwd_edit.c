/* SPDX-License-Identifier: MIT */
#include "app/passwd_edit.h"

#include "auth/password_file.h"
#include "auth/password_store.h"
#include "base/check.h"
#include "base/file_replace.h"
#include "base/mem.h"
#include "base/refuse.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_TRIES 100 /* each time somebody else has replaced the file meanwhile */

static struct passwd_row *add_row(struct passwd_edit *edit)
{
    if (edit->count == edit->space) {
        edit->space = edit->space == 0 ? 64 : edit->space * 2;
        edit->rows = mem_realloc(edit->rows, edit->space * sizeof(edit->rows[0]));
    }
    edit->rows[edit->count] = (struct passwd_row){0};
    return &edit->rows[edit->count++];
}

static bool is_same_file(int descriptor, const char *path)
{
    struct stat opened, named;

    return fstat(descriptor, &opened) == 0 && stat(path, &named) == 0 &&
           opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

/* Locks the file that has that name now, and not one that it had when it was opened. */
static bool take_lock(struct passwd_edit *edit, char *error, size_t size)
{
    for (int i = 0; i < LOCK_TRIES; i++) {
        edit->lock = open(edit->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (edit->lock < 0)
            return refuse_with(error, size, "%s: %s%s", edit->path, strerror(errno),
                               errno == ENOENT ? "; -c makes a new file" : "");
        if (flock(edit->lock, LOCK_EX) != 0)
            break;
        if (is_same_file(edit->lock, edit->path))
            return true;
        close(edit->lock);
        edit->lock = -1;
    }
    return refuse_with(error, size, "%s: cannot be locked", edit->path);
}

static void read_rows(struct passwd_edit *edit)
{
    struct span rest = span_of(edit->file.data, edit->file.len);
    struct password_line line = {0};

    while (password_file_next(&rest, &line)) {
        struct passwd_row *row = add_row(edit);

        row->text = span_of(line.whole.data, line.whole.len - line.ended);
        row->number = line.number;
        row->why = line.why;
        if (line.has_user && line.why == NULL) {
            row->user = line.user;
            row->password = line.password;
        }
    }
}

/* Something that was named by mistake is not to be written to. */
static bool is_password_file(const struct passwd_edit *edit, char *error, size_t size)
{
    const struct passwd_row *bad = NULL;

    for (size_t i = 0; i < edit->count; i++) {
        if (edit->rows[i].user.len > 0)
            return true;
        if (bad == NULL && edit->rows[i].why != NULL)
            bad = &edit->rows[i];
    }
    return bad == NULL || refuse_with(error, size, "%s:%u: this is no password file: %s",
                                      edit->path, bad->number, bad->why);
}

bool passwd_edit_open(struct passwd_edit *edit, const char *path, bool fresh, char *error,
                      size_t size)
{
    *edit = (struct passwd_edit){.path = path, .lock = -1};
    if (fresh)
        return access(path, F_OK) != 0 ||
               refuse_with(error, size, "%s is there already; without -c it is changed", path);
    if (!take_lock(edit, error, size))
        return false;
    if (!file_read(path, PASSWORD_FILE_BYTES_MAX, &edit->file, error, size)) {
        passwd_edit_close(edit);
        return false;
    }
    read_rows(edit);
    if (is_password_file(edit, error, size))
        return true;
    passwd_edit_close(edit);
    return false;
}

static struct passwd_row *find(const struct passwd_edit *edit, struct span user)
{
    for (size_t i = 0; i < edit->count; i++) {
        if (edit->rows[i].user.len > 0 && span_equal(edit->rows[i].user, user))
            return &edit->rows[i];
    }
    return NULL;
}

const struct passwd_row *passwd_edit_find(const struct passwd_edit *edit, struct span user)
{
    return find(edit, user);
}

static void free_own(struct passwd_row *row)
{
    if (row->own != NULL)
        mem_wipe(row->own, row->own_size);
    mem_free(row->own);
}

void passwd_edit_set(struct passwd_edit *edit, struct span user, const char *stored)
{
    size_t size = user.len + 1 + strlen(stored) + 1;
    char *text = mem_alloc(size);
    struct passwd_row *row = find(edit, user);

    ASSERT(user.len > 0);
    memcpy(text, user.data, user.len);
    snprintf(text + user.len, size - user.len, ":%s", stored);
    if (row == NULL)
        row = add_row(edit);
    else
        free_own(row);
    row->own = text;
    row->own_size = size;
    row->text = span_of(text, size - 1);
    row->user = span_of(text, user.len);
    row->password = span_of(text + user.len + 1, size - user.len - 2);
}

bool passwd_edit_remove(struct passwd_edit *edit, struct span user)
{
    struct passwd_row *row;
    bool any = false;

    while ((row = find(edit, user)) != NULL) { /* somebody may be there twice */
        size_t behind = edit->count - (size_t)(row - edit->rows) - 1;

        free_own(row);
        memmove(row, row + 1, behind * sizeof(*row));
        edit->count--;
        any = true;
    }
    return any;
}

bool passwd_edit_save(struct passwd_edit *edit, char *error, size_t size)
{
    struct file_replace replace;
    size_t len = 0, used = 0;
    char *bytes;
    bool saved;

    for (size_t i = 0; i < edit->count; i++)
        len += edit->rows[i].text.len + 1u;
    bytes = mem_alloc(len + 1);
    for (size_t i = 0; i < edit->count; i++) {
        struct span text = edit->rows[i].text;

        if (text.len > 0)
            memcpy(bytes + used, text.data, text.len);
        used += text.len;
        bytes[used++] = '\n';
    }
    saved = file_replace_stage(&replace, edit->path, bytes, len, 0600, error, size);
    if (saved && !file_replace_commit(&replace, error, size)) {
        file_replace_abandon(&replace);
        saved = false;
    }
    mem_wipe(bytes, len);
    mem_free(bytes);
    return saved;
}

void passwd_edit_close(struct passwd_edit *edit)
{
    for (size_t i = 0; i < edit->count; i++)
        free_own(&edit->rows[i]);
    mem_free(edit->rows);
    file_bytes_free(&edit->file);
    if (edit->lock >= 0)
        close(edit->lock);
    *edit = (struct passwd_edit){.lock = -1};
}
