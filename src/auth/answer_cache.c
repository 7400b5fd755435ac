/* SPDX-License-Identifier: MIT */
#include "auth/answer_cache.h"

#include "base/check.h"
#include "base/mem.h"

#include <openssl/hmac.h>

struct entry {
    struct answer_key key;
    uint64_t until_ms; /* 0: free */
    uint8_t answer;
};

struct answer_cache {
    HMAC_CTX keyed; /* with the secret; copied for each question */
    uint32_t mask;  /* of sets */
    struct entry entries[];
};

struct answer_cache *answer_cache_create(uint32_t answers, const uint8_t secret[32])
{
    struct answer_cache *cache;
    uint32_t sets = 1;

    while (sets * ANSWER_SET < answers && sets < UINT32_MAX / 2 / ANSWER_SET)
        sets *= 2;
    cache = mem_try_zalloc(sizeof(*cache) + (size_t)sets * ANSWER_SET * sizeof(struct entry));
    if (cache == NULL)
        return NULL;
    cache->mask = sets - 1;
    HMAC_CTX_init(&cache->keyed);
    if (HMAC_Init_ex(&cache->keyed, secret, 32, EVP_sha256(), NULL) == 1)
        return cache;
    answer_cache_destroy(cache);
    return NULL;
}

void answer_cache_destroy(struct answer_cache *cache)
{
    if (cache == NULL)
        return;
    HMAC_CTX_cleanup(&cache->keyed);
    mem_free(cache);
}

struct answer_key answer_cache_key(const struct answer_cache *cache, uint8_t kind,
                                   struct span question)
{
    uint8_t hash[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    struct answer_key key;
    HMAC_CTX context;

    HMAC_CTX_init(&context);
    if (HMAC_CTX_copy_ex(&context, &cache->keyed) != 1 || HMAC_Update(&context, &kind, 1) != 1 ||
        HMAC_Update(&context, question.data, question.len) != 1 ||
        HMAC_Final(&context, hash, &len) != 1)
        panic(__FILE__, __LINE__, "SHA-256 failed");
    HMAC_CTX_cleanup(&context);
    memcpy(key.bytes, hash, sizeof(key.bytes));
    return key;
}

static uint32_t set_of(const struct answer_cache *cache, const struct answer_key *key)
{
    uint32_t number;

    memcpy(&number, key->bytes, sizeof(number));
    return (number & cache->mask) * ANSWER_SET;
}

bool answer_cache_find(const struct answer_cache *cache, const struct answer_key *key,
                       uint64_t now_ms, uint8_t *answer)
{
    const struct entry *set = &cache->entries[set_of(cache, key)];

    for (unsigned i = 0; i < ANSWER_SET; i++) {
        if (set[i].until_ms > now_ms && memcmp(&set[i].key, key, sizeof(*key)) == 0) {
            *answer = set[i].answer;
            return true;
        }
    }
    return false;
}

void answer_cache_put(struct answer_cache *cache, const struct answer_key *key, uint64_t until_ms,
                      uint8_t answer)
{
    struct entry *set = &cache->entries[set_of(cache, key)], *to = set;

    for (unsigned i = 0; i < ANSWER_SET; i++) {
        if (memcmp(&set[i].key, key, sizeof(*key)) == 0) {
            to = &set[i];
            break;
        }
        if (set[i].until_ms < to->until_ms)
            to = &set[i];
    }
    *to = (struct entry){*key, until_ms, answer};
}
