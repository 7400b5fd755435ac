/* SPDX-License-Identifier: MIT
 *
 * A trie by topic level. The children of a node are a list in the order in which they came, and the
 * edges from parents to children are also in one hash table: the table answers "which child", the
 * list makes a scan a walk along pointers.
 *
 * A scan goes through the nodes depth first, children in list order. Between two batches it stands
 * on a node and pins it: a pinned node stays where it is in the list, even without a message and
 * without children, until the scan moves on. Because a node never changes its place, and new ones
 * are appended, a walk that goes on from the pinned node meets every older node that is still there
 * exactly once.
 *
 * A topic whose last level has 10 characters takes 64 bytes for that node and 21 to 43 for its
 * edge.
 *
 * Invariants
 *   I1  every node but the root has a message, a child or a pin
 *   I2  every node but the root is in the edge table and in the list of its parent
 *   I3  `pins` is the number of scans that stand on the node
 */
#include "topic/retained.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"
#include "topic/level.h"
#include "topic/table.h"

#include <stddef.h>

struct retained_node {
    struct retained_node *parent;
    struct retained_node *first, *last;    /* children */
    struct retained_node *next, *previous; /* siblings */
    void *message;
    uint32_t pins;
    uint16_t text_len;
    uint8_t text[];
};

/* Owner: shard. */
struct retained_store {
    struct retained_node *root;
    struct table edges;
    uint64_t messages;
    uint32_t scans;
};

/* One level of the filter of a scan. */
struct scan_level {
    uint64_t hash;
    const uint8_t *text;
    uint16_t len;
    uint8_t kind; /* enum level_kind */
};

struct retained_scan {
    struct retained_store *store;
    struct retained_node *node; /* pinned; NULL when the scan is complete */
    uint32_t depth;             /* levels above and including `node` */
    uint32_t fixed;             /* levels of the filter without a final '#' */
    bool open_end;              /* there is a final '#' */
    bool below_done;            /* the children of `node` have been visited */
    struct scan_level levels[]; /* `fixed` of them, then the text of the filter */
};

struct retained_store *retained_create(void)
{
    struct retained_store *store = mem_zalloc(sizeof(*store));

    store->root = mem_zalloc(sizeof(*store->root));
    return store;
}

void retained_destroy(struct retained_store *store, void (*release)(void *argument, void *message),
                      void *argument)
{
    ASSERT(store->scans == 0);
    for (uint32_t at = 0; store->edges.slots != NULL && at <= store->edges.mask; at++) {
        struct retained_node *node = table_pointer(&store->edges.slots[at]);

        if (node != NULL && node->message != NULL)
            release(argument, node->message);
        mem_free(node);
    }
    table_clear(&store->edges);
    mem_free(store->root);
    mem_free(store);
}

static struct table_slot *find_edge(const struct retained_store *store,
                                    const struct retained_node *parent, struct span level,
                                    uint64_t level_hash)
{
    struct table_slot *slot = table_first(&store->edges, table_edge_hash(parent, level_hash));

    for (; slot != NULL; slot = table_next(&store->edges, slot)) {
        const struct retained_node *child = table_pointer(slot);

        if (child->parent == parent && span_equal(span_of(child->text, child->text_len), level))
            return slot;
    }
    return NULL;
}

static struct retained_node *find_child(const struct retained_store *store,
                                        const struct retained_node *parent, struct span level,
                                        uint64_t level_hash)
{
    struct table_slot *slot;

    if (parent->first == NULL)
        return NULL;
    slot = find_edge(store, parent, level, level_hash);
    return slot == NULL ? NULL : table_pointer(slot);
}

static struct retained_node *find_node(const struct retained_store *store, struct span topic)
{
    struct level_cursor cursor = levels_of(topic);
    struct retained_node *node = store->root;
    struct span level;

    while (node != NULL && level_take(&cursor, &level))
        node = find_child(store, node, level, hash64(level.data, level.len));
    return node;
}

