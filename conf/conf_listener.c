/* SPDX-License-Identifier: MIT
 *
 * conf_listener - the listeners: five kinds that share a table of options, any number of each.
 */
#include "base/mem.h"
#include "conf/conf_priv.h"

#include <stdlib.h>
#include <string.h>

#define DEFAULT_PATH "/mqtt"

static const char *const kind_names[] = {"tcp", "ssl", "ws", "wss", "unix"};

/* The schemes of NanoMQ's URLs, all that are in its files and manuals. */
static const struct {
    const char *scheme;
    enum conf_listener_kind kind;
} schemes[] = {
    {"nmq-tcp", CONF_LISTENER_TCP},     {"broker+tcp", CONF_LISTENER_TCP},
    {"tcp", CONF_LISTENER_TCP},         {"mqtt-tcp", CONF_LISTENER_TCP},
    {"tls+nmq-tcp", CONF_LISTENER_SSL}, {"nmq-tls", CONF_LISTENER_SSL},
    {"tls", CONF_LISTENER_SSL},         {"ssl", CONF_LISTENER_SSL},
    {"nmq-ws", CONF_LISTENER_WS},       {"nmq+ws", CONF_LISTENER_WS},
    {"ws", CONF_LISTENER_WS},           {"nmq-wss", CONF_LISTENER_WSS},
    {"nmq+wss", CONF_LISTENER_WSS},     {"wss", CONF_LISTENER_WSS},
    {"unix", CONF_LISTENER_UNIX},
};

static const struct {
    enum conf_listener_kind kind;
    const char *path, *preset;
} presets[] = {
#define LISTENER_PRESET(kind, path, preset) {CONF_LISTENER_##kind, path, preset},
#include "conf/conf.def"
};

_Static_assert(ARRAY_LENGTH(kind_names) == CONF_LISTENER_KINDS, "a name for each kind");

const char *conf_listener_kind_name(enum conf_listener_kind kind)
{
    return kind_names[kind];
}

bool conf_listener_scheme_kind(const char *scheme, enum conf_listener_kind *kind)
{
    for (size_t i = 0; i < ARRAY_LENGTH(schemes); i++) {
        if (strcmp(schemes[i].scheme, scheme) == 0) {
            *kind = schemes[i].kind;
            return true;
        }
    }
    *kind = CONF_LISTENER_TCP;
    return scheme[0] == '\0';
}

bool conf_listener_scheme_fits(enum conf_listener_kind kind, const char *scheme)
{
    enum conf_listener_kind named;

    return scheme[0] == '\0' || (conf_listener_scheme_kind(scheme, &named) && named == kind);
}

const char *conf_listener_preset(const struct conf_row *row, enum conf_listener_kind kind)
{
    for (size_t i = 0; i < ARRAY_LENGTH(presets); i++)
        if (presets[i].kind == kind && strcmp(presets[i].path, row->path) == 0)
            return presets[i].preset;
    return row->preset_text;
}

struct conf_listener *conf_listener_find(const struct conf *conf, const char *name)
{
    for (unsigned i = 0; i < conf->listener_count; i++) {
        if (strcmp(conf->listeners[i].name, name) == 0)
            return &conf->listeners[i];
    }
    return NULL;
}

/* Frees what is in it. */
static void clear(struct conf_listener *listener)
{
    for (unsigned r = 0; r < conf_row_count; r++) {
        if (conf_rows[r].scope == CONF_SCOPE_LISTENER)
            conf_value_free(&conf_rows[r], listener);
    }
    mem_free(listener->name);
}

void conf_listeners_free(struct conf *conf)
{
    for (unsigned i = 0; i < conf->listener_count; i++)
        clear(&conf->listeners[i]);
    mem_free(conf->listeners);
    conf->listeners = NULL;
    conf->listener_count = 0;
}

/* Gives it a name and the defaults of its kind. */
static void begin(struct conf_listener *listener, enum conf_listener_kind kind, const char *name)
{
    memset(listener, 0, sizeof(*listener));
    listener->name = mem_strdup(name);
    listener->kind = kind;
    for (unsigned r = 0; r < conf_row_count; r++) {
        struct conf_row row = conf_rows[r];

        if (row.kind == CONF_KIND_SECTION || row.scope != CONF_SCOPE_LISTENER)
            continue;
        row.preset_text = conf_listener_preset(&row, kind);
        conf_value_preset(&row, listener);
    }
}

