/* SPDX-License-Identifier: MIT
 *
 * http_auth - the links of auth.http_auth in the chains of authn.h and authz.h.
 *
 *   CONNECT            ... --> auth_req --> ALLOW, DENY, IGNORE: the end of the chain decides
 *   whoever was let in --> super_req --> a super user or not, asked once
 *   PUBLISH, SUBSCRIBE ... --> acl_req --> ALLOW, DENY, IGNORE: auth.no_match decides
 *
 * The backend is asked about clients without a user name as well, unless these are welcome anyway (auth.allow_anonymous): it
 * may go by the client identifier, the address or the certificate. Only what it says lets somebody in; when it says nothing, or nothing that can be
 * understood, that is a denial (and no super user).
 */
#include "broker/http_auth.h"

#include "broker/authn_priv.h"
#include "broker/authz_priv.h"
#include "broker/will.h"
#include "conf/conf.h"

#include <arpa/inet.h>
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
    *reply = (struct http_reply){.answered = login_answered,
                                 .slot = attempt->handle.slot,
                                 .generation = attempt->handle.generation};
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
        *reply = (struct http_reply){.answered = super_answered,
                                     .slot = attempt->handle.slot,
                                     .generation = attempt->handle.generation};
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

static void say_why(struct authz_reason *reason, const char *why)
{
    snprintf(reason->rule, sizeof(reason->rule), "%s", why == NULL ? "" : why);
}

static void will_answered(struct broker *broker, const struct http_reply *reply,
                          const struct http_decision *decision)
{
    if (decision->verdict == HTTP_VERDICT_IGNORE) /* it is the last link */
        will_decided(broker, reply->asker, authz_no_match_allows(broker), "auth.no_match", NULL);
    else
        will_decided(broker, reply->asker, decision->verdict == HTTP_VERDICT_ALLOW,
                     authz_http_link.name, decision->why);
}

/* A will that is due: its client has gone. */
static enum authz_answer ask_about_will(struct broker *broker,
                                        const struct authz_question *question,
                                        struct http_facts *facts, struct authz_reason *reason)
{
    const struct will *will = question->will;
    const struct peer_address *peer = &question->peer;
    char address[INET6_ADDRSTRLEN];
    struct http_decision decision;
    struct http_reply *reply;

    if (will == NULL) {
        say_why(reason, "nobody can wait for the HTTP backend");
        return AUTHZ_DENY;
    }
    facts->port = will->port;
    facts->protocol = span_text(will->protocol);
    if (will->common_name != NULL)
        facts->common_name = span_text(will->common_name);
    if (will->subject != NULL)
        facts->subject = span_text(will->subject);
    if (will->mount_len != 0)
        facts->mount_point = span_of(question->topic.data, will->mount_len);
    if ((peer->family == AF_INET || peer->family == AF_INET6) &&
        inet_ntop(peer->family, peer->bytes, address, sizeof(address)) != NULL)
        facts->address = span_text(address);
    reply = port_http_ask(broker, HTTP_QUESTION_RULE, NULL, facts, &decision);
    if (reply == NULL) {
        say_why(reason, decision.why);
        return authz_answer_of(&decision);
    }
    *reply = (struct http_reply){.answered = will_answered, .asker = question->will_wait};
    return AUTHZ_WAIT;
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

    if (connection == NULL)
        return ask_about_will(broker, question, &facts, reason);
    if (connection->mount != NULL)
        facts.mount_point = span_of(connection->mount->text, connection->mount->len);
    reply = port_http_ask(broker, HTTP_QUESTION_RULE, connection, &facts, &decision);
    if (reply == NULL) {
        say_why(reason, decision.why);
        return authz_answer_of(&decision);
    }
    if (!authz_wait_begin(broker, question, &handle)) /* nobody is told what the answer is */
        return AUTHZ_DENY;
    *reply = (struct http_reply){
        .answered = rule_answered, .slot = handle.slot, .generation = handle.generation};
    return AUTHZ_WAIT;
}

const struct authz_link authz_http_link = {.name = "http", .configured = configured, .ask = ask};
