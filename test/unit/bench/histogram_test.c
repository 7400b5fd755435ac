/* SPDX-License-Identifier: MIT
 *
 * Unit tests of bench/histogram.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/random.h"
#include "bench/histogram.c"

static void test_empty(void **state)
{
    struct histogram *histogram = mem_zalloc(sizeof(*histogram));

    (void)state;
    assert_int_equal(histogram_quantile(histogram, 0.5), 0);
    assert_true(histogram_mean(histogram) == 0);
    mem_free(histogram);
}

static void test_slots_are_ordered_and_complete(void **state)
{
    (void)state;
    assert_int_equal(histogram_slot(0), 0);
    assert_int_equal(histogram_slot(UINT64_MAX), HISTOGRAM_SLOTS - 1);
    for (uint32_t shift = 0; shift < 63; shift++) {
        uint64_t value = 1ull << shift;

        assert_true(histogram_slot(value) <= histogram_slot(value + 1));
        assert_true(histogram_slot(value - 1) <= histogram_slot(value));
        assert_true(histogram_slot(2 * value - 1) <= histogram_slot(2 * value));
    }
}

static void test_values_are_kept_to_one_percent(void **state)
{
    struct random random = {7};

    (void)state;
    for (uint32_t i = 0; i < 100000; i++) {
        uint64_t value = random_next(&random) >> random_below(&random, 64);
        double middle = (double)slot_value(histogram_slot(value));

        assert_true(fabs(middle - (double)value) <= 0.01 * (double)value);
    }
}

static void test_quantiles(void **state)
{
    struct histogram *histogram = mem_zalloc(sizeof(*histogram));

    (void)state;
    for (uint64_t i = 1; i <= 10000; i++) {
        histogram_add(histogram, i * 1000);
    }
    assert_true(fabs((double)histogram_quantile(histogram, 0.5) - 5000e3) < 50e3);
    assert_true(fabs((double)histogram_quantile(histogram, 0.99) - 9900e3) < 99e3);
    assert_true(fabs((double)histogram_quantile(histogram, 0.9999) - 9999e3) < 100e3);
    assert_int_equal(histogram_quantile(histogram, 1), 10000000);
    assert_int_equal(histogram->max_ns, 10000000);
    assert_true(fabs(histogram_mean(histogram) - 5000.5e3) < 1);
    mem_free(histogram);
}

static void test_the_tail_is_found(void **state)
{
    struct histogram *histogram = mem_zalloc(sizeof(*histogram));

    (void)state;
    for (uint32_t i = 0; i < 9998; i++) {
        histogram_add(histogram, 10);
    }
    histogram_add(histogram, 1000000);
    histogram_add(histogram, 1000000);
    assert_int_equal(histogram_quantile(histogram, 0.9997), 10);
    assert_true(histogram_quantile(histogram, 0.9999) > 990000);
    mem_free(histogram);
}

static void test_merge(void **state)
{
    struct histogram *one = mem_zalloc(sizeof(*one)), *two = mem_zalloc(sizeof(*two));

    (void)state;
    histogram_add(one, 5);
    histogram_add(two, 7);
    histogram_add(two, 9);
    histogram_merge(one, two);
    assert_int_equal(one->count, 3);
    assert_int_equal(one->max_ns, 9);
    assert_int_equal(histogram_quantile(one, 0.5), 7);
    mem_free(one);
    mem_free(two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_slots_are_ordered_and_complete),
        cmocka_unit_test(test_values_are_kept_to_one_percent),
        cmocka_unit_test(test_quantiles),
        cmocka_unit_test(test_the_tail_is_found),
        cmocka_unit_test(test_merge),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
