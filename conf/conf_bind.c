/* SPDX-License-Identifier: MIT
 *
 * conf_bind - entries to fields, by the table. All errors are collected, not only the first.
 */
#include "base/mem.h"
#include "conf/conf_priv.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

const char *conf_entry_where(const struct conf_loader *loader, const struct conf_entry *entry,
                             char *to, size_t size)
{
    if (entry->layer == CONF_LAYER_FILE)
        snprintf(to, size, "%s:%u", loader->files[loader->places[entry->at].file].path,
                 loader->places[entry->at].line);
    else
        snprintf(to, size, "%s", entry->where);
    return to;
}

void conf_entry_error(struct conf_loader *loader, const struct conf_entry *entry, const char *why)
{
    char where[CONF_SENTENCE_BYTES / 2];

    conf_entry_where(loader, entry, where, sizeof(where));
    if (entry->layer == CONF_LAYER_FILE)
        conf_report_add(&loader->errors, "%s: %s: %s", where, entry->path, why);
    else
        conf_report_add(&loader->errors, "%s: %s", where, why);
}

void conf_entry_add(struct conf_loader *loader, const struct conf_entry *entry)
{
    struct conf_entry *copy;

    if (loader->entry_count == loader->entry_space) {
        loader->entry_space = loader->entry_space == 0 ? 64 : 2 * loader->entry_space;
        loader->entries =
            mem_realloc(loader->entries, loader->entry_space * sizeof(*loader->entries));
    }
    copy = &loader->entries[loader->entry_count++];
    *copy = *entry;
    copy->path = mem_strdup(entry->path);
    copy->value = mem_strdup(entry->value);
    copy->where = entry->where != NULL ? mem_strdup(entry->where) : NULL;
}

/* A bare number of an old key gets the unit that the key had. */
static bool convert(const struct conf_legacy *row, const char *value, char *to, size_t size)
{
    bool bare = value[0] != '\0' && strspn(value, "0123456789") == strlen(value);

    if (row->text == NULL || !bare)
        return snprintf(to, size, "%s", value) < (int)size;
    if (strcmp(row->text, "thousandths") == 0) {
        unsigned long number = strtoul(value, NULL, 10);

        return snprintf(to, size, "%lu.%03lu", number / 1000, number % 1000) < (int)size;
    }
    return snprintf(to, size, "%s%s", value, row->text) < (int)size;
}

static void bind_row(struct conf_loader *loader, const struct conf_entry *entry,
                     const struct conf_row *row, const char *value, void *object)
{
    char error[CONF_SENTENCE_BYTES / 4];

    if (entry->complex)
        conf_entry_error(loader, entry, "takes one value, or a list of words");
    else if (!conf_value_parse(row, value, object, error, sizeof(error)))
        conf_entry_error(loader, entry, error);
}

static unsigned shard_row_index(const struct conf_row *row)
{
    unsigned index = 0;

    for (const struct conf_row *at = conf_rows; at != row; at++)
        index += at->kind != CONF_KIND_SECTION && at->scope == CONF_SCOPE_SHARD;
    return index;
}

/* `rest` is what follows "shards.". False when that is no shard's option. */
static bool bind_shard(struct conf_loader *loader, const struct conf_entry *entry, const char *rest)
{
    const char *dot = strchr(rest, '.');
    const struct conf_row *row;
    unsigned long number;
    char *end;

    if (dot == NULL)
        return false;
    row = conf_row_find(CONF_SCOPE_SHARD, dot + 1);
    if (row == NULL)
        return false;
    if (strncmp(rest, "default.", 8) == 0) {
        bind_row(loader, entry, row, entry->value, &loader->conf->shard_default);
        return true;
    }
    number = strtoul(rest, &end, 10);
    if (end != dot || *rest < '0' || *rest > '9')
        return false;
    if (number >= CONF_SHARDS_MAX) {
        conf_entry_error(loader, entry, "shards have the numbers 0 to 61");
        return true;
    }
    bind_row(loader, entry, row, entry->value, &loader->conf->shards[number]);
    loader->shard_set[number][shard_row_index(row)] = true;
    return true;
}