/* NULL when there are too many. */
static struct conf_listener *add_listener(struct conf *conf, enum conf_listener_kind kind,
                                          const char *name)
{
    struct conf_listener *listener;

    if (conf->listener_count == CONF_LISTENERS_MAX)
        return NULL;
    conf->listeners =
        mem_realloc(conf->listeners, (conf->listener_count + 1) * sizeof(*conf->listeners));
    listener = &conf->listeners[conf->listener_count++];
    begin(listener, kind, name);
    return listener;
}

struct conf_listener *conf_listener_copy(const struct conf_listener *from)
{
    struct conf_listener *listener = mem_alloc(sizeof(*listener));

    begin(listener, from->kind, from->name);
    for (unsigned r = 0; r < conf_row_count; r++) {
        if (conf_rows[r].kind != CONF_KIND_SECTION && conf_rows[r].scope == CONF_SCOPE_LISTENER)
            conf_value_copy(&conf_rows[r], listener, from);
    }
    return listener;
}

static void set_text(char **field, const char *text)
{
    mem_free(*field);
    *field = mem_strdup(text);
}

struct conf_listener *conf_http_listener(const struct conf *conf)
{
    struct conf_listener *listener = mem_alloc(sizeof(*listener));
    const char *certificate = conf->http_server_certfile, *key = conf->http_server_keyfile;

    begin(listener, certificate[0] == '\0' ? CONF_LISTENER_TCP : CONF_LISTENER_SSL,
          CONF_HTTP_LISTENER);
    listener->address = conf->http_server_ip_addr;
    listener->address.port = (uint16_t)conf->http_server_port;
    set_text(&listener->certfile, certificate);
    set_text(&listener->keyfile, key[0] != '\0' ? key : certificate);
    set_text(&listener->key_password, conf->http_server_key_password);
    return listener;
}

void conf_listener_free(struct conf_listener *listener)
{
    if (listener == NULL)
        return;
    clear(listener);
    mem_free(listener);
}

bool conf_name_good(const char *name)
{
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");

    return len > 0 && len < CONF_NAME_BYTES && name[len] == '\0';
}

const struct conf_row *conf_listener_row(const char *rest, enum conf_listener_kind *kind,
                                         char name[CONF_PATH_BYTES])
{
    const char *dot = strchr(rest, '.'), *second;
    unsigned k = 0;

    while (dot != NULL && k < CONF_LISTENER_KINDS &&
           (strlen(kind_names[k]) != (size_t)(dot - rest) ||
            strncmp(kind_names[k], rest, (size_t)(dot - rest)) != 0))
        k++;
    if (dot == NULL || k == CONF_LISTENER_KINDS)
        return NULL;
    *kind = (enum conf_listener_kind)k;
    second = strchr(dot + 1, '.');
    snprintf(name, CONF_PATH_BYTES, "%.*s", (int)((second != NULL ? second : dot) - rest), rest);
    for (unsigned r = 0; r < conf_row_count; r++) {
        const struct conf_row *row = &conf_rows[r];

        if (row->scope == CONF_SCOPE_LISTENER && row->kind != CONF_KIND_SECTION &&
            (row->kinds >> k & 1) != 0 &&
            strcmp(row->path, (second != NULL ? second : dot) + 1) == 0)
            return row;
    }
    return NULL;
}

struct conf_listener *conf_listener_get(struct conf_loader *loader, const struct conf_entry *entry,
                                        enum conf_listener_kind kind, const char *name)
{
    const char *dot = strchr(name, '.');
    struct conf_listener *listener = conf_listener_find(loader->conf, name);

    if (listener != NULL)
        return listener;
    if (dot != NULL && !conf_name_good(dot + 1)) {
        conf_entry_error(loader, entry,
                         "a listener's name has 1 to 32 letters, digits, - and _, and no others");
        return NULL;
    }
    listener = add_listener(loader->conf, kind, name);
    if (listener == NULL)
        conf_entry_error(loader, entry, "there are too many listeners");
    else if (loader->listeners_replaced)
        listener->enable = false; /* a certificate on the command line opens nothing by itself */
    return listener;
}

