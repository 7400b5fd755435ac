/* SPDX-License-Identifier: MIT
 *
 * authz_rules - the link of auth.acl.rules and auth.acl_file: compiled rules (auth/acl.h), the same for all clients.
 */
#include "auth/acl.h"
#include "broker/authz_priv.h"
#include "broker/policy.h"

#define GROUPS_MAX                                                                                 \
    256u /* of a client that has no session yet; one that is in more is not let in with a will */

static bool configured(const struct broker *broker)
{
    return broker->policy != NULL && broker->policy->acl != NULL;
}

/* The groups of who asks: the session knows them, a client without one has them looked up. False: there is no memory, or
 * no room. */
static bool groups_of(struct broker *broker, const struct authz_question *question,
                      const struct acl_who *who, uint32_t *room, const uint32_t **groups,
                      uint32_t *count)
{
    struct authz_client *client;

    if (question->session == NULL) {
        *groups = room;
        *count = acl_groups(broker->policy->acl, who, room, GROUPS_MAX);
        return *count <= GROUPS_MAX;
    }
    client = authz_client_of(broker, question->session);
    if (client == NULL)
        return false;
    *groups = client->groups;
    *count = client->group_count;
    return true;
}

static enum authz_answer ask(struct broker *broker, const struct authz_question *question,
                             struct authz_reason *reason)
{
    const struct acl_who who = {question->client_identifier, question->username, question->peer};
    const struct acl *acl = broker->policy->acl;
    uint32_t room[GROUPS_MAX], count, rule;
    const uint32_t *groups;

    if (!groups_of(broker, question, &who, room, &groups, &count)) {
        snprintf(reason->rule, sizeof(reason->rule), "out of memory");
        return AUTHZ_DENY;
    }
    if (question->action == AUTHZ_SUBSCRIBE)
        rule = acl_match_filter(acl, &who, groups, count, question->topic);
    else
        rule = acl_match_name(acl, &who, groups, count,
                              question->action == AUTHZ_PUBLISH ? ACL_PUBLISH : ACL_SUBSCRIBE,
                              question->topic);
    if (rule == ACL_RULE_NONE)
        return AUTHZ_IGNORE;
    if (acl_rule_allows(acl, rule))
        return AUTHZ_ALLOW;
    acl_rule_name(acl, rule, reason->rule, sizeof(reason->rule));
    return AUTHZ_DENY;
}

const struct authz_link authz_rules_link = {
    .name = "acl", .rules_alone = true, .configured = configured, .ask = ask};
