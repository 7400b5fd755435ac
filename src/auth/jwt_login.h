/* SPDX-License-Identifier: MIT
 *
 * jwt_login - tokens as what MQTT clients, or users of the API, show: the keys and the rules of one of the two, and what
 * a token that is good says about its bearer.
 */
#ifndef SHARDMQ_AUTH_JWT_LOGIN_H
#define SHARDMQ_AUTH_JWT_LOGIN_H

#include "auth/jwt_claims.h"
#include "conf/conf.h"

/* Class: boot; a part of broker/policy.h. Any thread may ask. */
struct jwt_login;

/* What a configuration says about tokens of MQTT clients, and of the API. Both read the key files. *login is NULL when
 * no key is configured. False, with a sentence in `why`: a file is not good, and nobody is to be let in or kept out by
 * what remains. */
bool jwt_login_create(const struct conf *conf, struct jwt_login **login, char *why, size_t size);
bool jwt_login_create_api(const struct conf *conf, struct jwt_login **login, char *why,
                          size_t size);
/* NULL is ignored. */
void jwt_login_destroy(struct jwt_login *login);

/* What a good token says about its bearer. Views of it, good until jwt_login_done(). */
struct jwt_bearer {
    struct jwt token;
    const char *username; /* NULL: no claim is to be one */
    const cJSON *acl;     /* NULL: it has no rules */
    bool superuser;
    bool
        proves_username; /* `username` is there, or auth.jwt.verify_claims has held CONNECT's against a claim */
    uint64_t ends_s; /* its connection is over then; 0: it is not for that */
};

/* CONNECT has the token where its user name is, not its password. */
bool jwt_login_from_username(const struct jwt_login *login);

/* Looks at the token that a client shows; NULL: a user of the API. With JWT_GOOD *bearer is to be given to jwt_login_done(); with any other verdict it is
 * empty, and *why is a sentence (static text) without anything of the token in it. */
enum jwt_verdict jwt_login_ask(const struct jwt_login *login, struct span token,
                               const struct jwt_client *client, uint64_t now_s,
                               struct jwt_bearer *bearer, const char **why);
void jwt_login_done(struct jwt_bearer *bearer);

/* What a token says that its bearer may do with the API. */
enum jwt_scope { JWT_SCOPE_NONE, JWT_SCOPE_READ, JWT_SCOPE_WRITE };
enum jwt_scope jwt_login_scope(const struct jwt_login *login, const struct jwt_bearer *bearer);

#endif
