/* SPDX-License-Identifier: MIT
 *
 * The ring between two threads: bounds, staging, wrapping, and order between two real threads.
 */
#include "shards/spsc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>

static struct spsc_element element_of(uint64_t number)
{
    struct spsc_element element;
    uint64_t words[2] = {number, ~number};

    memcpy(&element, words, sizeof(element));
    return element;
}

static uint64_t number_of(const struct spsc_element *element)
{
    uint64_t words[2];

    memcpy(words, element, sizeof(words));
    assert_int_equal(words[0], ~words[1]);
    return words[0];
}

static void staged_elements_are_invisible_until_published(void **state)
{
    struct spsc ring;
    struct spsc_element element = element_of(7), got;

    (void)state;
    spsc_init(&ring, 4);
    assert_false(spsc_ready(&ring));
    assert_true(spsc_stage(&ring, &element));
    assert_int_equal(spsc_unpublished(&ring), 1);
    assert_false(spsc_ready(&ring));
    assert_int_equal(spsc_pop(&ring, &got, 1), 0);
    spsc_publish(&ring);
    assert_true(spsc_ready(&ring));
    assert_int_equal(spsc_pop(&ring, &got, 1), 1);
    assert_int_equal(number_of(&got), 7);
    assert_false(spsc_ready(&ring));
    spsc_fini(&ring);
}

static void a_full_ring_refuses_until_released(void **state)
{
    struct spsc ring;
    struct spsc_element elements[5], got[4];
    const struct spsc_element *first;

    (void)state;
    spsc_init(&ring, 4);
    for (unsigned i = 0; i < 5; i++)
        elements[i] = element_of(i);
    assert_int_equal(spsc_push(&ring, elements, 5), 4);
    assert_false(spsc_has_room(&ring));
    assert_int_equal(spsc_peek(&ring, &first, 9), 4);
    assert_false(spsc_has_room(&ring)); /* looking gives nothing back */
    spsc_release(&ring, 1);
    assert_true(spsc_has_room(&ring));
    assert_int_equal(spsc_push(&ring, &elements[4], 1), 1);
    assert_int_equal(spsc_pop(&ring, got, 4), 4);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(number_of(&got[i]), i + 1);
    spsc_fini(&ring);
}

static void indices_wrap_around(void **state)
{
    struct spsc ring;
    uint64_t in = 0, out = 0;

    (void)state;
    spsc_init(&ring, 8);
    /* begin shortly before the 32 bits run over */
    atomic_store(&ring.head, UINT32_MAX - 20);
    atomic_store(&ring.tail, UINT32_MAX - 20);
    ring.staged = ring.head_seen = ring.tail_seen = UINT32_MAX - 20;
    for (unsigned round = 0; round < 100; round++) {
        struct spsc_element got[5];
        uint32_t count;

        for (unsigned i = 0; i < 1 + round % 7; i++) {
            struct spsc_element element = element_of(in);

            if (spsc_stage(&ring, &element))
                in++;
        }
        spsc_publish(&ring);
        count = spsc_pop(&ring, got, 5);
        for (uint32_t i = 0; i < count; i++)
            assert_int_equal(number_of(&got[i]), out++);
    }
    assert_true(out > 200);
    assert_true(in - out <= 8);
    spsc_fini(&ring);
}

#define STRESS 300000u

static void *produce(void *argument)
{
    struct spsc *ring = argument;
    uint64_t next = 0;

    while (next < STRESS) {
        struct spsc_element batch[13];
        uint32_t count = 0, done;

        while (count < 1 + next % 13 && next + count < STRESS) {
            batch[count] = element_of(next + count);
            count++;
        }
        done = spsc_push(ring, batch, count);
        next += done;
        if (done == 0)
            sched_yield();
    }
    return NULL;
}

static void two_threads_keep_order_and_lose_nothing(void **state)
{
    struct spsc ring;
    pthread_t producer;
    uint64_t expected = 0;

    (void)state;
    spsc_init(&ring, 64);
    assert_int_equal(pthread_create(&producer, NULL, produce, &ring), 0);
    while (expected < STRESS) {
        const struct spsc_element *first;
        uint32_t count = spsc_peek(&ring, &first, 1 + (uint32_t)(expected % 29));

        for (uint32_t i = 0; i < count; i++)
            assert_int_equal(number_of(&first[i]), expected++);
        if (count != 0)
            spsc_release(&ring, count);
        else
            sched_yield();
    }
    pthread_join(producer, NULL);
    assert_false(spsc_ready(&ring));
    spsc_fini(&ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(staged_elements_are_invisible_until_published),
        cmocka_unit_test(a_full_ring_refuses_until_released),
        cmocka_unit_test(indices_wrap_around),
        cmocka_unit_test(two_threads_keep_order_and_lose_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
