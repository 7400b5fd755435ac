/* SPDX-License-Identifier: MIT
 *
 * login_cache - user names with passwords that were right a moment ago, so that they need not be hashed again.
 *
 * It holds no password and nothing that could be tried offline without the key: each entry is SipHash-2-4, twice with
 * two keys of the process, of the user name and the password. Only what was right is in it; what is wrong is never remembered,
 * so nobody can fill it without knowing passwords.
 *
 *   bucket = hash mod buckets: four entries, of which the one that ends first gives way
 *
 * Owner: shard. Time is an argument.
 */
#ifndef SHARDMQ_AUTH_LOGIN_CACHE_H
#define SHARDMQ_AUTH_LOGIN_CACHE_H

#include "auth/password.h"

/* What a user name and a password make together. */
struct login_key {
    uint64_t words[2];
};

/* The keys of the process; random, never written anywhere. boot. */
struct login_secret {
    uint64_t keys[2][2];
};

struct login_cache;

/* Reads two keys from the kernel's random bytes. */
void login_secret_make(struct login_secret *secret);

/* What an entry of the password file comes to: another one as soon as its password is. Not 0. */
uint64_t login_fingerprint(const struct login_secret *secret, const struct password *stored);

struct login_key login_key_of(const struct login_secret *secret, struct span username,
                              struct span password);
static inline bool login_key_equal(struct login_key a, struct login_key b)
{
    return ((a.words[0] ^ b.words[0]) | (a.words[1] ^ b.words[1])) == 0;
}

/* For `size` entries, rounded up. NULL when memory is gone. */
struct login_cache *login_cache_create(uint32_t size);
/* NULL is ignored. */
void login_cache_destroy(struct login_cache *cache);

bool login_cache_has(const struct login_cache *cache, struct login_key key, uint64_t now_ms);
/* It is right until `until_ms`. */
void login_cache_put(struct login_cache *cache, struct login_key key, uint64_t now_ms,
                     uint64_t until_ms);

#endif
