/* SPDX-License-Identifier: MIT */
#include "auth/jwt_acl.h"

#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct acl *compile(const char *text)
{
    const char *why;
    cJSON *claim = json_parse(span_text(text), &why);
    bool starved;
    struct acl *acl = jwt_acl_compile(claim, &starved);

    assert_non_null(claim);
    assert_false(starved);
    cJSON_Delete(claim);
    return acl;
}

static void memory_that_is_gone(void **state)
{
    static const char *const texts[] = {
        "{\"pub\":[\"p/+\",\"${clientid}/x\"],\"sub\":\"s/#\"}",
        "[{\"permission\":\"allow\",\"action\":\"all\",\"topics\":[\"a/b\",\"eq c/+\"]},"
        "{\"permit\":\"allow\",\"username\":\"u\",\"topics\":[\"d\"]}]"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
        const char *why;
        cJSON *claim = json_parse(span_text(texts[i]), &why);
        unsigned long needed = 0;
        bool starved = true;

        assert_non_null(claim);
        while (starved) {
            struct acl *acl;

            mem_fail_after(++needed);
            acl = jwt_acl_compile(claim, &starved);
            mem_fail_after(0);
            assert_true((acl == NULL) == starved);
            acl_free(acl);
        }
        assert_true(needed > 5);
        cJSON_Delete(claim);
    }
}

static bool may(const struct acl *acl, enum acl_action action, const char *topic)
{
    const struct acl_who who = {.client_identifier = span_text("c"), .username = span_text("u")};
    uint32_t groups[8], count = acl_groups(acl, &who, groups, ARRAY_LENGTH(groups));
    uint32_t rule = action == ACL_SUBSCRIBE
                        ? acl_match_filter(acl, &who, groups, count, span_text(topic))
                        : acl_match_name(acl, &who, groups, count, action, span_text(topic));

    assert_in_range(count, 0, ARRAY_LENGTH(groups));
    return rule != ACL_RULE_NONE && acl_rule_allows(acl, rule);
}

static void lists(void **state)
{
    struct acl *acl =
        compile("{\"pub\":[\"p/+\",\"${clientid}/x\",\"eq l/+\"],\"sub\":\"s/#\",\"all\":[\"both/"
                "${username}\"]}");

    (void)state;
    assert_non_null(acl);
    assert_true(may(acl, ACL_PUBLISH, "p/1"));
    assert_false(may(acl, ACL_PUBLISH, "p/1/2"));
    assert_false(may(acl, ACL_SUBSCRIBE, "p/1"));
    assert_true(may(acl, ACL_PUBLISH, "c/x"));
    assert_false(may(acl, ACL_PUBLISH, "d/x"));
    assert_false(may(acl, ACL_PUBLISH, "l/1")); /* literally l/+, which no topic name is */
    assert_true(may(acl, ACL_SUBSCRIBE, "s/a/+"));
    assert_false(may(acl, ACL_PUBLISH, "s/a"));
    assert_false(may(acl, ACL_SUBSCRIBE, "#"));
    assert_true(may(acl, ACL_PUBLISH, "both/u"));
    assert_true(may(acl, ACL_SUBSCRIBE, "both/u"));
    assert_false(may(acl, ACL_SUBSCRIBE, "both/+"));
    acl_free(acl);
}

static void nothing_is_nothing(void **state)
{
    static const char *const empty[] = {
        "{}", "[]", "{\"pub\":[],\"sub\":[],\"all\":[]}",
        "[{\"permission\":\"allow\",\"action\":\"all\",\"topics\":[]}]"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(empty); i++) {
        struct acl *acl = compile(empty[i]);

        assert_non_null(acl);
        assert_false(may(acl, ACL_PUBLISH, "a"));
        assert_false(may(acl, ACL_SUBSCRIBE, "a"));
        acl_free(acl);
    }
}

static void rules_in_order(void **state)
{
    struct acl *acl = compile(
        "[{\"permission\":\"deny\",\"action\":\"publish\",\"topic\":\"a/b\"},"
        "{\"permission\":\"allow\",\"action\":\"all\",\"topics\":[\"a/#\",\"b\"]},"
        "{\"permission\":\"deny\",\"action\":\"subscribe\",\"topic\":\"a/b\"},"
        "{\"permit\":\"allow\",\"action\":\"publish\",\"topics\":[\"n\"],\"clientid\":\"c\"},"
        "{\"permit\":\"allow\",\"action\":\"publish\",\"topics\":[\"m\"],\"clientid\":\"d\"}]");

    (void)state;
    assert_non_null(acl);
    assert_false(may(acl, ACL_PUBLISH, "a/b"));
    assert_true(may(acl, ACL_SUBSCRIBE, "a/b"));
    assert_true(may(acl, ACL_PUBLISH, "a/c"));
    assert_true(may(acl, ACL_PUBLISH, "n"));
    assert_false(may(acl, ACL_PUBLISH, "m"));
    acl_free(acl);
}

static void what_is_not_understood_is_refused(void **state)
{
    static const char *const wrong[] = {
        "1",
        "\"#\"",
        "null",
        "{\"pub\":7}",
        "{\"pub\":[7]}",
        "{\"pub\":[[\"a\"]]}",
        "{\"pub\":null}",
        "{\"publish\":[\"a\"]}",
        "{\"pub\":[\"a/#/b\"]}",
        "{\"pub\":[\"\"]}",
        "[1]",
        "[\"a\"]",
        "[{}]",
        "[{\"permission\":\"allow\",\"action\":\"all\"}]", /* a rule without a topic is not one for all */
        "[{\"permission\":\"allow\",\"topic\":\"a\"}]",
        "[{\"action\":\"all\",\"topic\":\"a\"}]",
        "[{\"permission\":\"perhaps\",\"action\":\"all\",\"topic\":\"a\"}]",
        "[{\"permission\":\"allow\",\"action\":\"write\",\"topic\":\"a\"}]",
        "[{\"permission\":\"allow\",\"action\":\"all\",\"topic\":\"a\",\"topics\":[\"b\"]}]",
        "[{\"permission\":\"allow\",\"action\":\"all\",\"topic\":\"a\",\"qos\":0}]",
        "[{\"permission\":\"allow\",\"action\":\"all\",\"topic\":\"a\",\"retain\":false}]",
        "[{\"permit\":\"allow\",\"clientids\":\"c\"}]",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++)
        if (compile(wrong[i]) != NULL)
            fail_msg("%s: accepted", wrong[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists),
        cmocka_unit_test(nothing_is_nothing),
        cmocka_unit_test(rules_in_order),
        cmocka_unit_test(what_is_not_understood_is_refused),
        cmocka_unit_test(memory_that_is_gone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
