/* SPDX-License-Identifier: MIT */
#include "auth/jwt_acl.h"

#include "auth/acl_json.h"
#include "base/check.h"

#include <stdio.h>

struct action {
    const char *name;
    unsigned actions;
};

/* The actions of a name; 0 when there is none of that name. */
static unsigned find_action(const struct action *names, size_t count, const char *name)
{
    for (size_t i = 0; name != NULL && i < count; i++)
        if (strcmp(names[i].name, name) == 0)
            return names[i].actions;
    return 0;
}

/* One topic, with EMQX's sign for a literal one as ours. */
static bool add_topic(struct acl_builder *builder, const cJSON *topic)
{
    static const char literal[] = "eq ";
    char why[128], text[1024];

    if (!cJSON_IsString(topic))
        return false;
    if (strncmp(topic->valuestring, literal, strlen(literal)) != 0)
        return acl_rule_topic(builder, span_text(topic->valuestring), ACL_TOPIC_FILTER, why,
                              sizeof(why));
    return (size_t)snprintf(text, sizeof(text), "@%s", topic->valuestring + strlen(literal)) <
               sizeof(text) &&
           acl_rule_topic(builder, span_text(text), ACL_TOPIC_FILTER, why, sizeof(why));
}

/* A topic, or a list of them. A rule without topics would be one for all: an empty list makes no rule. */
static bool add_rule(struct acl_builder *builder, bool allow, unsigned actions, const cJSON *topics,
                     struct span place)
{
    const cJSON *topic;
    char why[128];

    if (!cJSON_IsString(topics) && !cJSON_IsArray(topics))
        return false;
    if (cJSON_IsArray(topics) && topics->child == NULL)
        return true;
    if (!acl_rule_begin(builder, allow, actions, place, why, sizeof(why)))
        return false;
    if (cJSON_IsString(topics))
        return add_topic(builder, topics);
    cJSON_ArrayForEach(topic, topics)
    {
        if (!add_topic(builder, topic))
            return false;
    }
    return true;
}

/* ---- the form with three lists ---- */

static bool add_lists(struct acl_builder *builder, const cJSON *lists)
{
    static const struct action names[] = {
        {"pub", ACL_BIT(ACL_PUBLISH)}, {"sub", ACL_BIT(ACL_SUBSCRIBE)}, {"all", ACL_BOTH}};
    const cJSON *list;

    cJSON_ArrayForEach(list, lists)
    {
        unsigned actions = find_action(names, ARRAY_LENGTH(names), list->string);

        if (actions == 0 || !add_rule(builder, true, actions, list, span_text(list->string)))
            return false;
    }
    return true;
}

/* ---- the form with rules ---- */

static const char *text_of(const cJSON *rule, const char *name)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(rule, name));
}

static bool known_members(const cJSON *rule)
{
    static const char *const names[] = {"permission", "action", "topic", "topics"};
    const cJSON *member;

    cJSON_ArrayForEach(member, rule)
    {
        bool known = false;

        for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
            known |= strcmp(member->string, names[i]) == 0;
        if (!known)
            return false;
    }
    return true;
}

static bool add_one(struct acl_builder *builder, const cJSON *rule, struct span place)
{
    static const struct action names[] = {{"publish", ACL_BIT(ACL_PUBLISH)},
                                          {"subscribe", ACL_BIT(ACL_SUBSCRIBE)},
                                          {"all", ACL_BOTH}};
    const char *permission = text_of(rule, "permission");
    const cJSON *topic = cJSON_GetObjectItemCaseSensitive(rule, "topic");
    const cJSON *topics = cJSON_GetObjectItemCaseSensitive(rule, "topics");
    unsigned actions = find_action(names, ARRAY_LENGTH(names), text_of(rule, "action"));
    char why[256];

    if (cJSON_GetObjectItemCaseSensitive(rule, "permit") != NULL)
        return acl_json_add(builder, rule, place, why, sizeof(why));
    if (!cJSON_IsObject(rule) || !known_members(rule) || actions == 0 || permission == NULL ||
        (strcmp(permission, "allow") != 0 && strcmp(permission, "deny") != 0) ||
        (topic == NULL) == (topics == NULL))
        return false;
    return add_rule(builder, permission[0] == 'a', actions, topic != NULL ? topic : topics, place);
}

static bool add_rules(struct acl_builder *builder, const cJSON *rules)
{
    unsigned number = 0;
    const cJSON *rule;

    cJSON_ArrayForEach(rule, rules)
    {
        char place[32];
        int len = snprintf(place, sizeof(place), "rule %u", ++number);

        if (!add_one(builder, rule, span_of(place, (size_t)len)))
            return false;
    }
    return true;
}

struct acl *jwt_acl_compile(const cJSON *claim, bool *starved)
{
    struct acl_builder *builder = acl_builder_create();
    struct acl *acl = NULL;

    *starved = builder == NULL;
    if (builder == NULL)
        return NULL;
    if (cJSON_IsObject(claim) ? add_lists(builder, claim)
                              : cJSON_IsArray(claim) && add_rules(builder, claim)) {
        acl = acl_compile(builder);
        *starved = acl == NULL;
        return acl;
    }
    *starved = acl_builder_starved(builder);
    acl_builder_free(builder);
    return NULL;
}
