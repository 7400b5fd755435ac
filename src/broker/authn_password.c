/* SPDX-License-Identifier: MIT
 *
 * authn_password - the link of user names and passwords (auth/password_store.h).
 *
 *   remembered?  --------------------------------------------> ALLOW
 *   the same is being hashed for somebody else?  join it  ---> WAIT
 *   stored in a form that costs nothing to check  -----------> ALLOW, or wrong
 *   else: login --port_work()--> password_verify() on a worker --> login_done() --> authn_complete(), for all that joined
 *
 * A thousand devices of one user that come back at once cost one hash. A name that nobody has, and a wrong password of a name
 * whose entry is checked in microseconds, cost the hash of the store's costliest entry, and the result is thrown away. So the
 * time of a refusal tells nothing about names while all hashes of the store are made with the same parameters; where they
 * are not, it may tell that a name is one of those with a cheaper hash.
 *
 * A wrong password is DENY. A name that nobody has is the same as long as no link behind this one could know it; else it is
 * IGNORE, after the same time.
 *
 * Invariants
 *   I1  a login has a reference to the policy whose store its worker reads, and copies of everything else
 *   I2  what was found by an older policy counts only if the present one has the same entry for that user
 *   I3  what a worker could not do (no room in the queue, no memory, the end of the process) is DENY
 *   I4  a password is not tried while too many answers are held back, however many were submitted before they were: so a
 *       burst of connections tries what one does after the other (auth/slow_down.h)
 */
#include "auth/login_cache.h"
#include "auth/password_store.h"
#include "broker/authn_priv.h"
#include "broker/broker_priv.h"
#include "broker/policy.h"

struct login {
    struct list node; /* of broker->logins, so that others can join */
    struct work work;
    struct policy *policy; /* I1 */
    const struct password *stored;
    struct login_key key;
    struct slow_down *slow_down;
    struct slow_down_keys slow_down_keys; /* of the first that joined */
    bool known, right, untried;
    bool pretence; /* `stored` is another's: what it says is thrown away */
    struct authn_handle *joined;
    uint32_t joined_count, joined_space;
    uint32_t password_len;
    uint8_t password[]; /* wiped */
};

static const struct login_secret *secret_of(const struct broker *broker)
{
    return &broker->shared->login_secret;
}

bool authn_password_configured(const struct broker *broker)
{
    return broker->policy != NULL && broker->policy->passwords != NULL;
}

/* A check that a shard makes itself: microseconds. */
static bool is_cheap(const struct password *stored)
{
    return password_work(stored) == 0;
}

bool authn_credential_good(const struct broker *broker, struct span username, uint64_t credential)
{
    const struct password *stored;

    if (!authn_password_configured(broker))
        return false;
    stored = password_store_find(broker->policy->passwords, username);
    return stored != NULL && login_fingerprint(secret_of(broker), stored) == credential;
}

bool authn_password_remembered(const struct broker *broker, const struct authn_attempt *attempt)
{
    return authn_password_configured(broker) && broker->login_cache != NULL &&
           attempt->has_username && attempt->has_password && attempt->method.len == 0 &&
           login_cache_has(broker->login_cache,
                           login_key_of(secret_of(broker), attempt->username, attempt->password),
                           broker->now_ms);
}

static void remember(struct broker *broker, struct login_key key)
{
    const struct policy *policy = broker->policy;

    if (policy->cache_ttl_ms == 0)
        return;
    if (broker->login_cache == NULL)
        broker->login_cache = login_cache_create(policy->cache_size);
    if (broker->login_cache != NULL)
        login_cache_put(broker->login_cache, key, broker->now_ms,
                        broker->now_ms + policy->cache_ttl_ms);
}

static enum authn_answer allow(struct authn_attempt *attempt, uint64_t credential)
{
    attempt->result.credential = credential;
    return AUTHN_ALLOW;
}

/* One text for both: the log does not tell more than the client can find out, for it may be read by others. */
static enum authn_answer wrong(struct broker *broker, struct authn_attempt *attempt, bool known)
{
    attempt->reason = "wrong user name or password";
    return known || !authn_any_behind(broker, attempt->link) ? AUTHN_DENY : AUTHN_IGNORE;
}

static enum authn_answer impossible(struct authn_attempt *attempt, const char *reason)
{
    attempt->code = MQTT_REASON_SERVER_BUSY;
    attempt->reason = reason;
    return AUTHN_DENY; /* I3 */
}

/* ---- logins ---- */

static void login_free(struct login *login)
{
    list_remove(&login->node);
    policy_unref(login->policy);
    mem_wipe(login->password, login->password_len);
    mem_free(login->joined);
    mem_free(login);
}

