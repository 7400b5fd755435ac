/* SPDX-License-Identifier: MIT
 *
 * http_auth - what the chains of authn.h and authz.h know of backends over HTTP; the essay is in http_auth.c.
 */
#ifndef SHARDMQ_BROKER_HTTP_AUTH_H
#define SHARDMQ_BROKER_HTTP_AUTH_H

#include "broker/authn.h"
#include "broker/authz.h"

/* acl_req in the chain of authz.c. */
extern const struct authz_link authz_http_link;

/* The row http of authn_links.def: auth_req. */
bool authn_http_configured(const struct broker *broker);
enum authn_answer authn_http_ask(struct broker *broker, struct authn_attempt *attempt);

/* Whether super_req is asked about everybody who is let in. */
bool http_super_configured(const struct broker *broker);
/* A client is about to be let in: ALLOW when that is settled (attempt->result.superuser), WAIT: authn_complete() follows. */
enum authn_answer http_super_ask(struct broker *broker, struct authn_attempt *attempt);

#endif
