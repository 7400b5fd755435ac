/* SPDX-License-Identifier: MIT
 *
 * The sessions of a shard, by identifier and by handle, against a plain array. Identifiers are chosen so
 * that many have the same home in the index: the runs of occupied places grow long, cross the end of
 * the table and have holes torn into them.
 */
#include "session/session.c"

#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define CLIENTS 600u

struct known {
    char identifier[24];
    struct session *session; /* NULL: there is none */
};

/* Identifiers whose hashes agree in the bits that choose the place: of a few homes, the last ones of
 * the table among them. */
static void choose_identifiers(struct known *clients)
{
    static const uint32_t homes[] = {0x3ff, 0x3fe, 0x3f0, 0x000, 0x155};
    uint32_t found = 0;

    for (uint32_t n = 0; found < CLIENTS; n++) {
        char text[24];
        uint32_t home;

        snprintf(text, sizeof(text), "client-%u", n);
        home = (uint32_t)(identifier_hash(span_text(text)) >> 32) & 0x3ff;
        for (unsigned i = 0; i < ARRAY_LENGTH(homes); i++)
            if (home == homes[i] || (found % 4 == 3 && i == 0)) {
                memcpy(clients[found++].identifier, text, sizeof(text));
                break;
            }
    }
}

static void check_all(const struct session_table *table, const struct known *clients)
{
    uint32_t count = 0, walked = 0, cursor = 0;
    struct session *session;

    for (uint32_t i = 0; i < CLIENTS; i++) {
        assert_ptr_equal(session_table_find(table, span_text(clients[i].identifier)),
                         clients[i].session);
        count += clients[i].session != NULL;
    }
    while ((session = session_table_next(table, &cursor)) != NULL) {
        assert_ptr_equal(session_table_get(table, session->handle), session);
        walked++;
    }
    assert_int_equal(walked, count);
    assert_int_equal(table->count, count);
}

static void follows_the_model(void **state)
{
    static struct known clients[CLIENTS];
    struct session_table table;
    struct random random = {.state = 3};

    (void)state;
    hash_setup(1234);
    choose_identifiers(clients);
    session_table_init(&table, 2);
    for (uint32_t i = 0; i < 60000; i++) {
        struct known *client = &clients[random_below(&random, CLIENTS)];
        bool filling = i / 5000 % 2 == 0;

        if (client->session == NULL) {
            if (!filling && random_below(&random, 4) != 0)
                continue;
            client->session = session_table_create(&table, span_text(client->identifier));
            assert_non_null(client->session);
            assert_true(span_equal(session_client_identifier(client->session),
                                   span_text(client->identifier)));
            assert_int_equal(client->session->handle.shard, 2);
        } else if (!filling || random_below(&random, 4) == 0) {
            struct session_handle handle = client->session->handle;

            session_table_destroy(&table, client->session);
            client->session = NULL;
            assert_null(session_table_get(&table, handle));
        }
        if (i % 2500 == 0)
            check_all(&table, clients);
    }
    check_all(&table, clients);
    for (uint32_t i = 0; i < CLIENTS; i++)
        if (clients[i].session != NULL)
            session_table_destroy(&table, clients[i].session);
    session_table_fini(&table);
}

/* A handle names one session, not whoever has its slot later. */
static void old_handles_are_stale(void **state)
{
    struct session_table table;
    struct session *session;
    struct session_handle first, other;

    (void)state;
    session_table_init(&table, 1);
    session = session_table_create(&table, span_text("a"));
    first = session->handle;
    session_table_destroy(&table, session);
    for (unsigned i = 0; i < 1000; i++) {
        session = session_table_create(&table, span_text("a"));
        assert_int_equal(session->handle.slot, first.slot);
        assert_null(session_table_get(&table, first));
        assert_ptr_equal(session_table_get(&table, session->handle), session);
        session_table_destroy(&table, session);
    }
    session = session_table_create(&table, span_text("a"));
    other = session->handle;
    other.shard = 0;
    assert_null(session_table_get(&table, other));
    other = session->handle;
    other.slot = 1000;
    assert_null(session_table_get(&table, other));
    assert_null(session_table_get(&table, SESSION_HANDLE_NONE));
    session_table_destroy(&table, session);
    session_table_fini(&table);
}

static void odd_identifiers_are_compared_whole(void **state)
{
    static const char binary[] = {'a', 0, 'b'};
    struct session_table table;
    struct session *with_nul, *plain, *none;

    (void)state;
    session_table_init(&table, 0);
    assert_null(session_table_find(&table, span_text("a"))); /* an empty table has no index */
    with_nul = session_table_create(&table, span_of(binary, 3));
    plain = session_table_create(&table, span_text("a"));
    none = session_table_create(&table, span_text(""));
    assert_ptr_equal(session_table_find(&table, span_of(binary, 3)), with_nul);
    assert_ptr_equal(session_table_find(&table, span_text("a")), plain);
    assert_ptr_equal(session_table_find(&table, span_text("")), none);
    assert_null(session_table_find(&table, span_of(binary, 2)));
    session_table_destroy(&table, plain);
    session_table_destroy(&table, with_nul);
    session_table_destroy(&table, none);
    session_table_fini(&table);
}

static void no_memory_changes_nothing(void **state)
{
    struct session_table table;
    struct session *session = NULL;

    (void)state;
    session_table_init(&table, 0);
    for (unsigned n = 1; session == NULL; n++) {
        mem_fail_after(n);
        session = session_table_create(&table, span_text("a"));
        mem_fail_after(0);
        if (session == NULL) {
            assert_null(session_table_find(&table, span_text("a")));
            assert_int_equal(table.count, 0);
        }
        assert_true(n < 20);
    }
    assert_ptr_equal(session_table_find(&table, span_text("a")), session);
    session_table_destroy(&table, session);
    session_table_fini(&table);
}

static void subscriptions_are_added_and_removed(void **state)
{
    struct session_table table;
    struct session *session;
    struct topic_filter *const filters[] = {(void *)0x100, (void *)0x200, (void *)0x300};
    struct membership *seat = (void *)0x400;

    (void)state;
    session_table_init(&table, 0);
    session = session_table_create(&table, span_text("a"));
    for (unsigned i = 0; i < 3; i++)
        assert_true(session_add_subscription(session, filters[i], NULL));
    assert_true(session_add_subscription(session, NULL, seat));
    session_remove_subscription(session, filters[0], NULL);
    session_remove_subscription(session, NULL, seat);
    assert_int_equal(session->subscription_count, 2);
    for (unsigned i = 0; i < 2; i++)
        assert_true(session->subscriptions[i].filter == filters[1] ||
                    session->subscriptions[i].filter == filters[2]);
    mem_fail_after(1);
    while (session->subscription_count < session->subscription_capacity)
        assert_true(session_add_subscription(session, filters[0], NULL));
    assert_false(session_add_subscription(session, filters[0], NULL));
    mem_fail_after(0);
    session_table_destroy(&table, session);
    session_table_fini(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(follows_the_model),
        cmocka_unit_test(old_handles_are_stale),
        cmocka_unit_test(odd_identifiers_are_compared_whole),
        cmocka_unit_test(no_memory_changes_nothing),
        cmocka_unit_test(subscriptions_are_added_and_removed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
