/* SPDX-License-Identifier: MIT
 *
 * The window of a session against a naive model: a plain list of the deliveries that are not finished.
 * Runs begin near the places where identifiers and sequence numbers wrap.
 */
#include "session/window.c"

#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define LIVE_MAX 700u

struct item {
    struct message *message; /* NULL once released */
    uint16_t identifier;     /* 0: never sent */
    uint8_t state;
    bool to_send, transmitted;
    uint32_t ordinal;
};

struct model {
    struct window window;
    struct item items[LIVE_MAX];
    uint32_t count, receive_maximum, ordinals;
    bool held[WINDOW_IDENTIFIERS + 1]; /* identifiers of deliveries that were sent and taken back */
    struct random random;
};

static struct message *make_message(struct model *model)
{
    const struct publication publication = {
        .topic = span_of("abcdefghijklmnop", 1 + random_below(&model->random, 16)), .qos = 1};
    struct message *message = message_create(&publication, 1);

    assert_non_null(message);
    return message;
}

static void remove_item(struct model *model, uint32_t at)
{
    memmove(&model->items[at], &model->items[at + 1],
            (model->count - at - 1) * sizeof(model->items[0]));
    model->count--;
}

static void append_one(struct model *model)
{
    struct delivery *delivery;

    if (model->count == LIVE_MAX)
        return;
    delivery = window_append(&model->window);
    assert_non_null(delivery);
    assert_int_equal(delivery->state, DELIVERY_QUEUED);
    delivery->message = make_message(model);
    delivery->qos = (uint8_t)(1 + random_below(&model->random, 2));
    model->window.queued_bytes += delivery->message->size;
    model->items[model->count++] =
        (struct item){.message = delivery->message, .state = DELIVERY_QUEUED, .to_send = true};
}

/* The model's next to be sent; count when there is none. */
static uint32_t next_to_send(const struct model *model)
{
    uint32_t i = 0;

    while (i < model->count && !model->items[i].to_send)
        i++;
    return i;
}

static void send_as(struct model *model, struct item *item, struct delivery *delivery)
{
    uint16_t identifier = window_packet_identifier(model->window.next);

    assert_ptr_equal(delivery->message, item->message); /* in order, resends first */
    if (item->identifier != 0)
        assert_int_equal(identifier, item->identifier); /* a resend keeps it */
    for (uint32_t i = 0; i < model->count; i++)
        if (&model->items[i] != item)
            assert_int_not_equal(model->items[i].identifier, identifier);
    assert_false(model->held[identifier]);
    assert_int_equal(delivery->duplicate, item->identifier != 0);
    if (delivery->state == DELIVERY_QUEUED)
        window_begin(&model->window, delivery);
    delivery->in_quota = true;
    model->window.outstanding++;
    if (!delivery->transmitted) {
        delivery->transmitted = item->transmitted = true;
        delivery->ordinal = item->ordinal = ++model->ordinals;
    }
    item->identifier = identifier;
    item->state = DELIVERY_SENT;
    item->to_send = false;
    model->window.next++;
}

/* What broker/deliver.c does. */
static void pump_some(struct model *model, uint32_t limit)
{
    struct window *window = &model->window;

    while (window->next < window->tail && limit > 0) {
        struct delivery *delivery = window_at(window, window->next);
        uint32_t at;

        if (delivery->state == DELIVERY_DONE || delivery->state == DELIVERY_RELEASED) {
            if (window->head == window->next && delivery->state == DELIVERY_DONE)
                window->head++;
            window->next++;
            continue;
        }
        if (window->outstanding >= model->receive_maximum)
            return;
        at = next_to_send(model);
        assert_true(at < model->count);
        send_as(model, &model->items[at], delivery);
        limit--;
    }
    if (limit > 0)
        assert_int_equal(next_to_send(model), model->count);
}

/* Any delivery that the client has seen, whether sent again or not. */
static void acknowledge_one(struct model *model)
{
    uint32_t at = model->count == 0 ? 0 : random_below(&model->random, model->count);
    struct item *item = &model->items[at];
    struct delivery *delivery;

    if (model->count == 0 || item->identifier == 0)
        return;
    delivery = window_find(&model->window, item->identifier);
    assert_non_null(delivery);
    assert_int_equal(delivery->state, item->state);
    assert_ptr_equal(delivery->message, item->message);
    if (item->state == DELIVERY_SENT && delivery->qos == 2 &&
        random_below(&model->random, 2) == 0) {
        delivery_release(delivery);
        delivery->state = item->state = DELIVERY_RELEASED;
        item->message = NULL;
        item->to_send = false;
        return;
    }
    window_finish(&model->window, delivery);
    assert_null(window_find(&model->window, item->identifier));
    remove_item(model, at);
}

