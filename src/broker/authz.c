/* SPDX-License-Identifier: MIT
 *
 * authz - the chain of links, and the packets that wait for an answer (authz.h has the picture).
 *
 * What is remembered of a packet is one entry for each question of it that had to wait: which link was asked about what,
 * and what it said. A packet that is run again asks in the same order, so the search begins where the last one ended. A
 * packet with more such questions than KNOWN_MAX (a SUBSCRIBE with hundreds of filters, and a slow backend) has the
 * others denied.
 *
 * Waits are named by slot and generation, for a client that waits for its CONNECT has no session yet.
 */
#include "broker/authz.h"

#include "auth/acl.h"
#include "broker/authn_priv.h"
#include "broker/authz_priv.h"
#include "broker/http_auth.h"
#include "broker/policy.h"

#include <stdio.h>

#define KNOWN_MAX 256u

/* An answer that came later, or is still to come. */
struct authz_known {
    const struct authz_link *link;
    uint8_t action, answer; /* AUTHZ_WAIT: still to come */
    uint32_t topic_len;
    uint8_t *topic;
    char rule[AUTHZ_RULE_MAX];
};

/* Owner: shard. One for each connection whose packet waits, or is run again. */
struct authz_wait {
    struct connection *connection; /* NULL: free */
    uint32_t generation, next_free;
    uint32_t count, cursor;
    struct authz_known *known;
};

/* In this order. A row's link lives in the file of what it stands for. */
static const struct authz_link *const links[] = {
    &authz_plugins_link, /* plugins_ask.c: code of the operator's own */
    &authz_token_link,   /* authz_token.c: the rules of a token */
    &authz_rules_link,   /* authz_rules.c: auth.acl */
    &authz_http_link,    /* http_auth.c: a backend is asked */
    NULL,                /* the end */
};

void authz_configure(struct broker *broker)
{
    broker->authz_active = !authz_no_match_allows(broker);
    broker->authz_rules_alone = true;
    for (unsigned i = 0; links[i] != NULL; i++) {
        if (!links[i]->configured(broker))
            continue;
        broker->authz_active = true;
        broker->authz_rules_alone &= links[i]->rules_alone;
    }
    broker->authz_generation = broker->policy == NULL ? 0 : broker->policy->generation;
    broker->authz_epoch++;
    broker->authz_memo_generation = broker->authz_rules_alone ? broker->authz_generation : 0;
}

/* ---- waiting ---- */

static struct authz_wait *wait_of(struct broker *broker, const struct connection *connection)
{
    return connection == NULL || connection->authz_wait == 0
               ? NULL
               : broker->authz_waits.slots[connection->authz_wait - 1];
}

static struct authz_wait *wait_create(struct broker *broker, struct connection *connection)
{
    struct authz_waits *waits = &broker->authz_waits;
    struct authz_wait *wait;
    uint32_t slot = waits->free;

    if (slot == 0) {
        void *grown = mem_try_realloc(waits->slots, (waits->count + 1u) * sizeof(waits->slots[0]));

        wait = mem_try_zalloc(sizeof(*wait));
        if (grown != NULL)
            waits->slots = grown;
        if (grown == NULL || wait == NULL) {
            mem_free(wait);
            return NULL;
        }
        waits->slots[waits->count++] = wait;
        slot = waits->count;
    } else {
        wait = waits->slots[slot - 1];
        waits->free = wait->next_free;
    }
    wait->connection = connection;
    connection->authz_wait = slot;
    return wait;
}

static struct authz_known *wait_find(struct authz_wait *wait, const struct authz_link *link,
                                     const struct authz_question *question)
{
    for (uint32_t i = 0; i < wait->count; i++) {
        uint32_t at = (wait->cursor + i) % wait->count;
        struct authz_known *known = &wait->known[at];

        if (known->link == link && known->action == question->action &&
            span_equal(span_of(known->topic, known->topic_len), question->topic)) {
            wait->cursor = at + 1;
            return known;
        }
    }
    return NULL;
}

/* Makes room for one more answer. */
static struct authz_known *wait_add(struct authz_wait *wait, const struct authz_question *question)
{
    struct authz_known *known =
        mem_try_realloc(wait->known, (wait->count + 1u) * sizeof(wait->known[0]));
    uint8_t *topic = mem_try_alloc(question->topic.len);

    if (known != NULL)
        wait->known = known;
    if (known == NULL || topic == NULL) {
        mem_free(topic);
        return NULL;
    }
    memcpy(topic, question->topic.data, question->topic.len);
    known += wait->count++;
    *known = (struct authz_known){.link = NULL, /* put in when ask() has returned */
                                  .action = (uint8_t)question->action,
                                  .answer = AUTHZ_WAIT,
                                  .topic_len = question->topic.len,
                                  .topic = topic};
    return known;
}

bool authz_wait_begin(struct broker *broker, const struct authz_question *question,
                      struct authz_handle *handle)
{
    struct connection *connection = question->connection;
    struct authz_wait *wait = wait_of(broker, connection);

