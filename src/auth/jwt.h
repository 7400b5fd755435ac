/* SPDX-License-Identifier: MIT
 *
 * jwt - JSON Web Tokens (RFC 7519) in the compact form of JWS (RFC 7515), verified as RFC 8725 recommends.
 *
 *   header . claims . signature        each in base64url
 *
 *   looks like one? --> alg, crit, typ of the header --> a key of that algorithm signed it --> exp, nbf, iat, iss, aud
 *
 * Invariants
 *   I1  the keys say which algorithms there are; the header only says which of them it is. "none" is no algorithm.
 *   I2  of the claims nothing is looked at before the signature is right
 *   I3  the header cannot make anybody fetch or trust a key: jku, jwk, x5u and x5c are not looked at
 *   I4  what has no meaning here is not passed over when it may change the meaning: crit, b64, zip, cty
 *
 * Time is an argument, in seconds since 1970.
 */
#ifndef SHARDMQ_AUTH_JWT_H
#define SHARDMQ_AUTH_JWT_H

#include "auth/jwt_keys.h"

#include <cjson/cJSON.h>

#define JWT_BYTES_MAX 8192u
#define JWT_RULE_SIZE 1025u /* of a rule as text, with its terminator */

/* What a token must say beside being signed. Class: boot. Texts of less than JWT_RULE_SIZE bytes, never NULL; empty:
 * nothing. */
struct jwt_rules {
    const char *issuer;   /* iss is this */
    const char *audience; /* one of these, separated by commas, is in aud. Empty: there is no aud */
    const char *required; /* claims that must be there, separated by commas */
    uint32_t leeway_s;    /* what clocks may differ by */
};

/* A token that is good. Owner: whoever verified it (jwt_free). */
struct jwt {
    cJSON *claims; /* an object */
    bool expires;
    uint64_t expires_s; /* with the leeway: from then on it is good no more */
};

enum jwt_verdict {
    JWT_GOOD,
    JWT_FOREIGN, /* no token at all, but a password, say */
    JWT_MALFORMED, /* meant to be one: too long, not base64url, not JSON; or with something in it that I4 refuses */
    JWT_ALGORITHM,   /* none, or one that no key has */
    JWT_UNKNOWN_KEY, /* no key of that algorithm has the name that the token gives */
    JWT_SIGNATURE,   /* wrong */
    JWT_EXPIRED,
    JWT_CLAIM,  /* signed, and not for us, not yet, or incomplete */
    JWT_FAILED, /* memory is gone: nothing is known about it, and nobody is to blame */
};

/* Looks at a token. With JWT_GOOD *jwt is to be freed, with any other it is empty, and *why is a sentence (static text)
 * without anything of the token in it. */
enum jwt_verdict jwt_verify(const struct jwt_keys *keys, const struct jwt_rules *rules,
                            struct span token, uint64_t now_s, struct jwt *jwt, const char **why);

/* Whether somebody means that to be a token, however broken: before its first dot is an object in braces. What is not is
 * FOREIGN, and what is belongs into no log. */
bool jwt_is_meant(struct span token);

/* Whether verifying it takes so long (ES256) that a worker had better do it. */
bool jwt_is_slow(struct span token);

/* An empty one is ignored. */
void jwt_free(struct jwt *jwt);

/* A claim that is a string; NULL when it is not there or something else. */
const char *jwt_text(const struct jwt *jwt, const char *claim);
/* Whether a claim is that string, or an array that has it. */
bool jwt_has(const struct jwt *jwt, const char *claim, struct span wanted);

#endif
