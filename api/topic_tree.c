/* SPDX-License-Identifier: MIT
 *
 * topic_tree - all filters as a tree, depth by depth, in NanoMQ's form:
 *
 *   [ [{"topic":"","cld_cnt":1,"clientid":[]}],                  the root
 *     [{"topic":"greenhouse","cld_cnt":2,"clientid":["a"]}],     first levels: here "a" has subscribed to "greenhouse"
 *     ... ]
 *
 * The subscriptions of all shards are collected and sorted; whoever has the same levels in front then stands
 * together, so a node is a run of the sorted list and no tree is built. Once each leaf is compared with the one before
 * it, runs are found by numbers alone, and every byte of a filter is looked at once more, to be written: a depth costs
 * a look at each leaf, however long the filters are. A filter appears as it was subscribed: with its wildcards, and
 * below "$share" and its group when it is shared.
 *
 * The whole of it has to be in memory here, so there are limits: TREE_MAX subscriptions, and NODES_MAX nodes, of which
 * few clients can make many. With `topic` only those are collected that begin with its levels.
 */
#include "api/api_priv.h"

#include "api/handlers.h"
#include "api/list.h"

#include <stdlib.h>

#define TREE_MAX       100000u
#define NODES_MAX      500000u
#define TREE_BYTES_MAX (64u << 20)

struct leaf {
    uint32_t filter, filter_len, client, client_len; /* in the text */
    uint32_t levels;
    uint32_t common; /* as many first levels are those of the leaf before it, too */
    uint32_t at;     /* in the filter: where the level begins that is written next */
};

/* Owner: shard (the control shard). */
struct topic_tree_state {
    const char *client_member; /* "clientid", or "client_id" for the request code */
    struct span branch;        /* a copy; empty: the whole tree */
    struct leaf *leaves;
    uint32_t count, capacity;
    uint8_t *text;
    uint32_t text_len, text_capacity;
};

static struct span filter_of(const struct topic_tree_state *tree, const struct leaf *leaf)
{
    return span_of(tree->text + leaf->filter, leaf->filter_len);
}

/* ---- collecting ---- */

/* Whether the filter is the branch, or lies below it. */
static bool on_branch(struct span branch, struct span filter)
{
    return branch.len == 0 ||
           (filter.len >= branch.len && memcmp(filter.data, branch.data, branch.len) == 0 &&
            (filter.len == branch.len || filter.data[branch.len] == '/'));
}

static bool reserve(struct topic_tree_state *tree, uint32_t bytes)
{
    if (tree->count == tree->capacity) {
        uint32_t capacity = tree->capacity == 0 ? 64 : tree->capacity * 2;
        struct leaf *grown = mem_try_realloc(tree->leaves, capacity * sizeof(*grown));

        if (grown == NULL)
            return false;
        tree->leaves = grown;
        tree->capacity = capacity;
    }
    if (tree->text_capacity - tree->text_len < bytes) {
        uint32_t capacity = (tree->text_len + bytes) * 2;
        uint8_t *grown = mem_try_realloc(tree->text, capacity);

        if (grown == NULL)
            return false;
        tree->text = grown;
        tree->text_capacity = capacity;
    }
    return true;
}

static uint32_t levels_of(struct span filter)
{
    uint32_t levels = 1;

    for (uint32_t i = 0; i < filter.len; i++)
        levels += filter.data[i] == '/';
    return levels;
}

static void collect(struct list_reply *reply, const struct query *query, const void *at)
{
    struct topic_tree_state *tree = list_state(reply);
    const struct subscription_record *record = at;
    uint32_t bytes = record->client_identifier_len + record->filter_len;
    struct span filter = span_of(record->text + record->client_identifier_len, record->filter_len);

    (void)query;
    if (!on_branch(tree->branch, filter))
        return;
    if (tree->count == TREE_MAX || tree->text_len + bytes > TREE_BYTES_MAX) {
        list_fail(reply,
                  "there are more than 100000 subscriptions: ask for a part of the tree with "
                  "topic=<first levels>, or for subscriptions page by page");
        return;
    }
    if (!reserve(tree, bytes)) {
        list_fail(reply, "the broker has no memory left for this list");
        return;
    }
    memcpy(tree->text + tree->text_len, record->text, bytes);
    tree->leaves[tree->count++] = (struct leaf){
        .client = tree->text_len,
        .client_len = record->client_identifier_len,
        .filter = tree->text_len + record->client_identifier_len,
        .filter_len = record->filter_len,
        .levels = levels_of(filter),
    };
    tree->text_len += bytes;
}

/* ---- writing ---- */

/* '/' sorts before everything else, so that what has the same first levels stands together. */
static int compare_bytes(struct span a, struct span b)
{
    uint32_t len = a.len < b.len ? a.len : b.len;

    for (uint32_t i = 0; i < len; i++) {
        int left = a.data[i] == '/' ? -1 : a.data[i], right = b.data[i] == '/' ? -1 : b.data[i];

        if (left != right)
            return left < right ? -1 : 1;
    }
    return a.len == b.len ? 0 : a.len < b.len ? -1 : 1;
}

static int compare_leaves(const void *a, const void *b, void *argument)
{
    const struct topic_tree_state *tree = argument;
    const struct leaf *left = a, *right = b;
    int order = compare_bytes(filter_of(tree, left), filter_of(tree, right));

    return order != 0 ? order
                      : compare_bytes(span_of(tree->text + left->client, left->client_len),
                                      span_of(tree->text + right->client, right->client_len));
}

