/* SPDX-License-Identifier: MIT
 *
 * Unit tests of bench/sequence.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/random.h"
#include "bench/sequence.c"

static void test_in_order(void **state)
{
    struct sequence sequence = {0};

    (void)state;
    for (uint64_t i = 0; i < 5000; i++) {
        assert_int_equal(sequence_accept(&sequence, i), SEQUENCE_NEW);
    }
    assert_int_equal(sequence.next, 5000);
    assert_null(sequence.ring);
}

static void test_duplicates(void **state)
{
    struct sequence sequence = {0};

    (void)state;
    assert_int_equal(sequence_accept(&sequence, 0), SEQUENCE_NEW);
    assert_int_equal(sequence_accept(&sequence, 0), SEQUENCE_DUPLICATE);
    assert_int_equal(sequence_accept(&sequence, 3), SEQUENCE_NEW);
    assert_int_equal(sequence_accept(&sequence, 3), SEQUENCE_DUPLICATE);
    assert_int_equal(sequence_accept(&sequence, 1), SEQUENCE_LATE);
    assert_int_equal(sequence_accept(&sequence, 1), SEQUENCE_DUPLICATE);
    sequence_fini(&sequence);
}

static void test_late_and_lost(void **state)
{
    struct sequence sequence = {0};

    (void)state;
    sequence_accept(&sequence, 0);
    assert_int_equal(sequence_accept(&sequence, 2), SEQUENCE_NEW);
    assert_int_equal(sequence_accept(&sequence, 4), SEQUENCE_NEW);
    assert_int_equal(sequence.next, 1);
    assert_int_equal(sequence_accept(&sequence, 1), SEQUENCE_LATE);
    assert_int_equal(sequence.next, 3);
    assert_int_equal(sequence_accept(&sequence, 3), SEQUENCE_LATE);
    assert_int_equal(sequence.next, 5);
    assert_int_equal(sequence.ahead, 0);
    assert_int_equal(sequence_accept(&sequence, 5), SEQUENCE_NEW);
    sequence_fini(&sequence);
}

static void test_what_is_too_far_behind_is_given_up(void **state)
{
    struct sequence sequence = {0};

    (void)state;
    sequence_accept(&sequence, 1);
    assert_int_equal(sequence_accept(&sequence, 2ull * SEQUENCE_AHEAD_MAX), SEQUENCE_NEW);
    assert_true(sequence.capacity <= SEQUENCE_AHEAD_MAX);
    assert_int_equal(sequence_accept(&sequence, 0), SEQUENCE_DUPLICATE);
    assert_int_equal(sequence_accept(&sequence, 1), SEQUENCE_DUPLICATE);
    assert_int_equal(sequence_accept(&sequence, 2ull * SEQUENCE_AHEAD_MAX - 1), SEQUENCE_LATE);
    assert_int_equal(sequence_accept(&sequence, UINT64_MAX / 2), SEQUENCE_NEW);
    assert_int_equal(sequence_accept(&sequence, UINT64_MAX / 2), SEQUENCE_DUPLICATE);
    sequence_fini(&sequence);
}

/* Against a plain table: random order within a moving range, with duplicates. */
static void test_against_a_table(void **state)
{
    enum { COUNT = 40000, SPREAD = 3000 };
    static uint8_t seen[COUNT + SPREAD];
    struct sequence sequence = {0};
    struct random random = {42};
    uint64_t highest = 0;

    (void)state;
    for (uint64_t i = 0; i < 4 * COUNT; i++) {
        uint64_t number = i / 4 + random_below(&random, SPREAD);
        enum sequence_verdict verdict = sequence_accept(&sequence, number);

        if (seen[number]) {
            assert_int_equal(verdict, SEQUENCE_DUPLICATE);
        } else {
            assert_int_equal(verdict, number < highest ? SEQUENCE_LATE : SEQUENCE_NEW);
        }
        seen[number] = 1;
        highest = number + 1 > highest ? number + 1 : highest;
    }
    for (uint64_t i = 0; i < sequence.next; i++) {
        assert_int_equal(seen[i], 1);
    }
    assert_int_equal(seen[sequence.next], 0);
    sequence_fini(&sequence);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_order),
        cmocka_unit_test(test_duplicates),
        cmocka_unit_test(test_late_and_lost),
        cmocka_unit_test(test_what_is_too_far_behind_is_given_up),
        cmocka_unit_test(test_against_a_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
