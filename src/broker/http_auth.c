/* SPDX-License-Identifier: MIT
 *
 * http_auth - the links of auth.http_auth in the chains of authn.h and authz.h.
 *
 *   CONNECT            ... --> auth_req --> ALLOW, DENY, IGNORE: the end of the chain decides
 *   whoever was let in --> super_req --> a super user or not, asked once
 *   PUBLISH, SUBSCRIBE ... --> acl_req --> ALLOW, DENY, IGNORE: auth.no_match decides
 *
 * The backend is asked about every client, one without a user name as well: it may go by the client identifier, the
 * address or the certificate. Only what it says lets somebody in; when it says nothing, or nothing that can be
 * understood, that is a denial (and no super user).
 */
#include "broker/http_auth.h"

#include "broker/authn_priv.h"
#include "broker/broker_priv.h"
#include "conf/conf.h"

#include <stdio.h>

static bool asked(const struct broker *broker, const char *url)
{
    return broker->conf->auth_http_auth_enable && url[0] != '\0';
}

/* ---- auth_req ---- */

static struct http_facts facts_of(const struct authn_attempt *attempt)
{
    struct http_facts facts = {.client_identifier = attempt->client_identifier};

    if (attempt->new_username != NULL)
        facts.username = span_text(attempt->new_username);
    else if (attempt->has_username)
        facts.username = attempt->username;
    if (attempt->has_password)
        facts.password = attempt->password;
    return facts;
}

static enum authn_answer authn_answer_of(struct authn_attempt *attempt,
                                         const struct http_decision *decision)
{
    switch (decision->verdict) {
    case HTTP_VERDICT_ALLOW:
        attempt->result.superuser = decision->superuser;
        return AUTHN_ALLOW;
    case HTTP_VERDICT_IGNORE:
        return AUTHN_IGNORE;
    case HTTP_VERDICT_DENY:
        break;
    }
    attempt->reason = decision->why;
    attempt->code = decision->failed ? MQTT_REASON_SERVER_UNAVAILABLE : MQTT_REASON_NOT_AUTHORIZED;
    return AUTHN_DENY;
}

static void login_answered(struct broker *broker, const struct http_reply *reply,
                           const struct http_decision *decision)
{
    const struct authn_handle handle = {reply->slot, reply->generation};
    struct authn_attempt *attempt = authn_find(broker, handle);

    authn_complete(broker, handle, /* counts it when the client has gone */
                   attempt == NULL ? AUTHN_DENY : authn_answer_of(attempt, decision));
}

bool authn_http_configured(const struct broker *broker)
{
    return broker->conf->auth_enable && asked(broker, broker->conf->auth_http_auth_auth_req_url);
}

enum authn_answer authn_http_ask(struct broker *broker, struct authn_attempt *attempt)
{
    struct http_facts facts = facts_of(attempt);
    struct http_decision decision;
    struct http_reply *reply;

    if (attempt->method.len != 0 ||
        (!attempt->has_username && !attempt->has_password && /* nobody has to know it */
         !attempt->door.named_only &&
         authn_nameless_welcome(broker, attempt->door.listener, false)))
        return AUTHN_IGNORE;
    reply = port_http_ask(broker, HTTP_QUESTION_LOGIN, attempt->connection, &facts, &decision);
    if (reply == NULL)
        return authn_answer_of(attempt, &decision);
    *reply = (struct http_reply){login_answered, attempt->handle.slot, attempt->handle.generation};
    return AUTHN_WAIT;
}

/* ---- super_req ---- */

static void super_answered(struct broker *broker, const struct http_reply *reply,
                           const struct http_decision *decision)
{
    const struct authn_handle handle = {reply->slot, reply->generation};
    struct authn_attempt *attempt = authn_find(broker, handle);

    if (attempt != NULL)
        attempt->result.superuser = decision->verdict == HTTP_VERDICT_ALLOW;
    authn_complete(broker, handle, AUTHN_ALLOW);
}

bool http_super_configured(const struct broker *broker)
{
    return asked(broker, broker->conf->auth_http_auth_super_req_url);
}

enum authn_answer http_super_ask(struct broker *broker, struct authn_attempt *attempt)
{
    struct http_facts facts = facts_of(attempt);
    struct http_decision decision;
    struct http_reply *reply;

    if (attempt->super_asked || attempt->result.superuser || !http_super_configured(broker))
        return AUTHN_ALLOW;
    attempt->super_asked = true;
    reply = port_http_ask(broker, HTTP_QUESTION_SUPER, attempt->connection, &facts, &decision);
    if (reply != NULL) {
        *reply =
            (struct http_reply){super_answered, attempt->handle.slot, attempt->handle.generation};
        return AUTHN_WAIT;
    }
    attempt->result.superuser = decision.verdict == HTTP_VERDICT_ALLOW;
    return AUTHN_ALLOW;
}

/* ---- acl_req ---- */

static enum authz_answer authz_answer_of(const struct http_decision *decision)
{
    return decision->verdict == HTTP_VERDICT_ALLOW    ? AUTHZ_ALLOW
           : decision->verdict == HTTP_VERDICT_IGNORE ? AUTHZ_IGNORE
                                                      : AUTHZ_DENY;
}

static void rule_answered(struct broker *broker, const struct http_reply *reply,
                          const struct http_decision *decision)
{
    authz_complete(broker, (struct authz_handle){reply->slot, reply->generation},
                   authz_answer_of(decision), decision->why);
}

static bool configured(const struct broker *broker)
{
    return asked(broker, broker->conf->auth_http_auth_acl_req_url);
}

static enum authz_answer ask(struct broker *broker, const struct authz_question *question,
                             struct authz_reason *reason)
{
    struct http_facts facts = {
        .username = question->username,
        .client_identifier = question->client_identifier,
        .topic = question->topic,
        .access = question->action == AUTHZ_PUBLISH ? 2 : 1,
    };
    const struct connection *connection = question->connection;
    struct http_decision decision;
    struct authz_handle handle;
    struct http_reply *reply;

    /* A will whose client has gone. The backend was asked about it at CONNECT, and nothing can wait for it now. */
    if (connection == NULL)
        return AUTHZ_ALLOW;
    if (connection->mount != NULL)
        facts.mount_point = span_of(connection->mount->text, connection->mount->len);
    reply = port_http_ask(broker, HTTP_QUESTION_RULE, connection, &facts, &decision);
    if (reply == NULL) {
        snprintf(reason->rule, sizeof(reason->rule), "%s",
                 decision.why == NULL ? "" : decision.why);
        return authz_answer_of(&decision);
    }
    if (!authz_wait_begin(broker, question, &handle)) /* nobody is told what the answer is */
        return AUTHZ_DENY;
    *reply = (struct http_reply){rule_answered, handle.slot, handle.generation};
    return AUTHZ_WAIT;
}

const struct authz_link authz_http_link = {.name = "http", .configured = configured, .ask = ask};
