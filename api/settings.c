/* SPDX-License-Identifier: MIT
 *
 * settings - see settings.def for the documents.
 *
 * A member is found by its path in the document: first among NanoMQ's, then, in the REST document, among the options
 * themselves. What a member shows can be given back: that is no change, so a client may read a section, alter one
 * member and send the whole of it; a secret that it was not shown stays what it is.
 */
#include "api/settings.h"

#include "base/check.h"
#include "base/mem.h"
#include "base/refuse.h"
#include "base/utf8.h"
#include "conf/conf_json.h"

#include <string.h>

#define PATH_BYTES  256
#define VALUE_BYTES 1200
#define FILE_BYTES  16384 /* of a certificate that is shown */

enum form {
    FORM_UNUSED,
    FORM_BOOL,
    FORM_INT,
    FORM_KB,      /* a number of kilobytes, of a SIZE */
    FORM_RATIO,   /* a number, of a FIXED */
    FORM_SECONDS, /* a number of seconds, of a DURATION */
    FORM_NAMES, /* an array of the names in a MAP, whose values are under the option's own path only */
    FORM_TEXT, /* a string */
    FORM_URL,  /* "nmq-tcp://127.0.0.1:1883", of the first listener of the option's kind */
    FORM_FILE, /* the contents of the file that the option names; of keys, stars. It cannot be changed here */
    FORM_ANONYMOUS, /* true or false, whatever it is that says so */
    FORM_ALIAS,
    FORM_THREADS, /* how many shards run; taken as the option */
};

/* One row of settings.def. Class: boot. */
struct setting {
    enum settings_document document;
    const char *member;
    enum form form;
    const char *option; /* of FORM_UNUSED: the key in a file, or NULL; of FORM_ALIAS: the member */
    const char *json;   /* what is shown instead of an option, or NULL */
};

