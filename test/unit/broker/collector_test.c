/* SPDX-License-Identifier: MIT
 *
 * Lists over all shards: complete, in order, in pages, while clients come and go, and bounded.
 */
#include "broker/collector.h"

#include "broker/orders.h"
#include "broker/query_priv.h"
#include "broker/share.h"
#include "topic/topic.h"
#include "unit/broker/fake_shards.h"

#include <stdlib.h>

#define LISTED_MAX 65536

/* What a receiver saw. */
struct listing {
    struct collector *collector;
    char (*names)[64]; /* of clients, "client filter qos", or topics */
    unsigned count, batches, pause_every, stop_after;
    uint32_t longest_batch;
    uint64_t told;
    bool over;
    enum collector_end end;
};

static struct listing listing;
static struct fake_shards fake;

static void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void note(const char *format, ...)
{
    va_list arguments;

    assert_true(listing.count < LISTED_MAX);
    va_start(arguments, format);
    vsnprintf(listing.names[listing.count++], sizeof(listing.names[0]), format, arguments);
    va_end(arguments);
}

static void note_record(const struct query *query, const void *at)
{
    if (query->terms.list == QUERY_CLIENTS) {
        const struct client_record *record = at;

        note("%.*s", (int)record->client_identifier_len, record->text);
    } else if (query->terms.list == QUERY_SUBSCRIPTIONS) {
        const struct subscription_record *record = at;

        note("%.*s %.*s %u", (int)record->client_identifier_len, record->text,
             (int)record->filter_len, record->text + record->client_identifier_len, record->qos);
    } else {
        const struct retained_record *record = at;

        note("%.*s", (int)record->message->publication.topic.len,
             record->message->publication.topic.data);
    }
}

static enum collector_verdict on_batch(void *argument, const struct query *query)
{
    const void *record = NULL;

    assert_ptr_equal(argument, &listing);
    while ((record = query_record(query, record)) != NULL)
        note_record(query, record);
    if (query->records_len > listing.longest_batch)
        listing.longest_batch = query->records_len;
    listing.batches++;
    listing.told = collector_count(listing.collector);
    if (listing.stop_after != 0 && listing.batches >= listing.stop_after)
        return COLLECTOR_STOP;
    return listing.pause_every != 0 && listing.batches % listing.pause_every == 0 ? COLLECTOR_PAUSE
                                                                                  : COLLECTOR_MORE;
}

static void on_done(void *argument, enum collector_end end)
{
    assert_ptr_equal(argument, &listing);
    assert_false(listing.over);
    listing.told = collector_count(listing.collector);
    listing.over = true;
    listing.end = end;
}

static void list_begin(const struct collector_plan *plan)
{
    const struct collector_receiver receiver = {on_batch, on_done, &listing};
    char(*names)[64] = listing.names;
    unsigned pause_every = listing.pause_every, stop_after = listing.stop_after;

    listing =
        (struct listing){.names = names, .pause_every = pause_every, .stop_after = stop_after};
    listing.collector = collector_start(fake.control, plan, &receiver);
    assert_non_null(listing.collector);
}

static void list_all(const struct collector_plan *plan)
{
    list_begin(plan);
    fake_settle(&fake);
    while (!listing.over && listing.pause_every != 0) {
        collector_go_on(listing.collector);
        fake_settle(&fake);
    }
}

static bool listed(const char *name)
{
    for (unsigned i = 0; i < listing.count; i++)
        if (strcmp(listing.names[i], name) == 0)
            return true;
    return false;
}

static int compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void assert_no_duplicates(void)
{
    qsort(listing.names, listing.count, sizeof(listing.names[0]), compare);
    for (unsigned i = 1; i < listing.count; i++)
        assert_string_not_equal(listing.names[i - 1], listing.names[i]);
}

/* ---- sessions made by hand ---- */

static struct broker *home_of(const char *identifier)
{
    return fake.brokers[broker_home_shard(span_text(identifier), FAKE_SHARDS)];
}

static struct session *find(const char *identifier)
{
    return session_table_find(&home_of(identifier)->sessions, span_text(identifier));
}

static struct session *add_session(const char *identifier)
{
    struct broker *broker = home_of(identifier);
    struct session *session = session_table_create(&broker->sessions, span_text(identifier));

    assert_non_null(session);
    session_init(session);
    session->version = MQTT_5;
    session->expiry_s = 60;
    STAT_INC(broker->stats, session_count);
    return session;
}

