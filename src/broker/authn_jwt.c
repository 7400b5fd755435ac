/* SPDX-License-Identifier: MIT
 *
 * authn_jwt - the link of the chain for tokens: auth.jwt.
 *
 * It answers at once, on the shard: a token costs from 3 (HS256) to some 100 microseconds (ES256), as much as a part of
 * a TLS handshake, and less than a way to a worker and back would add to it under load. The figures are those of
 * perf/perf_jwt.c.
 */
#include "auth/acl.h"
#include "auth/jwt_acl.h"
#include "auth/jwt_login.h"
#include "broker/authn.h"
#include "broker/broker_priv.h"
#include "broker/policy.h"

bool authn_jwt_configured(const struct broker *broker)
{
    return broker->policy != NULL && broker->policy->jwt != NULL;
}

static enum authn_answer deny(struct authn_attempt *attempt, const char *why)
{
    attempt->reason = why;
    return AUTHN_DENY;
}

/* Gives the attempt what the token says. */
static enum authn_answer allow(struct authn_attempt *attempt, const struct jwt_bearer *bearer)
{
    if (bearer->username != NULL) {
        size_t len = strlen(bearer->username) + 1;

        attempt->new_username = mem_try_alloc(len);
        if (attempt->new_username == NULL)
            return deny(attempt, "out of memory");
        memcpy(attempt->new_username, bearer->username, len);
    }
    attempt->result.superuser = bearer->superuser;
    attempt->result.expires_ms = bearer->ends_s * 1000;
    if (bearer->acl != NULL && !bearer->superuser) {
        attempt->result.rules = jwt_acl_compile(bearer->acl);
        if (attempt->result.rules == NULL)
            return deny(attempt, "the rules in the token cannot be read");
    }
    return AUTHN_ALLOW;
}

enum authn_answer authn_jwt_ask(struct broker *broker, struct authn_attempt *attempt)
{
    const struct jwt_login *login = broker->policy->jwt;
    bool from_username = jwt_login_from_username(login);
    bool has_token = from_username ? attempt->has_username && !attempt->username_verified
                                   : attempt->has_password;
    struct jwt_bearer bearer;
    enum authn_answer answer;
    const char *why;

    if (!has_token || attempt->method.len != 0)
        return AUTHN_IGNORE;
    switch (jwt_login_ask(login, from_username ? attempt->username : attempt->password,
                          broker->wall_ms / 1000, &bearer, &why)) {
    case JWT_GOOD:
        break;
    case JWT_FOREIGN:
        return AUTHN_IGNORE;
    default:
        return deny(attempt, why);
    }
    answer = allow(attempt, &bearer);
    jwt_login_done(&bearer);
    return answer;
}
