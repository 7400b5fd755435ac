/* SPDX-License-Identifier: MIT */
#include "broker/policy.h"

#include "auth/acl_load.h"
#include "auth/jwt_login.h"
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/conf.h"

#include <stdio.h>

#define NAME_MAX_BYTES 1024

static uint32_t next_generation(void)
{
    static _Atomic uint32_t last; /* shared: shards compare what they kept with it */
    uint32_t generation;

    do {
        generation = atomic_fetch_add_explicit(&last, 1, memory_order_relaxed) + 1;
    } while (generation == 0);
    return generation;
}

/* Rules that a backend has are rules: what it leaves open is not allowed either. */
static bool asks_backend(const struct conf *conf)
{
    return conf->auth_http_auth_enable && conf->auth_http_auth_acl_req_url[0] != '\0';
}

static bool read_acl(struct policy *policy, const struct conf *conf, char *why, size_t size)
{
    if (!acl_load(conf, &policy->acl, why, size))
        return false;
    policy->no_match_allows =
        conf->auth_no_match == CONF_NO_MATCH_ALLOW ||
        (conf->auth_no_match == CONF_NO_MATCH_AUTO && policy->acl == NULL && !asks_backend(conf));
    policy->deny_disconnects = conf->auth_deny_action == CONF_DENY_ACTION_DISCONNECT;
    return true;
}

static void read_listeners(struct policy *policy, const struct conf *conf)
{
    policy->listeners = mem_zalloc(conf->listener_count * sizeof(*policy->listeners));
    policy->listener_count = conf->listener_count;
    policy->anonymous = true;
    for (unsigned i = 0; i < conf->listener_count; i++) {
        const struct conf_listener *listener = &conf->listeners[i];

        policy->listeners[i].name = mem_strdup(listener->name);
        policy->listeners[i].anonymous = conf_allow_anonymous(conf, listener);
        policy->anonymous =
            policy->anonymous && (policy->listeners[i].anonymous || !listener->enable);
    }
}

static bool add_configured(struct password_store *store, const struct conf *conf, char *why,
                           size_t size)
{
    for (unsigned i = 0; i < conf->user_count; i++) {
        const struct conf_user *user = &conf->users[i];

        if (!password_store_add(store, span_text(user->name), span_text(user->password),
                                user->where, why, size))
            return false;
    }
    return true;
}

static bool read_passwords(struct policy *policy, const struct conf *conf, char *why, size_t size)
{
    const char *file = conf->auth_password_file;
    char what[1024];

    if (!conf->auth_enable || (conf->user_count == 0 && file[0] == '\0'))
        return true;
    policy->passwords = password_store_create();
    if (!add_configured(policy->passwords, conf, why, size))
        return false;
    if (file[0] != '\0' && !password_store_add_file(policy->passwords, file, what, sizeof(what))) {
        snprintf(why, size, "auth.password_file: %s", what);
        return false;
    }
    if (password_store_count(policy->passwords) != 0)
        return true;
    snprintf(why, size, "auth.password_file: %s has no user: nobody could log in", file);
    return false;
}

struct policy *policy_create(const struct conf *conf, char *why, size_t size)
{
    struct policy *policy = mem_zalloc(sizeof(*policy));

    atomic_init(&policy->references, 1);
    policy->generation = next_generation();
    policy->super_users = mem_strdup(conf->auth_super_users);
    policy->slow_down = (struct slow_down_rule){.after = conf->auth_slow_down_after,
                                                .held = conf->auth_slow_down_held,
                                                .delay_ms = conf->auth_slow_down_delay_ms,
                                                .max_delay_ms = conf->auth_slow_down_max_delay_ms,
                                                .forget_ms = conf->auth_slow_down_forget_ms};
    policy->cache_ttl_ms = conf->auth_password_cache_ttl_ms;
    policy->cache_size = conf->auth_password_cache_size;
    read_listeners(policy, conf);
    if (read_acl(policy, conf, why, size) && read_passwords(policy, conf, why, size) &&
        (!conf->auth_enable || jwt_login_create(conf, &policy->jwt, why, size)) &&
        jwt_login_create_api(conf, &policy->api_jwt, why, size))
        return policy;
    policy_unref(policy);
    return NULL;
}

const char *policy_warnings(const struct policy *policy)
{
    return policy->passwords != NULL ? password_store_warnings(policy->passwords) : "";
}

void policy_log_warnings(const struct policy *policy)
{
    const char *sentences = policy_warnings(policy);

    while (*sentences != '\0') {
        size_t len = strcspn(sentences, "\n");

        LOG_WARN("%.*s", (int)len, sentences);
        sentences += len + (sentences[len] == '\n');
    }
}

bool policy_anonymous(const struct policy *policy, const char *listener)
{
    if (policy->anonymous)
        return true;
    for (unsigned i = 0; i < policy->listener_count; i++)
        if (strcmp(policy->listeners[i].name, listener) == 0)
            return policy->listeners[i].anonymous;
    return false;
}

bool policy_super_user(const struct policy *policy, struct span username)
{
    const char *list = policy->super_users;
    char name[NAME_MAX_BYTES + 1];

    while (conf_list_next(&list, name, sizeof(name)))
        if (span_equal(span_text(name), username))
            return true;
    return false;
}

struct policy *policy_ref(const struct policy *policy)
{
    struct policy *own = (struct policy *)(uintptr_t)policy;

    atomic_fetch_add_explicit(&own->references, 1, memory_order_relaxed);
    return own;
}

void policy_unref(const struct policy *policy)
{
    struct policy *own = (struct policy *)(uintptr_t)policy;

    if (own == NULL || atomic_fetch_sub_explicit(&own->references, 1, memory_order_acq_rel) != 1)
        return;
    jwt_login_destroy(own->jwt);
    jwt_login_destroy(own->api_jwt);
    acl_free(own->acl);
    for (unsigned i = 0; i < own->listener_count; i++)
        mem_free(own->listeners[i].name);
    mem_free(own->listeners);
    password_store_unref(own->passwords);
    mem_free(own->super_users);
    mem_free(own);
}
