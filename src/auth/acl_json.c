/* SPDX-License-Identifier: MIT */
#include "auth/acl_json.h"

#include "base/check.h"

#include <stdio.h>
#include <string.h>

#define CONDITIONS_MAX 256u /* of one list */

static bool fail(char *why, size_t size, const char *member, const char *what)
{
    snprintf(why, size, "%s: %s", member, what);
    return false;
}

/* Puts the member's name before what a function of the builder has said. */
static bool blame(char *why, size_t size, const char *member)
{
    char what[256];

    snprintf(what, sizeof(what), "%s", why);
    return fail(why, size, member, what);
}

static bool text_of(const cJSON *item, struct span *text)
{
    if (!cJSON_IsString(item))
        return false;
    *text = span_text(item->valuestring);
    return true;
}

static bool read_permit(const cJSON *rule, bool *allow, char *why, size_t size)
{
    const cJSON *permit = cJSON_GetObjectItemCaseSensitive(rule, "permit");

    if (!cJSON_IsString(permit) ||
        (strcmp(permit->valuestring, "allow") != 0 && strcmp(permit->valuestring, "deny") != 0))
        return fail(why, size, "permit", "has to be there, as allow or deny");
    *allow = permit->valuestring[0] == 'a';
    return true;
}

static bool read_action(const cJSON *rule, unsigned *actions, char *why, size_t size)
{
    static const struct {
        const char *name;
        unsigned actions;
    } names[] = {{"publish", ACL_BIT(ACL_PUBLISH)},
                 {"subscribe", ACL_BIT(ACL_SUBSCRIBE)},
                 {"pubsub", ACL_BOTH}};
    const cJSON *action = cJSON_GetObjectItemCaseSensitive(rule, "action");

    *actions = ACL_BOTH;
    if (action == NULL)
        return true;
    for (unsigned i = 0; cJSON_IsString(action) && i < ARRAY_LENGTH(names); i++) {
        if (strcmp(action->valuestring, names[i].name) == 0) {
            *actions = names[i].actions;
            return true;
        }
    }
    return fail(why, size, "action", "takes publish, subscribe or pubsub");
}

/* ---- conditions ---- */

/* The kind of a member that is one condition; false for any other member. */
static bool condition_kind(const char *member, enum acl_condition_kind *kind)
{
    static const struct {
        const char *name;
        enum acl_condition_kind kind;
    } names[] = {
        {"username", ACL_USERNAME}, {"clientid", ACL_CLIENT_IDENTIFIER}, {"ipaddr", ACL_ADDRESS}};

    for (unsigned i = 0; i < ARRAY_LENGTH(names); i++) {
        if (strcmp(member, names[i].name) == 0) {
            *kind = names[i].kind;
            return true;
        }
    }
    return false;
}

static bool add_single(struct acl_builder *builder, const cJSON *item, char *why, size_t size)
{
    struct acl_condition condition;

    if (!condition_kind(item->string, &condition.kind))
        return fail(why, size, item->string, "there is no such condition");
    if (!text_of(item, &condition.text))
        return fail(why, size, item->string, "takes a text");
    return acl_rule_clause(builder, &condition, 1, why, size) || blame(why, size, item->string);
}

static bool add_addresses(struct acl_builder *builder, const cJSON *list, char *why, size_t size)
{
    struct acl_condition conditions[CONDITIONS_MAX];
    uint32_t count = 0;
    const cJSON *item;

    if (!cJSON_IsArray(list))
        return fail(why, size, "ipaddrs", "takes a list");
    cJSON_ArrayForEach(item, list)
    {
        if (count == CONDITIONS_MAX)
            return fail(why, size, "ipaddrs", "more than 256 of them");
        conditions[count].kind = ACL_ADDRESS;
        if (!text_of(item, &conditions[count++].text))
            return fail(why, size, "ipaddrs", "takes a list of texts");
    }
    return acl_rule_clause(builder, conditions, count, why, size) || blame(why, size, "ipaddrs");
}

/* The only member of an object of a list; NULL when it is none. */
static const cJSON *only_member(const cJSON *object)
{
    return cJSON_IsObject(object) && object->child != NULL && object->child->next == NULL
               ? object->child
               : NULL;
}

