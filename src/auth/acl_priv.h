/* SPDX-License-Identifier: MIT
 *
 * acl_priv - compiled rules, as acl.c makes and acl_match.c reads them.
 */
#ifndef SHARDMQ_AUTH_ACL_PRIV_H
#define SHARDMQ_AUTH_ACL_PRIV_H

#include "auth/acl.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/network.h"

/* A piece of the text of all rules. */
struct acl_text {
    uint32_t at, len;
};

/* One condition of a clause; `last` ends the clause. */
struct acl_test {
    uint8_t kind; /* enum acl_condition_kind */
    bool last;
    struct acl_text text;
    struct network network;
};

struct acl_rule {
    struct acl_text place;
    uint32_t tests, test_count, topic_count;
    bool allow;
    uint8_t actions;
};

/* Rule numbers, each the least of its kind; ACL_RULE_NONE: there is none. */
struct acl_least {
    uint32_t any[ACL_ACTION_COUNT], deny[ACL_ACTION_COUNT];
};

/* Rules with the same clauses. */
struct acl_group {
    uint32_t tests, test_count;
    uint32_t key;  /* the test by which it stands in the index; ACL_RULE_NONE: in `others` */
    uint32_t next; /* group number + 1 of another with the same name in the index; 0: none */
    uint32_t root;
    struct acl_least everything; /* of its rules without topics */
    struct acl_least least;      /* of all its rules */
};

/* A place in the levels of the filters of a group. */
struct acl_node {
    uint32_t plus;      /* the node behind a level +; 0: none */
    uint32_t templates; /* first of those behind a level with a client's name in it; 0: none */
    uint32_t here[ACL_ACTION_COUNT]; /* rules with a filter that ends here */
    uint32_t deep[ACL_ACTION_COUNT]; /* ... that goes on with # only */
    struct acl_least least;          /* of all below */
};

/* From a node by a level to another. */
struct acl_edge {
    uint32_t from, to;
    struct acl_text level;
};

struct acl_template {
    uint32_t to, next;
    struct acl_text level; /* with ACL_CLIENT_MARK and ACL_USER_MARK */
};

/* Bytes that no valid text has. */
#define ACL_CLIENT_MARK 0xFE
#define ACL_USER_MARK   0xFF

/* class: boot: never changed after acl_compile(). */
struct acl {
    uint8_t *text;
    struct acl_rule *rules;
    struct acl_group *groups;
    struct acl_test *tests;
    struct acl_node *nodes;         /* 0 is none */
    struct acl_template *templates; /* 0 is none */
    struct acl_edge *edges;         /* open addressing; to == 0: free */
    uint32_t *names;                /* index: group number + 1 by user name or client identifier */
    uint32_t *others;               /* groups that are not in the index */
    uint32_t rule_count, group_count, node_count, template_count, test_count, other_count;
    uint32_t edge_mask, name_mask;
    size_t memory;
};

static inline struct span acl_text_of(const struct acl *acl, struct acl_text text)
{
    return span_of(acl->text + text.at, text.len);
}

static inline void acl_lower(uint32_t *least, uint32_t rule)
{
    if (rule < *least)
        *least = rule;
}

static inline uint32_t acl_edge_slot(const struct acl *acl, uint32_t from, struct span level)
{
    return (uint32_t)(hash64(level.data, level.len) >> 32 ^ from * 0x9e3779b1u) & acl->edge_mask;
}

static inline uint32_t acl_name_slot(const struct acl *acl, enum acl_condition_kind kind,
                                     struct span name)
{
    return (uint32_t)(hash64(name.data, name.len) + kind) & acl->name_mask;
}

#endif