static void end_session(const char *identifier)
{
    session_end(home_of(identifier), find(identifier));
}

static void subscribe(const char *identifier, const char *text, uint8_t qos)
{
    struct broker *broker = home_of(identifier);
    struct session *session = find(identifier);
    struct filter_parts parts = filter_parse(span_text(text), 100);

    if (parts.share_name.len > 0) {
        struct membership *membership = membership_create(parts.share_name, parts.filter);

        membership->options = qos;
        membership->id = ++session->share_ids;
        assert_true(session_add_subscription(session, NULL, membership));
        STAT_INC(broker->stats, shared_subscription_count);
    } else {
        struct subscription subscription = {.subscriber = session, .options = qos};
        struct topic_filter *filter;
        bool first;

        topic_tree_subscribe(broker->tree, span_text(text), &subscription, &filter, &first);
        assert_true(session_add_subscription(session, filter, NULL));
        if (first)
            interest_announce(broker, filter);
    }
    STAT_INC(broker->stats, subscription_count);
}

static int begin(void **state)
{
    char(*names)[64] = mem_zalloc(LISTED_MAX * sizeof(*names));

    (void)state;
    fake_shards_begin(&fake);
    listing = (struct listing){.names = names};
    return 0;
}

static int finish(void **state)
{
    (void)state;
    fake_shards_end(&fake);
    mem_free(listing.names);
    return 0;
}

static void add_sessions(unsigned from, unsigned to)
{
    char name[32];

    for (unsigned i = from; i < to; i++) {
        snprintf(name, sizeof(name), "client-%05u", i);
        add_session(name);
    }
}

static const struct collector_plan all_clients = {.terms = {.list = QUERY_CLIENTS},
                                                  .limit = QUERY_ALL};

/* ---- clients ---- */

static void lists_everybody(void **state)
{
    (void)state;
    list_all(&all_clients);
    assert_true(listing.over && listing.end == COLLECTOR_COMPLETE);
    assert_int_equal(listing.count, 0);
    add_sessions(0, 10000);
    list_all(&all_clients);
    assert_int_equal(listing.end, COLLECTOR_COMPLETE);
    assert_int_equal(listing.count, 10000);
    assert_no_duplicates();
    assert_true(listing.longest_batch < 2 * QUERY_BATCH);
    assert_true(listing.batches > 100);
}

/* Page after page gives everybody once, in the order of the whole list, and the count with each. */
static void pages_fit_together(void **state)
{
    static char whole[1000][64];
    struct collector_plan plan = all_clients;
    unsigned at = 0;

    (void)state;
    add_sessions(0, 1000);
    list_all(&plan);
    memcpy(whole, listing.names, sizeof(whole));
    plan.count = true;
    plan.limit = 77;
    for (plan.skip = 0; plan.skip < 1000; plan.skip += 77) {
        list_all(&plan);
        assert_int_equal(listing.end, COLLECTOR_COMPLETE);
        assert_int_equal(listing.told, 1000);
        assert_int_equal(listing.count, plan.skip + 77 <= 1000 ? 77 : 1000 - plan.skip);
        for (unsigned i = 0; i < listing.count; i++)
            assert_string_equal(listing.names[i], whole[at++]);
    }
    assert_int_equal(at, 1000);
    plan.skip = 1000;
    list_all(&plan);
    assert_int_equal(listing.count, 0);
    assert_int_equal(listing.told, 1000);
    plan.skip = UINT64_MAX - 1; /* a page that no list has */
    list_all(&plan);
    assert_int_equal(listing.count, 0);
    plan.skip = 0;
    plan.limit = 0;
    list_all(&plan);
    assert_int_equal(listing.told, 1000);
}

