/* SPDX-License-Identifier: MIT
 *
 * What a client says and hears: every flow of the protocol from its side, against the codec.
 */
#include "client_fixture.h"

static void test_connect_has_everything(void **state)
{
    struct side side;
    uint8_t user[64];
    uint32_t user_len =
        mqtt_encode_user_property(user, sizeof(user), span_text("key"), span_text("value"));
    struct connect_packet wanted = {
        .version = MQTT_5,
        .has_will = true,
        .has_username = true,
        .has_password = true,
        .will_qos = 2,
        .will_retain = true,
        .keep_alive_s = 77,
        .client_identifier = span_text("me"),
        .will_topic = span_text("last/words"),
        .will_payload = span_text("bye"),
        .username = span_text("user"),
        .password = span_text("secret"),
        .props = {.raw = span_of(user, user_len),
                  .present = PROP_BIT(MQTT_PROPERTY_USER_PROPERTY) |
                             PROP_BIT(MQTT_PROPERTY_SESSION_EXPIRY_INTERVAL) |
                             PROP_BIT(MQTT_PROPERTY_RECEIVE_MAXIMUM),
                  .session_expiry = 99,
                  .receive_maximum = 7},
        .will_props = {.present = PROP_BIT(MQTT_PROPERTY_WILL_DELAY_INTERVAL), .will_delay = 5},
    };
    struct connect_packet got;
    struct frame frame;

    (void)state;
    side_init(&side);
    assert_int_equal(mqtt_client_connect(&side.client, &wanted, 0), CLIENT_OK);
    frame = side_expect(&side, MQTT_CONNECT);
    assert_int_equal(mqtt_decode_connect(&frame, &got), 0);
    assert_true(got.has_will && got.will_retain && got.will_qos == 2 && !got.clean_start);
    assert_true(span_equal(got.will_topic, wanted.will_topic));
    assert_true(span_equal(got.password, wanted.password));
    assert_int_equal(got.props.session_expiry, 99);
    assert_int_equal(got.will_props.will_delay, 5);
    assert_true(span_equal(got.props.raw, wanted.props.raw) || got.props.raw.len > user_len);
    assert_int_equal(side.client.receive_maximum, 7);
    /* a second one on the same connection is not possible */
    assert_int_equal(mqtt_client_connect(&side.client, &wanted, 0), CLIENT_OFFLINE);
    side_fini(&side);
}

static void test_connect_refuses_nonsense(void **state)
{
    struct side side;
    struct connect_packet connect = {.version = MQTT_3_1_1, .has_password = true};
    static uint8_t long_text[70000];

    (void)state;
    side_init(&side);
    assert_int_equal(mqtt_client_connect(&side.client, &connect, 0), CLIENT_INVALID);
    connect = (struct connect_packet){
        .version = MQTT_5, .has_will = true, .will_topic = span_text("a/#")};
    assert_int_equal(mqtt_client_connect(&side.client, &connect, 0), CLIENT_INVALID);
    connect =
        (struct connect_packet){.version = MQTT_5, .client_identifier = span_of(long_text, 70000)};
    assert_int_equal(mqtt_client_connect(&side.client, &connect, 0), CLIENT_INVALID);
    side_expect_nothing(&side);
    side_fini(&side);
}

static void test_connack_sets_limits(void **state)
{
    struct side side;
    struct mqtt_props props = {.present = PROP_BIT(MQTT_PROPERTY_RECEIVE_MAXIMUM) |
                                          PROP_BIT(MQTT_PROPERTY_MAXIMUM_QOS) |
                                          PROP_BIT(MQTT_PROPERTY_RETAIN_AVAILABLE) |
                                          PROP_BIT(MQTT_PROPERTY_MAXIMUM_PACKET_SIZE) |
                                          PROP_BIT(MQTT_PROPERTY_SERVER_KEEP_ALIVE),
                               .receive_maximum = 2,
                               .maximum_qos = 1,
                               .maximum_packet_size = 40,
                               .server_keep_alive = 10};
    struct publish_packet packet = message(2, "t", "x");

    (void)state;
    side_init(&side);
    side_online(&side, MQTT_5, false, &props);
    assert_int_equal(side.client.server.keep_alive_s, 10);
    assert_int_equal(mqtt_client_publish(&side.client, &packet, 0, NULL), CLIENT_NOT_ALLOWED);
    packet.qos = 0;
    packet.retain = true;
    assert_int_equal(mqtt_client_publish(&side.client, &packet, 0, NULL), CLIENT_NOT_ALLOWED);
    packet = message(1, "t", "a payload that makes the packet far too large for it");
    assert_int_equal(mqtt_client_publish(&side.client, &packet, 0, NULL), CLIENT_TOO_LARGE);
    assert_int_equal(mqtt_client_unacknowledged(&side.client), 0); /* nothing is left behind */
    packet = message(0, "a/+", "");
    assert_int_equal(mqtt_client_publish(&side.client, &packet, 0, NULL), CLIENT_INVALID);
    assert_int_equal(mqtt_client_room(&side.client), 2);
    side_publish(&side, 1, "1", 0);
    side_publish(&side, 1, "2", 0);
    packet = message(1, "t", "3"); /* C1 */
    assert_int_equal(mqtt_client_publish(&side.client, &packet, 0, NULL), CLIENT_BUSY);
    side_fini(&side);
}

