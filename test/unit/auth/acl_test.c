/* SPDX-License-Identifier: MIT
 *
 * Compiled rules against a list that is looked through from its beginning, with random rules, clients and topics.
 */
#include "auth/acl.h"
#include "auth/acl_file.h"
#include "auth/acl_json.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/random.h"
#include "topic/level.h"
#include "topic/topic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <cmocka.h>

/* ---- helpers ---- */

static struct acl_builder *builder;

static int begin(void **state)
{
    (void)state;
    builder = acl_builder_create();
    assert_non_null(builder);
    return 0;
}

static void add_json(const char *rule)
{
    cJSON *json = cJSON_Parse(rule);
    char why[512] = "";

    assert_non_null(json);
    if (!acl_json_add(builder, json, span_text("test:1"), why, sizeof(why)))
        fail_msg("%s: %s", rule, why);
    cJSON_Delete(json);
}

static void refuses_json(const char *rule, const char *expected)
{
    struct acl_builder *other = acl_builder_create();
    cJSON *json = cJSON_Parse(rule);
    char why[512] = "";

    assert_non_null(json);
    assert_false(acl_json_add(other, json, span_text("test:1"), why, sizeof(why)));
    if (strstr(why, expected) == NULL)
        fail_msg("%s: \"%s\" says nothing of \"%s\"", rule, why, expected);
    cJSON_Delete(json);
    acl_builder_free(other);
}

static void add_file(const char *text)
{
    char why[512] = "";

    if (!acl_file_add(builder, "acl", span_text(text), why, sizeof(why)))
        fail_msg("%s", why);
}

static void refuses_file(struct span text, const char *expected)
{
    struct acl_builder *other = acl_builder_create();
    char why[512] = "";

    assert_false(acl_file_add(other, "acl", text, why, sizeof(why)));
    if (strstr(why, expected) == NULL)
        fail_msg("\"%s\" says nothing of \"%s\"", why, expected);
    acl_builder_free(other);
}

static struct acl_who who_of(const char *client, const char *user, const char *address)
{
    struct acl_who who = {.client_identifier = span_text(client)};
    unsigned a, b, c, d;

    if (user != NULL)
        who.username = span_text(user);
    if (address != NULL && sscanf(address, "%u.%u.%u.%u", &a, &b, &c, &d) == 4) {
        who.peer.family = AF_INET;
        memcpy(who.peer.bytes, (uint8_t[]){(uint8_t)a, (uint8_t)b, (uint8_t)c, (uint8_t)d}, 4);
    }
    return who;
}

/* 'a' allow, 'd' deny, '-' no rule. */
static char ask(const struct acl *acl, const struct acl_who *who, enum acl_action action,
                const char *topic, bool is_filter)
{
    uint32_t groups[64], count = acl_groups(acl, who, groups, 64), rule;

    assert_true(count <= 64);
    rule = is_filter ? acl_match_filter(acl, who, groups, count, span_text(topic))
                     : acl_match_name(acl, who, groups, count, action, span_text(topic));
    return rule == ACL_RULE_NONE ? '-' : acl_rule_allows(acl, rule) ? 'a' : 'd';
}

static char publish(const struct acl *acl, const struct acl_who *who, const char *topic)
{
    return ask(acl, who, ACL_PUBLISH, topic, false);
}

static char receive(const struct acl *acl, const struct acl_who *who, const char *topic)
{
    return ask(acl, who, ACL_SUBSCRIBE, topic, false);
}

static char subscribe(const struct acl *acl, const struct acl_who *who, const char *filter)
{
    return ask(acl, who, ACL_SUBSCRIBE, filter, true);
}

/* Who asks how about what, and what the answer is; up to a row without anybody. */
struct expected {
    const struct acl_who *who;
    char (*question)(const struct acl *acl, const struct acl_who *who, const char *topic);
    const char *topic;
    char answer;
};

static void expect(const struct acl *acl, const struct expected *rows)
{
    for (; rows->who != NULL; rows++) {
        char answer = rows->question(acl, rows->who, rows->topic);

        if (answer != rows->answer)
            fail_msg("%s: '%c', not '%c'", rows->topic, answer, rows->answer);
    }
}

/* ---- NanoMQ's rules ---- */

