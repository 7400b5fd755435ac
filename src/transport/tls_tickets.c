/* SPDX-License-Identifier: MIT
 *
 * tls_tickets - the keys of session tickets, read by every shard, changed by one thread.
 *
 *   slots   [ former | current | next | oldest ]      `current` moves one to the right and around
 *
 * Invariants
 *   I1  only the writer stores; it fills the slot behind `current` and then moves `current` to it
 *   I2  a reader looks at `current` and the slot before it only. The slot that the writer fills next is
 *       two rotations away from both: a reader that was stopped for so long finds a key that fails to
 *       open the ticket, and its client shakes hands in full
 *   I3  keys are random and forgotten after three rotations: a ticket cannot be opened later by
 *       whoever reads the memory then
 */
#include "transport/transport_priv.h"

#include "base/check.h"
#include "base/mem.h"

#include <openssl/mem.h>
#include <openssl/rand.h>

#include <stdatomic.h>
#include <string.h>

#define SLOTS     4u
#define KEY_WORDS (sizeof(struct tls_ticket_key) / sizeof(uint64_t))

struct tls_tickets {
    _Atomic uint32_t current;
    _Atomic uint64_t keys[SLOTS][KEY_WORDS];
};

static void fill(struct tls_tickets *tickets, uint32_t slot)
{
    uint64_t words[KEY_WORDS];

    RAND_bytes((uint8_t *)words, sizeof(words)); /* aborts rather than fail */
    for (unsigned i = 0; i < KEY_WORDS; i++)
        atomic_store_explicit(&tickets->keys[slot][i], words[i], memory_order_relaxed);
    OPENSSL_cleanse(words, sizeof(words));
}

static void read_key(const struct tls_tickets *tickets, uint32_t slot, struct tls_ticket_key *key)
{
    uint64_t words[KEY_WORDS];

    for (unsigned i = 0; i < KEY_WORDS; i++)
        words[i] = atomic_load_explicit(&tickets->keys[slot][i], memory_order_relaxed);
    memcpy(key, words, sizeof(*key));
    OPENSSL_cleanse(words, sizeof(words));
}

struct tls_tickets *tls_tickets_create(void)
{
    struct tls_tickets *tickets = mem_zalloc_aligned(sizeof(*tickets));

    for (uint32_t slot = 0; slot < SLOTS; slot++)
        fill(tickets, slot);
    return tickets;
}

void tls_tickets_destroy(struct tls_tickets *tickets)
{
    if (tickets == NULL)
        return;
    OPENSSL_cleanse(tickets, sizeof(*tickets));
    mem_free(tickets);
}

void tls_tickets_rotate(struct tls_tickets *tickets)
{
    uint32_t next = (atomic_load_explicit(&tickets->current, memory_order_relaxed) + 1) % SLOTS;

    fill(tickets, next); /* I1 */
    atomic_store_explicit(&tickets->current, next, memory_order_release);
}

_Static_assert(TLS_TICKETS_BYTES == (1 + SLOTS * KEY_WORDS) * sizeof(uint64_t), "all of it");

void tls_tickets_save(const struct tls_tickets *tickets, uint8_t to[TLS_TICKETS_BYTES])
{
    uint64_t words[1 + SLOTS * KEY_WORDS];

    words[0] = atomic_load_explicit(&tickets->current, memory_order_acquire);
    for (unsigned i = 0; i < SLOTS * KEY_WORDS; i++)
        words[1 + i] = atomic_load_explicit(&tickets->keys[i / KEY_WORDS][i % KEY_WORDS],
                                            memory_order_relaxed);
    memcpy(to, words, sizeof(words));
    OPENSSL_cleanse(words, sizeof(words));
}

void tls_tickets_load(struct tls_tickets *tickets, const uint8_t from[TLS_TICKETS_BYTES])
{
    uint64_t words[1 + SLOTS * KEY_WORDS];

    memcpy(words, from, sizeof(words));
    for (unsigned i = 0; i < SLOTS * KEY_WORDS; i++)
        atomic_store_explicit(&tickets->keys[i / KEY_WORDS][i % KEY_WORDS], words[1 + i],
                              memory_order_relaxed);
    atomic_store_explicit(&tickets->current, (uint32_t)(words[0] % SLOTS), memory_order_release);
    OPENSSL_cleanse(words, sizeof(words));
}

void tls_tickets_current(const struct tls_tickets *tickets, struct tls_ticket_key *key)
{
    read_key(tickets, atomic_load_explicit(&tickets->current, memory_order_acquire), key);
}

int tls_tickets_find(const struct tls_tickets *tickets, const uint8_t *name,
                     struct tls_ticket_key *key)
{
    uint32_t current = atomic_load_explicit(&tickets->current, memory_order_acquire);

    for (uint32_t age = 0; age < 2; age++) {
        read_key(tickets, (current + SLOTS - age) % SLOTS, key);
        if (CRYPTO_memcmp(key->name, name, sizeof(key->name)) == 0)
            return age == 0 ? 1 : 2;
    }
    return 0;
}
