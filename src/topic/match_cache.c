/* SPDX-License-Identifier: MIT */
#include "topic/match_cache.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"
#include "topic/level.h"

_Static_assert(sizeof(struct cache_set) == 240, "what the memory budget says");

static void way_free(struct match_cache *cache, struct cache_way *way)
{
    if (way->block != NULL)
        cache->bytes -= sizeof(*way->block) + way->block->size;
    mem_free(way->block);
    *way = (struct cache_way){0};
}

void match_cache_clear(struct match_cache *cache)
{
    for (uint32_t i = 0; cache->sets != NULL && i < CACHE_SETS * CACHE_WAYS; i++)
        way_free(cache, &cache->sets[i / CACHE_WAYS].ways[i % CACHE_WAYS]);
    mem_free(cache->sets);
    *cache = (struct match_cache){0};
}

/* Empties sets until so many bytes more may be stored. */
static void make_room(struct match_cache *cache, size_t size)
{
    while (cache->bytes + size > CACHE_BYTES_MAX) {
        for (unsigned i = 0; i < CACHE_WAYS; i++)
            way_free(cache, &cache->sets[cache->hand].ways[i]);
        cache->hand = (cache->hand + 1) % CACHE_SETS;
    }
}

/* Gives the way a block with room for `size` bytes: its own, when that is not much too large. */
static bool way_reserve(struct match_cache *cache, struct cache_way *way, size_t size)
{
    struct cache_block *block = way->block;

    if (block != NULL && block->size >= size && block->size / 4 <= size)
        return true;
    way_free(cache, way);
    make_room(cache, sizeof(*block) + size);
    block = mem_try_alloc(sizeof(*block) + size);
    if (block == NULL)
        return false;
    block->size = (uint32_t)size;
    cache->bytes += sizeof(*block) + size;
    way->block = block;
    return true;
}

/* A way of an older generation, or all in turn. */
static unsigned choose(struct cache_set *set, uint64_t generation)
{
    for (unsigned i = 0; i < CACHE_WAYS; i++) {
        if (set->ways[i].generation != generation)
            return i;
    }
    set->victim = (set->victim + 1) % CACHE_WAYS;
    return (unsigned)set->victim;
}

/* Whether it missed before, not long ago. Two hashes that are alike do no harm here. */
static bool seen_before(struct cache_set *set, uint64_t hash)
{
    uint16_t mark = (uint16_t)(hash / CACHE_SETS + 1); /* not 0, as none is */

    for (uint64_t marks = set->strangers, i = 0; i < 4; i++, marks >>= 16) {
        if ((uint16_t)marks == mark)
            return true;
    }
    set->strangers = set->strangers << 16 | mark;
    return false;
}

void match_cache_offer(struct match_cache *cache, uint64_t generation, uint64_t hash,
                       struct span topic, const struct topic_match *match, bool copy)
{
    size_t result_size = copy ? match->count * sizeof(*match->entries) : 0;
    struct cache_set *set;
    struct cache_way *way;
    unsigned chosen;

    if (copy && match->count > CACHE_RESULT_MAX)
        return;
    if (cache->sets == NULL) {
        cache->sets = mem_try_zalloc(CACHE_SETS * sizeof(*cache->sets));
        if (cache->sets == NULL)
            return;
    }
    set = &cache->sets[hash % CACHE_SETS];
    if (!seen_before(set, hash))
        return;
    chosen = choose(set, generation);
    way = &set->ways[chosen];
    way->generation = 0;
    if (!way_reserve(cache, way, result_size + topic.len))
        return;
    way->block->note = 0;
    set->hashes[chosen] = hash;
    way->generation = generation;
    way->shards = match->shards;
    way->entries = match->entries;
    way->count = match->count;
    way->separators = (uint16_t)(level_count(topic) - 1);
    way->topic_len = (uint16_t)topic.len;
    way->topic = way->block->bytes + result_size;
    if (copy)
        way->entries = memcpy(way->block->bytes, match->entries, result_size);
    memcpy(way->block->bytes + result_size, topic.data, topic.len);
}

void match_cache_check(const struct match_cache *cache, uint64_t generation)
{
    size_t bytes = 0;

    for (uint32_t i = 0; cache->sets != NULL && i < CACHE_SETS * CACHE_WAYS; i++) {
        const struct cache_set *set = &cache->sets[i / CACHE_WAYS];
        const struct cache_way *way = &set->ways[i % CACHE_WAYS];

        ASSERT(way->generation <= generation);
        if (way->block != NULL)
            bytes += sizeof(*way->block) + way->block->size;
        if (way->generation != generation)
            continue;
        ASSERT(set->hashes[i % CACHE_WAYS] == hash64(way->topic, way->topic_len));
        ASSERT(way->topic >= way->block->bytes);
        ASSERT(way->topic + way->topic_len <= way->block->bytes + way->block->size);
    }
    ASSERT(bytes == cache->bytes && bytes <= CACHE_BYTES_MAX);
}