/* Filters, counted and in pages too. */
static void terms_hold(void **state)
{
    struct collector_plan plan = all_clients;

    (void)state;
    add_sessions(0, 3000);
    for (unsigned i = 0; i < 3000; i += 3) {
        char name[32];
        struct session *session;

        snprintf(name, sizeof(name), "client-%05u", i);
        session = find(name);
        session->clean_start = true;
        session->version = MQTT_3_1_1;
        session->username = mem_strdup(i % 2 == 0 ? "even" : "odd");
    }
    plan.terms.clean_start = QUERY_YES;
    list_all(&plan);
    assert_int_equal(listing.count, 1000);
    plan.terms.username = span_text("even");
    list_all(&plan);
    assert_int_equal(listing.count, 500);
    plan.count = true;
    plan.skip = 450;
    plan.limit = 100;
    list_all(&plan);
    assert_int_equal(listing.count, 50);
    assert_int_equal(listing.told, 500);
    plan = all_clients;
    plan.terms.username = span_of("", 0); /* those without one */
    list_all(&plan);
    assert_int_equal(listing.count, 2000);
    plan = all_clients;
    plan.terms.versions = 1u << MQTT_5;
    list_all(&plan);
    assert_int_equal(listing.count, 2000);
    plan = all_clients;
    plan.terms.connected = QUERY_YES;
    list_all(&plan);
    assert_int_equal(listing.count, 0);
    plan = all_clients;
    plan.terms.client_identifier = span_text("client-00042");
    list_all(&plan);
    assert_int_equal(listing.count, 1);
    plan.count = true;
    list_all(&plan);
    assert_int_equal(listing.count, 1);
    assert_int_equal(listing.told, 1);
    plan.terms.clean_start = QUERY_NO;
    list_all(&plan);
    assert_int_equal(listing.count, 0);
    plan.terms.client_identifier = span_text("nobody");
    list_all(&plan);
    assert_int_equal(listing.count, 0);
    assert_int_equal(listing.end, COLLECTOR_COMPLETE);
}

/* While the list is read some go, others come, some come back in other slots, and the tables grow: who was there
 * all the time is listed, nobody twice (I1, I2 of query.c). */
static void holds_while_clients_come_and_go(void **state)
{
    struct random random = {.state = 42};
    struct collector_plan plan = all_clients;
    unsigned fresh = 100000;
    char name[32];

    (void)state;
    add_sessions(0, 6000);
    for (unsigned round = 0; round < 6; round++) {
        static bool stayed[6000];

        memset(stayed, true, sizeof(stayed));
        plan.count = round % 2 == 0;
        listing.pause_every = 1;
        list_begin(&plan);
        while (!listing.over) {
            for (unsigned i = 0; i < 40; i++) {
                unsigned which = random_below(&random, 6000);

                snprintf(name, sizeof(name), "client-%05u", which);
                end_session(name);
                stayed[which] = false;
                if (random_below(&random, 2) == 0) { /* somebody else takes the slot */
                    snprintf(name, sizeof(name), "client-%05u", fresh++);
                    add_session(name);
                }
                snprintf(name, sizeof(name), "client-%05u", which);
                add_session(name);
            }
            for (unsigned i = 0; i <= FAKE_SHARDS; i++)
                fake_turn(&fake, i);
            if (!listing.over)
                collector_go_on(listing.collector);
        }
        assert_int_equal(listing.end, COLLECTOR_COMPLETE);
        assert_no_duplicates();
        for (unsigned i = 0; i < 6000; i++) {
            snprintf(name, sizeof(name), "client-%05u", i);
            if (stayed[i])
                assert_non_null(
                    bsearch(name, listing.names, listing.count, sizeof(listing.names[0]), compare));
        }
    }
}

/* A shard does one bounded step in a turn, however many lists there are and however long. */
static void a_turn_is_bounded(void **state)
{
    struct query *query = query_create(&all_clients.terms);
    struct broker *broker = fake.brokers[0];
    uint32_t turns = 0;

    (void)state;
    add_sessions(0, 9000);
    for (uint32_t slot = 0; slot < 30000; slot++) { /* and a table that was large once */
        char name[32];

        snprintf(name, sizeof(name), "x-%u", slot);
        if (broker_home_shard(span_text(name), FAKE_SHARDS) == 0)
            add_session(name);
    }
    for (uint32_t slot = 0; slot < 30000; slot++) {
        char name[32];

        snprintf(name, sizeof(name), "x-%u", slot);
        if (find(name) != NULL)
            end_session(name);
    }
    while (!query->complete) {
        uint32_t before = query->slot;

        query_sessions(broker, query);
        assert_true(query->slot - before <= QUERY_STEP);
        assert_true(query->records_len <= QUERY_BATCH + 1024);
        query_next(query);
        turns++;
    }
    assert_true(turns >= 3000 / 64);
    errand_free(fake.control, &query->errand);
}

/* ---- what a record says ---- */

static const struct client_record *only_client(struct query *query, const char *identifier)
{
    query->terms.client_identifier = span_text(identifier);
    query_sessions(home_of(identifier), query);
    assert_true(query->complete);
    return query_record(query, NULL);
}

