/* SPDX-License-Identifier: MIT */
#include "auth/slow_down.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"

#include <stdatomic.h>
#include <sys/socket.h>

#define BUCKETS  512u /* a power of two; with eight places each, 4,096 keys */
#define PLACES   8u
#define IPV6_NET 8u /* bytes */

#define WRONG_BITS 20u
#define WRONG_MAX  ((1u << WRONG_BITS) - 1)
#define HELD_BITS  17u
#define HELD_MAX   ((1u << HELD_BITS) - 1)
#define HELD_ONE   ((uint64_t)1 << WRONG_BITS)
#define TAG_SHIFT  (WRONG_BITS + HELD_BITS)

_Static_assert(SLOW_DOWN_HELD_MAX < HELD_MAX, "a place counts that many");
_Static_assert(SLOW_DOWN_AFTER_MAX + 32 < WRONG_MAX, "a delay doubles at most 32 times");

/* Class: shared, many writers. */
struct slow_down {
    _Alignas(CACHE_LINE) _Atomic uint32_t held; /* answers that are held back, of all keys */
    _Atomic uint32_t counted;                   /* 1: one was wrong since the table was made */
    struct bucket {
        _Alignas(CACHE_LINE) _Atomic uint64_t word[PLACES]; /* 0: free */
        _Atomic uint64_t last_ms[PLACES];
    } buckets[BUCKETS];
};

struct slow_down *slow_down_create(void)
{
    return mem_zalloc_aligned(sizeof(struct slow_down));
}

void slow_down_destroy(struct slow_down *table)
{
    mem_free(table);
}

/* `kind` keeps a user whose name is the bytes of an address apart from it. */
static uint64_t key_of(char kind, const void *data, size_t len)
{
    return (hash64(data, len) ^ (uint64_t)kind * 0x9e3779b97f4a7c15u) | 1;
}

struct slow_down_keys slow_down_keys_of(const struct peer_address *peer, struct span username)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff}; /* ::ffff:0:0/96 */
    struct slow_down_keys keys = {0};

    if (peer->family == AF_INET)
        keys.address = key_of('4', peer->bytes, 4);
    else if (peer->family == AF_INET6 && memcmp(peer->bytes, mapped, sizeof(mapped)) == 0)
        keys.address = key_of('4', peer->bytes + sizeof(mapped), 4);
    else if (peer->family == AF_INET6)
        keys.address = key_of('6', peer->bytes, IPV6_NET);
    if (username.len != 0)
        keys.user = key_of('u', username.data, username.len);
    return keys;
}

/* ---- a place ---- */

static uint64_t tag_of(uint64_t key)
{
    return key & (((uint64_t)1 << (64 - TAG_SHIFT)) - 1); /* odd, so it is not 0 */
}

static bool is_of(uint64_t word, uint64_t key)
{
    return word >> TAG_SHIFT == tag_of(key);
}

static uint32_t held_in(uint64_t word)
{
    return (uint32_t)(word >> WRONG_BITS) & HELD_MAX;
}

static uint32_t wrong_in(uint64_t word)
{
    return (uint32_t)word & WRONG_MAX;
}

static bool change(_Atomic uint64_t *word, uint64_t *from, uint64_t to)
{
    return atomic_compare_exchange_weak_explicit(word, from, to, memory_order_acq_rel,
                                                 memory_order_acquire);
}

static uint32_t bucket_number(uint64_t key)
{
    return (uint32_t)(key >> 32) & (BUCKETS - 1);
}

static _Atomic uint64_t *word_at(struct slow_down *table, uint32_t place)
{
    return &table->buckets[place / PLACES].word[place % PLACES];
}

#define NO_PLACE UINT32_MAX

/* The number of its place, and what is in it. */
static uint32_t find(const struct slow_down *table, uint64_t key, uint64_t *word)
{
    uint32_t number = bucket_number(key);

    for (unsigned i = 0; key != 0 && i < PLACES; i++) {
        *word = atomic_load_explicit(&table->buckets[number].word[i], memory_order_acquire);
        if (is_of(*word, key))
            return number * PLACES + i;
    }
    return NO_PLACE;
}

/* Takes one that has no answers held back, the quietest, for the key (I1). NO_PLACE: there is none. */
static uint32_t take(struct slow_down *table, uint64_t key, uint64_t now_ms)
{
    uint32_t number = bucket_number(key), least = NO_PLACE;
    struct bucket *bucket = &table->buckets[number];
    uint64_t from = 0, least_ms = 0;

    for (unsigned i = 0; i < PLACES; i++) {
        uint64_t word = atomic_load_explicit(&bucket->word[i], memory_order_acquire);
        uint64_t last_ms = atomic_load_explicit(&bucket->last_ms[i], memory_order_relaxed);

        if (held_in(word) != 0 || (least != NO_PLACE && last_ms >= least_ms))
            continue;
        /* a free one was quiet since the beginning */
        least = i;
        least_ms = last_ms;
        from = word;
    }
    if (least != NO_PLACE && change(&bucket->word[least], &from, tag_of(key) << TAG_SHIFT))
        atomic_store_explicit(&bucket->last_ms[least], now_ms, memory_order_relaxed);
    return least == NO_PLACE ? NO_PLACE : number * PLACES + least;
}

