/* SPDX-License-Identifier: MIT
 *
 * acl - collects rules and compiles them.
 *
 *   rules ---same clauses---> groups ---by user name, client identifier---> index          (acl_groups: at CONNECT)
 *                               |
 *                               +-- a tree of levels for the filters of the group          (acl_match_*: every message)
 *
 *           root --"a"--> . --"b"--> .  here: rule 7
 *             |            \--  + --> .  deep: rule 2   (a/+/#)
 *             +--${clientid}--> .  here: rule 4
 *
 * A question walks down the trees of the client's groups and keeps the least number that it meets: the first rule that
 * matches. Literal levels of all trees are edges of one hash table; a level with a client's name in it is compared when
 * it is met, with the name put in. What 10,000 rules cost therefore depends on how many levels a topic has and in how
 * many groups a client is, and not on how many rules there are.
 *
 * Invariants
 *   I1  node 0 and template 0 are none
 *   I2  node->least is the least of all rules whose filters pass through the node or end there
 *   I3  a literal topic (@) has edges only, also for levels that are + or #: these never occur in a topic name, and in a
 *       filter mean exactly that filter
 *
 * Rejected: a list of rules for each session, which takes memory for each session and is long where rules are for
 * everybody; a table of decisions for whole topics, which a client could fill.
 */
#include "auth/acl_priv.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "topic/level.h"
#include "topic/topic.h"

#include <stdio.h>

/* A growing array. */
struct array {
    void *items;
    uint32_t count, space;
    bool starved; /* there was no memory for more */
};

struct topic {
    uint32_t rule;
    struct acl_text text; /* with marks */
    bool literal;
};

struct acl_builder {
    struct array text, rules, tests, topics;
    uint32_t level_count, template_count;
};

/* Room for `more` items of that size behind the others; NULL when memory is gone. */
static void *array_grow(struct array *array, size_t item, uint32_t more)
{
    if (more > array->space - array->count) {
        uint64_t space = array->space == 0 ? 16 : (uint64_t)array->space * 2;
        void *grown;

        if (space < (uint64_t)array->count + more)
            space = (uint64_t)array->count + more;
        grown = space > UINT32_MAX / 2 ? NULL : mem_try_realloc(array->items, space * item);
        array->starved |= grown == NULL;
        if (grown == NULL)
            return NULL;
        array->items = grown;
        array->space = (uint32_t)space;
    }
    array->count += more;
    return (uint8_t *)array->items + (array->count - more) * item;
}

static bool fail(char *why, size_t size, const char *what)
{
    snprintf(why, size, "%s", what);
    return false;
}

/* ---- collecting ---- */

struct acl_builder *acl_builder_create(void)
{
    return mem_try_zalloc(sizeof(struct acl_builder));
}

void acl_builder_free(struct acl_builder *builder)
{
    if (builder == NULL)
        return;
    mem_free(builder->text.items);
    mem_free(builder->rules.items);
    mem_free(builder->tests.items);
    mem_free(builder->topics.items);
    mem_free(builder);
}

bool acl_builder_starved(const struct acl_builder *builder)
{
    return builder->text.starved || builder->rules.starved || builder->tests.starved ||
           builder->topics.starved;
}

uint32_t acl_builder_count(const struct acl_builder *builder)
{
    return builder->rules.count;
}

static bool keep_text(struct acl_builder *builder, struct span text, struct acl_text *kept)
{
    uint8_t *to = array_grow(&builder->text, 1, text.len);

    *kept = (struct acl_text){builder->text.count - text.len, text.len};
    if (to == NULL && text.len > 0)
        return false;
    if (text.len > 0)
        memcpy(to, text.data, text.len);
    return true;
}

static struct acl_rule *last_rule(struct acl_builder *builder)
{
    ASSERT(builder->rules.count > 0);
    return (struct acl_rule *)builder->rules.items + builder->rules.count - 1;
}

