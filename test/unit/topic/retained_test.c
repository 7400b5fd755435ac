/* SPDX-License-Identifier: MIT
 *
 * Random operations on a store, with scans open meanwhile, and a naive model must agree.
 */
#include "topic/retained.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/random.h"
#include "topic/topic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* What the tests store as a message. */
struct stored {
    char topic[48];
    uint64_t since; /* when it was stored */
    bool current;
    uint32_t visits;
};

static void release_nothing(void *argument, void *message)
{
    (void)argument;
    (void)message;
}

static void count_release(void *argument, void *message)
{
    uint32_t *count = argument;

    (void)message;
    ++*count;
}

static void set(struct retained_store *store, struct stored *message)
{
    void *old;

    assert_true(retained_set(store, span_text(message->topic), message, &old));
    assert_null(old);
}

static void visit(void *argument, void *message)
{
    uint32_t *count = argument;

    ((struct stored *)message)->visits++;
    ++*count;
}

static uint32_t scan_all(struct retained_store *store, const char *filter, uint32_t batch)
{
    struct retained_scan *scan = retained_scan_open(store, span_text(filter));
    uint32_t count = 0, before;
    bool more = true;

    while (more) {
        before = count;
        more = retained_scan_next(scan, batch, visit, &count);
        assert_true(count - before <= batch);
    }
    assert_false(retained_scan_next(scan, batch, visit, &count));
    retained_scan_close(scan);
    return count;
}

static void test_set_get_remove(void **state)
{
    struct retained_store *store = retained_create();
    int a, b;
    void *old = &a;
    uint32_t released = 0;

    (void)state;
    assert_null(retained_get(store, span_text("x")));
    assert_null(retained_remove(store, span_text("x")));
    assert_true(retained_set(store, span_text("x/y"), &a, &old));
    assert_null(old);
    assert_null(retained_get(store, span_text("x")));
    assert_null(retained_remove(store, span_text("x")));
    assert_ptr_equal(retained_get(store, span_text("x/y")), &a);
    assert_true(retained_set(store, span_text("x/y"), &b, &old));
    assert_ptr_equal(old, &a);
    assert_int_equal(retained_count(store), 1);
    assert_true(retained_set(store, span_text("x"), &a, &old));
    assert_ptr_equal(retained_remove(store, span_text("x/y")), &b);
    assert_null(retained_get(store, span_text("x/y")));
    assert_int_equal(retained_count(store), 1);
    assert_true(retained_set(store, span_text("x/"), &b, &old));
    assert_true(retained_set(store, span_text("/x"), &b, &old));
    assert_ptr_equal(retained_get(store, span_text("x/")), &b);
    assert_null(retained_get(store, span_text("/")));
    retained_check(store);
    retained_destroy(store, count_release, &released);
    assert_int_equal(released, 3);
}

static void test_matching(void **state)
{
    static const struct {
        const char *filter, *topic;
        bool matches;
    } rows[] = {
#define MATCHES(filter, topic)                                                                     \
    {                                                                                              \
        filter, topic, true                                                                        \
    }
#define DIFFERS(filter, topic)                                                                     \
    {                                                                                              \
        filter, topic, false                                                                       \
    }
#include "topic_matching.def"
    };
    struct retained_store *all = retained_create();
    struct stored messages[ARRAY_LENGTH(rows)] = {0};
    void *old;

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct retained_store *store = retained_create();

        snprintf(messages[i].topic, sizeof(messages[i].topic), "%s", rows[i].topic);
        set(store, &messages[i]);
        for (uint32_t batch = 1; batch <= 3; batch++) {
            if (scan_all(store, rows[i].filter, batch) != rows[i].matches)
                fail_msg("%s with %s", rows[i].filter, rows[i].topic);
        }
        retained_destroy(store, release_nothing, NULL);
        assert_true(retained_set(all, span_text(rows[i].topic), &messages[i], &old));
    }
    retained_check(all);
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        uint32_t expected = 0;

        for (size_t j = 0; j < ARRAY_LENGTH(rows); j++) {
            bool stored = retained_get(all, span_text(rows[j].topic)) == &messages[j];

            expected +=
                stored && filter_matches(span_text(rows[i].filter), span_text(rows[j].topic));
        }
        assert_int_equal(scan_all(all, rows[i].filter, 2), expected);
    }
    retained_destroy(all, release_nothing, NULL);
}

