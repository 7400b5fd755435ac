/* SPDX-License-Identifier: MIT
 *
 * match_cache - remembers what recent topics matched, while there are wildcard filters.
 *
 * Owner: shard. CACHE_SETS sets of four ways, found by the hash of the topic and verified by its
 * bytes. A result belongs to one generation of the tree: any change of subscriptions or interest
 * moves the tree to the next generation, which makes everything that is stored here invalid at
 * once. A topic is stored when it is among the last four that missed in its set, so that topics which come
 * once neither cost memory nor drive out those that repeat; these may take turns.
 *
 * A hit costs 7 to 13 ns where the whole way costs 70 and more (three filters matching,
 * perf_topic_match); a miss costs 10 ns on top of it.
 *
 * Memory: CACHE_SETS * 240 bytes from the first offer on, and at most CACHE_BYTES_MAX in blocks
 * (topic and result; a result that is the array of a single filter is not copied). When that is
 * reached, the sets are emptied one after the other. Longer results than CACHE_RESULT_MAX are not
 * stored: with them, delivering costs ten times as much as gathering.
 *
 * Invariants
 *   I1  `bytes` is the sum over all blocks, and at most CACHE_BYTES_MAX
 *   I2  a way of the current generation has a block that holds its topic
 */
#ifndef SHARDMQ_TOPIC_MATCH_CACHE_H
#define SHARDMQ_TOPIC_MATCH_CACHE_H

#include "topic/tree.h"

#define CACHE_SETS       1024u
#define CACHE_WAYS       4u
#define CACHE_BYTES_MAX  (4u << 20)
#define CACHE_RESULT_MAX 1024u

struct cache_block {
    uint64_t note;                               /* topic_match.note */
    uint32_t size;                               /* room behind this header */
    uint8_t bytes[] __attribute__((aligned(8))); /* the copied result, then the topic */
};

struct cache_way {
    uint64_t generation; /* 0: nothing is stored */
    uint64_t shards;
    const struct subscription *entries;
    struct cache_block *block;
    const uint8_t *topic; /* in the block */
    uint32_t count;
    uint16_t topic_len;
    uint16_t separators;
};

struct cache_set {
    uint64_t hashes[CACHE_WAYS]; /* of the topics in ways[] */
    uint64_t strangers; /* of the hashes that missed here last, 16 bits each, the latest lowest */
    uint64_t victim;    /* the way that was filled last when all were of the current generation */
    struct cache_way ways[CACHE_WAYS];
};

struct match_cache {
    struct cache_set *sets; /* NULL until the first offer */
    size_t bytes;           /* I1 */
    uint32_t hand;          /* the set to be emptied next */
};

void match_cache_clear(struct match_cache *cache);

/* Looks a topic up. False when nothing of this generation is stored, or when the topic has more
 * than `levels_max` levels. */
static inline bool match_cache_find(const struct match_cache *cache, uint64_t generation,
                                    uint64_t hash, struct span topic, uint32_t levels_max,
                                    struct topic_match *out)
{
    const struct cache_set *set;

    if (cache->sets == NULL)
        return false;
    set = &cache->sets[hash % CACHE_SETS];
    for (unsigned i = 0; i < CACHE_WAYS; i++) {
        const struct cache_way *way = &set->ways[i];

        if (set->hashes[i] == hash && way->generation == generation &&
            way->topic_len == topic.len && way->separators < levels_max &&
            memcmp(way->topic, topic.data, topic.len) == 0) {
            out->entries = way->entries;
            out->count = way->count;
            out->shards = way->shards;
            out->note = &way->block->note;
            return true;
        }
    }
    return false;
}

/* Offers the result for a valid topic that was not found. `copy` says that match->entries are in
 * scratch memory. Does nothing when memory is gone. */
void match_cache_offer(struct match_cache *cache, uint64_t generation, uint64_t hash,
                       struct span topic, const struct topic_match *match, bool copy);

void match_cache_check(const struct match_cache *cache, uint64_t generation);

#endif
