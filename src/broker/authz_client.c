/* SPDX-License-Identifier: MIT
 *
 * authz_client - what a session keeps so that rules cost little: the groups of rules that its client is in, whether its
 * deliveries have to be checked one by one, and the topics that it was allowed last.
 *
 * All of it is for one policy, which has a number: after a reload the first question finds another number and begins
 * anew. A session whose client never asks has nothing.
 *
 * Deliveries. What a client subscribed to it was allowed to subscribe to; most often that says that it may have all that
 * comes. It does not when a rule that denies stands before the one that allows (deny a/secret, allow a/#), when rules
 * have changed since, or when something waits in the session's queue that came under other rules. Then, and only then,
 * each message is asked about before it is sent.
 *
 * Topics. A client publishes to few topics again and again: those that were allowed last are remembered, as they are
 * and not by a hash that could be made to collide. Not so when somebody is in the chain who may change his mind.
 *
 * Invariants
 *   I1  nothing that was found out under one policy is used under another
 *   I2  checks_deliveries is false only when every topic that the session's subscriptions match is allowed, and nothing
 *       is queued that came before that was so
 */
#include "auth/acl.h"
#include "broker/authz_priv.h"
#include "broker/policy.h"
#include "broker/share.h"

#define MEMO_SLOTS     8u
#define MEMO_TOPIC_MAX 62u

/* A cache line each. */
struct authz_memo {
    struct {
        uint8_t action; /* enum authz_action + 1; 0: free */
        uint8_t len;
        uint8_t topic[MEMO_TOPIC_MAX];
    } slots[MEMO_SLOTS];
};

_Static_assert(sizeof(struct authz_memo) == MEMO_SLOTS * CACHE_LINE, "a slot is a line");

/* ---- topics ---- */

/* A few bits of the topic's ends and middle: that is where topics of one client differ. */
static uint32_t memo_slot(enum authz_action action, struct span topic)
{
    uint64_t first = 0, middle = 0, last = 0;

    if (topic.len >= 8) {
        memcpy(&first, topic.data, 8);
        memcpy(&middle, topic.data + topic.len / 2 - 4, 8);
        memcpy(&last, topic.data + topic.len - 8, 8);
    } else {
        for (uint32_t i = 0; i < topic.len; i++)
            last = last << 8 | topic.data[i];
    }
    return (uint32_t)(((first ^ middle * 31 ^ last * 131) + topic.len + (uint32_t)action) *
                          0x9e3779b97f4a7c15u >>
                      61);
}

_Static_assert(MEMO_SLOTS == 8, "memo_slot() has three bits");

bool authz_remembers(struct broker *broker, struct session *session, enum authz_action action,
                     struct span topic)
{
    const struct authz_client *client = session->authz;
    uint32_t slot;

    if (client == NULL || client->memo == NULL || topic.len > MEMO_TOPIC_MAX ||
        broker->policy == NULL || client->generation != broker->policy->generation) /* I1 */
        return false;
    slot = memo_slot(action, topic);
    return client->memo->slots[slot].action == action + 1 &&
           client->memo->slots[slot].len == topic.len &&
           memcmp(client->memo->slots[slot].topic, topic.data, topic.len) == 0;
}

void authz_remember(struct broker *broker, struct session *session, enum authz_action action,
                    struct span topic)
{
    struct authz_client *client;
    uint32_t slot;

    if (!broker->authz_rules_alone || topic.len > MEMO_TOPIC_MAX)
        return;
    client = authz_client_of(broker, session);
    if (client == NULL)
        return;
    if (client->memo == NULL)
        client->memo = mem_try_zalloc(sizeof(*client->memo));
    if (client->memo == NULL)
        return;
    slot = memo_slot(action, topic);
    client->memo->slots[slot].action = (uint8_t)(action + 1);
    client->memo->slots[slot].len = (uint8_t)topic.len;
    memcpy(client->memo->slots[slot].topic, topic.data, topic.len);
}

