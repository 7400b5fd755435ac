/* SPDX-License-Identifier: MIT
 *
 * conf_tree - files into a tree, and a tree into entries.
 */
#include "base/mem.h"
#include "base/utf8.h"
#include "conf/conf_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool refuse(struct conf_loader *loader, const char *path, const char *why)
{
    conf_report_add(&loader->errors, "%s: %s", path, why);
    return false;
}

static bool is_regular(int descriptor, const char **why)
{
    struct stat status;

    if (fstat(descriptor, &status) != 0) {
        *why = strerror(errno);
        return false;
    }
    if (!S_ISREG(status.st_mode)) {
        *why = "it is not a file";
        return false;
    }
    return true;
}

/* The whole of a descriptor, terminated; NULL with the reason. mem_free() it. */
static char *read_all(int descriptor, size_t *len, const char **why)
{
    char *text = mem_try_alloc(CONF_FILE_BYTES_MAX + 2);

    *len = 0;
    *why = "out of memory";
    while (text != NULL && *len <= CONF_FILE_BYTES_MAX) {
        ssize_t got = read(descriptor, text + *len, CONF_FILE_BYTES_MAX + 1 - *len);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            *why = strerror(errno);
        if (got < 0)
            break;
        if (got == 0) {
            text[*len] = '\0';
            return text;
        }
        *len += (size_t)got;
        *why = "it is larger than 8 megabytes";
    }
    mem_free(text);
    return NULL;
}

unsigned conf_first_bad_line(const char *text, size_t len)
{
    unsigned line = 1;

    for (size_t at = 0; at < len; line++) {
        const char *end = memchr(text + at, '\n', len - at);
        size_t size = end != NULL ? (size_t)(end - text) - at : len - at;

        if (!utf8_valid((const uint8_t *)text + at, size))
            return line;
        at += size + 1;
    }
    return 0;
}

/* From what was given instead of the disk. */
static char *copy_given(struct conf_loader *loader, const char *path)
{
    for (size_t i = 0; i < loader->given->count; i++) {
        if (strcmp(loader->given->texts[i].path, path) == 0)
            return mem_strdup(loader->given->texts[i].text);
    }
    refuse(loader, path, "a file that is no part of the configuration cannot be read here");
    return NULL;
}

static char *read_text(struct conf_loader *loader, const char *path)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    const char *why = NULL;
    char *text = NULL;
    size_t len = 0;
    unsigned line;

    if (descriptor < 0) {
        refuse(loader, path, strerror(errno));
        return NULL;
    }
    if (is_regular(descriptor, &why))
        text = read_all(descriptor, &len, &why);
    close(descriptor);
    if (text == NULL) {
        refuse(loader, path, why);
        return NULL;
    }
    line = conf_first_bad_line(text, len);
    if (line != 0) {
        conf_report_add(&loader->errors, "%s:%u: this is not UTF-8 text", path, line);
        mem_free(text);
        return NULL;
    }
    return text;
}

bool conf_read_file(struct conf_loader *loader, const char *path, enum conf_form form, cJSON *tree)
{
    unsigned file = loader->file_count;
    char *text;
    bool good;

    if (file == CONF_FILES_MAX)
        return refuse(loader, path, "too many files are included");
    text = loader->given != NULL ? copy_given(loader, path) : read_text(loader, path);
    if (text == NULL)
        return false;
    loader->files[loader->file_count++] = (struct conf_text){mem_strdup(path), text};
    if (form == CONF_FORM_DETECT)
        form = conf_kv_detect(text) ? CONF_FORM_KEY_VALUE : CONF_FORM_HOCON;
    if (file == 0)
        loader->is_hocon = form == CONF_FORM_HOCON;
    good = form == CONF_FORM_KEY_VALUE ? conf_kv_parse(loader, file, text, tree)
                                       : conf_hocon_parse(loader, file, text, tree);
    return good;
}