    if (connection == NULL || question->at_once || connection->awaits_answer)
        return false; /* I1 */
    if (wait == NULL)
        wait = wait_create(broker, connection);
    if (wait == NULL || wait->count >= KNOWN_MAX || wait_add(wait, question) == NULL)
        return false;
    wait->generation++;
    connection->awaits_answer = true;
    *handle = (struct authz_handle){connection->authz_wait, wait->generation};
    return true;
}

void authz_complete(struct broker *broker, struct authz_handle handle, enum authz_answer answer,
                    const char *rule)
{
    struct authz_waits *waits = &broker->authz_waits;
    struct authz_wait *wait =
        handle.slot == 0 || handle.slot > waits->count ? NULL : waits->slots[handle.slot - 1];
    struct authz_known *known;

    ASSERT(answer != AUTHZ_WAIT);
    if (wait == NULL || wait->connection == NULL || wait->generation != handle.generation) {
        STAT_INC(broker->stats, stale_handle); /* I1 */
        return;
    }
    known = &wait->known[wait->count - 1];
    if (known->answer != AUTHZ_WAIT) {
        STAT_INC(broker->stats, stale_handle);
        return;
    }
    known->answer = (uint8_t)answer;
    snprintf(known->rule, sizeof(known->rule), "%s", rule == NULL ? "" : rule);
    wait->connection->awaits_answer = false;
    broker->answered = true;
    authn_go_on(broker, wait->connection); /* its CONNECT is not in the input any more */
}

void authz_forget(struct broker *broker, struct connection *connection)
{
    struct authz_wait *wait = wait_of(broker, connection);

    if (wait == NULL)
        return;
    for (uint32_t i = 0; i < wait->count; i++)
        mem_free(wait->known[i].topic);
    mem_free(wait->known);
    *wait =
        (struct authz_wait){.generation = wait->generation, .next_free = broker->authz_waits.free};
    broker->authz_waits.free = connection->authz_wait;
    connection->authz_wait = 0;
    connection->awaits_answer = false;
}

void authz_clear(struct broker *broker)
{
    for (uint32_t i = 0; i < broker->authz_waits.count; i++)
        mem_free(broker->authz_waits.slots[i]);
    mem_free(broker->authz_waits.slots);
}

/* ---- asking ---- */

static enum authz_answer ask_link(struct broker *broker, const struct authz_link *link,
                                  const struct authz_question *question,
                                  struct authz_reason *reason)
{
    struct authz_wait *wait = wait_of(broker, question->connection);
    struct authz_known *known = wait == NULL ? NULL : wait_find(wait, link, question);
    enum authz_answer answer;

    if (known != NULL) {
        memcpy(reason->rule, known->rule, sizeof(reason->rule));
        return (enum authz_answer)known->answer;
    }
    answer = link->ask(broker, question, reason);
    if (answer != AUTHZ_WAIT || question->connection == NULL)
        return answer;
    wait = wait_of(broker, question->connection);
    ASSERT(wait != NULL && wait->known[wait->count - 1].link == NULL);
    wait->known[wait->count - 1].link = link;
    return AUTHZ_WAIT;
}

enum authz_answer authz_ask_question(struct broker *broker, const struct authz_question *question,
                                     struct authz_reason *reason)
{
    for (unsigned i = 0; links[i] != NULL; i++) {
        enum authz_answer answer;

        if (!links[i]->configured(broker))
            continue;
        reason->link = links[i]->name;
        reason->rule[0] = '\0';
        answer = ask_link(broker, links[i], question, reason);
        if (answer != AUTHZ_IGNORE)
            return answer;
    }
    if (authz_no_match_allows(broker))
        return AUTHZ_ALLOW;
    *reason = (struct authz_reason){.link = "auth.no_match"};
    return AUTHZ_DENY;
}

bool authz_no_match_allows(const struct broker *broker)
{
    return broker->policy == NULL || broker->policy->no_match_allows;
}

struct authz_question authz_question_of(struct session *session)
{
    return (struct authz_question){
        .client_identifier = session_client_identifier(session),
        .username = session->username == NULL ? (struct span){0} : span_text(session->username),
        .peer = session->peer,
        .rules = session->rules,
        .session = session,
    };
}

void authz_admit(struct broker *broker, struct session *session, struct authz_grant *grant)
{
    authz_retire(session);
    if (session->subscription_count > 0) /* of somebody else's, perhaps, until now */
        broker->authz_epoch++;
    session->superuser = grant->superuser;
    session->rules = grant->rules;
    if (grant->rules != NULL && !broker->authz_tokens) {
        broker->authz_tokens = true;
        authz_configure(broker);
    }
    grant->rules = NULL;
}

void authz_retire(struct session *session)
{
    authz_client_drop(session);
    authz_author_drop(session);
    acl_free(session->rules);
    session->rules = NULL;
}

/* What the links of rules say; IGNORE: nothing. */
static enum authz_answer ask_rules(struct broker *broker, const struct authz_question *question)
{
    enum authz_answer answer = AUTHZ_IGNORE;
    struct authz_reason reason;

