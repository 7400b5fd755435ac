/* SPDX-License-Identifier: MIT
 *
 * Who waits for an answer, and for how long; the cache of right passwords; against naive models.
 */
#include "auth/slow_down.h"

#include "auth/login_cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <cmocka.h>

static const struct slow_down_rule rule = {
    .after = 3, .held = 2, .delay_ms = 500, .max_delay_ms = 4000, .forget_ms = 60000};

static struct slow_down_hold holds[64];
static unsigned hold_count;

/* One that is wrong; what is held back of it is kept in `holds`. */
static uint64_t wrong(struct slow_down *table, struct slow_down_keys keys,
                      const struct slow_down_rule *by, uint64_t now_ms)
{
    struct slow_down_hold hold = {0};
    uint64_t delay_ms = slow_down_wrong(table, keys, by, now_ms, &hold);

    assert_int_equal(hold.held, delay_ms != 0);
    if (hold.held && hold_count < sizeof(holds) / sizeof(holds[0]))
        holds[hold_count++] = hold;
    return delay_ms;
}

static void release(struct slow_down *table)
{
    assert_int_not_equal(hold_count, 0);
    slow_down_release(table, &holds[--hold_count]);
}

static int forget_holds(void **state)
{
    (void)state;
    hold_count = 0;
    return 0;
}

static struct slow_down_keys keys_of(const char *user, uint8_t last)
{
    struct peer_address peer = {.family = AF_INET, .bytes = {192, 0, 2, last}};

    return slow_down_keys_of(&peer, span_text(user));
}

static void the_delay_doubles_up_to_its_limit(void **state)
{
    static const uint64_t wanted[] = {0, 0, 0, 500, 1000, 2000, 4000, 4000, 4000};
    struct slow_down *table = slow_down_create();
    struct slow_down_keys keys = keys_of("a", 1);

    (void)state;
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        assert_true(slow_down_may_try(table, keys, &rule));
        assert_int_equal(wrong(table, keys, &rule, 1000 + i), wanted[i]);
        if (wanted[i] != 0)
            release(table);
    }
    /* after a while it is as new */
    assert_int_equal(wrong(table, keys, &rule, 1000 + 8 + 60001), 0);
    slow_down_destroy(table);
}

static void the_higher_count_decides(void **state)
{
    struct slow_down *table = slow_down_create();

    (void)state;
    for (uint8_t i = 0; i < 3; i++) /* one user, from three addresses */
        assert_int_equal(wrong(table, keys_of("a", i), &rule, 1000), 0);
    assert_int_equal(wrong(table, keys_of("a", 9), &rule, 1000), 500);
    release(table);
    assert_int_equal(wrong(table, keys_of("b", 9), &rule, 1000), 0); /* two of its address */
    /* a right one clears the user's count, not the address's */
    slow_down_right(table, keys_of("a", 9));
    assert_int_equal(wrong(table, keys_of("a", 10), &rule, 1000), 0);
    assert_int_equal(wrong(table, keys_of("c", 9), &rule, 1000), 0);
    assert_int_equal(wrong(table, keys_of("d", 9), &rule, 1000), 500);
    slow_down_destroy(table);
}

static void only_so_many_are_held_back(void **state)
{
    struct slow_down *table = slow_down_create();
    struct slow_down_keys one = keys_of("a", 1), sibling = keys_of("b", 1), far = keys_of("c", 2);

    (void)state;
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(wrong(table, one, &rule, 1000), 0);
    assert_int_equal(wrong(table, one, &rule, 1000), 500);
    assert_true(slow_down_may_try(table, sibling, &rule));
    assert_int_equal(wrong(table, one, &rule, 1000), 1000);
    assert_false(slow_down_may_try(table, one, &rule));
    assert_false(slow_down_may_try(table, sibling, &rule));         /* the address */
    assert_false(slow_down_may_try(table, keys_of("a", 7), &rule)); /* the user */
    assert_true(slow_down_may_try(table, far, &rule));
    release(table);
    assert_true(slow_down_may_try(table, sibling, &rule));
    slow_down_release(table, &holds[0]);
    slow_down_release(table, &holds[0]); /* once too often: nothing */
    assert_true(slow_down_may_try(table, one, &rule));
    slow_down_destroy(table);
}

