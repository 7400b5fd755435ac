/* SPDX-License-Identifier: MIT
 *
 * conf_env - the environment: SHARDMQ_ and an option's path in capitals with underscores, and NanoMQ's variables.
 * NanoMQ reads its variables before the file; here they prevail over it, as containers need it.
 */
#include "base/mem.h"
#include "conf/conf_priv.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* Variables that have no option's name. A NULL path: not for conf (the file to read, for example). */
static const struct {
    const char *name, *path;
} variables[] = {
    {"SHARDMQ_CONF_PATH", NULL},
    {"SHARDMQ_AUTH_CONF_PATH", NULL},
    {"NANOMQ_AUTH_CONF_PATH", NULL},
    {"SHARDMQ_LISTENERS", NULL}, /* the open sockets at a restart: shards/listener.c */
    {"SHARDMQ_PID_FILE", "system.pid_file"},
    {"NANOMQ_PID_FILE", "system.pid_file"},
    {"NANOMQ_BROKER_URL", "url"},
    {"NANOMQ_TCP_ENABLE", "listeners.tcp.enable"},
    {"NANOMQ_DAEMON", "daemon"},
    {"NANOMQ_NUM_TASKQ_THREAD", "num_taskq_thread"},
    {"NANOMQ_MAX_TASKQ_THREAD", "max_taskq_thread"},
    {"NANOMQ_PARALLEL", "parallel"},
    {"NANOMQ_PROPERTY_SIZE", "property_size"},
    {"NANOMQ_MSQ_LEN", "msq_len"},
    {"NANOMQ_QOS_DURATION", "qos_duration"},
    {"NANOMQ_MAX_PACKET_SIZE", "max_packet_size"},
    {"NANOMQ_CLIENT_MAX_PACKET_SIZE", "client_max_packet_size"},
    {"NANOMQ_ALLOW_ANONYMOUS", "allow_anonymous"},
    {"NANOMQ_LOG_LEVEL", "log.level"},
    {"NANOMQ_LOG_TO", "log.to"},
    {"NANOMQ_LOG_DIR", "log.dir"},
    {"NANOMQ_LOG_FILE", "log.file"},
    {"NANOMQ_LOG_UDS_ADDR", "log.uds_addr"},
    {"NANOMQ_LOG_ROTATION_SIZE", "log.rotation.size"},
    {"NANOMQ_LOG_ROTATION_COUNT", "log.rotation.count"},
    {"NANOMQ_WEBSOCKET_ENABLE", "websocket.enable"},
    {"NANOMQ_WEBSOCKET_URL", "websocket.url"},
    {"NANOMQ_WEBSOCKET_TLS_ENABLE", "listeners.wss.enable"},
    {"NANOMQ_WEBSOCKET_TLS_URL", "listeners.wss.bind"},
    {"NANOMQ_HTTP_SERVER_ENABLE", "http_server.enable"},
    {"NANOMQ_HTTP_SERVER_PORT", "http_server.port"},
    {"NANOMQ_HTTP_SERVER_URL", "http_server.url"},
    {"NANOMQ_HTTP_SERVER_USERNAME", "http_server.username"},
    {"NANOMQ_HTTP_SERVER_PASSWORD", "http_server.password"},
    {"NANOMQ_HTTP_SERVER_PARALLEL", "http_server.parallel"},
    {"NANOMQ_HTTP_SERVER_AUTH_TYPE", "http_server.auth_type"},
    {"NANOMQ_HTTP_SERVER_JWT_PUBLIC_KEYFILE", "http_server.jwt.public.keyfile"},
    {"NANOMQ_HTTP_SERVER_JWT_PRIVATE_KEYFILE", "http_server.jwt.private.keyfile"},
    {"NANOMQ_TLS_ENABLE", "tls.enable"},
    {"NANOMQ_TLS_URL", "tls.url"},
    {"NANOMQ_TLS_CA_CERT_PATH", "tls.cacertfile"},
    {"NANOMQ_TLS_CERT_PATH", "tls.certfile"},
    {"NANOMQ_TLS_KEY_PATH", "tls.keyfile"},
    {"NANOMQ_TLS_KEY_PASSWORD", "tls.key_password"},
    {"NANOMQ_TLS_VERIFY_PEER", "tls.verify_peer"},
    {"NANOMQ_TLS_FAIL_IF_NO_PEER_CERT", "tls.fail_if_no_peer_cert"},
    {"SHARDMQ_AUTH_ACL_RULES", "auth.acl.rules"}, /* JSON */
};

/* True when `name` (after SHARDMQ_) is `path` in capitals with underscores, from its place `from` on. */
static bool names_path(const char *name, const char *path)
{
    for (; *path != '\0'; path++, name++) {
        if (*name != (*path == '.' ? '_' : toupper((unsigned char)*path)))
            return false;
    }
    return *name == '\0';
}

