/* SPDX-License-Identifier: MIT */
#include "base/hash.h"

uint64_t hash_seed;

void hash_setup(uint64_t seed)
{
    hash_seed = seed;
}