bool acl_rule_begin(struct acl_builder *builder, bool allow, unsigned actions, struct span place,
                    char *why, size_t size)
{
    struct acl_rule *rule;

    if (builder->rules.count >= ACL_RULES_MAX)
        return fail(why, size, "there are more than a million rules");
    rule = array_grow(&builder->rules, sizeof(*rule), 1);
    if (rule == NULL)
        return fail(why, size, "out of memory");
    *rule = (struct acl_rule){
        .allow = allow, .actions = (uint8_t)actions, .tests = builder->tests.count};
    return keep_text(builder, place, &rule->place) || fail(why, size, "out of memory");
}

static bool add_condition(struct acl_builder *builder, const struct acl_condition *condition,
                          bool last, char *why, size_t size)
{
    struct acl_test *test = array_grow(&builder->tests, sizeof(*test), 1);
    char address[64];

    if (test == NULL)
        return fail(why, size, "out of memory");
    *test = (struct acl_test){.kind = (uint8_t)condition->kind, .last = last};
    last_rule(builder)->test_count++;
    if (condition->kind == ACL_ADDRESS) {
        snprintf(address, sizeof(address), "%.*s", (int)condition->text.len,
                 (const char *)condition->text.data);
        if (condition->text.len >= sizeof(address) || !network_parse(address, &test->network))
            return fail(why, size, "not an IP address or a network like 10.0.0.0/8");
    }
    return keep_text(builder, condition->text, &test->text) || fail(why, size, "out of memory");
}

bool acl_rule_clause(struct acl_builder *builder, const struct acl_condition *conditions,
                     uint32_t count, char *why, size_t size)
{
    for (uint32_t i = 0; i < count; i++)
        if (conditions[i].kind != ACL_NO_USERNAME && span_equal(conditions[i].text, span_text("#")))
            return true; /* holds for everybody */
    if (count == 0)
        return fail(why, size, "an empty list, which nobody could match");
    for (uint32_t i = 0; i < count; i++)
        if (!add_condition(builder, &conditions[i], i + 1 == count, why, size))
            return false;
    return true;
}

/* Puts marks in the place of names; returns the new length. Bytes of valid text are never marks. */
static uint32_t mark_names(uint8_t *text, uint32_t len, enum acl_topic_form form)
{
    static const struct {
        enum acl_topic_form form;
        const char *name;
        uint8_t mark;
    } names[] = {{ACL_TOPIC_FILTER, "${clientid}", ACL_CLIENT_MARK},
                 {ACL_TOPIC_FILTER, "${username}", ACL_USER_MARK},
                 {ACL_TOPIC_PATTERN, "%c", ACL_CLIENT_MARK},
                 {ACL_TOPIC_PATTERN, "%u", ACL_USER_MARK}};
    uint32_t used = 0;

    for (uint32_t at = 0; at < len;) {
        uint32_t taken = 0;

        for (unsigned i = 0; i < ARRAY_LENGTH(names) && taken == 0; i++) {
            if (names[i].form == form &&
                span_starts_with(span_of(text + at, len - at), names[i].name)) {
                taken = (uint32_t)strlen(names[i].name);
                text[used++] = names[i].mark;
            }
        }
        if (taken == 0) {
            text[used++] = text[at];
            taken = 1;
        }
        at += taken;
    }
    return used;
}

bool acl_rule_topic(struct acl_builder *builder, struct span topic, enum acl_topic_form form,
                    char *why, size_t size)
{
    bool literal = form == ACL_TOPIC_FILTER && topic.len > 0 && topic.data[0] == '@';
    struct topic *added;

    if (literal)
        topic = span_of(topic.data + 1, topic.len - 1);
    if (!utf8_valid(topic.data, topic.len)) /* marks are bytes that are not */
        return fail(why, size, "not UTF-8 text");
    if (topic.len == 0 || topic.len > 65535 ||
        (!literal && filter_parse(topic, ACL_LEVELS_MAX).form == FILTER_INVALID))
        return fail(why, size, "not a topic filter, or one with more than 128 levels");
    if (filter_parse(topic, UINT32_MAX).share_name.len > 0)
        return fail(why, size,
                    "shared subscriptions have the rules of the filter behind the share name");
    if (level_count(topic) > ACL_LEVELS_MAX)
        return fail(why, size, "more than 128 levels");
    added = array_grow(&builder->topics, sizeof(*added), 1);
    if (added == NULL)
        return fail(why, size, "out of memory");
    *added = (struct topic){.rule = builder->rules.count - 1, .literal = literal};
    if (!keep_text(builder, topic, &added->text))
        return fail(why, size, "out of memory");
    added->text.len =
        mark_names((uint8_t *)builder->text.items + added->text.at, added->text.len, form);
    last_rule(builder)->topic_count++;
    builder->level_count += level_count(topic);
    if (added->text.len != topic.len)
        builder->template_count += level_count(topic);
    return true;
}

