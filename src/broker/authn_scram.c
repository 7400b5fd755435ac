/* SPDX-License-Identifier: MIT
 *
 * authn_scram - the link of SCRAM-SHA-256 (auth/scram.h), against the users of the password store.
 *
 *   CONNECT or AUTH 0x19, client's first  -->  keys of the user, or somebody's  -->  CONTINUE, challenge
 *       (a password in clear text: scram_derive() on a worker first, WAIT)
 *   AUTH 0x18, client's last              -->  proof right, and the user known  -->  ALLOW, the server's last
 *
 * Invariants
 *   I1  a user who is not there, or has no keys, is taken through the same steps with the same work, and refused at the
 *       end as one whose proof is wrong
 *   I2  what a worker could not do is DENY
 *   I3  the user name of CONNECT, if there is one, and that of a certificate are the one that is proved
 *   I4  what was proved counts only if the present policy still has the entry that the challenge was made from
 */
#include "auth/login_cache.h"
#include "auth/password_store.h"
#include "auth/saslprep.h"
#include "broker/authn_priv.h"
#include "broker/broker_priv.h"
#include "broker/policy.h"

/* Owner: shard; the attempt's. */
struct scram_exchange {
    struct scram_server server;
    bool challenged, known;
    uint64_t credential; /* of a known user: the entry that the challenge is made from (I4) */
    char message[SCRAM_MESSAGE_MAX]; /* the last one that was sent */
};

/* Keys that have to be derived first. */
struct derivation {
    struct work work;
    struct authn_handle handle;
    struct scram_keys keys;
    bool good;
    uint32_t clear_len;
    uint8_t clear[]; /* wiped */
};

bool authn_scram_configured(const struct broker *broker)
{
    return broker->policy != NULL && broker->policy->passwords != NULL;
}

static void exchange_free(void *state)
{
    struct scram_exchange *exchange = state;

    scram_server_end(&exchange->server);
    mem_free(exchange);
}

static enum authn_answer deny(struct authn_attempt *attempt, enum mqtt_reason code,
                              const char *reason)
{
    attempt->code = code;
    attempt->reason = reason;
    return AUTHN_DENY;
}

/* The keys are there. */
static enum authn_answer challenge(struct broker *broker, struct authn_attempt *attempt,
                                   const struct scram_keys *keys)
{
    struct scram_exchange *exchange = attempt->state;
    uint8_t random[SCRAM_RANDOM_BYTES];
    size_t len;

    port_random_bytes(broker, random, sizeof(random));
    len = scram_server_challenge(&exchange->server, keys, random, exchange->message);
    exchange->challenged = true;
    attempt->answer = span_of(exchange->message, len);
    return AUTHN_CONTINUE;
}

/* ---- passwords in clear text ---- */

static void derivation_blocking(struct work *work)
{
    struct derivation *derivation = CONTAINER_OF(work, struct derivation, work);

    derivation->good =
        scram_derive(&derivation->keys, span_of(derivation->clear, derivation->clear_len));
}

static void derivation_free(struct derivation *derivation)
{
    mem_wipe(derivation->clear, derivation->clear_len);
    mem_wipe(&derivation->keys, sizeof(derivation->keys));
    mem_free(derivation);
}

static void derivation_done(struct broker *broker, struct work *work)
{
    struct derivation *derivation = CONTAINER_OF(work, struct derivation, work);
    struct authn_attempt *attempt = authn_find(broker, derivation->handle);
    enum authn_answer answer = AUTHN_DENY; /* of one that is gone: to be counted as stale */

    if (attempt != NULL && derivation->good)
        answer = challenge(broker, attempt, &derivation->keys);
    else if (attempt != NULL)
        answer = deny(attempt, MQTT_REASON_SERVER_BUSY, "its keys could not be derived");
    authn_complete(broker, derivation->handle, answer);
    derivation_free(derivation);
}

static enum authn_answer derive(struct broker *broker, struct authn_attempt *attempt,
                                const struct scram_keys *keys, struct span clear)
{
    struct derivation *derivation = mem_try_zalloc(sizeof(*derivation) + clear.len);

    if (derivation == NULL)
        return deny(attempt, MQTT_REASON_SERVER_BUSY, "out of memory"); /* I2 */
    derivation->work = (struct work){.blocking = derivation_blocking, .done = derivation_done};
    derivation->handle = attempt->handle;
    derivation->keys = *keys;
    derivation->clear_len = clear.len;
    memcpy(derivation->clear, clear.data, clear.len);
    if (port_work(broker, &derivation->work))
        return AUTHN_WAIT;
    derivation_free(derivation);
    return deny(attempt, MQTT_REASON_SERVER_BUSY,
                "too many passwords wait for a worker (workers.queue)");
}

