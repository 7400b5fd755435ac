/* SPDX-License-Identifier: MIT
 *
 * authz_token - the link of the chain for rules that a client brought along, in its token (auth/jwt_acl.h). They are all
 * that it may do: where none of them matches it is denied.
 */
#include "auth/acl.h"
#include "broker/broker_priv.h"
#include "broker/policy.h"

#include <stdio.h>

#define GROUPS_MAX 64u /* a token is short: it has room for no more kinds of conditions than that */

static bool configured(const struct broker *broker)
{
    return broker->authz_tokens || (broker->policy != NULL && broker->policy->jwt != NULL);
}

static enum authz_answer ask(struct broker *broker, const struct authz_question *question,
                             struct authz_reason *reason)
{
    const struct acl_who who = {question->client_identifier, question->username, question->peer};
    uint32_t groups[GROUPS_MAX], count, rule;

    (void)broker;
    if (question->rules == NULL)
        return AUTHZ_IGNORE;
    count = acl_groups(question->rules, &who, groups, GROUPS_MAX);
    if (count > GROUPS_MAX) {
        snprintf(reason->rule, sizeof(reason->rule), "it has too many kinds of rules");
        return AUTHZ_DENY;
    }
    if (question->action == AUTHZ_SUBSCRIBE)
        rule = acl_match_filter(question->rules, &who, groups, count, question->topic);
    else
        rule = acl_match_name(question->rules, &who, groups, count,
                              question->action == AUTHZ_PUBLISH ? ACL_PUBLISH : ACL_SUBSCRIBE,
                              question->topic);
    if (rule != ACL_RULE_NONE && acl_rule_allows(question->rules, rule))
        return AUTHZ_ALLOW;
    if (rule == ACL_RULE_NONE)
        snprintf(reason->rule, sizeof(reason->rule), "no rule allows it");
    else
        acl_rule_name(question->rules, rule, reason->rule, sizeof(reason->rule));
    return AUTHZ_DENY;
}

const struct authz_link authz_token_link = {
    .name = "token", .rules_alone = true, .configured = configured, .ask = ask};
