/* SPDX-License-Identifier: MIT
 *
 * passwd_import - a file's form is told by its first line that is no comment:
 *
 *   auth.1.login=admin        auth { ...      a configuration
 *   "admin": "public"         admin = public  what is included in auth.password
 *   admin:$7$101$...          admin: public   a password file
 */
#include "app/passwd_import.h"

#include "auth/password_file.h"
#include "auth/password_store.h"
#include "base/file_read.h"
#include "base/mem.h"
#include "base/refuse.h"
#include "conf/conf.h"

#include <stdio.h>

enum form { CONFIGURATION, BLOCK, LINES };

static enum form detect(const char *text)
{
    if (strncmp(text, "\xEF\xBB\xBF", 3) == 0)
        text += 3;
    for (;;) {
        size_t len;

        text += strspn(text, " \t\r\n");
        len = strcspn(text, "\n");
        if (*text == '#' || strncmp(text, "//", 2) == 0) {
            text += len;
            continue;
        }
        if (strncmp(text, "auth", 4) == 0 && strchr(".= {\t\r\n", text[4]) != NULL)
            return CONFIGURATION;
        if (*text == '"' || *text == '{' || strcspn(text, "=") < strcspn(text, ":\n"))
            return BLOCK;
        return LINES;
    }
}

/* The same as a configuration, in the same lines. mem_free() it. */
static char *as_configuration(const char *text)
{
    size_t size = strlen(text) + 64;
    char *whole = mem_alloc(size);

    if (text[strspn(text, " \t\r\n")] == '{')
        snprintf(whole, size, "auth { password %s\n}", text);
    else
        snprintf(whole, size, "auth { password { %s\n} }", text);
    return whole;
}

static bool take_configured(const char *path, char *text, enum conf_form form,
                            bool (*take)(struct span user, struct span password, void *argument),
                            void *argument, char *error, size_t size)
{
    const struct conf_text file = {.path = (char *)(uintptr_t)path, .text = text};
    const struct conf_files files = {.texts = &file, .count = 1};
    struct conf *conf =
        conf_load(&(struct conf_source){.file = path, .form = form, .files = &files}, error, size);
    unsigned count;

    if (conf == NULL)
        return false;
    count = conf->user_count;
    for (unsigned i = 0; i < count; i++) {
        if (!take(span_text(conf->users[i].name), span_text(conf->users[i].password), argument))
            break;
    }
    conf_free(conf);
    return count > 0 || refuse_with(error, size, "%s: there is no user in it", path);
}

static bool take_lines(const char *path, struct span text,
                       bool (*take)(struct span user, struct span password, void *argument),
                       void *argument, char *error, size_t size)
{
    struct password_store *store = password_store_create();
    bool good = password_store_add_text(store, path, text, error, size);
    struct password_line line = {0};

    password_store_unref(store); /* it was only to find what is not good before anything is taken */
    while (good && password_file_next(&text, &line)) {
        if (line.has_user && !take(line.user, line.password, argument))
            break;
    }
    return good;
}

bool passwd_import(const char *path,
                   bool (*take)(struct span user, struct span password, void *argument),
                   void *argument, char *error, size_t size)
{
    struct file_bytes file;
    enum form form;
    char *text = NULL;
    bool good;

    if (!file_read(path, PASSWORD_FILE_BYTES_MAX, &file, error, size))
        return false;
    form = strlen(file.data) == file.len ? detect(file.data) : LINES;
    if (form == LINES) {
        good = take_lines(path, span_of(file.data, file.len), take, argument, error, size);
    } else {
        text = form == BLOCK ? as_configuration(file.data) : mem_strdup(file.data);
        good = take_configured(path, text, form == BLOCK ? CONF_FORM_HOCON : CONF_FORM_DETECT, take,
                               argument, error, size);
        mem_wipe(text, strlen(text));
    }
    mem_free(text);
    file_bytes_free(&file);
    return good;
}
