/* SPDX-License-Identifier: MIT
 *
 * jwt_claims - what the claims of a token must be for the client that shows it: auth.jwt.verify_claims.
 *
 *   verify_claims { clientid = "${clientid}", tenant = "acme", device = "urn:device:${username}" }
 *
 * A token that names its client is of no use to anybody else who has come by it, nor to its owner as another client.
 */
#ifndef SHARDMQ_AUTH_JWT_CLAIMS_H
#define SHARDMQ_AUTH_JWT_CLAIMS_H

#include "auth/jwt.h"

/* Who shows the token, as CONNECT says. Views; no data: it has none. */
struct jwt_client {
    struct span client_identifier, username;
};

/* Class: boot. */
struct jwt_claims;

/* Of the option's text (conf_map_next()). NULL: it names no claim. */
struct jwt_claims *jwt_claims_create(const char *map);
/* NULL is ignored. */
void jwt_claims_destroy(struct jwt_claims *claims);

/* Whether each claim is there, and is the text that is wanted, or a list that has it. ${clientid} and ${username} stand for
 * the client's; of one that has none, or an empty one, no token is. NULL wants nothing. */
bool jwt_claims_match(const struct jwt_claims *claims, const struct jwt *jwt,
                      const struct jwt_client *client);
/* Whether one of them must be the user name and nothing else: then a token that matches proves it. */
bool jwt_claims_prove_username(const struct jwt_claims *claims);

#endif
