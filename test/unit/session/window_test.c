/* SPDX-License-Identifier: MIT
 *
 * The window of a session: identifiers, the queue behind what is in flight, rewinding for a resume.
 */
#include "session/window.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct message *make_message(void)
{
    const struct publication publication = {.topic = span_text("a"), .qos = 1};
    struct message *message = message_create(&publication, 1);

    assert_non_null(message);
    return message;
}

static struct delivery *append(struct window *window)
{
    struct delivery *delivery = window_append(window);

    assert_non_null(delivery);
    delivery->message = make_message();
    delivery->qos = 1;
    window->queued_bytes += delivery->message->size;
    return delivery;
}

static void send_next(struct window *window, uint32_t ordinal)
{
    struct delivery *delivery = window_at(window, window->next);

    if (delivery->state == DELIVERY_QUEUED)
        window_begin(window, delivery);
    delivery->transmitted = delivery->in_quota = true;
    delivery->ordinal = ordinal;
    window->outstanding++;
    window->next++;
}

/* Identifiers are those of the sequence, and an acknowledged one is gone. */
static void finds_by_identifier(void **state)
{
    struct window window = {0};

    (void)state;
    for (uint32_t i = 0; i < 3; i++)
        append(&window);
    assert_null(window_find(&window, 1)); /* queued: not sent */
    for (uint32_t i = 0; i < 3; i++)
        send_next(&window, i + 1);
    assert_ptr_equal(window_find(&window, 2), window_at(&window, 1));
    window_finish(&window, window_find(&window, 2));
    assert_null(window_find(&window, 2));
    assert_null(window_find(&window, 0));
    assert_null(window_find(&window, 4));
    window_check(&window);
    assert_int_equal(window_clear(&window), 0);
}

/* What waited longest goes first, and what is in flight is not touched. */
static void drops_the_oldest_behind_what_is_in_flight(void **state)
{
    struct window window = {0};

    (void)state;
    for (uint32_t i = 0; i < 4; i++)
        append(&window);
    send_next(&window, 1);
    send_next(&window, 2);
    assert_int_equal(window_rewind(&window, 2), 0);
    assert_int_equal(window.next, 0);
    assert_int_equal(window.queued, 2);
    assert_ptr_equal(window_oldest(&window), window_at(&window, 2));
    window_finish(&window, window_oldest(&window));
    assert_ptr_equal(window_oldest(&window), window_at(&window, 3));
    assert_int_equal(window.next, 0);
    window_finish(&window, window_oldest(&window));
    assert_null(window_oldest(&window));
    window_check(&window);
    assert_int_equal(window_clear(&window), 0);
}

/* One delivery is never acknowledged; a million pass through the queue behind it. */
static void ring_does_not_grow_with_what_was_dropped(void **state)
{
    struct window window = {0};

    (void)state;
    append(&window);
    send_next(&window, 1);
    assert_int_equal(window_rewind(&window, 1), 0);
    for (uint32_t i = 0; i < 10000; i++) {
        if (window.queued == 100)
            window_finish(&window, window_oldest(&window));
        append(&window);
        if (i % 100 == 0)
            window_check(&window);
    }
    assert_int_equal(window.queued, 100);
    assert_true(window.capacity <= 256);
    assert_non_null(window_find(&window, 1));
    assert_int_equal(window_at(&window, 0)->state, DELIVERY_SENT);
    assert_int_equal(window_clear(&window), 100);
}

/* A pack keeps the order of the queue and the places of what was sent. */
static void pack_keeps_order(void **state)
{
    struct window window = {0};
    struct message *messages[8];

    (void)state;
    for (uint32_t i = 0; i < 8; i++)
        messages[i] = append(&window)->message;
    for (uint32_t i = 0; i < 3; i++)
        send_next(&window, i + 1);
    window_finish(&window, window_at(&window, 1)); /* a gap among those in flight stays */
    assert_int_equal(window_rewind(&window, 3), 0);
    window_finish(&window, window_at(&window, 4));
    window_finish(&window, window_at(&window, 6));
    append(&window); /* packs: 0 . 2 3 5 7 new */
    window_check(&window);
    assert_int_equal(window.capacity, 8);
    assert_ptr_equal(window_at(&window, 0)->message, messages[0]);
    assert_int_equal(window_at(&window, 1)->state, DELIVERY_DONE);
    assert_ptr_equal(window_at(&window, 2)->message, messages[2]);
    assert_ptr_equal(window_at(&window, 3)->message, messages[3]);
    assert_ptr_equal(window_at(&window, 4)->message, messages[5]);
    assert_ptr_equal(window_at(&window, 5)->message, messages[7]);
    assert_int_equal(window.tail, 7);
    assert_int_equal(window_clear(&window), 4);
}

/* First transmissions above the confirmed ordinal have not left; the client of an earlier connection
 * is not asked again. */
static void rewind_counts_what_is_not_confirmed(void **state)
{
    struct window window = {0};

    (void)state;
    for (uint32_t i = 0; i < 4; i++)
        append(&window);
    for (uint32_t i = 0; i < 4; i++)
        send_next(&window, i + 1);
    assert_int_equal(window_rewind(&window, 1), 3);
    assert_int_equal(window.outstanding, 0);
    assert_true(window_at(&window, 0)->transmitted);
    assert_false(window_at(&window, 1)->transmitted);
    assert_true(window_at(&window, 3)->duplicate);
    window.next = 1; /* sent again: a retransmission has no ordinal of the new connection */
    assert_int_equal(window_rewind(&window, UINT32_C(0x90000000)), 0);
    window_check(&window);
    assert_int_equal(window_clear(&window), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_by_identifier),
        cmocka_unit_test(drops_the_oldest_behind_what_is_in_flight),
        cmocka_unit_test(ring_does_not_grow_with_what_was_dropped),
        cmocka_unit_test(pack_keeps_order),
        cmocka_unit_test(rewind_counts_what_is_not_confirmed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
