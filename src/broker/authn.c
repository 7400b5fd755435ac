/* SPDX-License-Identifier: MIT
 *
 * authn - the chain itself; the essay is in authn.h.
 *
 * A broker without any link that is configured, and open to everybody, never makes an attempt: authn_open() says so, and
 * CONNECT costs what it did before there was authentication.
 */
#include "broker/authn.h"

#include "broker/authn_priv.h"
#include "broker/broker_priv.h"
#include "broker/http_auth.h"
#include "broker/policy.h"

static const struct authn_link links[] = {
#define AUTHN_LINK(link) {#link, authn_##link##_configured, authn_##link##_ask},
#include "broker/authn_links.def"
#undef AUTHN_LINK
};

/* ---- the link of certificates ---- */

bool authn_certificate_configured(const struct broker *broker)
{
    (void)broker;
    return true; /* whether there is one depends on the listener */
}

enum authn_answer authn_certificate_ask(struct broker *broker, struct authn_attempt *attempt)
{
    (void)broker;
    return attempt->username_verified && attempt->door.certified && attempt->method.len == 0
               ? AUTHN_ALLOW
               : AUTHN_IGNORE;
}

/* ---- the chain ---- */

static bool anyone_configured(const struct broker *broker)
{
    for (size_t i = 0; i < ARRAY_LENGTH(links); i++)
        if (links[i].configured != authn_certificate_configured && links[i].configured(broker))
            return true;
    return false;
}

bool authn_any_behind(const struct broker *broker, const struct authn_link *link)
{
    for (link++; link < links + ARRAY_LENGTH(links); link++)
        if (link->configured(broker))
            return true;
    return false;
}

bool authn_open(const struct broker *broker, const struct connection *connection,
                const struct connect_packet *packet)
{
    return (broker->policy == NULL || broker->policy->anonymous) && !anyone_configured(broker) &&
           !http_super_configured(broker) && !port_named_only(connection) &&
           !props_has(&packet->props, MQTT_PROPERTY_AUTHENTICATION_METHOD);
}

bool authn_nameless_welcome(const struct broker *broker, const char *listener, bool has_username)
{
    return (broker->policy == NULL || policy_anonymous(broker->policy, listener)) &&
           (!has_username || !anyone_configured(broker));
}

/* Nobody knows the client. */
static enum authn_answer end_of_chain(const struct broker *broker, struct authn_attempt *attempt)
{
    attempt->link = NULL;
    if (attempt->method.len != 0) { /* [MQTT-4.12.0-1] */
        attempt->code = MQTT_REASON_BAD_AUTHENTICATION_METHOD;
        attempt->reason = "no such authentication method is supported";
        return AUTHN_DENY;
    }
    /* who shows a password that nobody takes is somebody, if not known */
    if (!attempt->door.named_only &&
        authn_nameless_welcome(broker, attempt->door.listener,
                               attempt->has_username || attempt->has_password))
        return AUTHN_ALLOW;
    if (!attempt->has_username)
        attempt->reason = "a user name and a password are required";
    else if (attempt->reason == NULL) /* else the last who was asked has said why */
        attempt->reason = "nobody knows the user name and the password";
    return AUTHN_DENY;
}

/* Asks `next` and those behind it. */
static enum authn_answer ask_from(struct broker *broker, struct authn_attempt *attempt,
                                  const struct authn_link *next)
{
    for (; next < links + ARRAY_LENGTH(links); next++) {
        enum authn_answer answer;

        if (!next->configured(broker))
            continue;
        authn_drop_state(attempt);
        attempt->link = next;
        attempt->reason = NULL;
        attempt->code = MQTT_REASON_SUCCESS;
        answer = next->ask(broker, attempt);
        if (answer != AUTHN_IGNORE)
            return answer;
    }
    return end_of_chain(broker, attempt);
}

#define ROUNDS_MAX 16u /* CONTINUEs of one attempt */

/* The link wants to hear more. False when that cannot be: the attempt is then to be refused. */
static bool continue_with(struct broker *broker, struct authn_attempt *attempt)
{
    attempt->code = MQTT_REASON_SUCCESS;
    if (attempt->method.len == 0 || attempt->round == ROUNDS_MAX)
        attempt->reason = "its authentication takes too many steps";
    else if (!auth_send(broker, attempt, MQTT_REASON_CONTINUE_AUTHENTICATION)) /* [MQTT-4.12.0-2] */
        attempt->reason = "a step of its authentication is larger than its Maximum Packet Size";
    else
        attempt->awaits_client = true;
    return attempt->awaits_client;
}

/* ---- the answer ---- */

/* When the connection's own time is over the answer comes at once. */
#define ANSWER_BEFORE_MS 250u

static uint64_t time_left(const struct broker *broker, const struct connection *connection)
{
    uint64_t end_ms = connection->timer.deadline_ms;

    return end_ms > broker->now_ms + ANSWER_BEFORE_MS ? end_ms - broker->now_ms - ANSWER_BEFORE_MS
                                                      : 0;
}

