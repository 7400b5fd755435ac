/* SPDX-License-Identifier: MIT
 *
 * due - sift up, sift down.
 */
#include "bench/due.h"

#include "base/check.h"
#include "base/mem.h"

#define ROOM_FIRST 64u

void due_add(struct due *due, uint64_t at_ns, uint32_t index)
{
    uint32_t at = due->count;

    if (due->count == due->room) {
        due->room = due->room == 0 ? ROOM_FIRST : 2 * due->room;
        due->entries = mem_realloc(due->entries, due->room * sizeof(*due->entries));
    }
    due->count++;
    while (at > 0 && due->entries[(at - 1) / 2].at_ns > at_ns) {
        due->entries[at] = due->entries[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    due->entries[at] = (struct due_entry){.at_ns = at_ns, .index = index};
}

struct due_entry due_take(struct due *due)
{
    struct due_entry first, last;
    uint32_t at = 0;

    ASSERT(due->count > 0);
    first = due->entries[0];
    last = due->entries[--due->count];
    for (;;) {
        uint32_t child = 2 * at + 1;

        if (child + 1 < due->count && due->entries[child + 1].at_ns < due->entries[child].at_ns) {
            child++;
        }
        if (child >= due->count || due->entries[child].at_ns >= last.at_ns) {
            break;
        }
        due->entries[at] = due->entries[child];
        at = child;
    }
    due->entries[at] = last;
    return first;
}

void due_fini(struct due *due)
{
    mem_free(due->entries);
    *due = (struct due){0};
}
