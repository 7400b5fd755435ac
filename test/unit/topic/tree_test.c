/* SPDX-License-Identifier: MIT */
#include "topic/tree.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/random.h"
#include "topic/match_cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define LEVELS 128

static void *subscriber(uintptr_t number)
{
    return (void *)(number * 64 + 64);
}

static struct topic_filter *add(struct topic_tree *tree, const char *filter, uintptr_t number)
{
    struct subscription subscription = {.subscriber = subscriber(number), .options = 1};
    struct topic_filter *found = NULL;
    bool first;

    assert_int_not_equal(
        topic_tree_subscribe(tree, span_text(filter), &subscription, &found, &first),
        SUBSCRIBE_NO_MEMORY);
    return found;
}

static bool drop(struct topic_tree *tree, const char *filter, uintptr_t number)
{
    bool last;
    struct topic_filter *found = topic_tree_find(tree, span_text(filter));

    assert_non_null(found);
    assert_true(topic_tree_unsubscribe(tree, found, subscriber(number), &last));
    return last;
}

static struct topic_match match(struct topic_tree *tree, const char *topic)
{
    struct topic_match found;

    assert_true(topic_tree_match(tree, span_text(topic), LEVELS, &found));
    assert_false(found.no_memory);
    return found;
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

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct topic_tree *tree = topic_tree_create();
        struct topic_match found;

        add(tree, rows[i].filter, 1);
        /* The third time the result comes from the cache. */
        for (unsigned round = 0; round < 3; round++) {
            found = match(tree, rows[i].topic);
            if (found.count != rows[i].matches)
                fail_msg("%s with %s", rows[i].filter, rows[i].topic);
        }
        assert_true(drop(tree, rows[i].filter, 1));
        found = match(tree, rows[i].topic);
        assert_int_equal(found.count, 0);
        topic_tree_check(tree);
        topic_tree_destroy(tree);
    }
}

/* All filters of the table in one tree: what is found matches [MQTT-3.3.2-3]. */
static void test_matching_together(void **state)
{
    static const struct {
        const char *filter, *topic;
        bool matches;
    } rows[] = {
#include "topic_matching.def"
    };
    struct topic_tree *tree = topic_tree_create();

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
        add(tree, rows[i].filter, i);
    topic_tree_check(tree);
    for (size_t i = 0; i < 3 * ARRAY_LENGTH(rows); i++) {
        size_t row = i % ARRAY_LENGTH(rows);
        struct topic_match found = match(tree, rows[row].topic);
        bool there = false;

        for (uint32_t j = 0; j < found.count; j++)
            there |= found.entries[j].subscriber == subscriber(row);
        assert_int_equal(there, rows[row].matches);
    }
    topic_tree_destroy(tree);
}

static void test_subscribe_and_replace(void **state)
{
    struct topic_tree *tree = topic_tree_create();
    struct subscription subscription = {.subscriber = subscriber(1), .identifier = 7, .options = 2};
    struct topic_filter *filter;
    const struct subscription *stored;
    bool first, last;

    (void)state;
    assert_null(topic_tree_find(tree, span_text("a/b")));
    assert_int_equal(topic_tree_subscribe(tree, span_text("a/b"), &subscription, &filter, &first),
                     SUBSCRIBE_NEW);
    assert_true(first);
    assert_true(span_equal(topic_filter_text(filter), span_text("a/b")));
    assert_int_equal(topic_filter_hash(filter), hash64("a/b", 3));
    assert_false(topic_filter_is_wildcard(filter));
    assert_int_equal(*topic_filter_tag(filter), 0);
    *topic_filter_tag(filter) = 99;
    subscription.identifier = 8;
    subscription.options = 0;
    assert_int_equal(topic_tree_subscribe(tree, span_text("a/b"), &subscription, &filter, &first),
                     SUBSCRIBE_REPLACED);
    assert_false(first);
    stored = topic_filter_get(filter, subscriber(1));
    assert_int_equal(stored->identifier, 8);
    assert_int_equal(stored->options, 0);
    assert_null(topic_filter_get(filter, subscriber(2)));
    assert_int_equal(*topic_filter_tag(topic_tree_find(tree, span_text("a/b"))), 99);
    assert_false(topic_tree_unsubscribe(tree, filter, subscriber(2), &last));
    assert_false(last);
    assert_true(topic_tree_unsubscribe(tree, filter, subscriber(1), &last));
    assert_true(last);
    assert_null(topic_tree_find(tree, span_text("a/b")));
    assert_true(topic_filter_is_wildcard(add(tree, "a/+", 1)));
    topic_tree_destroy(tree);
}