static void the_first_rule_decides(void **state)
{
    struct acl_who anybody = who_of("c", NULL, NULL), admin = who_of("c", "admin", NULL);
    struct acl *acl;

    (void)state;
    add_json("{\"permit\":\"allow\",\"username\":\"admin\"}");
    add_json("{\"permit\":\"deny\",\"action\":\"publish\",\"topics\":[\"a/secret\",\"b/#\"]}");
    add_json("{\"permit\":\"allow\",\"username\":\"#\",\"topics\":[\"a/#\",\"b/c\"]}");
    acl = acl_compile(builder);
    assert_int_equal(acl_count(acl), 3);
    expect(acl, (struct expected[]){{&anybody, publish, "a/x", 'a'},
                                    {&anybody, publish, "a", 'a'},
                                    {&anybody, publish, "a/secret", 'd'},
                                    {&anybody, publish, "b/c", 'd'},
                                    {&anybody, receive, "b/c", 'a'},
                                    {&anybody, receive, "b/d", '-'},
                                    {&admin, publish, "b/c", 'a'},
                                    {&admin, receive, "$SYS/x", 'a'},
                                    {&admin, subscribe, "$SYS/#", 'a'},
                                    {0}});
    acl_free(acl);
}

static void a_filter_is_covered_or_not_allowed(void **state)
{
    struct acl_who who = who_of("c", NULL, NULL);
    struct acl *acl;

    (void)state;
    add_json("{\"permit\":\"deny\",\"topics\":[\"@#\",\"@x/+\"]}");
    add_json("{\"permit\":\"allow\",\"topics\":[\"a/+\",\"b/#\",\"x/#\"]}");
    acl = acl_compile(builder);
    expect(acl, (struct expected[]){{&who, subscribe, "#", 'd'},
                                    {&who, subscribe, "+", '-'},
                                    {&who, subscribe, "a/#", '-'},
                                    {&who, subscribe, "a/+", 'a'},
                                    {&who, subscribe, "a/b", 'a'},
                                    {&who, subscribe, "+/b", '-'},
                                    {&who, subscribe, "b", 'a'},
                                    {&who, subscribe, "b/+/c/#", 'a'},
                                    {&who, subscribe, "x/+", 'd'},
                                    {&who, subscribe, "x/#", 'a'},
                                    {&who, receive, "x/y", 'a'},
                                    {0}});
    acl_free(acl);
}

static void wildcards_do_not_reach_topics_with_a_dollar(void **state)
{
    struct acl_who who = who_of("c", NULL, NULL);
    struct acl *acl;

    (void)state;
    add_json("{\"permit\":\"allow\",\"topics\":[\"#\",\"+/x\"]}");
    acl = acl_compile(builder);
    expect(acl, (struct expected[]){{&who, receive, "$SYS/x", '-'},
                                    {&who, subscribe, "$SYS/#", '-'},
                                    {&who, subscribe, "$SYS/+", '-'},
                                    {&who, subscribe, "#", 'a'},
                                    {&who, receive, "a/$SYS", 'a'},
                                    {0}});
    acl_free(acl);
}

static void names_are_put_in_and_cannot_widen(void **state)
{
    static const char *const bad[] = {"+", "#", "a/b", "/", "", "$SYS", "a+", "x#y"};
    struct acl_who who = who_of("c1", "u1", NULL), other = who_of("c1", NULL, NULL);
    struct acl *acl;

    (void)state;
    add_json("{\"permit\":\"deny\",\"topics\":[\"off/${username}\"]}");
    add_json("{\"permit\":\"allow\",\"topics\":[\"${clientid}/#\",\"at/${clientid}\",\"u/"
             "${username}/x\","
             "\"dev-${clientid}-${username}/#\",\"off/#\"]}");
    acl = acl_compile(builder);
    expect(acl, (struct expected[]){{&who, publish, "c1/x", 'a'},
                                    {&who, publish, "c2/x", '-'},
                                    {&who, publish, "at/c1", 'a'},
                                    {&who, publish, "u/u1/x", 'a'},
                                    {&who, publish, "u/u2/x", '-'},
                                    {&who, publish, "dev-c1-u1/x", 'a'},
                                    {&who, publish, "dev-c1-u/x", '-'},
                                    {&who, publish, "dev-c1-u11/x", '-'},
                                    {&who, subscribe, "c1/#", 'a'},
                                    {&who, subscribe, "+/#", '-'},
                                    {&who, publish, "off/u1", 'd'},
                                    {&who, publish, "off/u2", 'a'},
                                    {&other, publish, "u//x", '-'},
                                    {&other, publish, "off/u1", 'a'},
                                    {0}});
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct acl_who evil = who_of(bad[i], bad[i], NULL);
        char topic[64];

        snprintf(topic, sizeof(topic), "%s/x", bad[i]);
        if (strpbrk(bad[i], "+#") == NULL)
            assert_int_equal(publish(acl, &evil, topic), '-');
        assert_int_equal(subscribe(acl, &evil, topic), '-');
        assert_int_equal(publish(acl, &evil, "c1/x"), '-');
        assert_int_equal(publish(acl, &evil, "u/u1/x"), '-');
        assert_int_equal(subscribe(acl, &evil, "#"), '-');
        assert_int_equal(subscribe(acl, &evil, "+/#"), '-');
        assert_int_equal(subscribe(acl, &evil, "$SYS/#"), '-');
        if (strcmp(bad[i], "$SYS") != 0) /* fit for a level that is not the first */
            assert_int_equal(publish(acl, &evil, "off/anything"), 'd');
    }
    acl_free(acl);
}

