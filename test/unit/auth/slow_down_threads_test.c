/* SPDX-License-Identifier: MIT
 *
 * Shards that share one table of wrong passwords: nothing that is held back is lost or kept, an attacker on all of them gets
 * what he would get on one, and a crowd that takes each other's places disturbs neither.
 */
#include "auth/slow_down.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>

#include <cmocka.h>

#define THREADS 4u
#define STEPS   20000u
#define HELD    6u /* by each thread, at most */

static const struct slow_down_rule rule = {
    .after = 3, .held = 8, .delay_ms = 500, .max_delay_ms = 4000, .forget_ms = 600000};

static struct slow_down *table;
static _Atomic uint32_t counted; /* wrong ones of `victim` */
static _Atomic uint32_t held_now, held_most;

static struct slow_down_keys keys_of(const char *user, uint8_t last)
{
    struct peer_address peer = {.family = AF_INET, .bytes = {192, 0, 2, last}};

    return slow_down_keys_of(&peer, span_text(user));
}

static int begin(void **state)
{
    (void)state;
    table = slow_down_create();
    atomic_store(&counted, 0);
    atomic_store(&held_now, 0);
    atomic_store(&held_most, 0);
    return 0;
}

static int end(void **state)
{
    (void)state;
    slow_down_destroy(table);
    return 0;
}

static void run(void *(*body)(void *))
{
    pthread_t threads[THREADS];

    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, body, (void *)i), 0);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

/* Each holds back and gives back in its own order, among keys that fight for a few buckets. */
static void *crowd(void *argument)
{
    uint64_t random = (uintptr_t)argument * 7919 + 1;
    struct slow_down_hold holds[HELD] = {{0}};

    for (unsigned i = 0; i < STEPS; i++) {
        struct slow_down_hold *hold = &holds[i % HELD];
        struct slow_down_keys keys;

        random = random * 6364136223846793005u + 1442695040888963407u;
        keys =
            (struct slow_down_keys){.address = (random >> 40 & 3) << 32 | (random >> 33 & 63) | 1,
                                    .user = (random >> 20 & 3) << 32 | (random >> 50 & 63) | 1};
        slow_down_release(table, hold);
        (void)slow_down_wrong(table, keys, &rule, 1000 + i / 100, hold);
        if (random >> 63 != 0)
            slow_down_right(table, keys);
        (void)slow_down_may_try(table, keys, &rule);
    }
    for (unsigned i = 0; i < HELD; i++)
        slow_down_release(table, &holds[i]);
    return NULL;
}

/* With a rule of one answer, whoever is still held may not try. */
static void what_is_held_back_is_given_back(void **state)
{
    static const struct slow_down_rule strict = {.after = 0, .held = 1, .delay_ms = 1};
    struct slow_down_hold other = {0};

    (void)state;
    run(crowd);
    /* one of another bucket, so that the table is looked at */
    assert_true(slow_down_wrong(table, keys_of("other", 9), &rule, 2000, &other) == 0);
    for (unsigned i = 0; i < 3; i++)
        (void)slow_down_wrong(table, keys_of("other", 9), &rule, 2000, &other);
    assert_true(other.held);
    for (uint64_t bucket = 0; bucket < 4; bucket++)
        for (uint64_t tag = 1; tag < 64; tag += 2) {
            struct slow_down_keys keys = {.address = bucket << 32 | tag};

            assert_true(slow_down_may_try(table, keys, &strict));
        }
    slow_down_release(table, &other);
}

static void *try_one(void *argument)
{
    struct slow_down_keys keys = keys_of("victim", (uint8_t)(uintptr_t)argument);
    struct slow_down_hold hold = {0};

    for (unsigned i = 0; i < STEPS; i++) {
        (void)slow_down_wrong(table, keys, &rule, 1000, &hold);
        atomic_fetch_add(&counted, 1);
        slow_down_release(table, &hold);
    }
    return NULL;
}

/* From four addresses by four threads: none may be lost but for those that made the place (I3). */
static void each_wrong_one_is_counted(void **state)
{
    static const struct slow_down_rule late = {.after = THREADS * STEPS,
                                               .held = 8,
                                               .delay_ms = 500,
                                               .max_delay_ms = 500,
                                               .forget_ms = 600000};
    struct slow_down_hold hold = {0};
    unsigned more = 0;

    (void)state;
    run(try_one);
    assert_int_equal(atomic_load(&counted), THREADS * STEPS);
    while (slow_down_wrong(table, keys_of("victim", 99), &late, 1000, &hold) == 0)
        more++;
    assert_in_range(more, 0, THREADS);
    slow_down_release(table, &hold);
}

static void give_back(struct slow_down_hold *hold)
{
    if (hold->held)
        atomic_fetch_sub(&held_now, 1);
    slow_down_release(table, hold);
}

/* Asks first, as a shard does, and holds its answers for as long as it can. */
static void *attack(void *argument)
{
    struct slow_down_hold holds[HELD] = {{0}};
    struct slow_down_keys keys = keys_of("victim", (uint8_t)(uintptr_t)argument);

    for (unsigned i = 0; i < STEPS; i++) {
        struct slow_down_hold *hold = &holds[i % HELD];
        uint32_t now, most;

        give_back(hold);
        if (!slow_down_may_try(table, keys, &rule))
            continue;
        if (slow_down_wrong(table, keys, &rule, 1000, hold) == 0)
            continue;
        now = atomic_fetch_add(&held_now, 1) + 1;
        most = atomic_load(&held_most);
        while (now > most && !atomic_compare_exchange_weak(&held_most, &most, now))
            ;
    }
    for (unsigned i = 0; i < HELD; i++)
        give_back(&holds[i]);
    return NULL;
}

/* One on its way for each thread besides those that are held: not `held` for each of them. */
static void the_limit_is_of_all_threads_together(void **state)
{
    (void)state;
    run(attack);
    assert_in_range(atomic_load(&held_most), 1, rule.held + THREADS - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_held_back_is_given_back, begin, end),
        cmocka_unit_test_setup_teardown(each_wrong_one_is_counted, begin, end),
        cmocka_unit_test_setup_teardown(the_limit_is_of_all_threads_together, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