static void test_one_filter_is_not_copied(void **state)
{
    struct topic_tree *tree = topic_tree_create();
    struct topic_filter *filter = add(tree, "a/b", 1);
    struct topic_filter *wildcard;

    (void)state;
    assert_ptr_equal(match(tree, "a/b").entries, topic_filter_get(filter, subscriber(1)));
    wildcard = add(tree, "c/#", 2);
    assert_ptr_equal(match(tree, "a/b").entries, topic_filter_get(filter, subscriber(1)));
    assert_ptr_equal(match(tree, "c/d").entries, topic_filter_get(wildcard, subscriber(2)));
    topic_tree_destroy(tree);
}

static void test_entries_of_one_subscriber_are_neighbours(void **state)
{
    struct topic_tree *tree = topic_tree_create();
    struct topic_match found;

    (void)state;
    for (uintptr_t i = 0; i < 50; i++)
        add(tree, "a/b", i);
    for (uintptr_t i = 0; i < 50; i += 2)
        add(tree, "a/#", i);
    for (uintptr_t i = 0; i < 80; i += 5)
        add(tree, "+/b", i);
    add(tree, "#", 90);
    add(tree, "+/+", 90);
    found = match(tree, "a/b");
    assert_int_equal(found.count, 50 + 25 + 16 + 2);
    for (uint32_t i = 1; i < found.count; i++) {
        if (found.entries[i].subscriber == found.entries[i - 1].subscriber)
            continue;
        for (uint32_t j = 0; j < i; j++)
            assert_ptr_not_equal(found.entries[j].subscriber, found.entries[i].subscriber);
    }
    topic_tree_destroy(tree);
}

/* [MQTT-3.3.2-2] [MQTT-4.7.0-1]: a topic with wildcards never finds the filter of the same text. */
static void test_invalid_topics(void **state)
{
    static const char *const bad[] = {"", "a/+", "#", "a/#", "\xff"};
    struct topic_tree *tree = topic_tree_create();
    struct topic_match found;

    (void)state;
    for (unsigned round = 0; round < 3; round++) {
        for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
            assert_false(topic_tree_match(tree, span_text(bad[i]), LEVELS, &found));
            assert_int_equal(found.count, 0);
        }
        assert_false(topic_tree_match(tree, span_of("a\0b", 3), LEVELS, &found));
        add(tree, "a/+", 1);
        add(tree, "#", 2);
        add(tree, "a/#", 2);
    }
    topic_tree_destroy(tree);
}

/* The limit holds for topics that an exact filter or the cache knows, too. */
static void test_levels_limit(void **state)
{
    struct topic_tree *tree = topic_tree_create();
    struct topic_match found;

    (void)state;
    add(tree, "a/b/c", 1);
    for (unsigned round = 0; round < 4; round++) {
        assert_true(topic_tree_match(tree, span_text("a/b/c"), 3, &found));
        assert_int_equal(found.count, 1 + (round > 0));
        assert_false(topic_tree_match(tree, span_text("a/b/c"), 2, &found));
        assert_int_equal(found.count, 0);
        if (round == 0)
            add(tree, "a/+/c", 1);
    }
    topic_tree_destroy(tree);
}