    for (unsigned i = 0; links[i] != NULL && answer == AUTHZ_IGNORE; i++)
        if (links[i]->rules_alone && links[i]->configured(broker))
            answer = links[i]->ask(broker, question, &reason);
    return answer;
}

/* Where others than the rules were asked about the subscription, or the publication, these have allowed it. */
static bool is_allowed(const struct broker *broker, enum authz_answer rules_say)
{
    return rules_say == AUTHZ_ALLOW ||
           (rules_say == AUTHZ_IGNORE &&
            (!broker->authz_rules_alone || authz_no_match_allows(broker)));
}

bool authz_rules_allow(struct broker *broker, const struct authz_question *question)
{
    return is_allowed(broker, ask_rules(broker, question));
}

static __attribute__((noinline)) bool
ask_about_delivery(struct broker *broker, struct session *session, struct span topic, uint64_t hash)
{
    struct authz_question question = authz_question_of(session);
    enum authz_answer answer;

    question.action = AUTHZ_RECEIVE;
    question.topic = topic;
    answer = ask_rules(broker, &question);
    if (answer == AUTHZ_ALLOW)
        authz_remember(broker, session, AUTHZ_RECEIVE, topic, hash);
    return is_allowed(broker, answer);
}

bool authz_check_delivery(struct broker *broker, struct session *session,
                          const struct publication *publication)
{
    const struct authz_client *client = authz_client_of(broker, session);
    uint64_t hash;

    if (client == NULL)
        return broker->policy == NULL; /* authz.h, I2 */
    if (!client->checks_deliveries)
        return true;
    hash = publication_hash(publication);
    return authz_remembers(broker, session, AUTHZ_RECEIVE, publication->topic, hash) ||
           ask_about_delivery(broker, session, publication->topic, hash);
}

static __attribute__((noinline)) bool ask_about_all(struct broker *broker,
                                                    const struct topic_match *match,
                                                    const struct publication *publication)
{
    for (uint32_t i = 0; i < match->count; i++) {
        const struct subscription *entry = &match->entries[i];

        if (entry->kind == SUBSCRIBER_GROUP || /* one of its members, who is not known yet */
            !authz_may_receive(broker, entry->subscriber, publication))
            return false;
    }
    return true;
}

bool authz_all_may_receive(struct broker *broker, const struct topic_match *match,
                           const struct publication *publication)
{
    if (match->note == NULL)
        return false;
    if (UNLIKELY(*match->note >> 1 != broker->authz_epoch))
        *match->note = broker->authz_epoch << 1 | ask_about_all(broker, match, publication);
    return *match->note & 1;
}

static enum authz_answer ask(struct broker *broker, struct connection *connection,
                             enum authz_action action, struct span topic, uint8_t qos, bool retain,
                             bool at_once, struct authz_reason *reason)
{
    struct authz_question question;
    enum authz_answer answer;

    if (connection->session->superuser)
        return AUTHZ_ALLOW;
    question = authz_question_of(connection->session);
    question.action = action;
    question.topic = topic;
    question.qos = qos;
    question.retain = retain;
    question.connection = connection;
    question.at_once = at_once;
    answer = authz_ask_question(broker, &question, reason);
    if (answer == AUTHZ_ALLOW && action == AUTHZ_PUBLISH)
        authz_remember(broker, connection->session, action, topic, hash64(topic.data, topic.len));
    return answer;
}

enum authz_answer authz_ask(struct broker *broker, struct connection *connection,
                            enum authz_action action, struct span topic, uint8_t qos, bool retain,
                            struct authz_reason *reason)
{
    return ask(broker, connection, action, topic, qos, retain, false, reason);
}

bool authz_may_subscribe(struct broker *broker, struct connection *connection, struct span filter,
                         uint8_t qos, struct authz_reason *reason)
{
    return ask(broker, connection, AUTHZ_SUBSCRIBE, filter, qos, false, true, reason) ==
           AUTHZ_ALLOW;
}

void authz_why(struct broker *broker, struct connection *connection, enum authz_action action,
               struct span topic, uint8_t qos, bool retain, struct authz_reason *reason)
{
    if (ask(broker, connection, action, topic, qos, retain, true, reason) != AUTHZ_DENY)
        *reason = (struct authz_reason){.link = "authz", .rule = "changed meanwhile"};
}

enum authz_answer authz_will(struct broker *broker, struct session *session,
                             const struct will *will, struct will_wait *wait,
                             struct authz_reason *reason)
{
    const struct publication *publication = &will->message->publication;
    struct authz_question question;

    if (session->superuser)
        return AUTHZ_ALLOW;
    question = authz_question_of(session);
    question.action = AUTHZ_PUBLISH;
    question.topic = publication->topic;
    question.qos = publication->qos;
    question.retain = publication->retain;
    question.will = will;
    question.will_wait = wait;
    return authz_ask_question(broker, &question, reason);
}
