/* SPDX-License-Identifier: MIT
 *
 * conf_legacy - NanoMQ's other keys, and the key that somebody may have meant.
 */
#include "conf/conf_priv.h"

#include "base/distance.h"

#include <string.h>

static const struct conf_legacy rows[] = {
#define RENAMED(path, option, unit)  {CONF_LEGACY_RENAMED, path, option, unit},
#define MOVED(path, block)           {CONF_LEGACY_MOVED, path, block, NULL},
#define SPLIT(path, address, port)   {CONF_LEGACY_SPLIT, path, address, port},
#define IGNORED(path, why)           {CONF_LEGACY_IGNORED, path, NULL, why},
#define ABSENT(path, harmless, what) {CONF_LEGACY_ABSENT, path, harmless, what},
#include "conf/conf_legacy.def"
};

const struct conf_legacy *conf_legacy_row(unsigned index)
{
    return index < ARRAY_LENGTH(rows) ? &rows[index] : NULL;
}

static bool covers(const struct conf_legacy *row, const char *path)
{
    size_t len = strlen(row->path);

    return strncmp(row->path, path, len) == 0 &&
           (path[len] == '\0' || (path[len] == '.' && (row->kind == CONF_LEGACY_ABSENT ||
                                                       row->kind == CONF_LEGACY_MOVED)));
}

const struct conf_legacy *conf_legacy_find(const char *path)
{
    const struct conf_legacy *best = NULL;

    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        if (covers(&rows[i], path) && (best == NULL || strlen(rows[i].path) > strlen(best->path)))
            best = &rows[i];
    }
    return best;
}

static const char *last_part(const char *path)
{
    const char *dot = strrchr(path, '.');

    return dot != NULL ? dot + 1 : path;
}

struct search {
    const char *path;
    char *to;
    size_t size;
    unsigned best;
};

static void consider(struct search *search, const char *candidate)
{
    unsigned far = text_distance(search->path, candidate);

    /* The right key in the wrong block, or in none. */
    if (far > 1 && strcmp(last_part(search->path), last_part(candidate)) == 0)
        far = 2;
    if (far < search->best) {
        search->best = far;
        snprintf(search->to, search->size, "%s", candidate);
    }
}

static bool is_number(const char *begin, const char *end)
{
    return begin != end && strspn(begin, "0123456789") == (size_t)(end - begin);
}

/* "shards.3." of "shards.3.cpus" as it stands; what a row of that scope begins with otherwise. */
static void scope_prefix(const struct conf_row *row, const char *path, char to[CONF_PATH_BYTES])
{
    unsigned kind = 0;
    char listeners[32];
    const char *root = listeners, *fallback = listeners, *dot;
    size_t len;

    /* the kind that the path names, if the option is one of it, else the first that has it */
    for (unsigned k = CONF_LISTENER_KINDS; row->scope == CONF_SCOPE_LISTENER && k-- > 0;) {
        snprintf(listeners, sizeof(listeners), "listeners.%s.",
                 conf_listener_kind_name((enum conf_listener_kind)k));
        if ((row->kinds >> k & 1) == 0)
            continue;
        kind = k;
        if (strncmp(path, listeners, strlen(listeners)) == 0)
            break;
    }
    snprintf(listeners, sizeof(listeners), "listeners.%s.",
             conf_listener_kind_name((enum conf_listener_kind)kind));
    if (row->scope == CONF_SCOPE_SHARD) {
        root = "shards.";
        fallback = "shards.default.";
    }
    len = strlen(root);

    snprintf(to, CONF_PATH_BYTES, "%s", row->scope == CONF_SCOPE_BROKER ? "" : fallback);
    if (row->scope == CONF_SCOPE_BROKER || strncmp(path, root, len) != 0)
        return;
    dot = strchr(path + len, '.');
    if (dot != NULL && (row->scope == CONF_SCOPE_LISTENER || is_number(path + len, dot)))
        snprintf(to, CONF_PATH_BYTES, "%.*s", (int)(dot - path) + 1, path);
}

bool conf_suggest(const char *path, char *to, size_t size)
{
    unsigned limit = (unsigned)strlen(path) / 3;
    struct search search = {
        .path = path, .to = to, .size = size, .best = (limit < 2 ? 2 : limit) + 1};

    to[0] = '\0';
    for (unsigned i = 0; i < conf_row_count; i++) {
        char prefix[CONF_PATH_BYTES], candidate[2 * CONF_PATH_BYTES];

        if (conf_rows[i].kind == CONF_KIND_SECTION)
            continue;
        scope_prefix(&conf_rows[i], path, prefix);
        snprintf(candidate, sizeof(candidate), "%s%s", prefix, conf_rows[i].path);
        if (strlen(candidate) < CONF_PATH_BYTES)
            consider(&search, candidate);
    }
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        if (rows[i].kind == CONF_LEGACY_RENAMED)
            consider(&search, rows[i].path);
    }
    return to[0] != '\0';
}
