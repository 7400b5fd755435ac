/* SPDX-License-Identifier: MIT
 *
 * match_cache - remembers what recent topics matched, while there are wildcard filters.
 *
 * Owner: shard. CACHE_SETS sets of two ways, found by the hash of the topic and verified by its
 * bytes. A result belongs to one generation of the tree: any change of subscriptions or interest
 * moves the tree to the next generation, which makes everything that is stored here invalid at
 * once. A topic is stored when it is seen for the second time in succession among the strangers of
 * its set, so that topics which come once neither cost memory nor drive out those that repeat.
 *
 * Memory: CACHE_SETS * 128 bytes from the first store on, and at most CACHE_BYTES_MAX in blocks
 * (topic and result; a result that is the array of a single filter is not copied). When the blocks
 * reach the limit, the cache is emptied. Longer results than CACHE_RESULT_MAX are not stored: with
 * them, delivering costs far more than gathering.
 */
#ifndef SHARDMQ_TOPIC_MATCH_CACHE_H
#define SHARDMQ_TOPIC_MATCH_CACHE_H

#include "topic/tree.h"

#define CACHE_SETS       1024u
#define CACHE_WAYS       2u
#define CACHE_BYTES_MAX  (2u << 20)
#define CACHE_RESULT_MAX 512u

struct cache_block {
    uint32_t size;                               /* room behind this header */
    uint8_t bytes[] __attribute__((aligned(8))); /* the copied result, then the topic */
};

struct cache_way {
    uint64_t hash;
    uint64_t generation; /* 0: never filled */
    uint64_t shards;
    const struct subscription *entries;
    struct cache_block *block;
    uint32_t count;
    uint16_t topic_len;
    uint16_t separators;
    const uint8_t *topic; /* in the block */
};

struct cache_set {
    struct cache_way ways[CACHE_WAYS];
    uint64_t stranger; /* the hash that missed here last */
    uint64_t victim;   /* the way to be filled next, when both are of the current generation */
};

struct match_cache {
    struct cache_set *sets; /* NULL until the first store */
    size_t bytes;           /* in blocks */
};

void match_cache_clear(struct match_cache *cache);

/* Looks a topic up. False when nothing of this generation is stored, or when the topic has more
 * than `levels_max` levels. */
static inline bool match_cache_find(const struct match_cache *cache, uint64_t generation,
                                    uint64_t hash, struct span topic, uint32_t levels_max,
                                    struct topic_match *out)
{
    const struct cache_way *way;

    if (cache->sets == NULL)
        return false;
    way = cache->sets[hash % CACHE_SETS].ways;
    for (unsigned i = 0; i < CACHE_WAYS; i++, way++) {
        if (way->hash == hash && way->generation == generation && way->topic_len == topic.len &&
            way->separators < levels_max && memcmp(way->topic, topic.data, topic.len) == 0) {
            out->entries = way->entries;
            out->count = way->count;
            out->shards = way->shards;
            return true;
        }
    }
    return false;
}

/* Offers the result for a valid topic that was not found. `copy` says that match->entries are in
 * scratch memory. Does nothing when memory is gone. */
void match_cache_offer(struct match_cache *cache, uint64_t generation, uint64_t hash,
                       struct span topic, const struct topic_match *match, bool copy);

#endif
