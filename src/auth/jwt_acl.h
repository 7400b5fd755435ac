/* SPDX-License-Identifier: MIT
 *
 * jwt_acl - the rules that a token gives its bearer, in EMQX's two forms:
 *
 *   {"pub": ["a/${clientid}"], "sub": ["a/#"], "all": ["b"]}       what is not in a list is denied; a list may be one text
 *   [{"permission": "allow", "action": "publish", "topic": "a/#"},  the first that matches decides, and where none does
 *    {"permission": "deny", "action": "all", "topics": ["#"]}]     it is denied
 *
 * action is publish, subscribe or all; a topic that begins with "eq " means what follows, character by character. A rule
 * with `permit` instead of `permission` is one of NanoMQ's (acl_json.h). Whatever else stands in it, and may narrow what
 * it allows, makes the token good for nothing: who cannot read all of a rule must not follow the rest.
 */
#ifndef SHARDMQ_AUTH_JWT_ACL_H
#define SHARDMQ_AUTH_JWT_ACL_H

#include "auth/acl.h"

#include <cjson/cJSON.h>

/* Compiles the claim; it is the caller's (acl_free). NULL when it is none of the above, or memory is gone: *starved tells
 * which. */
struct acl *jwt_acl_compile(const cJSON *claim, bool *starved);

#endif
