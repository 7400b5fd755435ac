/* SPDX-License-Identifier: MIT
 *
 * conf_check - rules that concern more than one option.
 */
#include "conf/conf_priv.h"

#include <string.h>

#define SOCKET_PATH_MAX 107 /* sun_path, with its terminator */

static void check_paths(const struct conf *conf, struct conf_report *report)
{
    char control[1100], banned[1100];

    conf_control_socket(conf, control, sizeof(control));
    conf_banned_file(conf, banned, sizeof(banned));
    if (strlen(control) > SOCKET_PATH_MAX)
        conf_report_add(
            report,
            "the path of the control socket is longer than %d bytes: set control.socket "
            "to a shorter one",
            SOCKET_PATH_MAX);
    if (strchr(conf->log_file, '/') != NULL)
        conf_report_add(report, "log.file is the name of a file; its folder is log.dir");
    if (conf->system_daemon &&
        (conf->system_pid_file[0] != '/' || control[0] != '/' ||
         (conf->banned_keep && banned[0] != '/') ||
         (conf->log_dir[0] != '/' && (conf->log_to & 1u << CONF_LOG_TO_FILE) != 0)))
        conf_report_add(report, "with system.daemon, system.pid_file, control.socket, banned.file "
                                "and log.dir must begin with a slash");
}

static void check_sizes(const struct conf *conf, struct conf_report *report)
{
    for (unsigned i = 0; i < CONF_SHARDS_MAX; i++) {
        const struct conf_shard *shard = &conf->shards[i];

        if ((uint64_t)shard->receive_buffers * shard->receive_buffer_size > UINT32_MAX) {
            conf_report_add(report, "the receive buffers of shard %u would take more than 4GB", i);
            return;
        }
    }
}

/* Whoever reaches the API controls the broker. */
static void check_http(const struct conf *conf, struct conf_report *report)
{
    const struct conf_row *password = conf_row_find(CONF_SCOPE_BROKER, "http_server.password");
    const char *host = conf->http_server_ip_addr.host;

    if (strchr(conf->http_server_username, ':') != NULL)
        conf_report_add(report, "http_server.username must not have a colon: Basic authentication "
                                "has no place for it");
    if (conf->http_server_keyfile[0] != '\0' && conf->http_server_certfile[0] == '\0')
        conf_report_add(report, "http_server.keyfile has no use without http_server.certfile");
    if (conf->http_server_enable && conf->http_server_auth_type == CONF_HTTP_AUTH_JWT &&
        conf->http_server_jwt_public_keyfile[0] == '\0')
        conf_report_add(report, "http_server.auth_type = jwt needs http_server.jwt.public.keyfile, "
                                "the key that tokens are verified with");
    if (!conf->http_server_enable || conf_address_loopback(&conf->http_server_ip_addr))
        return;
    if (conf->http_server_auth_type == CONF_HTTP_AUTH_NONE) {
        if (!conf->http_server_allow_remote_no_auth)
            conf_report_add(
                report,
                "http_server.auth_type = no_auth would let everybody control the broker "
                "who can reach %s: set http_server.auth_type = basic with a password, "
                "or http_server.ip_addr = 127.0.0.1, or, if it is meant, "
                "http_server.allow_remote_no_auth = true",
                host);
    } else if (conf->http_server_auth_type == CONF_HTTP_AUTH_BASIC &&
               strcmp(conf->http_server_password, password->preset_text) == 0) {
        conf_report_add(
            report,
            "http_server.password is the default one, which everybody knows, and other "
            "machines can reach http_server.ip_addr %s: set http_server.password to one "
            "of your own, or http_server.ip_addr = 127.0.0.1",
            host);
    }
}

/* What stands in braces and is no client's would be taken for text that no claim has: nobody could come in. */
static void check_claim(const struct conf *conf, const char *name, const char *value,
                        struct conf_report *report)
{
    static const char client[] = "${clientid}", user[] = "${username}";

    for (const char *at = strstr(value, "${"); at != NULL; at = strstr(at + 1, "${")) {
        bool is_user = strncmp(at, user, strlen(user)) == 0;

        if (!is_user && strncmp(at, client, strlen(client)) != 0)
            conf_report_add(report,
                            "auth.jwt.verify_claims.%s: %.20s is neither ${clientid} nor "
                            "${username}",
                            name, at);
        else if (is_user && conf->auth_jwt_from == CONF_JWT_FROM_USERNAME)
            conf_report_add(report,
                            "auth.jwt.verify_claims.%s: with auth.jwt.from = username, "
                            "${username} would be the token itself",
                            name);
    }
}

static void check_claims(const struct conf *conf, struct conf_report *report)
{
    const char *claims = conf->auth_jwt_verify_claims;
    char name[CONF_MAP_NAME_BYTES], value[CONF_VALUE_BYTES];

    while (conf_map_next(&claims, name, value))
        check_claim(conf, name, value, report);
}

/* A rule without a key would be a lock without a door: it would look as if somebody were kept out. */
static void check_jwt(const struct conf *conf, struct conf_report *report)
{
    bool has_key = conf->auth_jwt_secret_file[0] != '\0' || conf->auth_jwt_public_key[0] != '\0' ||
                   conf->auth_jwt_jwks_file[0] != '\0';

    if (!has_key &&
        (conf->auth_jwt_issuer[0] != '\0' || conf->auth_jwt_audience[0] != '\0' ||
         conf->auth_jwt_superuser_claim[0] != '\0' || conf->auth_jwt_verify_claims[0] != '\0'))
        conf_report_add(report, "auth.jwt needs a key: set auth.jwt.secret_file, "
                                "auth.jwt.public_key or auth.jwt.jwks_file");
    if (has_key && conf->auth_jwt_from == CONF_JWT_FROM_USERNAME &&
        conf->auth_jwt_username_claim[0] == '\0')
        conf_report_add(report, "with auth.jwt.from = username, auth.jwt.username_claim must say "
                                "what the user name is: the token itself cannot be");
    check_claims(conf, report);
}

bool conf_check(const struct conf *conf, char *errors, size_t size)
{
    struct conf_report report;

    conf_report_begin(&report, errors, size);
    conf_listeners_check(conf, &report);
    conf_plugins_check(conf, &report);
    check_paths(conf, &report);
    check_sizes(conf, &report);
    check_http(conf, &report);
    check_jwt(conf, &report);
    conf_auth_check(conf, &report);
    conf_report_end(&report);
    return report.count == 0;
}
