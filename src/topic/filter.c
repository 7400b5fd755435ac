/* SPDX-License-Identifier: MIT */
#include "topic/filter.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"
#include "topic/level.h"

#define CAPACITY_MIN     2u
#define INDEXED_CAPACITY 32u
#define NOWHERE          UINT32_MAX

struct topic_filter *filter_create(struct span text)
{
    struct topic_filter *filter = mem_try_alloc(offsetof(struct topic_filter, text) + text.len);

    ASSERT(text.len > 0 && text.len <= UINT16_MAX);
    if (filter == NULL)
        return NULL;
    filter->tag = 0;
    filter->count = 0;
    filter->separators = (uint16_t)(level_count(text) - 1);
    filter->text_len = (uint16_t)text.len;
    filter->wildcard =
        memchr(text.data, '+', text.len) != NULL || memchr(text.data, '#', text.len) != NULL;
    memcpy(filter->text, text.data, text.len);
    return filter;
}

void filter_free(struct topic_filter *filter)
{
    if (filter->count > 1)
        mem_free(filter->many);
    mem_free(filter);
}

static uint32_t *index_of(const struct subscriber_block *block)
{
    return (uint32_t *)(uintptr_t)&block->entries[block->capacity];
}

/* The index slot that names `subscriber`, or the free slot where it would go. */
static uint32_t index_find(const struct subscriber_block *block, const void *subscriber)
{
    const uint32_t *index = index_of(block);
    uint32_t at = pointer_hash(subscriber) & block->index_mask;

    while (index[at] != 0 && block->entries[index[at] - 1].subscriber != subscriber)
        at = (at + 1) & block->index_mask;
    return at;
}

/* Frees an index slot and moves those behind it back, as table_remove() does. */
static void index_erase(struct subscriber_block *block, uint32_t hole)
{
    uint32_t *index = index_of(block);
    uint32_t mask = block->index_mask;

    for (uint32_t at = (hole + 1) & mask; index[at] != 0; at = (at + 1) & mask) {
        uint32_t home = pointer_hash(block->entries[index[at] - 1].subscriber) & mask;

        if (((at - home) & mask) >= ((at - hole) & mask)) {
            index[hole] = index[at];
            hole = at;
        }
    }
    index[hole] = 0;
}

/* A block with the first `count` entries of `from`. NULL when memory is gone. */
static struct subscriber_block *block_create(const struct subscription *from, uint32_t count,
                                             uint32_t capacity)
{
    uint32_t slots = capacity < INDEXED_CAPACITY ? 0 : 2 * capacity;
    struct subscriber_block *block = mem_try_alloc(
        sizeof(*block) + capacity * sizeof(struct subscription) + slots * sizeof(uint32_t));

    if (block == NULL)
        return NULL;
    block->capacity = capacity;
    block->index_mask = slots == 0 ? 0 : slots - 1;
    memcpy(block->entries, from, count * sizeof(*from));
    if (slots == 0)
        return block;
    memset(index_of(block), 0, slots * sizeof(uint32_t));
    for (uint32_t i = 0; i < count; i++)
        index_of(block)[index_find(block, from[i].subscriber)] = i + 1;
    return block;
}

static uint32_t position_of(const struct topic_filter *filter, const void *subscriber)
{
    const struct subscription *entries = filter_entries(filter);

    if (filter->count > 1 && filter->many->index_mask != 0) {
        uint32_t named = index_of(filter->many)[index_find(filter->many, subscriber)];

        return named == 0 ? NOWHERE : named - 1;
    }
    for (uint32_t i = 0; i < filter->count; i++) {
        if (entries[i].subscriber == subscriber)
            return i;
    }
    return NOWHERE;
}

