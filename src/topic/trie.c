/* SPDX-License-Identifier: MIT */
#include "topic/trie.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"
#include "topic/level.h"

#include <stddef.h>

#define DEPTH_MIN 8u

void trie_init(struct trie *trie)
{
    *trie = (struct trie){.root = mem_zalloc(sizeof(*trie->root))};
}

/* A node, its '+' child, that one's '+' child and so on, each with its '#': what hangs together
 * without an entry in the edge table. */
static void free_chain(struct trie_node *node)
{
    while (node != NULL) {
        struct trie_node *plus = node->plus;

        mem_free(node->hash);
        mem_free(node);
        node = plus;
    }
}

void trie_clear(struct trie *trie)
{
    for (uint32_t at = 0; trie->edges.slots != NULL && at <= trie->edges.mask; at++) {
        if (trie->edges.slots[at].value != 0)
            free_chain(table_pointer(&trie->edges.slots[at]));
    }
    free_chain(trie->root);
    table_clear(&trie->edges);
    mem_free(trie->levels);
    mem_free(trie->stack);
    *trie = (struct trie){0};
}

static struct table_slot *find_edge(const struct trie *trie, const struct trie_node *parent,
                                    struct span level, uint64_t edge_hash)
{
    struct table_slot *slot = table_first(&trie->edges, edge_hash);

    for (; slot != NULL; slot = table_next(&trie->edges, slot)) {
        const struct trie_node *child = table_pointer(slot);

        if (child->parent == parent && span_equal(span_of(child->text, child->text_len), level))
            return slot;
    }
    return NULL;
}

static struct trie_node *find_literal(const struct trie *trie, const struct trie_node *parent,
                                      struct span level, uint64_t level_hash)
{
    struct table_slot *slot = find_edge(trie, parent, level, table_edge_hash(parent, level_hash));

    return slot == NULL ? NULL : table_pointer(slot);
}

static struct trie_node *find_child(const struct trie *trie, const struct trie_node *parent,
                                    struct span level)
{
    switch (level_kind(level)) {
    case LEVEL_PLUS:
        return parent->plus;
    case LEVEL_HASH:
        return parent->hash;
    case LEVEL_LITERAL:
        break;
    }
    if (parent->literals == 0)
        return NULL;
    return find_literal(trie, parent, level, hash64(level.data, level.len));
}

static struct trie_node *add_child(struct trie *trie, struct trie_node *parent, struct span level)
{
    enum level_kind kind = level_kind(level);
    uint16_t text_len = kind == LEVEL_LITERAL ? (uint16_t)level.len : 0;
    struct trie_node *node;

    if (kind == LEVEL_LITERAL && !table_reserve(&trie->edges))
        return NULL;
    node = mem_try_zalloc(offsetof(struct trie_node, text) + text_len);
    if (node == NULL)
        return NULL;
    node->parent = parent;
    node->kind = (uint8_t)kind;
    node->text_len = text_len;
    memcpy(node->text, level.data, text_len);
    if (kind == LEVEL_PLUS) {
        parent->plus = node;
    } else if (kind == LEVEL_HASH) {
        parent->hash = node;
    } else {
        uint64_t level_hash = hash64(level.data, level.len);

        table_insert(&trie->edges, table_edge_hash(parent, level_hash), table_value(node));
        parent->literals++;
    }
    trie->node_count++;
    return node;
}

/* I3, before a filter of so many levels is added. */
static bool deepen(struct trie *trie, uint32_t levels)
{
    uint32_t depth = trie->depth == 0 ? DEPTH_MIN : trie->depth;
    void *larger;

    if (levels <= trie->depth)
        return true;
    while (depth < levels)
        depth *= 2;
    larger = mem_try_realloc(trie->levels, depth * sizeof(*trie->levels));
    if (larger == NULL)
        return false;
    trie->levels = larger;
    larger = mem_try_realloc(trie->stack, depth * sizeof(*trie->stack));
    if (larger == NULL)
        return false;
    trie->stack = larger;
    trie->depth = depth;
    return true;
}

struct trie_node *trie_add(struct trie *trie, struct span filter)
{
    struct trie_node *node = trie->root;
    struct level_cursor cursor = levels_of(filter);
    struct span level;

    if (!deepen(trie, level_count(filter)))
        return NULL;
    while (level_take(&cursor, &level)) {
        struct trie_node *child = find_child(trie, node, level);

        if (child == NULL)
            child = add_child(trie, node, level);
        if (child == NULL) {
            trie_prune(trie, node);
            return NULL;
        }
        node = child;
    }
    return node;
}

struct trie_node *trie_find(const struct trie *trie, struct span filter)
{
    struct trie_node *node = trie->root;
    struct level_cursor cursor = levels_of(filter);
    struct span level;

    while (node != NULL && level_take(&cursor, &level))
        node = find_child(trie, node, level);
    return node;
}

static bool in_use(const struct trie_node *node)
{
    return node->filter != NULL || node->shards != 0 || node->plus != NULL || node->hash != NULL ||
           node->literals != 0;
}

void trie_prune(struct trie *trie, struct trie_node *node)
{
    while (node != trie->root && !in_use(node)) {
        struct trie_node *parent = node->parent;

        if (node->kind == LEVEL_PLUS) {
            parent->plus = NULL;
        } else if (node->kind == LEVEL_HASH) {
            parent->hash = NULL;
        } else {
            struct span level = span_of(node->text, node->text_len);
            uint64_t edge_hash = table_edge_hash(parent, hash64(level.data, level.len));

            table_remove(&trie->edges, find_edge(trie, parent, level, edge_hash));
            parent->literals--;
        }
        mem_free(node);
        trie->node_count--;
        node = parent;
    }
}

