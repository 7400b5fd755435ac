/* SPDX-License-Identifier: MIT
 *
 * acl_json - one of NanoMQ's rules, an object of auth.acl.rules:
 *
 *   { "permit": "allow", "action": "pubsub", "topics": ["a/${clientid}/#", "@b/#"], "username": "u", "ipaddr": "10.0.0.0/8" }
 *
 *   permit                       allow or deny; the only member that has to be there
 *   action                       publish, subscribe or pubsub, which is what it is without one
 *   topics                       a list of filters, or one; without them all topics
 *   username, clientid, ipaddr   a text, "#" for everybody; several of them: all hold
 *   ipaddrs                      a list of addresses and networks, one of which holds
 *   and, or                      lists of objects with one of the members above: all of them hold, one of them does
 */
#ifndef SHARDMQ_AUTH_ACL_JSON_H
#define SHARDMQ_AUTH_ACL_JSON_H

#include "auth/acl.h"

#include <cjson/cJSON.h>

/* Adds the rule; `place` as in acl_rule_begin(). False with a sentence that begins with the member in `why`. */
bool acl_json_add(struct acl_builder *builder, const cJSON *rule, struct span place, char *why,
                  size_t size);

#endif
