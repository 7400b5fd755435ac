/* SPDX-License-Identifier: MIT */
#include "conf/conf_json.h"

#include "conf/conf_priv.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- showing ---- */

/* "[a, b]" as an array. */
static cJSON *words(const char *text)
{
    cJSON *array = cJSON_CreateArray();
    char word[CONF_VALUE_BYTES];

    while (*(text += strspn(text, "[], ")) != '\0') {
        size_t len = strcspn(text, "], ");

        snprintf(word, sizeof(word), "%.*s", (int)len, text);
        cJSON_AddItemToArray(array, cJSON_CreateString(word));
        text += len;
    }
    return array;
}

/* "a=b, c=d" as an object. */
static cJSON *members(const char *text)
{
    char name[CONF_MAP_NAME_BYTES], value[CONF_VALUE_BYTES];
    cJSON *object = cJSON_CreateObject();

    while (conf_map_next(&text, name, value))
        cJSON_AddStringToObject(object, name, value);
    return object;
}

static cJSON *value_of(const struct conf_row *row, const void *object)
{
    char text[CONF_VALUE_BYTES];

    conf_value_format(row, object, text, sizeof(text));
    switch (row->kind) {
    case CONF_KIND_BOOL:
        return cJSON_CreateBool(strcmp(text, "true") == 0);
    case CONF_KIND_COUNT:
    case CONF_KIND_INTEGER:
    case CONF_KIND_FIXED:
        return cJSON_CreateNumber(strtod(text, NULL));
    case CONF_KIND_CHOICES:
        return words(text);
    case CONF_KIND_MAP:
    case CONF_KIND_HEADERS:
        return members(text);
    default:
        return cJSON_CreateString(text);
    }
}

/* The object in which the last part of the path is a member. */
static cJSON *enter(cJSON *root, const char *path, const char **name)
{
    const char *dot;

    while ((dot = strchr(path, '.')) != NULL) {
        char part[CONF_PATH_BYTES];
        cJSON *next;

        snprintf(part, sizeof(part), "%.*s", (int)(dot - path), path);
        next = cJSON_GetObjectItemCaseSensitive(root, part);
        root = next != NULL ? next : cJSON_AddObjectToObject(root, part);
        path = dot + 1;
    }
    *name = path;
    return root;
}

void conf_json_add(cJSON *root, const char *path, cJSON *value)
{
    const char *name;
    cJSON *object = enter(root, path, &name);

    if (cJSON_HasObjectItem(object, name))
        cJSON_Delete(value);
    else
        cJSON_AddItemToObject(object, name, value);
}

/* All rows of one scope (of a listener's kind, when `kinds` is not 0), or those in which `object` and `unlike` differ. */
static void add_rows(cJSON *root, const char *prefix, enum conf_scope scope, unsigned kinds,
                     const void *object, const void *unlike)
{
    for (unsigned i = 0; i < conf_row_count; i++) {
        const struct conf_row *row = &conf_rows[i];
        char path[2 * CONF_PATH_BYTES];

        if (row->kind == CONF_KIND_SECTION || row->scope != scope ||
            (kinds != 0 && (row->kinds & kinds) == 0) ||
            (unlike != NULL && conf_value_equal(row, object, unlike)))
            continue;
        snprintf(path, sizeof(path), "%s.%s", prefix, row->path);
        conf_json_add(root, path, value_of(row, object));
    }
}

static void add_shards(cJSON *root, const struct conf *conf)
{
    add_rows(root, "default", CONF_SCOPE_SHARD, 0, &conf->shard_default, NULL);
    for (unsigned i = 0; i < CONF_SHARDS_MAX; i++) {
        char prefix[16];

        snprintf(prefix, sizeof(prefix), "%u", i);
        add_rows(root, prefix, CONF_SCOPE_SHARD, 0, &conf->shards[i], &conf->shard_default);
    }
}

const char *conf_json_section_name(unsigned n)
{
    for (unsigned i = 0; i < conf_row_count; i++) {
        if (conf_rows[i].kind == CONF_KIND_SECTION && n-- == 0)
            return conf_rows[i].path;
    }
    return NULL;
}

static const struct conf_row *find_section(const char *name)
{
    for (unsigned i = 0; i < conf_row_count; i++) {
        if (conf_rows[i].kind == CONF_KIND_SECTION && strcmp(conf_rows[i].path, name) == 0)
            return &conf_rows[i];
    }
    return NULL;
}

static void add_plugins(cJSON *root, const struct conf *conf)
{
    for (unsigned i = 0; i < conf->plugin_count; i++) {
        const struct conf_plugin *plugin = &conf->plugins[i];
        cJSON *object = cJSON_CreateObject(), *config = cJSON_CreateObject();

        cJSON_AddStringToObject(object, "path", plugin->path);
        for (unsigned p = 0; p < plugin->pair_count; p++)
            cJSON_AddStringToObject(config, plugin->pairs[p].key, CONF_SECRET_SHOWN);
        cJSON_AddItemToObject(object, "config", config);
        cJSON_AddItemToObject(root, plugin->name, object);
    }
}