static void a_client_is_described(void **state)
{
    static const char payload[] = "gone";
    const struct publication publication = {.topic = {(const uint8_t *)"w/t", 3},
                                            .payload = {(const uint8_t *)payload, 4}};
    struct query *query = query_create(&all_clients.terms);
    struct connection connection = {.traffic = {1, 2, 3, 4}};
    struct session *session = add_session("n");
    const struct client_record *record;

    (void)state;
    session->will = mem_zalloc(sizeof(*session->will));
    session->will->message = message_create(&publication, 1);
    session->username = mem_strdup("user");
    session->keep_alive_s = 60;
    session->changed_ms = 77;
    session->expires_ms = fake.now_ms + 5000;
    record = only_client(query, "n");
    assert_memory_equal(record->text, "nuserw/tgone", 12);
    assert_int_equal(record->keep_alive_s, 60);
    assert_int_equal(record->changed_ms, 77);
    assert_int_equal(record->expires_in_ms, 5000);
    assert_true(record->has_will && record->has_username && !record->connected);
    assert_int_equal(record->peer.port, 0);
    query_rewind(query);
    session->connection = &connection;
    record = only_client(query, "n");
    assert_true(record->connected);
    assert_int_equal(record->traffic.byte_out, 4);
    assert_int_equal(record->peer.port, 1234);
    assert_true(record->expires_in_ms == UINT64_MAX);
    session->connection = NULL;
    errand_free(fake.control, &query->errand);
}

/* ---- subscriptions ---- */

static const struct collector_plan all_subscriptions = {.terms = {.list = QUERY_SUBSCRIPTIONS},
                                                        .limit = QUERY_ALL};

static void lists_subscriptions(void **state)
{
    struct collector_plan plan = all_subscriptions;

    (void)state;
    add_sessions(0, 500);
    add_session("a");
    add_session("b");
    subscribe("a", "x/+/#", 1);
    subscribe("a", "$share/g/x/#", 2);
    subscribe("a", "$SYS/#", 0);
    subscribe("b", "x/+/#", 2);
    list_all(&plan);
    assert_int_equal(listing.count, 4);
    assert_true(listed("a x/+/# 1") && listed("a $share/g/x/# 2") && listed("a $SYS/# 0") &&
                listed("b x/+/# 2"));
    plan.terms.client_identifier = span_text("a");
    plan.count = true;
    list_all(&plan);
    assert_int_equal(listing.count, 3);
    assert_int_equal(listing.told, 3);
    plan = all_subscriptions;
    plan.count = true;
    plan.terms.filter = span_text("$share/g/x/#");
    list_all(&plan);
    assert_int_equal(listing.count, 1);
    assert_int_equal(listing.told, 1);
    plan.terms.filter = span_text("x/#"); /* that is another one */
    list_all(&plan);
    assert_int_equal(listing.count, 0);
    plan.terms.filter = (struct span){0};
    plan.terms.qos = 1u << 2;
    list_all(&plan);
    assert_int_equal(listing.count, 2);
}

/* More subscriptions of one client than fit into a batch, while others of its come and go. */
static void a_long_list_of_one_client(void **state)
{
    static bool stayed[20000];
    struct random random = {.state = 7};
    struct collector_plan plan = all_subscriptions;
    unsigned subscribed = 20000;
    char text[64];

    (void)state;
    add_session("a");
    for (unsigned i = 0; i < subscribed; i++) {
        snprintf(text, sizeof(text), i % 10 == 0 ? "$share/g/t/%05u" : "t/%05u", i);
        subscribe("a", text, (uint8_t)(i % 3));
    }
    memset(stayed, true, sizeof(stayed));
    plan.terms.client_identifier = span_text("a");
    listing.pause_every = 1;
    list_begin(&plan);
    while (!listing.over) {
        struct session *session = find("a");

        for (unsigned i = 0; i < 10; i++) {
            uint32_t at = random_below(&random, session->subscription_count);
            struct topic_filter *filter = session->subscriptions[at].filter;

            if (filter == NULL)
                continue;
            memcpy(text, topic_filter_text(filter).data, 7);
            text[7] = '\0';
            if (text[0] == 't')
                stayed[strtoul(text + 2, NULL, 10)] = false;
            session_unsubscribe_at(home_of("a"), session, at);
            snprintf(text, sizeof(text), "n/%05u", subscribed++);
            subscribe("a", text, 0);
        }
        for (unsigned i = 0; i <= FAKE_SHARDS; i++)
            fake_turn(&fake, i);
        if (!listing.over)
            collector_go_on(listing.collector);
    }
    assert_true(listing.longest_batch < 3 * QUERY_BATCH);
    assert_true(listing.batches > 50);
    assert_no_duplicates();
    for (unsigned i = 0; i < 20000; i++) {
        snprintf(text, sizeof(text), i % 10 == 0 ? "a $share/g/t/%05u %u" : "a t/%05u %u", i,
                 i % 3);
        if (stayed[i])
            assert_non_null(
                bsearch(text, listing.names, listing.count, sizeof(listing.names[0]), compare));
    }
}

