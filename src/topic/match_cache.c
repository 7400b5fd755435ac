/* SPDX-License-Identifier: MIT */
#include "topic/match_cache.h"

#include "base/check.h"
#include "base/mem.h"
#include "topic/level.h"

_Static_assert(sizeof(struct cache_set) == 128, "what the memory budget says");

/* Forgets everything but keeps the sets. */
static void drop_blocks(struct match_cache *cache)
{
    for (uint32_t i = 0; i < CACHE_SETS * CACHE_WAYS; i++) {
        struct cache_way *way = &cache->sets[i / CACHE_WAYS].ways[i % CACHE_WAYS];

        mem_free(way->block);
        *way = (struct cache_way){0};
    }
    cache->bytes = 0;
}

void match_cache_clear(struct match_cache *cache)
{
    if (cache->sets == NULL)
        return;
    drop_blocks(cache);
    mem_free(cache->sets);
    cache->sets = NULL;
}

/* Gives the way a block of at least `size` bytes. */
static bool way_reserve(struct match_cache *cache, struct cache_way *way, size_t size)
{
    struct cache_block *block = way->block;

    if (block != NULL && block->size >= size && block->size / 4 <= size)
        return true;
    if (cache->bytes + sizeof(*block) + size > CACHE_BYTES_MAX)
        drop_blocks(cache);
    block = mem_try_alloc(sizeof(*block) + size);
    if (block == NULL)
        return false;
    block->size = (uint32_t)size;
    if (way->block != NULL) {
        cache->bytes -= sizeof(*block) + way->block->size;
        mem_free(way->block);
    }
    cache->bytes += sizeof(*block) + size;
    way->block = block;
    return true;
}

/* A way of an older generation, or the two in turn. */
static struct cache_way *choose(struct cache_set *set, uint64_t generation)
{
    for (unsigned i = 0; i < CACHE_WAYS; i++) {
        if (set->ways[i].generation != generation)
            return &set->ways[i];
    }
    set->victim = (set->victim + 1) % CACHE_WAYS;
    return &set->ways[set->victim];
}

void match_cache_offer(struct match_cache *cache, uint64_t generation, uint64_t hash,
                       struct span topic, const struct topic_match *match, bool copy)
{
    size_t result_size = copy ? match->count * sizeof(*match->entries) : 0;
    struct cache_set *set;
    struct cache_way *way;

    if (match->count > CACHE_RESULT_MAX && copy)
        return;
    if (cache->sets == NULL) {
        cache->sets = mem_try_zalloc(CACHE_SETS * sizeof(*cache->sets));
        if (cache->sets == NULL)
            return;
    }
    set = &cache->sets[hash % CACHE_SETS];
    if (set->stranger != hash) {
        set->stranger = hash;
        return;
    }
    way = choose(set, generation);
    way->generation = 0;
    if (!way_reserve(cache, way, result_size + topic.len))
        return;
    way->hash = hash;
    way->generation = generation;
    way->shards = match->shards;
    way->count = match->count;
    way->separators = (uint16_t)(level_count(topic) - 1);
    way->topic_len = (uint16_t)topic.len;
    way->topic = way->block->bytes + result_size;
    way->entries = match->entries;
    if (copy)
        way->entries = memcpy(way->block->bytes, match->entries, result_size);
    memcpy(way->block->bytes + result_size, topic.data, topic.len);
}
