/* SPDX-License-Identifier: MIT */
#include "broker/policy.h"

#include "auth/acl_load.h"
#include "auth/jwt_login.h"
#include "base/mem.h"
#include "conf/conf.h"

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

struct policy *policy_create(const struct conf *conf, char *why, size_t size)
{
    struct policy *policy = mem_zalloc(sizeof(*policy));

    atomic_init(&policy->references, 1);
    policy->generation = next_generation();
    policy->anonymous = true;
    if (read_acl(policy, conf, why, size) && jwt_login_create(conf, &policy->jwt, why, size) &&
        jwt_login_create_api(conf, &policy->api_jwt, why, size))
        return policy;
    policy_unref(policy);
    return NULL;
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
    mem_free(own);
}