static bool add_list(struct acl_builder *builder, const cJSON *list, char *why, size_t size)
{
    bool any = strcmp(list->string, "or") == 0;
    struct acl_condition conditions[CONDITIONS_MAX];
    uint32_t count = 0;
    const cJSON *item;

    if (!cJSON_IsArray(list) || list->child == NULL)
        return fail(why, size, list->string, "takes a list of conditions");
    cJSON_ArrayForEach(item, list)
    {
        const cJSON *member = only_member(item);

        if (count == CONDITIONS_MAX)
            return fail(why, size, list->string, "more than 256 of them");
        if (member == NULL || !condition_kind(member->string, &conditions[count].kind) ||
            !text_of(member, &conditions[count].text))
            return fail(why, size, list->string,
                        "takes objects with one of username, clientid and ipaddr, a text");
        count++;
        if (!any && !acl_rule_clause(builder, &conditions[count - 1], 1, why, size))
            return blame(why, size, list->string);
    }
    return !any || acl_rule_clause(builder, conditions, count, why, size) ||
           blame(why, size, list->string);
}

/* ---- topics ---- */

static bool add_topic(struct acl_builder *builder, const cJSON *item, char *why, size_t size)
{
    struct span topic;
    char what[256];

    if (!text_of(item, &topic))
        return fail(why, size, "topics", "takes a list of texts");
    if (acl_rule_topic(builder, topic, ACL_TOPIC_FILTER, what, sizeof(what)))
        return true;
    snprintf(why, size, "topics: \"%.60s\": %s", item->valuestring, what);
    return false;
}

static bool add_topics(struct acl_builder *builder, const cJSON *list, char *why, size_t size)
{
    const cJSON *item;

    if (!cJSON_IsArray(list))
        return add_topic(builder, list, why, size);
    if (list->child == NULL)
        return fail(why, size, "topics", "an empty list: leave it out when all topics are meant");
    cJSON_ArrayForEach(item, list)
    {
        if (!add_topic(builder, item, why, size))
            return false;
    }
    return true;
}

static bool add_member(struct acl_builder *builder, const cJSON *member, char *why, size_t size)
{
    const char *name = member->string;
    enum acl_condition_kind kind;

    if (strcmp(name, "permit") == 0 || strcmp(name, "action") == 0)
        return true;
    if (strcmp(name, "topics") == 0)
        return add_topics(builder, member, why, size);
    if (strcmp(name, "ipaddrs") == 0)
        return add_addresses(builder, member, why, size);
    if (strcmp(name, "and") == 0 || strcmp(name, "or") == 0)
        return add_list(builder, member, why, size);
    if (condition_kind(name, &kind))
        return add_single(builder, member, why, size);
    snprintf(why, size,
             "%.40s: there is no such member; there are permit, action, topics, username, "
             "clientid, ipaddr, ipaddrs, and, or",
             name);
    return false;
}

/* A member that is there twice could mean either. */
static bool no_repetition(const cJSON *rule, char *why, size_t size)
{
    const cJSON *member, *other;

    cJSON_ArrayForEach(member, rule)
    {
        for (other = member->next; other != NULL; other = other->next)
            if (strcmp(member->string, other->string) == 0)
                return fail(why, size, member->string, "it is there twice");
    }
    return true;
}

bool acl_json_add(struct acl_builder *builder, const cJSON *rule, struct span place, char *why,
                  size_t size)
{
    const cJSON *member;
    unsigned actions;
    bool allow;

    if (!cJSON_IsObject(rule)) {
        snprintf(why, size, "a rule is an object, like {permit: allow, topics: [\"a/#\"]}");
        return false;
    }
    if (!no_repetition(rule, why, size) || !read_permit(rule, &allow, why, size) ||
        !read_action(rule, &actions, why, size) ||
        !acl_rule_begin(builder, allow, actions, place, why, size))
        return false;
    cJSON_ArrayForEach(member, rule)
    {
        if (!add_member(builder, member, why, size))
            return false;
    }
    return true;
}