/* ---- compiling: groups ---- */

static const struct acl_least no_rule = {{ACL_RULE_NONE, ACL_RULE_NONE},
                                         {ACL_RULE_NONE, ACL_RULE_NONE}};

static bool same_test(const struct acl *acl, const struct acl_test *a, const struct acl_test *b)
{
    return a->kind == b->kind && a->last == b->last &&
           span_equal(acl_text_of(acl, a->text), acl_text_of(acl, b->text));
}

static bool same_tests(const struct acl *acl, const struct acl_rule *rule,
                       const struct acl_group *group)
{
    if (rule->test_count != group->test_count)
        return false;
    for (uint32_t i = 0; i < rule->test_count; i++)
        if (!same_test(acl, &acl->tests[rule->tests + i], &acl->tests[group->tests + i]))
            return false;
    return true;
}

static uint64_t hash_tests(const struct acl *acl, const struct acl_rule *rule)
{
    uint64_t hash = rule->test_count;

    for (uint32_t i = 0; i < rule->test_count; i++) {
        const struct acl_test *test = &acl->tests[rule->tests + i];
        struct span text = acl_text_of(acl, test->text);

        hash = hash * 31 + (hash64(text.data, text.len) ^ (test->kind * 2u + test->last));
    }
    return hash ^ hash >> 32;
}

/* A power of two that is at least twice `count`. */
static uint32_t table_size(uint32_t count)
{
    uint32_t size = 8;

    while (size < count * 2u)
        size *= 2;
    return size;
}

static uint32_t new_node(struct acl *acl)
{
    acl->nodes[acl->node_count] = (struct acl_node){.here = {ACL_RULE_NONE, ACL_RULE_NONE},
                                                    .deep = {ACL_RULE_NONE, ACL_RULE_NONE},
                                                    .least = no_rule};
    return acl->node_count++;
}

/* The one clause of one name by which the index can find the group, or ACL_RULE_NONE. */
static uint32_t key_of(const struct acl *acl, const struct acl_group *group)
{
    bool first = true;

    for (uint32_t i = group->tests; i < group->tests + group->test_count; i++) {
        const struct acl_test *test = &acl->tests[i];

        if (first && test->last &&
            (test->kind == ACL_USERNAME || test->kind == ACL_CLIENT_IDENTIFIER))
            return i;
        first = test->last;
    }
    return ACL_RULE_NONE;
}

/* Which group each rule is in: group_of[rule]. */
static void make_groups(struct acl *acl, uint32_t *table, uint32_t mask, uint32_t *group_of)
{
    for (uint32_t i = 0; i < acl->rule_count; i++) {
        const struct acl_rule *rule = &acl->rules[i];
        uint32_t slot = (uint32_t)hash_tests(acl, rule) & mask;
        struct acl_group *group;

        while (table[slot] != 0 && !same_tests(acl, rule, &acl->groups[table[slot] - 1]))
            slot = (slot + 1) & mask;
        if (table[slot] == 0) {
            group = &acl->groups[acl->group_count++];
            *group = (struct acl_group){.tests = rule->tests,
                                        .test_count = rule->test_count,
                                        .root = new_node(acl),
                                        .everything = no_rule,
                                        .least = no_rule};
            group->key = key_of(acl, group);
            table[slot] = acl->group_count;
        }
        group_of[i] = table[slot] - 1;
    }
}

