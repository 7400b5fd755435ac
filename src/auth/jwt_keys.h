/* SPDX-License-Identifier: MIT
 *
 * jwt_keys - the keys that tokens are verified with, read from files.
 *
 *   RSA public key, 2048 bits or more --> RS256     PEM ("PUBLIC KEY", "RSA PUBLIC KEY", "CERTIFICATE") or JWKS
 *   EC public key on P-256            --> ES256     PEM ("PUBLIC KEY", "CERTIFICATE") or JWKS
 *   secret, 32 bytes or more          --> HS256     a file of its own, or JWKS
 *
 * Invariants
 *   I1  a key has one algorithm, which follows from what it is; nothing in a token can make it serve another. That a
 *       public key is taken for an HMAC secret cannot be expressed.
 *   I2  there is no weak key: one that is too short, or no point of its curve, is an error when its file is read
 *   I3  a file that gives no key is an error: nobody is let in, or kept out, by an empty file
 *
 * Of certificates only the key counts: not who signed them, nor until when. Private keys are refused; they have no
 * business on a broker.
 */
#ifndef SHARDMQ_AUTH_JWT_KEYS_H
#define SHARDMQ_AUTH_JWT_KEYS_H

#include "base/span.h"

#include <stddef.h>

#define JWT_KEYS_MAX         16u /* so many signatures does a token without a key identifier cost at most */
#define JWT_SECRET_BYTES_MIN 32u /* RFC 7518, 3.2 */
#define JWT_RSA_BITS_MIN     2048u
#define JWT_RSA_BITS_MAX     8192u

/* RFC 7518, 3.1. */
enum jwt_algorithm { JWT_HS256, JWT_RS256, JWT_ES256 };

enum jwt_secret_form { JWT_SECRET_RAW, JWT_SECRET_BASE64URL };

/* Class: boot. Immutable once the last file has been added; any thread may then verify. */
struct jwt_keys;

struct jwt_keys *jwt_keys_create(void);
/* Overwrites secrets. NULL is ignored. */
void jwt_keys_destroy(struct jwt_keys *keys);

/* Each adds what is in a file. False, with a sentence that names the file in `why`: the keys are then good for nothing
 * but jwt_keys_destroy(). */
bool jwt_keys_add_pem(struct jwt_keys *keys, const char *file, char *why, size_t size);
/* The file is the secret. The line feed at the end of a text is no part of it. */
bool jwt_keys_add_secret(struct jwt_keys *keys, const char *file, enum jwt_secret_form form,
                         char *why, size_t size);
/* A set of keys as RFC 7517 has it. Keys of other kinds, for other purposes and for other algorithms are passed over. */
bool jwt_keys_add_jwks(struct jwt_keys *keys, const char *file, char *why, size_t size);
/* The same of what such a file holds; no file is named. */
bool jwt_keys_add_jwks_text(struct jwt_keys *keys, struct span text, char *why, size_t size);

unsigned jwt_keys_count(const struct jwt_keys *keys);

/* "HS256" and so on; false for any other name. */
bool jwt_algorithm_read(struct span name, enum jwt_algorithm *algorithm);

enum jwt_key_answer {
    JWT_KEY_RIGHT,
    JWT_KEY_WRONG,  /* none of the keys that may have signed it has */
    JWT_KEY_ABSENT, /* no key is of this algorithm and this name */
    JWT_KEY_FAILED  /* memory is gone before all of them were tried */
};

/* Whether one of the keys signed these bytes. `kid` is the key identifier that the token names; empty: none. A key
 * without an identifier may have signed any token, one with an identifier those that name it or none. */
enum jwt_key_answer jwt_keys_verify(const struct jwt_keys *keys, enum jwt_algorithm algorithm,
                                    struct span kid, struct span bytes, struct span signature);

#endif
