/* SPDX-License-Identifier: MIT
 *
 * password - one stored password: what stands behind the user name in a password file.
 *
 *   $scrypt$ln=14,r=8,p=1$<salt>$<hash>            ours: scrypt (RFC 7914), as other programs write it too
 *   $7$<iterations>$<salt>$<hash>                  Mosquitto's: PBKDF2 with HMAC-SHA-512
 *   $6$<salt>$<hash>                               Mosquitto's older one: SHA-512 of password and salt, once
 *   $scram-sha-256$i=15000$<salt>$<stored>$<server>   the keys of SCRAM alone (auth/scram.h)
 *   anything that does not begin with $<word>$     the password itself
 *
 * Salts, hashes and keys are base64. Behind each of the first three may stand a colon and the keys of SCRAM: one
 * entry is then for both, a password in CONNECT and SCRAM-SHA-256.
 *
 * $6$ costs whoever has the file nothing to try passwords, and should be replaced. The keys of SCRAM are cheaper to
 * try than scrypt: an entry that has both is as strong as the keys.
 */
#ifndef SHARDMQ_AUTH_PASSWORD_H
#define SHARDMQ_AUTH_PASSWORD_H

#include "auth/scram.h"

#define PASSWORD_BYTES_MAX 1024u /* of one that is stored as it is, or that is made here */
#define PASSWORD_TEXT_MAX  1100u /* of any stored one, as text, with its terminator */

enum password_kind {
    PASSWORD_CLEAR,
    PASSWORD_SHA512, /* $6$ */
    PASSWORD_PBKDF2, /* $7$ */
    PASSWORD_SCRYPT,
    PASSWORD_SCRAM
};

/* boot. */
struct password {
    enum password_kind kind;
    uint8_t log_n, r, p; /* of scrypt */
    uint32_t iterations; /* of PBKDF2 */
    uint32_t salt_len, hash_len;
    uint8_t salt[64], hash[64];
    uint8_t *clear; /* owned; of PASSWORD_CLEAR, else NULL */
    uint32_t clear_len;
    bool has_scram; /* always true of PASSWORD_SCRAM */
    struct scram_keys scram;
};

/* How much work a new one is. */
struct password_cost {
    enum password_kind kind;   /* PASSWORD_SCRYPT or PASSWORD_PBKDF2 */
    uint8_t log_n, r, p;       /* of scrypt: 128 * r << log_n bytes of memory while it is checked */
    uint32_t iterations;       /* of PBKDF2 */
    uint32_t scram_iterations; /* 0: without the keys of SCRAM */
};
#define PASSWORD_COST_DEFAULT                                                                      \
    ((struct password_cost){.kind = PASSWORD_SCRYPT,                                               \
                            .log_n = 14,                                                           \
                            .r = 8,                                                                \
                            .p = 1,                                                                \
                            .iterations = 210000,                                                  \
                            .scram_iterations = SCRAM_ITERATIONS})

/* True when the cost is within what password_parse() takes. */
bool password_cost_good(const struct password_cost *cost);

/* Reads what stands behind the user name. password_release() it. False, with why (a part of a sentence, no secret in
 * it; else NULL), when it is nothing of the above, or memory is gone; there is then nothing to release. */
bool password_parse(struct password *to, struct span text, const char **why);

/* It begins with $<word>$, as hashes of all kinds do, and is no password in clear text. */
bool password_is_hash(struct span text);

/* Frees and overwrites. */
void password_release(struct password *password);

/* Whether `given` is the password. Blocks, for a hashed one, for milliseconds: on a worker. The time does not tell
 * how much of it was right. False as well when memory is gone. */
bool password_verify(const struct password *stored, struct span given);

/* How much work password_verify() is, in rounds of scrypt's inner function, near enough to say which of two is more; 0 for
 * what is done in microseconds. */
uint64_t password_work(const struct password *stored);

/* Writes a new entry with fresh salts for the password, to[0 .. PASSWORD_TEXT_MAX). Blocks. False when memory is gone. */
bool password_make(struct span given, const struct password_cost *cost, char *to);

/* "scrypt", "clear text" and so on. */
const char *password_kind_name(enum password_kind kind);

#endif