static void index_groups(struct acl *acl)
{
    for (uint32_t i = 0; i < acl->group_count; i++) {
        struct acl_group *group = &acl->groups[i];
        const struct acl_test *key = &acl->tests[group->key == ACL_RULE_NONE ? 0 : group->key];
        uint32_t slot;

        if (group->key == ACL_RULE_NONE) {
            acl->others[acl->other_count++] = i;
            continue;
        }
        slot = acl_name_slot(acl, (enum acl_condition_kind)key->kind, acl_text_of(acl, key->text));
        while (acl->names[slot] != 0) {
            const struct acl_test *found = &acl->tests[acl->groups[acl->names[slot] - 1].key];

            if (found->kind == key->kind &&
                span_equal(acl_text_of(acl, found->text), acl_text_of(acl, key->text)))
                break;
            slot = (slot + 1) & acl->name_mask;
        }
        group->next = acl->names[slot];
        acl->names[slot] = i + 1;
    }
}

/* ---- compiling: filters ---- */

static void lower_least(struct acl_least *least, const struct acl_rule *rule, uint32_t number)
{
    for (unsigned action = 0; action < ACL_ACTION_COUNT; action++) {
        if ((rule->actions & ACL_BIT(action)) == 0)
            continue;
        acl_lower(&least->any[action], number);
        if (!rule->allow)
            acl_lower(&least->deny[action], number);
    }
}

static void lower_here(uint32_t here[ACL_ACTION_COUNT], const struct acl_rule *rule,
                       uint32_t number)
{
    for (unsigned action = 0; action < ACL_ACTION_COUNT; action++)
        if ((rule->actions & ACL_BIT(action)) != 0)
            acl_lower(&here[action], number);
}

static uint32_t go_edge(struct acl *acl, uint32_t from, struct acl_text level)
{
    struct span text = acl_text_of(acl, level);
    uint32_t slot = acl_edge_slot(acl, from, text);

    for (; acl->edges[slot].to != 0; slot = (slot + 1) & acl->edge_mask)
        if (acl->edges[slot].from == from &&
            span_equal(acl_text_of(acl, acl->edges[slot].level), text))
            return acl->edges[slot].to;
    acl->edges[slot] = (struct acl_edge){.from = from, .to = new_node(acl), .level = level};
    return acl->edges[slot].to;
}

static uint32_t go_template(struct acl *acl, uint32_t from, struct acl_text level)
{
    struct acl_template *template;
    uint32_t i = acl->nodes[from].templates;

    for (; i != 0; i = acl->templates[i].next)
        if (span_equal(acl_text_of(acl, acl->templates[i].level), acl_text_of(acl, level)))
            return acl->templates[i].to;
    template = &acl->templates[acl->template_count];
    *template = (struct acl_template){
        .to = new_node(acl), .next = acl->nodes[from].templates, .level = level};
    acl->nodes[from].templates = acl->template_count++;
    return template->to;
}

static bool has_mark(struct span level)
{
    return memchr(level.data, ACL_CLIENT_MARK, level.len) != NULL ||
           memchr(level.data, ACL_USER_MARK, level.len) != NULL;
}

static void add_filter(struct acl *acl, struct acl_group *group, const struct topic *topic)
{
    const struct acl_rule *rule = &acl->rules[topic->rule];
    struct level_cursor cursor = levels_of(acl_text_of(acl, topic->text));
    uint32_t at = group->root;
    struct span level;

    lower_least(&acl->nodes[at].least, rule, topic->rule);
    while (level_take(&cursor, &level)) {
        struct acl_text text = {(uint32_t)(level.data - acl->text), level.len};
        enum level_kind kind = topic->literal ? LEVEL_LITERAL : level_kind(level);

        if (kind == LEVEL_HASH) { /* the last one */
            lower_here(acl->nodes[at].deep, rule, topic->rule);
            return;
        }
        if (kind == LEVEL_PLUS && acl->nodes[at].plus == 0) {
            uint32_t made = new_node(acl);

            acl->nodes[at].plus = made;
        }
        if (kind == LEVEL_PLUS)
            at = acl->nodes[at].plus;
        else if (level.len > 0 && has_mark(level))
            at = go_template(acl, at, text);
        else
            at = go_edge(acl, at, text);
        lower_least(&acl->nodes[at].least, rule, topic->rule);
    }
    lower_here(acl->nodes[at].here, rule, topic->rule);
}

