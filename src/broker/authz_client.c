/* SPDX-License-Identifier: MIT
 *
 * authz_client - what a session keeps so that rules cost little: the groups of rules that its client is in, whether its
 * deliveries have to be checked one by one, and the topics that it was allowed last.
 *
 * All of it is for one policy, which has a number: after a reload the first question finds another number and begins
 * anew. A session whose client never asks has nothing.
 *
 * Deliveries. What a client subscribed to it was allowed to subscribe to; most often that says that it may have all that
 * comes. It does not when a rule that denies stands before the one that allows (deny a/secret, allow a/#; a filter
 * without wildcards is about one topic, and its rule has the last word), when rules have changed since, or when something
 * waits in the session's queue that came under other rules. Then, and only then, each message is asked about before it is
 * sent; and of a message to a topic that comes again and again all receivers at once (authz_all_may_receive()): what that
 * came to is kept with what the topic matches, until a subscription, a policy or the client of a session is another one
 * (broker->authz_epoch).
 *
 * Topics. A client publishes to few topics again and again: those that were allowed are remembered (authz_memo.h). Not so
 * when somebody is in the chain who may change his mind.
 *
 * Invariants
 *   I1  nothing that was found out under one policy is used under another
 *   I2  checks_deliveries is false only when every topic that the session's subscriptions match is allowed, and nothing
 *       is queued that came before that was so
 *   I3  what is kept with a match is used only while the epoch is the same, and only for deliveries that are made out of
 *       that match: what waited is asked about by itself
 */
#include "auth/acl.h"
#include "broker/authz_priv.h"
#include "broker/policy.h"
#include "broker/share.h"

/* ---- topics ---- */

void authz_remember(struct broker *broker, struct session *session, enum authz_action action,
                    struct span topic, uint64_t hash)
{
    struct authz_client *client;

    if (broker->authz_memo_generation == 0)
        return;
    client = authz_client_of(broker, session);
    if (client != NULL)
        authz_memo_add(&client->memo, action, topic, hash);
}

/* ---- deliveries ---- */

static bool is_exact(struct span filter)
{
    return memchr(filter.data, '+', filter.len) == NULL &&
           memchr(filter.data, '#', filter.len) == NULL;
}

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
        return (deny == ACL_RULE_NONE || is_exact(filter)) && authz_no_match_allows(broker);
    return acl_rule_allows(acl, rule) && (rule < deny || is_exact(filter));
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

struct authz_client *authz_client_renew(struct broker *broker, struct session *session)
{
    struct authz_client *client = session->authz;
    uint32_t generation = broker->authz_generation;

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
    authz_memo_clear(&client->memo);
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
    authz_memo_clear(&client->memo);
    mem_free(client);
    session->authz = NULL;
}
