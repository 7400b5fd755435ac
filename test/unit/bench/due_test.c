/* SPDX-License-Identifier: MIT
 *
 * Unit tests of the two tables behind pub and sub, due and flows.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bench/due.h"
#include "bench/flows.h"

static void test_due_is_sorted(void **state)
{
    struct due due = {0};
    uint64_t last = 0, sum = 0, taken = 0;
    unsigned seed = 5;

    (void)state;
    assert_true(due_next(&due) == UINT64_MAX);
    for (uint32_t i = 0; i < 5000; i++) {
        seed = seed * 1103515245 + 12345;
        due_add(&due, seed % 1000, i);
        sum += i;
    }
    while (due.count > 0) {
        struct due_entry entry;

        assert_true(due_next(&due) >= last);
        entry = due_take(&due);
        assert_true(entry.at_ns >= last);
        last = entry.at_ns;
        taken += entry.index;
    }
    assert_int_equal(taken, sum);
    due_fini(&due);
}

static void test_flows_are_found_again(void **state)
{
    struct flows flows = {0};

    (void)state;
    for (uint32_t round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < 3000; i++) {
            struct flow_check *check = flows_find(&flows, i % 10, i * 77777);

            assert_int_equal(check->begun, round);
            assert_true(round == 0 || check->first == i);
            check->begun = true;
            check->first = i;
        }
    }
    assert_int_equal(flows.count, 3000);
    flows_fini(&flows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_due_is_sorted),
        cmocka_unit_test(test_flows_are_found_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
