/* SPDX-License-Identifier: MIT
 *
 * conf_map - options whose members the user names: the headers and parameters of a request.
 *
 *   params = {clientid = "%c", username = "%u"}     a block: one entry for each member, conf_map_set()
 *   params = "clientid=%c,username=%u"              the old form, and what the environment has: conf_map_parse()
 *
 * The field holds the second form, with the members in the order in which they were named first: "a=b, c=d". A comma
 * or a backslash in a value has a backslash in front of it.
 */
#include "base/mem.h"
#include "conf/conf_priv.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

/* What of headers may be seen: others hold credentials. */
static const char *const shown[] = {"accept", "content-type", "user-agent"};

bool conf_map_next(const char **map, char *name, char *value)
{
    const char *at = *map + strspn(*map, ", \t");
    size_t name_len = strcspn(at, "="), len = 0;

    if (*at == '\0' || name_len >= CONF_MAP_NAME_BYTES || at[name_len] == '\0')
        return false;
    memcpy(name, at, name_len);
    name[name_len] = '\0';
    for (at += name_len + 1; *at != '\0' && *at != ','; at++) {
        at += *at == '\\' && at[1] != '\0';
        if (len + 1 >= CONF_VALUE_BYTES)
            return false;
        value[len++] = *at;
    }
    value[len] = '\0';
    *map = at;
    return true;
}

static bool name_good(const char *name)
{
    for (const char *at = name; *at != '\0'; at++)
        if (*at <= ' ' || *at > '~' || strchr(",=\\\"", *at) != NULL)
            return false;
    return *name != '\0' && strlen(name) < CONF_MAP_NAME_BYTES;
}

/* A header's value must not begin another one, or the body. */
static bool value_good(const char *value)
{
    for (; *value != '\0'; value++)
        if ((unsigned char)*value < ' ' || *value == 0x7f)
            return false;
    return true;
}

bool conf_map_append(char *to, size_t size, const char *name, const char *value)
{
    size_t used = strlen(to);

    used += (size_t)snprintf(to + used, size - used, "%s%s=", used > 0 ? ", " : "", name);
    for (; *value != '\0' && used + 3 < size; value++) {
        if (*value == ',' || *value == '\\')
            to[used++] = '\\';
        to[used++] = *value;
    }
    if (used >= size || *value != '\0')
        return false;
    to[used] = '\0';
    return true;
}

bool conf_map_set(const struct conf_row *row, const char *name, const char *value, void *object,
                  char *error, size_t size)
{
    char **field = (char **)(void *)((char *)object + row->offset);
    char made[CONF_VALUE_BYTES] = "", other[CONF_MAP_NAME_BYTES], old[CONF_VALUE_BYTES];
    const char *map = *field;
    bool found = false, fits = true;

    if (!name_good(name))
        return refuse_with(error, size,
                           "a name has 1 to %u visible characters, none of , = \\ and \"",
                           CONF_MAP_NAME_BYTES - 1);
    if (row->kind == CONF_KIND_HEADERS && strcmp(value, CONF_SECRET_SHOWN) == 0)
        return refuse_with(error, size,
                           "*** stands for a value that was not shown; give the value itself");
    if (!value_good(value))
        return refuse_with(error, size, "a value must not have control characters");
    while (fits && conf_map_next(&map, other, old)) {
        bool same = strcasecmp(other, name) == 0;

        found = found || same;
        fits = conf_map_append(made, sizeof(made), other, same ? value : old);
    }
    if (fits && !found)
        fits = conf_map_append(made, sizeof(made), name, value);
    if (!fits || (int64_t)strlen(made) > row->most)
        return refuse_with(error, size, "must not be longer than %" PRId64 " bytes, all together",
                           row->most);
    mem_free(*field);
    *field = mem_strdup(made);
    return true;
}

/* Blanks around a name and a value of the written form are none of theirs. */
static char *trimmed(char *text)
{
    size_t len;

    text += strspn(text, " \t");
    len = strlen(text);
    while (len > 0 && (text[len - 1] == ' ' || text[len - 1] == '\t'))
        text[--len] = '\0';
    return text;
}

bool conf_map_parse(const struct conf_row *row, const char *text, void *object, char *error,
                    size_t size)
{
    char **field = (char **)(void *)((char *)object + row->offset);
    char *former = *field, name[CONF_MAP_NAME_BYTES], value[CONF_VALUE_BYTES];
    bool good = true;

    *field = mem_strdup("");
    while (good && conf_map_next(&text, name, value))
        good = conf_map_set(row, trimmed(name), trimmed(value), object, error, size);
    if (good && text[strspn(text, ", \t")] != '\0')
        good = refuse_with(error, size, "takes a block, or names and values as \"a=b, c=d\"");
    if (!good) {
        mem_free(*field);
        *field = former;
    } else {
        mem_free(former);
    }
    return good;
}

bool conf_map_shown(const struct conf_row *row, const char *name)
{
    if (row->kind != CONF_KIND_HEADERS)
        return true;
    for (size_t i = 0; i < ARRAY_LENGTH(shown); i++)
        if (strcasecmp(shown[i], name) == 0)
            return true;
    return false;
}

void conf_map_format(const struct conf_row *row, const void *object, char *to, size_t size)
{
    const char *map = *(char *const *)(const void *)((const char *)object + row->offset);
    char name[CONF_MAP_NAME_BYTES], value[CONF_VALUE_BYTES];

    to[0] = '\0';
    while (conf_map_next(&map, name, value))
        conf_map_append(to, size, name, conf_map_shown(row, name) ? value : CONF_SECRET_SHOWN);
}

const struct conf_row *conf_map_row(const char *path, const char **name)
{
    for (unsigned i = 0; i < conf_row_count; i++) {
        const struct conf_row *row = &conf_rows[i];
        size_t len = strlen(row->path);

        if ((row->kind == CONF_KIND_MAP || row->kind == CONF_KIND_HEADERS) &&
            strncmp(row->path, path, len) == 0 && path[len] == '.') {
            *name = path + len + 1;
            return row;
        }
    }
    return NULL;
}