static void add_filters(struct acl *acl, const struct acl_builder *builder,
                        const uint32_t *group_of)
{
    const struct topic *topics = builder->topics.items;

    for (uint32_t i = 0; i < acl->rule_count; i++) {
        struct acl_group *group = &acl->groups[group_of[i]];

        lower_least(&group->least, &acl->rules[i], i);
        if (acl->rules[i].topic_count == 0)
            lower_least(&group->everything, &acl->rules[i], i);
    }
    for (uint32_t i = 0; i < builder->topics.count; i++)
        add_filter(acl, &acl->groups[group_of[topics[i].rule]], &topics[i]);
}

static void *take(struct acl *acl, size_t count, size_t item, bool *good)
{
    void *made = mem_try_zalloc((count == 0 ? 1 : count) * item);

    acl->memory += count * item;
    *good = *good && made != NULL;
    return made;
}

static struct acl *make(const struct acl_builder *builder)
{
    struct acl *acl = mem_try_zalloc(sizeof(*acl));
    uint32_t rules = builder->rules.count, levels = builder->level_count;
    bool good = acl != NULL;

    if (!good)
        return NULL;
    acl->rule_count = rules;
    acl->test_count = builder->tests.count;
    acl->edge_mask = table_size(levels) - 1;
    acl->name_mask = table_size(rules) - 1;
    acl->node_count = acl->template_count = 1; /* I1 */
    acl->text = take(acl, builder->text.count, 1, &good);
    acl->rules = take(acl, rules, sizeof(*acl->rules), &good);
    acl->tests = take(acl, builder->tests.count, sizeof(*acl->tests), &good);
    acl->groups = take(acl, rules, sizeof(*acl->groups), &good);
    acl->others = take(acl, rules, sizeof(*acl->others), &good);
    acl->names = take(acl, acl->name_mask + 1u, sizeof(*acl->names), &good);
    acl->nodes = take(acl, (size_t)1 + rules + levels, sizeof(*acl->nodes), &good);
    acl->templates = take(acl, (size_t)1 + builder->template_count, sizeof(*acl->templates), &good);
    acl->edges = take(acl, acl->edge_mask + 1u, sizeof(*acl->edges), &good);
    if (!good) {
        acl_free(acl);
        return NULL;
    }
    if (builder->text.count > 0)
        memcpy(acl->text, builder->text.items, builder->text.count);
    if (rules > 0)
        memcpy(acl->rules, builder->rules.items, rules * sizeof(*acl->rules));
    if (builder->tests.count > 0)
        memcpy(acl->tests, builder->tests.items, builder->tests.count * sizeof(*acl->tests));
    return acl;
}

struct acl *acl_compile(struct acl_builder *builder)
{
    uint32_t size = table_size(builder->rules.count);
    uint32_t *table = mem_try_zalloc(size * sizeof(*table));
    uint32_t *group_of = mem_try_alloc((builder->rules.count + 1u) * sizeof(*group_of));
    struct acl *acl = table == NULL || group_of == NULL ? NULL : make(builder);

    if (acl != NULL) {
        make_groups(acl, table, size - 1, group_of);
        index_groups(acl);
        add_filters(acl, builder, group_of);
    }
    mem_free(table);
    mem_free(group_of);
    acl_builder_free(builder);
    return acl;
}

void acl_free(struct acl *acl)
{
    if (acl == NULL)
        return;
    mem_free(acl->text);
    mem_free(acl->rules);
    mem_free(acl->tests);
    mem_free(acl->groups);
    mem_free(acl->others);
    mem_free(acl->names);
    mem_free(acl->nodes);
    mem_free(acl->templates);
    mem_free(acl->edges);
    mem_free(acl);
}

uint32_t acl_count(const struct acl *acl)
{
    return acl->rule_count;
}

size_t acl_memory(const struct acl *acl)
{
    return acl->memory;
}

bool acl_rule_allows(const struct acl *acl, uint32_t rule)
{
    return acl->rules[rule].allow;
}

void acl_rule_name(const struct acl *acl, uint32_t rule, char *to, size_t size)
{
    struct span place = acl_text_of(acl, acl->rules[rule].place);

    snprintf(to, size, place.len == 0 ? "rule %u" : "rule %u (%.*s)", rule + 1, (int)place.len,
             (const char *)place.data);
}
