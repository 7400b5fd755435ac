/* SPDX-License-Identifier: MIT */
#include "topic/table.h"

#include "base/check.h"
#include "base/mem.h"
#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct table_slot *find(const struct table *table, uint64_t hash, uint64_t value)
{
    struct table_slot *slot = table_first(table, hash);

    while (slot != NULL && slot->value != value)
        slot = table_next(table, slot);
    return slot;
}

static void add(struct table *table, uint64_t hash, uint64_t value)
{
    assert_true(table_reserve(table));
    table_insert(table, hash, value);
}

static void test_same_hash(void **state)
{
    struct table table = {0};

    (void)state;
    assert_null(table_first(&table, 7));
    for (uint64_t value = 1; value <= 100; value++)
        add(&table, 7, value);
    table_check(&table);
    for (uint64_t value = 1; value <= 100; value += 2)
        table_remove(&table, find(&table, 7, value));
    table_check(&table);
    for (uint64_t value = 1; value <= 100; value++)
        assert_int_equal(find(&table, 7, value) != NULL, value % 2 == 0);
    assert_null(table_first(&table, 8));
    table_clear(&table);
}

/* Hashes with few low bits crowd at few homes, and wrap around the end of the slots. */
static void test_random_operations(void **state)
{
    enum { VALUES = 300 };
    struct table table = {0};
    struct random random = {.state = 4};
    uint64_t hashes[VALUES] = {0};
    bool there[VALUES] = {false};

    (void)state;
    for (uint32_t i = 0; i < 30000; i++) {
        uint32_t which = random_below(&random, i / 5000 % 2 == 0 ? VALUES : VALUES / 10);

        if (there[which]) {
            table_remove(&table, find(&table, hashes[which], which + 1));
        } else {
            hashes[which] = (random_next(&random) & 3) - 2;
            add(&table, hashes[which], which + 1);
        }
        there[which] = !there[which];
        if (i % 64 == 0)
            table_check(&table);
    }
    for (uint32_t i = 0; i < VALUES; i++)
        assert_int_equal(find(&table, hashes[i], i + 1) != NULL, there[i]);
    table_clear(&table);
}

static void test_shrinks(void **state)
{
    struct table table = {0};
    struct random random = {.state = 1};
    uint64_t first = random.state;

    (void)state;
    for (uint64_t i = 0; i < 100000; i++)
        add(&table, random_next(&random), i + 1);
    assert_int_equal(table.mask + 1, 262144);
    random.state = first;
    for (uint64_t i = 0; i < 100000; i++)
        table_remove(&table, find(&table, random_next(&random), i + 1));
    assert_int_equal(table.count, 0);
    assert_int_equal(table.mask + 1, 16);
    table_clear(&table);
}

static void test_no_memory(void **state)
{
    struct table table = {0};
    uint64_t stored = 0;

    (void)state;
    mem_fail_after(1);
    assert_false(table_reserve(&table));
    mem_fail_after(2);
    while (table_reserve(&table)) {
        stored++;
        table_insert(&table, stored, stored);
    }
    assert_int_equal(stored, 12);
    table_check(&table);
    mem_fail_after(0);
    for (uint64_t i = stored + 1; i <= 1000; i++)
        add(&table, i, i);
    mem_fail_after(1); /* a table that cannot shrink goes on as it is */
    for (uint64_t i = 1; i <= 1000; i++)
        table_remove(&table, find(&table, i, i));
    mem_fail_after(0);
    table_check(&table);
    assert_int_equal(table.count, 0);
    table_clear(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_hash),
        cmocka_unit_test(test_random_operations),
        cmocka_unit_test(test_shrinks),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
