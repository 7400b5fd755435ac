/* SPDX-License-Identifier: MIT
 *
 * decode_subscribe - hand-written SUBSCRIBE and UNSUBSCRIBE packets.
 */
#include "codec_test.h"

static void test_subscribe_3_1_1(void **state)
{
    struct copy copy = copy_body(MQTT_SUBSCRIBE, 2,
                                 BYTES("\x00\x0A\x00\x03"
                                       "a/b\x01\x00\x01#\x02\x00\x00\x00"));
    struct subscribe_packet packet;
    struct filter_view view;

    (void)state;
    assert_int_equal(mqtt_decode_subscribe(&copy.frame, MQTT_3_1_1, &packet), MQTT_REASON_SUCCESS);
    assert_int_equal(packet.packet_identifier, 10);
    assert_int_equal(packet.filter_count, 3);
    assert_true(packet.has_options);
    assert_true(filters_next(&packet, &view));
    assert_span(view.filter, "a/b");
    assert_int_equal(view.options, 1);
    assert_true(filters_next(&packet, &view));
    assert_span(view.filter, "#");
    assert_int_equal(view.options, 2);
    assert_true(filters_next(&packet, &view));
    assert_span(view.filter, ""); /* its form is for the topic rules to judge */
    assert_int_equal(view.options, 0);
    assert_false(filters_next(&packet, &view));
    assert_false(filters_next(&packet, &view));
    copy_free(&copy);
}

static void test_subscribe_5(void **state)
{
    struct copy copy = copy_body(MQTT_SUBSCRIBE, 2,
                                 BYTES("\x00\x0A"
                                       "\x0A\x0B\xFF\x7F\x26\x00\x01k\x00\x01v"
                                       "\x00\x01t\x2E"));
    struct subscribe_packet packet;
    struct filter_view view;

    (void)state;
    assert_int_equal(mqtt_decode_subscribe(&copy.frame, MQTT_5, &packet), MQTT_REASON_SUCCESS);
    assert_int_equal(packet.filter_count, 1);
    assert_true(props_has(&packet.props, MQTT_PROPERTY_SUBSCRIPTION_IDENTIFIER));
    assert_int_equal(packet.props.subscription_identifier, 16383);
    assert_true(filters_next(&packet, &view));
    assert_int_equal(view.options,
                     0x2E); /* QoS 2, No Local, Retain As Published, Retain Handling 2 */
    copy_free(&copy);
}

static void test_unsubscribe(void **state)
{
    struct copy copy = copy_body(MQTT_UNSUBSCRIBE, 2,
                                 BYTES("\x00\x0B\x00\x00\x01"
                                       "a\x00\x01"
                                       "b"));
    struct subscribe_packet packet;
    struct filter_view view;

    (void)state;
    assert_int_equal(mqtt_decode_subscribe(&copy.frame, MQTT_5, &packet), MQTT_REASON_SUCCESS);
    assert_false(packet.has_options);
    assert_int_equal(packet.filter_count, 2);
    assert_true(filters_next(&packet, &view));
    assert_span(view.filter, "a");
    assert_int_equal(view.options, 0);
    assert_true(filters_next(&packet, &view));
    assert_span(view.filter, "b");
    assert_false(filters_next(&packet, &view));
    copy_free(&copy);
}

/* Every options byte. 3.1.1: [MQTT-3-8.3-4], 5.0: [MQTT-3.8.3-5] */
static void test_options(void **state)
{
    (void)state;
    for (unsigned options = 0; options < 256; options++) {
        uint8_t body[] = {0, 1, 0, 1, 't', (uint8_t)options};
        uint8_t body_5[] = {0, 1, 0, 0, 1, 't', (uint8_t)options};
        enum mqtt_reason expected = MQTT_REASON_SUCCESS;

        assert_int_equal(reason_of(MQTT_SUBSCRIBE, 2, MQTT_3_1_1, span_of(body, sizeof(body))),
                         options <= 2 ? MQTT_REASON_SUCCESS : MQTT_REASON_MALFORMED_PACKET);
        if (options >= 0x40)
            expected = MQTT_REASON_MALFORMED_PACKET;
        else if ((options & 3) == 3 || (options & 0x30) == 0x30)
            expected = MQTT_REASON_PROTOCOL_ERROR;
        assert_int_equal(reason_of(MQTT_SUBSCRIBE, 2, MQTT_5, span_of(body_5, sizeof(body_5))),
                         expected);
    }
}

