/* SPDX-License-Identifier: MIT
 *
 * fuzz_conf - both forms of configuration files, and changes of them. Input: an option's path, a line feed, a value, a
 * line feed, the text of the file. The text of a file that it includes as "other" is what follows a byte 0x01.
 */
#include "fuzz.h"

#include "base/mem.h"
#include "conf/conf_edit.h"
#include "conf/conf_priv.h"

#include <string.h>

static char errors[4096];

static struct conf *load(const struct conf_files *files)
{
    struct conf_source source = {.file = "main", .files = files};
    struct conf *conf = conf_load(&source, errors, sizeof(errors));

    ASSERT(strlen(errors) < sizeof(errors) && (conf != NULL) == (errors[0] == '\0'));
    return conf;
}

/* What it means can be printed; the print is a file again, but for the secrets, and means the same. */
static void print(const struct conf *conf)
{
    char *text = NULL, *stars;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);
    struct conf_text one = {(char *)(uintptr_t) "main", NULL};
    struct conf_files files = {&one, 1};
    struct conf *again;

    ASSERT(to != NULL);
    conf_dump(conf, to);
    fclose(to);
    stars = strstr(text, "\n    password = \"***\"");
    ASSERT(stars != NULL);
    stars[5] = '#';
    if (strcmp(conf->http_server_password, "public") == 0 &&
        strstr(text, "_password = \"***\"") == NULL) {
        one.text = text;
        again = load(&files);
        ASSERT(again != NULL && conf_diff_reload(conf, again, NULL, NULL, NULL) == 0);
        conf_free(again);
    }
    mem_free_libc(text);
}

static void change(const struct conf_files *files, const char *path, const char *value,
                   const struct conf *before)
{
    struct conf_edit *edit = conf_edit_of(files, CONF_FORM_DETECT);
    char found[CONF_VALUE_BYTES];

    if (!conf_edit_set(edit, path, value, errors, sizeof(errors))) {
        ASSERT(errors[0] != '\0' && conf_edit_changed(edit) == 0);
        for (size_t i = 0; i < files->count; i++)
            ASSERT(strcmp(conf_edit_files(edit)->texts[i].text, files->texts[i].text) == 0);
    } else {
        struct conf *after = load(conf_edit_files(edit));

        /* the rules over several options are not the edit's: they may say no */
        if (after != NULL) {
            ASSERT(conf_option_get(after, path, found, sizeof(found)));
            ASSERT(before == NULL || conf_diff_reload(before, after, NULL, NULL, NULL) <= 64);
            conf_free(after);
        }
        ASSERT(conf_edit_set(edit, path, value, errors, sizeof(errors)));
    }
    conf_edit_close(edit);
}

/* The text up to the next `end`, or all; moves *at behind it. */
static char *take(const char **at, size_t *left, char end)
{
    const char *found = memchr(*at, end, *left);
    size_t len = found != NULL ? (size_t)(found - *at) : *left;
    char *text = mem_alloc(len + 1);

    memcpy(text, *at, len);
    text[len] = '\0';
    *left -= found != NULL ? len + 1 : len;
    *at += found != NULL ? len + 1 : len;
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const char *at = (const char *)data;
    char *path, *value;
    struct conf_text texts[2];
    struct conf_files files = {texts, 2};
    struct conf *conf;

    if (len == 0 || conf_first_bad_line((const char *)data, len) != 0)
        return 0;
    path = take(&at, &len, '\n');
    value = take(&at, &len, '\n');
    texts[0] = (struct conf_text){(char *)(uintptr_t) "main", take(&at, &len, '\x01')};
    texts[1] = (struct conf_text){(char *)(uintptr_t) "other", take(&at, &len, '\x01')};
    conf = load(&files);
    if (conf != NULL)
        print(conf);
    change(&files, path, value, conf);
    conf_free(conf);
    mem_free(path);
    mem_free(value);
    mem_free(texts[0].text);
    mem_free(texts[1].text);
    return 0;
}
