/* SPDX-License-Identifier: MIT */
#include "topic/gather.h"

#include "base/check.h"
#include "base/mem.h"

/* An entry that is not from the longest list. */
struct other {
    struct subscription subscription; /* subscriber NULL: already in the result */
    uint32_t next;                    /* another one of the same subscriber, + 1; 0: none */
};

struct merge {
    struct subscription *result;
    struct other *others;
    uint32_t *heads; /* hash table: the first of a subscriber's others, + 1; 0: free */
    uint32_t mask;
    uint32_t count, other_count;
};

void gather_clear(struct gather *gather)
{
    mem_free(gather->memory);
    *gather = (struct gather){0};
}

/* Divides the memory, which grows when it is too small. */
static bool prepare(struct gather *gather, struct merge *merge, uint32_t total, uint32_t others)
{
    uint32_t slots = 4;
    size_t result_size, others_size, size;

    while (slots < 2 * others)
        slots *= 2;
    result_size = total * sizeof(*merge->result);
    others_size = others * sizeof(*merge->others);
    size = result_size + others_size + slots * sizeof(*merge->heads);
    if (size > gather->size) {
        void *larger = mem_try_alloc(size + size / 2);

        if (larger == NULL)
            return false;
        mem_free(gather->memory);
        gather->memory = larger;
        gather->size = size + size / 2;
    }
    *merge = (struct merge){.result = gather->memory, .mask = slots - 1};
    merge->others = (void *)((uint8_t *)gather->memory + result_size);
    merge->heads = (void *)((uint8_t *)gather->memory + result_size + others_size);
    memset(merge->heads, 0, slots * sizeof(*merge->heads));
    return true;
}

/* The slot that leads to the others of `subscriber`, or a free one. */
static inline uint32_t *head_of(const struct merge *merge, const void *subscriber)
{
    uint32_t at = pointer_hash(subscriber) & merge->mask;

    while (merge->heads[at] != 0 &&
           merge->others[merge->heads[at] - 1].subscription.subscriber != subscriber)
        at = (at + 1) & merge->mask;
    return &merge->heads[at];
}

static void add_other(struct merge *merge, const struct subscription *subscription)
{
    uint32_t *head = head_of(merge, subscription->subscriber);
    struct other *other = &merge->others[merge->other_count++];

    *other = (struct other){.subscription = *subscription};
    if (*head == 0) {
        *head = merge->other_count;
    } else {
        struct other *first = &merge->others[*head - 1];

        other->next = first->next;
        first->next = merge->other_count;
    }
}

/* Moves a chain of others to the result. */
static void emit_chain(struct merge *merge, uint32_t at)
{
    while (at != 0) {
        struct other *other = &merge->others[at - 1];

        merge->result[merge->count++] = other->subscription;
        other->subscription.subscriber = NULL;
        at = other->next;
    }
}

const struct subscription *gather_merge(struct gather *gather, struct topic_filter *const *filters,
                                        uint32_t filter_count, uint32_t *count_out)
{
    const struct topic_filter *longest = filters[0];
    const struct subscription *entries;
    uint32_t total = 0;
    struct merge merge;

    for (uint32_t i = 0; i < filter_count; i++) {
        total += filters[i]->count;
        if (filters[i]->count > longest->count)
            longest = filters[i];
    }
    if (!prepare(gather, &merge, total, total - longest->count))
        return NULL;
    for (uint32_t i = 0; i < filter_count; i++) {
        entries = filter_entries(filters[i]);
        for (uint32_t j = 0; filters[i] != longest && j < filters[i]->count; j++)
            add_other(&merge, &entries[j]);
    }
    entries = filter_entries(longest);
    for (uint32_t i = 0; i < longest->count; i++) {
        merge.result[merge.count++] = entries[i];
        emit_chain(&merge, *head_of(&merge, entries[i].subscriber));
    }
    /* What is left begins each chain with its head, the lowest position of it. */
    for (uint32_t i = 0; i < merge.other_count; i++) {
        if (merge.others[i].subscription.subscriber != NULL)
            emit_chain(&merge, i + 1);
    }
    ASSERT(merge.count == total);
    *count_out = total;
    return merge.result;
}