static void lose_connection(struct model *model)
{
    uint32_t lost = model->ordinals == 0 ? 0 : random_below(&model->random, 20), expected = 0;
    uint32_t confirmed = model->ordinals > lost ? model->ordinals - lost : 0;

    for (uint32_t i = 0; i < model->count; i++) {
        struct item *item = &model->items[i];

        if (item->state == DELIVERY_SENT && item->transmitted && item->ordinal > confirmed) {
            item->transmitted = false;
            expected++;
        }
        item->ordinal = 0;
        if (item->state == DELIVERY_SENT)
            item->to_send = true;
    }
    assert_int_equal(window_rewind(&model->window, confirmed), expected);
    assert_int_equal(model->window.outstanding, 0);
    model->ordinals = 0;
    model->receive_maximum = 1 + random_below(&model->random, 300);
}

static void drop_oldest(struct model *model)
{
    struct delivery *oldest = window_oldest(&model->window);
    uint32_t at = 0;

    while (at < model->count && model->items[at].state != DELIVERY_QUEUED)
        at++;
    if (at == model->count) {
        assert_null(oldest);
        return;
    }
    assert_ptr_equal(oldest->message, model->items[at].message);
    window_finish(&model->window, oldest);
    remove_item(model, at);
}

/* A share group takes back what its member has not acknowledged; the member, which may still hold
 * the identifier, is not sent another message with it soon. */
static void take_back(struct model *model)
{
    uint32_t at = model->count == 0 ? 0 : random_below(&model->random, model->count);
    struct item *item = &model->items[at];

    if (model->count == 0 || item->state == DELIVERY_RELEASED)
        return;
    for (uint64_t i = model->window.head; i < model->window.tail; i++)
        if (window_at(&model->window, i)->message == item->message) {
            window_finish(&model->window, window_at(&model->window, i));
            model->held[item->identifier] = item->identifier != 0;
            remove_item(model, at);
            return;
        }
    fail_msg("the window has lost a delivery");
}

static void leave_group(struct model *model)
{
    uint32_t some = random_below(&model->random, 30);

    lose_connection(model);
    while (some-- > 0)
        take_back(model);
    for (some = random_below(&model->random, 100); some > 0; some--)
        append_one(model);
}

static void check_identifiers_not_in_use(struct model *model)
{
    uint16_t identifier = (uint16_t)random_next(&model->random);
    bool used = false;

    for (uint32_t i = 0; i < model->count; i++)
        used |= identifier != 0 && model->items[i].identifier == identifier;
    assert_int_equal(window_find(&model->window, identifier) != NULL, used);
}

static uint32_t count_live(const struct model *model, uint8_t state)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < model->count; i++)
        count += model->items[i].state == state;
    return count;
}

static void run(uint64_t seed, uint64_t begin, uint32_t operations)
{
    struct model *model = calloc(1, sizeof(*model));
    uint32_t appends = 0, untransmitted = 0;

    assert_non_null(model);
    model->random.state = seed;
    model->receive_maximum = 1 + random_below(&model->random, 300);
    model->window.head = model->window.next = model->window.tail = model->window.oldest = begin;
    appends = 2 + random_below(&model->random, 4);
    for (uint32_t i = 0; i < operations; i++) {
        uint32_t choice = random_below(&model->random, 100);

        if (choice < appends * 8)
            append_one(model);
        else if (choice < 60)
            pump_some(model, 1 + random_below(&model->random, 10));
        else if (choice < 92)
            acknowledge_one(model);
        else if (choice < 94)
            drop_oldest(model);
        else if (choice < 95)
            leave_group(model);
        else if (choice < 96)
            lose_connection(model);
        else
            check_identifiers_not_in_use(model);
        if (i % 16 == 0)
            window_check(&model->window);
        assert_int_equal(model->window.queued, count_live(model, DELIVERY_QUEUED));
    }
    for (uint32_t i = 0; i < model->count; i++)
        untransmitted += model->items[i].state != DELIVERY_RELEASED && !model->items[i].transmitted;
    assert_int_equal(window_clear(&model->window), untransmitted);
    free(model);
}

