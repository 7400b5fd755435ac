/* SPDX-License-Identifier: MIT */
#include "auth/password_file.h"

#include "auth/password_store_priv.h"
#include "base/file_read.h"
#include "base/refuse.h"

#include <sys/stat.h>
#include <unistd.h>

#define BYTE_ORDER_MARK "\xEF\xBB\xBF"

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

const char *password_file_user_fault(struct span user)
{
    if (user.len > 0 && user.data[0] == '#')
        return "a user name in a file cannot begin with #: that is a comment";
    if (user.len > 0 && (user.data[0] == '"' || user.data[0] == '{' || user.data[0] == '}'))
        return "this is not user:password; a file of NanoMQ's form can be included in "
               "auth.password, "
               "or imported with `shardmq passwd`";
    if (user.len > 0 && (is_blank(user.data[0]) || is_blank(user.data[user.len - 1])))
        return "the user name begins or ends with a blank";
    if (span_starts_with(user, BYTE_ORDER_MARK))
        return "there is a byte order mark in the middle of the file";
    if (user.len > 0 && memchr(user.data, ':', user.len) != NULL)
        return "a user name in a file cannot have a colon in it";
    return password_user_fault(user);
}

static bool only_blanks(struct span text)
{
    for (uint32_t i = 0; i < text.len; i++) {
        if (!is_blank(text.data[i]))
            return false;
    }
    return true;
}

/* `text` is the line without its end, and is not blank. */
static void split(struct password_line *line, struct span text)
{
    const uint8_t *colon = memchr(text.data, ':', text.len);

    line->has_user = true;
    if (memchr(text.data, '\0', text.len) != NULL) {
        line->why = "there is a zero byte in the line";
        return;
    }
    if (colon == NULL) {
        line->why = "there is no colon in the line: user:password was expected";
        return;
    }
    line->user = span_of(text.data, (size_t)(colon - text.data));
    line->password = span_of(colon + 1, text.len - line->user.len - 1u);
    while (line->password.len > 0 && is_blank(line->password.data[0]))
        line->password = span_of(line->password.data + 1, line->password.len - 1u);
    line->why = password_file_user_fault(line->user);
    if (line->why == NULL && line->password.len > 0 &&
        is_blank(line->password.data[line->password.len - 1]))
        line->why = "the password ends with a blank";
}

bool password_file_next(struct span *rest, struct password_line *line)
{
    const uint8_t *end = rest->len > 0 ? memchr(rest->data, '\n', rest->len) : NULL;
    size_t len = end != NULL ? (size_t)(end - rest->data) + 1 : rest->len;
    struct span text;

    if (rest->len == 0)
        return false;
    *line = (struct password_line){
        .whole = span_of(rest->data, len), .number = line->number + 1, .ended = end != NULL};
    text = span_of(rest->data, len - line->ended);
    if (line->number == 1 && span_starts_with(text, BYTE_ORDER_MARK))
        text = span_of(text.data + 3, text.len - 3u);
    if (text.len > 0 && text.data[text.len - 1] == '\r')
        text.len--;
    *rest = span_of(rest->data + len, rest->len - len);
    if (!only_blanks(text) && text.data[0] != '#')
        split(line, text);
    return true;
}

bool password_store_add_text(struct password_store *store, const char *name, struct span text,
                             char *error, size_t size)
{
    struct password_line line = {0};
    size_t users = 0;

    while (password_file_next(&text, &line)) {
        if (!line.has_user)
            continue;
        if (line.why == NULL && !line.ended && line.password.len > 0 &&
            !password_is_hash(line.password))
            line.why = "the file ends inside of a password in clear text, as one does that was not "
                       "written to its end; a line end must follow";
        if (line.why != NULL)
            return refuse_with(error, size, "%s:%u: %s", name, line.number, line.why);
        if (!password_store_insert(store, line.user, line.password, name, line.number, error, size))
            return false;
        users++;
    }
    if (users == 0)
        return refuse_with(error, size, "%s: there is no user in it", name);
    return true;
}

/* Who else can read or change it. */
static void warn_of_access(struct password_store *store, const char *path)
{
    struct stat status;

    if (stat(path, &status) != 0)
        return; /* it is gone by now */
    if ((status.st_mode & 027) != 0)
        password_store_warn(store,
                            "%s: its mode %04o lets others read or change passwords; chmod 600 or "
                            "640 does not",
                            path, (unsigned)status.st_mode & 07777u);
    if (status.st_uid != 0 && status.st_uid != geteuid())
        password_store_warn(store, "%s: it belongs to a user who is neither root nor the broker's",
                            path);
}

bool password_store_add_file(struct password_store *store, const char *path, char *error,
                             size_t size)
{
    struct file_bytes file;
    bool good;

    if (!file_read(path, PASSWORD_FILE_BYTES_MAX, &file, error, size))
        return false;
    good = password_store_add_text(store, path, span_of(file.data, file.len), error, size);
    file_bytes_free(&file);
    if (good)
        warn_of_access(store, path);
    return good;
}
