/* SPDX-License-Identifier: MIT
 *
 * random - a small seeded generator (splitmix64, Steele, Lea and Flood 2014). Not for secrets.
 * A value that is passed in, so that a simulation run follows from its seed.
 */
#ifndef SHARDMQ_BASE_RANDOM_H
#define SHARDMQ_BASE_RANDOM_H

#include <stdint.h>

struct random {
    uint64_t state;
};

static inline uint64_t random_next(struct random *random)
{
    uint64_t z = (random->state += 0x9e3779b97f4a7c15u);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Uniform enough in 0 .. bound - 1; bound is above 0. */
static inline uint32_t random_below(struct random *random, uint32_t bound)
{
    return (uint32_t)(((random_next(random) >> 32) * bound) >> 32);
}

#endif