static void conditions_are_and_and_or(void **state)
{
    struct acl_who roger = who_of("c1", "roger", "10.1.2.3"),
                   far = who_of("c1", "roger", "11.1.2.3");
    struct acl_who eve = who_of("c2", "eve", "192.168.0.5"), none = who_of("c9", NULL, NULL);
    struct acl *acl;

    (void)state;
    add_json("{\"permit\":\"allow\",\"username\":\"roger\",\"ipaddr\":\"10.0.0.0/"
             "8\",\"topics\":[\"a\"]}");
    add_json("{\"permit\":\"allow\",\"and\":[{\"clientid\":\"c1\"},{\"ipaddr\":\"11.1.2.3\"}],"
             "\"topics\":[\"b\"]}");
    add_json("{\"permit\":\"allow\",\"or\":[{\"clientid\":\"c2\"},{\"username\":\"roger\"}],"
             "\"topics\":[\"c\"]}");
    add_json(
        "{\"permit\":\"allow\",\"ipaddrs\":[\"fd00::/8\",\"192.168.0.0/24\"],\"topics\":[\"d\"]}");
    add_json("{\"permit\":\"allow\",\"ipaddr\":\"#\",\"topics\":[\"e\"]}");
    acl = acl_compile(builder);
    expect(acl, (struct expected[]){{&roger, publish, "a", 'a'},
                                    {&far, publish, "a", '-'},
                                    {&eve, publish, "a", '-'},
                                    {&roger, publish, "b", '-'},
                                    {&far, publish, "b", 'a'},
                                    {&eve, publish, "c", 'a'},
                                    {&roger, publish, "c", 'a'},
                                    {&none, publish, "c", '-'},
                                    {&eve, publish, "d", 'a'},
                                    {&roger, publish, "d", '-'},
                                    {&none, publish, "d", '-'},
                                    {&none, publish, "e", 'a'},
                                    {0}});
    acl_free(acl);
}

static void wrong_rules_are_named(void **state)
{
    (void)state;
    refuses_json("{\"topics\":[\"a\"]}", "permit");
    refuses_json("{\"permit\":\"perhaps\"}", "permit");
    refuses_json("{\"permit\":\"allow\",\"action\":\"read\"}", "action");
    refuses_json("{\"permit\":\"allow\",\"topic\":\"a\"}", "topic: there is no such member");
    refuses_json("{\"permit\":\"allow\",\"topics\":[]}", "topics");
    refuses_json("{\"permit\":\"allow\",\"topics\":[\"a/#/b\"]}", "a/#/b");
    refuses_json("{\"permit\":\"allow\",\"topics\":[\"$share/g/a\"]}", "shared");
    refuses_json("{\"permit\":\"allow\",\"topics\":[5]}", "topics");
    refuses_json("{\"permit\":\"allow\",\"ipaddr\":\"10.0.0\"}", "ipaddr");
    refuses_json("{\"permit\":\"allow\",\"ipaddr\":\"10.0.0.0/33\"}", "ipaddr");
    refuses_json("{\"permit\":\"allow\",\"ipaddrs\":[]}", "ipaddrs");
    refuses_json("{\"permit\":\"allow\",\"and\":[{\"username\":\"a\",\"clientid\":\"b\"}]}", "and");
    refuses_json("{\"permit\":\"allow\",\"or\":[{\"topics\":\"a\"}]}", "or");
    refuses_json("{\"permit\":\"allow\",\"or\":[]}", "or");
    refuses_json("{\"permit\":\"allow\",\"permit\":\"deny\"}", "twice");
    refuses_json("[]", "object");
    acl_builder_free(builder);
}