/* Room for one more beside the one or more that are there. */
static bool make_room(struct topic_filter *filter)
{
    uint32_t capacity = filter->count == 1 ? 1 : filter->many->capacity;
    struct subscriber_block *block;

    if (filter->count < capacity)
        return true;
    if (capacity > UINT32_MAX / 4)
        return false;
    block = block_create(filter_entries(filter), filter->count, 2 * capacity);
    if (block == NULL)
        return false;
    if (filter->count > 1)
        mem_free(filter->many);
    filter->many = block;
    return true;
}

enum subscribe_result filter_subscribe(struct topic_filter *filter,
                                       const struct subscription *subscription)
{
    uint32_t position = position_of(filter, subscription->subscriber);

    if (position != NOWHERE) {
        *(struct subscription *)(uintptr_t)&filter_entries(filter)[position] = *subscription;
        return SUBSCRIBE_REPLACED;
    }
    if (filter->count == 0) {
        filter->one = *subscription;
        filter->count = 1;
        return SUBSCRIBE_NEW;
    }
    if (!make_room(filter))
        return SUBSCRIBE_NO_MEMORY;
    if (filter->many->index_mask != 0) {
        uint32_t at = index_find(filter->many, subscription->subscriber);

        index_of(filter->many)[at] = filter->count + 1;
    }
    filter->many->entries[filter->count++] = *subscription;
    return SUBSCRIBE_NEW;
}

/* After a removal: back into the filter, or into a block of half the size. */
static void give_room_back(struct topic_filter *filter)
{
    struct subscriber_block *block = filter->many;

    if (filter->count == 1) {
        filter->one = block->entries[0];
        mem_free(block);
    } else if (block->capacity > CAPACITY_MIN && filter->count <= block->capacity / 4) {
        struct subscriber_block *smaller =
            block_create(block->entries, filter->count, block->capacity / 2);

        if (smaller == NULL)
            return; /* the larger block serves as well */
        filter->many = smaller;
        mem_free(block);
    }
}

bool filter_unsubscribe(struct topic_filter *filter, const void *subscriber)
{
    uint32_t position = position_of(filter, subscriber);
    uint32_t last = filter->count - 1;
    struct subscriber_block *block;

    if (position == NOWHERE)
        return false;
    if (filter->count == 1) {
        filter->count = 0;
        return true;
    }
    block = filter->many;
    if (block->index_mask != 0) {
        index_erase(block, index_find(block, subscriber));
        if (position != last)
            index_of(block)[index_find(block, block->entries[last].subscriber)] = position + 1;
    }
    block->entries[position] = block->entries[last];
    filter->count = last;
    give_room_back(filter);
    return true;
}

struct span topic_filter_text(const struct topic_filter *filter)
{
    return span_of(filter->text, filter->text_len);
}

uint64_t topic_filter_hash(const struct topic_filter *filter)
{
    return hash64(filter->text, filter->text_len);
}

bool topic_filter_is_wildcard(const struct topic_filter *filter)
{
    return filter->wildcard;
}

uint64_t *topic_filter_tag(struct topic_filter *filter)
{
    return &filter->tag;
}

const struct subscription *topic_filter_get(const struct topic_filter *filter,
                                            const void *subscriber)
{
    uint32_t position = position_of(filter, subscriber);

    return position == NOWHERE ? NULL : &filter_entries(filter)[position];
}

void filter_check(const struct topic_filter *filter)
{
    const struct subscription *entries = filter_entries(filter);
    uint32_t named = 0;

    ASSERT(filter->count > 0 && filter->text_len > 0);
    for (uint32_t i = 0; i < filter->count; i++) {
        ASSERT(entries[i].subscriber != NULL);
        ASSERT(position_of(filter, entries[i].subscriber) == i);
    }
    if (filter->count == 1)
        return;
    ASSERT(filter->count <= filter->many->capacity);
    ASSERT((filter->many->index_mask != 0) == (filter->many->capacity >= INDEXED_CAPACITY));
    for (uint32_t at = 0; filter->many->index_mask != 0 && at <= filter->many->index_mask; at++)
        named += index_of(filter->many)[at] != 0;
    ASSERT(filter->many->index_mask == 0 || named == filter->count);
}
