/* SPDX-License-Identifier: MIT
 *
 * jwt_keys_priv - for jwt_keys.c, which verifies, and jwks.c, which reads one of the forms.
 */
#ifndef SHARDMQ_AUTH_JWT_KEYS_PRIV_H
#define SHARDMQ_AUTH_JWT_KEYS_PRIV_H

#include "auth/jwt_keys.h"

#include <openssl/evp.h>

#define JWT_KEY_FILE_MAX 65536u

/* Class: boot. */
struct jwt_key {
    enum jwt_algorithm algorithm;
    char *kid;        /* NULL: it has none */
    EVP_PKEY *public; /* RS256, ES256 */
    uint8_t *secret;  /* HS256 */
    size_t secret_len;
};

struct jwt_keys {
    struct jwt_key list[JWT_KEYS_MAX];
    unsigned count;
};

/* Both look at the key (I2), copy what they need, and leave `public` to the caller. `kid` may be NULL. False, with a
 * sentence without the file's name in `why`. */
bool jwt_keys_add_public(struct jwt_keys *keys, EVP_PKEY *public, const char *kid, char *why,
                         size_t size);
bool jwt_keys_add_bytes(struct jwt_keys *keys, struct span secret, const char *kid, char *why,
                        size_t size);

#endif
