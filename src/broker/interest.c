/* SPDX-License-Identifier: MIT
 *
 * interest - which shard must be told of which publication.
 *
 * The first local subscriber of a filter announces interest to every other data shard; the last one
 * withdraws it. Announcements are numbered per shard and confirmed by each peer in order (rings are
 * FIFO), so "everybody knows" is one comparison of numbers, and every filter remembers the number
 * that covers it.
 *
 * Exact filters are announced by hash. Should two filters of one shard have the same hash, the
 * withdrawal waits for the last of them, so that it never takes away the interest of the other.
 *
 * Invariants
 *   I1  SUBACK is sent only when interest_confirmed() for the announcement of every filter in it:
 *       from then on no publication anywhere misses the subscription
 *   I2  a peer has processed our announcement n when it has confirmed a number >= n
 *
 * The control shard is not a peer here: it publishes only below $SYS, and is told just whether a
 * shard has any subscription there.
 */
#include "broker/broker_priv.h"

/* A filter's text on its way to another shard. */
struct mesh_text {
    uint32_t len;
    uint8_t bytes[];
};

static bool below_sys(struct span filter)
{
    return span_starts_with(filter, "$SYS");
}

static void count_sys(struct broker *broker, struct span filter, bool added)
{
    uint32_t before = broker->interest.sys_filters;

    if (!below_sys(filter))
        return;
    broker->interest.sys_filters = added ? before + 1 : before - 1;
    if (before == (added ? 0 : 1)) /* the first came, or the last went */
        port_post(broker, broker->shard_count,
                  (struct mesh_entry){.kind = MESH_SYS_INTEREST, .flags = added});
}

static void post_interest(struct broker *broker, struct span filter, uint64_t hash, bool wildcard,
                          bool added)
{
    for (unsigned to = 0; to < broker->shard_count; to++) {
        struct mesh_entry entry = {.flags = added, .number = broker->interest.announced};

        if (shard_is_home(broker, to))
            continue;
        if (wildcard) {
            struct mesh_text *text = mem_alloc(sizeof(*text) + filter.len);

            text->len = filter.len;
            memcpy(text->bytes, filter.data, filter.len);
            entry.kind = MESH_INTEREST_WILDCARD;
            entry.pointer = text;
        } else {
            entry.kind = MESH_INTEREST_EXACT;
            entry.value = hash;
        }
        port_post(broker, to, entry);
    }
}

void interest_announce(struct broker *broker, struct topic_filter *filter)
{
    struct span text = topic_filter_text(filter);

    STAT_INC(broker->stats, topic_filter_count);
    count_sys(broker, text, true);
    if (broker->shard_count == 1)
        return;
    broker->interest.announced++;
    *topic_filter_tag(filter) = broker->interest.announced;
    post_interest(broker, text, topic_filter_hash(filter), topic_filter_is_wildcard(filter), true);
}

void interest_withdraw(struct broker *broker, struct span filter, uint64_t hash, bool wildcard)
{
    STAT_DEC(broker->stats, topic_filter_count);
    count_sys(broker, filter, false);
    if (!wildcard && topic_tree_has_exact_hash(broker->tree, hash))
        return;
    if (broker->shard_count > 1)
        post_interest(broker, filter, hash, wildcard, false);
}

bool interest_confirmed(const struct broker *broker, uint32_t announcement)
{
    return (int32_t)(broker->interest.all_confirmed - announcement) >= 0; /* I2 */
}

static void confirmed(struct broker *broker, unsigned from, uint32_t announcement)
{
    struct interest *interest = &broker->interest;
    uint32_t all = interest->announced;

    interest->confirmed[from] = announcement;
    for (unsigned shard = 0; shard < broker->shard_count; shard++)
        if (!shard_is_home(broker, shard) && (int32_t)(interest->confirmed[shard] - all) < 0)
            all = interest->confirmed[shard];
    if (all == interest->all_confirmed)
        return;
    interest->all_confirmed = all;
    share_joins_advance(broker);
    subscribe_ops_advance(broker);
}

static void peer_interest(struct broker *broker, unsigned from, const struct mesh_entry *entry)
{
    bool known = true;

    if (entry->kind == MESH_INTEREST_EXACT) {
        known = topic_tree_interest_exact(broker->tree, entry->value, from, entry->flags);
    } else {
        struct mesh_text *text = entry->pointer;

        known = topic_tree_interest_wildcard(broker->tree, span_of(text->bytes, text->len), from,
                                             entry->flags);
        mem_free(text);
    }
    /* Without it subscribers would silently miss messages: there is no honest way to go on. */
    if (!known)
        panic(__FILE__, __LINE__, "out of memory for the interest of shard %u", from);
    if (entry->flags)
        port_post(broker, from,
                  (struct mesh_entry){.kind = MESH_INTEREST_CONFIRM, .number = entry->number});
}

void interest_on_entry(struct broker *broker, unsigned from, const struct mesh_entry *entry)
{
    if (entry->kind == MESH_INTEREST_CONFIRM)
        confirmed(broker, from, entry->number);
    else if (entry->kind == MESH_SYS_INTEREST)
        broker->sys_shards = entry->flags ? broker->sys_shards | (uint64_t)1 << from
                                          : broker->sys_shards & ~((uint64_t)1 << from);
    else
        peer_interest(broker, from, entry);
}
