/* SPDX-License-Identifier: MIT
 *
 * banned - the bans in the form in which shards look them up: a snapshot that never changes (class: boot). The control
 * shard makes a new one for every change and hands it round (shards/snapshot.h, shards/bans.h).
 *
 * All kinds are in one hash table, open addressing at most half full: a key is the kind, the length of the prefix and
 * the bytes. An address is looked up once for each length of prefix that some ban has, which are few: whole addresses
 * and a handful of networks.
 *
 *   10.1.2.3 --/32--> 10.1.2.3? --/24--> 10.1.2.0? --/8--> 10.0.0.0?
 *
 * With no bans at all a connection costs one comparison with NULL.
 *
 * Rejected: a trie of addresses. It is faster for very many lengths of prefix and slower for everything else.
 */
#include "broker/banned.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"

#include <sys/socket.h>

struct entry {
    uint64_t until_ms;
    const uint8_t *bytes;
    uint32_t len;
    uint8_t kind, prefix;
};

/* Class: boot. */
struct banned {
    uint64_t
        prefixes[2][3]; /* of IPv4, of IPv6: bit n is set when some ban has that length of prefix */
    uint32_t count, mask;
    uint32_t *table; /* index of the entry + 1; 0: empty */
    uint8_t *bytes;
    struct entry entries[];
};

static uint64_t hash_key(unsigned kind, unsigned prefix, struct span bytes)
{
    return hash64(bytes.data, bytes.len) ^ ((uint64_t)kind << 8 | prefix) * 0x9e3779b97f4a7c15u;
}

static void insert(struct banned *banned, uint32_t index)
{
    const struct entry *entry = &banned->entries[index];
    uint64_t hash = hash_key(entry->kind, entry->prefix, span_of(entry->bytes, entry->len));
    uint32_t at = (uint32_t)hash & banned->mask;

    while (banned->table[at] != 0)
        at = (at + 1) & banned->mask;
    banned->table[at] = index + 1;
}

struct banned *banned_create(const struct ban_key *keys, uint32_t count)
{
    struct banned *banned = mem_zalloc(sizeof(*banned) + count * sizeof(struct entry));
    uint32_t capacity = 8;
    size_t total = 0;
    uint8_t *to;

    while (capacity < 2 * (uint64_t)count)
        capacity *= 2;
    for (uint32_t i = 0; i < count; i++)
        total += keys[i].bytes.len;
    banned->count = count;
    banned->mask = capacity - 1;
    banned->table = mem_zalloc(capacity * sizeof(uint32_t));
    banned->bytes = to = mem_alloc(total + 1);
    for (uint32_t i = 0; i < count; i++) {
        const struct ban_key *key = &keys[i];

        if (key->bytes.len > 0)
            memcpy(to, key->bytes.data, key->bytes.len);
        banned->entries[i] = (struct entry){.until_ms = key->until_ms,
                                            .bytes = to,
                                            .len = key->bytes.len,
                                            .kind = (uint8_t)key->kind,
                                            .prefix = key->prefix};
        to += key->bytes.len;
        if (key->kind == BAN_ADDRESS)
            banned->prefixes[key->bytes.len == 16][key->prefix / 64] |= (uint64_t)1
                                                                        << key->prefix % 64;
        insert(banned, i);
    }
    return banned;
}

void banned_destroy(struct banned *banned)
{
    if (banned == NULL)
        return;
    mem_free(banned->table);
    mem_free(banned->bytes);
    mem_free(banned);
}

static bool has(const struct banned *banned, enum ban_kind kind, unsigned prefix, struct span bytes,
                uint64_t wall_ms)
{
    uint32_t at = (uint32_t)hash_key(kind, prefix, bytes) & banned->mask;

    for (; banned->table[at] != 0; at = (at + 1) & banned->mask) {
        const struct entry *entry = &banned->entries[banned->table[at] - 1];

        if (entry->kind == kind && entry->prefix == prefix &&
            span_equal(span_of(entry->bytes, entry->len), bytes))
            return wall_ms < entry->until_ms;
    }
    return false;
}

uint32_t banned_address_bytes(const struct peer_address *peer, uint8_t to[16])
{
    static const uint8_t mapped[12] = {[10] = 0xFF, [11] = 0xFF};

    if (peer->family == AF_INET) {
        memcpy(to, peer->bytes, 4);
        return 4;
    }
    if (peer->family != AF_INET6)
        return 0;
    if (memcmp(peer->bytes, mapped, sizeof(mapped)) == 0) {
        memcpy(to, peer->bytes + 12, 4);
        return 4;
    }
    memcpy(to, peer->bytes, 16);
    return 16;
}

void banned_mask(uint8_t *bytes, uint32_t len, unsigned prefix)
{
    for (uint32_t i = 0; i < len; i++) {
        unsigned keep = prefix > 8 * i ? prefix - 8 * i : 0;

        if (keep < 8)
            bytes[i] &= (uint8_t)(0xFF00u >> keep);
    }
}

/* The next longest prefix below `below` that some ban has; -1: none. */
static int shorter_prefix(const uint64_t prefixes[3], int below)
{
    for (int prefix = below - 1; prefix >= 0; prefix--) {
        if (prefixes[prefix / 64] >> prefix % 64 & 1)
            return prefix;
    }
    return -1;
}

bool banned_address(const struct banned *banned, const struct peer_address *peer, uint64_t wall_ms)
{
    uint8_t bytes[16];
    uint32_t len = banned != NULL ? banned_address_bytes(peer, bytes) : 0;
    const uint64_t *prefixes;

    if (len == 0)
        return false;
    prefixes = banned->prefixes[len == 16];
    /* from long to short, so that the bits that go never come back */
    for (int prefix = shorter_prefix(prefixes, 129); prefix >= 0;
         prefix = shorter_prefix(prefixes, prefix)) {
        banned_mask(bytes, len, (unsigned)prefix);
        if (has(banned, BAN_ADDRESS, (unsigned)prefix, span_of(bytes, len), wall_ms))
            return true;
    }
    return false;
}

const char *banned_client(const struct banned *banned, struct span client_identifier,
                          struct span username, const struct peer_address *peer, uint64_t wall_ms)
{
    if (banned == NULL || banned->count == 0)
        return NULL;
    if (has(banned, BAN_CLIENT_IDENTIFIER, 0, client_identifier, wall_ms))
        return "the client identifier is banned";
    if (username.data != NULL && has(banned, BAN_USERNAME, 0, username, wall_ms))
        return "the user name is banned";
    return banned_address(banned, peer, wall_ms) ? "the address is banned" : NULL;
}