static void test_publish_flows(void **state)
{
    (void)state;
    FOR_EACH_VERSION(version)
    {
        struct side side;
        struct client_event event;
        struct publish_packet packet;
        uint16_t first, second;

        side_init(&side);
        side_online(&side, version, false, NULL);
        side_publish(&side, 0, "zero", 0);
        first = side_publish(&side, 1, "one", 11);
        second = side_publish(&side, 2, "two", 22);
        packet = side_expect_publish(&side);
        assert_int_equal(packet.qos, 0);
        packet = side_expect_publish(&side);
        assert_true(packet.qos == 1 && packet.packet_identifier == first && !packet.dup);
        assert_true(span_equal(packet.payload, span_text("one")));
        packet = side_expect_publish(&side);
        assert_int_equal(packet.packet_identifier, second);

        event = side_ack(&side, MQTT_PUBACK, first, MQTT_REASON_SUCCESS);
        assert_int_equal(event.kind, CLIENT_ACKNOWLEDGED);
        assert_int_equal(event.tag, 11);
        event = side_ack(&side, MQTT_PUBREC, second, MQTT_REASON_SUCCESS);
        assert_int_equal(event.kind, CLIENT_NOTHING);
        assert_int_equal(side_expect_ack(&side, MQTT_PUBREL, second), 0);
        event = side_ack(&side, MQTT_PUBREC, second, MQTT_REASON_SUCCESS); /* said again */
        assert_int_equal(event.kind, CLIENT_NOTHING);
        side_expect_nothing(&side);
        event = side_ack(&side, MQTT_PUBCOMP, second, MQTT_REASON_SUCCESS);
        assert_int_equal(event.kind, CLIENT_ACKNOWLEDGED);
        assert_int_equal(event.tag, 22);
        assert_int_equal(mqtt_client_unacknowledged(&side.client), 0);
        side_fini(&side);
    }
}

static void test_refused_pubrec_ends_the_flow(void **state)
{
    struct side side;
    struct client_event event;
    uint16_t identifier;

    (void)state;
    side_init(&side);
    side_online(&side, MQTT_5, false, NULL);
    identifier = side_publish(&side, 2, "x", 5);
    side_expect(&side, MQTT_PUBLISH);
    event = side_ack(&side, MQTT_PUBREC, identifier, MQTT_REASON_NOT_AUTHORIZED);
    assert_int_equal(event.kind, CLIENT_ACKNOWLEDGED);
    assert_int_equal(event.ack.reason, MQTT_REASON_NOT_AUTHORIZED);
    assert_int_equal(event.tag, 5);
    side_expect_nothing(&side);
    assert_int_equal(mqtt_client_unacknowledged(&side.client), 0);
    side_fini(&side);
}