/* ---- completing them ---- */

static bool any_entry_below(const struct conf_loader *loader, const char *prefix)
{
    for (size_t i = 0; i < loader->entry_count; i++)
        if (strncmp(loader->entries[i].path, prefix, strlen(prefix)) == 0)
            return true;
    return false;
}

static void switch_off(struct conf *conf, const char *name)
{
    struct conf_listener *listener = conf_listener_find(conf, name);

    if (listener != NULL)
        listener->enable = false;
}

/* NanoMQ's key=value files have blocks that are off as long as tls.enable does not say otherwise. */
static void settle_old_switches(struct conf_loader *loader)
{
    const struct conf_listener *ssl;

    if (loader->listeners_replaced)
        return;
    if (any_entry_below(loader, "tls.") && conf_entry_find(loader, "tls.enable") == NULL &&
        conf_entry_find(loader, "listeners.ssl.enable") == NULL)
        switch_off(loader->conf, "ssl");
    ssl = conf_listener_find(loader->conf, "ssl");
    if (conf_entry_find(loader, "websocket.tls_url") != NULL &&
        conf_entry_find(loader, "listeners.wss.enable") == NULL && (ssl == NULL || !ssl->enable))
        switch_off(loader->conf, "wss");
}

/* NanoMQ's listeners.wss has no certificates of its own. */
static void inherit_tls(struct conf *conf, struct conf_listener *listener)
{
    const struct conf_listener *ssl = conf_listener_find(conf, "ssl");

    if (ssl == NULL)
        return;
    for (unsigned r = 0; r < conf_row_count; r++)
        if (conf_rows[r].scope == CONF_SCOPE_LISTENER && conf_rows[r].kind != CONF_KIND_SECTION &&
            conf_rows[r].kinds == (1u << CONF_LISTENER_SSL | 1u << CONF_LISTENER_WSS))
            conf_value_copy(&conf_rows[r], listener, ssl);
}

void conf_listeners_complete(struct conf_loader *loader)
{
    struct conf *conf = loader->conf;

    if (conf->listener_count == 0)
        ASSERT(add_listener(conf, CONF_LISTENER_TCP, "tcp") != NULL);
    settle_old_switches(loader);
    for (unsigned i = 0; i < conf->listener_count; i++) {
        struct conf_listener *listener = &conf->listeners[i];

        if (listener->kind == CONF_LISTENER_WSS && listener->certfile[0] == '\0')
            inherit_tls(conf, listener);
        if (CONF_LISTENER_IS_WEBSOCKET(listener->kind) && listener->address.path[0] == '\0')
            snprintf(listener->address.path, sizeof(listener->address.path), "%s", DEFAULT_PATH);
        listener->address.scheme[0] = '\0'; /* it has said what it had to */
    }
}

/* ---- what is wrong ---- */

bool conf_list_next(const char **list, char *item, size_t size)
{
    const char *begin = *list + strspn(*list, ", \t");
    size_t len = strcspn(begin, ",");

    *list = begin + len;
    while (len > 0 && (begin[len - 1] == ' ' || begin[len - 1] == '\t'))
        len--;
    if (len == 0 || len >= size)
        return false;
    memcpy(item, begin, len);
    item[len] = '\0';
    return true;
}

static unsigned list_length(const char *list)
{
    char item[CONF_VALUE_BYTES];
    unsigned count = 0;

    while (conf_list_next(&list, item, sizeof(item)))
        count++;
    return count;
}

static void check_tls(const struct conf_listener *listener, struct conf_report *report)
{
    unsigned certificates = list_length(listener->certfile), keys = list_length(listener->keyfile);

    if (certificates == 0 || keys == 0)
        conf_report_add(report,
                        "listeners.%s needs a certificate and its key: set certfile and keyfile%s",
                        listener->name,
                        listener->kind == CONF_LISTENER_WSS
                            ? ", or those of listeners.ssl, which it has without its own"
                            : "");
    else if (certificates != keys)
        conf_report_add(report, "listeners.%s has %u files in certfile and %u in keyfile",
                        listener->name, certificates, keys);
    if (listener->verify_peer && listener->cacertfile[0] == '\0')
        conf_report_add(report,
                        "listeners.%s has verify_peer, but no cacertfile that says whose "
                        "certificates are good",
                        listener->name);
    if (!listener->verify_peer && listener->fail_if_no_peer_cert)
        conf_report_add(report,
                        "listeners.%s has fail_if_no_peer_cert without verify_peer: nobody's "
                        "certificate would be looked at; set verify_peer = true",
                        listener->name);
    if (!listener->verify_peer && listener->crlfile[0] != '\0')
        conf_report_add(report, "listeners.%s has a crlfile, which needs verify_peer = true",
                        listener->name);
    if (listener->peer_username != CONF_PEER_USERNAME_NONE &&
        (!listener->verify_peer || !listener->fail_if_no_peer_cert))
        conf_report_add(report,
                        "listeners.%s has peer_username, which needs verify_peer and "
                        "fail_if_no_peer_cert",
                        listener->name);
}