int conf_place_add(struct conf_loader *loader, const char *path, unsigned file, unsigned line,
                   size_t begin)
{
    struct conf_place *place;

    if (loader->place_count == CONF_PLACES_MAX) {
        conf_report_add(&loader->errors, "%s:%u: there are too many settings",
                        loader->files[file].path, line);
        return -1;
    }
    if (loader->place_count == loader->place_space) {
        loader->place_space = loader->place_space == 0 ? 64 : 2 * loader->place_space;
        loader->places = mem_realloc(loader->places, loader->place_space * sizeof(*loader->places));
    }
    place = &loader->places[loader->place_count];
    *place = (struct conf_place){.file = file, .line = line, .begin = begin, .end = begin};
    place->path = loader->list_depth == 0 ? mem_strdup(path) : NULL;
    return (int)loader->place_count++;
}

static bool tree_error(struct conf_loader *loader, int at, const char *path, const char *why)
{
    const struct conf_place *place = &loader->places[at];

    conf_report_add(&loader->errors, "%s:%u: %s%s: %s", loader->files[place->file].path,
                    place->line, loader->prefix, path, why);
    return false;
}

static cJSON *make_object(struct conf_loader *loader, cJSON *parent, const char *name,
                          const char *path, int at)
{
    cJSON *object = cJSON_CreateObject();

    if (object == NULL || !cJSON_AddItemToObject(parent, name, object)) {
        cJSON_Delete(object);
        tree_error(loader, at, path, "out of memory");
        return NULL;
    }
    object->valueint = at;
    return object;
}

static void warn_replaced(struct conf_loader *loader, const cJSON *old, const char *path, int at)
{
    const struct conf_place *place = &loader->places[at], *before = &loader->places[old->valueint];

    conf_warn(loader, "%s:%u: %s%s was set in line %u of %s already; the last one counts",
              loader->files[place->file].path, place->line, loader->prefix, path, before->line,
              loader->files[before->file].path);
}

/* A block may take the place of a value, and the other way round, but not where a user would get lost by it: "a" is a
 * value of auth.password, and the first part of "a.b" there. */
static bool may_replace(struct conf_loader *loader, const char *path, int at)
{
    char whole[2 * CONF_PATH_BYTES];

    snprintf(whole, sizeof(whole), "%s%s", loader->prefix, path);
    return strncmp(whole, CONF_USERS_BLOCK, strlen(CONF_USERS_BLOCK)) != 0 ||
           tree_error(loader, at, path,
                      "one user name goes on behind another and a dot, which this form cannot say; "
                      "put them into auth.password_file");
}

/* The object `name` in `parent`: the one that is there, or a new one in place of a scalar. */
static cJSON *enter(struct conf_loader *loader, cJSON *parent, const char *name, const char *path,
                    int at)
{
    cJSON *found = cJSON_GetObjectItemCaseSensitive(parent, name);

    if (cJSON_IsObject(found))
        return found;
    if (found != NULL && !may_replace(loader, path, at))
        return NULL;
    if (found != NULL) {
        warn_replaced(loader, found, path, at);
        cJSON_Delete(cJSON_DetachItemViaPointer(parent, found));
    }
    return make_object(loader, parent, name, path, at);
}

/* Copies the segment before the next dot; returns the rest, or NULL after the last. */
static const char *next_segment(const char *path, char segment[CONF_PATH_BYTES])
{
    size_t len = strcspn(path, ".");

    ASSERT(len < CONF_PATH_BYTES);
    memcpy(segment, path, len);
    segment[len] = '\0';
    return path[len] == '.' ? path + len + 1 : NULL;
}

static bool path_good(struct conf_loader *loader, const char *path, int at)
{
    unsigned segments = 1;

    for (const char *dot = path; (dot = strchr(dot, '.')) != NULL; dot++)
        segments++;
    if (strlen(path) >= CONF_PATH_BYTES || segments > CONF_NESTING_MAX)
        return tree_error(loader, at, "key", "the key is too long");
    if (path[0] == '.' || path[0] == '\0' || path[strlen(path) - 1] == '.' ||
        strstr(path, "..") != NULL)
        return tree_error(loader, at, path, "a part of the key is empty");
    return true;
}

