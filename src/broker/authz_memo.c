/* SPDX-License-Identifier: MIT */
#include "broker/authz_memo.h"

#include "base/hash.h"
#include "base/mem.h"

_Static_assert(sizeof(struct memo_topic) == CACHE_LINE, "a topic is a line");

void authz_memo_clear(struct authz_memo **memo)
{
    mem_free(*memo);
    *memo = NULL;
}

static struct authz_memo *create(uint32_t capacity)
{
    struct authz_memo *memo = mem_try_zalloc(
        sizeof(*memo) + capacity * (sizeof(struct memo_topic) + 2 * sizeof(struct memo_slot)));

    if (memo == NULL)
        return NULL;
    memo->capacity = capacity;
    memo->slots = (struct memo_slot *)(void *)(memo->topics + capacity);
    return memo;
}

/* There is room for it. */
static void enter(struct authz_memo *memo, uint16_t head, struct span topic, uint64_t hash)
{
    struct memo_topic *entered = &memo->topics[memo->count];
    uint32_t at = (uint32_t)(hash >> 32) & memo_mask(memo);

    while (memo->slots[at].tag != 0)
        at = (at + 1) & memo_mask(memo);
    memo->slots[at] = (struct memo_slot){memo_tag(hash), memo->count++};
    entered->head = head;
    memcpy(entered->text, topic.data, topic.len);
}

/* Makes room for one topic more. False when memory is gone. */
static bool reserve(struct authz_memo **memo)
{
    struct authz_memo *old = *memo, *larger;

    if (old != NULL && old->count < old->capacity)
        return true;
    if (old != NULL && old->capacity == MEMO_TOPICS_MAX) {
        memset(old->slots, 0, 2 * old->capacity * sizeof(*old->slots));
        old->count = 0;
        return true;
    }
    larger = create(old == NULL ? MEMO_TOPICS_MIN : 2 * old->capacity);
    if (larger == NULL)
        return false;
    for (uint32_t i = 0; old != NULL && i < old->count; i++) {
        const struct memo_topic *known = &old->topics[i];
        struct span topic = span_of(known->text, known->head >> 2);

        enter(larger, known->head, topic, hash64(topic.data, topic.len));
    }
    mem_free(old);
    *memo = larger;
    return true;
}

void authz_memo_add(struct authz_memo **memo, unsigned action, struct span topic, uint64_t hash)
{
    if (topic.len <= MEMO_TOPIC_MAX && reserve(memo))
        enter(*memo, memo_head(action, topic.len), topic, hash);
}
