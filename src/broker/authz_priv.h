/* SPDX-License-Identifier: MIT
 *
 * authz_priv - what the links of rules share (authz.c, authz_client.c, authz_rules.c).
 */
#ifndef SHARDMQ_BROKER_AUTHZ_PRIV_H
#define SHARDMQ_BROKER_AUTHZ_PRIV_H

#include "broker/authz_memo.h"
#include "broker/broker_priv.h"

#define AUTHZ_GROUPS_FEW 4

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
/* authz_may_receive() where one message is to be looked at. */
bool authz_check_delivery(struct broker *broker, struct session *session,
                          const struct publication *publication);

/* Whether the session's client may be sent that message now. Only while broker->authz_active. Inline: it is asked for
 * every delivery that authz_all_may_receive() says nothing about. */
static inline bool authz_may_receive(struct broker *broker, struct session *session,
                                     const struct publication *publication)
{
    const struct authz_client *client = session->authz;

    return session->superuser ||
           (LIKELY(client != NULL && client->generation == broker->authz_generation) &&
            !client->checks_deliveries) ||
           authz_check_delivery(broker, session, publication);
}
/* The client connects anew, or the session ends. */
void authz_client_drop(struct session *session);

/* Whether the chain has allowed that before, and would still. False says nothing. `hash`: hash64(topic). */
static inline bool authz_remembers(const struct broker *broker, const struct session *session,
                                   enum authz_action action, struct span topic, uint64_t hash)
{
    const struct authz_client *client = session->authz;

    return LIKELY(client != NULL && client->generation == broker->authz_memo_generation) &&
           authz_memo_has(client->memo, action, topic, hash);
}

/* The chain has allowed that; kept when it depends on nothing but rules. */
void authz_remember(struct broker *broker, struct session *session, enum authz_action action,
                    struct span topic, uint64_t hash);

/* The question that a session's client has; topic, action and whose packet it is are to be put in. */
struct authz_question authz_question_of(struct session *session);

/* Whether the links of rules, and auth.no_match, allow that; nobody else is asked. */
bool authz_rules_allow(struct broker *broker, const struct authz_question *question);

/* Whether what no link minds is allowed. */
bool authz_no_match_allows(const struct broker *broker);

extern const struct authz_link authz_rules_link; /* authz_rules.c */

#endif
