/* SPDX-License-Identifier: MIT
 *
 * What becomes of messages when connections are lost: with the session, without it, and in whole runs against
 * a model of a server.
 */
#include "client_fixture.h"

static void test_resume_with_session(void **state)
{
    (void)state;
    FOR_EACH_VERSION(version)
    {
        struct side side;
        struct publish_packet packet;
        uint16_t ids[4];

        side_init(&side);
        side_online(&side, version, false, NULL);
        ids[0] = side_publish(&side, 1, "0", 0);
        ids[1] = side_publish(&side, 2, "1", 1);
        ids[2] = side_publish(&side, 1, "2", 2);
        ids[3] = side_publish(&side, 2, "3", 3);
        side_ack(&side, MQTT_PUBREC, ids[1], 0);
        side_ack(&side, MQTT_PUBACK, ids[0], 0);
        side_lose(&side);
        mqtt_client_closed(&side.client);
        side_online(&side, version, true, NULL);
        assert_int_equal(side_event(&side, NULL, 0).kind, CLIENT_NOTHING);
        side_expect_ack(&side, MQTT_PUBREL, ids[1]); /* in the order of sending */
        packet = side_expect_publish(&side);
        assert_true(packet.dup && packet.packet_identifier == ids[2]);
        packet = side_expect_publish(&side);
        assert_true(packet.dup && packet.packet_identifier == ids[3]);
        assert_true(span_equal(packet.payload, span_text("3")));
        side_expect_nothing(&side);
        assert_int_equal(side.client.resent, 2);
        assert_int_equal(side_ack(&side, MQTT_PUBCOMP, ids[1], 0).tag, 1);
        assert_int_equal(side_ack(&side, MQTT_PUBACK, ids[2], 0).tag, 2);
        side_fini(&side);
    }
}

/* A QoS 2 message that was handed out is not handed out again when the server repeats it. */
static void test_exactly_once_over_two_connections(void **state)
{
    (void)state;
    FOR_EACH_VERSION(version)
    {
        struct side side;
        uint8_t bytes[256];

        side_init(&side);
        side_online(&side, version, false, NULL);
        assert_int_equal(side_event(&side, bytes, server_publish(bytes, version, 2, 8, false)).kind,
                         CLIENT_MESSAGE);
        side_lose(&side);
        mqtt_client_closed(&side.client);
        side_online(&side, version, true, NULL);
        assert_int_equal(side_event(&side, bytes, server_publish(bytes, version, 2, 8, true)).kind,
                         CLIENT_NOTHING);
        side_expect_ack(&side, MQTT_PUBREC, 8);
        side_ack(&side, MQTT_PUBREL, 8, MQTT_REASON_SUCCESS);
        assert_int_equal(side_expect_ack(&side, MQTT_PUBCOMP, 8), MQTT_REASON_SUCCESS);
        side_fini(&side);
    }
}

static void test_resume_without_session(void **state)
{
    struct side side;
    struct publish_packet packet;
    struct client_event event;
    uint16_t released, waiting;
    uint8_t bytes[256];

    (void)state;
    side_init(&side);
    side_online(&side, MQTT_3_1_1, false, NULL);
    released = side_publish(&side, 2, "released", 1);
    waiting = side_publish(&side, 1, "waiting", 2);
    side_ack(&side, MQTT_PUBREC, released, 0);
    side_event(&side, bytes, server_publish(bytes, MQTT_3_1_1, 2, 4, false));
    side_lose(&side);
    mqtt_client_closed(&side.client);
    side_online(&side, MQTT_3_1_1, false, NULL);
    event = side_event(&side, NULL, 0); /* the server had that one */
    assert_int_equal(event.kind, CLIENT_ACKNOWLEDGED);
    assert_int_equal(event.tag, 1);
    packet = side_expect_publish(&side);
    assert_true(!packet.dup && packet.packet_identifier == waiting);
    side_expect_nothing(&side);
    /* the server has forgotten, so identifier 4 is a new message */
    event = side_event(&side, bytes, server_publish(bytes, MQTT_3_1_1, 2, 4, false));
    assert_int_equal(event.kind, CLIENT_MESSAGE);
    side_fini(&side);
}