static void follows_the_model(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++)
        run(seed, 0, 3000);
}

static void follows_the_model_where_identifiers_wrap(void **state)
{
    (void)state;
    for (uint64_t seed = 100; seed < 110; seed++) {
        run(seed, WINDOW_IDENTIFIERS - 50, 3000);
        run(seed, (uint64_t)WINDOW_IDENTIFIERS * 3 - 200, 3000);
        run(seed, ((uint64_t)1 << 16) - 70, 3000);
        run(seed, ((uint64_t)1 << 16) * 5 - 3, 3000);
        run(seed, ((uint64_t)1 << 32) - 100, 3000);
    }
}

/* As many in flight as there are identifiers to tell apart. */
static void finds_each_of_all_identifiers(void **state)
{
    struct window window = {.head = 40000, .next = 40000, .tail = 40000, .oldest = 40000};
    struct random random = {.state = 7};
    const struct publication publication = {.topic = span_text("a"), .qos = 1};
    struct message *message = message_create(&publication, WINDOW_IDENTIFIERS);

    (void)state;
    assert_non_null(message);
    for (uint32_t i = 0; i < WINDOW_IDENTIFIERS - 1; i++) {
        struct delivery *delivery = window_append(&window);

        delivery->message = message;
        window.queued_bytes += message->size;
        window_begin(&window, delivery);
        window.next++;
    }
    window_check(&window);
    for (uint32_t i = 0; i < 1000; i++) {
        uint64_t sequence = 40000 + random_below(&random, WINDOW_IDENTIFIERS - 1);

        assert_ptr_equal(window_find(&window, window_packet_identifier(sequence)),
                         window_at(&window, sequence));
    }
    assert_null(window_find(&window, window_packet_identifier(window.tail)));
    assert_int_equal(window_clear(&window), WINDOW_IDENTIFIERS - 1);
    message_unref(message);
}

/* Memory that a burst needed is given back when everything is acknowledged. */
static void large_ring_is_freed_when_it_runs_empty(void **state)
{
    struct window window = {0};
    const struct publication publication = {.topic = span_text("a"), .qos = 1};

    (void)state;
    for (uint32_t i = 0; i < CAPACITY_KEPT + 1; i++) {
        struct delivery *delivery = window_append(&window);

        delivery->message = message_create(&publication, 1);
        window.queued_bytes += delivery->message->size;
        window_begin(&window, delivery);
        window.next++;
    }
    assert_int_equal(window.capacity, CAPACITY_KEPT * 2);
    for (uint64_t i = 0; i < CAPACITY_KEPT + 1; i++)
        window_finish(&window, window_at(&window, i));
    assert_int_equal(window.capacity, 0);
    assert_null(window.entries);
    window_check(&window);
    assert_non_null(window_append(&window)); /* and made again when it is needed */
    window_at(&window, window.next)->message = message_create(&publication, 1);
    assert_int_equal(window_clear(&window), 1);
}

static void no_memory_leaves_everything_as_it_was(void **state)
{
    struct window window = {0};
    const struct publication publication = {.topic = span_text("a"), .qos = 1};

    (void)state;
    mem_fail_after(1);
    assert_null(window_append(&window));
    mem_fail_after(0);
    window_check(&window);
    for (uint32_t i = 0; i < CAPACITY_FIRST; i++) {
        struct delivery *delivery = window_append(&window);

        delivery->message = message_create(&publication, 1);
        window.queued_bytes += delivery->message->size;
    }
    mem_fail_after(1);
    assert_null(window_append(&window));
    mem_fail_after(0);
    window_check(&window);
    assert_int_equal(window.queued, CAPACITY_FIRST);
    assert_int_equal(window_clear(&window), CAPACITY_FIRST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(follows_the_model),
        cmocka_unit_test(follows_the_model_where_identifiers_wrap),
        cmocka_unit_test(finds_each_of_all_identifiers),
        cmocka_unit_test(large_ring_is_freed_when_it_runs_empty),
        cmocka_unit_test(no_memory_leaves_everything_as_it_was),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