static const struct setting rows[] = {
#define SETTING(document, member, form, option)                                                    \
    {SETTINGS_##document, member, FORM_##form, option, NULL},
#define OPTIONAL(document, member, form, option, json)                                             \
    {SETTINGS_##document, member, FORM_##form, option, json},
#define ALIAS(document, member, other)      {SETTINGS_##document, member, FORM_ALIAS, other, NULL},
#define UNUSED(document, member, json, key) {SETTINGS_##document, member, FORM_UNUSED, key, json},
#include "api/settings.def"
};

/* ---- showing ---- */

/* The listener that NanoMQ, which has one of a kind, would speak of: that of the kind's name, or the first. */
static const struct conf_listener *find_listener(const struct conf *conf, const char *kind)
{
    const struct conf_listener *found = NULL;

    for (unsigned i = 0; i < conf->listener_count; i++) {
        const struct conf_listener *listener = &conf->listeners[i];

        if (strcmp(listener->name, kind) == 0)
            return listener;
        if (found == NULL && strcmp(conf_listener_kind_name(listener->kind), kind) == 0)
            found = listener;
    }
    return found;
}

/* The option behind the row: of a listener "listeners.<kind>.<option>" in the table. */
static void option_path(const struct setting *row, const struct conf *conf, char to[PATH_BYTES])
{
    const struct conf_listener *listener;
    const char *kind = row->option + strlen("listeners."), *dot;
    char name[16];

    snprintf(to, PATH_BYTES, "%s", row->option);
    if (strncmp(row->option, "listeners.", strlen("listeners.")) != 0)
        return;
    dot = strchr(kind, '.');
    snprintf(name, sizeof(name), "%.*s", (int)(dot - kind), kind);
    listener = find_listener(conf, name);
    if (listener != NULL)
        snprintf(to, PATH_BYTES, "listeners.%s%s", listener->name, dot);
}

static cJSON *show_kilobytes(const char *text)
{
    return cJSON_CreateNumber((double)((conf_size_bytes(text) + 1023) / 1024));
}

static cJSON *show_names(const char *map)
{
    char name[CONF_MAP_NAME_BYTES], value[CONF_VALUE_BYTES];
    cJSON *names = cJSON_CreateArray();

    while (conf_map_next(&map, name, value))
        cJSON_AddItemToArray(names, cJSON_CreateString(name));
    return names;
}

static cJSON *show_url(const char *path, const char *text)
{
    static const struct {
        const char *kind, *scheme;
    } schemes[] = {{"listeners.tcp.", "nmq-tcp"},
                   {"listeners.ssl.", "nmq-tls"},
                   {"listeners.ws.", "nmq-ws"},
                   {"listeners.wss.", "nmq-wss"}};
    char url[VALUE_BYTES + 16];

    for (size_t i = 0; i < ARRAY_LENGTH(schemes); i++) {
        if (strncmp(path, schemes[i].kind, strlen(schemes[i].kind)) == 0)
            snprintf(url, sizeof(url), "%s://%s", schemes[i].scheme, text);
    }
    return cJSON_CreateString(url);
}

/* The first of the files that the option names. What is in a key file is nobody's business. */
static cJSON *show_file(const char *path, const char *names)
{
    char name[VALUE_BYTES], contents[FILE_BYTES + 1];
    FILE *file;
    size_t len;

    if (!conf_list_next(&names, name, sizeof(name)))
        return cJSON_CreateNull();
    if (strstr(path, ".keyfile") != NULL)
        return cJSON_CreateString("***");
    file = fopen(name, "re");
    if (file == NULL)
        return cJSON_CreateNull();
    len = fread(contents, 1, FILE_BYTES, file);
    fclose(file);
    contents[len] = '\0';
    /* a file that holds a key beside its certificate is a key file */
    return cJSON_CreateString(strstr(contents, "PRIVATE KEY") != NULL ||
                                      !utf8_valid((const uint8_t *)contents, len)
                                  ? "***"
                                  : contents);
}

/* As NanoMQ means it: of all listeners. */
static bool anonymous(const struct conf *conf)
{
    for (unsigned i = 0; i < conf->listener_count; i++)
        if (conf->listeners[i].enable && !conf_allow_anonymous(conf, &conf->listeners[i]))
            return false;
    return true;
}

static cJSON *show_row(const struct setting *row, const struct conf *conf, unsigned shards)
{
    char path[PATH_BYTES], text[VALUE_BYTES];
    cJSON *shown;

    if (row->form == FORM_UNUSED)
        return cJSON_Parse(row->json);
    if (row->form == FORM_THREADS)
        return cJSON_CreateNumber(shards);
    option_path(row, conf, path);
    if (!conf_option_get(conf, path, text, sizeof(text)))
        return cJSON_Parse(row->json); /* there is no such listener */
    if (row->form == FORM_ANONYMOUS)
        return cJSON_CreateBool(anonymous(conf));
    if (row->form == FORM_KB)
        return show_kilobytes(text);
    if (row->form == FORM_SECONDS)
        return cJSON_CreateNumber((double)conf_duration_ms(text) / 1000);
    if (row->form == FORM_NAMES)
        return show_names(text);
    if (row->form == FORM_URL)
        return show_url(path, text);
    if (row->form == FORM_FILE)
        return show_file(path, text);
    shown = conf_json_option(conf, path);
    if (row->json == NULL || strcmp(row->json, "null") != 0 || text[0] != '\0')
        return shown;
    cJSON_Delete(shown); /* a text that is not set */
    return cJSON_CreateNull();
}

/* The section's part of an own section that NanoMQ has too stands behind NanoMQ's. */
static void add_own_section(cJSON *root, const struct conf *conf, const char *section)
{
    cJSON *own = conf_json_section(conf, section), *into;

    if (own == NULL)
        return;
    into = cJSON_GetObjectItemCaseSensitive(root, section);
    if (into == NULL) {
        cJSON_AddItemToObject(root, section, own);
        return;
    }
    while (own->child != NULL) {
        cJSON *item = cJSON_DetachItemViaPointer(own, own->child);

        if (cJSON_HasObjectItem(into, item->string))
            cJSON_Delete(item);
        else
            cJSON_AddItemToObject(into, item->string, item);
    }
    cJSON_Delete(own);
}

static bool in_section(const char *member, const char *section)
{
    size_t len = strlen(section);

    return strncmp(member, section, len) == 0 && (member[len] == '.' || member[len] == '\0');
}

cJSON *settings_show(enum settings_document document, const struct conf *conf, unsigned shards,
                     const char *section)
{
    cJSON *root = cJSON_CreateObject();

    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        if (rows[i].document == document && rows[i].form != FORM_ALIAS &&
            (section == NULL || in_section(rows[i].member, section)))
            conf_json_add(root, rows[i].member, show_row(&rows[i], conf, shards));
    }
    if (document == SETTINGS_REST && section != NULL)
        add_own_section(root, conf, section);
    for (unsigned n = 0; document == SETTINGS_REST && section == NULL; n++) {
        if (conf_json_section_name(n) == NULL)
            break;
        add_own_section(root, conf, conf_json_section_name(n));
    }
    if (root->child != NULL)
        return root;
    cJSON_Delete(root);
    return NULL;
}

/* ---- reading ---- */

/* What a document is read with. */
struct reading {
    enum settings_document document;
    const struct conf *conf;
    unsigned shards;
    struct settings_wish *wish;
    char *error;
    size_t size;
};

static const struct setting *find_row(const struct reading *reading, const char *member)
{
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        if (rows[i].document == reading->document && strcmp(rows[i].member, member) == 0)
            return rows[i].form == FORM_ALIAS ? find_row(reading, rows[i].option) : &rows[i];
    }
    return NULL;
}

