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

#define MEMO_WAYS 4u /* topics that share a set */
#define MEMO_SETS_MAX                                                                              \
    512u /* 136 KiB; who uses more topics than 2,048 in turn is asked about most of them */
#define MEMO_TOPIC_MAX 62u

/* The tags of a set lie together, so that one line says which topic, if any, is to be compared. */
struct memo_tags {
    uint32_t tags[MEMO_WAYS]; /* hash of topic and action; 0: free */
};

struct memo_topic {
    uint8_t action, len;
    uint8_t text[MEMO_TOPIC_MAX];
};

_Static_assert(sizeof(struct memo_topic) == CACHE_LINE, "a topic is a line");

/* Begins with one set, and doubles as long as topics push each other out. */
struct authz_memo {
    uint32_t set_count;
    uint32_t pushed; /* topics, since it has this size */
    struct memo_tags *sets;
    struct memo_topic topics[]; /* MEMO_WAYS of each set; then the sets */
};

/* ---- topics ---- */

static inline uint64_t word_at(const uint8_t *bytes)
{
    uint64_t word;

    memcpy(&word, bytes, sizeof(word));
    return word;
}

/* Of the topic's ends and middle: that is where topics of one client differ. What collides shares a set, no more. */
static inline uint64_t memo_hash(enum authz_action action, struct span topic)
{
    uint64_t hash = topic.len * 4u + (uint32_t)action, short_topic = 0;

    if (LIKELY(topic.len >= 8)) {
        hash = (hash ^ word_at(topic.data + topic.len - 8)) * 0x9e3779b97f4a7c15u;
        hash ^= word_at(topic.data + topic.len / 2 - 4) * 0xbf58476d1ce4e5b9u;
        hash ^= word_at(topic.data) * 0x94d049bb133111ebu;
    } else {
        for (uint32_t i = 0; i < topic.len; i++)
            short_topic = short_topic << 8 | topic.data[i];
        hash = (hash ^ short_topic << 8) * 0x9e3779b97f4a7c15u;
    }
    return hash ^ hash >> 32;
}

/* memcmp() as a call costs more than all the rest. */
static inline bool same_text(const uint8_t *a, const uint8_t *b, uint32_t len)
{
    if (UNLIKELY(len < 8)) {
        for (uint32_t i = 0; i < len; i++)
            if (a[i] != b[i])
                return false;
        return true;
    }
    for (uint32_t i = 0; i + 8 < len; i += 8)
        if (word_at(a + i) != word_at(b + i))
            return false;
    return word_at(a + len - 8) == word_at(b + len - 8);
}

static inline uint32_t memo_tag(uint64_t hash)
{
    return (uint32_t)hash | 1u;
}

static struct authz_memo *memo_create(uint32_t set_count)
{
    struct authz_memo *memo =
        mem_try_zalloc(sizeof(*memo) + set_count * (MEMO_WAYS * sizeof(struct memo_topic) +
                                                    sizeof(struct memo_tags)));

    if (memo == NULL)
        return NULL;
    memo->set_count = set_count;
    memo->sets = (struct memo_tags *)(void *)(memo->topics + (size_t)set_count * MEMO_WAYS);
    return memo;
}

static inline uint32_t memo_set(const struct authz_memo *memo, uint64_t hash)
{
    return (uint32_t)(hash >> 20) & (memo->set_count - 1);
}

bool authz_remembers(struct broker *broker, struct session *session, enum authz_action action,
                     struct span topic)
{
    const struct authz_client *client = session->authz;
    const struct authz_memo *memo;
    const struct memo_topic *entry;
    const uint32_t *tags;
    uint64_t hash;
    uint32_t tag, way = 0;

    if (client == NULL || client->generation != broker->authz_memo_generation ||
        client->memo == NULL) /* I1 */
        return false;
    memo = client->memo;
    hash = memo_hash(action, topic);
    tag = memo_tag(hash);
    tags = memo->sets[memo_set(memo, hash)].tags;
    while (tags[way] != tag)
        if (++way == MEMO_WAYS)
            return false;
    entry = &memo->topics[memo_set(memo, hash) * MEMO_WAYS + way];
    return entry->len == topic.len && entry->action == (uint8_t)action &&
           same_text(entry->text, topic.data, topic.len);
}

/* A memo with room: the one that there is, or a larger empty one in its place. */
static struct authz_memo *memo_of(struct authz_client *client)
{
    struct authz_memo *memo = client->memo;

    if (memo != NULL &&
        (memo->set_count == MEMO_SETS_MAX || memo->pushed < 2 * MEMO_WAYS * memo->set_count))
        return memo;
    memo = memo_create(memo == NULL ? 1 : memo->set_count * 2);
    if (memo != NULL) {
        mem_free(client->memo);
        client->memo = memo;
    }
    return client->memo;
}

void authz_remember(struct broker *broker, struct session *session, enum authz_action action,
                    struct span topic)
{
    uint64_t hash = memo_hash(action, topic);
    struct authz_client *client;
    struct authz_memo *memo;
    struct memo_topic *entry;
    uint32_t set, way = 0;

    if (broker->authz_memo_generation == 0 || topic.len > MEMO_TOPIC_MAX)
        return;
    client = authz_client_of(broker, session);
    memo = client == NULL ? NULL : memo_of(client);
    if (memo == NULL)
        return;
    set = memo_set(memo, hash);
    while (way < MEMO_WAYS && memo->sets[set].tags[way] != 0)
        way++;
    if (way == MEMO_WAYS)
        way = memo->pushed++ % MEMO_WAYS;
    entry = &memo->topics[set * MEMO_WAYS + way];
    memo->sets[set].tags[way] = memo_tag(hash);
    entry->action = (uint8_t)action;
    entry->len = (uint8_t)topic.len;
    memcpy(entry->text, topic.data, topic.len);
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