/* Whatever happens to the node that a scan stands on. */
static void test_scan_stands_on_what_is_removed(void **state)
{
    static const char *const topics[] = {"a/1", "a/2", "a/2/x", "a/3", "b"};
    struct stored messages[ARRAY_LENGTH(topics)];

    (void)state;
    for (uint32_t stop = 0; stop <= ARRAY_LENGTH(topics); stop++) {
        struct retained_store *store = retained_create();
        struct retained_scan *scan, *other;
        uint32_t count = 0, other_count = 0;

        for (size_t i = 0; i < ARRAY_LENGTH(topics); i++) {
            messages[i] = (struct stored){0};
            snprintf(messages[i].topic, sizeof(messages[i].topic), "%s", topics[i]);
            set(store, &messages[i]);
        }
        scan = retained_scan_open(store, span_text("#"));
        other = retained_scan_open(store, span_text("+/+"));
        while (count < stop)
            retained_scan_next(scan, 1, visit, &count);
        retained_scan_next(other, 1, visit, &other_count);
        for (size_t i = 0; i < ARRAY_LENGTH(topics); i++) {
            assert_ptr_equal(retained_remove(store, span_text(topics[i])), &messages[i]);
            retained_check(store);
        }
        assert_int_equal(retained_count(store), 0);
        messages[4].visits = 0;
        set(store, &messages[4]);
        while (retained_scan_next(scan, 1, visit, &count))
            retained_check(store);
        assert_true(messages[4].visits <= 1 && count - messages[4].visits == stop);
        retained_scan_close(scan);
        retained_scan_close(other); /* in the middle */
        retained_check(store);
        assert_ptr_equal(retained_remove(store, span_text("b")), &messages[4]);
        retained_check(store);
        retained_destroy(store, release_nothing, NULL);
    }
}

/* A call is bounded by what it looks at, too: nothing matches here. */
static void test_scan_is_bounded(void **state)
{
    enum { TOPICS = 10000 };
    struct retained_store *store = retained_create();
    struct stored *messages = calloc(TOPICS, sizeof(*messages));
    struct retained_scan *scan;
    uint32_t count = 0, calls = 0;

    (void)state;
    for (uint32_t i = 0; i < TOPICS; i++) {
        snprintf(messages[i].topic, sizeof(messages[i].topic), i % 2 ? "$%u/x" : "%u/x", i);
        set(store, &messages[i]);
    }
    scan = retained_scan_open(store, span_text("+/y"));
    while (retained_scan_next(scan, 100, visit, &count))
        calls++;
    assert_int_equal(count, 0);
    assert_true(calls >= TOPICS / 400 && calls < TOPICS / 100);
    retained_scan_close(scan);
    assert_int_equal(scan_all(store, "#", 100), TOPICS / 2);
    assert_int_equal(scan_all(store, "+/x", 100), TOPICS / 2);
    assert_int_equal(scan_all(store, "$7/x", 100), 1);
    assert_int_equal(scan_all(store, "$7/#", 1), 1);
    retained_destroy(store, release_nothing, NULL);
    free(messages);
}

static void test_deep_topics(void **state)
{
    struct retained_store *store = retained_create();
    uint8_t *deep = malloc(65535);
    struct stored message = {0};
    struct retained_scan *scan;
    uint32_t count = 0;
    void *old;

    (void)state;
    memset(deep, '/', 65535);
    assert_true(retained_set(store, span_of(deep, 65535), &message, &old));
    retained_check(store);
    assert_ptr_equal(retained_get(store, span_of(deep, 65535)), &message);
    assert_null(retained_get(store, span_of(deep, 65534)));
    assert_int_equal(scan_all(store, "#", 1), 1);
    assert_int_equal(scan_all(store, "+/+", 1000), 0);
    for (uint32_t i = 0; i < 65535; i += 2)
        deep[i] = '+';
    deep[65534] = '#';
    scan = retained_scan_open(store, span_of(deep, 65535));
    while (retained_scan_next(scan, 1000, visit, &count))
        continue;
    assert_int_equal(count, 1);
    retained_scan_close(scan);
    memset(deep, '/', 65535);
    assert_ptr_equal(retained_remove(store, span_of(deep, 65535)), &message);
    retained_check(store);
    retained_destroy(store, release_nothing, NULL);
    free(deep);
}

static void test_no_memory(void **state)
{
    (void)state;
    for (unsigned long fail_at = 1; fail_at < 40; fail_at++) {
        struct retained_store *store = retained_create();
        int message;
        void *old = NULL;
        uint64_t stored = 0;

        mem_fail_after(fail_at);
        for (uint32_t i = 0; i < 20; i++) {
            char topic[32];

            snprintf(topic, sizeof(topic), "a/%u/b/c/%u", i / 4, i);
            stored += retained_set(store, span_text(topic), &message, &old);
            retained_check(store);
            assert_int_equal(retained_count(store), stored);
        }
        assert_null(retained_scan_open(store, span_text("#")));
        mem_fail_after(0);
        assert_true(stored < 20 || fail_at > 20);
        assert_int_equal(retained_count(store), stored);
        retained_destroy(store, release_nothing, NULL);
    }
}

enum { TOPICS = 300, SCANS = 4 };

struct open_scan {
    struct retained_scan *scan;
    char filter[48];
    uint64_t since;
    uint32_t visits[TOPICS]; /* of the message that was stored before the scan began */
    bool required[TOPICS];   /* stored before, and still there */
};

struct model {
    struct retained_store *store;
    struct random random;
    uint64_t time;
    struct stored messages[TOPICS];
    struct open_scan scans[SCANS];
};