static void test_messages_are_acknowledged(void **state)
{
    uint8_t packet[256];

    (void)state;
    FOR_EACH_VERSION(version)
    {
        struct side side;
        struct client_event event;

        side_init(&side);
        side_online(&side, version, false, NULL);
        event = side_event(&side, packet, server_publish(packet, version, 0, 0, false));
        assert_int_equal(event.kind, CLIENT_MESSAGE);
        assert_true(span_equal(event.publish.payload, span_text("payload")));
        side_expect_nothing(&side);
        event = side_event(&side, packet, server_publish(packet, version, 1, 9, false));
        assert_int_equal(event.kind, CLIENT_MESSAGE);
        side_expect_ack(&side, MQTT_PUBACK, 9);

        /* QoS 2: once, however often it comes, until it is released */
        event = side_event(&side, packet, server_publish(packet, version, 2, 60000, false));
        assert_int_equal(event.kind, CLIENT_MESSAGE);
        side_expect_ack(&side, MQTT_PUBREC, 60000);
        event = side_event(&side, packet, server_publish(packet, version, 2, 60000, true));
        assert_int_equal(event.kind, CLIENT_NOTHING);
        side_expect_ack(&side, MQTT_PUBREC, 60000);
        event = side_ack(&side, MQTT_PUBREL, 60000, MQTT_REASON_SUCCESS);
        assert_int_equal(event.kind, CLIENT_NOTHING);
        assert_int_equal(side_expect_ack(&side, MQTT_PUBCOMP, 60000), MQTT_REASON_SUCCESS);
        event = side_event(&side, packet, server_publish(packet, version, 2, 60000, false));
        assert_int_equal(event.kind, CLIENT_MESSAGE);
        side_expect_ack(&side, MQTT_PUBREC, 60000);
        /* one that is not known */
        event = side_ack(&side, MQTT_PUBREL, 3, MQTT_REASON_SUCCESS);
        assert_int_equal(event.kind, CLIENT_NOTHING);
        assert_int_equal(side_expect_ack(&side, MQTT_PUBCOMP, 3),
                         version == MQTT_5 ? MQTT_REASON_PACKET_IDENTIFIER_NOT_FOUND : 0);
        side_fini(&side);
    }
}

/* A stream of many packets gives the same events, however it is cut. */
static void test_any_split(void **state)
{
    static uint8_t stream[4096];
    uint32_t len = 0;
    struct publish_packet large = message(1, "large", "");
    static uint8_t payload[700];

    (void)state;
    len += connack(stream, 64, MQTT_5, false, NULL);
    for (uint16_t i = 1; i <= 3; i++)
        len += server_publish(stream + len, MQTT_5, (uint8_t)(i - 1), i, false);
    large.packet_identifier = 77;
    large.payload = span_of(payload, sizeof(payload));
    len += mqtt_encode_publish(stream + len, 1024, MQTT_5, &large);
    len += mqtt_encode_ack(stream + len, 64, MQTT_5, MQTT_PUBREL, 3, 0, (struct span){0}, 0);
    len += mqtt_encode_disconnect(stream + len, 64, MQTT_5, MQTT_REASON_SERVER_SHUTTING_DOWN,
                                  (struct span){0}, (struct span){0}, 0);
    for (uint32_t piece = 1; piece <= len; piece = piece < 20 ? piece + 1 : piece * 3) {
        static const enum client_event_kind expected[] = {CLIENT_CONNACK, CLIENT_MESSAGE,
                                                          CLIENT_MESSAGE, CLIENT_MESSAGE,
                                                          CLIENT_MESSAGE, CLIENT_DISCONNECTED};
        struct connect_packet connect = {.version = MQTT_5, .clean_start = true};
        struct client_event event;
        struct side side;
        uint32_t events = 0;

        side_init(&side);
        mqtt_client_connect(&side.client, &connect, 0);
        for (uint32_t at = 0; at < len; at += piece) {
            /* a copy that ends where it should, so that a look behind it is seen */
            uint32_t here = len - at < piece ? len - at : piece;
            uint8_t *copy = malloc(here);

            memcpy(copy, stream + at, here);
            mqtt_client_feed(&side.client, copy, here);
            while (mqtt_client_next(&side.client, &event)) {
                assert_true(events < 6);
                assert_int_equal(event.kind, expected[events]);
                if (events == 4) {
                    assert_int_equal(event.publish.payload.len, sizeof(payload));
                    assert_memory_equal(event.publish.payload.data, payload, sizeof(payload));
                }
                events++;
            }
            free(copy);
        }
        assert_int_equal(events, 6);
        side_expect(&side, MQTT_CONNECT);
        side_expect_ack(&side, MQTT_PUBACK, 2);
        side_expect_ack(&side, MQTT_PUBREC, 3);
        side_expect_ack(&side, MQTT_PUBACK, 77);
        side_expect_ack(&side, MQTT_PUBCOMP, 3);
        side_expect_nothing(&side);
        side_fini(&side);
    }
}

