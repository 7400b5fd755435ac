/* SPDX-License-Identifier: MIT
 *
 * answer_cache - what a backend said, for as long as that holds.
 *
 * A key is a keyed hash of the whole question (HMAC-SHA-256, the first 16 bytes; the secret is made for each cache), so no
 * password is kept, nobody can find out what is asked from what is stored, and nobody can make a question whose key is
 * another one's. The table is a row of sets of ANSWER_SET answers; a key belongs to one set, and what is put into a full one
 * takes the place of the answer that ends first. So it needs no list, no sweep, and never grows.
 */
#ifndef SHARDMQ_AUTH_ANSWER_CACHE_H
#define SHARDMQ_AUTH_ANSWER_CACHE_H

#include "base/span.h"

#include <stdbool.h>
#include <stdint.h>

#define ANSWER_SET 8u

/* Owner: shard. */
struct answer_cache;

struct answer_key {
    uint8_t bytes[16];
};

/* Room for `answers`, rounded up to a power of two; NULL when there is no memory. `secret` is 32 random bytes. */
struct answer_cache *answer_cache_create(uint32_t answers, const uint8_t secret[32]);
/* NULL is ignored. */
void answer_cache_destroy(struct answer_cache *cache);

/* The key of a question of that kind. */
struct answer_key answer_cache_key(const struct answer_cache *cache, uint8_t kind,
                                   struct span question);
/* Whether there is an answer that holds now; sets *answer. */
bool answer_cache_find(const struct answer_cache *cache, const struct answer_key *key,
                       uint64_t now_ms, uint8_t *answer);
/* Keeps an answer until then. */
void answer_cache_put(struct answer_cache *cache, const struct answer_key *key, uint64_t until_ms,
                      uint8_t answer);

#endif