static void make_text(struct random *random, char *text, size_t size, bool wildcards)
{
    static const char *const levels[] = {"", "a", "b", "c", "$d", "longer-level"};
    uint32_t count = 1 + random_below(random, 5);
    size_t len;

    do {
        len = 0;
        for (uint32_t i = 0; i < count; i++) {
            uint32_t draw = random_below(random, 12);
            const char *level = levels[random_below(random, 6)];

            if (wildcards && draw < 5)
                level = "+";
            if (wildcards && draw > 7 && i + 1 == count)
                level = "#";
            len += (size_t)snprintf(text + len, size - len, "%s%s", i == 0 ? "" : "/", level);
        }
    } while (len == 0);
}

struct visit_model {
    struct model *model;
    struct open_scan *scan;
};

static void visit_model(void *argument, void *message)
{
    struct visit_model *visiting = argument;
    struct stored *stored = message;
    ptrdiff_t at = stored - visiting->model->messages;

    assert_true(stored->current);
    assert_true(filter_matches(span_text(visiting->scan->filter), span_text(stored->topic)));
    visiting->scan->visits[at]++;
    if (stored->since < visiting->scan->since)
        assert_int_equal(visiting->scan->visits[at], 1);
}

static void scan_begin(struct model *model, struct open_scan *scan)
{
    make_text(&model->random, scan->filter, sizeof(scan->filter), true);
    scan->scan = retained_scan_open(model->store, span_text(scan->filter));
    scan->since = model->time;
    memset(scan->visits, 0, sizeof(scan->visits));
    for (uint32_t i = 0; i < TOPICS; i++)
        scan->required[i] =
            model->messages[i].current &&
            filter_matches(span_text(scan->filter), span_text(model->messages[i].topic));
}

static void scan_go_on(struct model *model, struct open_scan *scan)
{
    struct visit_model visiting = {model, scan};

    if (retained_scan_next(scan->scan, 1 + random_below(&model->random, 8), visit_model,
                           &visiting)) {
        if (random_below(&model->random, 40) != 0)
            return;
    } else {
        for (uint32_t i = 0; i < TOPICS; i++)
            assert_true(!scan->required[i] || scan->visits[i] == 1);
    }
    retained_scan_close(scan->scan);
    scan->scan = NULL;
}

/* Sets when it is not there, removes (or sets again) when it is. */
static void change(struct model *model, struct stored *message, bool filling)
{
    struct span topic = span_text(message->topic);
    void *old;

    assert_ptr_equal(retained_get(model->store, topic), message->current ? message : NULL);
    if (!message->current && filling) {
        assert_true(retained_set(model->store, topic, message, &old));
        assert_null(old);
        message->current = true;
        message->since = model->time;
    } else if (message->current && filling) {
        assert_true(retained_set(model->store, topic, message, &old));
        assert_ptr_equal(old, message);
    } else {
        assert_ptr_equal(retained_remove(model->store, topic), message->current ? message : NULL);
        message->current = false;
        for (uint32_t i = 0; i < SCANS; i++)
            model->scans[i].required[message - model->messages] = false;
    }
}

static void model_fill(struct model *model)
{
    for (uint32_t i = 0; i < TOPICS; i++) {
        bool again = true;

        while (again) {
            make_text(&model->random, model->messages[i].topic, sizeof(model->messages[i].topic),
                      false);
            again = false;
            for (uint32_t j = 0; j < i; j++)
                again |= strcmp(model->messages[j].topic, model->messages[i].topic) == 0;
        }
    }
}

static void run(uint64_t seed, uint32_t steps)
{
    struct model *model = calloc(1, sizeof(*model));
    uint32_t current = 0, released = 0;

    model->random.state = seed;
    model->store = retained_create();
    model_fill(model);
    for (uint32_t i = 0; i < steps; i++) {
        struct open_scan *scan = &model->scans[random_below(&model->random, SCANS)];
        bool filling = random_below(&model->random, 8) < (i / 2000 % 2 == 0 ? 6u : 2u);

        model->time++;
        if (random_below(&model->random, 3) != 0)
            change(model, &model->messages[random_below(&model->random, TOPICS)], filling);
        else if (scan->scan == NULL)
            scan_begin(model, scan);
        else
            scan_go_on(model, scan);
        if (i % 64 == 0)
            retained_check(model->store);
    }
    for (uint32_t i = 0; i < SCANS; i++) {
        if (model->scans[i].scan != NULL)
            retained_scan_close(model->scans[i].scan);
    }
    for (uint32_t i = 0; i < TOPICS; i++)
        current += model->messages[i].current;
    retained_check(model->store);
    assert_int_equal(retained_count(model->store), current);
    retained_destroy(model->store, count_release, &released);
    assert_int_equal(released, current);
    free(model);
}

static void test_random_operations(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++)
        run(seed, 20000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set_get_remove),
        cmocka_unit_test(test_matching),
        cmocka_unit_test(test_scan_stands_on_what_is_removed),
        cmocka_unit_test(test_scan_is_bounded),
        cmocka_unit_test(test_deep_topics),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_random_operations),
    };

    hash_setup(0x5eed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
