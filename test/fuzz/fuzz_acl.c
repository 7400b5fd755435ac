/* SPDX-License-Identifier: MIT
 *
 * fuzz_acl - Mosquitto's acl_file, and NanoMQ's rules as JSON. What is taken can be asked: the answer names a rule that
 * there is, a name that is put in never widens what is allowed, and a filter is allowed no more than each topic in it.
 */
#include "fuzz.h"

#include "auth/acl_file.h"
#include "auth/acl_json.h"
#include "base/mem.h"

#define GROUPS_MAX 64u

static uint32_t ask(const struct acl *acl, const struct acl_who *who, const char *topic,
                    bool filter)
{
    uint32_t groups[GROUPS_MAX], count = acl_groups(acl, who, groups, GROUPS_MAX), rule;

    if (count > GROUPS_MAX)
        count = GROUPS_MAX;
    rule = filter ? acl_match_filter(acl, who, groups, count, span_text(topic))
                  : acl_match_name(acl, who, groups, count, ACL_SUBSCRIBE, span_text(topic));
    ASSERT(rule == ACL_RULE_NONE || rule < acl_count(acl));
    return rule;
}

static bool allowed(const struct acl *acl, uint32_t rule)
{
    return rule != ACL_RULE_NONE && acl_rule_allows(acl, rule);
}

static void look_at(const struct acl *acl)
{
    static const char *const names[] = {"a", "b", "+", "a/b", "$SYS"};
    static const char *const topics[] = {"a", "a/b", "b/a/c", "/", "$SYS/a", "u/a"};
    static const struct {
        const char *filter, *topic;
    } pairs[] = {{"#", "a/b"}, {"a/+", "a/b"}, {"a/#", "a"}, {"$SYS/#", "$SYS/a"}, {"+/+", "/"}};

    for (unsigned i = 0; i < ARRAY_LENGTH(names); i++) {
        const struct acl_who who = {.client_identifier = span_text(names[i]),
                                    .username = span_text(names[(i + 1) % ARRAY_LENGTH(names)])};
        char text[64];

        for (unsigned t = 0; t < ARRAY_LENGTH(topics); t++) {
            uint32_t rule = ask(acl, &who, topics[t], false);

            if (rule != ACL_RULE_NONE)
                acl_rule_name(acl, rule, text, sizeof(text));
        }
        for (unsigned p = 0; p < ARRAY_LENGTH(pairs); p++) {
            uint32_t filter = ask(acl, &who, pairs[p].filter, true);
            uint32_t topic = ask(acl, &who, pairs[p].topic, false);

            /* a rule that covers the filter matches each of its topics, unless one before it does */
            ASSERT(!allowed(acl, filter) || topic <= filter);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct acl_builder *builder = acl_builder_create();
    char why[256] = "";
    bool good;

    if (len > 0 && data[0] == '{') {
        char *text = mem_alloc(len + 1);
        cJSON *rule;

        memcpy(text, data, len);
        text[len] = '\0';
        rule = cJSON_Parse(text);
        good = rule != NULL && acl_json_add(builder, rule, span_text("fuzz:1"), why, sizeof(why));
        ASSERT(rule == NULL || good || why[0] != '\0');
        cJSON_Delete(rule);
        mem_free(text);
    } else {
        good = acl_file_add(builder, "fuzz", span_of(data, len), why, sizeof(why));
        ASSERT(good || strncmp(why, "fuzz:", 5) == 0);
    }
    if (good) {
        struct acl *acl = acl_compile(builder);

        ASSERT(acl != NULL);
        look_at(acl);
        acl_free(acl);
    } else {
        acl_builder_free(builder);
    }
    return 0;
}
