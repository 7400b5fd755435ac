/* SPDX-License-Identifier: MIT
 *
 * acl - rules that say who may publish and subscribe to what, compiled for questions that come with every message.
 *
 * Rules have an order, and the first one that matches decides. They come from NanoMQ's auth.acl.rules (acl_json.h), from a
 * Mosquitto acl_file (acl_file.h), or from a client's token; all of them are collected by a builder and compiled once.
 * What comes out is never changed: many threads may ask at once. The essay is in acl.c.
 *
 *   who        all of its clauses hold; a clause is a list of conditions of which one holds
 *   action     publish, subscribe, or both. What is delivered to a client is asked about as subscribe, by topic name
 *   topics     filters; none: every topic, also those that begin with $
 *
 * In a filter stands `${clientid}` or `${username}` (Mosquitto: %c, %u) for the client's own name. A name that contains
 * + # or /, is empty, or begins with $ where a topic would begin, is not put in: then a rule that allows does not
 * match, and one that denies does, whatever stands from that level on. A rule with `${username}` does not match a client
 * without one.
 *
 * A topic filter of a SUBSCRIBE matches a rule when the rule's filter covers it: when all that could be received with it
 * matches the rule.
 */
#ifndef SHARDMQ_AUTH_ACL_H
#define SHARDMQ_AUTH_ACL_H

#include "base/address.h"
#include "base/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct acl;
struct acl_builder;

enum acl_action { ACL_PUBLISH, ACL_SUBSCRIBE, ACL_ACTION_COUNT };

#define ACL_BIT(action) (1u << (action))
#define ACL_BOTH        (ACL_BIT(ACL_PUBLISH) | ACL_BIT(ACL_SUBSCRIBE))

#define ACL_RULES_MAX  1000000u /* of one builder */
#define ACL_LEVELS_MAX 128u     /* of a filter in a rule */
#define ACL_RULE_NONE  UINT32_MAX

/* Who asks. Views. */
struct acl_who {
    struct span client_identifier;
    struct span username; /* no data: none */
    struct peer_address peer;
};

/* ---- building ---- */

enum acl_condition_kind {
    ACL_USERNAME,
    ACL_CLIENT_IDENTIFIER,
    ACL_ADDRESS,    /* an address or a network, as text */
    ACL_NO_USERNAME /* the client has none; no text */
};

struct acl_condition {
    enum acl_condition_kind kind;
    struct span text;
};

/* NULL when memory is gone. */
struct acl_builder *acl_builder_create(void);
/* NULL is ignored. */
void acl_builder_free(struct acl_builder *builder);

/* Begins a rule behind the others; `place` (copied; "/etc/acl:7") is how the audit names it. What follows belongs to it.
 * Each call returns false, with what is wrong in `why`, when memory is gone or the value is not good: the builder can then
 * only be freed. */
bool acl_rule_begin(struct acl_builder *builder, bool allow, unsigned actions, struct span place,
                    char *why, size_t size);
/* One more clause: `count` conditions, of which one has to hold; a client name "#" holds for everybody. */
bool acl_rule_clause(struct acl_builder *builder, const struct acl_condition *conditions,
                     uint32_t count, char *why, size_t size);

enum acl_topic_form {
    ACL_TOPIC_FILTER,   /* with ${clientid} and ${username} */
    ACL_TOPIC_PATTERN,  /* with %c and %u */
    ACL_TOPIC_AS_FILTER /* a filter in which nothing stands for a name: Mosquitto's `topic` */
};
/* One more topic. Of ACL_TOPIC_FILTER, one that begins with @ means what follows, character by character. */
bool acl_rule_topic(struct acl_builder *builder, struct span topic, enum acl_topic_form form,
                    char *why, size_t size);

/* Whether one of the above was refused because memory is gone. */
bool acl_builder_starved(const struct acl_builder *builder);
uint32_t acl_builder_count(const struct acl_builder *builder);
/* Compiles; frees the builder in any case. NULL when memory is gone. */
struct acl *acl_compile(struct acl_builder *builder);

/* NULL is ignored. */
void acl_free(struct acl *acl);
uint32_t acl_count(const struct acl *acl);
size_t acl_memory(const struct acl *acl);

/* ---- asking ---- */

/* Rules with the same `who` are a group. Writes the numbers of those groups that the client is in, in any order, to
 * groups[0 .. most) and returns how many there are, which may be more than `most`. They stay right as long as the acl and
 * the client's names and address do. */
uint32_t acl_groups(const struct acl *acl, const struct acl_who *who, uint32_t *groups,
                    uint32_t most);

/* The rule that decides, or ACL_RULE_NONE; allocates nothing. `groups` are the client's. */
uint32_t acl_match_name(const struct acl *acl, const struct acl_who *who, const uint32_t *groups,
                        uint32_t count, enum acl_action action, struct span topic);
/* The same for a topic filter, without $share/<share name>/, as ACL_SUBSCRIBE. */
uint32_t acl_match_filter(const struct acl *acl, const struct acl_who *who, const uint32_t *groups,
                          uint32_t count, struct span filter);
/* The first rule of these groups that could deny a subscription or a delivery, or ACL_RULE_NONE: what an earlier rule
 * allows needs no check for each message. */
uint32_t acl_first_deny(const struct acl *acl, const uint32_t *groups, uint32_t count);

bool acl_rule_allows(const struct acl *acl, uint32_t rule);
/* "rule 3 (/etc/acl:7)", counted from 1. */
void acl_rule_name(const struct acl *acl, uint32_t rule, char *to, size_t size);

#endif
