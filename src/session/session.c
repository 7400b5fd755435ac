/* SPDX-License-Identifier: MIT */
#include "session/session.h"

#include "base/hash.h"
#include "base/mem.h"

#define INDEX_FIRST 64u

void session_table_init(struct session_table *table, uint16_t shard)
{
    *table = (struct session_table){.shard = shard};
}

void session_table_fini(struct session_table *table)
{
    ASSERT(table->count == 0);
    mem_free(table->slots);
    mem_free(table->generations);
    mem_free(table->free_slots);
    mem_free(table->index);
    *table = (struct session_table){0};
}

static uint64_t identifier_hash(struct span client_identifier)
{
    return hash64(client_identifier.data, client_identifier.len);
}

/* An index element: the hash's upper half to compare, the slot to look at. Where it belongs follows
 * from the upper half too, so that the table can be rebuilt and compacted without the identifiers.
 */
static uint64_t element_of(uint64_t hash, uint32_t slot)
{
    return (hash & 0xffffffff00000000u) | (slot + 1);
}

static uint32_t home_of(const struct session_table *table, uint64_t element)
{
    return (uint32_t)(element >> 32) & (table->index_capacity - 1);
}

static uint32_t index_find(const struct session_table *table, struct span client_identifier)
{
    uint64_t hash = identifier_hash(client_identifier);
    uint32_t mask = table->index_capacity - 1;

    if (table->index_capacity == 0)
        return UINT32_MAX;
    for (uint32_t i = (uint32_t)(hash >> 32) & mask; table->index[i] != 0; i = (i + 1) & mask) {
        if ((table->index[i] ^ hash) >> 32 == 0) {
            uint32_t slot = (uint32_t)table->index[i] - 1;

            if (span_equal(session_client_identifier(table->slots[slot]), client_identifier))
                return i;
        }
    }
    return UINT32_MAX;
}

static void index_put(struct session_table *table, uint64_t element)
{
    uint32_t mask = table->index_capacity - 1;
    uint32_t i = home_of(table, element);

    while (table->index[i] != 0)
        i = (i + 1) & mask;
    table->index[i] = element;
}

static bool index_grow(struct session_table *table)
{
    uint32_t old_capacity = table->index_capacity;
    uint64_t *old = table->index;
    uint32_t capacity = old_capacity == 0 ? INDEX_FIRST : old_capacity * 2;
    uint64_t *index = mem_try_zalloc(capacity * sizeof(*index));

    if (index == NULL)
        return false;
    table->index = index;
    table->index_capacity = capacity;
    for (uint32_t i = 0; i < old_capacity; i++)
        if (old[i] != 0)
            index_put(table, old[i]);
    mem_free(old);
    return true;
}

/* Backward-shift deletion: no tombstones, so churn does not slow the table down. */
static void index_remove(struct session_table *table, uint32_t hole)
{
    uint32_t mask = table->index_capacity - 1;
    uint32_t i = hole;

    for (;;) {
        uint32_t home;

        i = (i + 1) & mask;
        if (table->index[i] == 0)
            break;
        home = home_of(table, table->index[i]);
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            table->index[hole] = table->index[i];
            hole = i;
        }
    }
    table->index[hole] = 0;
}

struct session *session_table_find(const struct session_table *table, struct span client_identifier)
{
    uint32_t i = index_find(table, client_identifier);

    return i == UINT32_MAX ? NULL : table->slots[(uint32_t)table->index[i] - 1];
}

struct session *session_table_get(const struct session_table *table, struct session_handle handle)
{
    if (handle.shard != table->shard || handle.slot >= table->slot_count ||
        table->generations[handle.slot] != handle.generation)
        return NULL;
    return table->slots[handle.slot];
}

static bool slots_grow(struct session_table *table)
{
    uint32_t capacity = table->slot_capacity == 0 ? INDEX_FIRST : table->slot_capacity * 2;
    struct session **slots = mem_try_realloc(table->slots, capacity * sizeof(*slots));
    uint16_t *generations;
    uint32_t *free_slots;

    if (slots == NULL)
        return false;
    table->slots = slots;
    generations = mem_try_realloc(table->generations, capacity * sizeof(*generations));
    if (generations == NULL)
        return false;
    table->generations = generations;
    free_slots = mem_try_realloc(table->free_slots, capacity * sizeof(*free_slots));
    if (free_slots == NULL)
        return false;
    table->free_slots = free_slots;
    memset(generations + table->slot_capacity, 0,
           (capacity - table->slot_capacity) * sizeof(*generations));
    table->slot_capacity = capacity;
    return true;
}

struct session *session_table_create(struct session_table *table, struct span client_identifier)
{
    struct session *session;
    uint32_t slot;

    if ((table->count + 1) * 4 > table->index_capacity * 3 && !index_grow(table))
        return NULL;
    if (table->free_count == 0 && table->slot_count == table->slot_capacity && !slots_grow(table))
        return NULL;
    session = mem_try_zalloc(sizeof(*session) + client_identifier.len);
    if (session == NULL)
        return NULL;
    slot = table->free_count > 0 ? table->free_slots[--table->free_count] : table->slot_count++;
    memcpy(session->client_identifier, client_identifier.data, client_identifier.len);
    session->client_identifier_len = (uint16_t)client_identifier.len;
    session->handle = (struct session_handle){slot, table->generations[slot], table->shard};
    session->serial = ++table->serial;
    table->slots[slot] = session;
    index_put(table, element_of(identifier_hash(client_identifier), slot));
    table->count++;
    return session;
}

void session_table_destroy(struct session_table *table, struct session *session)
{
    uint32_t i = index_find(table, session_client_identifier(session));
    uint32_t slot = session->handle.slot;

    ASSERT(i != UINT32_MAX && table->slots[slot] == session);
    index_remove(table, i);
    table->slots[slot] = NULL;
    table->generations[slot]++;
    table->free_slots[table->free_count++] = slot;
    table->count--;
    mem_free(session->subscriptions);
    mem_free(session->username);
    mem_free(session);
}

struct session *session_table_next(const struct session_table *table, uint32_t *cursor)
{
    while (*cursor < table->slot_count) {
        struct session *session = table->slots[(*cursor)++];

        if (session != NULL)
            return session;
    }
    return NULL;
}

bool session_add_subscription(struct session *session, struct topic_filter *filter,
                              struct membership *membership)
{
    if (session->subscription_count == session->subscription_capacity) {
        uint32_t capacity =
            session->subscription_capacity == 0 ? 1 : session->subscription_capacity * 2;
        void *grown =
            mem_try_realloc(session->subscriptions, capacity * sizeof(*session->subscriptions));

        if (grown == NULL)
            return false;
        session->subscriptions = grown;
        session->subscription_capacity = capacity;
    }
    session->subscriptions[session->subscription_count++] =
        (struct session_subscription){filter, membership};
    return true;
}

void session_remove_subscription(struct session *session, const struct topic_filter *filter,
                                 const struct membership *membership)
{
    for (uint32_t i = 0; i < session->subscription_count; i++) {
        struct session_subscription *at = &session->subscriptions[i];

        if (at->filter == filter && at->membership == membership) {
            *at = session->subscriptions[--session->subscription_count];
            return;
        }
    }
    UNREACHABLE("a subscription that the session does not know");
}