/* ---- Mosquitto's file ---- */

static void a_file_is_read_as_mosquitto_does(void **state)
{
    struct acl_who anonymous = who_of("c1", NULL, NULL), roger = who_of("c2", "roger moore", NULL);
    struct acl_who eve = who_of("c3", "eve", NULL);
    struct acl *acl;

    (void)state;
    add_file("# a comment\r\n\r\n"
             "topic read public/#\n"
             "user roger moore  \n"
             "topic foo/#\n"
             "\ttopic deny foo/secret\n"
             "topic write with blanks /in it \n"
             "topic readwrite\n"
             "user eve\n"
             "topic read foo/bar\n"
             "pattern readwrite dev/%c/%u\n"
             "pattern deny dev/c9/#\n"
             "user roger moore\n"
             "topic write late");
    acl = acl_compile(builder);
    expect(acl, (struct expected[]){{&anonymous, receive, "public/x", 'a'},
                                    {&anonymous, publish, "public/x", '-'},
                                    {&roger, receive, "public/x", '-'},
                                    {&roger, publish, "foo/bar", 'a'},
                                    {0}});
    assert_int_equal(publish(acl, &roger, "foo/secret"), 'd'); /* although it comes later */
    expect(acl, (struct expected[]){{&roger, publish, "with blanks /in it", 'a'},
                                    {&roger, receive, "with blanks /in it", '-'},
                                    {&roger, publish, "readwrite", 'a'},
                                    {&roger, publish, "late", 'a'},
                                    {&eve, publish, "foo/bar", '-'},
                                    {&eve, receive, "foo/bar", 'a'},
                                    {&eve, publish, "dev/c3/eve", 'a'},
                                    {&eve, publish, "dev/c3/roger", '-'},
                                    {&anonymous, publish, "dev/c1/", '-'},
                                    {0}});
    acl_free(acl);
}

static void topics_of_a_file_have_no_names_in_them(void **state)
{
    struct acl_who who = who_of("c1", "u", NULL);
    struct acl *acl;

    (void)state;
    add_file("user u\ntopic a/%c\ntopic b/${clientid}\ntopic @lit\n");
    acl = acl_compile(builder);
    expect(acl, (struct expected[]){{&who, publish, "a/%c", 'a'},
                                    {&who, publish, "a/c1", '-'},
                                    {&who, publish, "b/${clientid}", 'a'},
                                    {&who, publish, "b/c1", '-'},
                                    {&who, publish, "@lit", 'a'},
                                    {0}});
    acl_free(acl);
}

static void empty_files_have_no_rules(void **state)
{
    struct acl *acl;

    (void)state;
    add_file("");
    add_file("# nothing\n\n   \n");
    add_file("\xEF\xBB\xBF# nothing");
    acl = acl_compile(builder);
    assert_int_equal(acl_count(acl), 0);
    acl_free(acl);
}

static void wrong_lines_are_named(void **state)
{
    (void)state;
    refuses_file(span_text("user a\ntopic read\n\n  tropic a\n"), "acl:4");
    refuses_file(span_text("topic\n"), "acl:1");
    refuses_file(span_text("pattern \n"), "acl:1");
    refuses_file(span_text("user\n"), "acl:1");
    refuses_file(span_text("user #\n"), "acl:1");
    refuses_file(span_text("topic a/#/b\n"), "acl:1");
    refuses_file(span_text("topic a\n\xFF\n"), "acl:2");
    refuses_file(span_of("topic a\0b\n", 10), "acl:1");
    acl_builder_free(builder);
}

/* ---- against a naive model ---- */

#define MODEL_RULES 24

struct model_rule {
    bool allow;
    unsigned actions;
    const char *user, *client; /* NULL: anybody */
    char topic[40];            /* "": all */
};

static struct random dice;

static unsigned roll(unsigned n)
{
    return (unsigned)(random_next(&dice) % n);
}

static const char *const levels[] = {"a", "b", "$d", ""};
static const char *const users[] = {"a", "u2"}, *const clients[] = {"a", "b", "x/y"};

