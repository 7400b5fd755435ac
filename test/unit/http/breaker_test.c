/* SPDX-License-Identifier: MIT */
#include "http/breaker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void opens_after_failures_in_a_row(void **state)
{
    struct breaker breaker = {.failures = 3, .pause_ms = 1000};

    (void)state;
    assert_false(breaker_failed(&breaker, 0));
    assert_false(breaker_failed(&breaker, 0));
    assert_false(breaker_succeeded(&breaker)); /* the row is broken */
    assert_false(breaker_failed(&breaker, 0));
    assert_false(breaker_failed(&breaker, 0));
    assert_true(breaker_ask(&breaker, 0));
    assert_true(breaker_failed(&breaker, 5));
    assert_int_equal(breaker.state, BREAKER_OPEN);
    assert_false(breaker_ask(&breaker, 5));
    assert_false(breaker_ask(&breaker, 1004));
}

static void one_probes_for_all(void **state)
{
    struct breaker breaker = {.failures = 1, .pause_ms = 1000};

    (void)state;
    assert_true(breaker_failed(&breaker, 0));
    assert_false(breaker_failed(&breaker, 900)); /* was under way: the pause is not longer for it */
    assert_true(breaker_ask(&breaker, 1000));
    assert_false(breaker_ask(&breaker, 1000));
    assert_false(breaker_failed(&breaker, 2000)); /* it was open, and is again */
    assert_false(breaker_ask(&breaker, 2999));
    assert_true(breaker_ask(&breaker, 3000));
    assert_true(breaker_succeeded(&breaker));
    assert_true(breaker_ask(&breaker, 3000));
    assert_true(breaker_ask(&breaker, 3000));
}

static void a_probe_may_be_given_up(void **state)
{
    struct breaker breaker = {.failures = 1, .pause_ms = 1000};

    (void)state;
    breaker_failed(&breaker, 0);
    assert_true(breaker_ask(&breaker, 1500));
    breaker_abandon(&breaker, 1500);
    assert_true(breaker_ask(&breaker, 1500));
    breaker_succeeded(&breaker);
    breaker_abandon(&breaker, 1500); /* of a closed one nothing follows */
    assert_int_equal(breaker.state, BREAKER_CLOSED);
}

static void without_a_number_it_never_opens(void **state)
{
    struct breaker breaker = {.pause_ms = 1000};

    (void)state;
    for (int i = 0; i < 100; i++)
        assert_false(breaker_failed(&breaker, 0));
    assert_true(breaker_ask(&breaker, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_after_failures_in_a_row),
        cmocka_unit_test(one_probes_for_all),
        cmocka_unit_test(a_probe_may_be_given_up),
        cmocka_unit_test(without_a_number_it_never_opens),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
