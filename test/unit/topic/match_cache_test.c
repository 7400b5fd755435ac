/* SPDX-License-Identifier: MIT */
#include "topic/match_cache.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define LEVELS 128

static struct subscription results[CACHE_RESULT_MAX + 1];

static bool find(const struct match_cache *cache, uint64_t generation, const char *topic,
                 struct topic_match *out)
{
    struct span span = span_text(topic);

    return match_cache_find(cache, generation, hash64(span.data, span.len), span, LEVELS, out);
}

static void offer(struct match_cache *cache, uint64_t generation, const char *topic, uint32_t count)
{
    struct span span = span_text(topic);
    struct topic_match match = {.entries = results, .count = count, .shards = count};

    match_cache_offer(cache, generation, hash64(span.data, span.len), span, &match, true);
    match_cache_check(cache, generation);
}

static void test_stored_at_second_sight(void **state)
{
    struct match_cache cache = {0};
    struct topic_match found;

    (void)state;
    assert_false(find(&cache, 1, "a/b", &found));
    offer(&cache, 1, "a/b", 3);
    assert_false(find(&cache, 1, "a/b", &found));
    offer(&cache, 1, "a/b", 3);
    assert_true(find(&cache, 1, "a/b", &found));
    assert_int_equal(found.count, 3);
    assert_true(found.shards == 3);
    assert_ptr_not_equal(found.entries, results);
    assert_memory_equal(found.entries, results, 3 * sizeof(*results));
    assert_false(find(&cache, 1, "a/c", &found));
    assert_false(find(&cache, 2, "a/b", &found));
    offer(&cache, 2, "a/b", 2);
    assert_true(find(&cache, 2, "a/b", &found));
    assert_int_equal(found.count, 2);
    match_cache_clear(&cache);
}

/* Four that share a set and come one after the other are all stored. */
static void test_topics_in_turn(void **state)
{
    static const char *const topics[] = {"a/1", "a/2", "a/3", "a/4"};
    struct match_cache cache = {0};
    struct topic_match match = {.entries = results, .count = 1}, found;

    (void)state;
    for (uint64_t round = 0; round < 3; round++) {
        for (uint64_t i = 0; i < 4; i++) {
            uint64_t hash = i * CACHE_SETS;
            bool stored = match_cache_find(&cache, 1, hash, span_text(topics[i]), LEVELS, &found);

            assert_int_equal(stored, round == 2);
            if (!stored)
                match_cache_offer(&cache, 1, hash, span_text(topics[i]), &match, false);
        }
    }
    match_cache_clear(&cache);
}

/* The same hash is not the same topic. */
static void test_bytes_are_compared(void **state)
{
    struct match_cache cache = {0};
    struct topic_match match = {.entries = results, .count = 1}, found;

    (void)state;
    match_cache_offer(&cache, 1, 77, span_text("a/b"), &match, false);
    match_cache_offer(&cache, 1, 77, span_text("a/b"), &match, false);
    assert_true(match_cache_find(&cache, 1, 77, span_text("a/b"), LEVELS, &found));
    assert_ptr_equal(found.entries, results); /* not copied */
    assert_false(match_cache_find(&cache, 1, 77, span_text("a/c"), LEVELS, &found));
    assert_false(match_cache_find(&cache, 1, 77, span_text("a/bc"), LEVELS, &found));
    assert_false(match_cache_find(&cache, 1, 77, span_text("a/b"), 1, &found));
    assert_false(match_cache_find(&cache, 1, 77 + CACHE_SETS, span_text("a/b"), LEVELS, &found));
    match_cache_clear(&cache);
}

/* As long as the result, and not longer. */
static void test_a_note_belongs_to_the_result(void **state)
{
    struct match_cache cache = {0};
    struct topic_match found;

    (void)state;
    for (uint64_t generation = 1; generation < 4; generation++) {
        offer(&cache, generation, "a/b", 3);
        offer(&cache, generation, "a/b", 3);
        assert_true(find(&cache, generation, "a/b", &found));
        assert_true(*found.note == 0);
        *found.note = 7;
        assert_true(find(&cache, generation, "a/b", &found));
        assert_true(*found.note == 7);
    }
    match_cache_clear(&cache);
}

