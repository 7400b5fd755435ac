/* SPDX-License-Identifier: MIT */
#include "auth/slow_down.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"

#include <sys/socket.h>

#define BUCKETS  512u /* a power of two; with eight places each, 4,096 keys */
#define PLACES   8u
#define IPV6_NET 8u /* bytes */

struct slow_down {
    struct place {
        uint64_t key; /* 0: free */
        uint64_t last_ms;
        uint32_t wrong, held;
    } places[BUCKETS * PLACES];
};

struct slow_down *slow_down_create(void)
{
    return mem_try_zalloc(sizeof(struct slow_down));
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

static struct place *bucket_of(const struct slow_down *table, uint64_t key)
{
    return (struct place *)(uintptr_t)&table->places[(key >> 32 & (BUCKETS - 1)) * PLACES];
}

static struct place *find(const struct slow_down *table, uint64_t key)
{
    struct place *bucket = bucket_of(table, key);

    for (unsigned i = 0; key != 0 && i < PLACES; i++)
        if (bucket[i].key == key)
            return &bucket[i];
    return NULL;
}

/* Its place, or the one that gives way; NULL: all have answers that are held back. */
static struct place *take(struct slow_down *table, uint64_t key)
{
    struct place *place = find(table, key), *bucket = bucket_of(table, key), *gives_way = NULL;

    if (place != NULL)
        return place;
    for (unsigned i = 0; i < PLACES; i++) {
        if (bucket[i].held != 0)
            continue;
        /* a free one was quiet since the beginning */
        if (gives_way == NULL || bucket[i].last_ms < gives_way->last_ms)
            gives_way = &bucket[i];
    }
    if (gives_way != NULL)
        *gives_way = (struct place){.key = key};
    return gives_way;
}

bool slow_down_may_try(const struct slow_down *table, struct slow_down_keys keys,
                       const struct slow_down_rule *rule)
{
    const struct place *address = find(table, keys.address), *user = find(table, keys.user);

    return (address == NULL || address->held < rule->held) &&
           (user == NULL || user->held < rule->held);
}

/* One more wrong one of that key; how many there were. */
static uint32_t count(struct place *place, const struct slow_down_rule *rule, uint64_t now_ms)
{
    if (place == NULL)
        return UINT32_MAX; /* a crowd that is held back altogether */
    if (now_ms - place->last_ms > rule->forget_ms)
        place->wrong = 0;
    place->last_ms = now_ms;
    if (place->wrong < UINT32_MAX)
        place->wrong++;
    return place->wrong;
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

/* The other key may have got its place meanwhile. */
static void hold(struct place *place, uint64_t key)
{
    if (place != NULL && place->key == key)
        place->held++;
}

uint64_t slow_down_wrong(struct slow_down *table, struct slow_down_keys keys,
                         const struct slow_down_rule *rule, uint64_t now_ms)
{
    struct place *address, *user;
    uint32_t of_address, of_user;
    uint64_t delay_ms;

    if (rule->delay_ms == 0)
        return 0; /* switched off: nothing is counted either */
    address = keys.address != 0 ? take(table, keys.address) : NULL;
    of_address = keys.address != 0 ? count(address, rule, now_ms) : 0;
    user = keys.user != 0 ? take(table, keys.user) : NULL;
    of_user = keys.user != 0 ? count(user, rule, now_ms) : 0;
    delay_ms = delay_of(of_user > of_address ? of_user : of_address, rule);
    if (delay_ms == 0)
        return 0;
    hold(address, keys.address);
    hold(user, keys.user);
    return delay_ms;
}

static void release(struct slow_down *table, uint64_t key)
{
    struct place *place = find(table, key);

    if (place != NULL && place->held != 0) /* it may have had no place when it was held back */
        place->held--;
}

void slow_down_release(struct slow_down *table, struct slow_down_keys keys)
{
    release(table, keys.address);
    release(table, keys.user);
}

void slow_down_right(struct slow_down *table, struct slow_down_keys keys)
{
    struct place *user = find(table, keys.user);

    if (user != NULL)
        user->wrong = 0;
}
