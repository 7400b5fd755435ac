/* SPDX-License-Identifier: MIT
 *
 * Every breach of hostile.h, at once and byte by byte: one clean end with a sentence, and in 5.0 a
 * DISCONNECT that says why; nothing afterwards changes anything.
 */
#include "client_fixture.h"
#include "hostile.h"

#include <stdio.h>

static void go_to_stage(struct side *side, const struct hostile_row *row)
{
    const struct filter_view filters[2] = {{span_text("a"), 0}, {span_text("b"), 1}};
    struct connect_packet connect = {
        .version = row->version,
        .clean_start = true,
        .props = {.present = PROP_BIT(MQTT_PROPERTY_RECEIVE_MAXIMUM) |
                             PROP_BIT(MQTT_PROPERTY_TOPIC_ALIAS_MAXIMUM),
                  .receive_maximum = 2,
                  .topic_alias_maximum = 1}};
    uint8_t packet[64];

    side->limits.packet_size_max = 1u << 20;
    assert_int_equal(mqtt_client_connect(&side->client, &connect, side->now_ms), CLIENT_OK);
    if (row->stage == STAGE_CONNECTING)
        return;
    side_event(side, packet, connack(packet, sizeof(packet), row->version, false, NULL));
    if (row->stage == STAGE_SUBSCRIBED)
        mqtt_client_subscribe(&side->client, filters, 2, NULL, NULL);
    else if (row->stage == STAGE_UNSUBSCRIBED)
        mqtt_client_unsubscribe(&side->client, filters, 2, NULL, NULL);
    else if (row->stage == STAGE_PUBLISHED_1)
        assert_int_equal(side_publish(side, 1, "x", 0), 1);
    else if (row->stage == STAGE_PUBLISHED_2)
        assert_int_equal(side_publish(side, 2, "x", 0), 1);
}

/* Feeds the bytes in pieces; the event of the breach is in *last. */
static unsigned feed(struct side *side, const struct hostile_row *row, uint32_t piece,
                     struct client_event *last)
{
    unsigned broken = 0;

    for (uint32_t at = 0; at < row->len; at += piece) {
        uint32_t here = row->len - at < piece ? row->len - at : piece;
        uint8_t *copy = malloc(here); /* a look behind its end is seen */
        struct client_event event;

        memcpy(copy, row->bytes + at, here);
        mqtt_client_feed(&side->client, copy, here);
        while (mqtt_client_next(&side->client, &event)) {
            if (event.kind == CLIENT_BROKEN) {
                broken++;
                *last = event;
            }
        }
        free(copy);
    }
    return broken;
}

/* What the client says at the end: DISCONNECT with the reason, or before 5.0 nothing. */
static void expect_last_words(struct side *side, const struct hostile_row *row)
{
    struct frame frame, last = {0};
    struct ack_packet packet = {0};

    while (side_packet(side, &frame))
        last = frame;
    if (row->version != MQTT_5) {
        assert_int_not_equal(last.type, MQTT_DISCONNECT);
        return;
    }
    assert_int_equal(last.type, MQTT_DISCONNECT);
    assert_int_equal(mqtt_decode_disconnect(&last, MQTT_5, &packet), 0);
    assert_int_equal(packet.reason, row->reason);
}

static void run_row(const struct hostile_row *row, uint32_t piece)
{
    struct publish_packet packet = message(0, "t", "");
    struct client_event event = {0};
    struct side side;

    side_init(&side);
    go_to_stage(&side, row);
    if (feed(&side, row, piece, &event) != 1)
        fail_msg("%s: no clean error", row->name);
    if (event.ack.reason != row->reason || strstr(event.why, row->why) == NULL)
        fail_msg("%s: \"%s\" with 0x%02x, expected \"%s\" with 0x%02x", row->name, event.why,
                 event.ack.reason, row->why, row->reason);
    assert_int_equal(side.client.phase, MQTT_FAILED);
    assert_int_equal(mqtt_client_publish(&side.client, &packet, 0, NULL), CLIENT_OFFLINE);
    expect_last_words(&side, row);
    /* more of it changes nothing, and takes no memory */
    assert_int_equal(feed(&side, row, row->len, &event), 0);
    assert_null(side.client.output);
    side_fini(&side);
}

static void test_every_breach(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(hostile_rows); i++) {
        run_row(&hostile_rows[i], hostile_rows[i].len);
        run_row(&hostile_rows[i], 1);
        run_row(&hostile_rows[i], 3);
    }
}

/* A large packet takes memory as it comes, not as it is announced. */
static void test_memory_follows_what_comes(void **state)
{
    static const uint8_t announced[] = {0x30, 0xff, 0xff, 0x3e, 0, 1, 'a'};
    struct client_event event;
    struct side side;

    (void)state;
    side_init(&side);
    side_online(&side, MQTT_3_1_1, false, NULL);
    mqtt_client_feed(&side.client, announced, sizeof(announced));
    assert_false(mqtt_client_next(&side.client, &event));
    assert_true(side.client.partial_size <= 64);
    side_fini(&side);
}

/* A server that sends and sends, and does not read the answers. */
static void test_deaf_server(void **state)
{
    static const uint8_t publish[] = {0x32, 6, 0, 1, 'a', 0, 7, 0};
    struct client_event event;
    struct side side;
    unsigned messages = 0;

    (void)state;
    side_init(&side);
    side.limits.output_max = 100000;
    side_online(&side, MQTT_5, false, NULL);
    do {
        event = side_event(&side, publish, sizeof(publish));
        messages++;
    } while (event.kind == CLIENT_MESSAGE);
    assert_int_equal(event.kind, CLIENT_BROKEN);
    assert_non_null(strstr(event.why, "sends and does not read"));
    assert_in_range(messages, 24000, 25001);
    side_fini(&side);
}

/* A million repetitions of one QoS 2 message that is never released: one bit. */
static void test_repetition_costs_nothing(void **state)
{
    static const uint8_t publish[] = {0x34, 6, 0, 1, 'a', 0, 7, 0};
    unsigned messages = 0;
    struct side side;

    (void)state;
    side_init(&side);
    side_online(&side, MQTT_5, false, NULL);
    for (unsigned i = 0; i < 1000000; i++) {
        messages += side_event(&side, publish, sizeof(publish)).kind == CLIENT_MESSAGE;
        if (i % 1000 == 0)
            side_lose(&side);
    }
    assert_int_equal(messages, 1);
    assert_int_equal(side.client.inbound.count, 1);
    side_fini(&side);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_breach),
        cmocka_unit_test(test_memory_follows_what_comes),
        cmocka_unit_test(test_deaf_server),
        cmocka_unit_test(test_repetition_costs_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