/* True when members of that name may have members. *own: if they do, only the option table knows. */
static bool has_members(const struct reading *reading, const char *member, bool *own)
{
    char section[PATH_BYTES];

    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        if (rows[i].document == reading->document && in_section(rows[i].member, member))
            return true;
    }
    snprintf(section, sizeof(section), "%.*s", (int)strcspn(member, "."), member);
    for (unsigned n = 0; reading->document == SETTINGS_REST; n++) {
        const char *name = conf_json_section_name(n);

        if (name == NULL)
            break;
        if (strcmp(name, section) == 0) {
            *own = strcmp(name, member) != 0;
            return true;
        }
    }
    return false;
}

static void add_without_effect(struct settings_wish *wish, const char *member)
{
    wish->without_effect = mem_realloc(wish->without_effect, (wish->without_effect_count + 1) *
                                                                 sizeof(*wish->without_effect));
    wish->without_effect[wish->without_effect_count++] = mem_strdup(member);
}

/* Two names of one option may be given, if they agree. */
static bool add_change(struct reading *reading, const char *member, const char *path,
                       const char *value)
{
    struct settings_wish *wish = reading->wish;

    for (unsigned i = 0; i < wish->count; i++) {
        if (strcmp(wish->changes[i].path, path) != 0)
            continue;
        return strcmp(wish->changes[i].value, value) == 0 ||
               refuse_with(reading->error, reading->size,
                           "%s: %s is the same setting with another value", member,
                           wish->changes[i].member);
    }
    wish->changes = mem_realloc(wish->changes, (wish->count + 1) * sizeof(*wish->changes));
    wish->changes[wish->count++] =
        (struct settings_change){mem_strdup(member), mem_strdup(path), mem_strdup(value)};
    return true;
}

/* The table's sentence about a value, with the member's name in the place of the option's. */
static bool check(struct reading *reading, const char *member, const char *path, const char *value)
{
    char why[1024];
    const char *rest = why;

    if (conf_option_check(path, value, why, sizeof(why)))
        return true;
    if (strncmp(why, path, strlen(path)) == 0 && strncmp(why + strlen(path), ": ", 2) == 0)
        rest = why + strlen(path) + 2;
    return refuse_with(reading->error, reading->size, "%s: %s", member, rest);
}

/* A JSON value as a file would have it, for a key that is no option. */
static void plain_text(const cJSON *value, char *to, size_t size)
{
    char *text = cJSON_PrintUnformatted(value);

    snprintf(to, size, "%s", cJSON_IsString(value) ? value->valuestring : text != NULL ? text : "");
    cJSON_free(text);
}

static bool read_unused(struct reading *reading, const struct setting *row, const cJSON *value,
                        const cJSON *shown)
{
    char text[VALUE_BYTES];

    if (!cJSON_IsNull(shown) && !cJSON_IsNull(value) &&
        (cJSON_IsBool(shown) ? !cJSON_IsBool(value) : (shown->type & 0xFF) != (value->type & 0xFF)))
        return refuse_with(reading->error, reading->size, "%s: takes %s", row->member,
                           cJSON_IsBool(shown)     ? "true or false"
                           : cJSON_IsNumber(shown) ? "a number"
                           : cJSON_IsArray(shown)  ? "an array"
                           : cJSON_IsObject(shown) ? "an object"
                                                   : "a string");
    if (row->option == NULL)
        return refuse_with(reading->error, reading->size, "%s: it cannot be changed", row->member);
    plain_text(value, text, sizeof(text));
    if (!check(reading, row->member, row->option, text))
        return false;
    add_without_effect(reading->wish, row->member);
    return true;
}

/* Whole numbers only, up to what a double holds exactly. */
static bool read_kilobytes(const cJSON *value, char *to, size_t size)
{
    if (!cJSON_IsNumber(value) || value->valuedouble < 0 || value->valuedouble > 9e12 ||
        (double)(int64_t)value->valuedouble != value->valuedouble)
        return false;
    snprintf(to, size, "%lldKB", (long long)value->valuedouble);
    return true;
}

/* With at most three decimals. */
static bool read_seconds(const cJSON *value, char *to, size_t size)
{
    double ms = cJSON_IsNumber(value) ? value->valuedouble * 1000 : -1;

    if (ms < 0 || ms > 9e12)
        return false;
    snprintf(to, size, "%lldms", (long long)(ms + 0.5));
    return true;
}

static bool read_option(struct reading *reading, const char *member, const char *path,
                        enum form form, const cJSON *value)
{
    char text[VALUE_BYTES], why[256];

