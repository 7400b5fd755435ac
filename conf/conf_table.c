/* SPDX-License-Identifier: MIT
 *
 * conf_table - conf.def as an array, and the names of the choices.
 */
#include "conf/conf_priv.h"

#include <string.h>

#define PRESET_NUMBER(value)   NULL, value
#define PRESET_BOOL(value)     PRESET_NUMBER(value)
#define PRESET_COUNT(value)    PRESET_NUMBER(value)
#define PRESET_INTEGER(value)  PRESET_NUMBER(value)
#define PRESET_SIZE(value)     PRESET_NUMBER(value)
#define PRESET_DURATION(value) PRESET_NUMBER(value)
#define PRESET_FIXED(value)    PRESET_NUMBER(value)
#define PRESET_CHOICE(value)   PRESET_NUMBER(value)
#define PRESET_CHOICES(value)  PRESET_NUMBER(value)
#define PRESET_TEXT(value)     value, 0
#define PRESET_SECRET(value)   value, 0
#define PRESET_MAP(value)      value, 0
#define PRESET_HEADERS(value)  value, 0
#define PRESET_ADDRESS(value)  value, 0
#define PRESET_HOST(value)     value, 0

#define ROW(type, scope, kinds, kind, field, path, preset, least, most, unit, when, help)          \
    {path,                                                                                         \
     CONF_KIND_##kind,                                                                             \
     scope,                                                                                        \
     CONF_WHEN_##when,                                                                             \
     kinds,                                                                                        \
     offsetof(type, field),                                                                        \
     PRESET_##kind(preset),                                                                        \
     least,                                                                                        \
     most,                                                                                         \
     unit,                                                                                         \
     help},

#define KIND(name)    (1u << CONF_LISTENER_##name)
#define NETWORK_KINDS (KIND(TCP) | KIND(SSL) | KIND(WS) | KIND(WSS))
#define EVERY_KIND    (NETWORK_KINDS | KIND(UNIX))

const struct conf_row conf_rows[] = {
#define SECTION(name, help)                                                                        \
    {#name, CONF_KIND_SECTION, CONF_SCOPE_BROKER, CONF_WHEN_BOOT, 0, 0, NULL, 0, 0, 0, NULL, help},
#define OPTION(...)           ROW(struct conf, CONF_SCOPE_BROKER, 0, __VA_ARGS__)
#define SHARD_OPTION(...)     ROW(struct conf_shard, CONF_SCOPE_SHARD, 0, __VA_ARGS__)
#define LISTENER_ROW(...)     ROW(struct conf_listener, CONF_SCOPE_LISTENER, __VA_ARGS__)
#define LISTENER_OPTION(...)  LISTENER_ROW(EVERY_KIND, __VA_ARGS__)
#define NETWORK_OPTION(...)   LISTENER_ROW(NETWORK_KINDS, __VA_ARGS__)
#define UNIX_OPTION(...)      LISTENER_ROW(KIND(UNIX), __VA_ARGS__)
#define TLS_OPTION(...)       LISTENER_ROW(KIND(SSL) | KIND(WSS), __VA_ARGS__)
#define WEBSOCKET_OPTION(...) LISTENER_ROW(KIND(WS) | KIND(WSS), __VA_ARGS__)
#include "conf/conf.def"
};

const unsigned conf_row_count = ARRAY_LENGTH(conf_rows);

static const struct {
    const char *path, *value;
} shipped[] = {
#define SHIPPED(path, value) {path, value},
#include "conf/conf.def"
};

static const struct {
    const char *table;
    const char *names[8];
} choices[] = {
    {"queue_policy", {"drop_newest", "drop_oldest"}},
    {"shared_strategy", {"round_robin", "least_inflight", "sticky"}},
    {"log_level", {"fatal", "error", "warn", "info", "debug", "trace"}},
    {"log_format", {"text", "json"}},
    {"http_method", {"post", "get", "put"}},
    {"http_auth", {"basic", "no_auth", "jwt"}},
    {"jwt_secret", {"raw", "base64url"}},
    {"jwt_from", {"password", "username"}},
    {"no_match", {"auto", "allow", "deny"}},
    {"deny_action", {"ignore", "disconnect"}},
    {"tristate", {"auto", "true", "false"}},
    {"peer_username", {"none", "cn", "san", "subject"}},
    {"tls_version", {"tlsv1.2", "tlsv1.3"}},
    {"log_to", {"console", "file", "syslog", "journald"}},
};

const struct conf_row *conf_row_find(enum conf_scope scope, const char *path)
{
    for (unsigned i = 0; i < conf_row_count; i++) {
        const struct conf_row *row = &conf_rows[i];

        if (row->kind != CONF_KIND_SECTION && row->scope == scope && strcmp(row->path, path) == 0)
            return row;
    }
    return NULL;
}

bool conf_path_secret(const char *path)
{
    const struct conf_row *row = conf_row_find(CONF_SCOPE_BROKER, path);
    const char *name;
    bool secret;

    if (conf_user_path(path, &secret))
        return secret;
    if (row == NULL) {
        row = conf_map_row(path, &name);
        return row != NULL && !conf_map_shown(row, name);
    }
    return row->kind == CONF_KIND_SECRET || row->kind == CONF_KIND_HEADERS;
}

const char *conf_shipped(const struct conf_row *row)
{
    for (size_t i = 0; i < ARRAY_LENGTH(shipped); i++) {
        if (row->scope == CONF_SCOPE_BROKER && strcmp(shipped[i].path, row->path) == 0)
            return shipped[i].value;
    }
    return NULL;
}

const char *const *conf_choice_names(const char *table)
{
    for (size_t i = 0; i < ARRAY_LENGTH(choices); i++) {
        if (strcmp(choices[i].table, table) == 0)
            return choices[i].names;
    }
    UNREACHABLE("a row names a choice table that does not exist");
}
