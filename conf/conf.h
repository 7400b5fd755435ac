/* SPDX-License-Identifier: MIT
 *
 * conf - the configuration: reading, validating, printing and comparing it. It knows no module.
 *
 * Class: boot. conf_load() makes one, nobody changes it; a reload makes another. All of it follows
 * from the table conf.def: the field of an option is its path with underscores, a duration is in
 * milliseconds and its field ends in _ms, a size is in bytes, a fixed-point number is in
 * thousandths.
 */
#ifndef SHARDMQ_CONF_CONF_H
#define SHARDMQ_CONF_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define CONF_SHARDS_MAX     62
#define CONF_LISTENERS_MAX  64
#define CONF_PLUGINS_MAX    16
#define CONF_URL_PATH_BYTES 128           /* with its terminator */
#define CONF_UNIX_PATH_MAX  107           /* what the kernel takes */
#define CONF_HTTP_LISTENER  "http_server" /* the name of the API's listener */
#define CONF_MAP_NAME_BYTES 64            /* with its terminator */
#define CONF_VALUE_BYTES    1200          /* any value as text, with its terminator */

enum conf_queue_policy { CONF_QUEUE_POLICY_DROP_NEWEST, CONF_QUEUE_POLICY_DROP_OLDEST };

enum conf_shared_strategy {
    CONF_SHARED_STRATEGY_ROUND_ROBIN,
    CONF_SHARED_STRATEGY_LEAST_INFLIGHT,
    CONF_SHARED_STRATEGY_STICKY
};

/* In the order of enum log_level (base/log.h). */
enum conf_log_level {
    CONF_LOG_LEVEL_FATAL,
    CONF_LOG_LEVEL_ERROR,
    CONF_LOG_LEVEL_WARN,
    CONF_LOG_LEVEL_INFO,
    CONF_LOG_LEVEL_DEBUG,
    CONF_LOG_LEVEL_TRACE
};

enum conf_log_format { CONF_LOG_FORMAT_TEXT, CONF_LOG_FORMAT_JSON };

/* Bit numbers in log_to. */
enum conf_log_to {
    CONF_LOG_TO_CONSOLE,
    CONF_LOG_TO_FILE,
    CONF_LOG_TO_SYSLOG,
    CONF_LOG_TO_JOURNALD
};

enum conf_http_method { CONF_HTTP_METHOD_POST, CONF_HTTP_METHOD_GET, CONF_HTTP_METHOD_PUT };

enum conf_http_auth { CONF_HTTP_AUTH_BASIC, CONF_HTTP_AUTH_NONE, CONF_HTTP_AUTH_JWT };

/* In the order of enum jwt_secret_form (auth/jwt_keys.h). */
enum conf_jwt_secret { CONF_JWT_SECRET_RAW, CONF_JWT_SECRET_BASE64URL };

enum conf_jwt_from { CONF_JWT_FROM_PASSWORD, CONF_JWT_FROM_USERNAME };

/* In the order of their names in conf_listener.c. */
enum conf_listener_kind {
    CONF_LISTENER_TCP,
    CONF_LISTENER_SSL,
    CONF_LISTENER_WS,
    CONF_LISTENER_WSS,
    CONF_LISTENER_UNIX
};

/* A listener's kind is a set of two: what is spoken below MQTT. */
#define CONF_LISTENER_IS_TLS(kind)       ((kind) == CONF_LISTENER_SSL || (kind) == CONF_LISTENER_WSS)
#define CONF_LISTENER_IS_WEBSOCKET(kind) ((kind) == CONF_LISTENER_WS || (kind) == CONF_LISTENER_WSS)

enum conf_peer_username {
    CONF_PEER_USERNAME_NONE,
    CONF_PEER_USERNAME_CN,
    CONF_PEER_USERNAME_SAN,
    CONF_PEER_USERNAME_SUBJECT
};

enum conf_no_match { CONF_NO_MATCH_AUTO, CONF_NO_MATCH_ALLOW, CONF_NO_MATCH_DENY };

enum conf_deny_action { CONF_DENY_ACTION_IGNORE, CONF_DENY_ACTION_DISCONNECT };

/* "auto": what the rest of the configuration makes of it. */
enum conf_tristate { CONF_TRISTATE_AUTO, CONF_TRISTATE_TRUE, CONF_TRISTATE_FALSE };

enum conf_tls_version { CONF_TLS_VERSION_TLSV1_2, CONF_TLS_VERSION_TLSV1_3 };

/* A numeric address without brackets, and a port (0 in an option of the kind HOST, which has none); or the path of a UNIX
 * socket, and an empty host. */