/* It ends, and another client gets its slot, when the walk stands in the middle of it. */
static void a_client_goes_in_the_middle(void **state)
{
    struct collector_plan plan = all_subscriptions;
    char text[64];

    (void)state;
    add_session("a");
    for (unsigned i = 0; i < 3000; i++) {
        snprintf(text, sizeof(text), "t/%05u", i);
        subscribe("a", text, 0);
    }
    listing.pause_every = 1;
    list_begin(&plan);
    while (listing.count == 0)
        for (unsigned i = 0; i <= FAKE_SHARDS; i++)
            fake_turn(&fake, i);
    end_session("a");
    add_session("a");
    subscribe("a", "again", 0);
    while (!listing.over) {
        collector_go_on(listing.collector);
        fake_settle(&fake);
    }
    assert_true(listing.count < 1000);
    assert_false(listed("a again 0"));
    assert_no_duplicates();
}

/* ---- retained messages ---- */

static void retain(const char *topic, uint64_t expires_ms)
{
    const struct publication publication = {.topic = span_text(topic),
                                            .payload = {(const uint8_t *)"x", 1},
                                            .expires_ms = expires_ms,
                                            .retain = true,
                                            .publisher = SESSION_HANDLE_NONE};

    retain_publish(fake.control, &publication, NULL);
    fake_settle(&fake);
}

static void lists_retained(void **state)
{
    struct collector_plan plan = {
        .terms = {.list = QUERY_RETAINED, .filter = {(const uint8_t *)"#", 1}}, .limit = QUERY_ALL};
    char topic[32];

    (void)state;
    for (unsigned i = 0; i < 3000; i++) {
        snprintf(topic, sizeof(topic), "r/%u/%u", i % 7, i);
        retain(topic, 0);
    }
    retain("$SYS/x", 0);
    retain("gone", fake.now_ms + 100000);
    list_all(&plan);
    assert_int_equal(listing.count, 3001);
    assert_no_duplicates();
    plan.terms.filter = span_text("r/3/+");
    plan.count = true;
    plan.skip = 400;
    plan.limit = 100;
    list_all(&plan);
    assert_int_equal(listing.told, 429);
    assert_int_equal(listing.count, 29);
    plan = (struct collector_plan){.terms = {.list = QUERY_RETAINED, .filter = span_text("$SYS/x")},
                                   .limit = QUERY_ALL};
    list_all(&plan);
    assert_int_equal(listing.count, 1);
    /* a list that is given up leaves no pin behind: the store can be checked and emptied */
    plan.terms.filter = span_text("#");
    listing.stop_after = 1;
    list_begin(&plan);
    fake_settle(&fake);
    assert_int_equal(listing.batches, 1);
    assert_false(listing.over);
    for (unsigned i = 0; i < FAKE_SHARDS; i++)
        retained_check(fake.brokers[i]->retained);
    listing.stop_after = 0;
    listing.pause_every = 1;
    list_begin(&plan);
    fake_settle(&fake);
    collector_cancel(listing.collector);
    fake_settle(&fake);
    list_begin(&plan); /* under way at the end */
    fake_turn(&fake, 1);
}

/* ---- late, many, without memory ---- */

static void a_shard_that_does_not_answer(void **state)
{
    (void)state;
    add_sessions(0, 10);
    list_begin(&all_clients);
    fake_turn(&fake, 0);
    fake_turn(&fake, 1); /* shard 2 hangs */
    fake_turn(&fake, FAKE_SHARDS);
    assert_false(listing.over);
    fake_shards_pass_time(&fake, COLLECTOR_WAIT_MS + 100);
    fake_turn(&fake, FAKE_SHARDS);
    assert_true(listing.over);
    assert_int_equal(listing.end, COLLECTOR_LATE);
    fake_settle(&fake); /* what it says then is for nobody */
}

