/* SPDX-License-Identifier: MIT
 *
 * collector - one list out of the parts of all shards.
 *
 *                  count                      list
 *   shard 0   query ------> n0 --+   query ------> batch, batch, complete
 *   shard 1   query ------> n1 --+   query ------> batch (waits here) ....... batch, complete
 *   shard 2   query ------> n2 --+   query ------> batch (waits here) ......................... batch, complete
 *                                                                                              done()
 *
 * Each shard is asked at once and makes its first batch while the others make theirs; the batches are handed to the
 * receiver in the order of the shards. One that is not at its turn yet stays with the collector and its query is not
 * sent off again, so a list takes no more memory than one batch for each shard, and a receiver that pauses stops it.
 *
 * A page needs to know how many records there are before it on each shard. They are counted first, which costs the
 * shards much less than copying, and then every shard is asked for its part of the page alone.
 *
 * Invariants
 *   I1  a query is at its shard (`away`) or with the collector, and its shard's turn to be read is `current`
 *   I2  the receiver gets the batches of a shard in the order in which they were made, and those of shard k before
 *       those of shard k + 1
 *   I3  at most COLLECTORS_RUNNING are at work when another one begins; the others wait in the order in which they
 *       came. One whose receiver has paused is not at work: it asks nothing of the shards
 *   I4  done() is called once, unless the receiver has stopped the collector or collector_cancel() was called
 */
#include "broker/collector.h"

#include "broker/broker_priv.h"

/* A shard's part. Owner: shard (the control shard). */
struct collector_part {
    struct collector *collector;
    struct query *query; /* with us; NULL while it is away or over */
    struct errand_handle handle;
    bool away, over;
    uint64_t count, skip, limit;
};

struct collector {
    struct list node; /* broker->collectors: at work, then those that wait */
    struct broker *broker;
    struct collector_receiver receiver;
    struct collector_plan plan;                                 /* without the terms' texts */
    bool counting, paused, handing, started, running, starting; /* running: counted (I3) */
    bool failed; /* before collector_start() returned */
    uint64_t count;
    unsigned shards, current;
    struct collector_part parts[];
};

static void start_next(struct broker *broker);

/* I3 */
static void set_running(struct collector *collector, bool running)
{
    if (collector->running == running)
        return;
    collector->running = running;
    if (running)
        collector->broker->collectors_running++;
    else
        collector->broker->collectors_running--;
}

static void free_collector(struct collector *collector)
{
    struct broker *broker = collector->broker;

    for (unsigned i = 0; i < collector->shards; i++) {
        struct collector_part *part = &collector->parts[i];

        if (part->away)
            errand_cancel(broker, part->handle);
        if (part->query != NULL)
            errand_free(broker, &part->query->errand);
    }
    list_remove(&collector->node);
    set_running(collector, false);
    mem_free(collector);
    start_next(broker);
}

static void end(struct collector *collector, enum collector_end how)
{
    if (collector->starting) { /* the caller learns it from the result */
        collector->failed = true;
        return;
    }
    collector->receiver.done(collector->receiver.argument, how); /* I4; may ask for the count */
    free_collector(collector);
}

static void came_back(void *argument, struct errand *errand);

/* Sends the part's query to its shard. False: the collector has ended. */
static bool send_part(struct collector *collector, unsigned shard)
{
    struct collector_part *part = &collector->parts[shard];
    struct query *query = part->query;

    part->query = NULL;
    part->away = errand_send(collector->broker, shard, &query->errand, COLLECTOR_WAIT_MS, came_back,
                             part, &part->handle);
    if (!part->away)
        end(collector, COLLECTOR_NO_MEMORY);
    return part->away;
}

static bool all_home(const struct collector *collector)
{
    for (unsigned i = 0; i < collector->shards; i++)
        if (collector->parts[i].away)
            return false;
    return true;
}

/* ---- listing ---- */

static void part_over(struct collector *collector, struct collector_part *part)
{
    if (part->query != NULL)
        errand_free(collector->broker, &part->query->errand);
    part->query = NULL;
    part->over = true;
}

/* Gives the receiver the records of a query. False: the collector is gone. */
static bool hand_batch(struct collector *collector, struct query *query)
{
    enum collector_verdict verdict = COLLECTOR_MORE;

    if (query->records_len > 0) {
        collector->handing = true;
        verdict = collector->receiver.batch(collector->receiver.argument, query);
        collector->handing = false;
    }
    query_next(query);
    if (verdict == COLLECTOR_PAUSE) {
        collector->paused = true;
        set_running(collector, false);
    }
    if (verdict != COLLECTOR_STOP)
        return true;
    free_collector(collector);
    return false;
}

/* Hands over what has come, in order, as far as the receiver takes it. */
static void hand_over(struct collector *collector)
{
    while (!collector->paused && collector->current < collector->shards) {
        struct collector_part *part = &collector->parts[collector->current];

        if (part->over) {
            collector->current++;
            continue;
        }
        if (part->away)
            return;
        if (!hand_batch(collector, part->query))
            return;
        if (part->query->complete)
            part_over(collector, part);
        else if (!collector->paused && !send_part(collector, collector->current))
            return;
    }
    if (collector->current == collector->shards)
        end(collector, COLLECTOR_COMPLETE);
    else if (collector->paused)
        start_next(collector->broker);
}

