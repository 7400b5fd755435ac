/* SPDX-License-Identifier: MIT
 *
 * acl_match - answers questions with compiled rules; acl.c has the picture.
 *
 * The walk goes by recursion, at most ACL_LEVELS_MAX deep: no tree is deeper. Where nothing below a node could come
 * before the rule that was found already, it is not gone into.
 */
#include "auth/acl_priv.h"
#include "topic/level.h"

#include <stdio.h>

/* ---- who ---- */

static bool test_holds(const struct acl *acl, const struct acl_test *test,
                       const struct acl_who *who, const uint8_t mapped[16], bool has_address)
{
    switch ((enum acl_condition_kind)test->kind) {
    case ACL_USERNAME:
        return who->username.data != NULL &&
               span_equal(acl_text_of(acl, test->text), who->username);
    case ACL_CLIENT_IDENTIFIER:
        return span_equal(acl_text_of(acl, test->text), who->client_identifier);
    case ACL_ADDRESS:
        return has_address && network_has(&test->network, mapped);
    case ACL_NO_USERNAME:
        return who->username.data == NULL;
    }
    return false;
}

static bool group_has(const struct acl *acl, const struct acl_group *group,
                      const struct acl_who *who, const uint8_t mapped[16], bool has_address)
{
    bool clause = false;

    for (uint32_t i = group->tests; i < group->tests + group->test_count; i++) {
        const struct acl_test *test = &acl->tests[i];

        clause = clause || test_holds(acl, test, who, mapped, has_address);
        if (test->last && !clause)
            return false;
        if (test->last)
            clause = false;
    }
    return true;
}

/* The first group of that name in the index, as number + 1; 0: none. */
static uint32_t find_named(const struct acl *acl, enum acl_condition_kind kind, struct span name)
{
    uint32_t slot = acl_name_slot(acl, kind, name);

    for (; acl->names[slot] != 0; slot = (slot + 1) & acl->name_mask) {
        const struct acl_test *key = &acl->tests[acl->groups[acl->names[slot] - 1].key];

        if (key->kind == kind && span_equal(acl_text_of(acl, key->text), name))
            return acl->names[slot];
    }
    return 0;
}

uint32_t acl_groups(const struct acl *acl, const struct acl_who *who, uint32_t *groups,
                    uint32_t most)
{
    uint8_t mapped[16] = {0};
    bool has_address = network_map(who->peer.family, who->peer.bytes, mapped);
    uint32_t first[2] = {find_named(acl, ACL_CLIENT_IDENTIFIER, who->client_identifier), 0};
    uint32_t count = 0;

    if (who->username.data != NULL)
        first[1] = find_named(acl, ACL_USERNAME, who->username);
    for (unsigned i = 0; i < 2; i++) {
        for (uint32_t at = first[i]; at != 0; at = acl->groups[at - 1].next) {
            if (!group_has(acl, &acl->groups[at - 1], who, mapped, has_address))
                continue;
            if (count < most)
                groups[count] = at - 1;
            count++;
        }
    }
    for (uint32_t i = 0; i < acl->other_count; i++) {
        if (!group_has(acl, &acl->groups[acl->others[i]], who, mapped, has_address))
            continue;
        if (count < most)
            groups[count] = acl->others[i];
        count++;
    }
    return count;
}

/* ---- levels with a name in them ---- */

enum fit {
    FIT_NO,
    FIT_YES,
    FIT_UNSAFE /* a name that is not to be put in */
};

static bool unsafe(struct span name, bool first)
{
    return name.len == 0 || (first && name.data[0] == '$') ||
           memchr(name.data, '+', name.len) != NULL || memchr(name.data, '#', name.len) != NULL ||
           memchr(name.data, '/', name.len) != NULL;
}

/* Whether the level of a topic is what the template becomes. `first`: it begins the topic. */
static enum fit template_fits(const struct acl *acl, const struct acl_template *template,
                              const struct acl_who *who, struct span level, bool first)
{
    struct span text = acl_text_of(acl, template->level);
    enum fit fit = FIT_YES;

    for (uint32_t i = 0; i < text.len; i++) {
        struct span part = span_of(text.data + i, 1);

        if (text.data[i] == ACL_CLIENT_MARK || text.data[i] == ACL_USER_MARK) {
            part = text.data[i] == ACL_USER_MARK ? who->username : who->client_identifier;
            if (part.data == NULL)
                return FIT_NO;
            if (unsafe(part, first && i == 0))
                return FIT_UNSAFE;
        }
        if (fit == FIT_YES && part.len <= level.len && memcmp(level.data, part.data, part.len) == 0)
            level = span_of(level.data + part.len, level.len - part.len);
        else
            fit = FIT_NO; /* go on: there may be an unsafe name behind */
    }
    return level.len == 0 ? fit : FIT_NO;
}