/* ---- deliveries ---- */

/* Whether all that matches the filter is allowed, and was allowed by a rule that nothing comes before. */
static bool wholly_allowed(const struct broker *broker, struct session *session,
                           const struct authz_client *client, struct span filter)
{
    const struct acl *acl = broker->policy == NULL ? NULL : broker->policy->acl;
    const struct authz_question question = authz_question_of(session);
    const struct acl_who who = {question.client_identifier, question.username, question.peer};
    uint32_t rule, deny;

    if (acl == NULL)
        return authz_no_match_allows(broker);
    rule = acl_match_filter(acl, &who, client->groups, client->group_count, filter);
    deny = acl_first_deny(acl, client->groups, client->group_count);
    if (rule == ACL_RULE_NONE)
        return deny == ACL_RULE_NONE && authz_no_match_allows(broker);
    return acl_rule_allows(acl, rule) && rule < deny;
}

static bool all_wholly_allowed(const struct broker *broker, struct session *session,
                               const struct authz_client *client)
{
    for (uint32_t i = 0; i < session->subscription_count; i++) {
        const struct session_subscription *at = &session->subscriptions[i];
        struct span filter = at->membership != NULL ? membership_filter(at->membership)
                                                    : topic_filter_text(at->filter);

        if (!wholly_allowed(broker, session, client, filter))
            return false;
    }
    return true;
}

/* One delivery in the window may be the one that is asked about. */
static bool has_queue(const struct session *session)
{
    return session->window.tail - session->window.head > 1 || session->hold != NULL;
}

void authz_subscribed(struct broker *broker, struct session *session, struct span filter)
{
    struct authz_client *client;

    if (session->superuser)
        return;
    client = authz_client_of(broker, session);
    if (client != NULL && !client->checks_deliveries)
        client->checks_deliveries = !wholly_allowed(broker, session, client, filter);
}

/* ---- keeping it up to date ---- */

static bool find_groups(const struct broker *broker, struct session *session,
                        struct authz_client *client)
{
    const struct acl *acl = broker->policy->acl;
    const struct authz_question question = authz_question_of(session);
    const struct acl_who who = {question.client_identifier, question.username, question.peer};

    if (client->groups != client->few)
        mem_free(client->groups);
    client->groups = client->few;
    client->group_count = acl == NULL ? 0 : acl_groups(acl, &who, client->few, AUTHZ_GROUPS_FEW);
    if (client->group_count <= AUTHZ_GROUPS_FEW)
        return true;
    client->groups = mem_try_alloc(client->group_count * sizeof(*client->groups));
    if (client->groups == NULL) {
        client->groups = client->few;
        return false;
    }
    acl_groups(acl, &who, client->groups, client->group_count);
    return true;
}

struct authz_client *authz_client_of(struct broker *broker, struct session *session)
{
    struct authz_client *client = session->authz;
    uint32_t generation = broker->policy == NULL ? 0 : broker->policy->generation;

    if (LIKELY(client != NULL && client->generation == generation))
        return client;
    if (generation == 0)
        return NULL;
    if (client == NULL) {
        client = mem_try_zalloc(sizeof(*client));
        if (client == NULL)
            return NULL;
        client->groups = client->few;
        session->authz = client;
    }
    client->generation = 0;
    mem_free(client->memo);
    client->memo = NULL;
    if (!find_groups(broker, session, client))
        return NULL;
    client->generation = generation;
    client->checks_deliveries = session->rules != NULL || has_queue(session) ||
                                !all_wholly_allowed(broker, session, client); /* I2 */
    return client;
}

void authz_client_drop(struct session *session)
{
    struct authz_client *client = session->authz;

    if (client == NULL)
        return;
    if (client->groups != client->few)
        mem_free(client->groups);
    mem_free(client->memo);
    mem_free(client);
    session->authz = NULL;
}
