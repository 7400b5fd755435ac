/* SPDX-License-Identifier: MIT
 *
 * flows - open addressing, at most half full.
 */
#include "bench/flows.h"

#include "base/mem.h"

#define CAPACITY_FIRST 1024u

static uint32_t place(const struct flows *flows, uint64_t key)
{
    uint64_t mixed = (key ^ key >> 29) * UINT64_C(0x9e3779b97f4a7c15);

    return (uint32_t)(mixed >> 32) & (flows->capacity - 1);
}

/* The slot of the key, or the empty one where it belongs. */
static struct flow_check *probe(const struct flows *flows, uint64_t key)
{
    uint32_t at = place(flows, key);

    while (flows->slots[at].used && flows->slots[at].key != key) {
        at = (at + 1) & (flows->capacity - 1);
    }
    return &flows->slots[at];
}

static void grow(struct flows *flows)
{
    struct flows larger = {.capacity = flows->capacity == 0 ? CAPACITY_FIRST : 2 * flows->capacity,
                           .count = flows->count};

    larger.slots = mem_zalloc(larger.capacity * sizeof(*larger.slots));
    for (uint32_t i = 0; i < flows->capacity; i++) {
        if (flows->slots[i].used) {
            *probe(&larger, flows->slots[i].key) = flows->slots[i];
        }
    }
    mem_free(flows->slots);
    *flows = larger;
}

struct flow_check *flows_find(struct flows *flows, uint32_t receiver, uint32_t flow)
{
    uint64_t key = (uint64_t)receiver << 32 | flow;
    struct flow_check *slot;

    if (2 * flows->count >= flows->capacity) {
        grow(flows);
    }
    slot = probe(flows, key);
    if (!slot->used) {
        if (flows->count == FLOWS_MAX) {
            return NULL;
        }
        slot->used = true;
        slot->key = key;
        flows->count++;
    }
    return slot;
}

void flows_fini(struct flows *flows)
{
    for (uint32_t i = 0; i < flows->capacity; i++) {
        sequence_fini(&flows->slots[i].sequence);
    }
    mem_free(flows->slots);
    *flows = (struct flows){0};
}