static void test_interest(void **state)
{
    struct topic_tree *tree = topic_tree_create();
    uint64_t hash = hash64("a/b", 3);

    (void)state;
    assert_true(topic_tree_interest_exact(tree, hash, 3, true));
    assert_true(topic_tree_interest_exact(tree, hash, 3, true));
    assert_true(topic_tree_interest_exact(tree, hash, 63, true));
    assert_true(match(tree, "a/b").shards == (1ull << 3 | 1ull << 63));
    assert_true(match(tree, "a/c").shards == 0);
    assert_true(topic_tree_interest_wildcard(tree, span_text("a/+"), 5, true));
    assert_true(topic_tree_interest_wildcard(tree, span_text("a/+"), 5, true));
    assert_true(topic_tree_interest_wildcard(tree, span_text("#"), 0, true));
    for (unsigned round = 0; round < 3; round++) {
        assert_true(match(tree, "a/b").shards == (1ull << 3 | 1ull << 63 | 1ull << 5 | 1));
        assert_true(match(tree, "a/c").shards == (1ull << 5 | 1));
        assert_true(match(tree, "$a/c").shards == 0);
        assert_int_equal(match(tree, "a/b").count, 0);
    }
    assert_true(topic_tree_interest_exact(tree, hash, 3, false));
    assert_true(topic_tree_interest_exact(tree, hash, 4, false));
    assert_true(topic_tree_interest_exact(tree, hash, 63, false));
    assert_true(topic_tree_interest_exact(tree, hash, 63, false));
    assert_true(topic_tree_interest_wildcard(tree, span_text("#"), 1, false));
    assert_true(topic_tree_interest_wildcard(tree, span_text("#"), 0, false));
    assert_true(topic_tree_interest_wildcard(tree, span_text("b/#"), 0, false));
    assert_true(match(tree, "a/b").shards == 1ull << 5);
    add(tree, "a/+", 1);
    assert_true(topic_tree_interest_wildcard(tree, span_text("a/+"), 5, false));
    assert_true(match(tree, "a/b").shards == 0);
    assert_int_equal(match(tree, "a/b").count, 1);
    topic_tree_check(tree);
    topic_tree_destroy(tree);
}

/* Every kind of change makes cached results invalid. */
static void test_cache_is_never_stale(void **state)
{
    struct topic_tree *tree = topic_tree_create();
    struct subscription subscription = {.subscriber = subscriber(1), .options = 0};
    struct topic_filter *filter;
    bool first;

    (void)state;
    add(tree, "a/+", 1);
    for (unsigned round = 0; round < 3; round++)
        assert_int_equal(match(tree, "a/b").count, 1);
    for (uint8_t options = 0; options < 3; options++) {
        subscription.options = options;
        topic_tree_subscribe(tree, span_text("a/+"), &subscription, &filter, &first);
        for (unsigned round = 0; round < 3; round++)
            assert_int_equal(match(tree, "a/b").entries[0].options, options);
    }
    for (uintptr_t i = 2; i < 40; i++) {
        add(tree, i % 2 ? "a/+" : "a/#", i);
        for (unsigned round = 0; round < 3; round++)
            assert_int_equal(match(tree, "a/b").count, i);
    }
    for (uintptr_t i = 2; i < 40; i++) {
        drop(tree, i % 2 ? "a/+" : "a/#", i);
        for (unsigned round = 0; round < 3; round++)
            assert_int_equal(match(tree, "a/b").count, 40 - i);
    }
    topic_tree_destroy(tree);
}

/* More topics than the cache holds, and results of all sizes. */
static void test_cache_overflows(void **state)
{
    struct topic_tree *tree = topic_tree_create();
    char topic[600];

    (void)state;
    for (uintptr_t i = 0; i < 600; i++) {
        snprintf(topic, sizeof(topic), i % 2 ? "large/+/%03d" : "large/#", (int)i / 100);
        add(tree, topic, i);
    }
    memset(topic, 'x', sizeof(topic));
    for (uint32_t i = 0; i < 12000; i++) {
        char name[16];
        struct topic_match found;

        snprintf(name, sizeof(name), "large/%04u/", i / 3 % 3000);
        memcpy(topic, name, 11);
        assert_true(topic_tree_match(tree, span_of(topic, 11 + i / 3 % 500), LEVELS, &found));
        assert_int_equal(found.count, 300);
        snprintf(name, sizeof(name), "large/%04u/000", i / 3 % 3000);
        assert_int_equal(match(tree, name).count, 350);
    }
    topic_tree_check(tree);
    topic_tree_destroy(tree);
}