/* ---- walking ---- */

struct walk {
    const struct acl *acl;
    const struct acl_who *who;
    enum acl_action action;
    bool is_filter;
    uint32_t best;
};

static uint32_t edge_find(const struct acl *acl, uint32_t from, struct span level)
{
    uint32_t slot = acl_edge_slot(acl, from, level);

    for (; acl->edges[slot].to != 0; slot = (slot + 1) & acl->edge_mask)
        if (acl->edges[slot].from == from &&
            span_equal(acl_text_of(acl, acl->edges[slot].level), level))
            return acl->edges[slot].to;
    return 0;
}

static void descend(struct walk *walk, uint32_t at, struct level_cursor cursor, bool first);

static void enter(struct walk *walk, uint32_t at, struct level_cursor cursor)
{
    if (at != 0 && walk->acl->nodes[at].least.any[walk->action] < walk->best)
        descend(walk, at, cursor, false);
}

static void enter_templates(struct walk *walk, uint32_t from, struct span level,
                            struct level_cursor rest, bool first)
{
    for (uint32_t i = walk->acl->nodes[from].templates; i != 0; i = walk->acl->templates[i].next) {
        const struct acl_template *template = &walk->acl->templates[i];

        switch (template_fits(walk->acl, template, walk->who, level, first)) {
        case FIT_YES:
            enter(walk, template->to, rest);
            break;
        case FIT_UNSAFE:
            acl_lower(&walk->best, walk->acl->nodes[template->to].least.deny[walk->action]);
            break;
        case FIT_NO:
            break;
        }
    }
}

/* `cursor` is before the level that follows the node; `first`: before the first of the topic. */
static void descend(struct walk *walk, uint32_t at, struct level_cursor cursor, bool first)
{
    const struct acl_node *node = &walk->acl->nodes[at];
    struct span level = {0};
    bool more = level_take(&cursor, &level);
    /* wildcards do not match a first level that begins with $ [MQTT-4.7.2-1] */
    bool wild = !(first && level.len > 0 && level.data[0] == '$');

    if (wild)
        acl_lower(&walk->best, node->deep[walk->action]);
    if (!more) {
        acl_lower(&walk->best, node->here[walk->action]);
        return;
    }
    enter(walk, edge_find(walk->acl, at, level), cursor);
    if (walk->is_filter && level_kind(level) == LEVEL_HASH)
        return; /* covered by # alone, or by the same filter in so many letters */
    if (wild)
        enter(walk, node->plus, cursor);
    if (node->templates != 0)
        enter_templates(walk, at, level, cursor, first);
}

static uint32_t match(const struct acl *acl, const struct acl_who *who, const uint32_t *groups,
                      uint32_t count, enum acl_action action, struct span topic, bool is_filter)
{
    struct walk walk = {acl, who, action, is_filter, ACL_RULE_NONE};

    for (uint32_t i = 0; i < count; i++) {
        const struct acl_group *group = &acl->groups[groups[i]];

        acl_lower(&walk.best, group->everything.any[action]);
        if (acl->nodes[group->root].least.any[action] < walk.best)
            descend(&walk, group->root, levels_of(topic), true);
    }
    return walk.best;
}

uint32_t acl_match_name(const struct acl *acl, const struct acl_who *who, const uint32_t *groups,
                        uint32_t count, enum acl_action action, struct span topic)
{
    return match(acl, who, groups, count, action, topic, false);
}

uint32_t acl_match_filter(const struct acl *acl, const struct acl_who *who, const uint32_t *groups,
                          uint32_t count, struct span filter)
{
    return match(acl, who, groups, count, ACL_SUBSCRIBE, filter, true);
}

uint32_t acl_first_deny(const struct acl *acl, const uint32_t *groups, uint32_t count)
{
    uint32_t first = ACL_RULE_NONE;

    for (uint32_t i = 0; i < count; i++)
        acl_lower(&first, acl->groups[groups[i]].least.deny[ACL_SUBSCRIBE]);
    return first;
}
