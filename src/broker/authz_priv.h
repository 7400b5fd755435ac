/* SPDX-License-Identifier: MIT
 *
 * authz_priv - what the links of rules share (authz.c, authz_client.c, authz_rules.c).
 */
#ifndef SHARDMQ_BROKER_AUTHZ_PRIV_H
#define SHARDMQ_BROKER_AUTHZ_PRIV_H

#include "broker/broker_priv.h"

#define AUTHZ_GROUPS_FEW 4

struct authz_memo;

/* What is known of a session's client by the rules that are in force. Owner: shard; the session's. */
struct authz_client {
    uint32_t generation; /* of the policy for which all of this is right; 0: of none */
    uint32_t group_count;
    uint32_t *groups; /* of policy->acl; `few` or memory of its own */
    uint32_t few[AUTHZ_GROUPS_FEW];
    bool checks_deliveries;  /* not all that its subscriptions can bring is known to be allowed */
    struct authz_memo *memo; /* NULL until something is remembered */
};

/* Begins anew under the policy that is in force; NULL when memory is gone. */
struct authz_client *authz_client_renew(struct broker *broker, struct session *session);

/* The session's, brought up to date; NULL when memory is gone. */
static inline struct authz_client *authz_client_of(struct broker *broker, struct session *session)
{
    struct authz_client *client = session->authz;

    return LIKELY(client != NULL && client->generation == broker->authz_generation)
               ? client
               : authz_client_renew(broker, session);
}
/* The client connects anew, or the session ends. */
void authz_client_drop(struct session *session);

/* The chain has allowed that; kept when it depends on nothing but rules. */
void authz_remember(struct broker *broker, struct session *session, enum authz_action action,
                    struct span topic);

/* The question that a session's client has; topic, action and whose packet it is are to be put in. */
struct authz_question authz_question_of(struct session *session);

/* Whether the links of rules, and auth.no_match, allow that; nobody else is asked. */
bool authz_rules_allow(struct broker *broker, const struct authz_question *question);

/* Whether what no link minds is allowed. */
bool authz_no_match_allows(const struct broker *broker);

extern const struct authz_link authz_rules_link; /* authz_rules.c */

#endif
