/* SPDX-License-Identifier: MIT
 *
 * conf_auth - the users that stand in the configuration itself, and the rule about who may come in.
 *
 *   auth.password { admin = secret }           NanoMQ's list: a member for each user
 *   auth.1.login = admin                       its older form, which has two keys for each
 *   auth.1.password = secret
 *
 * The rule: a client without a user name is let in where allow_anonymous says so. Where nothing says anything, everybody
 * may come in, as long as nobody can come but from this machine; a listener that others can reach needs an answer.
 */
#include "base/mem.h"
#include "conf/conf_priv.h"

#include <stdlib.h>
#include <string.h>

#define NUMBER_MAX    1000000ul
#define USERS_AT_ONCE 16u

/* ---- users ---- */

static void wipe_text(char *text)
{
    if (text != NULL)
        mem_wipe(text, strlen(text));
    mem_free(text);
}

void conf_users_free(struct conf *conf)
{
    for (unsigned i = 0; i < conf->user_count; i++) {
        mem_free(conf->users[i].name);
        wipe_text(conf->users[i].password);
        mem_free(conf->users[i].where);
    }
    mem_free(conf->users);
    conf->users = NULL;
    conf->user_count = 0;
}

static struct conf_user *add_user(struct conf *conf, unsigned number)
{
    struct conf_user *user;

    if (conf->user_count % USERS_AT_ONCE == 0)
        conf->users =
            mem_realloc(conf->users, (conf->user_count + USERS_AT_ONCE) * sizeof(*conf->users));
    user = &conf->users[conf->user_count++];
    *user = (struct conf_user){.number = number};
    return user;
}

static void set_text(char **field, const char *value)
{
    wipe_text(*field);
    *field = mem_strdup(value);
}

static void place(struct conf_loader *loader, const struct conf_entry *entry,
                  struct conf_user *user)
{
    char where[CONF_SENTENCE_BYTES / 2];

    conf_entry_where(loader, entry, where, sizeof(where));
    set_text(&user->where, where);
}

/* A member of auth.password. A later one of the same name, of another layer, takes its place. */
static void bind_named(struct conf_loader *loader, const struct conf_entry *entry, const char *name)
{
    struct conf_user *user = NULL;

    for (unsigned i = 0; i < loader->conf->user_count && user == NULL; i++)
        if (loader->conf->users[i].number == 0 && strcmp(loader->conf->users[i].name, name) == 0)
            user = &loader->conf->users[i];
    if (user == NULL) {
        user = add_user(loader->conf, 0);
        user->name = mem_strdup(name);
    }
    set_text(&user->password, entry->value);
    place(loader, entry, user);
}

static void bind_numbered(struct conf_loader *loader, const struct conf_entry *entry,
                          unsigned number, bool is_login)
{
    struct conf_user *user = NULL;

    for (unsigned i = 0; i < loader->conf->user_count && user == NULL; i++)
        if (loader->conf->users[i].number == number)
            user = &loader->conf->users[i];
    if (user == NULL)
        user = add_user(loader->conf, number);
    set_text(is_login ? &user->name : &user->password, entry->value);
    place(loader, entry, user);
}

/* "1.login" or "1.password", with a number from 1; 0: it is neither. */
static unsigned numbered(const char *rest, bool *is_login)
{
    char *end;
    unsigned long number = *rest >= '1' && *rest <= '9' ? strtoul(rest, &end, 10) : 0;

    if (number == 0 || number > NUMBER_MAX)
        return 0;
    *is_login = strcmp(end, ".login") == 0;
    return *is_login || strcmp(end, ".password") == 0 ? (unsigned)number : 0;
}

bool conf_user_path(const char *path, bool *secret)
{
    static const char named[] = CONF_USERS_BLOCK;
    bool is_login = false;

    *secret = true;
    if (strncmp(path, named, sizeof(named) - 1) == 0)
        return path[sizeof(named) - 1] != '\0';
    if (strncmp(path, "auth.", 5) != 0 || numbered(path + 5, &is_login) == 0)
        return false;
    *secret = !is_login;
    return true;
}

bool conf_user_bind(struct conf_loader *loader, const struct conf_entry *entry, const char *path)
{
    bool secret, is_login = false;
    unsigned number;

    if (strcmp(path, "auth.password") == 0) {
        conf_entry_error(loader, entry, "takes a block, with a member for each user");
        return true;
    }
    if (!conf_user_path(path, &secret))
        return false;
    number = numbered(path + strlen("auth."), &is_login);
    if (entry->complex)
        conf_entry_error(loader, entry, "takes one value");
    else if (number != 0)
        bind_numbered(loader, entry, number, is_login);
    else
        bind_named(loader, entry, path + strlen("auth.password."));
    return true;
}

