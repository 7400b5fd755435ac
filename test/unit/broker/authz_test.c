/* SPDX-License-Identifier: MIT
 *
 * Packets that wait for an answer: they are run again with it, and an answer that comes late, twice or to nobody changes
 * nothing. A link of this test stands in the place of the rules.
 */
#define authz_rules_link test_link
#include "broker/authz.c"

#include "base/hash.h"
#include "broker/authz_priv.h"
#include "unit/broker/fake_shards.h"

static struct fake_shards fake;
static struct connection client;
static struct authz_handle handle;
static unsigned asked;
static bool configured_now;

static bool configured(const struct broker *broker)
{
    (void)broker;
    return configured_now;
}

static enum authz_answer wait_for_it(struct broker *broker, const struct authz_question *question,
                                     struct authz_reason *reason)
{
    asked++;
    snprintf(reason->rule, sizeof(reason->rule), "it cannot wait");
    return authz_wait_begin(broker, question, &handle) ? AUTHZ_WAIT : AUTHZ_DENY;
}

const struct authz_link test_link = {.name = "test", .configured = configured, .ask = wait_for_it};

static struct broker *home;

static uint32_t feed(const uint8_t *bytes, uint32_t len)
{
    uint32_t consumed;
    unsigned shard;

    connection_receive(home, &client, bytes, len, &consumed, &shard);
    return consumed;
}

static uint32_t take_output(void)
{
    struct outbox_chunk *chunk = client.out.head;
    uint32_t code = UINT32_MAX;

    client.out.head = client.out.tail = NULL;
    while (chunk != NULL) {
        struct outbox_chunk *next = chunk->next;

        if (chunk->len >= 4)
            code = chunk->len == 4 ? 0 : chunk->data[4]; /* of a PUBACK of 5.0 */
        chunk->next = NULL;
        connection_sent(home, &client, chunk);
        chunk = next;
    }
    return code;
}

static int begin(void **state)
{
    static const uint8_t connect[] = {0x10, 14, 0, 4, 'M', 'Q', 'T', 'T', 5, 2, 0, 0, 0, 0, 1, 'c'};
    (void)state;
    fake_shards_begin(&fake);
    home = fake.brokers[broker_home_shard(span_text("c"), FAKE_SHARDS)];
    memset(&client, 0, sizeof(client));
    connection_open(home, &client, false);
    assert_int_equal(feed(connect, sizeof(connect)), sizeof(connect));
    assert_int_equal(client.state, CONNECTION_ONLINE);
    take_output();
    configured_now = true;
    authz_configure(home);
    asked = 0;
    return 0;
}

static int end(void **state)
{
    (void)state;
    connection_closed(home, &client, NULL);
    configured_now = false;
    fake_shards_end(&fake);
    return 0;
}

static const uint8_t publish[] = {0x32, 6, 0, 1, 't', 0, 7, 0};

static void an_answer_lets_the_packet_through(void **state)
{
    (void)state;
    assert_int_equal(feed(publish, sizeof(publish)), 0);
    assert_true(client.awaits_answer);
    assert_false(connection_may_read(home, &client));
    assert_int_equal(take_output(), UINT32_MAX);
    authz_complete(home, handle, AUTHZ_ALLOW, NULL);
    assert_true(connection_may_read(home, &client));
    assert_int_equal(feed(publish, sizeof(publish)), sizeof(publish));
    assert_int_equal(asked, 1);
    assert_int_equal(client.authz_wait, 0); /* for the next packet it is asked again */
    assert_int_equal(feed(publish, sizeof(publish)), 0);
    assert_int_equal(asked, 2);
}

static void a_denial_is_one_answer(void **state)
{
    (void)state;
    assert_int_equal(feed(publish, sizeof(publish)), 0);
    authz_complete(home, handle, AUTHZ_DENY, "because");
    assert_int_equal(feed(publish, sizeof(publish)), sizeof(publish));
    assert_int_equal(take_output(), MQTT_REASON_NOT_AUTHORIZED);
    assert_int_equal(home->stats->values[STAT_refused_publish], 1);
}

static void an_answer_to_nobody_is_dropped(void **state)
{
    struct authz_handle first;

    (void)state;
    assert_int_equal(feed(publish, sizeof(publish)), 0);
    first = handle;
    authz_complete(home, first, AUTHZ_DENY, NULL);
    authz_complete(home, first, AUTHZ_ALLOW, NULL); /* twice */
    assert_int_equal(home->stats->values[STAT_stale_handle], 1);
    assert_int_equal(feed(publish, sizeof(publish)), sizeof(publish));
    assert_int_equal(take_output(), MQTT_REASON_NOT_AUTHORIZED);
    assert_int_equal(feed(publish, sizeof(publish)), 0); /* the next one waits */
    authz_complete(home, first, AUTHZ_ALLOW, NULL);      /* late: not for this one */
    assert_int_equal(home->stats->values[STAT_stale_handle], 2);
    assert_true(client.awaits_answer);
    authz_complete(home, (struct authz_handle){77, 1}, AUTHZ_ALLOW, NULL);
    authz_complete(home, (struct authz_handle){0, 0}, AUTHZ_ALLOW, NULL);
    assert_int_equal(home->stats->values[STAT_stale_handle], 4);
}

static void a_packet_in_pieces_waits_too(void **state)
{
    (void)state;
    assert_int_equal(feed(publish, 5), 5);
    assert_int_equal(feed(publish + 5, 3), 2); /* the last byte stays with the machine */
    assert_true(client.awaits_answer);
    authz_complete(home, handle, AUTHZ_ALLOW, NULL);
    assert_int_equal(feed(publish + 7, 1), 1);
    assert_int_equal(asked, 1);
    assert_int_equal(client.input_len, 0);
}

static void all_filters_are_asked_before_any_is_subscribed(void **state)
{
    static const uint8_t subscribe[] = {0x82, 11, 0, 1, 0, 0, 1, 'a', 0, 0, 1, 'b', 0};

    (void)state;
    assert_int_equal(feed(subscribe, sizeof(subscribe)), 0);
    authz_complete(home, handle, AUTHZ_ALLOW, NULL);
    assert_int_equal(feed(subscribe, sizeof(subscribe)), 0); /* "b" */
    assert_int_equal(client.session->subscription_count, 0);
    authz_complete(home, handle, AUTHZ_DENY, NULL);
    assert_int_equal(feed(subscribe, sizeof(subscribe)), sizeof(subscribe));
    assert_int_equal(client.session->subscription_count, 1);
    assert_int_equal(asked, 2);
    assert_int_equal(home->stats->values[STAT_refused_subscribe], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_answer_lets_the_packet_through, begin, end),
        cmocka_unit_test_setup_teardown(a_denial_is_one_answer, begin, end),
        cmocka_unit_test_setup_teardown(an_answer_to_nobody_is_dropped, begin, end),
        cmocka_unit_test_setup_teardown(a_packet_in_pieces_waits_too, begin, end),
        cmocka_unit_test_setup_teardown(all_filters_are_asked_before_any_is_subscribed, begin, end),
    };

    hash_setup(1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