/* ---- the steps ---- */

static struct span user_of(const struct scram_exchange *exchange)
{
    return span_of(exchange->server.user, exchange->server.user_len);
}

static uint64_t credential_of(const struct broker *broker, struct span user)
{
    const struct password *stored = password_store_find(broker->policy->passwords, user);

    return stored != NULL ? login_fingerprint(&broker->shared->login_secret, stored) : 0;
}

/* From here on the attempt counts for the name that it is about. */
static bool may_try(const struct broker *broker, struct authn_attempt *attempt, struct span user)
{
    attempt->slow_down = slow_down_keys_of(&attempt->peer, user);
    return slow_down_may_try(broker->shared->slow_down, attempt->slow_down,
                             &broker->policy->slow_down);
}

static enum authn_answer take_first(struct broker *broker, struct authn_attempt *attempt)
{
    struct scram_exchange *exchange = attempt->state;
    struct scram_keys keys;
    enum scram_source source;
    enum authn_answer answer;
    struct span clear;
    const char *why;

    if (!scram_server_first(&exchange->server, attempt->data, &why))
        return deny(attempt, MQTT_REASON_NOT_AUTHORIZED, why);
    if (attempt->has_username && !saslprep_same(attempt->username, user_of(exchange))) /* I3 */
        return deny(attempt, MQTT_REASON_NOT_AUTHORIZED,
                    "its user name is not the one that it authenticates");
    if (!may_try(broker, attempt, user_of(exchange)))
        return authn_unchecked(broker, attempt);
    source = password_store_scram(broker->policy->passwords, user_of(exchange), &keys, &clear,
                                  &exchange->known);
    if (source == SCRAM_NONE)
        return deny(attempt, MQTT_REASON_BAD_AUTHENTICATION_METHOD,
                    "no user has keys for SCRAM-SHA-256");
    exchange->credential = credential_of(broker, user_of(exchange));
    answer = source == SCRAM_READY ? challenge(broker, attempt, &keys)
                                   : derive(broker, attempt, &keys, clear);
    mem_wipe(&keys, sizeof(keys));
    return answer;
}

/* What else an answer of ALLOW has. */
static enum authn_answer allow(struct broker *broker, struct authn_attempt *attempt)
{
    const struct scram_exchange *exchange = attempt->state;
    struct span user = user_of(exchange);

    if (!authn_credential_good(broker, user, exchange->credential)) /* I4 */
        return deny(attempt, MQTT_REASON_SUCCESS, "wrong user name or password");
    attempt->new_username = mem_try_alloc(user.len + 1u);
    if (attempt->new_username == NULL)
        return deny(attempt, MQTT_REASON_SERVER_BUSY, "out of memory"); /* I2 */
    memcpy(attempt->new_username, user.data, user.len);
    attempt->new_username[user.len] = '\0';
    attempt->result.credential = exchange->credential;
    return AUTHN_ALLOW;
}

static enum authn_answer take_last(struct broker *broker, struct authn_attempt *attempt)
{
    struct scram_exchange *exchange = attempt->state;
    const char *why = NULL;
    bool guess = false, right;
    size_t len = 0;

    right =
        scram_server_final(&exchange->server, attempt->data, exchange->message, &len, &guess, &why);
    if (right && exchange->known) {
        attempt->answer = span_of(exchange->message, len);
        return allow(broker, attempt);
    }
    if (right || guess) /* I1 */
        return deny(attempt, MQTT_REASON_SUCCESS, "wrong user name or password");
    return deny(attempt, MQTT_REASON_NOT_AUTHORIZED, why);
}

enum authn_answer authn_scram_ask(struct broker *broker, struct authn_attempt *attempt)
{
    struct scram_exchange *exchange;

    if (!span_equal(attempt->method, span_text(SCRAM_METHOD)))
        return AUTHN_IGNORE;
    if (!authn_scram_configured(broker)) /* a reload took the users away between two steps */
        return deny(attempt, MQTT_REASON_BAD_AUTHENTICATION_METHOD, "there are no users any more");
    if (attempt->state == NULL) {
        attempt->state = mem_try_zalloc(sizeof(*exchange));
        attempt->free_state = exchange_free;
    }
    exchange = attempt->state;
    if (exchange == NULL)
        return deny(attempt, MQTT_REASON_SERVER_BUSY, "out of memory"); /* I2 */
    if (exchange->challenged)
        return take_last(broker, attempt);
    if (attempt->data.len == 0 &&
        attempt->round == 0) { /* it lets the server begin (RFC 4422, 3.3) */
        attempt->answer = (struct span){0};
        return AUTHN_CONTINUE;
    }
    return take_first(broker, attempt);
}