/* [MQTT-3.8.3-4] */
static void test_no_local_on_a_shared_subscription(void **state)
{
    (void)state;
    assert_int_equal(
        reason_of(MQTT_SUBSCRIBE, 2, MQTT_5, BYTES("\x00\x01\x00\x00\x0A$share/g/t\x05")),
        MQTT_REASON_PROTOCOL_ERROR);
    assert_int_equal(
        reason_of(MQTT_SUBSCRIBE, 2, MQTT_5, BYTES("\x00\x01\x00\x00\x0A$share/g/t\x01")),
        MQTT_REASON_SUCCESS);
    assert_int_equal(
        reason_of(MQTT_SUBSCRIBE, 2, MQTT_5, BYTES("\x00\x01\x00\x00\x0A$shared/gt\x05")),
        MQTT_REASON_SUCCESS);
}

/* 3.1.1: [MQTT-3.8.3-3] [MQTT-3.10.3-2], 5.0: [MQTT-3.8.3-2] [MQTT-3.10.3-2] */
static void test_no_filters(void **state)
{
    (void)state;
    assert_int_equal(reason_of(MQTT_SUBSCRIBE, 2, MQTT_3_1_1, BYTES("\x00\x01")),
                     MQTT_REASON_PROTOCOL_ERROR);
    assert_int_equal(reason_of(MQTT_UNSUBSCRIBE, 2, MQTT_3_1_1, BYTES("\x00\x01")),
                     MQTT_REASON_PROTOCOL_ERROR);
    assert_int_equal(reason_of(MQTT_SUBSCRIBE, 2, MQTT_5, BYTES("\x00\x01\x00")),
                     MQTT_REASON_PROTOCOL_ERROR);
    assert_int_equal(reason_of(MQTT_UNSUBSCRIBE, 2, MQTT_5, BYTES("\x00\x01\x00")),
                     MQTT_REASON_PROTOCOL_ERROR);
}

static void test_malformed(void **state)
{
    (void)state;
    /* [MQTT-2.3.1-1] */
    assert_int_equal(reason_of(MQTT_SUBSCRIBE, 2, MQTT_3_1_1, BYTES("\x00\x00\x00\x01t\x00")),
                     MQTT_REASON_MALFORMED_PACKET);
    assert_int_equal(reason_of(MQTT_UNSUBSCRIBE, 2, MQTT_5, BYTES("\x00\x00\x00\x00\x01t")),
                     MQTT_REASON_PROTOCOL_ERROR);
    /* the last filter lacks its options */
    assert_int_equal(reason_of(MQTT_SUBSCRIBE, 2, MQTT_5, BYTES("\x00\x01\x00\x00\x01t")),
                     MQTT_REASON_MALFORMED_PACKET);
    assert_int_equal(
        reason_of(MQTT_SUBSCRIBE, 2, MQTT_3_1_1, BYTES("\x00\x01\x00\x01t\x00\x00\x01u")),
        MQTT_REASON_MALFORMED_PACKET);
    assert_int_equal(reason_of(MQTT_SUBSCRIBE, 2, MQTT_3_1_1,
                               BYTES("\x00\x01\xFF\xFF"
                                     "abc")),
                     MQTT_REASON_MALFORMED_PACKET);
    /* strings: [MQTT-3.8.3-1] [MQTT-3.10.3-1] */
    assert_int_equal(reason_of(MQTT_SUBSCRIBE, 2, MQTT_3_1_1, BYTES("\x00\x01\x00\x01\x80\x00")),
                     MQTT_REASON_MALFORMED_PACKET);
    assert_int_equal(reason_of(MQTT_UNSUBSCRIBE, 2, MQTT_3_1_1, BYTES("\x00\x01\x00\x01\x00")),
                     MQTT_REASON_MALFORMED_PACKET);
    /* Subscription Identifier 0, and one of five bytes */
    assert_int_equal(
        reason_of(MQTT_SUBSCRIBE, 2, MQTT_5, BYTES("\x00\x01\x02\x0B\x00\x00\x01t\x00")),
        MQTT_REASON_PROTOCOL_ERROR);
    assert_int_equal(reason_of(MQTT_SUBSCRIBE, 2, MQTT_5,
                               BYTES("\x00\x01\x06\x0B\xFF\xFF\xFF\xFF\x7F\x00\x01t\x00")),
                     MQTT_REASON_MALFORMED_PACKET);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_subscribe_3_1_1),
        cmocka_unit_test(test_subscribe_5),
        cmocka_unit_test(test_unsubscribe),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_no_local_on_a_shared_subscription),
        cmocka_unit_test(test_no_filters),
        cmocka_unit_test(test_malformed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
