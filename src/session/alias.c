/* SPDX-License-Identifier: MIT */
#include "session/alias.h"

#include "base/check.h"
#include "base/mem.h"

struct alias_table *alias_create(uint16_t inbound_max, uint16_t outbound_max)
{
    struct alias_table *table = mem_try_zalloc(sizeof(*table));

    if (table == NULL)
        return NULL;
    table->inbound_max = inbound_max;
    table->outbound_max = outbound_max;
    return table;
}

static void free_topics(struct alias_topic *topics, unsigned count)
{
    if (topics == NULL)
        return;
    for (unsigned i = 0; i < count; i++)
        mem_free(topics[i].data);
    mem_free(topics);
}

void alias_destroy(struct alias_table *table)
{
    if (table == NULL)
        return;
    free_topics(table->inbound, table->inbound_max);
    free_topics(table->outbound, table->outbound_count);
    mem_free(table);
}

static bool set_topic(struct alias_topic *slot, struct span topic)
{
    uint8_t *data = mem_try_alloc(topic.len);

    if (data == NULL)
        return false;
    memcpy(data, topic.data, topic.len);
    mem_free(slot->data);
    slot->data = data;
    slot->len = topic.len;
    return true;
}

bool alias_learn(struct alias_table *table, uint16_t alias, struct span topic)
{
    ASSERT(alias >= 1 && alias <= table->inbound_max);
    if (table->inbound == NULL) {
        table->inbound = mem_try_zalloc(table->inbound_max * sizeof(*table->inbound));
        if (table->inbound == NULL)
            return false;
    }
    return set_topic(&table->inbound[alias - 1], topic);
}

struct span alias_topic(const struct alias_table *table, uint16_t alias)
{
    if (table->inbound == NULL || alias == 0 || alias > table->inbound_max)
        return (struct span){0};
    return span_of(table->inbound[alias - 1].data, table->inbound[alias - 1].len);
}

uint16_t alias_for_topic(struct alias_table *table, struct span topic, bool *known_out)
{
    *known_out = false;
    for (unsigned i = 0; i < table->outbound_count; i++) {
        struct alias_topic *known = &table->outbound[i];

        if (span_equal(span_of(known->data, known->len), topic)) {
            *known_out = true;
            return (uint16_t)(i + 1);
        }
    }
    if (table->outbound_count == table->outbound_max)
        return 0;
    if (table->outbound == NULL) {
        table->outbound = mem_try_zalloc(table->outbound_max * sizeof(*table->outbound));
        if (table->outbound == NULL)
            return 0;
    }
    if (!set_topic(&table->outbound[table->outbound_count], topic))
        return 0;
    table->outbound_count++;
    return table->outbound_count;
}

void alias_forget_last(struct alias_table *table)
{
    struct alias_topic *last;

    ASSERT(table->outbound_count > 0);
    last = &table->outbound[--table->outbound_count];
    mem_free(last->data);
    *last = (struct alias_topic){0};
}