static void switched_off_it_counts_nothing(void **state)
{
    struct slow_down_rule off = rule;
    struct slow_down *table = slow_down_create();

    (void)state;
    off.delay_ms = 0;
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(wrong(table, keys_of("a", 1), &off, 1000), 0);
    assert_int_equal(wrong(table, keys_of("a", 1), &rule, 1000), 0);
    slow_down_destroy(table);
}

static void addresses_are_what_one_subscriber_has(void **state)
{
    struct peer_address v6 = {.family = AF_INET6, .bytes = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 1, 1}};
    struct peer_address other_net = v6, neighbour = v6;
    struct peer_address mapped = {.family = AF_INET6,
                                  .bytes = {[10] = 0xff, [11] = 0xff, 192, 0, 2, 1}};
    struct peer_address path = {.family = AF_UNIX};
    struct slow_down *path_table;

    (void)state;
    neighbour.bytes[15] = 7;
    other_net.bytes[7] = 2;
    assert_true(slow_down_keys_of(&v6, span_text("")).address ==
                slow_down_keys_of(&neighbour, span_text("")).address);
    assert_true(slow_down_keys_of(&v6, span_text("")).address !=
                slow_down_keys_of(&other_net, span_text("")).address);
    assert_true(slow_down_keys_of(&mapped, span_text("")).address == keys_of("", 1).address);
    assert_int_equal(slow_down_keys_of(&path, span_text("")).address, 0);
    assert_int_equal(slow_down_keys_of(&path, span_text("")).user, 0);
    path_table = slow_down_create();
    assert_int_equal(wrong(path_table, slow_down_keys_of(&path, span_text("")), &rule, 1), 0);
    assert_true(slow_down_may_try(path_table, slow_down_keys_of(&path, span_text("")), &rule));
    slow_down_destroy(path_table);
}

/* A million addresses and names push nobody out whose answers are held back. */
static void a_crowd_pushes_nobody_out_who_is_held(void **state)
{
    struct slow_down *table = slow_down_create();
    struct slow_down_keys held = keys_of("victim", 1);

    (void)state;
    for (unsigned i = 0; i < 3; i++)
        wrong(table, held, &rule, 1000);
    assert_true(wrong(table, held, &rule, 1000) != 0);
    assert_true(wrong(table, held, &rule, 1000) != 0);
    for (uint32_t i = 0; i < 200000; i++) {
        struct slow_down_keys keys = {.address = (uint64_t)rand() << 32 | (uint64_t)rand() | 1};

        wrong(table, keys, &rule, 2000 + i);
    }
    assert_false(slow_down_may_try(table, held, &rule));
    slow_down_destroy(table);
}

/* Shards read their clocks at other moments: a count from the future is no count from long ago. */
static void a_clock_that_is_behind_forgets_nothing(void **state)
{
    struct slow_down *table = slow_down_create();
    struct slow_down_keys keys = keys_of("a", 1);

    (void)state;
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(wrong(table, keys, &rule, 1000 - i), 0);
    assert_int_equal(wrong(table, keys, &rule, 990), 500);
    assert_int_equal(wrong(table, keys, &rule, 61000), 1000); /* peace since 1000, not since 990 */
    assert_int_equal(wrong(table, keys, &rule, 121001), 0);
    slow_down_destroy(table);
}

/* ---- the cache ---- */

static struct login_secret secret;

static struct login_key key(const char *user, const char *password)
{
    return login_key_of(&secret, span_text(user), span_text(password));
}

