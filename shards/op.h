/* SPDX-License-Identifier: MIT
 *
 * op - what a submitted operation was, packed into the 64 bits that the kernel hands back with its
 * completion: {operation 8, slot 24, generation 32}. A completion whose generation is not the
 * slot's present one is stale.
 */
#ifndef SHARDMQ_SHARDS_OP_H
#define SHARDMQ_SHARDS_OP_H

#include <stdint.h>

enum op {
#define OP(name, done, failed) OP_##name,
#include "shards/ops.def"
#undef OP
    OP_COUNT
};

#define OP_SLOT_BITS 24
#define OP_SLOT_MAX  ((1u << OP_SLOT_BITS) - 1)

_Static_assert(OP_COUNT <= 256, "the operation has 8 bits");
_Static_assert(OP_NONE == 0, "URING_NOBODY is OP_NONE");

static inline uint64_t op_pack(enum op op, uint32_t slot, uint32_t generation)
{
    return (uint64_t)op << 56 | (uint64_t)slot << 32 | generation;
}

static inline enum op op_of(uint64_t user_data)
{
    return (enum op)(user_data >> 56);
}

static inline uint32_t op_slot(uint64_t user_data)
{
    return (uint32_t)(user_data >> 32) & OP_SLOT_MAX;
}

static inline uint32_t op_generation(uint64_t user_data)
{
    return (uint32_t)user_data;
}

#endif
