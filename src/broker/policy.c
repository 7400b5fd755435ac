/* SPDX-License-Identifier: MIT */
#include "broker/policy.h"

#include "auth/jwt_login.h"
#include "base/mem.h"
#include "conf/conf.h"

struct policy *policy_create(const struct conf *conf, char *why, size_t size)
{
    struct policy *policy = mem_zalloc(sizeof(*policy));

    atomic_init(&policy->references, 1);
    policy->anonymous = true;
    if (jwt_login_create(conf, &policy->jwt, why, size) &&
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
    mem_free(own);
}