static void test_deep_filters_and_topics(void **state)
{
    struct topic_tree *tree = topic_tree_create();
    uint8_t *deep = malloc(65535);
    struct subscription subscription = {.subscriber = subscriber(1)};
    struct topic_filter *filter;
    struct topic_match found;
    bool first, last;

    (void)state;
    add(tree, "#", 1);
    add(tree, "+/+/#", 2);
    memset(deep, '/', 65535);
    assert_true(topic_tree_match(tree, span_of(deep, 65535), 65536, &found));
    assert_int_equal(found.count, 2);
    assert_int_equal(
        topic_tree_subscribe(tree, span_of(deep, 65535), &subscription, &filter, &first),
        SUBSCRIBE_NEW);
    for (uint32_t i = 0; i < 65535; i += 2)
        deep[i] = '+';
    assert_int_equal(
        topic_tree_subscribe(tree, span_of(deep, 65535), &subscription, &filter, &first),
        SUBSCRIBE_NEW);
    deep[65534] = '#';
    assert_int_equal(
        topic_tree_subscribe(tree, span_of(deep, 65535), &subscription, &filter, &first),
        SUBSCRIBE_NEW);
    topic_tree_check(tree);
    memset(deep, 'x', 65535);
    for (uint32_t i = 1; i < 65535; i += 2)
        deep[i] = '/';
    assert_true(topic_tree_match(tree, span_of(deep, 65535), 65536, &found));
    assert_int_equal(found.count, 4);
    memset(deep, '/', 65535);
    assert_true(topic_tree_match(tree, span_of(deep, 65535), 65536, &found));
    assert_int_equal(found.count, 4);
    assert_true(topic_tree_unsubscribe(tree, filter, subscriber(1), &last));
    assert_true(last);
    topic_tree_check(tree);
    topic_tree_destroy(tree);
    free(deep);
}

static void test_many_subscribers_of_one_filter(void **state)
{
    enum { MANY = 100000 };
    struct topic_tree *tree = topic_tree_create();
    struct topic_filter *filter = NULL;
    struct random random = {.state = 5};
    bool last = false;

    (void)state;
    for (uintptr_t i = 0; i < MANY; i++)
        filter = add(tree, "fan/out", i);
    assert_int_equal(match(tree, "fan/out").count, MANY);
    topic_tree_check(tree);
    add(tree, "fan/#", MANY / 2);
    assert_int_equal(match(tree, "fan/out").count, MANY + 1);
    for (uint32_t i = 0; i < MANY; i++) {
        uint32_t which = (uint32_t)(((uint64_t)i * 7919 + random_below(&random, 1)) % MANY);

        assert_non_null(topic_filter_get(filter, subscriber(which)));
        assert_true(topic_tree_unsubscribe(tree, filter, subscriber(which), &last));
        assert_int_equal(last, i + 1 == MANY);
        if (i % 16384 == 0)
            topic_tree_check(tree);
    }
    assert_null(topic_tree_find(tree, span_text("fan/out")));
    assert_int_equal(match(tree, "fan/out").count, 1);
    topic_tree_destroy(tree);
}

static void count_walked(void *argument, const struct topic_filter *filter,
                         const struct subscription *entries, uint32_t count)
{
    uint32_t *sum = argument;

    for (uint32_t i = 0; i < count; i++)
        assert_ptr_equal(topic_filter_get(filter, entries[i].subscriber), &entries[i]);
    *sum += count;
}

