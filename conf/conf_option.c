/* SPDX-License-Identifier: MIT
 *
 * conf_option - one option by its path, for whoever shows or changes single ones.
 */
#include "conf/conf_priv.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

static const char *after(const char *path, const char *prefix)
{
    size_t len = strlen(prefix);

    return strncmp(path, prefix, len) == 0 ? path + len : NULL;
}

const struct conf_row *conf_option_row(const char *path)
{
    const char *rest = after(path, "shards."), *dot;
    enum conf_listener_kind kind;
    char name[CONF_PATH_BYTES];

    if (conf_row_find(CONF_SCOPE_BROKER, path) != NULL)
        return conf_row_find(CONF_SCOPE_BROKER, path);
    dot = rest != NULL ? strchr(rest, '.') : NULL;
    if (dot != NULL)
        return conf_row_find(CONF_SCOPE_SHARD, dot + 1);
    rest = after(path, "listeners.");
    return rest != NULL ? conf_listener_row(rest, &kind, name) : NULL;
}

/* The struct that holds the option of that path, or NULL. */
static const void *object_of(const struct conf *conf, const struct conf_row *row, const char *path)
{
    const char *rest = after(path, "shards."), *name = after(path, "listeners.");
    char block[CONF_PATH_BYTES];

    if (row->scope == CONF_SCOPE_BROKER)
        return conf;
    if (row->scope == CONF_SCOPE_LISTENER) {
        snprintf(block, sizeof(block), "%.*s", (int)(strlen(name) - strlen(row->path) - 1), name);
        return conf_listener_find(conf, block);
    }
    if (after(rest, "default.") != NULL)
        return &conf->shard_default;
    return *rest >= '0' && *rest <= '9' && strtoul(rest, NULL, 10) < CONF_SHARDS_MAX
               ? &conf->shards[strtoul(rest, NULL, 10)]
               : NULL;
}

const struct conf_row *conf_option_find(const struct conf *conf, const char *path,
                                        const void **object)
{
    const struct conf_row *row = conf_option_row(path);

    *object = row != NULL ? object_of(conf, row, path) : NULL;
    return *object != NULL ? row : NULL;
}

bool conf_option_get(const struct conf *conf, const char *path, char *to, size_t size)
{
    const void *object;
    const struct conf_row *row = conf_option_find(conf, path, &object);

    if (row == NULL)
        return false;
    conf_value_format(row, object, to, size);
    return true;
}

bool conf_option_check(const char *path, const char *value, char *error, size_t size)
{
    struct conf_loader *loader = conf_loader_create(NULL);
    bool good;

    conf_report_begin(&loader->errors, error, size);
    loader->conf = conf_create();
    conf_entry_add(loader, &(struct conf_entry){.path = (char *)(uintptr_t)path,
                                                .value = (char *)(uintptr_t)value,
                                                .layer = CONF_LAYER_RUN_TIME,
                                                .where = path});
    conf_bind(loader);
    good = loader->errors.count == 0;
    error[strcspn(error, "\n")] = '\0';
    conf_free(loader->conf);
    conf_loader_free(loader);
    return good;
}
