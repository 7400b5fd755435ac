/* SPDX-License-Identifier: MIT
 *
 * trie - the wildcard filters of a tree, level by level.
 *
 * Owner: shard. A node stands for a prefix of filters that ends at a level; what ends in the node
 * hangs on it: the local filter and the mask of interested shards. Children for '+' and '#' are
 * pointers of the node; the edges to all literal children of all nodes are in one hash table, so
 * that a node with one child costs 16 bytes more and one with a million needs no table of its own.
 * Matching walks depth first with an explicit stack that holds at most one '+' branch per level,
 * and splits and hashes the topic lazily: a topic of 65,535 empty levels costs nothing beyond the
 * depth of the deepest filter. Both arrays are sized when a filter is added, so that a match
 * allocates only for its list of hits.
 *
 * Invariants
 *   I1  every node but the root has something hanging on it or a child
 *   I2  a '#' node has no children
 *   I3  `depth` is at least the number of levels of the deepest filter, and levels[] and stack[]
 *       have as many entries
 */
#ifndef SHARDMQ_TOPIC_TRIE_H
#define SHARDMQ_TOPIC_TRIE_H

#include "topic/table.h"

struct topic_filter;

struct trie_node {
    struct trie_node *parent;
    struct trie_node *plus, *hash;
    struct topic_filter *filter; /* with local subscribers, or NULL */
    uint64_t shards;             /* other shards that are interested in this filter */
    uint32_t literals;           /* children in the edge table */
    uint16_t text_len;
    uint8_t kind; /* enum level_kind */
    uint8_t text[];
};

/* One level of the topic that is being matched. */
struct trie_level {
    uint64_t hash; /* 0: not computed yet */
    uint32_t begin, end;
};

struct trie_branch {
    struct trie_node *node;
    uint32_t depth;
};

struct trie {
    struct trie_node *root;
    struct table edges;
    uint32_t node_count; /* without the root */
    uint32_t depth;      /* I3 */
    struct trie_level *levels;
    struct trie_branch *stack;
};

/* What a match found: the filters with local subscribers, and the mask of interested shards. */
struct trie_hits {
    struct topic_filter **filters;
    uint32_t count, capacity;
    uint64_t shards;
};

void trie_init(struct trie *trie);
/* The filters that hang on nodes are the user's. */
void trie_clear(struct trie *trie);

static inline bool trie_empty(const struct trie *trie)
{
    return trie->node_count == 0;
}

/* The node for a valid filter, made when it is missing: the caller hangs something on it, or calls
 * trie_prune(). NULL when memory is gone; the trie is then as it was. */
struct trie_node *trie_add(struct trie *trie, struct span filter);
struct trie_node *trie_find(const struct trie *trie, struct span filter);
/* Removes the node and those above it as far as nothing hangs on them. */
void trie_prune(struct trie *trie, struct trie_node *node);

/* Appends a filter to the list. False when memory is gone. */
bool trie_hit(struct trie_hits *hits, struct topic_filter *filter);

/* Appends to `hits` what matches a valid topic. False when memory for the list is gone: filters are
 * then missing from it (the mask is complete). */
bool trie_match(struct trie *trie, struct span topic, struct trie_hits *hits);

/* How many filters hang on nodes; walks everything. */
uint32_t trie_filters(const struct trie *trie);

void trie_check(const struct trie *trie);

#endif