/* ---- counting ---- */

bool slow_down_may_try(const struct slow_down *table, struct slow_down_keys keys,
                       const struct slow_down_rule *rule)
{
    uint64_t address, user;

    if (LIKELY(atomic_load_explicit(&table->held, memory_order_relaxed) == 0))
        return true;
    return (find(table, keys.address, &address) == NO_PLACE || held_in(address) < rule->held) &&
           (find(table, keys.user, &user) == NO_PLACE || held_in(user) < rule->held);
}

/* One more wrong one of that key; how many there were. */
static uint32_t count(struct slow_down *table, uint64_t key, const struct slow_down_rule *rule,
                      uint64_t now_ms)
{
    if (key == 0)
        return 0;
    for (;;) {
        uint64_t word, last_ms;
        uint32_t place = find(table, key, &word), wrong;
        _Atomic uint64_t *last;

        if (place == NO_PLACE) {
            if (take(table, key, now_ms) == NO_PLACE)
                return UINT32_MAX; /* a crowd that is held back altogether */
            continue;
        }
        last = &table->buckets[place / PLACES].last_ms[place % PLACES];
        last_ms = atomic_load_explicit(last, memory_order_relaxed);
        wrong =
            now_ms > last_ms && now_ms - last_ms > rule->forget_ms ? 0 : wrong_in(word); /* I4 */
        wrong += wrong < WRONG_MAX;
        if (!change(word_at(table, place), &word, (word & ~(uint64_t)WRONG_MAX) | wrong))
            continue;
        if (now_ms > last_ms)
            atomic_store_explicit(last, now_ms, memory_order_relaxed);
        return wrong;
    }
}

static uint64_t delay_of(uint32_t wrong, const struct slow_down_rule *rule)
{
    uint32_t doublings;
    uint64_t delay_ms = rule->delay_ms;

    if (wrong <= rule->after)
        return 0;
    for (doublings = wrong - rule->after - 1; doublings != 0 && delay_ms < rule->max_delay_ms;
         doublings--)
        delay_ms *= 2;
    return delay_ms < rule->max_delay_ms ? delay_ms : rule->max_delay_ms;
}

/* 1 + the place in which an answer to that key is held back from now on; 0: it has none, or another has got it meanwhile. */
static uint32_t hold_one(struct slow_down *table, uint64_t key)
{
    uint64_t word = 0;
    uint32_t place = find(table, key, &word);

    while (place != NO_PLACE && is_of(word, key) && held_in(word) < HELD_MAX)
        if (change(word_at(table, place), &word, word + HELD_ONE))
            return place + 1;
    return 0;
}

static void release_one(struct slow_down *table, uint32_t place)
{
    if (place != 0) {
        uint64_t was =
            atomic_fetch_sub_explicit(word_at(table, place - 1), HELD_ONE, memory_order_acq_rel);

        ASSERT(held_in(was) != 0); /* I2 */
    }
}

uint64_t slow_down_wrong(struct slow_down *table, struct slow_down_keys keys,
                         const struct slow_down_rule *rule, uint64_t now_ms,
                         struct slow_down_hold *hold)
{
    uint32_t of_address, of_user;
    uint64_t delay_ms;

    ASSERT(!hold->held);
    if (rule->delay_ms == 0)
        return 0; /* switched off: nothing is counted either */
    if (atomic_load_explicit(&table->counted, memory_order_relaxed) == 0)
        atomic_store_explicit(&table->counted, 1, memory_order_relaxed);
    of_address = count(table, keys.address, rule, now_ms);
    of_user = count(table, keys.user, rule, now_ms);
    delay_ms = delay_of(of_user > of_address ? of_user : of_address, rule);
    if (delay_ms == 0)
        return 0;
    *hold = (struct slow_down_hold){
        .held = true, .address = hold_one(table, keys.address), .user = hold_one(table, keys.user)};
    atomic_fetch_add_explicit(&table->held, 1, memory_order_relaxed);
    return delay_ms;
}

void slow_down_release(struct slow_down *table, struct slow_down_hold *hold)
{
    if (!hold->held)
        return;
    release_one(table, hold->address);
    release_one(table, hold->user);
    atomic_fetch_sub_explicit(&table->held, 1, memory_order_relaxed);
    *hold = (struct slow_down_hold){0};
}

void slow_down_right(struct slow_down *table, struct slow_down_keys keys)
{
    uint64_t word = 0;
    uint32_t place;

    if (LIKELY(atomic_load_explicit(&table->counted, memory_order_relaxed) == 0))
        return;
    place = find(table, keys.user, &word);
    while (place != NO_PLACE && is_of(word, keys.user) && wrong_in(word) != 0 &&
           !change(word_at(table, place), &word, word & ~(uint64_t)WRONG_MAX))
        ;
}
