/* SPDX-License-Identifier: MIT
 *
 * authz_memo - topics for which one client has been told yes, as they are and not by a hash that could be made to collide.
 *
 * A hash table with open addressing, at most half full. Doubles until it has room for MEMO_TOPICS_MAX; when that is not
 * enough it is emptied and begins again. Topics that are longer than MEMO_TOPIC_MAX are not remembered.
 *
 *   slots     | tag, 1 | free | tag, 0 | free | ...    found by the topic's hash: 2 * capacity
 *   topics    | head, text | head, text | ...          in the order in which they came: capacity
 *
 * Who has it sees to it that what is in it is still right: it is cleared when the policy or the client changes.
 */
#ifndef SHARDMQ_BROKER_AUTHZ_MEMO_H
#define SHARDMQ_BROKER_AUTHZ_MEMO_H

#include "base/check.h"
#include "base/span.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define MEMO_TOPICS_MIN 4u
#define MEMO_TOPICS_MAX 2048u /* 160 KiB; who uses more in turn is asked about most of them */
#define MEMO_TOPIC_MAX  62u

struct memo_topic {
    uint16_t head; /* memo_head() */
    uint8_t text[MEMO_TOPIC_MAX];
};

struct memo_slot {
    uint32_t tag; /* of the topic's hash; 0: free */
    uint32_t topic;
};

/* Owner: shard. */
struct authz_memo {
    uint32_t count, capacity; /* of topics[]; a power of two */
    struct memo_slot *slots;  /* behind the topics */
    struct memo_topic topics[];
};

/* Adds what is not there; *memo is made with the first topic. Does nothing when memory is gone. `hash`: hash64(topic),
 * `action`: at most 3. */
void authz_memo_add(struct authz_memo **memo, unsigned action, struct span topic, uint64_t hash);
/* Frees it. */
void authz_memo_clear(struct authz_memo **memo);

static inline uint16_t memo_head(unsigned action, uint32_t len)
{
    return (uint16_t)(len << 2 | action);
}

static inline uint32_t memo_tag(uint64_t hash)
{
    return (uint32_t)hash | 1u;
}

static inline uint32_t memo_mask(const struct authz_memo *memo)
{
    return 2 * memo->capacity - 1;
}

static inline uint64_t memo_word(const uint8_t *bytes)
{
    uint64_t word;

    memcpy(&word, bytes, sizeof(word));
    return word;
}

/* memcmp() as a call costs more than all the rest. */
static inline bool memo_same_text(const uint8_t *a, const uint8_t *b, uint32_t len)
{
    if (UNLIKELY(len < 8)) {
        for (uint32_t i = 0; i < len; i++)
            if (a[i] != b[i])
                return false;
        return true;
    }
    for (uint32_t i = 0; i + 8 < len; i += 8)
        if (memo_word(a + i) != memo_word(b + i))
            return false;
    return memo_word(a + len - 8) == memo_word(b + len - 8);
}

/* `memo` may be NULL. Inline: it is asked for every PUBLISH. */
static inline bool authz_memo_has(const struct authz_memo *memo, unsigned action, struct span topic,
                                  uint64_t hash)
{
    uint32_t at;

    if (memo == NULL || topic.len > MEMO_TOPIC_MAX)
        return false;
    for (at = (uint32_t)(hash >> 32) & memo_mask(memo); memo->slots[at].tag != 0;
         at = (at + 1) & memo_mask(memo)) {
        const struct memo_topic *known = &memo->topics[memo->slots[at].topic];

        if (memo->slots[at].tag == memo_tag(hash) && known->head == memo_head(action, topic.len) &&
            memo_same_text(known->text, topic.data, topic.len))
            return true;
    }
    return false;
}

#endif