static struct retained_node *add_child(struct retained_store *store, struct retained_node *parent,
                                       struct span level, uint64_t level_hash)
{
    struct retained_node *node;

    if (!table_reserve(&store->edges))
        return NULL;
    node = mem_try_alloc(offsetof(struct retained_node, text) + level.len);
    if (node == NULL)
        return NULL;
    node->parent = parent;
    node->first = node->last = node->next = NULL;
    node->previous = parent->last;
    node->message = NULL;
    node->pins = 0;
    node->text_len = (uint16_t)level.len;
    memcpy(node->text, level.data, level.len);
    if (parent->last != NULL)
        parent->last->next = node;
    else
        parent->first = node;
    parent->last = node;
    table_insert(&store->edges, table_edge_hash(parent, level_hash), table_value(node));
    return node;
}

static void unlink_node(struct retained_node *node)
{
    struct retained_node *parent = node->parent;

    if (node->previous != NULL)
        node->previous->next = node->next;
    else
        parent->first = node->next;
    if (node->next != NULL)
        node->next->previous = node->previous;
    else
        parent->last = node->previous;
}

/* Removes the node and those above it as far as they are empty (I1). */
static void prune(struct retained_store *store, struct retained_node *node)
{
    while (node != store->root && node->message == NULL && node->first == NULL && node->pins == 0) {
        struct retained_node *parent = node->parent;
        struct span level = span_of(node->text, node->text_len);

        table_remove(&store->edges, find_edge(store, parent, level, hash64(level.data, level.len)));
        unlink_node(node);
        mem_free(node);
        node = parent;
    }
}

bool retained_set(struct retained_store *store, struct span topic, void *message, void **old_out)
{
    struct level_cursor cursor = levels_of(topic);
    struct retained_node *node = store->root;
    struct span level;

    ASSERT(message != NULL);
    while (level_take(&cursor, &level)) {
        uint64_t level_hash = hash64(level.data, level.len);
        struct retained_node *child = find_child(store, node, level, level_hash);

        if (child == NULL)
            child = add_child(store, node, level, level_hash);
        if (child == NULL) {
            prune(store, node);
            return false;
        }
        node = child;
    }
    *old_out = node->message;
    store->messages += node->message == NULL;
    node->message = message;
    return true;
}

void *retained_remove(struct retained_store *store, struct span topic)
{
    struct retained_node *node = find_node(store, topic);
    void *message = node == NULL ? NULL : node->message;

    if (message == NULL)
        return NULL;
    node->message = NULL;
    store->messages--;
    prune(store, node);
    return message;
}

void *retained_get(const struct retained_store *store, struct span topic)
{
    const struct retained_node *node = find_node(store, topic);

    return node == NULL ? NULL : node->message;
}

uint64_t retained_count(const struct retained_store *store)
{
    return store->messages;
}

struct retained_scan *retained_scan_open(struct retained_store *store, struct span filter)
{
    uint32_t count = level_count(filter), at = 0;
    size_t levels_size = count * sizeof(struct scan_level);
    struct retained_scan *scan = mem_try_alloc(sizeof(*scan) + levels_size + filter.len);
    struct level_cursor cursor;
    struct span level;
    uint8_t *text;

    if (scan == NULL)
        return NULL;
    text = (uint8_t *)scan->levels + levels_size;
    memcpy(text, filter.data, filter.len);
    cursor = levels_of(span_of(text, filter.len));
    while (level_take(&cursor, &level)) {
        scan->levels[at++] = (struct scan_level){
            .hash = hash64(level.data, level.len),
            .text = level.data,
            .len = (uint16_t)level.len,
            .kind = (uint8_t)level_kind(level),
        };
    }
    scan->store = store;
    scan->node = store->root;
    scan->node->pins++;
    scan->depth = 0;
    scan->open_end = scan->levels[count - 1].kind == LEVEL_HASH;
    scan->fixed = scan->open_end ? count - 1 : count;
    scan->below_done = false;
    store->scans++;
    return scan;
}