bool trie_hit(struct trie_hits *hits, struct topic_filter *filter)
{
    if (hits->count == hits->capacity) {
        uint32_t capacity = hits->capacity == 0 ? 16 : 2 * hits->capacity;
        void *larger = mem_try_realloc(hits->filters, capacity * sizeof(struct topic_filter *));

        if (larger == NULL)
            return false;
        hits->filters = larger;
        hits->capacity = capacity;
    }
    __builtin_prefetch(filter); /* its count is needed soon */
    hits->filters[hits->count++] = filter;
    return true;
}

static inline bool hit(struct trie_hits *hits, const struct trie_node *node)
{
    hits->shards |= node->shards;
    return node->filter == NULL || trie_hit(hits, node->filter);
}

/* Fills levels[depth]; levels[depth - 1] is there and not the last one. */
static struct trie_level *split(struct trie *trie, struct span topic, uint32_t depth)
{
    struct trie_level *level = &trie->levels[depth];
    uint32_t end = level->begin = depth == 0 ? 0 : level[-1].end + 1;

    while (end < topic.len && topic.data[end] != '/')
        end++;
    level->end = end;
    level->hash = 0;
    return level;
}

static struct trie_node *match_literal(const struct trie *trie, const struct trie_node *node,
                                       struct span topic, struct trie_level *level)
{
    struct span text = span_of(topic.data + level->begin, level->end - level->begin);

    if (level->hash == 0)
        level->hash = hash64(text.data, text.len);
    return find_literal(trie, node, text, level->hash);
}

bool trie_match(struct trie *trie, struct span topic, struct trie_hits *hits)
{
    bool wildcards_first = topic.data[0] != '$'; /* [MQTT-4.7.2-1] */
    struct trie_node *node = trie->root;
    uint32_t depth = 0, ready = 0, waiting = 0;
    bool complete = true;

    for (;;) {
        struct trie_node *plus = node->plus, *literal = NULL;
        bool end = depth > 0 && trie->levels[depth - 1].end == topic.len;

        __builtin_prefetch(plus); /* while the literal child is looked for */
        if (depth == 0 && !wildcards_first)
            plus = NULL;
        if (node->hash != NULL && (depth > 0 || wildcards_first))
            complete &= hit(hits, node->hash); /* '#' takes its parent level in */
        if (end) {
            complete &= hit(hits, node);
            plus = NULL;
        } else if (plus != NULL || node->literals != 0) {
            if (depth == ready) {
                split(trie, topic, depth);
                ready++;
            }
            if (node->literals != 0)
                literal = match_literal(trie, node, topic, &trie->levels[depth]);
            depth++;
        }
        if (literal != NULL && plus != NULL)
            trie->stack[waiting++] = (struct trie_branch){.node = plus, .depth = depth};
        node = literal != NULL ? literal : plus;
        if (node != NULL)
            continue;
        if (waiting == 0)
            return complete;
        node = trie->stack[--waiting].node;
        depth = trie->stack[waiting].depth;
    }
}

static uint32_t chain_filters(const struct trie_node *node)
{
    uint32_t filters = 0;

    for (; node != NULL; node = node->plus) {
        filters += node->filter != NULL;
        filters += node->hash != NULL && node->hash->filter != NULL;
    }
    return filters;
}

uint32_t trie_filters(const struct trie *trie)
{
    uint32_t filters = chain_filters(trie->root);

    for (uint32_t at = 0; trie->edges.slots != NULL && at <= trie->edges.mask; at++)
        filters += chain_filters(table_pointer(&trie->edges.slots[at]));
    return filters;
}

/* Checks one chain as free_chain() walks it; returns how many nodes it has. */
static uint32_t check_chain(const struct trie *trie, const struct trie_node *node,
                            uint64_t *literals)
{
    uint32_t nodes = 0;

    for (; node != NULL; node = node->plus) {
        nodes++;
        *literals += node->literals;
        ASSERT(node == trie->root || in_use(node));
        ASSERT(node->plus == NULL ||
               (node->plus->parent == node && node->plus->kind == LEVEL_PLUS));
        if (node->hash == NULL)
            continue;
        nodes++;
        ASSERT(node->hash->parent == node && node->hash->kind == LEVEL_HASH);
        ASSERT(node->hash->filter != NULL || node->hash->shards != 0);
        ASSERT(node->hash->plus == NULL && node->hash->hash == NULL && node->hash->literals == 0);
    }
    return nodes;
}

void trie_check(const struct trie *trie)
{
    uint64_t literals = 0;
    uint32_t nodes = check_chain(trie, trie->root, &literals) - 1;

    table_check(&trie->edges);
    for (uint32_t at = 0; trie->edges.slots != NULL && at <= trie->edges.mask; at++) {
        const struct trie_node *node = table_pointer(&trie->edges.slots[at]);
        struct span level;

        if (node == NULL)
            continue;
        level = span_of(node->text, node->text_len);
        ASSERT(node->kind == LEVEL_LITERAL && node->parent->literals > 0);
        ASSERT(find_literal(trie, node->parent, level, hash64(level.data, level.len)) == node);
        nodes += check_chain(trie, node, &literals);
    }
    ASSERT(nodes == trie->node_count && literals == trie->edges.count);
}
