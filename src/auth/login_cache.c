/* SPDX-License-Identifier: MIT */
#include "auth/login_cache.h"

#include "base/check.h"
#include "base/mem.h"

#include <openssl/rand.h>
#include <openssl/siphash.h>

#define WAYS       4u
#define TEXT_ROOM  512u /* user name and password that need no allocation */
#define LEN_PREFIX 4u

struct login_cache {
    uint32_t mask;
    struct login_entry {
        struct login_key key;
        uint64_t until_ms; /* 0: empty */
    } entries[];
};

void login_secret_make(struct login_secret *secret)
{
    if (RAND_bytes((uint8_t *)secret, sizeof(*secret)) != 1)
        panic(__FILE__, __LINE__, "no random bytes");
}

/* The user name's length goes in front: "ab" with "c" is not "a" with "bc". */
struct login_key login_key_of(const struct login_secret *secret, struct span username,
                              struct span password)
{
    uint8_t small[TEXT_ROOM], *text = small;
    size_t len = LEN_PREFIX + username.len + password.len;
    struct login_key key;

    if (len > sizeof(small))
        text = mem_alloc(len); /* both came in a CONNECT, so it is bounded */
    memcpy(text, &username.len, LEN_PREFIX);
    if (username.len != 0)
        memcpy(text + LEN_PREFIX, username.data, username.len);
    if (password.len != 0)
        memcpy(text + LEN_PREFIX + username.len, password.data, password.len);
    key.words[0] = SIPHASH_24(secret->keys[0], text, len);
    key.words[1] = SIPHASH_24(secret->keys[1], text, len);
    mem_wipe(text, len);
    if (text != small)
        mem_free(text);
    return key;
}

static uint64_t chain(const struct login_secret *secret, uint64_t hash, const void *data,
                      size_t len)
{
    uint64_t words[2] = {hash, SIPHASH_24(secret->keys[0], data, len)};

    return SIPHASH_24(secret->keys[1], (const uint8_t *)words, sizeof(words));
}

uint64_t login_fingerprint(const struct login_secret *secret, const struct password *stored)
{
    const uint32_t numbers[] = {(uint32_t)stored->kind, stored->log_n,    stored->r, stored->p,
                                stored->iterations,     stored->has_scram};
    uint64_t hash = chain(secret, 0, numbers, sizeof(numbers));

    hash = chain(secret, hash, stored->salt, stored->salt_len);
    hash = chain(secret, hash, stored->hash, stored->hash_len);
    if (stored->clear != NULL)
        hash = chain(secret, hash, stored->clear, stored->clear_len);
    if (stored->has_scram)
        hash = chain(secret, hash, stored->scram.stored_key, sizeof(stored->scram.stored_key));
    return hash | 1;
}

struct login_cache *login_cache_create(uint32_t size)
{
    uint32_t buckets = 1;
    struct login_cache *cache;

    while (buckets * WAYS < size)
        buckets *= 2;
    cache = mem_try_zalloc(sizeof(*cache) + (size_t)buckets * WAYS * sizeof(cache->entries[0]));
    if (cache != NULL)
        cache->mask = buckets - 1;
    return cache;
}

void login_cache_destroy(struct login_cache *cache)
{
    if (cache != NULL)
        mem_wipe(cache->entries, (size_t)(cache->mask + 1) * WAYS * sizeof(cache->entries[0]));
    mem_free(cache);
}

static uint32_t bucket_of(const struct login_cache *cache, struct login_key key)
{
    return ((uint32_t)key.words[0] & cache->mask) * WAYS;
}

bool login_cache_has(const struct login_cache *cache, struct login_key key, uint64_t now_ms)
{
    const struct login_entry *bucket = &cache->entries[bucket_of(cache, key)];

    for (unsigned i = 0; i < WAYS; i++)
        if (login_key_equal(bucket[i].key, key) && bucket[i].until_ms > now_ms)
            return true;
    return false;
}

void login_cache_put(struct login_cache *cache, struct login_key key, uint64_t now_ms,
                     uint64_t until_ms)
{
    struct login_entry *bucket = &cache->entries[bucket_of(cache, key)], *to = bucket;

    if (until_ms <= now_ms)
        return;
    for (unsigned i = 0; i < WAYS; i++) {
        if (login_key_equal(bucket[i].key, key)) {
            to = &bucket[i];
            break;
        }
        if (bucket[i].until_ms < to->until_ms)
            to = &bucket[i];
    }
    *to = (struct login_entry){key, until_ms};
}
