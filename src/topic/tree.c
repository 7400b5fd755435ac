/* SPDX-License-Identifier: MIT
 *
 * The tree of one shard is four structures:
 *
 *   filters   text -> filter, for every filter with local subscribers, with or without wildcards
 *   trie      the wildcard filters again, by level, together with the interest of other shards in
 *             them
 *   interest  hash of an exact filter -> mask of interested shards; no text
 *   cache     topic -> result, used only while there are wildcard filters
 *
 * A match without wildcard filters is one look into `filters` and one into `interest`; a topic that
 * is found in `filters` is a filter somebody subscribed to, so it needs no validation. With
 * wildcard filters, a topic that was seen before is one look into the cache, and only a new one is
 * validated and walked through the trie.
 *
 * Invariants
 *   I1  a filter is in `filters` if and only if it has a subscriber; a wildcard filter then hangs
 *       on its node of the trie
 *   I2  no mask in `interest` is 0
 *   I3  `generation` grows with every change that can change a result; results of earlier
 *       generations are never returned
 */
#include "topic/tree.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"
#include "topic/filter.h"
#include "topic/gather.h"
#include "topic/match_cache.h"
#include "topic/table.h"
#include "topic/topic.h"
#include "topic/trie.h"

/* Owner: shard. */
struct topic_tree {
    struct table filters;
    struct table interest;
    struct trie trie;
    struct trie_hits hits;
    struct gather gather;
    struct match_cache cache;
    uint64_t generation;
};

struct topic_tree *topic_tree_create(void)
{
    struct topic_tree *tree = mem_zalloc(sizeof(*tree));

    tree->generation = 1;
    trie_init(&tree->trie);
    return tree;
}

void topic_tree_destroy(struct topic_tree *tree)
{
    for (uint32_t at = 0; tree->filters.slots != NULL && at <= tree->filters.mask; at++) {
        if (tree->filters.slots[at].value != 0)
            filter_free(table_pointer(&tree->filters.slots[at]));
    }
    table_clear(&tree->filters);
    table_clear(&tree->interest);
    trie_clear(&tree->trie);
    mem_free(tree->hits.filters);
    gather_clear(&tree->gather);
    match_cache_clear(&tree->cache);
    mem_free(tree);
}

static struct table_slot *find_slot(const struct topic_tree *tree, struct span text, uint64_t hash)
{
    struct table_slot *slot = table_first(&tree->filters, hash);

    for (; slot != NULL; slot = table_next(&tree->filters, slot)) {
        if (span_equal(topic_filter_text(table_pointer(slot)), text))
            return slot;
    }
    return NULL;
}

/* The filter with this text. A topic name finds an exact filter, never a wildcard filter of the
 * same text: while there are wildcard filters, a topic is validated before it is looked for here.
 */
static struct topic_filter *find_filter(const struct topic_tree *tree, struct span text,
                                        uint64_t hash)
{
    struct table_slot *slot = find_slot(tree, text, hash);

    return slot == NULL ? NULL : table_pointer(slot);
}

struct topic_filter *topic_tree_find(struct topic_tree *tree, struct span filter)
{
    return find_filter(tree, filter, hash64(filter.data, filter.len));
}

/* Enters a filter that is not there yet, with its first subscriber. */
static struct topic_filter *add_filter(struct topic_tree *tree, struct span text, uint64_t hash,
                                       const struct subscription *subscription)
{
    struct topic_filter *filter;

    if (!table_reserve(&tree->filters))
        return NULL;
    filter = filter_create(text);
    if (filter == NULL)
        return NULL;
    if (filter->wildcard) {
        struct trie_node *node = trie_add(&tree->trie, text);

        if (node == NULL) {
            filter_free(filter);
            return NULL;
        }
        node->filter = filter;
    }
    (void)filter_subscribe(filter, subscription); /* the first one needs no memory */
    table_insert(&tree->filters, hash, table_value(filter));
    return filter;
}

enum subscribe_result topic_tree_subscribe(struct topic_tree *tree, struct span filter,
                                           const struct subscription *subscription,
                                           struct topic_filter **filter_out, bool *first_out)
{
    uint64_t hash = hash64(filter.data, filter.len);
    struct topic_filter *found = find_filter(tree, filter, hash);
    bool first = found == NULL;
    enum subscribe_result result = SUBSCRIBE_NEW;

    if (first) {
        found = add_filter(tree, filter, hash, subscription);
        if (found == NULL)
            return SUBSCRIBE_NO_MEMORY;
    } else {
        result = filter_subscribe(found, subscription);
        if (result == SUBSCRIBE_NO_MEMORY)
            return result;
    }
    tree->generation++;
    *filter_out = found;
    *first_out = first;
    return result;
}

bool topic_tree_unsubscribe(struct topic_tree *tree, struct topic_filter *filter,
                            const void *subscriber, bool *last_out)
{
    struct span text = topic_filter_text(filter);

    *last_out = false;
    if (!filter_unsubscribe(filter, subscriber))
        return false;
    tree->generation++;
    if (filter->count > 0)
        return true;
    *last_out = true;
    if (filter->wildcard) {
        struct trie_node *node = trie_find(&tree->trie, text);

        ASSERT(node != NULL && node->filter == filter);
        node->filter = NULL;
        trie_prune(&tree->trie, node);
    }
    table_remove(&tree->filters, find_slot(tree, text, topic_filter_hash(filter)));
    filter_free(filter);
    return true;
}