cJSON *conf_tree_object(struct conf_loader *loader, cJSON *tree, const char *path, int at)
{
    char segment[CONF_PATH_BYTES];
    const char *rest = path;

    if (!path_good(loader, path, at))
        return NULL;
    while (rest != NULL && tree != NULL) {
        rest = next_segment(rest, segment);
        tree = enter(loader, tree, segment, path, at);
    }
    return tree;
}

bool conf_tree_put(struct conf_loader *loader, cJSON *tree, const char *path, cJSON *item, int at)
{
    char parent[CONF_PATH_BYTES];
    const char *name = strrchr(path, '.');
    cJSON *old;

    if (item == NULL)
        return tree_error(loader, at, path, "out of memory");
    if (!path_good(loader, path, at) ||
        (++loader->setting_count > CONF_SETTINGS_MAX &&
         !tree_error(loader, at, path, "there are too many settings")))
        goto failed;
    if (name != NULL) {
        memcpy(parent, path, (size_t)(name - path));
        parent[name - path] = '\0';
        tree = conf_tree_object(loader, tree, parent, at);
        if (tree == NULL)
            goto failed;
    }
    name = name != NULL ? name + 1 : path;
    item->valueint = at;
    old = cJSON_GetObjectItemCaseSensitive(tree, name);
    if (cJSON_IsObject(old) && !may_replace(loader, path, at))
        goto failed;
    if (old != NULL) {
        warn_replaced(loader, old, path, at);
        cJSON_Delete(cJSON_DetachItemViaPointer(tree, old));
    }
    if (cJSON_AddItemToObject(tree, name, item))
        return true;
    tree_error(loader, at, path, "out of memory");
failed:
    cJSON_Delete(item);
    return false;
}

/* An array of scalars as text, "a, b"; false when it holds anything else or is too long. */
static bool join(const cJSON *array, char *to, size_t size)
{
    const cJSON *item;
    size_t used = 0;

    to[0] = '\0';
    cJSON_ArrayForEach(item, array)
    {
        if (!cJSON_IsString(item) || used + strlen(item->valuestring) + 3 > size)
            return false;
        used += (size_t)snprintf(to + used, size - used, "%s%s", used > 0 ? ", " : "",
                                 item->valuestring);
    }
    return true;
}

static void walk(struct conf_loader *loader, const cJSON *tree, char path[CONF_PATH_BYTES],
                 size_t len)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, tree)
    {
        char list[CONF_VALUE_BYTES];
        size_t more = strlen(item->string), dot = len > 0;
        struct conf_entry entry = {.path = path, .value = item->valuestring, .at = item->valueint};

        if (len + dot + more >= CONF_PATH_BYTES) {
            tree_error(loader, item->valueint, item->string, "the key is too long");
            continue;
        }
        if (dot)
            path[len] = '.';
        memcpy(path + len + dot, item->string, more + 1);
        if (conf_acl_path(path)) {
            conf_acl_take(loader, path, item);
            continue;
        }
        if (cJSON_IsObject(item)) {
            walk(loader, item, path, len + dot + more);
            continue;
        }
        if (cJSON_IsArray(item)) {
            entry.complex = !join(item, list, sizeof(list));
            entry.value = list;
        }
        conf_entry_add(loader, &entry);
    }
}

static int in_order(const void *a, const void *b)
{
    const struct conf_entry *one = a, *other = b;

    return one->at < other->at ? -1 : one->at > other->at;
}

/* Walks the tree: one entry for each setting, in order. */
static void entries_from_tree(struct conf_loader *loader, const cJSON *tree)
{
    char path[CONF_PATH_BYTES] = "";

    walk(loader, tree, path, 0);
    /* a tree has the order in which its branches began; the last setting of the text is to be the last one */
    if (loader->entry_count > 0)
        qsort(loader->entries, loader->entry_count, sizeof(*loader->entries), in_order);
}

void conf_read_entries(struct conf_loader *loader, const char *path, enum conf_form form)
{
    cJSON *tree = cJSON_CreateObject();

    if (tree == NULL)
        refuse(loader, path, "out of memory");
    else if (conf_read_file(loader, path, form, tree))
        entries_from_tree(loader, tree);
    cJSON_Delete(tree);
}