/* `rest` is what follows "listeners.". False when that is no listener's option. */
static bool bind_listener(struct conf_loader *loader, const struct conf_entry *entry,
                          const char *rest, const char *value)
{
    char name[CONF_PATH_BYTES];
    enum conf_listener_kind kind;
    const struct conf_row *row = conf_listener_row(rest, &kind, name);
    struct conf_listener *listener;

    if (row == NULL)
        return false;
    listener = conf_listener_get(loader, entry, kind, name);
    if (listener == NULL)
        return true;
    bind_row(loader, entry, row, value, listener);
    if (!conf_listener_scheme_fits(kind, listener->address.scheme))
        conf_entry_error(loader, entry, "this URL is of another kind of listener");
    return true;
}

/* --url: the first replaces all listeners of the file and of the environment, more of them add to it. What ssl has of
 * certificates stays for those that need them. */
static void bind_url(struct conf_loader *loader, const struct conf_entry *entry)
{
    const struct conf_row *row = conf_row_find(CONF_SCOPE_LISTENER, "bind");
    char name[CONF_NAME_BYTES], error[CONF_SENTENCE_BYTES / 4];
    enum conf_listener_kind kind = CONF_LISTENER_TCP;
    struct conf_listener *listener;
    struct conf_address address;

    if (!conf_value_address(entry->value, &address, error, sizeof(error))) {
        conf_entry_error(loader, entry, error);
        return;
    }
    conf_listener_scheme_kind(address.scheme, &kind);
    if (!loader->listeners_replaced)
        for (unsigned i = 0; i < loader->conf->listener_count; i++)
            loader->conf->listeners[i].enable = false;
    loader->listeners_replaced = true;
    snprintf(name, sizeof(name), "%s", conf_listener_kind_name(kind));
    listener = conf_listener_find(loader->conf, name);
    if (listener != NULL && listener->enable)
        snprintf(name, sizeof(name), "%s.url-%u", conf_listener_kind_name(kind),
                 loader->conf->listener_count + 1);
    listener = conf_listener_get(loader, entry, kind, name);
    if (listener == NULL)
        return;
    listener->enable = true;
    bind_row(loader, entry, row, entry->value, listener);
}

/* The last entry of that path, or NULL. */
const struct conf_entry *conf_entry_find(const struct conf_loader *loader, const char *path)
{
    for (size_t i = loader->entry_count; i-- > 0;) {
        if (strcmp(loader->entries[i].path, path) == 0)
            return &loader->entries[i];
    }
    return NULL;
}

static bool is_false(const struct conf_entry *entry)
{
    bool value = true;

    return entry != NULL && !entry->complex && conf_value_bool(entry->value, &value) && !value;
}

/* True when the key, a block that it is in, or a switch of one of those says `enable = false`. Blocks above `depth`
 * characters belong to somebody else. */
static bool switched_off(const struct conf_loader *loader, const char *path, size_t depth)
{
    static const char *const switches[] = {"enable", "bridge_mode"};
    char block[CONF_PATH_BYTES], key[CONF_PATH_BYTES + 16];

    snprintf(block, sizeof(block), "%s", path);
    for (;;) {
        char *dot;

        for (size_t i = 0; i < ARRAY_LENGTH(switches); i++) {
            snprintf(key, sizeof(key), "%s.%s", block, switches[i]);
            if (is_false(conf_entry_find(loader, key)))
                return true;
        }
        dot = strrchr(block, '.');
        if (dot == NULL || (size_t)(dot - block) < depth)
            return false;
        *dot = '\0';
    }
}

/* The key that would switch such a part on. */
static bool is_switch(const char *path)
{
    const char *dot = strrchr(path, '.');

    return dot != NULL && (strcmp(dot, ".enable") == 0 || strcmp(dot, ".bridge_mode") == 0);
}

