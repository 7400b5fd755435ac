/* SPDX-License-Identifier: MIT
 *
 * hash - XXH3 keyed with a secret of the process, for every table whose keys clients choose.
 */
#ifndef SHARDMQ_BASE_HASH_H
#define SHARDMQ_BASE_HASH_H

#include <stdint.h>

#define XXH_INLINE_ALL
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wimplicit-fallthrough"
#pragma GCC diagnostic ignored "-Wshadow"
#include <xxhash.h>
#pragma GCC diagnostic pop

/* The secret; set once by hash_setup() before any table exists, the same on every shard. */
extern uint64_t hash_seed;

/* Sets the secret: random bytes in production, a fixed number in tests and simulation. */
void hash_setup(uint64_t seed);

static inline uint64_t hash64(const void *data, size_t len)
{
    return XXH3_64bits_withSeed(data, len, hash_seed);
}

#endif