static void random_topic(char *to, size_t size, bool filter, bool names)
{
    unsigned depth = 1 + roll(3);
    size_t used = 0;

    for (unsigned i = 0; i < depth; i++) {
        const char *level = levels[roll(i == 0 ? 3 : 4)];
        unsigned kind = roll(8);

        if (filter && kind == 0)
            level = "+";
        else if (filter && kind == 1 && i + 1 == depth)
            level = "#";
        else if (names && kind == 2)
            level = "${clientid}";
        used += (size_t)snprintf(to + used, size - used, "%s%s", i > 0 ? "/" : "", level);
    }
}

/* Whether all that the filter could match is matched by the pattern, level by level. */
static bool model_covers(const char *pattern, const char *filter)
{
    struct level_cursor a = levels_of(span_text(pattern)), b = levels_of(span_text(filter));
    struct span mine, theirs;
    bool more_a, more_b, first = true;

    for (;;) {
        more_a = level_take(&a, &mine);
        more_b = level_take(&b, &theirs);
        if (first && theirs.len > 0 && theirs.data[0] == '$' && level_kind(mine) != LEVEL_LITERAL)
            return false;
        first = false;
        if (more_a && level_kind(mine) == LEVEL_HASH)
            return true;
        if (!more_a || !more_b)
            return more_a == more_b;
        if (level_kind(theirs) == LEVEL_HASH)
            return false;
        if (level_kind(mine) != LEVEL_PLUS && !span_equal(mine, theirs))
            return false;
    }
}

/* The pattern with the name put in; false when it must not be. */
static bool model_pattern(const struct model_rule *rule, const char *client, char *to, size_t size)
{
    const char *at = rule->topic, *mark;
    size_t used = 0;

    to[0] = '\0';
    while ((mark = strstr(at, "${clientid}")) != NULL) {
        if (strchr(client, '/') != NULL)
            return false;
        used += (size_t)snprintf(to + used, size - used, "%.*s%s", (int)(mark - at), at, client);
        at = mark + strlen("${clientid}");
    }
    snprintf(to + used, size - used, "%s", at);
    return true;
}

/* Whether a rule that denies does, with a name that is not put in: everything from its level on. */
static bool model_unsafe_deny(const struct model_rule *rule, const char *topic)
{
    char cut[64];
    const char *mark = strstr(rule->topic, "${clientid}");

    if (rule->allow)
        return false;
    snprintf(cut, sizeof(cut), "%.*s", (int)(mark - rule->topic), rule->topic);
    /* "a/" of a/${clientid}: the levels before must fit, and one more has to be there */
    {
        struct level_cursor a = levels_of(span_text(cut)), b = levels_of(span_text(topic));
        struct span mine, theirs;
        bool first = true;

        while (level_take(&a, &mine)) {
            if (!level_take(&b, &theirs))
                return false;
            if (!a.more)
                return level_kind(theirs) != LEVEL_HASH;
            if (level_kind(theirs) == LEVEL_HASH)
                return false;
            if (first && theirs.len > 0 && theirs.data[0] == '$' && level_kind(mine) == LEVEL_PLUS)
                return false;
            first = false;
            if (level_kind(mine) != LEVEL_PLUS && !span_equal(mine, theirs))
                return false;
        }
    }
    return false;
}

static char model_ask(const struct model_rule *rules, const char *client, const char *user,
                      enum acl_action action, const char *topic)
{
    for (unsigned i = 0; i < MODEL_RULES; i++) {
        const struct model_rule *rule = &rules[i];
        char pattern[80];

        if ((rule->actions & ACL_BIT(action)) == 0 ||
            (rule->user != NULL && (user == NULL || strcmp(rule->user, user) != 0)) ||
            (rule->client != NULL && strcmp(rule->client, client) != 0))
            continue;
        if (rule->topic[0] == '\0' || (model_pattern(rule, client, pattern, sizeof(pattern))
                                           ? model_covers(pattern, topic)
                                           : model_unsafe_deny(rule, topic)))
            return rule->allow ? 'a' : 'd';
    }
    return '-';
}