/* A wrong user name or password; what a broken backend refused is nobody's fault. True: the answer waits. */
static bool hold_back(struct broker *broker, struct authn_attempt *attempt)
{
    uint64_t delay_ms, most_ms = time_left(broker, attempt->connection);
    const struct policy *policy = broker->policy;

    if (attempt->code != MQTT_REASON_SUCCESS || policy == NULL ||
        (!attempt->has_username && attempt->method.len == 0))
        return false;
    delay_ms = slow_down_wrong(broker->shared->slow_down, attempt->slow_down, &policy->slow_down,
                               broker->now_ms, &attempt->hold);
    if (delay_ms == 0)
        return false;
    if (attempt->again)
        return false; /* counted; but it is online, and ends at once */
    STAT_INC(broker->stats, authn_held_back);
    timer_arm(&broker->timers, &attempt->timer,
              broker->now_ms + (delay_ms < most_ms ? delay_ms : most_ms));
    return true;
}

/* Does what was decided, once. */
static enum connection_verdict conclude(struct broker *broker, struct authn_attempt *attempt,
                                        bool allowed)
{
    struct connection *connection = attempt->connection;
    enum connection_verdict verdict = CONNECTION_CONTINUE;

    attempt->allowed = allowed;
    if (attempt->again)
        auth_again_decided(broker, attempt, allowed);
    else
        verdict = allowed ? connect_allowed(broker, connection, attempt)
                          : connect_denied(broker, connection, attempt);
    if (verdict == CONNECTION_PAUSE)
        return CONNECTION_CONTINUE;    /* its will is being decided: authn_go_on() */
    authn_abandon(broker, connection); /* I1; it may be gone already: the connection has ended */
    return verdict;
}

static enum connection_verdict settle(struct broker *broker, struct authn_attempt *attempt,
                                      enum authn_answer answer)
{
    if (answer == AUTHN_ALLOW) {
        if (attempt->policy_generation == 0)
            attempt->policy_generation = broker->authz_generation;
        answer = http_super_ask(broker, attempt);
    }
    attempt->waiting = answer == AUTHN_WAIT;
    if (attempt->waiting) {
        STAT_INC(broker->stats, authn_waited);
        return CONNECTION_CONTINUE; /* it is paused: authn_holds() (I2) */
    }
    if (answer == AUTHN_CONTINUE) {
        if (continue_with(broker, attempt))
            return CONNECTION_CONTINUE;
        answer = AUTHN_DENY;
    }
    if (answer == AUTHN_ALLOW) {
        if (attempt->link != NULL)
            slow_down_right(broker->shared->slow_down, attempt->slow_down);
    } else if (hold_back(broker, attempt)) {
        return CONNECTION_CONTINUE;
    }
    return conclude(broker, attempt, answer == AUTHN_ALLOW);
}

void authn_held_long_enough(void *owner, struct timer *timer)
{
    (void)conclude(owner, CONTAINER_OF(timer, struct authn_attempt, timer), false);
}

enum authn_answer authn_unchecked(struct broker *broker, struct authn_attempt *attempt)
{
    STAT_INC(broker->stats, authn_unchecked);
    attempt->code = MQTT_REASON_CONNECTION_RATE_EXCEEDED;
    attempt->reason = "too many wrong passwords (auth.slow_down)";
    return AUTHN_DENY;
}

enum connection_verdict authn_begin(struct broker *broker, struct authn_attempt *attempt)
{
    if (broker->policy != NULL && (attempt->has_username || attempt->method.len != 0) &&
        !slow_down_may_try(broker->shared->slow_down, attempt->slow_down,
                           &broker->policy->slow_down) &&
        !authn_password_remembered(broker, attempt)) {
        (void)authn_unchecked(broker, attempt);
        return conclude(broker, attempt, false);
    }
    return settle(broker, attempt, ask_from(broker, attempt, links));
}

void authn_go_on(struct broker *broker, struct connection *connection)
{
    struct authn_attempt *attempt = connection->attempt;

    if (attempt != NULL && attempt->allowed)
        (void)conclude(broker, attempt, true);
}

enum connection_verdict authn_answered(struct broker *broker, struct authn_attempt *attempt,
                                       struct span data)
{
    ASSERT(attempt->awaits_client && attempt->link != NULL);
    attempt->awaits_client = false;
    attempt->round++;
    attempt->reason = NULL;
    if (!authn_hear(attempt, data))
        return authn_break_off(broker, attempt, MQTT_REASON_QUOTA_EXCEEDED, "out of memory");
    return settle(broker, attempt, attempt->link->ask(broker, attempt));
}

enum connection_verdict authn_break_off(struct broker *broker, struct authn_attempt *attempt,
                                        enum mqtt_reason code, const char *reason)
{
    attempt->code = code;
    attempt->reason = reason;
    return settle(broker, attempt, AUTHN_DENY);
}

void authn_complete(struct broker *broker, struct authn_handle handle, enum authn_answer answer)
{
    struct authn_attempt *attempt = authn_find(broker, handle);

    if (attempt == NULL || !attempt->waiting) {
        STAT_INC(broker->stats, authn_stale);
        return;
    }
    attempt->waiting = false;
    if (answer == AUTHN_IGNORE)
        answer = ask_from(broker, attempt, attempt->link + 1);
    ASSERT(answer != AUTHN_WAIT || attempt->link != NULL);
    (void)settle(broker, attempt, answer);
}