static void login_blocking(struct work *work)
{
    struct login *login = CONTAINER_OF(work, struct login, work);

    login->untried = !slow_down_may_try(login->slow_down, login->slow_down_keys,
                                        &login->policy->slow_down); /* I4 */
    if (login->untried)
        return;
    login->right = password_verify(login->stored, span_of(login->password, login->password_len)) &&
                   !login->pretence;
}

/* Tells one of those who joined. */
static void answer(struct broker *broker, const struct login *login, struct authn_handle handle,
                   uint64_t credential)
{
    struct authn_attempt *attempt = authn_find(broker, handle);
    enum authn_answer answer;

    if (attempt == NULL)
        answer = AUTHN_DENY; /* to be counted as stale */
    else if (login->work.abandoned)
        answer = impossible(attempt, "the server is shutting down");
    else if (login->untried)
        answer = authn_unchecked(broker, attempt);
    else if (!login->right)
        answer = wrong(broker, attempt, login->known);
    else if (authn_credential_good(broker, attempt->username, credential)) /* I2 */
        answer = allow(attempt, credential);
    else
        answer = wrong(broker, attempt, true);
    authn_complete(broker, handle, answer);
}

static void login_done(struct broker *broker, struct work *work)
{
    struct login *login = CONTAINER_OF(work, struct login, work);
    uint64_t credential = login_fingerprint(secret_of(broker), login->stored);

    if (login->right && broker->policy == login->policy)
        remember(broker, login->key);
    for (uint32_t i = 0; i < login->joined_count; i++)
        answer(broker, login, login->joined[i], credential);
    login_free(login);
}

static enum authn_answer join(struct login *login, struct authn_attempt *attempt)
{
    if (login->joined_count == login->joined_space) {
        uint32_t space = login->joined_space == 0 ? 2 : login->joined_space * 2;
        struct authn_handle *grown = mem_try_realloc(login->joined, space * sizeof(*login->joined));

        if (grown == NULL)
            return impossible(attempt, "out of memory");
        login->joined = grown;
        login->joined_space = space;
    }
    login->joined[login->joined_count++] = attempt->handle;
    return AUTHN_WAIT;
}

/* One that is under way for the same user name and password, by the present policy. */
static struct login *find_login(struct broker *broker, struct login_key key)
{
    for (struct list *node = broker->logins.next; node != &broker->logins; node = node->next) {
        struct login *login = CONTAINER_OF(node, struct login, node);

        if (login_key_equal(login->key, key) && login->policy == broker->policy)
            return login;
    }
    return NULL;
}

/* `own`: the user's entry; NULL: there is none. */
static enum authn_answer submit(struct broker *broker, struct authn_attempt *attempt,
                                const struct password *own, struct login_key key)
{
    bool pretence = own == NULL || is_cheap(own);
    struct login *login = mem_try_zalloc(sizeof(*login) + attempt->password.len);

    if (login == NULL)
        return impossible(attempt, "out of memory");
    login->work = (struct work){.blocking = login_blocking, .done = login_done};
    login->policy = policy_ref(broker->policy);
    login->stored = pretence ? password_store_costliest(broker->policy->passwords) : own;
    login->pretence = pretence;
    login->key = key;
    login->known = own != NULL;
    login->slow_down = broker->shared->slow_down;
    login->slow_down_keys = attempt->slow_down;
    login->password_len = attempt->password.len;
    if (attempt->password.len != 0)
        memcpy(login->password, attempt->password.data, attempt->password.len);
    list_append(&broker->logins, &login->node);
    if (join(login, attempt) != AUTHN_WAIT || !port_work(broker, &login->work)) {
        login_free(login);
        return impossible(attempt, "too many passwords wait for a worker (workers.queue)");
    }
    return AUTHN_WAIT;
}

enum authn_answer authn_password_ask(struct broker *broker, struct authn_attempt *attempt)
{
    const struct password_store *store = broker->policy->passwords;
    const struct password *own;
    struct login_key key;
    struct login *login;

    if (!attempt->has_username || !attempt->has_password || attempt->method.len != 0)
        return AUTHN_IGNORE;
    own = password_store_find(store, attempt->username);
    key = login_key_of(secret_of(broker), attempt->username, attempt->password);
    if (own != NULL && broker->login_cache != NULL &&
        login_cache_has(broker->login_cache, key, broker->now_ms)) {
        STAT_INC(broker->stats, authn_remembered);
        return allow(attempt, login_fingerprint(secret_of(broker), own));
    }
    if (own != NULL && is_cheap(own) && password_verify(own, attempt->password))
        return allow(attempt, login_fingerprint(secret_of(broker), own));
    if ((own == NULL || is_cheap(own)) && is_cheap(password_store_costliest(store)))
        return wrong(broker, attempt, own != NULL);
    login = find_login(broker, key);
    return login != NULL ? join(login, attempt) : submit(broker, attempt, own, key);
}
