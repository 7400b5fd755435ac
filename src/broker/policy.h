/* SPDX-License-Identifier: MIT
 *
 * policy - everything about who may do what that is read from the configuration and the files that it names, as one
 * immutable whole: password store, rules, keys.
 *
 * Made by the control shard, at the start and at every reload, with whatever reads files. It is made as a whole or not at all: what
 * is broken, empty where that is dangerous, or unreadable is an error, and the former one stays in force everywhere.
 * Each shard has a pointer to it (broker_set_policy(), a snapshot of shards/snapshot.h); a worker that uses it has a
 * reference.
 *
 * What is added to it: a member, a line in policy_create() that reads it, a line in policy_unref() that frees it.
 */
#ifndef SHARDMQ_BROKER_POLICY_H
#define SHARDMQ_BROKER_POLICY_H

#include "auth/password_store.h"
#include "auth/slow_down.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct acl;
struct conf;
struct jwt_login;

/* Class: wire. */
struct policy {
    _Atomic uint32_t references;
    bool anonymous; /* every listener lets clients in that have no user name */
    struct policy_listener {
        char *name;
        bool anonymous;
    } * listeners;
    unsigned listener_count;
    struct password_store *passwords; /* NULL: there is none */
    char *super_users;                /* a list (conf_list_next()); "": nobody */
    struct slow_down_rule slow_down;
    uint64_t cache_ttl_ms;
    uint32_t cache_size;
    struct jwt_login *jwt;     /* tokens of clients; NULL: none are taken */
    struct jwt_login *api_jwt; /* tokens for the HTTP API; NULL: it takes none */
    struct acl *acl;           /* auth.acl and auth.acl_file; NULL: there are no rules */
    bool no_match_allows;      /* what no rule matches and nobody minds */
    bool deny_disconnects;     /* a client that may not do what it does is disconnected */
    uint32_t generation;       /* no two policies of this process have the same; never 0 */
};

/* Reads what that configuration names; may block for as long as reading files takes. NULL and a sentence in `why`: what is
 * wrong, where, what to do. With one reference. */
struct policy *policy_create(const struct conf *conf, char *why, size_t size);
/* What should be changed: passwords in clear text with their lines. Sentences, one a line; "" when there is nothing. */
const char *policy_warnings(const struct policy *policy);
/* The same, in the log. */
void policy_log_warnings(const struct policy *policy);
struct policy *policy_ref(const struct policy *policy);
/* Whether clients without a user name may come in by that listener; not by one that is unknown. */
bool policy_anonymous(const struct policy *policy, const char *listener);
bool policy_super_user(const struct policy *policy, struct span username);
/* NULL is ignored. */
void policy_unref(const struct policy *policy);

#endif