static void random_rule(struct model_rule *rule)
{
    char json[256];

    *rule = (struct model_rule){.allow = roll(2), .actions = 1 + roll(3)};
    if (roll(4) == 0)
        rule->user = users[roll(2)];
    if (roll(4) == 0)
        rule->client = clients[roll(3)];
    if (roll(12) != 0)
        random_topic(rule->topic, sizeof(rule->topic), true, true);
    if (strcmp(rule->topic, "") == 0 && roll(2))
        snprintf(rule->topic, sizeof(rule->topic), "a");
    snprintf(json, sizeof(json), "{\"permit\":\"%s\",\"action\":\"%s\"%s%s%s%s%s%s%s%s%s}",
             rule->allow ? "allow" : "deny",
             rule->actions == ACL_BOTH               ? "pubsub"
             : rule->actions == ACL_BIT(ACL_PUBLISH) ? "publish"
                                                     : "subscribe",
             rule->user != NULL ? ",\"username\":\"" : "", rule->user != NULL ? rule->user : "",
             rule->user != NULL ? "\"" : "", rule->client != NULL ? ",\"clientid\":\"" : "",
             rule->client != NULL ? rule->client : "", rule->client != NULL ? "\"" : "",
             rule->topic[0] != '\0' ? ",\"topics\":[\"" : "", rule->topic,
             rule->topic[0] != '\0' ? "\"]" : "");
    add_json(json);
}

static void random_rules_do_as_a_list_would(void **state)
{
    (void)state;
    dice.state = 1;
    for (unsigned round = 0; round < 3000; round++) {
        struct model_rule rules[MODEL_RULES];
        struct acl *acl;

        if (round > 0)
            begin(NULL);
        for (unsigned i = 0; i < MODEL_RULES; i++)
            random_rule(&rules[i]);
        acl = acl_compile(builder);
        assert_non_null(acl);
        for (unsigned i = 0; i < 60; i++) {
            const char *client = clients[roll(3)], *user = roll(3) == 0 ? NULL : users[roll(2)];
            struct acl_who who = who_of(client, user, NULL);
            enum acl_action action = roll(2) ? ACL_PUBLISH : ACL_SUBSCRIBE;
            char topic[64], expected, got;
            bool filter = action == ACL_SUBSCRIBE && roll(2);

            random_topic(topic, sizeof(topic), filter, false);
            expected = model_ask(rules, client, user, action, topic);
            got = ask(acl, &who, action, topic, filter);
            if (got != expected) {
                for (unsigned r = 0; r < MODEL_RULES; r++)
                    print_message(
                        "%s %u user %s client %s topic %s\n", rules[r].allow ? "allow" : "deny",
                        rules[r].actions, rules[r].user != NULL ? rules[r].user : "any",
                        rules[r].client != NULL ? rules[r].client : "any", rules[r].topic);
                fail_msg("round %u: client %s user %s action %u %s \"%s\": %c instead of %c", round,
                         client, user != NULL ? user : "none", action, filter ? "filter" : "name",
                         topic, got, expected);
            }
        }
        acl_free(acl);
    }
}

static void what_memory_cannot_hold_is_refused(void **state)
{
    (void)state;
    acl_builder_free(builder);
    for (unsigned long n = 1; n < 40; n++) {
        static const char text[] = "user a\ntopic a/b/c\npattern %c/d\ntopic deny x/#\n";
        struct acl *acl = NULL;
        char why[256];

        mem_fail_after(n);
        builder = acl_builder_create();
        if (builder != NULL && acl_file_add(builder, "acl", span_text(text), why, sizeof(why)))
            acl = acl_compile(builder);
        else
            acl_builder_free(builder);
        mem_fail_after(0);
        acl_free(acl);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_first_rule_decides, begin),
        cmocka_unit_test_setup(a_filter_is_covered_or_not_allowed, begin),
        cmocka_unit_test_setup(wildcards_do_not_reach_topics_with_a_dollar, begin),
        cmocka_unit_test_setup(names_are_put_in_and_cannot_widen, begin),
        cmocka_unit_test_setup(conditions_are_and_and_or, begin),
        cmocka_unit_test_setup(wrong_rules_are_named, begin),
        cmocka_unit_test_setup(a_file_is_read_as_mosquitto_does, begin),
        cmocka_unit_test_setup(topics_of_a_file_have_no_names_in_them, begin),
        cmocka_unit_test_setup(empty_files_have_no_rules, begin),
        cmocka_unit_test_setup(wrong_lines_are_named, begin),
        cmocka_unit_test_setup(random_rules_do_as_a_list_would, begin),
        cmocka_unit_test_setup(what_memory_cannot_hold_is_refused, begin),
    };

    hash_setup(7);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