    if (form == FORM_FILE)
        return refuse_with(
            reading->error, reading->size,
            "%s: the contents of files are not changed here: change the file, or name "
            "another with %s, and reload",
            member, path);
    if (form == FORM_NAMES)
        return refuse_with(reading->error, reading->size,
                           "%s: these are names alone; set %s, with their values", member, path);
    if (form == FORM_SECONDS) {
        if (!read_seconds(value, text, sizeof(text)))
            return refuse_with(reading->error, reading->size, "%s: takes a number of seconds",
                               member);
    } else if (form == FORM_ANONYMOUS) {
        if (!cJSON_IsBool(value))
            return refuse_with(reading->error, reading->size, "%s: takes true or false", member);
        snprintf(text, sizeof(text), "%s", cJSON_IsTrue(value) ? "true" : "false");
    } else if (form == FORM_KB) {
        if (!read_kilobytes(value, text, sizeof(text)))
            return refuse_with(reading->error, reading->size,
                               "%s: takes a whole number of kilobytes", member);
    } else if (!conf_json_text(path, value, text, sizeof(text), why, sizeof(why))) {
        return refuse_with(reading->error, reading->size, "%s: %s", member, why);
    }
    return check(reading, member, path, text) && add_change(reading, member, path, text);
}

/* A member that may have a value: a row, or an option. *found says whether there is one of that name. */
static bool read_value(struct reading *reading, const char *member, const cJSON *value, bool *found)
{
    const struct setting *row = find_row(reading, member);
    char path[PATH_BYTES];
    cJSON *shown;
    bool same;

    *found = row != NULL || (reading->document == SETTINGS_REST && conf_json_is_option(member));
    if (!*found)
        return true;
    shown = row != NULL ? show_row(row, reading->conf, reading->shards)
                        : conf_json_option(reading->conf, member);
    same = shown != NULL && cJSON_Compare(value, shown, true);
    if (!same && row != NULL && row->form == FORM_UNUSED) {
        same = read_unused(reading, row, value, shown);
    } else if (!same) {
        snprintf(path, sizeof(path), "%s", member);
        if (row != NULL)
            option_path(row, reading->conf, path);
        same = read_option(reading, member, path, row != NULL ? row->form : FORM_TEXT, value);
    }
    cJSON_Delete(shown);
    return same;
}

static bool read_members(struct reading *reading, const char *prefix, const cJSON *object);

/* A member that has members. */
static bool enter(struct reading *reading, const char *member, const cJSON *value)
{
    bool own = false, known = has_members(reading, member, &own);

    if (!known)
        return refuse_with(reading->error, reading->size, "%s: there is no such setting", member);
    if (own && (!cJSON_IsObject(value) || value->child == NULL)) /* the table may know a near one */
        return check(reading, member, member, "") &&
               refuse_with(reading->error, reading->size, "%s: takes an object", member);
    if (!cJSON_IsObject(value))
        return refuse_with(reading->error, reading->size, "%s: takes an object", member);
    return read_members(reading, member, value);
}

static bool read_members(struct reading *reading, const char *prefix, const cJSON *object)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, object)
    {
        char member[PATH_BYTES];
        bool found;

        if (snprintf(member, sizeof(member), "%s%s%s", prefix, prefix[0] != '\0' ? "." : "",
                     item->string) >= (int)sizeof(member))
            return refuse_with(reading->error, reading->size, "%.64s...: there is no such setting",
                               member);
        if (!read_value(reading, member, item, &found))
            return false;
        if (found)
            continue;
        if (!enter(reading, member, item))
            return false;
    }
    return true;
}

bool settings_read(enum settings_document document, const struct conf *conf, unsigned shards,
                   const char *section, const cJSON *data, struct settings_wish *wish, char *error,
                   size_t size)
{
    struct reading reading = {document, conf, shards, wish, error, size};
    const cJSON *item;
    bool good = true;

    *wish = (struct settings_wish){0};
    if (!cJSON_IsObject(data))
        return refuse_with(error, size, "data: takes an object");
    cJSON_ArrayForEach(item, data)
    {
        if (section != NULL && strcmp(item->string, section) != 0)
            return refuse_with(error, size, "%.64s: this is the section %s alone", item->string,
                               section);
    }
    good = read_members(&reading, "", data);
    if (!good)
        settings_forget(wish);
    return good;
}

void settings_forget(struct settings_wish *wish)
{
    for (unsigned i = 0; i < wish->count; i++) {
        mem_free(wish->changes[i].member);
        mem_free(wish->changes[i].path);
        mem_free(wish->changes[i].value);
    }
    for (unsigned i = 0; i < wish->without_effect_count; i++)
        mem_free(wish->without_effect[i]);
    mem_free(wish->changes);
    mem_free(wish->without_effect);
    *wish = (struct settings_wish){0};
}
