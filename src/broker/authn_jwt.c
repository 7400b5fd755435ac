/* SPDX-License-Identifier: MIT
 *
 * authn_jwt - the link of the chain for tokens: auth.jwt.
 *
 * HS256 takes 4 microseconds and RS256 28 (perf/perf_jwt.c): less than the way to a worker and back would add under load,
 * so the shard answers at once. ES256 takes 200, and a hundred clients that come back in one turn of the loop would hold
 * up all others for 20 milliseconds: that is a worker's. When all workers are busy and their queue is full, the shard does
 * it after all, for nobody with a good token is to be refused because many come at once.
 */
#include "auth/acl.h"
#include "auth/jwt_acl.h"
#include "auth/jwt_login.h"
#include "broker/authn.h"
#include "broker/broker_priv.h"
#include "broker/policy.h"
#include "broker/work.h"

/* A token that a worker looks at, and whose it is. Class: wire. */
struct token_check {
    struct work work;
    const struct policy *policy; /* a reference */
    struct authn_handle handle;
    uint64_t now_s;
    enum jwt_verdict verdict;
    const char *why;
    struct jwt_bearer bearer;
    struct jwt_client client; /* views of `bytes`, as is the token */
    struct span token;
    uint32_t len;
    uint8_t bytes[];
};

bool authn_jwt_configured(const struct broker *broker)
{
    return broker->policy != NULL && broker->policy->jwt != NULL;
}

static enum authn_answer deny(struct authn_attempt *attempt, const char *why)
{
    attempt->reason = why;
    return AUTHN_DENY;
}

/* Nobody is to be taken for somebody who tries passwords because we have no memory. */
static enum authn_answer starved(struct authn_attempt *attempt)
{
    attempt->code = MQTT_REASON_SERVER_BUSY;
    return deny(attempt, "out of memory");
}

static struct jwt_client client_of(const struct authn_attempt *attempt)
{
    return (struct jwt_client){
        .client_identifier = attempt->client_identifier,
        .username = attempt->has_username ? attempt->username : (struct span){0},
    };
}

/* Gives the attempt what the token says. */
static enum authn_answer allow(struct authn_attempt *attempt, const struct jwt_bearer *bearer)
{
    if (bearer->username != NULL) {
        size_t len = strlen(bearer->username) + 1;

        attempt->new_username = mem_try_alloc(len);
        if (attempt->new_username == NULL)
            return starved(attempt);
        memcpy(attempt->new_username, bearer->username, len);
    }
    attempt->result.superuser = bearer->superuser;
    attempt->result.name_unproved = !bearer->proves_username && !attempt->username_verified;
    attempt->result.expires_ms = bearer->ends_s * 1000;
    if (bearer->acl != NULL && !bearer->superuser) {
        bool no_memory;

        attempt->result.rules = jwt_acl_compile(bearer->acl, &no_memory);
        if (attempt->result.rules == NULL)
            return no_memory ? starved(attempt)
                             : deny(attempt, "the rules in the token cannot be read");
    }
    return AUTHN_ALLOW;
}

static enum authn_answer conclude(struct authn_attempt *attempt, enum jwt_verdict verdict,
                                  const struct jwt_bearer *bearer, const char *why)
{
    switch (verdict) {
    case JWT_GOOD:
        return allow(attempt, bearer);
    case JWT_FOREIGN:
        return AUTHN_IGNORE;
    case JWT_FAILED:
        return starved(attempt);
    default:
        return deny(attempt, why);
    }
}

static enum authn_answer check_here(struct broker *broker, struct authn_attempt *attempt,
                                    struct span token)
{
    const struct jwt_client client = client_of(attempt);
    struct jwt_bearer bearer;
    enum authn_answer answer;
    const char *why;
    enum jwt_verdict verdict =
        jwt_login_ask(broker->policy->jwt, token, &client, broker->wall_ms / 1000, &bearer, &why);

    answer = conclude(attempt, verdict, &bearer, why);
    jwt_login_done(&bearer);
    return answer;
}

/* ---- on a worker ---- */

static void check_token(struct work *work)
{
    struct token_check *check = CONTAINER_OF(work, struct token_check, work);

    check->verdict = jwt_login_ask(check->policy->jwt, check->token, &check->client, check->now_s,
                                   &check->bearer, &check->why);
}

static void free_check(struct token_check *check)
{
    jwt_login_done(&check->bearer);
    policy_unref(check->policy);
    mem_wipe(check->bytes, check->len);
    mem_free(check);
}

/* Keys that were changed meanwhile are asked again. */
static enum authn_answer answer_of(struct broker *broker, struct authn_attempt *attempt,
                                   const struct token_check *check)
{
    if (check->policy == broker->policy)
        return conclude(attempt, check->verdict, &check->bearer, check->why);
    if (!authn_jwt_configured(broker))
        return AUTHN_IGNORE;
    return check_here(broker, attempt, check->token);
}

static void token_checked(struct broker *broker, struct work *work)
{
    struct token_check *check = CONTAINER_OF(work, struct token_check, work);
    struct authn_handle handle = check->handle;
    struct authn_attempt *attempt = authn_find(broker, handle);
    enum authn_answer answer = AUTHN_DENY;

    if (work->abandoned) {
        free_check(check);
        return;
    }
    if (attempt != NULL)
        answer = answer_of(broker, attempt, check);
    free_check(check);
    authn_complete(broker, handle, answer);
}

static struct span keep(struct token_check *check, struct span text)
{
    uint8_t *to = check->bytes + check->len;

    if (text.len != 0)
        memcpy(to, text.data, text.len);
    check->len += text.len;
    return span_of(to, text.len);
}

/* False when there is no room. */
static bool check_elsewhere(struct broker *broker, const struct authn_attempt *attempt,
                            struct span token)
{
    struct jwt_client client = client_of(attempt);
    struct token_check *check = mem_try_alloc(sizeof(*check) + token.len +
                                              client.client_identifier.len + client.username.len);

    if (check == NULL)
        return false;
    *check = (struct token_check){
        .work = {.blocking = check_token, .done = token_checked},
        .policy = policy_ref(broker->policy),
        .handle = attempt->handle,
        .now_s = broker->wall_ms / 1000,
    };
    check->token = keep(check, token);
    check->client.client_identifier = keep(check, client.client_identifier);
    check->client.username = keep(check, client.username);
    if (port_work(broker, &check->work))
        return true;
    free_check(check);
    return false;
}

enum authn_answer authn_jwt_ask(struct broker *broker, struct authn_attempt *attempt)
{
    bool from_username = jwt_login_from_username(broker->policy->jwt);
    bool has_token = from_username ? attempt->has_username && !attempt->username_verified
                                   : attempt->has_password;
    struct span token = from_username ? attempt->username : attempt->password;

    if (!has_token || attempt->method.len != 0)
        return AUTHN_IGNORE;
    if (jwt_is_slow(token) && check_elsewhere(broker, attempt, token))
        return AUTHN_WAIT;
    return check_here(broker, attempt, token);
}