struct conf_address {
    char host[46]; /* INET6_ADDRSTRLEN */
    uint16_t port;
    bool ipv6;
    char path
        [CONF_URL_PATH_BYTES]; /* of a WebSocket listener, with its slash, or of a UNIX socket; else empty */
    char scheme[12];           /* as it was written: "nmq-tcp"; mostly empty */
};

/* The C type of each kind of option. */
#define CONF_TYPE_BOOL     bool
#define CONF_TYPE_COUNT    uint32_t
#define CONF_TYPE_INTEGER  int32_t
#define CONF_TYPE_SIZE     uint64_t
#define CONF_TYPE_DURATION uint64_t
#define CONF_TYPE_FIXED    uint32_t /* thousandths */
#define CONF_TYPE_CHOICE   uint8_t  /* an enum above */
#define CONF_TYPE_CHOICES  uint32_t /* a bit for each constant of an enum above */
#define CONF_TYPE_TEXT     char *   /* never NULL */
#define CONF_TYPE_SECRET   char *   /* never NULL; conf_dump() and the others print "***" */
#define CONF_TYPE_MAP      char *   /* never NULL; read it with conf_map_next() */
#define CONF_TYPE_HEADERS  char *   /* the same; outputs print "***" for most of its values */
#define CONF_TYPE_ADDRESS  struct conf_address
#define CONF_TYPE_HOST     struct conf_address

/* The options of one shard; those of shards.default where it has none of its own. */
struct conf_shard {
#define SHARD_OPTION(kind, field, path, preset, least, most, unit, when, help)                     \
    CONF_TYPE_##kind field;
#include "conf/conf.def"
};

struct conf_listener {
    char *name; /* "ssl" for listeners.ssl itself, else "ssl.<name>" */
    enum conf_listener_kind kind;
#define LISTENER_OPTION(kind, field, path, preset, least, most, unit, when, help)                  \
    CONF_TYPE_##kind field;
#define NETWORK_OPTION   LISTENER_OPTION
#define UNIX_OPTION      LISTENER_OPTION
#define TLS_OPTION       LISTENER_OPTION
#define WEBSOCKET_OPTION LISTENER_OPTION
#include "conf/conf.def"
};

/* One of auth.acl.rules, as it was written. */
struct conf_acl_rule {
    char *text;      /* JSON; numbers and words that had no quotes are texts too */
    char *where;     /* "file:line" */
    unsigned number; /* of acl.rule.<n>; 0: of a list */
};

struct conf_pair {
    char *key, *value;
};

/* plugins.<name> */
struct conf_plugin {
    char *name;
    char *path;
    struct conf_pair *pairs; /* of its block `config`, in the order of the file; shown nowhere */
    unsigned pair_count;
};

/* One who stands in the configuration itself. */
struct conf_user {
    char *name, *password; /* neither is NULL when conf_check() found nothing */
    char *where;           /* "file:line" */
    unsigned number;       /* of auth.<n>.login; 0: a member of auth.password */
};

/* A file in memory: UTF-8 without U+0000, terminated. */
struct conf_text {
    char *path;
    char *text;
};

struct conf_files {
    const struct conf_text *texts;
    size_t count;
};

enum conf_form { CONF_FORM_DETECT, CONF_FORM_HOCON, CONF_FORM_KEY_VALUE };

struct conf {
#define OPTION(kind, field, path, preset, least, most, unit, when, help) CONF_TYPE_##kind field;
#include "conf/conf.def"
    struct conf_shard shard_default;
    struct conf_shard shards[CONF_SHARDS_MAX]; /* complete: read them with conf_shard() */
    struct conf_listener *listeners;           /* disabled ones included */
    unsigned listener_count;
    struct conf_acl_rule *acl_rules; /* in the order in which they are to be asked */
    unsigned acl_rule_count;
    struct conf_plugin *plugins; /* in the order in which they are asked */
    unsigned plugin_count;
    struct conf_user *users; /* in the order in which they were named */
    unsigned user_count;
    /* Sentences, each ended by a line feed: keys without effect, duplicates. To be logged at start;
     * never NULL. */
    char *warnings;
    /* The file that it was read from, or NULL, and the form it was said to have. */
    char *file;
    enum conf_form form;
    /* What it and the files that it includes held. */
    struct conf_files files;
};

/* One option from outside of the file: the command line. */
struct conf_override {
    const char *path;  /* "mqtt.max_qos", or "url" for a listener */
    const char *value; /* as in a file, without quotes */
    const char *where; /* for messages: "--msq_len" */
};

/* Where a configuration comes from; later members prevail over earlier ones, and all over the
 * defaults. */