/* How much of the list each shard has, from the counts. */
static void share_out(struct collector *collector)
{
    uint64_t skip = collector->plan.skip, limit = collector->plan.limit;

    for (unsigned i = 0; i < collector->shards; i++) {
        struct collector_part *part = &collector->parts[i];
        uint64_t passed = skip < part->count ? skip : part->count, left = part->count - passed;

        part->skip = passed;
        part->limit = limit < left ? limit : left;
        skip -= passed;
        if (limit != QUERY_ALL)
            limit -= part->limit;
    }
}

static void begin_list(struct collector *collector)
{
    collector->counting = false;
    for (unsigned i = 0; i < collector->shards; i++)
        collector->count += collector->parts[i].count;
    share_out(collector);
    for (unsigned i = 0; i < collector->shards; i++) {
        struct collector_part *part = &collector->parts[i];

        if (part->over || part->limit == 0) {
            part_over(collector, part);
            continue;
        }
        query_rewind(part->query);
        part->query->skip = part->skip;
        part->query->limit = part->limit;
        if (!send_part(collector, i))
            return;
    }
    hand_over(collector);
}

static void counted(struct collector *collector, struct collector_part *part)
{
    if (!part->query->complete) {
        send_part(collector, (unsigned)(part - collector->parts));
        return;
    }
    part->count = part->query->count;
    if (all_home(collector))
        begin_list(collector);
}

static void came_back(void *argument, struct errand *errand)
{
    struct collector_part *part = argument;
    struct collector *collector = part->collector;

    part->away = false;
    if (errand == NULL) {
        LOG_WARN("shard %u did not answer in time", (unsigned)(part - collector->parts));
        end(collector, COLLECTOR_LATE);
        return;
    }
    part->query = query_of(errand);
    if (part->query->no_memory)
        end(collector, COLLECTOR_NO_MEMORY);
    else if (collector->counting)
        counted(collector, part);
    else
        hand_over(collector);
}

/* ---- begin and end ---- */

static void start(struct collector *collector)
{
    collector->started = true;
    set_running(collector, true);
    for (unsigned i = 0; i < collector->shards; i++)
        if (!collector->parts[i].over && !send_part(collector, i))
            return;
    if (all_home(collector)) /* nobody was to be asked */
        hand_over(collector);
}

/* I3 */
static void start_next(struct broker *broker)
{
    struct list *node = broker->collectors.next;

    while (node != &broker->collectors && broker->collectors_running < COLLECTORS_RUNNING) {
        struct collector *collector = LIST_ENTRY(node, struct collector, node);

        node = node->next;
        if (!collector->started) {
            start(collector); /* may end it, and start others */
            node = broker->collectors.next;
        }
    }
}

/* Which shards can have what is asked for. */
static bool concerns(const struct broker *broker, const struct query_terms *terms, unsigned shard)
{
    if (terms->list == QUERY_RETAINED)
        return filter_parse(terms->filter, UINT32_MAX).form != FILTER_EXACT ||
               query_retained_owner(terms->filter, broker->shard_count) == shard;
    return terms->client_identifier.data == NULL ||
           broker_home_shard(terms->client_identifier, broker->shard_count) == shard;
}

static bool make_parts(struct collector *collector, const struct query_terms *terms)
{
    for (unsigned i = 0; i < collector->shards; i++) {
        struct collector_part *part = &collector->parts[i];

        part->collector = collector;
        part->over = !concerns(collector->broker, terms, i);
        if (part->over)
            continue;
        part->query = query_create(terms);
        if (part->query == NULL)
            return false;
        part->query->count_only = collector->counting;
        part->query->limit = collector->plan.limit;
    }
    return true;
}

struct collector *collector_start(struct broker *broker, const struct collector_plan *plan,
                                  const struct collector_receiver *receiver)
{
    unsigned shards = broker->shard_count;
    struct collector *collector =
        mem_try_zalloc(sizeof(*collector) + shards * sizeof(collector->parts[0]));

    ASSERT(broker->is_control);
    if (collector == NULL)
        return NULL;
    collector->broker = broker;
    collector->receiver = *receiver;
    collector->plan = *plan;
    collector->shards = shards;
    collector->counting = plan->count || plan->skip > 0 || plan->limit != QUERY_ALL;
    list_init(&collector->node);
    if (!make_parts(collector, &plan->terms)) {
        free_collector(collector);
        return NULL;
    }
    list_append(&broker->collectors, &collector->node);
    collector->starting = true;
    start_next(broker);
    collector->starting = false;
    if (!collector->failed)
        return collector;
    free_collector(collector);
    return NULL;
}

uint64_t collector_count(const struct collector *collector)
{
    return collector->count;
}

void collector_go_on(struct collector *collector)
{
    ASSERT(!collector->handing);
    if (!collector->paused)
        return;
    collector->paused = false;
    set_running(collector, true);
    hand_over(collector);
}

void collector_cancel(struct collector *collector)
{
    ASSERT(!collector->handing);
    free_collector(collector);
}

void collectors_clear(struct broker *broker)
{
    struct list *node;

    broker->collectors_running = COLLECTORS_RUNNING; /* none is begun any more */
    while ((node = list_first(&broker->collectors)) != NULL) {
        struct collector *collector = LIST_ENTRY(node, struct collector, node);

        set_running(collector, false);
        broker->collectors_running = COLLECTORS_RUNNING;
        free_collector(collector);
    }
}