static bool same_address(const struct conf_listener *one, const struct conf_listener *other)
{
    if (!one->enable || !other->enable)
        return false;
    if (one->kind == CONF_LISTENER_UNIX || other->kind == CONF_LISTENER_UNIX)
        return one->kind == other->kind && strcmp(one->address.path, other->address.path) == 0;
    return one->address.port != 0 && one->address.port == other->address.port &&
           strcmp(one->address.host, other->address.host) == 0;
}

static void check_unix(const struct conf_listener *listener, struct conf_report *report)
{
    if (listener->address.host[0] != '\0')
        conf_report_add(report,
                        "listeners.%s.bind takes the path of a socket, as /run/shardmq/mqtt.sock",
                        listener->name);
    if (strspn(listener->mode, "01234567") != strlen(listener->mode) ||
        strtoul(listener->mode, NULL, 8) > 0777)
        conf_report_add(report, "listeners.%s.mode is octal, as 0660, and 0777 at most",
                        listener->name);
}

/* A list that was begun and not filled would let everybody in, as no list does. */
static void check_list(const struct conf_listener *listener, const char *option, const char *list,
                       struct conf_report *report)
{
    if (list[0] != '\0' && list_length(list) == 0)
        conf_report_add(report, "listeners.%s.%s is a list of nothing: name some, or leave it out",
                        listener->name, option);
}

/* Placeholders are checked for their names; what they stand for the broker checks (broker/mount.c). */
static void check_mount_point(const struct conf_listener *listener, struct conf_report *report)
{
    const char *text = listener->mountpoint, *at = text;
    size_t len = strlen(text);

    if (len == 0)
        return;
    if (text[len - 1] != '/')
        conf_report_add(report, "listeners.%s.mountpoint has to end with a slash: \"%s/\"",
                        listener->name, text);
    if (strpbrk(text, "+#") != NULL)
        conf_report_add(report, "listeners.%s.mountpoint has a wildcard in it", listener->name);
    while ((at = strchr(at, '$')) != NULL) {
        if (strncmp(at, "${clientid}", 11) != 0 && strncmp(at, "${username}", 11) != 0)
            conf_report_add(report,
                            "listeners.%s.mountpoint has a $ that does not begin ${clientid} or "
                            "${username}",
                            listener->name);
        at++;
    }
}

void conf_listeners_check(const struct conf *conf, struct conf_report *report)
{
    unsigned enabled = 0;

    for (unsigned i = 0; i < conf->listener_count; i++) {
        const struct conf_listener *one = &conf->listeners[i];

        enabled += one->enable;
        for (unsigned j = i + 1; j < conf->listener_count; j++) {
            if (same_address(one, &conf->listeners[j]))
                conf_report_add(report, "listeners.%s and listeners.%s have the same address",
                                one->name, conf->listeners[j].name);
        }
        check_list(one, "proxy_from", one->proxy_from, report);
        check_list(one, "origins", one->origins, report);
        check_mount_point(one, report);
        if (one->enable && CONF_LISTENER_IS_TLS(one->kind))
            check_tls(one, report);
        if (one->kind == CONF_LISTENER_UNIX)
            check_unix(one, report);
        else if (!CONF_LISTENER_IS_WEBSOCKET(one->kind) && one->address.path[0] != '\0')
            conf_report_add(report, "listeners.%s.bind has a path, which only WebSocket has",
                            one->name);
    }
    if (enabled == 0)
        conf_report_add(report, "no listener is enabled: nobody could connect");
}
