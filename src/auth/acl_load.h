/* SPDX-License-Identifier: MIT
 *
 * acl_load - the rules of a configuration: auth.acl.rules, and behind them those of auth.acl_file.
 */
#ifndef SHARDMQ_AUTH_ACL_LOAD_H
#define SHARDMQ_AUTH_ACL_LOAD_H

#include "auth/acl.h"

struct conf;

/* Compiles them; *acl is NULL when the configuration names none (a file without rules counts as naming some: then nothing
 * matches). False, with a sentence in `why` that says where, when something is wrong. Reads a file. */
bool acl_load(const struct conf *conf, struct acl **acl, char *why, size_t size);

#endif