bool topic_tree_has_exact_hash(const struct topic_tree *tree, uint64_t filter_hash)
{
    struct table_slot *slot = table_first(&tree->filters, filter_hash);

    while (slot != NULL) {
        const struct topic_filter *filter = table_pointer(slot);

        if (!filter->wildcard)
            return true;
        slot = table_next(&tree->filters, slot);
    }
    return false;
}

bool topic_tree_interest_exact(struct topic_tree *tree, uint64_t filter_hash, unsigned shard,
                               bool interested)
{
    struct table_slot *slot = table_first(&tree->interest, filter_hash);
    uint64_t bit = (uint64_t)1 << shard;

    ASSERT(shard < TOPIC_SHARDS_MAX);
    if (interested) {
        if (slot == NULL && !table_reserve(&tree->interest))
            return false;
        if (slot == NULL)
            table_insert(&tree->interest, filter_hash, bit);
        else
            slot->value |= bit;
    } else if (slot != NULL) {
        if (slot->value == bit)
            table_remove(&tree->interest, slot);
        else
            slot->value &= ~bit;
    }
    tree->generation++;
    return true;
}

bool topic_tree_interest_wildcard(struct topic_tree *tree, struct span filter, unsigned shard,
                                  bool interested)
{
    uint64_t bit = (uint64_t)1 << shard;
    struct trie_node *node;

    ASSERT(shard < TOPIC_SHARDS_MAX);
    node = interested ? trie_add(&tree->trie, filter) : trie_find(&tree->trie, filter);
    if (node == NULL)
        return !interested;
    if (interested) {
        node->shards |= bit;
    } else {
        node->shards &= ~bit;
        trie_prune(&tree->trie, node);
    }
    tree->generation++;
    return true;
}

static uint64_t find_interest(const struct topic_tree *tree, uint64_t hash)
{
    const struct table_slot *slot = table_first(&tree->interest, hash);

    return slot == NULL ? 0 : slot->value;
}

/* The whole way, for a valid topic: exact filter, trie, merge. Only what matches the topic comes out
 * [MQTT-3.3.2-3]. */
static void match_all(struct topic_tree *tree, struct span topic, uint64_t hash,
                      struct topic_match *out)
{
    struct topic_filter *exact = find_filter(tree, topic, hash);
    struct trie_hits *hits = &tree->hits;

    *out = (struct topic_match){0};
    hits->count = 0;
    hits->shards = find_interest(tree, hash);
    if (!trie_match(&tree->trie, topic, hits) || (exact != NULL && !trie_hit(hits, exact)))
        out->no_memory = true;
    out->shards = hits->shards;
    if (hits->count == 1) {
        out->entries = filter_entries(hits->filters[0]);
        out->count = hits->filters[0]->count;
    } else if (hits->count > 1) {
        out->entries = gather_merge(&tree->gather, hits->filters, hits->count, &out->count);
        out->no_memory |= out->entries == NULL;
    }
}

bool topic_tree_match(struct topic_tree *tree, struct span topic, uint32_t levels_max,
                      struct topic_match *out)
{
    return topic_tree_match_hashed(tree, topic, hash64(topic.data, topic.len), levels_max, out);
}

bool topic_tree_match_hashed(struct topic_tree *tree, struct span topic, uint64_t hash,
                             uint32_t levels_max, struct topic_match *out)
{
    *out = (struct topic_match){0};
    if (trie_empty(&tree->trie)) {
        struct topic_filter *exact = find_filter(tree, topic, hash);

        if (exact != NULL && exact->separators < levels_max) {
            out->entries = filter_entries(exact);
            out->count = exact->count;
        } else if (!topic_name_valid(topic, levels_max)) {
            return false;
        }
        out->shards = find_interest(tree, hash);
        return true;
    }
    if (match_cache_find(&tree->cache, tree->generation, hash, topic, levels_max, out))
        return true;
    if (!topic_name_valid(topic, levels_max))
        return false;
    match_all(tree, topic, hash, out);
    if (!out->no_memory)
        match_cache_offer(&tree->cache, tree->generation, hash, topic, out, tree->hits.count > 1);
    return true;
}

void topic_tree_walk(const struct topic_tree *tree,
                     void (*visit)(void *argument, const struct topic_filter *filter,
                                   const struct subscription *entries, uint32_t count),
                     void *argument)
{
    for (uint32_t at = 0; tree->filters.slots != NULL && at <= tree->filters.mask; at++) {
        const struct topic_filter *filter = table_pointer(&tree->filters.slots[at]);

        if (filter != NULL)
            visit(argument, filter, filter_entries(filter), filter->count);
    }
}

void topic_tree_check(const struct topic_tree *tree)
{
    uint32_t wildcards = 0;

    table_check(&tree->filters);
    table_check(&tree->interest);
    trie_check(&tree->trie);
    match_cache_check(&tree->cache, tree->generation);
    for (uint32_t at = 0; tree->filters.slots != NULL && at <= tree->filters.mask; at++) {
        const struct topic_filter *filter = table_pointer(&tree->filters.slots[at]);
        struct span text;

        if (filter == NULL)
            continue;
        text = topic_filter_text(filter);
        filter_check(filter);
        ASSERT(tree->filters.slots[at].hash == topic_filter_hash(filter));
        ASSERT(find_slot(tree, text, topic_filter_hash(filter)) == &tree->filters.slots[at]);
        if (filter->wildcard) {
            const struct trie_node *node = trie_find(&tree->trie, text);

            ASSERT(node != NULL && node->filter == filter);
            wildcards++;
        }
    }
    ASSERT(trie_filters(&tree->trie) == wildcards);
}