void conf_users_complete(struct conf_loader *loader)
{
    const struct conf_place *block = NULL;

    for (unsigned i = 0; i < loader->place_count; i++) {
        const struct conf_place *place = &loader->places[i];

        if (place->block && place->path != NULL && strcmp(place->path, "auth.password") == 0)
            block = place;
    }
    for (unsigned i = 0; i < loader->conf->user_count; i++)
        if (loader->conf->users[i].number == 0)
            return;
    if (block != NULL && loader->errors.count == 0)
        conf_report_add(&loader->errors,
                        "%s:%u: auth.password names no user: remove it, or see whether the file "
                        "that it includes is whole",
                        loader->files[block->file].path, block->line);
}

void conf_users_read(struct conf_loader *loader, const char *path)
{
    const struct conf_files *given = loader->given;
    size_t before = loader->entry_count;
    bool secret;

    loader->given = NULL; /* it is no part of what a request can change */
    conf_read_entries(loader, path, CONF_FORM_KEY_VALUE);
    loader->given = given;
    for (size_t i = before; i < loader->entry_count; i++)
        if (!conf_user_path(loader->entries[i].path, &secret))
            conf_entry_error(loader, &loader->entries[i],
                             "only users belong into this file: auth.1.login and auth.1.password");
    if (loader->entry_count == before && loader->errors.count == 0)
        conf_report_add(&loader->errors, "%s: there is no user in it", path);
}

bool conf_users_equal(const struct conf *a, const struct conf *b)
{
    if (a->user_count != b->user_count)
        return false;
    for (unsigned i = 0; i < a->user_count; i++) /* an order of their own they do not have */
        if (strcmp(a->users[i].name, b->users[i].name) != 0 ||
            strcmp(a->users[i].password, b->users[i].password) != 0)
            return false;
    return true;
}

static void check_users(const struct conf *conf, struct conf_report *report)
{
    for (unsigned i = 0; i < conf->user_count; i++) {
        const struct conf_user *user = &conf->users[i];

        if (user->name == NULL)
            conf_report_add(report, "%s: auth.%u.password has no auth.%u.login", user->where,
                            user->number, user->number);
        else if (user->password == NULL)
            conf_report_add(report, "%s: auth.%u.login has no auth.%u.password", user->where,
                            user->number, user->number);
    }
}

/* ---- who may come in ---- */

bool conf_auth_method(const struct conf *conf)
{
    return conf->auth_enable &&
           (conf->user_count != 0 || conf->auth_password_file[0] != '\0' ||
            conf->auth_jwt_secret_file[0] != '\0' || conf->auth_jwt_public_key[0] != '\0' ||
            conf->auth_jwt_jwks_file[0] != '\0' ||
            (conf->auth_http_auth_enable && conf->auth_http_auth_auth_req_url[0] != '\0'));
}

static bool reachable(const struct conf_listener *listener)
{
    return listener->enable && !conf_address_loopback(&listener->address);
}

/* Whether its clients are known by their certificates. */
static bool certified(const struct conf_listener *listener)
{
    return CONF_LISTENER_IS_TLS(listener->kind) && listener->verify_peer &&
           listener->fail_if_no_peer_cert && listener->peer_username != CONF_PEER_USERNAME_NONE;
}

bool conf_allow_anonymous(const struct conf *conf, const struct conf_listener *listener)
{
    if (listener->allow_anonymous != CONF_TRISTATE_AUTO)
        return listener->allow_anonymous == CONF_TRISTATE_TRUE;
    if (conf->auth_allow_anonymous != CONF_TRISTATE_AUTO)
        return conf->auth_allow_anonymous == CONF_TRISTATE_TRUE;
    if (conf_auth_method(conf))
        return false;
    for (unsigned i = 0; i < conf->listener_count; i++)
        if (reachable(&conf->listeners[i]))
            return false;
    return true;
}

static void check_open(const struct conf *conf, struct conf_report *report)
{
    /* what hooks a plug-in has is not known yet: without an answer nobody comes in from other machines but by it */
    if (conf_auth_method(conf) || conf->plugin_count != 0 ||
        conf->auth_allow_anonymous != CONF_TRISTATE_AUTO)
        return;
    for (unsigned i = 0; i < conf->listener_count; i++) {
        const struct conf_listener *listener = &conf->listeners[i];

        if (reachable(listener) && listener->allow_anonymous == CONF_TRISTATE_AUTO &&
            !certified(listener))
            conf_report_add(report,
                            "listeners.%s can be reached from other machines at %s:%u, and nothing "
                            "says who may connect: set auth.password_file = FILE, or another "
                            "method of authentication; or, if everybody may, "
                            "auth.allow_anonymous = true; or bind it to 127.0.0.1",
                            listener->name, listener->address.host, listener->address.port);
    }
}

void conf_auth_check(const struct conf *conf, struct conf_report *report)
{
    check_users(conf, report);
    check_open(conf, report);
}