static void bind_absent(struct conf_loader *loader, const struct conf_entry *entry,
                        const struct conf_legacy *row)
{
    char why[CONF_SENTENCE_BYTES / 4], other[CONF_PATH_BYTES];
    bool wanted = true, value = true;

    if (row->argument != NULL && !entry->complex &&
        (strcasecmp(entry->value, row->argument) == 0 ||
         (conf_value_bool(row->argument, &wanted) && conf_value_bool(entry->value, &value) &&
          wanted == value)))
        return;
    /* Of a row below "auth" the switch is auth.enable. */
    snprintf(other, sizeof(other), "%.*s", (int)strcspn(row->path, "."), row->path);
    if (switched_off(loader, entry->path,
                     conf_legacy_find(other) != NULL ? strlen(other) : strlen(row->path)))
        return;
    if (row->argument != NULL)
        snprintf(why, sizeof(why), "%s is not part of this version: only %s is possible", row->text,
                 row->argument);
    else
        snprintf(why, sizeof(why), "%s is not part of this version%s", row->text,
                 is_switch(entry->path) ? ": only false is possible" : "");
    conf_entry_error(loader, entry, why);
}

static void bind_ignored(struct conf_loader *loader, const struct conf_entry *entry,
                         const struct conf_legacy *row)
{
    char where[CONF_SENTENCE_BYTES / 2];

    conf_entry_where(loader, entry, where, sizeof(where));
    if (entry->layer == CONF_LAYER_FILE)
        conf_warn(loader, "%s: %s has no effect: %s", where, entry->path, row->text);
    else
        conf_warn(loader, "%s has no effect: %s", where, row->text);
}

static void refuse_unknown(struct conf_loader *loader, const struct conf_entry *entry)
{
    char near[CONF_PATH_BYTES], why[2 * CONF_PATH_BYTES];

    if (conf_suggest(entry->path, near, sizeof(near)))
        snprintf(why, sizeof(why), "there is no such option; did you mean %s?", near);
    else
        snprintf(why, sizeof(why), "there is no such option");
    conf_entry_error(loader, entry, why);
}

static const char *after(const char *path, const char *prefix)
{
    size_t len = strlen(prefix);

    return strncmp(path, prefix, len) == 0 ? path + len : NULL;
}

/* A member that the user named. */
static void bind_member(struct conf_loader *loader, const struct conf_entry *entry,
                        const struct conf_row *row, const char *name, const char *value)
{
    char error[CONF_SENTENCE_BYTES / 4];

    if (entry->complex)
        conf_entry_error(loader, entry, "takes one value");
    else if (!conf_map_set(row, name, value, loader->conf, error, sizeof(error)))
        conf_entry_error(loader, entry, error);
}

/* False when no option has that path. */
static bool bind_option(struct conf_loader *loader, const struct conf_entry *entry,
                        const char *path, const char *value)
{
    const struct conf_row *row = conf_row_find(CONF_SCOPE_BROKER, path);
    const char *rest;

    if (row != NULL) {
        bind_row(loader, entry, row, value, loader->conf);
        return true;
    }
    if (conf_user_bind(loader, entry, path))
        return true;
    row = conf_map_row(path, &rest);
    if (row != NULL) {
        bind_member(loader, entry, row, rest, value);
        return true;
    }
    rest = after(path, "shards.");
    if (rest != NULL)
        return bind_shard(loader, entry, rest);
    rest = after(path, "plugins.");
    if (rest != NULL)
        return conf_plugin_bind(loader, entry, rest, value);
    rest = after(path, "listeners.");
    return rest != NULL && bind_listener(loader, entry, rest, value);
}

static void bind_renamed(struct conf_loader *loader, const struct conf_entry *entry,
                         const struct conf_legacy *row)
{
    const struct conf_entry *own = conf_entry_find(loader, row->argument);
    char value[CONF_VALUE_BYTES], where[CONF_SENTENCE_BYTES / 2];

    if (own != NULL && own->layer == entry->layer) {
        conf_entry_where(loader, entry, where, sizeof(where));
        conf_warn(loader, "%s: %s is the old name of %s, which is set too; the last one counts",
                  where, entry->path, row->argument);
    }
    if (convert(row, entry->value, value, sizeof(value)))
        bind_option(loader, entry, row->argument, value);
    else
        conf_entry_error(loader, entry, "the value is too long");
}