static enum collector_verdict count_batch(void *argument, const struct query *query)
{
    (void)argument;
    (void)query;
    return COLLECTOR_PAUSE;
}

static void count_done(void *argument, enum collector_end end)
{
    assert_int_equal(end, COLLECTOR_COMPLETE);
    ++*(unsigned *)argument;
}

static void others_wait_their_turn(void **state)
{
    struct collector *collectors[10];
    unsigned done = 0;
    const struct collector_receiver receiver = {count_batch, count_done, &done};

    (void)state;
    add_session("a");
    for (unsigned i = 0; i < 10; i++)
        collectors[i] = collector_start(fake.control, &all_clients, &receiver);
    assert_int_equal(fake.control->collectors_running, COLLECTORS_RUNNING);
    for (unsigned i = 0; i < FAKE_SHARDS; i++)
        assert_int_equal(fake.mesh[FAKE_SHARDS][i].end, COLLECTORS_RUNNING);
    collector_cancel(collectors[9]); /* one that waits */
    collector_cancel(collectors[0]);
    fake_settle(&fake); /* those that have paused hold up nobody */
    assert_int_equal(fake.control->collectors_running, 0);
    for (unsigned i = 1; i < 9; i++) {
        assert_int_equal(done, i - 1);
        collector_go_on(collectors[i]);
        fake_settle(&fake);
    }
    assert_int_equal(done, 8);
    assert_int_equal(fake.control->collectors_running, 0);
}

static void without_memory(void **state)
{
    (void)state;
    add_sessions(0, 2000);
    for (unsigned n = 1; n < 40; n++) {
        const struct collector_receiver receiver = {on_batch, on_done, &listing};

        listing.count = listing.batches = 0;
        listing.over = false;
        mem_fail_after(n);
        listing.collector = collector_start(fake.control, &all_clients, &receiver);
        if (listing.collector != NULL) {
            fake_settle(&fake);
            assert_true(listing.over);
            assert_true(listing.end == COLLECTOR_NO_MEMORY || listing.count == 2000);
        }
        mem_fail_after(0);
        fake_settle(&fake);
    }
    list_all(&all_clients);
    assert_int_equal(listing.count, 2000);
}

/* ---- orders ---- */

static struct errand *returned;

static void order_done(void *argument, struct errand *errand)
{
    (void)argument;
    returned = errand;
}

static struct kick *kick(const char *identifier, bool end_session)
{
    struct kick *order = kick_create(span_text(identifier), 0x98, end_session);

    returned = NULL;
    errand_send(fake.control, broker_home_shard(span_text(identifier), FAKE_SHARDS), &order->errand,
                1000, order_done, NULL, NULL);
    fake_settle(&fake);
    assert_ptr_equal(returned, &order->errand);
    return order;
}

static void kicks(void **state)
{
    struct kick *order = kick("nobody", true);

    (void)state;
    assert_false(order->known || order->was_connected || order->session_kept);
    errand_free(fake.control, returned);
    add_session("a");
    order = kick("a", false);
    assert_true(order->known && !order->was_connected && order->session_kept);
    errand_free(fake.control, returned);
    order = kick("a", true);
    assert_true(order->known && !order->session_kept);
    errand_free(fake.control, returned);
    assert_null(find("a"));
    assert_true(kick_reason_valid(0x98) && kick_reason_valid(0x8b));
    assert_false(kick_reason_valid(0) || kick_reason_valid(0x04) || kick_reason_valid(0x85) ||
                 kick_reason_valid(0x198));
}

static void forgets(void **state)
{
    (void)state;
    retain("a/b", 0);
    for (unsigned i = 0; i < 2; i++) {
        struct forget *order = forget_create(span_text("a/b"));

        errand_send(fake.control, query_retained_owner(span_text("a/b"), FAKE_SHARDS),
                    &order->errand, 1000, order_done, NULL, NULL);
        fake_settle(&fake);
        assert_int_equal(order->known, i == 0);
        errand_free(fake.control, returned);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lists_everybody),
        TEST(pages_fit_together),
        TEST(terms_hold),
        TEST(holds_while_clients_come_and_go),
        TEST(a_turn_is_bounded),
        TEST(a_client_is_described),
        TEST(lists_subscriptions),
        TEST(a_long_list_of_one_client),
        TEST(a_client_goes_in_the_middle),
        TEST(lists_retained),
        TEST(a_shard_that_does_not_answer),
        TEST(others_wait_their_turn),
        TEST(without_memory),
        TEST(kicks),
        TEST(forgets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