static void what_was_right_is_remembered_for_a_while(void **state)
{
    struct login_cache *cache = login_cache_create(8);

    (void)state;
    assert_false(login_cache_has(cache, key("a", "b"), 10));
    login_cache_put(cache, key("a", "b"), 10, 20);
    assert_true(login_cache_has(cache, key("a", "b"), 19));
    assert_false(login_cache_has(cache, key("a", "b"), 20));
    assert_false(login_cache_has(cache, key("a", "c"), 10));
    assert_false(login_cache_has(cache, key("ab", ""), 10)); /* a boundary is part of it */
    assert_false(login_cache_has(cache, key("", "ab"), 10));
    login_cache_put(cache, key("x", "y"), 30, 30); /* nothing */
    assert_false(login_cache_has(cache, key("x", "y"), 29));
    login_cache_destroy(cache);
    login_cache_destroy(NULL);
}

static void it_is_bounded_and_keeps_the_newest(void **state)
{
    struct login_cache *cache = login_cache_create(64);
    unsigned kept = 0;
    char name[32];

    (void)state;
    for (unsigned i = 0; i < 10000; i++) {
        snprintf(name, sizeof(name), "user %u", i);
        login_cache_put(cache, key(name, "p"), 1, 1000 + i);
        assert_true(login_cache_has(cache, key(name, "p"), 1));
    }
    for (unsigned i = 0; i < 10000; i++) {
        snprintf(name, sizeof(name), "user %u", i);
        kept += login_cache_has(cache, key(name, "p"), 1);
    }
    assert_in_range(kept, 32, 64);
    login_cache_destroy(cache);
}

static void another_secret_makes_other_keys(void **state)
{
    struct login_key mine = key("a", "b"), large;
    struct login_secret other;
    char *text = calloc(1, 70000);

    (void)state;
    login_secret_make(&other);
    assert_false(login_key_equal(mine, login_key_of(&other, span_text("a"), span_text("b"))));
    large = login_key_of(&secret, span_of(text, 65535), span_of(text, 65535));
    assert_false(
        login_key_equal(large, login_key_of(&secret, span_of(text, 65535), span_of(text, 65534))));
    free(text);
}

static void a_fingerprint_is_another_when_anything_is(void **state)
{
    struct password one = {
        .kind = PASSWORD_CLEAR, .clear = (uint8_t *)(uintptr_t) "abc", .clear_len = 3};
    struct password other = one, hashed = {.kind = PASSWORD_SCRYPT, .salt_len = 4, .hash_len = 4};
    struct password salted = hashed, costly = hashed;

    (void)state;
    other.clear_len = 2;
    salted.salt[3] = 1;
    costly.log_n = 15;
    assert_true(login_fingerprint(&secret, &one) == login_fingerprint(&secret, &one));
    assert_true(login_fingerprint(&secret, &one) != login_fingerprint(&secret, &other));
    assert_true(login_fingerprint(&secret, &hashed) != login_fingerprint(&secret, &salted));
    assert_true(login_fingerprint(&secret, &hashed) != login_fingerprint(&secret, &costly));
    assert_true(login_fingerprint(&secret, &hashed) != 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_delay_doubles_up_to_its_limit, forget_holds),
        cmocka_unit_test_setup(the_higher_count_decides, forget_holds),
        cmocka_unit_test_setup(only_so_many_are_held_back, forget_holds),
        cmocka_unit_test_setup(switched_off_it_counts_nothing, forget_holds),
        cmocka_unit_test_setup(addresses_are_what_one_subscriber_has, forget_holds),
        cmocka_unit_test_setup(a_crowd_pushes_nobody_out_who_is_held, forget_holds),
        cmocka_unit_test_setup(a_clock_that_is_behind_forgets_nothing, forget_holds),
        cmocka_unit_test(what_was_right_is_remembered_for_a_while),
        cmocka_unit_test(it_is_bounded_and_keeps_the_newest),
        cmocka_unit_test(another_secret_makes_other_keys),
        cmocka_unit_test(a_fingerprint_is_another_when_anything_is),
    };

    login_secret_make(&secret);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
