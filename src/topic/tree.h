/* SPDX-License-Identifier: MIT
 *
 * tree - the subscriptions of one shard's sessions, and which other shards are interested in what.
 *
 * Owner: shard. One structure answers one question: given a topic name, which local subscribers and
 * which other shards get this message? Subscribers are opaque pointers (a session or a share
 * group).
 */
#ifndef SHARDMQ_TOPIC_TREE_H
#define SHARDMQ_TOPIC_TREE_H

#include "base/span.h"

#define TOPIC_SHARDS_MAX 64 /* bits of a shard mask */

struct topic_tree;
struct topic_filter; /* one filter of the tree; stable while it has a subscriber */

enum subscriber_kind { SUBSCRIBER_SESSION, SUBSCRIBER_GROUP };

/* One subscription, as it is found by a match. */
struct subscription {
    void *subscriber;
    uint32_t identifier; /* Subscription Identifier, 0 for none */
    uint8_t options;     /* as in SUBSCRIBE: bits 0-1 QoS, 2 No Local, 3 Retain As Published */
    uint8_t kind;        /* enum subscriber_kind */
    uint16_t unused;
};

struct topic_tree *topic_tree_create(void);
void topic_tree_destroy(struct topic_tree *tree);

enum subscribe_result { SUBSCRIBE_NEW, SUBSCRIBE_REPLACED, SUBSCRIBE_NO_MEMORY };

/* Adds the subscription of `subscription->subscriber` to `filter` (valid, without $share/..), or
 * replaces its options and identifier. *filter_out names the filter for the calls below; *first_out
 * tells that it had no local subscriber before (time to announce interest). */
enum subscribe_result topic_tree_subscribe(struct topic_tree *tree, struct span filter,
                                           const struct subscription *subscription,
                                           struct topic_filter **filter_out, bool *first_out);

/* The filter if it has local subscribers, NULL otherwise. */
struct topic_filter *topic_tree_find(struct topic_tree *tree, struct span filter);

/* The subscription of that subscriber to that filter, NULL when there is none. Valid until the next
 * change. */
const struct subscription *topic_filter_get(const struct topic_filter *filter,
                                            const void *subscriber);

/* Removes it; false when there was none. *last_out tells that the filter has no local subscriber
 * any more; `filter` is then gone. Expected constant time, however many subscribers it has. */
bool topic_tree_unsubscribe(struct topic_tree *tree, struct topic_filter *filter,
                            const void *subscriber, bool *last_out);

/* The text of a filter, valid as long as the filter. */
struct span topic_filter_text(const struct topic_filter *filter);
/* The keyed hash of the text, the same on every shard of the process: what interest in exact
 * filters goes by. */
uint64_t topic_filter_hash(const struct topic_filter *filter);
bool topic_filter_is_wildcard(const struct topic_filter *filter);
/* Whether any exact filter with local subscribers has this hash. */
bool topic_tree_has_exact_hash(const struct topic_tree *tree, uint64_t filter_hash);
/* A word for the user of the tree (which announcement covers this filter); 0 in a new filter. */
uint64_t *topic_filter_tag(struct topic_filter *filter);

/* Interest of other shards. Exact filters are known by hash64(filter) alone: a collision costs one
 * useless hop, never a wrong delivery. Wildcard filters are known by their text. Setting a bit
 * twice, or clearing one that is not set, is harmless. False when memory is gone. */
bool topic_tree_interest_exact(struct topic_tree *tree, uint64_t filter_hash, unsigned shard,
                               bool interested);
bool topic_tree_interest_wildcard(struct topic_tree *tree, struct span filter, unsigned shard,
                                  bool interested);

struct topic_match {
    const struct subscription *entries; /* those of one subscriber stand next to each other */
    uint32_t count;
    uint64_t shards; /* other shards that are interested; always complete */
    bool no_memory;  /* entries are missing: there was no memory to gather them */
    /* A word for the user of the tree, kept together with this result: 0 in a new one. NULL: it is not kept. */
    uint64_t *note;
};

/* Finds everything that matches. `topic` need not be validated yet: returns false, and matches
 * nothing, when it is not a valid topic name of at most `levels_max` levels (a topic in the match
 * cache has been validated before, which is why the two steps are one). The result is valid until
 * the next call that changes the tree, or the next match. */
bool topic_tree_match(struct topic_tree *tree, struct span topic, uint32_t levels_max,
                      struct topic_match *out);
/* The same for who has hash64(topic) already. */
bool topic_tree_match_hashed(struct topic_tree *tree, struct span topic, uint64_t hash,
                             uint32_t levels_max, struct topic_match *out);

/* Walks all filters with local subscribers, in no particular order. The walk must not change the
 * tree. */
void topic_tree_walk(const struct topic_tree *tree,
                     void (*visit)(void *argument, const struct topic_filter *filter,
                                   const struct subscription *entries, uint32_t count),
                     void *argument);

/* Panics when an invariant does not hold; walks everything. For tests, the simulation and
 * SLOW_ASSERT. */
void topic_tree_check(const struct topic_tree *tree);

#endif