/* What the level below `depth` levels must be. */
static inline enum level_kind kind_below(const struct retained_scan *scan, uint32_t depth)
{
    return depth < scan->fixed ? (enum level_kind)scan->levels[depth].kind : LEVEL_HASH;
}

/* [MQTT-4.7.2-1] whether `node`, found by a leading wildcard, is the first level of `$` topics. */
static inline bool is_hidden(const struct retained_scan *scan, const struct retained_node *node)
{
    return scan->depth == 1 && node->text_len > 0 && node->text[0] == '$' &&
           kind_below(scan, 0) != LEVEL_LITERAL;
}

static struct retained_node *first_below(const struct retained_scan *scan,
                                         const struct retained_node *node)
{
    const struct scan_level *level;

    if (scan->depth == scan->fixed && !scan->open_end)
        return NULL;
    if (kind_below(scan, scan->depth) != LEVEL_LITERAL)
        return node->first;
    level = &scan->levels[scan->depth];
    return find_child(scan->store, node, span_of(level->text, level->len), level->hash);
}

/* One step from `node`; NULL at the end. *fresh_out: the node has not been visited before. */
static inline struct retained_node *step(struct retained_scan *scan, struct retained_node *node,
                                         bool *fresh_out)
{
    struct retained_node *next = scan->below_done ? NULL : first_below(scan, node);

    *fresh_out = true;
    if (next != NULL) {
        scan->depth++;
    } else if (scan->depth == 0) {
        return NULL;
    } else if (kind_below(scan, scan->depth - 1) == LEVEL_LITERAL || node->next == NULL) {
        next = node->parent;
        scan->depth--;
        *fresh_out = false;
    } else {
        next = node->next;
    }
    scan->below_done = !*fresh_out || is_hidden(scan, next);
    return next;
}

bool retained_scan_next(struct retained_scan *scan, uint32_t visits,
                        void (*visit)(void *argument, void *message), void *argument)
{
    struct retained_node *pinned = scan->node, *node = pinned;
    uint64_t looks = 4 * (uint64_t)visits;

    while (node != NULL && visits > 0 && looks-- > 0) {
        bool fresh;

        node = step(scan, node, &fresh);
        if (node != NULL && fresh && node->message != NULL && !is_hidden(scan, node) &&
            (scan->depth == scan->fixed || (scan->open_end && scan->depth > scan->fixed))) {
            visit(argument, node->message);
            visits--;
        }
    }
    if (node != pinned) {
        if (node != NULL)
            node->pins++;
        scan->node = node;
        pinned->pins--;
        prune(scan->store, pinned);
    }
    return node != NULL;
}

void retained_scan_close(struct retained_scan *scan)
{
    if (scan->node != NULL) {
        scan->node->pins--;
        prune(scan->store, scan->node);
    }
    scan->store->scans--;
    mem_free(scan);
}

/* The children of one node: in both structures, in order, with something in them. */
static uint64_t check_children(const struct retained_store *store, const struct retained_node *node)
{
    const struct retained_node *previous = NULL;
    uint64_t children = 0;

    for (const struct retained_node *child = node->first; child != NULL; child = child->next) {
        struct span level = span_of(child->text, child->text_len);

        ASSERT(child->parent == node && child->previous == previous);
        ASSERT(child->message != NULL || child->first != NULL || child->pins > 0);
        ASSERT(find_child(store, node, level, hash64(level.data, level.len)) == child);
        previous = child;
        children++;
    }
    ASSERT(node->last == previous);
    return children;
}

void retained_check(const struct retained_store *store)
{
    uint64_t children = check_children(store, store->root), messages = 0, pins = store->root->pins;

    table_check(&store->edges);
    for (uint32_t at = 0; store->edges.slots != NULL && at <= store->edges.mask; at++) {
        const struct retained_node *node = table_pointer(&store->edges.slots[at]);

        if (node == NULL)
            continue;
        children += check_children(store, node);
        messages += node->message != NULL;
        pins += node->pins;
    }
    ASSERT(children == store->edges.count);
    ASSERT(messages == store->messages);
    ASSERT(pins <= store->scans);
}