static void test_aliases(void **state)
{
    struct side side;
    struct mqtt_props props = {.present = PROP_BIT(MQTT_PROPERTY_TOPIC_ALIAS_MAXIMUM),
                               .topic_alias_maximum = 1};
    struct publish_packet packet;
    uint16_t identifier;

    (void)state;
    side_init(&side);
    side.limits.topic_aliases = 10;
    side_online(&side, MQTT_5, false, &props);
    side_publish(&side, 0, "first", 0);
    identifier = side_publish(&side, 1, "second", 0);
    packet = side_expect_publish(&side);
    assert_true(packet.props.topic_alias == 1 && span_equal(packet.topic, span_text("a/b")));
    packet = side_expect_publish(&side);
    assert_true(packet.props.topic_alias == 1 && packet.topic.len == 0);
    packet = message(0, "other", ""); /* no alias is left */
    assert_int_equal(mqtt_client_publish(&side.client, &packet, 0, NULL), CLIENT_OK);
    packet = side_expect_publish(&side);
    assert_int_equal(packet.props.present, 0);
    /* on the next connection the alias means nothing: the topic is there again [MQTT-3.3.2-7] */
    mqtt_client_closed(&side.client);
    side_online(&side, MQTT_5, true, NULL);
    side_event(&side, NULL, 0);
    packet = side_expect_publish(&side);
    assert_int_equal(packet.packet_identifier, identifier);
    assert_true(span_equal(packet.topic, span_text("a/b")) && packet.props.present == 0);
    side_fini(&side);
}

static void test_inbound_aliases(void **state)
{
    struct side side;
    struct connect_packet connect = {
        .version = MQTT_5,
        .clean_start = true,
        .props = {.present = PROP_BIT(MQTT_PROPERTY_TOPIC_ALIAS_MAXIMUM),
                  .topic_alias_maximum = 2}};
    struct publish_packet packet = message(0, "long/topic", "1");
    struct client_event event;
    uint8_t bytes[256];

    (void)state;
    side_init(&side);
    mqtt_client_connect(&side.client, &connect, 0);
    side_event(&side, bytes, connack(bytes, sizeof(bytes), MQTT_5, false, NULL));
    packet.props.present = PROP_BIT(MQTT_PROPERTY_TOPIC_ALIAS);
    packet.props.topic_alias = 2;
    side_event(&side, bytes, mqtt_encode_publish(bytes, 256, MQTT_5, &packet));
    packet.topic.len = 0;
    event = side_event(&side, bytes, mqtt_encode_publish(bytes, 256, MQTT_5, &packet));
    assert_int_equal(event.kind, CLIENT_MESSAGE);
    assert_true(span_equal(event.publish.topic, span_text("long/topic")));
    packet.props.topic_alias = 1;
    event = side_event(&side, bytes, mqtt_encode_publish(bytes, 256, MQTT_5, &packet));
    assert_int_equal(event.kind, CLIENT_BROKEN); /* never explained */
    side_fini(&side);
}

static void test_subscribe_and_unsubscribe(void **state)
{
    const struct filter_view filters[2] = {{span_text("a/#"), 1}, {span_text("b"), 2}};
    const uint8_t granted[2] = {1, 0x80};
    const uint8_t removed[2] = {0, 0x11};

    (void)state;
    FOR_EACH_VERSION(version)
    {
        struct side side;
        struct client_event event;
        struct subscribe_packet subscribe;
        struct frame frame;
        uint8_t bytes[64];
        uint16_t first, second;

        side_init(&side);
        side_online(&side, version, false, NULL);
        assert_int_equal(mqtt_client_subscribe(&side.client, filters, 2, NULL, &first), CLIENT_OK);
        assert_int_equal(mqtt_client_unsubscribe(&side.client, filters, 2, NULL, &second),
                         CLIENT_OK);
        assert_int_not_equal(first, second);
        frame = side_expect(&side, MQTT_SUBSCRIBE);
        assert_int_equal(mqtt_decode_subscribe(&frame, version, &subscribe), 0);
        assert_true(subscribe.packet_identifier == first && subscribe.filter_count == 2);
        side_expect(&side, MQTT_UNSUBSCRIBE);
        event =
            side_event(&side, bytes,
                       mqtt_encode_suback(bytes, 64, version, MQTT_UNSUBACK, second, removed, 2));
        assert_int_equal(event.kind, CLIENT_UNSUBACK);
        event = side_event(&side, bytes,
                           mqtt_encode_suback(bytes, 64, version, MQTT_SUBACK, first, granted, 2));
        assert_int_equal(event.kind, CLIENT_SUBACK);
        assert_int_equal(event.ack.packet_identifier, first);
        assert_memory_equal(event.ack.reason_codes.data, granted, 2);
        assert_int_equal(side.client.request_count, 0);
        side_fini(&side);
    }
}