/* "SHARDS_<n>_CPU" or "SHARDS_DEFAULT_CPU". */
static bool shard_path(const char *name, char path[CONF_PATH_BYTES])
{
    char number[16] = "default";
    size_t len = strspn(name + strlen("SHARDS_"), "0123456789");
    const char *rest;

    if (len > 0 && len < sizeof(number)) {
        memcpy(number, name + strlen("SHARDS_"), len);
        number[len] = '\0';
    } else if (strncmp(name, "SHARDS_DEFAULT_", strlen("SHARDS_DEFAULT_")) == 0) {
        len = strlen("DEFAULT");
    }
    rest = name + strlen("SHARDS_") + len;
    if (len == 0 || *rest++ != '_')
        return false;
    for (unsigned i = 0; i < conf_row_count; i++) {
        if (conf_rows[i].scope == CONF_SCOPE_SHARD && names_path(rest, conf_rows[i].path)) {
            snprintf(path, CONF_PATH_BYTES, "shards.%s.%s", number, conf_rows[i].path);
            return true;
        }
    }
    return false;
}

/* "LISTENERS_TCP_BIND"; the names of further listeners cannot be told from those of options. */
static bool listener_path(const char *name, char path[CONF_PATH_BYTES])
{
    for (unsigned i = 0; i < CONF_LISTENER_KINDS * conf_row_count; i++) {
        const struct conf_row *row = &conf_rows[i / CONF_LISTENER_KINDS];
        unsigned kind = i % CONF_LISTENER_KINDS;

        if (row->scope != CONF_SCOPE_LISTENER || (row->kinds >> kind & 1) == 0)
            continue;
        snprintf(path, CONF_PATH_BYTES, "listeners.%s.%s",
                 conf_listener_kind_name((enum conf_listener_kind)kind), row->path);
        if (names_path(name, path))
            return true;
    }
    return false;
}

/* The option that SHARDMQ_<name> is for. */
static bool option_path(const char *name, char path[CONF_PATH_BYTES])
{
    for (unsigned i = 0; i < conf_row_count; i++) {
        const struct conf_row *row = &conf_rows[i];

        if (row->kind != CONF_KIND_SECTION && row->scope == CONF_SCOPE_BROKER &&
            names_path(name, row->path)) {
            snprintf(path, CONF_PATH_BYTES, "%s", row->path);
            return true;
        }
    }
    if (strncmp(name, "SHARDS_", strlen("SHARDS_")) == 0)
        return shard_path(name, path);
    if (strncmp(name, "LISTENERS_", strlen("LISTENERS_")) == 0)
        return listener_path(name, path);
    return false;
}

/* What a container platform sets for a service of the name "shardmq" is not meant for the broker. */
static bool set_by_a_platform(const char *name)
{
    return strncmp(name, "SHARDMQ_SERVICE_", 16) == 0 || strncmp(name, "SHARDMQ_PORT", 12) == 0;
}

/* 1: `path` is the option's; 0: the variable is none of ours; -1: it looks like ours and is unknown. */
static int variable_path(const char *name, char path[CONF_PATH_BYTES])
{
    for (size_t i = 0; i < ARRAY_LENGTH(variables); i++) {
        if (strcmp(variables[i].name, name) == 0) {
            if (variables[i].path == NULL)
                return 0;
            snprintf(path, CONF_PATH_BYTES, "%s", variables[i].path);
            return 1;
        }
    }
    if (strncmp(name, "SHARDMQ_", 8) != 0 || set_by_a_platform(name))
        return 0;
    return option_path(name + 8, path) ? 1 : -1;
}

/* Ours before NanoMQ's is what the order of the two passes is for: a later entry prevails. */
static void take(struct conf_loader *loader, const char *variable, const char *prefix)
{
    const char *equals = strchr(variable, '=');
    char name[CONF_PATH_BYTES], path[CONF_PATH_BYTES], where[CONF_PATH_BYTES + 32];
    int known;

    if (equals == NULL || equals[1] == '\0' || (size_t)(equals - variable) >= sizeof(name) ||
        strncmp(variable, prefix, strlen(prefix)) != 0)
        return;
    memcpy(name, variable, (size_t)(equals - variable));
    name[equals - variable] = '\0';
    known = variable_path(name, path);
    if (known < 0)
        conf_warn(loader, "environment variable %s: there is no such option; it has no effect",
                  name);
    if (known <= 0)
        return;
    snprintf(where, sizeof(where), "environment variable %s", name);
    conf_entry_add(loader, &(struct conf_entry){.path = path,
                                                .value = (char *)(uintptr_t)(equals + 1),
                                                .layer = CONF_LAYER_ENVIRONMENT,
                                                .where = where});
}

void conf_entries_from_environment(struct conf_loader *loader, char *const *environment)
{
    for (size_t i = 0; environment[i] != NULL; i++)
        take(loader, environment[i], "NANOMQ_");
    for (size_t i = 0; environment[i] != NULL; i++)
        take(loader, environment[i], "SHARDMQ_");
}