static void test_walk(void **state)
{
    struct topic_tree *tree = topic_tree_create();
    uint32_t sum = 0;

    (void)state;
    topic_tree_walk(tree, count_walked, &sum);
    assert_int_equal(sum, 0);
    for (uintptr_t i = 0; i < 100; i++) {
        add(tree, "a", i);
        add(tree, "a/+", i);
    }
    add(tree, "#", 0);
    topic_tree_interest_wildcard(tree, span_text("x/#"), 1, true);
    topic_tree_walk(tree, count_walked, &sum);
    assert_int_equal(sum, 201);
    topic_tree_destroy(tree);
}

/* Whatever allocation fails, the tree is what it was before or what it should be afterwards. */
static void test_no_memory(void **state)
{
    static const char *const filters[] = {"a/b/c", "a/+/c", "a/#", "#", "q/w/e/r/t/y/u/i/o/p/+"};

    (void)state;
    for (unsigned long fail_at = 1; fail_at < 60; fail_at++) {
        struct topic_tree *tree = topic_tree_create();
        uint32_t expected = 0;
        struct topic_match found;

        mem_fail_after(fail_at);
        for (uintptr_t i = 0; i < 40; i++) {
            struct span text = span_text(filters[i % ARRAY_LENGTH(filters)]);
            struct subscription subscription = {.subscriber = subscriber(i)};
            struct topic_filter *filter;
            bool first;

            if (topic_tree_subscribe(tree, text, &subscription, &filter, &first) == SUBSCRIBE_NEW)
                expected += i % ARRAY_LENGTH(filters) != 4;
            if (!topic_tree_interest_wildcard(tree, span_text("x/y/z/+"), 1, true))
                assert_null(topic_tree_find(tree, span_text("x/y/z/+")));
            topic_tree_check(tree);
        }
        assert_true(topic_tree_match(tree, span_text("a/b/c"), LEVELS, &found));
        assert_true(found.no_memory || found.count == expected);
        mem_fail_after(0);
        for (unsigned round = 0; round < 3; round++)
            assert_int_equal(match(tree, "a/b/c").count, expected);
        topic_tree_check(tree);
        topic_tree_destroy(tree);
    }
}

/* No memory for gathering, for the list of hits and for the cache. */
static void test_no_memory_to_match(void **state)
{
    struct topic_tree *tree = topic_tree_create();
    struct topic_match found;

    (void)state;
    add(tree, "a/+", 1);
    add(tree, "a/#", 2);
    topic_tree_interest_wildcard(tree, span_text("#"), 9, true);
    for (unsigned long fail_at = 1; fail_at < 5; fail_at++) {
        mem_fail_after(fail_at);
        for (unsigned round = 0; round < 3; round++) {
            assert_true(topic_tree_match(tree, span_text("a/b"), LEVELS, &found));
            assert_true(found.shards == 1u << 9);
            assert_true(found.no_memory || found.count == 2);
            assert_int_equal(found.no_memory, fail_at <= 2);
        }
        mem_fail_after(0);
        assert_int_equal(match(tree, "a/b").count, 2);
        topic_tree_destroy(tree);
        tree = topic_tree_create();
        add(tree, "a/+", 1);
        add(tree, "a/#", 2);
        topic_tree_interest_wildcard(tree, span_text("#"), 9, true);
    }
    topic_tree_destroy(tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matching),
        cmocka_unit_test(test_matching_together),
        cmocka_unit_test(test_subscribe_and_replace),
        cmocka_unit_test(test_one_filter_is_not_copied),
        cmocka_unit_test(test_entries_of_one_subscriber_are_neighbours),
        cmocka_unit_test(test_invalid_topics),
        cmocka_unit_test(test_levels_limit),
        cmocka_unit_test(test_interest),
        cmocka_unit_test(test_cache_is_never_stale),
        cmocka_unit_test(test_cache_overflows),
        cmocka_unit_test(test_deep_filters_and_topics),
        cmocka_unit_test(test_many_subscribers_of_one_filter),
        cmocka_unit_test(test_walk),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_no_memory_to_match),
    };

    hash_setup(0x5eed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