static void test_requests_are_bounded(void **state)
{
    const struct filter_view filter = {span_text("a"), 0}, wrong = {span_text("a/#/b"), 0};
    struct side side;
    enum client_status status = CLIENT_OK;
    unsigned count = 0;

    (void)state;
    side_init(&side);
    side_online(&side, MQTT_5, false, NULL);
    assert_int_equal(mqtt_client_subscribe(&side.client, &wrong, 1, NULL, NULL), CLIENT_INVALID);
    assert_int_equal(mqtt_client_subscribe(&side.client, &filter, 0, NULL, NULL), CLIENT_INVALID);
    while (status == CLIENT_OK) {
        status = mqtt_client_subscribe(&side.client, &filter, 1, NULL, NULL);
        count++;
    }
    assert_int_equal(status, CLIENT_BUSY);
    assert_int_equal(count, 65);
    side_fini(&side);
}

static void test_keep_alive(void **state)
{
    struct side side;
    struct connect_packet connect = {.version = MQTT_5, .clean_start = true, .keep_alive_s = 40};
    static const uint8_t pingresp[2] = {0xD0, 0};
    uint8_t bytes[64];
    bool alive;

    (void)state;
    side_init(&side);
    mqtt_client_connect(&side.client, &connect, side.now_ms);
    side_event(&side, bytes, connack(bytes, sizeof(bytes), MQTT_5, false, NULL));
    side_expect(&side, MQTT_CONNECT);
    assert_int_equal(mqtt_client_tick(&side.client, 1000, &alive), 31000);
    side.now_ms = 20000;
    side_publish(&side, 0, "x", 0);
    side_expect_publish(&side);
    assert_int_equal(mqtt_client_tick(&side.client, 31000, &alive), 50000);
    side_expect_nothing(&side);
    assert_int_equal(mqtt_client_tick(&side.client, 50000, &alive), 90000);
    side_expect(&side, MQTT_PINGREQ);
    assert_int_equal(side_event(&side, pingresp, 2).kind, CLIENT_PINGRESP);
    assert_true(alive);
    mqtt_client_tick(&side.client, 90000, &alive);
    side_expect(&side, MQTT_PINGREQ);
    assert_true(alive);
    assert_int_equal(mqtt_client_tick(&side.client, 129999, &alive), 130000);
    assert_true(alive);
    mqtt_client_tick(&side.client, 130000, &alive);
    assert_false(alive);
    assert_int_equal(side.client.phase, MQTT_FAILED);
    side_fini(&side);
}

/* Enhanced authentication (4.12): the server asks, the client answers, then CONNACK; and once more later. */
static void test_authentication(void **state)
{
    struct connect_packet connect = {
        .version = MQTT_5,
        .clean_start = true,
        .props = {.present = PROP_BIT(MQTT_PROPERTY_AUTHENTICATION_METHOD),
                  .authentication_method = span_text("M")}};
    struct side side;
    struct client_event event;
    struct ack_packet auth;
    struct frame frame;
    uint8_t bytes[64];

    (void)state;
    side_init(&side);
    mqtt_client_connect(&side.client, &connect, 0);
    side_expect(&side, MQTT_CONNECT);
    event = side_event(&side, bytes,
                       mqtt_encode_auth(bytes, sizeof(bytes), MQTT_REASON_CONTINUE_AUTHENTICATION,
                                        span_text("M"), span_text("question")));
    assert_int_equal(event.kind, CLIENT_AUTH);
    assert_true(span_equal(event.ack.props.authentication_data, span_text("question")));
    assert_int_equal(mqtt_client_auth(&side.client, MQTT_REASON_CONTINUE_AUTHENTICATION,
                                      span_text("M"), span_text("answer")),
                     CLIENT_OK);
    frame = side_expect(&side, MQTT_AUTH);
    assert_int_equal(mqtt_decode_auth(&frame, &auth), 0);
    assert_true(span_equal(auth.props.authentication_data, span_text("answer")));
    assert_int_equal(
        side_event(&side, bytes, connack(bytes, sizeof(bytes), MQTT_5, false, NULL)).kind,
        CLIENT_CONNACK);
    assert_int_equal(
        mqtt_client_auth(&side.client, MQTT_REASON_REAUTHENTICATE, span_text("M"), span_text("x")),
        CLIENT_OK);
    side_expect(&side, MQTT_AUTH);
    side_fini(&side);
    /* without a method in CONNECT there is nothing to be said [MQTT-4.12.0-6] */
    side_init(&side);
    side_online(&side, MQTT_5, false, NULL);
    assert_int_equal(
        mqtt_client_auth(&side.client, MQTT_REASON_REAUTHENTICATE, span_text("M"), span_text("x")),
        CLIENT_INVALID);
    side_fini(&side);
}

