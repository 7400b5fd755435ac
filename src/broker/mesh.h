/* SPDX-License-Identifier: MIT
 *
 * mesh - what shards say to each other: 16-byte entries in the ring of each ordered pair.
 *
 * Entries of one pair arrive in order and are never lost. A pointer in an entry passes ownership
 * (or one reference of a message) to the receiver. Kinds are listed in mesh.def with what they
 * carry.
 */
#ifndef SHARDMQ_BROKER_MESH_H
#define SHARDMQ_BROKER_MESH_H

#include <stdint.h>

enum mesh_kind {
#define MESH(kind, carries) MESH_##kind,
#include "broker/mesh.def"
#undef MESH
    MESH_KIND_COUNT
};

struct mesh_entry {
    uint8_t kind; /* enum mesh_kind */
    uint8_t flags;
    uint16_t small;
    uint32_t number;
    union {
        void *pointer;
        uint64_t value;
    };
};

_Static_assert(sizeof(struct mesh_entry) == 16, "four entries to a cache line");

#endif
