/* SPDX-License-Identifier: MIT
 *
 * conf_reload - what differs between two configurations, and which of it waits for the next start.
 */
#include "conf/conf_priv.h"

#include <string.h>

struct comparison {
    conf_difference *applied, *restart;
    void *argument;
    unsigned count;
};

static void tell(struct comparison *comparison, enum conf_when when, const char *path,
                 const char *running, const char *wanted)
{
    conf_difference *listener =
        when == CONF_WHEN_RELOAD ? comparison->applied : comparison->restart;

    comparison->count++;
    if (listener != NULL)
        listener(comparison->argument, path, running, wanted);
}

/* All rows of one scope; `prefix` ends in a dot or is empty. */
static void compare(struct comparison *comparison, enum conf_scope scope, unsigned kinds,
                    const char *prefix, const void *running, const void *wanted)
{
    for (unsigned i = 0; i < conf_row_count; i++) {
        const struct conf_row *row = &conf_rows[i];
        char path[2 * CONF_PATH_BYTES], before[CONF_VALUE_BYTES], after[CONF_VALUE_BYTES];

        if (row->kind == CONF_KIND_SECTION || row->scope != scope ||
            (row->kinds & kinds) != kinds || conf_value_equal(row, running, wanted))
            continue;
        snprintf(path, sizeof(path), "%s%s", prefix, row->path);
        conf_value_format(row, running, before, sizeof(before));
        conf_value_format(row, wanted, after, sizeof(after));
        tell(comparison, row->when, path, before, after);
    }
}

static bool same_shard(const struct conf_shard *a, const struct conf_shard *b)
{
    for (unsigned i = 0; i < conf_row_count; i++) {
        if (conf_rows[i].scope == CONF_SCOPE_SHARD && !conf_value_equal(&conf_rows[i], a, b))
            return false;
    }
    return true;
}

/* A shard that followed shards.default before and still does is not told of again. */
static void compare_shards(struct comparison *comparison, const struct conf *running,
                           const struct conf *wanted)
{
    compare(comparison, CONF_SCOPE_SHARD, 0, "shards.default.", &running->shard_default,
            &wanted->shard_default);
    for (unsigned i = 0; i < CONF_SHARDS_MAX; i++) {
        char prefix[32];

        if (same_shard(&running->shards[i], &running->shard_default) &&
            same_shard(&wanted->shards[i], &wanted->shard_default))
            continue;
        snprintf(prefix, sizeof(prefix), "shards.%u.", i);
        compare(comparison, CONF_SCOPE_SHARD, 0, prefix, &running->shards[i], &wanted->shards[i]);
    }
}

static void compare_listeners(struct comparison *comparison, const struct conf *running,
                              const struct conf *wanted)
{
    char path[2 * CONF_PATH_BYTES];

    for (unsigned i = 0; i < running->listener_count; i++) {
        const struct conf_listener *one = &running->listeners[i];
        const struct conf_listener *other = conf_listener_find(wanted, one->name);

        if (other == NULL) {
            snprintf(path, sizeof(path), "listeners.%s", one->name);
            tell(comparison, CONF_WHEN_RELOAD, path, "present", "absent");
            continue;
        }
        snprintf(path, sizeof(path), "listeners.%s.", one->name);
        compare(comparison, CONF_SCOPE_LISTENER, 1u << one->kind, path, one, other);
    }
    for (unsigned i = 0; i < wanted->listener_count; i++) {
        if (conf_listener_find(running, wanted->listeners[i].name) == NULL) {
            snprintf(path, sizeof(path), "listeners.%s", wanted->listeners[i].name);
            tell(comparison, CONF_WHEN_RELOAD, path, "absent", "present");
        }
    }
}

static void compare_plugins(struct comparison *comparison, const struct conf *running,
                            const struct conf *wanted)
{
    char before[CONF_VALUE_BYTES], after[CONF_VALUE_BYTES];

    if (conf_plugins_differ(running, wanted, before, after, sizeof(before)))
        tell(comparison, CONF_WHEN_BOOT, "plugins", before, after);
}

unsigned conf_diff_reload(const struct conf *running, const struct conf *wanted,
                          conf_difference *applied, conf_difference *restart, void *argument)
{
    struct comparison comparison = {.applied = applied, .restart = restart, .argument = argument};

    compare(&comparison, CONF_SCOPE_BROKER, 0, "", running, wanted);
    if (!conf_acl_equal(running, wanted))
        tell(&comparison, CONF_WHEN_RELOAD, "auth.acl.rules", "other rules", "these rules");
    if (!conf_users_equal(running, wanted))
        tell(&comparison, CONF_WHEN_RELOAD, "auth.password", CONF_SECRET_SHOWN, CONF_SECRET_SHOWN);
    compare_shards(&comparison, running, wanted);
    compare_listeners(&comparison, running, wanted);
    compare_plugins(&comparison, running, wanted);
    return comparison.count;
}

void conf_keep_boot(const struct conf *running, struct conf *wanted)
{
    for (unsigned i = 0; i < conf_row_count; i++) {
        const struct conf_row *row = &conf_rows[i];

        if (row->kind != CONF_KIND_SECTION && row->scope == CONF_SCOPE_BROKER &&
            row->when == CONF_WHEN_BOOT)
            conf_value_copy(row, wanted, running);
    }
    /* All options of shards are BOOT, and none is a text of its own. */
    wanted->shard_default = running->shard_default;
    memcpy(wanted->shards, running->shards, sizeof(wanted->shards));
    /* All options of listeners are RELOAD. */
    conf_plugins_copy(wanted, running);
}
