/* SPDX-License-Identifier: MIT */
#include "topic/table.h"

#include "base/check.h"
#include "base/mem.h"

#define CAPACITY_MIN 16u

static void place(struct table *table, uint64_t hash, uint64_t value)
{
    uint32_t at = (uint32_t)hash & table->mask;

    while (table->slots[at].value != 0)
        at = (at + 1) & table->mask;
    table->slots[at] = (struct table_slot){.hash = hash, .value = value};
}

static bool resize(struct table *table, uint32_t capacity)
{
    struct table old = *table;
    struct table_slot *slots = mem_try_zalloc((size_t)capacity * sizeof(*slots));

    if (slots == NULL)
        return false;
    table->slots = slots;
    table->mask = capacity - 1;
    if (old.slots != NULL) {
        for (uint32_t at = 0; at <= old.mask; at++) {
            if (old.slots[at].value != 0)
                place(table, old.slots[at].hash, old.slots[at].value);
        }
        mem_free(old.slots);
    }
    return true;
}

bool table_reserve(struct table *table)
{
    uint64_t capacity = (uint64_t)table->mask + 1;

    if (table->slots == NULL)
        return resize(table, CAPACITY_MIN);
    if (table->count + 1 <= capacity / 4 * 3)
        return true;
    return capacity < UINT32_MAX / 2 && resize(table, (uint32_t)capacity * 2);
}

void table_insert(struct table *table, uint64_t hash, uint64_t value)
{
    ASSERT(value != 0 && table->slots != NULL && table->count < table->mask);
    place(table, hash, value);
    table->count++;
}

void table_remove(struct table *table, struct table_slot *slot)
{
    uint32_t hole = (uint32_t)(slot - table->slots);
    uint32_t capacity = table->mask + 1;

    ASSERT(hole <= table->mask && slot->value != 0);
    for (uint32_t at = (hole + 1) & table->mask; table->slots[at].value != 0;
         at = (at + 1) & table->mask) {
        uint32_t home = (uint32_t)table->slots[at].hash & table->mask;

        /* The entry may move back into the hole when its home is not behind the hole (I2). */
        if (((at - home) & table->mask) >= ((at - hole) & table->mask)) {
            table->slots[hole] = table->slots[at];
            hole = at;
        }
    }
    table->slots[hole] = (struct table_slot){0};
    table->count--;
    /* Without memory for the smaller table the larger one goes on. */
    if (capacity > CAPACITY_MIN && table->count < capacity / 8)
        (void)resize(table, capacity / 2);
}

void table_clear(struct table *table)
{
    mem_free(table->slots);
    *table = (struct table){0};
}

void table_check(const struct table *table)
{
    uint32_t count = 0;

    if (table->slots == NULL) {
        ASSERT(table->count == 0);
        return;
    }
    for (uint32_t at = 0; at <= table->mask; at++) {
        const struct table_slot *slot = &table->slots[at];

        if (slot->value == 0)
            continue;
        count++;
        for (uint32_t i = (uint32_t)slot->hash & table->mask; i != at; i = (i + 1) & table->mask)
            ASSERT(table->slots[i].value != 0);
    }
    ASSERT(count == table->count);
    ASSERT(count <= (table->mask + 1) / 4 * 3);
}
