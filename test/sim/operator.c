/* SPDX-License-Identifier: MIT
 *
 * operator - somebody who asks the control broker for lists while clients come and go, and ends connections.
 *
 * A list is checked against the sessions themselves: whoever had the same session when the list was begun and when
 * it was over is in it, and nobody is in it twice. At rest, lists say exactly what there is.
 */
#include "sim.h"

#include "broker/collector.h"
#include "broker/orders.h"
#include "broker/share.h"

#define LISTED_MAX 4096u

struct snapshot {
    unsigned shard;
    uint64_t serial;
};

struct sim_operator {
    struct sim *sim;
    struct collector *collector; /* NULL: no list is under way */
    enum query_list list;
    bool whole, exact; /* every client is wanted; nothing changes meanwhile */
    bool paused;
    struct snapshot there[CLIENTS_MAX]; /* when it was begun */
    unsigned there_count;
    uint64_t hashes[LISTED_MAX]; /* of what was listed */
    unsigned count;
    uint64_t told;
    unsigned lists, orders;
};

static struct broker *control(const struct sim *sim)
{
    return sim->brokers[SIM_SHARDS(sim)];
}

static uint64_t hash_of(struct span a, struct span b)
{
    uint64_t hash = 14695981039346656037u;

    for (uint32_t i = 0; i < a.len; i++)
        hash = (hash ^ a.data[i]) * 1099511628211u;
    hash = (hash ^ 0x100) * 1099511628211u;
    for (uint32_t i = 0; i < b.len; i++)
        hash = (hash ^ b.data[i]) * 1099511628211u;
    return hash;
}

static unsigned times_listed(const struct sim_operator *asker, uint64_t hash)
{
    unsigned times = 0;

    for (unsigned i = 0; i < asker->count; i++)
        times += asker->hashes[i] == hash;
    return times;
}

static void note(struct sim_operator *asker, const struct query *query, const void *at)
{
    uint64_t hash;

    if (query->terms.list == QUERY_CLIENTS) {
        const struct client_record *record = at;

        hash = hash_of(span_of(record->text, record->client_identifier_len), (struct span){0});
    } else if (query->terms.list == QUERY_SUBSCRIPTIONS) {
        const struct subscription_record *record = at;

        hash = hash_of(span_of(record->text, record->client_identifier_len),
                       span_of(record->text + record->client_identifier_len, record->filter_len));
    } else {
        const struct retained_record *record = at;

        hash = hash_of(record->message->publication.topic, (struct span){0});
    }
    /* a topic that is cleared and stored again is another one to the scan */
    if (times_listed(asker, hash) > 0 && (query->terms.list != QUERY_RETAINED || asker->exact))
        sim_fail(asker->sim, "list %d has something twice", query->terms.list);
    ASSERT(asker->count < LISTED_MAX);
    asker->hashes[asker->count++] = hash;
}

static enum collector_verdict on_batch(void *argument, const struct query *query)
{
    struct sim_operator *asker = argument;
    const void *record = NULL;

    while ((record = query_record(query, record)) != NULL)
        note(asker, query, record);
    if (asker->exact)
        return COLLECTOR_MORE;
    if (chance(asker->sim, 5)) {
        asker->collector = NULL;
        return COLLECTOR_STOP;
    }
    asker->paused = chance(asker->sim, 30);
    return asker->paused ? COLLECTOR_PAUSE : COLLECTOR_MORE;
}

/* Those that had the same session all the time. */
static void check_who_stayed(const struct sim_operator *asker)
{
    for (unsigned shard = 0; shard < SIM_SHARDS(asker->sim); shard++) {
        struct session *session;
        uint32_t cursor = 0;

        while ((session = session_table_next(&asker->sim->brokers[shard]->sessions, &cursor)) !=
               NULL)
            for (unsigned i = 0; i < asker->there_count; i++)
                if (asker->there[i].shard == shard && asker->there[i].serial == session->serial &&
                    times_listed(
                        asker, hash_of(session_client_identifier(session), (struct span){0})) != 1)
                    sim_fail(asker->sim, "a client that was there is not in the list");
    }
}

static void on_done(void *argument, enum collector_end end)
{
    struct sim_operator *asker = argument;

    asker->told = collector_count(asker->collector);
    asker->collector = NULL;
    asker->lists++;
    if (end != COLLECTOR_COMPLETE) {
        if (asker->exact)
            sim_fail(asker->sim, "a list at rest ended with %d", end);
        return;
    }
    if (asker->list == QUERY_CLIENTS && asker->whole)
        check_who_stayed(asker);
}

static void take_snapshot(struct sim_operator *asker)
{
    asker->there_count = 0;
    for (unsigned shard = 0; shard < SIM_SHARDS(asker->sim); shard++) {
        struct session *session;
        uint32_t cursor = 0;

        while ((session = session_table_next(&asker->sim->brokers[shard]->sessions, &cursor)) !=
               NULL) {
            ASSERT(asker->there_count < CLIENTS_MAX);
            asker->there[asker->there_count++] = (struct snapshot){shard, session->serial};
        }
    }
}

static void begin(struct sim_operator *asker, const struct collector_plan *plan, bool exact)
{
    const struct collector_receiver receiver = {on_batch, on_done, asker};

    asker->list = plan->terms.list;
    asker->whole =
        plan->limit == QUERY_ALL && plan->skip == 0 && plan->terms.connected == QUERY_EITHER;
    asker->exact = exact;
    asker->paused = false;
    asker->count = 0;
    take_snapshot(asker);
    asker->collector = collector_start(control(asker->sim), plan, &receiver);
}

static void order_done(void *argument, struct errand *errand)
{
    struct sim *sim = argument;

    errand_free(control(sim), errand);
}