cJSON *conf_json_section(const struct conf *conf, const char *section)
{
    const struct conf_row *row = find_section(section);
    cJSON *root = row != NULL ? cJSON_CreateObject() : NULL;

    if (root == NULL)
        return NULL;
    for (row++; row < conf_rows + conf_row_count && row->kind != CONF_KIND_SECTION; row++) {
        if (row->scope == CONF_SCOPE_BROKER)
            conf_json_add(root, strchr(row->path, '.') + 1, value_of(row, conf));
    }
    if (strcmp(section, "auth") == 0)
        conf_json_add(root, "acl.rules", conf_acl_json(conf));
    if (strcmp(section, "shards") == 0)
        add_shards(root, conf);
    for (unsigned i = 0; strcmp(section, "listeners") == 0 && i < conf->listener_count; i++)
        add_rows(root, conf->listeners[i].name, CONF_SCOPE_LISTENER, 1u << conf->listeners[i].kind,
                 &conf->listeners[i], NULL);
    if (strcmp(section, "plugins") == 0)
        add_plugins(root, conf);
    return root;
}

cJSON *conf_json_option(const struct conf *conf, const char *path)
{
    const void *object = NULL;
    const struct conf_row *row = conf_option_find(conf, path, &object);

    if (strcmp(path, CONF_ACL_RULES) == 0)
        return conf_acl_json(conf);
    return row != NULL ? value_of(row, object) : NULL;
}

bool conf_json_is_option(const char *path)
{
    return conf_option_row(path) != NULL || strcmp(path, CONF_ACL_RULES) == 0;
}

/* ---- taking ---- */

/* A whole number, exactly; units of the option follow it. */
static bool whole(const cJSON *value, const char *unit, char *to, size_t size)
{
    if (!cJSON_IsNumber(value) || value->valuedouble < -9e15 || value->valuedouble > 9e15 ||
        (double)(int64_t)value->valuedouble != value->valuedouble)
        return false;
    return snprintf(to, size, "%" PRId64 "%s", (int64_t)value->valuedouble, unit) < (int)size;
}

static bool copy(const cJSON *value, char *to, size_t size)
{
    return cJSON_IsString(value) && strlen(value->valuestring) < size &&
           snprintf(to, size, "%s", value->valuestring) >= 0;
}

/* An array of strings as "a, b"; no string may hold a comma itself. */
static bool join(const cJSON *value, char *to, size_t size)
{
    const cJSON *item;
    size_t used = 0;

    if (!cJSON_IsArray(value))
        return false;
    to[0] = '\0';
    cJSON_ArrayForEach(item, value)
    {
        if (!cJSON_IsString(item) || strchr(item->valuestring, ',') != NULL ||
            used + strlen(item->valuestring) + 3 > size)
            return false;
        used += (size_t)snprintf(to + used, size - used, "%s%s", used > 0 ? ", " : "",
                                 item->valuestring);
    }
    return true;
}

/* An object of strings as the text of a map. */
static bool join_members(const cJSON *value, char *to, size_t size)
{
    const cJSON *item;

    if (!cJSON_IsObject(value))
        return false;
    to[0] = '\0';
    cJSON_ArrayForEach(item, value)
    {
        if (!cJSON_IsString(item) || !conf_map_append(to, size, item->string, item->valuestring))
            return false;
    }
    return true;
}

/* Thousandths are all that is shown: a number with more decimals is not one of these. */
static bool decimal(const cJSON *value, char *to, size_t size)
{
    double thousandths = cJSON_IsNumber(value) ? value->valuedouble * 1000 : -1;

    if (thousandths < 0 || thousandths > 9e12)
        return false;
    snprintf(to, size, "%.3f", value->valuedouble);
    return strtod(to, NULL) == value->valuedouble;
}

bool conf_json_text(const char *path, const cJSON *value, char *to, size_t to_size, char *error,
                    size_t size)
{
    const struct conf_row *row = conf_option_row(path);

    if (strcmp(path, CONF_ACL_RULES) == 0)
        return refuse_with(error, size, "rules are changed in their file, and then reloaded");
    if (row == NULL)
        return refuse_with(error, size, "there is no such option");
    switch (row->kind) {
    case CONF_KIND_BOOL:
        snprintf(to, to_size, "%s", cJSON_IsTrue(value) ? "true" : "false");
        return cJSON_IsBool(value) || refuse_with(error, size, "takes true or false");
    case CONF_KIND_COUNT:
    case CONF_KIND_INTEGER:
        return whole(value, "", to, to_size) || refuse_with(error, size, "takes a whole number");
    case CONF_KIND_FIXED:
        return decimal(value, to, to_size) ||
               refuse_with(error, size, "takes a number with at most three decimals");
    case CONF_KIND_SIZE:
        return copy(value, to, to_size) || whole(value, "B", to, to_size) ||
               refuse_with(error, size, "takes a size, as \"10MB\", or a number of bytes");
    case CONF_KIND_DURATION:
        return copy(value, to, to_size) || whole(value, "s", to, to_size) ||
               refuse_with(error, size, "takes a time, as \"10s\", or a number of seconds");
    case CONF_KIND_CHOICES:
        return join(value, to, to_size) || refuse_with(error, size, "takes an array of strings");
    case CONF_KIND_MAP:
    case CONF_KIND_HEADERS:
        return join_members(value, to, to_size) ||
               refuse_with(error, size, "takes an object of strings");
    case CONF_KIND_TEXT:
        return copy(value, to, to_size) || join(value, to, to_size) ||
               refuse_with(error, size, "takes a string");
    default:
        return copy(value, to, to_size) || refuse_with(error, size, "takes a string");
    }
}