/* Sets what each leaf has in common with the one before it. Returns how many nodes there are without the root. */
static uint64_t compare_neighbours(struct topic_tree_state *tree)
{
    uint64_t nodes = 0;

    for (uint32_t i = 0; i < tree->count; i++) {
        struct leaf *leaf = &tree->leaves[i];
        struct span filter = filter_of(tree, leaf);
        struct span before = i == 0 ? (struct span){0} : filter_of(tree, leaf - 1);

        leaf->common = leaf->at = 0;
        for (uint32_t at = 0; i != 0; at++) {
            bool ends = at == filter.len || filter.data[at] == '/';

            if (ends && (at == before.len || before.data[at] == '/')) {
                leaf->common++;
                leaf->at = at + 1;
            }
            if (at == filter.len || at == before.len || filter.data[at] != before.data[at])
                break;
        }
        nodes += leaf->levels - leaf->common;
    }
    return nodes;
}

/* The level that the leaf stands at, as the first of a node; it stands at the next one then. */
static struct span take_level(const struct topic_tree_state *tree, struct leaf *leaf)
{
    struct span filter = filter_of(tree, leaf);
    uint32_t begin = leaf->at, end = begin;

    while (end < filter.len && filter.data[end] != '/')
        end++;
    leaf->at = end + 1;
    return span_of(filter.data + begin, end - begin);
}

/* How many different next levels there are in a run of leaves with the same first `levels`. */
static uint32_t count_children(const struct topic_tree_state *tree, uint32_t from, uint32_t to,
                               uint32_t levels)
{
    uint32_t children = 0;

    for (uint32_t i = from; i < to; i++)
        children +=
            tree->leaves[i].levels > levels && (i == from || tree->leaves[i].common == levels);
    return children;
}

/* A run of leaves as a node; `name` is its last level. */
static void write_node(struct json_text *text, const struct topic_tree_state *tree, uint32_t from,
                       uint32_t to, uint32_t levels, struct span name)
{
    bool any = false;

    json_text_raw(text, "{\"topic\":");
    json_text_string(text, name);
    json_text_raw(text, ",\"cld_cnt\":");
    json_text_number(text, count_children(tree, from, to, levels));
    json_text_raw(text, ",\"");
    json_text_raw(text, tree->client_member);
    json_text_raw(text, "\":[");
    for (uint32_t i = from; i < to && tree->leaves[i].levels == levels; i++) {
        if (any)
            json_text_raw(text, ",");
        any = true;
        json_text_string(text,
                         span_of(tree->text + tree->leaves[i].client, tree->leaves[i].client_len));
    }
    json_text_raw(text, "]}");
}

static void write_depth(struct json_text *text, struct topic_tree_state *tree, uint32_t levels)
{
    bool any = false;

    json_text_raw(text, ",[");
    for (uint32_t from = 0, to; from < tree->count; from = to) {
        to = from + 1;
        if (tree->leaves[from].levels < levels)
            continue;
        while (to < tree->count && tree->leaves[to].common >= levels)
            to++;
        if (any)
            json_text_raw(text, ",");
        any = true;
        write_node(text, tree, from, to, levels, take_level(tree, &tree->leaves[from]));
    }
    json_text_raw(text, "]");
}

static void write_tree(struct list_reply *reply)
{
    struct topic_tree_state *tree = list_state(reply);
    struct json_text *text = list_text(reply);
    uint32_t depth = 0;

    if (tree->count > 0)
        qsort_r(tree->leaves, tree->count, sizeof(*tree->leaves), compare_leaves, tree);
    if (compare_neighbours(tree) > NODES_MAX) {
        list_fail(reply, "the tree has more than 500000 nodes: ask for a part of it with "
                         "topic=<first levels>, or for subscriptions page by page");
        return;
    }
    for (uint32_t i = 0; i < tree->count; i++)
        if (tree->leaves[i].levels > depth)
            depth = tree->leaves[i].levels;
    json_text_raw(text, "[");
    write_node(text, tree, 0, tree->count, 0, (struct span){0});
    json_text_raw(text, "]");
    for (uint32_t levels = 1; levels <= depth; levels++)
        write_depth(text, tree, levels);
}

static void release_tree(void *state)
{
    struct topic_tree_state *tree = state;

    if (tree == NULL)
        return;
    mem_free((void *)(uintptr_t)tree->branch.data);
    mem_free(tree->leaves);
    mem_free(tree->text);
    mem_free(tree);
}

static const struct list_style tree_style = {
    .write = collect, .finish = write_tree, .release = release_tree};

static void answer(struct api_request *request, const char *client_member, struct span branch)
{
    const struct query_terms terms = {.list = QUERY_SUBSCRIPTIONS};
    struct topic_tree_state *tree = mem_try_zalloc(sizeof(*tree));
    uint8_t *copy = branch.len == 0 ? NULL : mem_try_alloc(branch.len);

    if (tree == NULL || (branch.len != 0 && copy == NULL)) {
        mem_free(tree);
        mem_free(copy);
        api_reply_error(request, 503, API_UNKNOWN, "the broker has no memory left for this list");
        return;
    }
    tree->client_member = client_member;
    if (copy != NULL)
        memcpy(copy, branch.data, branch.len);
    tree->branch = span_of(copy, branch.len);
    list_answer(request, &terms, &tree_style, tree);
}

void api_get_topic_tree(struct api_request *request)
{
    struct span branch = {0};

    (void)api_query(request, "topic", &branch);
    answer(request, "clientid", branch);
}

void api_code_topic_tree(struct api_request *request)
{
    answer(request, "client_id", (struct span){0});
}