/* Without the end of the session: the clients' model has none that ends by itself. */
static void kick_somebody(struct sim_operator *asker)
{
    struct sim *sim = asker->sim;
    struct span identifier = span_text(sim->clients[pick(sim, sim->set.clients)].identifier);
    struct kick *kick = kick_create(identifier, MQTT_REASON_ADMINISTRATIVE_ACTION, false);

    if (kick != NULL && errand_send(control(sim), broker_home_shard(identifier, SIM_SHARDS(sim)),
                                    &kick->errand, 1000, order_done, sim, NULL))
        asker->orders++;
}

void operator_act(struct sim *sim)
{
    struct sim_operator *asker = sim->asker;
    struct collector_plan plan = {.limit = QUERY_ALL};

    if (asker->collector != NULL) {
        if (chance(sim, 5)) {
            collector_cancel(asker->collector);
            asker->collector = NULL;
        } else if (asker->paused) {
            asker->paused = false;
            collector_go_on(asker->collector);
        }
        return;
    }
    if (sim->set.trouble > 0 && chance(sim, sim->set.trouble / 3)) {
        kick_somebody(asker);
        return;
    }
    plan.terms.list = (enum query_list)pick(sim, 3);
    plan.count = chance(sim, 50);
    if (chance(sim, 30))
        plan.skip = pick(sim, 5);
    if (chance(sim, 30))
        plan.limit = pick(sim, 5);
    if (chance(sim, 20))
        plan.terms.connected = QUERY_YES;
    if (plan.terms.list == QUERY_RETAINED)
        plan.terms.filter = span_text(chance(sim, 50) ? "#" : "t/+/0");
    begin(asker, &plan, false);
}

bool operator_calm(struct sim *sim)
{
    struct sim_operator *asker = sim->asker;

    if (asker->collector == NULL || !asker->paused)
        return false;
    asker->paused = false;
    collector_go_on(asker->collector);
    return true;
}

/* ---- at rest ---- */

static void list_at_rest(struct sim_operator *asker, enum query_list list)
{
    const struct collector_plan plan = {
        .terms = {.list = list,
                  .filter = list == QUERY_RETAINED ? span_text("#") : (struct span){0}},
        .limit = QUERY_ALL,
        .count = true};
    uint32_t rounds = 0;

    begin(asker, &plan, true);
    if (asker->collector == NULL)
        sim_fail(asker->sim, "no list at rest");
    while (asker->collector != NULL) {
        machine_move_mesh(asker->sim);
        machine_run_batches(asker->sim);
        if (++rounds > 100000)
            sim_fail(asker->sim, "list %d does not end", list);
    }
    if (asker->told != asker->count)
        sim_fail(asker->sim, "list %d tells %llu of %u", list, (unsigned long long)asker->told,
                 asker->count);
}

static void must_be_listed(struct sim_operator *asker, struct span a, struct span b,
                           const char *what)
{
    if (times_listed(asker, hash_of(a, b)) != 1)
        sim_fail(asker->sim, "%s is missing in a list at rest: %.*s %.*s", what, (int)a.len,
                 (const char *)a.data, (int)b.len, (const char *)b.data);
}

static unsigned check_subscriptions(struct sim_operator *asker, const struct session *session)
{
    for (uint32_t i = 0; i < session->subscription_count; i++) {
        const struct session_subscription *at = &session->subscriptions[i];
        char text[128];
        struct span filter = at->filter == NULL ? (struct span){0} : topic_filter_text(at->filter);

        if (at->filter == NULL) {
            struct span name = membership_share_name(at->membership);
            struct span rest = membership_filter(at->membership);

            snprintf(text, sizeof(text), "$share/%.*s/%.*s", (int)name.len, (const char *)name.data,
                     (int)rest.len, (const char *)rest.data);
            filter = span_text(text);
        }
        must_be_listed(asker, session_client_identifier(session), filter, "a subscription");
    }
    return session->subscription_count;
}

static void check_sessions(struct sim_operator *asker, enum query_list list)
{
    unsigned count = 0;

    for (unsigned shard = 0; shard < SIM_SHARDS(asker->sim); shard++) {
        struct session *session;
        uint32_t cursor = 0;

        while ((session = session_table_next(&asker->sim->brokers[shard]->sessions, &cursor)) !=
               NULL) {
            if (list == QUERY_SUBSCRIPTIONS) {
                count += check_subscriptions(asker, session);
                continue;
            }
            must_be_listed(asker, session_client_identifier(session), (struct span){0}, "a client");
            count++;
        }
    }
    if (count != asker->count)
        sim_fail(asker->sim, "list %d has %u of %u", list, asker->count, count);
}

void operator_check_rest(struct sim *sim)
{
    struct sim_operator *asker = sim->asker;

    if (asker->collector != NULL)
        sim_fail(sim, "at rest a list is under way");
    list_at_rest(asker, QUERY_CLIENTS);
    check_sessions(asker, QUERY_CLIENTS);
    list_at_rest(asker, QUERY_SUBSCRIPTIONS);
    check_sessions(asker, QUERY_SUBSCRIPTIONS);
    list_at_rest(asker, QUERY_RETAINED);
}

void operator_open(struct sim *sim)
{
    sim->asker = mem_zalloc(sizeof(*sim->asker));
    sim->asker->sim = sim;
}

void operator_close(struct sim *sim)
{
    sim_note(sim, "%u lists, %u orders", sim->asker->lists, sim->asker->orders);
    if (sim->asker->collector != NULL && chance(sim, 50))
        collector_cancel(sim->asker->collector);
    mem_free(sim->asker);
}
