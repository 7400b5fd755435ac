/* SPDX-License-Identifier: MIT
 *
 * authz_source - may whoever published a retained message still publish it? (auth.check_retain_source)
 *
 *   PUBLISH, retained --> authz_author(): the session's struct author, made once --> message --> owner's store
 *   SUBSCRIBE ... the message comes back --> authz_source_may(): the rules in force now, for that author and topic
 *
 * The rules are those of the shard that sends it to a subscriber, so that a reload is felt as soon as that shard has it.
 * The message stays where it is: when the right is given back it is sent again, and whoever administrates the broker sees it
 * meanwhile. Only rules are asked, as for every delivery: a backend or a plug-in would hold up the subscriber for each
 * message, and what a token said holds. What nobody published who could lose the right (the broker, the API) is not asked
 * about. An author lives in the memory of this process, as retained messages do.
 */
#include "auth/acl.h"
#include "broker/authn_priv.h"
#include "broker/authz_priv.h"
#include "broker/policy.h"

const struct author *authz_author(struct session *session)
{
    const struct authz_question question = authz_question_of(session);
    const struct connection *connection = session->connection;
    struct author *author = session->author;

    if (author != NULL)
        return author;
    author = author_create(question.client_identifier, question.username, &question.peer);
    if (author == NULL)
        return NULL;
    author->own_rules = session->rules != NULL;
    if (connection != NULL && connection->identity != NULL) {
        author->superuser = connection->identity->superuser;
        author->vouched = connection->identity->link != NULL;
    }
    session->author = author;
    return author;
}

void authz_author_drop(struct session *session)
{
    author_unref(session->author);
    session->author = NULL;
}

bool authz_source_may(struct broker *broker, const struct author *author, struct span topic)
{
    struct authz_question question = {.action = AUTHZ_PUBLISH, .topic = topic, .retain = true};

    if (!broker->authz_active || !broker->conf->auth_check_retain_source || author == NULL ||
        author->superuser || author->own_rules)
        return true;
    question.client_identifier = author_client_identifier(author);
    question.username = author_username(author);
    question.peer = author->peer;
    if (author->vouched && broker->policy != NULL &&
        policy_super_user(broker->policy, question.username))
        return true;
    return authz_rules_allow(broker, &question);
}