/* Topics that come once do not drive out those that repeat, not even in the same set. */
static void test_strangers_pass_by(void **state)
{
    struct match_cache cache = {0};
    struct topic_match match = {.entries = results, .count = 1}, found;
    struct span topic = span_text("t");

    (void)state;
    for (uint64_t i = 0; i < CACHE_WAYS; i++) {
        match_cache_offer(&cache, 1, i * CACHE_SETS, topic, &match, false);
        match_cache_offer(&cache, 1, i * CACHE_SETS, topic, &match, false);
    }
    for (uint64_t i = CACHE_WAYS; i < 100; i++)
        match_cache_offer(&cache, 1, i * CACHE_SETS, topic, &match, false);
    for (uint64_t i = 0; i < CACHE_WAYS; i++)
        assert_true(match_cache_find(&cache, 1, i * CACHE_SETS, topic, LEVELS, &found));
    for (uint64_t i = 100; i < 100 + CACHE_WAYS;
         i++) { /* these repeat, and take the ways in turn */
        match_cache_offer(&cache, 1, i * CACHE_SETS, topic, &match, false);
        match_cache_offer(&cache, 1, i * CACHE_SETS, topic, &match, false);
    }
    for (uint64_t i = 0; i < CACHE_WAYS; i++)
        assert_false(match_cache_find(&cache, 1, i * CACHE_SETS, topic, LEVELS, &found));
    match_cache_clear(&cache);
}

static void test_memory_is_bounded(void **state)
{
    struct match_cache cache = {0};
    struct topic_match match = {.entries = results, .count = CACHE_RESULT_MAX}, found;
    uint32_t hits = 0;

    (void)state;
    for (uint64_t hash = 0; hash < CACHE_SETS; hash++) {
        match_cache_offer(&cache, 1, hash, span_text("t"), &match, true);
        match_cache_offer(&cache, 1, hash, span_text("t"), &match, true);
        assert_true(match_cache_find(&cache, 1, hash, span_text("t"), LEVELS, &found));
        assert_true(cache.bytes <= CACHE_BYTES_MAX);
    }
    for (uint64_t hash = 0; hash < CACHE_SETS; hash++)
        hits += match_cache_find(&cache, 1, hash, span_text("t"), LEVELS, &found);
    assert_true(hits > CACHE_BYTES_MAX / (CACHE_RESULT_MAX + 2) / 16 * 9 / 10);
    match.count++; /* too long */
    match_cache_offer(&cache, 2, 0, span_text("t"), &match, true);
    match_cache_offer(&cache, 2, 0, span_text("t"), &match, true);
    assert_false(match_cache_find(&cache, 2, 0, span_text("t"), LEVELS, &found));
    match_cache_clear(&cache);
    assert_int_equal(cache.bytes, 0);
}

static void test_no_memory(void **state)
{
    struct match_cache cache = {0};
    struct topic_match found;

    (void)state;
    for (unsigned long fail_at = 1; fail_at <= 2; fail_at++) {
        mem_fail_after(fail_at);
        offer(&cache, 1, "a/b", 3);
        offer(&cache, 1, "a/b", 3);
        mem_fail_after(0);
        assert_false(find(&cache, 1, "a/b", &found));
    }
    offer(&cache, 1, "a/b", 3);
    assert_true(find(&cache, 1, "a/b", &found));
    mem_fail_after(1); /* a larger result that finds no memory takes the old one away */
    offer(&cache, 2, "a/b", 200);
    mem_fail_after(0);
    assert_false(find(&cache, 2, "a/b", &found));
    match_cache_clear(&cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stored_at_second_sight),
        cmocka_unit_test(test_topics_in_turn),
        cmocka_unit_test(test_bytes_are_compared),
        cmocka_unit_test(test_a_note_belongs_to_the_result),
        cmocka_unit_test(test_strangers_pass_by),
        cmocka_unit_test(test_memory_is_bounded),
        cmocka_unit_test(test_no_memory),
    };

    hash_setup(0x5eed);
    for (uint32_t i = 0; i < ARRAY_LENGTH(results); i++)
        results[i].identifier = i;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