struct conf_source {
    const char *file; /* NULL: none */
    enum conf_form form;
    const char *users_file; /* NanoMQ's file of auth.<n>.login and auth.<n>.password; NULL: none */
    /* What the file and those that it includes hold: no other file can then be read. NULL: as they are on the disk. */
    const struct conf_files *files;
    char *const *environment; /* "NAME=value" strings ended by NULL, or NULL */
    const struct conf_override *overrides;
    size_t override_count;
    const struct conf_override *changes; /* made while the broker ran */
    size_t change_count;
};

/* Reads, checks and returns a configuration, which the caller owns (conf_free), or returns NULL and
 * writes every error that it found to `errors`, one sentence a line with file:line, always
 * terminated. */
struct conf *conf_load(const struct conf_source *source, char *errors, size_t size);

/* NULL is ignored. */
void conf_free(struct conf *conf);

/* Whether there is an option of that path, or an old name of one, and it takes that value; if not, a sentence that
 * begins with the path is in `error`. */
bool conf_option_check(const char *path, const char *value, char *error, size_t size);

/* Writes the value of one option as the file would have it, without quotes; of a secret, stars. False when there is no
 * option of that path. */
bool conf_option_get(const struct conf *conf, const char *path, char *to, size_t size);

/* The bytes of a size as files have it, "10MB"; 0 when it is none. */
uint64_t conf_size_bytes(const char *text);

/* The milliseconds of a time as files have it, "10s"; 0 when it is none. */
uint64_t conf_duration_ms(const char *text);

/* The options of shard `index`, below CONF_SHARDS_MAX. */
const struct conf_shard *conf_shard(const struct conf *conf, unsigned index);

/* Rules over several options. Writes a sentence a line to `errors`; true when there is none.
 * conf_load() has done it. */
bool conf_check(const struct conf *conf, char *errors, size_t size);

/* Compares by the table: calls `applied` for each option that differs and takes effect at once,
 * `restart` for each that needs a new start, with the path and both values as text. Either may be
 * NULL. Returns the number of differences. */
typedef void conf_difference(void *argument, const char *path, const char *running,
                             const char *wanted);
unsigned conf_diff_reload(const struct conf *running, const struct conf *wanted,
                          conf_difference *applied, conf_difference *restart, void *argument);

/* Makes, at a reload, the BOOT options of `wanted` those of `running`: what is written down is then
 * what is in force. Call after conf_diff_reload(). */
void conf_keep_boot(const struct conf *running, struct conf *wanted);

/* Writes the effective configuration in the form of the file. */
void conf_dump(const struct conf *conf, FILE *to);

/* Writes the default configuration with the help of each option as a comment: conf/shardmq.conf. */
void conf_dump_defaults(FILE *to);

/* Writes one line for each option: path, value form, default, bounds, when it takes effect, help.
 */
void conf_list_options(FILE *to);

/* "tcp", "ssl", "ws", "wss" or "unix". */
const char *conf_listener_kind_name(enum conf_listener_kind kind);

/* A copy of one listener by itself; the caller frees it. */
struct conf_listener *conf_listener_copy(const struct conf_listener *from);
/* The listener of the HTTP API, made of http_server.*, whether it is enabled or not; the caller frees it. */
struct conf_listener *conf_http_listener(const struct conf *conf);
/* NULL is ignored. */
void conf_listener_free(struct conf_listener *listener);

/* Takes the next of a list of words that commas separate, without the blanks around it; false at the end, and for one
 * that does not fit. */
bool conf_list_next(const char **list, char *item, size_t size);

/* Whether anything knows users: a password, a backend. Without it only certificates do. */
bool conf_auth_method(const struct conf *conf);
/* Whether clients without a user name are let in by that listener. */
bool conf_allow_anonymous(const struct conf *conf, const struct conf_listener *listener);

/* Takes the next member of an option of the kinds MAP and HEADERS; false at the end. `name` has CONF_MAP_NAME_BYTES,
 * `value` CONF_VALUE_BYTES; the value has no control characters. */
bool conf_map_next(const char **map, char *name, char *value);

/* Only this machine can reach it: 127.0.0.0/8, ::1, the former written as IPv6, and paths. */
bool conf_address_loopback(const struct conf_address *address);

/* An option, or a block of them, as text. */
struct conf_description {
    const char *path;   /* of a block: its name */
    const char *help;   /* sentences */
    const char *preset; /* as the file has it; NULL: this is a block, whose options follow */
    const char *bounds;
    bool reload; /* `shardmq reload` applies it */
};

/* Calls take() for every block and option, in the order of the file. */
void conf_describe(void (*take)(const struct conf_description *description, void *argument),
                   void *argument);

/* The path of the control socket: control.socket, or control.sock beside the pid file. */
void conf_control_socket(const struct conf *conf, char *to, size_t size);
/* The path of the file for bans: banned.file, or banned.json beside the pid file. */
void conf_banned_file(const struct conf *conf, char *to, size_t size);

#endif