/* "http://127.0.0.1:8081" is an address for one option and a port for another. */
static void bind_split(struct conf_loader *loader, const struct conf_entry *entry,
                       const struct conf_legacy *row)
{
    const char *value = entry->value, *rest = strstr(value, "://");
    char port[8], error[CONF_SENTENCE_BYTES / 4];
    struct conf_address address;

    if (rest != NULL && strncasecmp(value, "http://", 7) == 0)
        value = rest + 3;
    if (entry->complex) {
        conf_entry_error(loader, entry, "takes one value");
    } else if (!conf_value_address(value, &address, error, sizeof(error))) {
        conf_entry_error(loader, entry, error);
    } else {
        snprintf(port, sizeof(port), "%u", address.port);
        bind_option(loader, entry, row->argument, address.host);
        bind_option(loader, entry, row->text, port);
    }
}

/* A block that is called something else here. */
static void bind_moved(struct conf_loader *loader, const struct conf_entry *entry,
                       const struct conf_legacy *row)
{
    char path[2 * CONF_PATH_BYTES];

    snprintf(path, sizeof(path), "%s%s", row->argument, entry->path + strlen(row->path));
    if (strlen(path) >= CONF_PATH_BYTES || !bind_option(loader, entry, path, entry->value))
        refuse_unknown(loader, entry);
}

static void bind_entry(struct conf_loader *loader, const struct conf_entry *entry)
{
    const struct conf_legacy *legacy;

    if (entry->layer == CONF_LAYER_COMMAND_LINE && strcmp(entry->path, "url") == 0) {
        bind_url(loader, entry);
        return;
    }
    if (conf_acl_bind(loader, entry) || bind_option(loader, entry, entry->path, entry->value))
        return;
    legacy = conf_legacy_find(entry->path);
    if (legacy != NULL && legacy->kind == CONF_LEGACY_MOVED) {
        bind_moved(loader, entry, legacy);
    } else if (legacy == NULL) {
        refuse_unknown(loader, entry);
    } else if (legacy->kind == CONF_LEGACY_ABSENT) {
        bind_absent(loader, entry, legacy);
    } else if (legacy->kind == CONF_LEGACY_IGNORED) {
        bind_ignored(loader, entry, legacy);
    } else if (legacy->kind == CONF_LEGACY_SPLIT) {
        bind_split(loader, entry, legacy);
    } else {
        bind_renamed(loader, entry, legacy);
    }
}

/* NanoMQ's HOCON files have no http_server.enable: the block is the switch. */
static void enable_http_by_block(struct conf_loader *loader)
{
    bool block = false;

    for (size_t i = 0; i < loader->entry_count; i++) {
        const struct conf_entry *entry = &loader->entries[i];

        if (strcmp(entry->path, "http_server.enable") == 0)
            return;
        block = block || (loader->is_hocon && entry->layer == CONF_LAYER_FILE &&
                          after(entry->path, "http_server.") != NULL);
    }
    loader->conf->http_server_enable = block;
}

/* What a shard does not say for itself is as in shards.default. */
static void complete_shards(struct conf_loader *loader)
{
    unsigned index = 0;

    for (unsigned r = 0; r < conf_row_count; r++) {
        if (conf_rows[r].kind == CONF_KIND_SECTION || conf_rows[r].scope != CONF_SCOPE_SHARD)
            continue;
        ASSERT(index < ARRAY_LENGTH(loader->shard_set[0]));
        for (unsigned shard = 0; shard < CONF_SHARDS_MAX; shard++) {
            if (!loader->shard_set[shard][index])
                conf_value_copy(&conf_rows[r], &loader->conf->shards[shard],
                                &loader->conf->shard_default);
        }
        index++;
    }
}

void conf_bind(struct conf_loader *loader)
{
    for (size_t i = 0; i < loader->entry_count; i++)
        bind_entry(loader, &loader->entries[i]);
    enable_http_by_block(loader);
    complete_shards(loader);
    conf_listeners_complete(loader);
    conf_users_complete(loader);
}