static void test_nothing_behind_disconnect(void **state)
{
    struct side side;
    uint8_t bytes[256];

    (void)state;
    side_init(&side);
    side_online(&side, MQTT_5, false, NULL);
    assert_int_equal(mqtt_client_disconnect(&side.client, MQTT_REASON_DISCONNECT_WITH_WILL, NULL),
                     CLIENT_OK);
    side_event(&side, bytes, server_publish(bytes, MQTT_5, 1, 3, false));
    struct publish_packet packet = message(0, "t", "");

    assert_int_equal(mqtt_client_publish(&side.client, &packet, 0, NULL), CLIENT_OFFLINE);
    side_expect(&side, MQTT_DISCONNECT);
    side_expect_nothing(&side); /* C3 */
    side_fini(&side);
}

static void test_output_is_bounded(void **state)
{
    struct side side;
    static char payload[5001];
    enum client_status status;
    struct publish_packet packet;
    unsigned count = 0;

    (void)state;
    memset(payload, 'p', 5000);
    packet = message(1, "t", payload);
    side_init(&side);
    side.limits.output_max = 200000;
    side.limits.inflight_max = 1000;
    side_online(&side, MQTT_5, false, NULL);
    while ((status = mqtt_client_publish(&side.client, &packet, 0, NULL)) == CLIENT_OK)
        count++;
    assert_int_equal(status, CLIENT_BUSY);
    assert_in_range(count, 38, 40);
    assert_int_equal(mqtt_client_unacknowledged(&side.client), count);
    side_fini(&side);
}

static void test_memory_failures(void **state)
{
    (void)state;
    for (unsigned long at = 1; at < 12; at++) {
        struct side side;
        struct publish_packet packet = message(2, "t", "payload");
        const struct filter_view filter = {span_text("a"), 0};
        struct connect_packet connect = {.version = MQTT_5, .clean_start = true};
        struct client_event event;
        uint8_t bytes[256];

        side_init(&side);
        mem_fail_after(at);
        mqtt_client_connect(&side.client, &connect, 0);
        if (side.client.phase == MQTT_AWAIT_CONNACK) {
            side_event(&side, bytes, connack(bytes, sizeof(bytes), MQTT_5, false, NULL));
            mqtt_client_publish(&side.client, &packet, 0, NULL);
            mqtt_client_subscribe(&side.client, &filter, 1, NULL, NULL);
            side_flush(&side);
            side_event(&side, bytes, server_publish(bytes, MQTT_5, 2, 3, false));
            mqtt_client_feed(&side.client, bytes, 3);
            while (mqtt_client_next(&side.client, &event)) {
            }
        }
        mem_fail_after(0);
        side_fini(&side);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connect_has_everything),
        cmocka_unit_test(test_connect_refuses_nonsense),
        cmocka_unit_test(test_connack_sets_limits),
        cmocka_unit_test(test_publish_flows),
        cmocka_unit_test(test_refused_pubrec_ends_the_flow),
        cmocka_unit_test(test_messages_are_acknowledged),
        cmocka_unit_test(test_any_split),
        cmocka_unit_test(test_aliases),
        cmocka_unit_test(test_inbound_aliases),
        cmocka_unit_test(test_subscribe_and_unsubscribe),
        cmocka_unit_test(test_requests_are_bounded),
        cmocka_unit_test(test_keep_alive),
        cmocka_unit_test(test_authentication),
        cmocka_unit_test(test_nothing_behind_disconnect),
        cmocka_unit_test(test_output_is_bounded),
        cmocka_unit_test(test_memory_failures),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
