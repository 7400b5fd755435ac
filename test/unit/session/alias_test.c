/* SPDX-License-Identifier: MIT */
#include "session/alias.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void inbound_is_learned_and_replaced(void **state)
{
    struct alias_table *table = alias_create(3, 0);
    char text[] = "a/b";

    (void)state;
    assert_int_equal(alias_topic(table, 1).len, 0);
    assert_true(alias_learn(table, 1, span_text(text)));
    text[0] = 'x'; /* the table has its own copy */
    assert_true(span_equal(alias_topic(table, 1), span_text("a/b")));
    assert_true(alias_learn(table, 3, span_text("c")));
    assert_true(alias_learn(table, 1, span_text("longer/than/before")));
    assert_true(span_equal(alias_topic(table, 1), span_text("longer/than/before")));
    assert_true(span_equal(alias_topic(table, 3), span_text("c")));
    assert_int_equal(alias_topic(table, 2).len, 0);
    assert_int_equal(alias_topic(table, 0).len, 0);
    assert_int_equal(alias_topic(table, 4).len, 0);
    alias_destroy(table);
}

static void outbound_goes_to_the_first_topics(void **state)
{
    struct alias_table *table = alias_create(0, 2);
    bool known;

    (void)state;
    assert_int_equal(alias_for_topic(table, span_text("a"), &known), 1);
    assert_false(known);
    assert_int_equal(alias_for_topic(table, span_text("b"), &known), 2);
    assert_false(known);
    assert_int_equal(alias_for_topic(table, span_text("a"), &known), 1);
    assert_true(known);
    assert_int_equal(alias_for_topic(table, span_text("c"), &known), 0);
    assert_false(known);
    assert_int_equal(alias_for_topic(table, span_text("b"), &known), 2);
    assert_true(known);
    alias_destroy(table);
}

/* The client never got the packet that would have told it. */
static void what_was_not_sent_is_not_known(void **state)
{
    struct alias_table *table = alias_create(0, 2);
    bool known;

    (void)state;
    assert_int_equal(alias_for_topic(table, span_text("a"), &known), 1);
    assert_int_equal(alias_for_topic(table, span_text("b"), &known), 2);
    alias_forget_last(table);
    assert_int_equal(alias_for_topic(table, span_text("b"), &known), 2);
    assert_false(known);
    alias_forget_last(table);
    assert_int_equal(alias_for_topic(table, span_text("c"), &known), 2);
    assert_false(known);
    assert_int_equal(alias_for_topic(table, span_text("a"), &known), 1);
    assert_true(known);
    alias_destroy(table);
}

static void no_memory_gives_no_alias(void **state)
{
    struct alias_table *table;
    bool known;

    (void)state;
    mem_fail_after(1);
    assert_null(alias_create(1, 1));
    mem_fail_after(0);
    table = alias_create(1, 1);
    for (unsigned n = 1; n <= 2; n++) {
        mem_fail_after(n);
        assert_int_equal(alias_for_topic(table, span_text("a"), &known), 0);
        mem_fail_after(1); /* the array may be there by now, the topic not */
        assert_false(alias_learn(table, 1, span_text("a")));
        mem_fail_after(0);
        assert_int_equal(alias_topic(table, 1).len, 0);
    }
    assert_int_equal(alias_for_topic(table, span_text("a"), &known), 1);
    assert_false(known);
    assert_true(alias_learn(table, 1, span_text("a")));
    alias_destroy(table);
    alias_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inbound_is_learned_and_replaced),
        cmocka_unit_test(outbound_goes_to_the_first_topics),
        cmocka_unit_test(what_was_not_sent_is_not_known),
        cmocka_unit_test(no_memory_gives_no_alias),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