static void test_resume_within_receive_maximum(void **state)
{
    struct side side;
    struct mqtt_props props = {.present = PROP_BIT(MQTT_PROPERTY_RECEIVE_MAXIMUM),
                               .receive_maximum = 3};
    struct publish_packet packet, refused = message(1, "t", "new");
    uint16_t ids[10];

    (void)state;
    side_init(&side);
    side_online(&side, MQTT_5, false, NULL);
    for (unsigned i = 0; i < 10; i++)
        ids[i] = side_publish(&side, 1, "x", i);
    side_lose(&side);
    mqtt_client_closed(&side.client);
    side_online(&side, MQTT_5, true, &props);
    side_event(&side, NULL, 0);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(side_expect_publish(&side).packet_identifier, ids[i]);
    side_expect_nothing(&side);
    for (unsigned i = 0; i < 7; i++) {
        assert_int_equal(side_ack(&side, MQTT_PUBACK, ids[i], 0).kind, CLIENT_ACKNOWLEDGED);
        if (i < 6) /* C4 */
            assert_int_equal(mqtt_client_publish(&side.client, &refused, 0, NULL), CLIENT_BUSY);
        packet = side_expect_publish(&side);
        assert_true(packet.packet_identifier == ids[i + 3] && packet.dup);
        side_expect_nothing(&side);
    }
    side_ack(&side, MQTT_PUBACK, ids[7], 0);
    assert_int_equal(mqtt_client_publish(&side.client, &refused, 0, NULL), CLIENT_OK);
    side_fini(&side);
}

/* Whole runs against a model of a server that loses connections at any point: every QoS 1 message
 * arrives at least once, every QoS 2 message exactly once, in order. */
static void test_random_losses(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 200; seed++) {
        struct side side;
        uint32_t published = 0, acknowledged = 0, total = 60, qos = 1 + seed % 2;
        uint8_t arrived[64] = {0};
        bool pending[CLIENT_WINDOW_MAX] = {0}; /* the server's session: QoS 2 not released */
        uint8_t answers[4096];
        bool first = true;

        srand(seed);
        side_init(&side);
        side.limits.inflight_max = (uint16_t)(1 + rand() % 10);
        while (acknowledged < total) {
            struct frame frame;
            uint32_t answers_len = 0;
            struct client_event event;

            if (side.client.phase == MQTT_IDLE) {
                side_online(&side, MQTT_5, !first, NULL);
                first = false;
                while (mqtt_client_next(&side.client, &event)) {
                }
            }
            while (published < total && mqtt_client_room(&side.client) > 0) {
                char text[2] = {(char)(published + 1), '\0'};

                side_publish(&side, (uint8_t)qos, text, published++);
            }
            while (side_packet(&side, &frame) && rand() % 8 != 0) {
                struct ack_packet ack;

                if (frame.type == MQTT_PUBLISH) {
                    struct publish_packet packet;

                    mqtt_decode_publish(&frame, MQTT_5, &packet);
                    if (qos == 1 || !pending[packet.packet_identifier])
                        arrived[packet.payload.data[0] - 1]++;
                    pending[packet.packet_identifier] = qos == 2;
                    ack.packet_identifier = packet.packet_identifier;
                } else {
                    mqtt_decode_ack(&frame, MQTT_5, &ack);
                    pending[ack.packet_identifier] = false;
                }
                answers_len += mqtt_encode_ack(answers + answers_len, 16, MQTT_5,
                                               frame.type == MQTT_PUBREL ? MQTT_PUBCOMP
                                               : qos == 1                ? MQTT_PUBACK
                                                                         : MQTT_PUBREC,
                                               ack.packet_identifier, 0, (struct span){0}, 0);
            }
            if (rand() % 3 == 0 && answers_len > 0)
                answers_len = (uint32_t)rand() % answers_len + 1;
            mqtt_client_feed(&side.client, answers, answers_len);
            while (mqtt_client_next(&side.client, &event)) {
                assert_int_equal(event.kind, CLIENT_ACKNOWLEDGED);
                acknowledged++;
            }
            /* whatever was not read or answered yet is lost with the connection */
            if (rand() % 2 == 0 || side.sent_at < side.sent_len || answers_len % 4 != 0 ||
                answers_len == 0) {
                side_lose(&side);
                mqtt_client_closed(&side.client);
            }
        }
        for (unsigned i = 0; i < total; i++) {
            assert_true(arrived[i] >= 1);
            if (qos == 2)
                assert_int_equal(arrived[i], 1);
        }
        side_fini(&side);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resume_with_session),
        cmocka_unit_test(test_exactly_once_over_two_connections),
        cmocka_unit_test(test_resume_without_session),
        cmocka_unit_test(test_resume_within_receive_maximum),
        cmocka_unit_test(test_random_losses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
