/* SPDX-License-Identifier: MIT
 *
 * decode_publish - hand-written PUBLISH packets.
 */
#include "codec_test.h"

static enum mqtt_reason decode(uint8_t flags, enum mqtt_version version, struct span body,
                               struct publish_packet *out, struct copy *copy)
{
    memset(out, 0xA5, sizeof(*out)); /* what the decoder leaves alone must not look right */
    *copy = copy_body(MQTT_PUBLISH, flags, body);
    return mqtt_decode_publish(&copy->frame, version, out);
}

/* [MQTT-3.3.2-1] */
static void test_qos_0(void **state)
{
    struct publish_packet packet;
    struct copy copy;

    (void)state;
    for (unsigned version = 3; version <= 4; version++) {
        assert_int_equal(decode(0x1, (enum mqtt_version)version,
                                BYTES("\x00\x03"
                                      "a/bhello"),
                                &packet, &copy),
                         MQTT_REASON_SUCCESS);
        assert_int_equal(packet.qos, 0);
        assert_true(packet.retain);
        assert_false(packet.dup);
        assert_int_equal(packet.packet_identifier, 0);
        assert_span(packet.topic, "a/b");
        assert_span(packet.payload, "hello");
        assert_int_equal(packet.props.present, 0);
        assert_int_equal(packet.props.raw.len, 0);
        copy_free(&copy);
    }
    /* [MQTT-2.3.1-5] [MQTT-2.2.1-2]: what follows the topic is payload */
    assert_int_equal(decode(0, MQTT_3_1_1, BYTES("\x00\x01t\x00\x01"), &packet, &copy),
                     MQTT_REASON_SUCCESS);
    assert_int_equal(packet.payload.len, 2);
    copy_free(&copy);
}

static void test_qos_1_and_2(void **state)
{
    struct publish_packet packet;
    struct copy copy;

    (void)state;
    assert_int_equal(decode(0xA, MQTT_3_1_1, BYTES("\x00\x01t\x12\x34"), &packet, &copy),
                     MQTT_REASON_SUCCESS);
    assert_int_equal(packet.qos, 1);
    assert_true(packet.dup);
    assert_false(packet.retain);
    assert_int_equal(packet.packet_identifier, 0x1234);
    assert_int_equal(packet.payload.len, 0);
    copy_free(&copy);
    assert_int_equal(decode(0x4, MQTT_5, BYTES("\x00\x01t\x00\x01\x00p"), &packet, &copy),
                     MQTT_REASON_SUCCESS);
    assert_int_equal(packet.qos, 2);
    assert_int_equal(packet.packet_identifier, 1);
    assert_span(packet.payload, "p");
    assert_int_equal(packet.props.present, 0);
    copy_free(&copy);
}

static void test_flags(void **state)
{
    (void)state;
    for (uint8_t flags = 0; flags < 16; flags++) {
        unsigned qos = (flags >> 1) & 3;
        bool valid = qos < 3 && (qos > 0 || flags < 8); /* [MQTT-3.3.1-4] [MQTT-3.3.1-2] */

        assert_int_equal(reason_of(MQTT_PUBLISH, flags, MQTT_3_1_1, BYTES("\x00\x01t\x00\x01")),
                         valid ? MQTT_REASON_SUCCESS : MQTT_REASON_MALFORMED_PACKET);
    }
}

/* [MQTT-2.3.1-1] */
static void test_identifier_zero(void **state)
{
    struct span body = BYTES("\x00\x01t\x00\x00\x00");

    (void)state;
    assert_int_equal(reason_of(MQTT_PUBLISH, 2, MQTT_3_1_1, body), MQTT_REASON_MALFORMED_PACKET);
    assert_int_equal(reason_of(MQTT_PUBLISH, 2, MQTT_5, body), MQTT_REASON_PROTOCOL_ERROR);
}

static void test_lengths(void **state)
{
    static const char *const short_bodies[] = {"", "\x00", "\x00\x01", "\xFF\xFFx", "\x00\x05wxyz"};
    static const uint32_t lens[] = {0, 1, 2, 3, 6};

    (void)state;
    for (unsigned version = 3; version <= 5; version++) {
        for (size_t i = 0; i < 5; i++) {
            assert_int_equal(reason_of(MQTT_PUBLISH, 0, (enum mqtt_version)version,
                                       span_of(short_bodies[i], lens[i])),
                             MQTT_REASON_MALFORMED_PACKET);
        }
        /* ends before and inside the packet identifier */
        assert_int_equal(reason_of(MQTT_PUBLISH, 2, (enum mqtt_version)version, BYTES("\x00\x01t")),
                         MQTT_REASON_MALFORMED_PACKET);
        assert_int_equal(
            reason_of(MQTT_PUBLISH, 2, (enum mqtt_version)version, BYTES("\x00\x01t\x01")),
            MQTT_REASON_MALFORMED_PACKET);
    }
    /* 5.0 without property length */
    assert_int_equal(reason_of(MQTT_PUBLISH, 0, MQTT_5, BYTES("\x00\x01t")),
                     MQTT_REASON_MALFORMED_PACKET);
    /* property length of five bytes, longer than needed, behind the end */
    assert_int_equal(reason_of(MQTT_PUBLISH, 0, MQTT_5, BYTES("\x00\x01t\xFF\xFF\xFF\xFF\x7F")),
                     MQTT_REASON_MALFORMED_PACKET);
    assert_int_equal(reason_of(MQTT_PUBLISH, 0, MQTT_5, BYTES("\x00\x01t\x80\x00")),
                     MQTT_REASON_MALFORMED_PACKET);
    assert_int_equal(reason_of(MQTT_PUBLISH, 0, MQTT_5, BYTES("\x00\x01t\x02\x01")),
                     MQTT_REASON_MALFORMED_PACKET);
}

static void test_properties(void **state)
{
    struct publish_packet packet;
    struct copy copy;

    (void)state;
    assert_int_equal(
        decode(0, MQTT_5,
               BYTES("\x00\x01t"
                     "\x2E"                 /* 46 bytes */
                     "\x01\x01"             /* Payload Format Indicator */
                     "\x02\x00\x00\x00\x3C" /* Message Expiry Interval 60 */
                     "\x23\x00\x03"         /* Topic Alias 3 */
                     "\x08\x00\x03r/t"      /* Response Topic */
                     "\x09\x00\x02\x00\xFF" /* Correlation Data */
                     "\x26\x00\x01"
                     "a\x00\x01"
                     "1"                    /* User Property */
                     "\x0B\x05\x0B\x80\x01" /* Subscription Identifiers 5, 128 */
                     "\x03\x00\x01y"        /* Content Type */
                     "\x26\x00\x01"
                     "a\x00\x02"
                     "22" /* the same name again */
                     "\x7B}"),
               &packet, &copy),
        MQTT_REASON_MALFORMED_PACKET); /* one byte too many announced: 0x7B is no property */
    copy_free(&copy);

    assert_int_equal(decode(0, MQTT_5,
                            BYTES("\x00\x01t\x2D"
                                  "\x01\x01\x02\x00\x00\x00\x3C\x23\x00\x03\x08\x00\x03r/t"
                                  "\x09\x00\x02\x00\xFF\x26\x00\x01"
                                  "a\x00\x01"
                                  "1\x0B\x05\x0B\x80\x01\x03\x00\x01y\x26\x00\x01"
                                  "a\x00\x02"
                                  "22{}"),
                            &packet, &copy),
                     MQTT_REASON_SUCCESS);
    assert_int_equal(packet.props.payload_format, 1);
    assert_int_equal(packet.props.message_expiry, 60);
    assert_int_equal(packet.props.topic_alias, 3);
    assert_span(packet.props.response_topic, "r/t");
    assert_int_equal(packet.props.correlation_data.len, 2);
    assert_int_equal(packet.props.subscription_identifier, 128);
    assert_span(packet.props.content_type, "y");
    assert_int_equal(packet.props.raw.len, 0x2D);
    assert_false(props_has(&packet.props, MQTT_PROPERTY_RECEIVE_MAXIMUM));
    assert_span(packet.payload, "{}");
    copy_free(&copy);
}

/* Without a topic there has to be an alias. */
static void test_empty_topic(void **state)
{
    (void)state;
    assert_int_equal(reason_of(MQTT_PUBLISH, 0, MQTT_5, BYTES("\x00\x00\x00x")),
                     MQTT_REASON_PROTOCOL_ERROR);
    assert_int_equal(reason_of(MQTT_PUBLISH, 0, MQTT_5, BYTES("\x00\x00\x02\x01\x01")),
                     MQTT_REASON_PROTOCOL_ERROR);
    assert_int_equal(reason_of(MQTT_PUBLISH, 0, MQTT_5, BYTES("\x00\x00\x03\x23\x00\x01")),
                     MQTT_REASON_SUCCESS);
    /* [MQTT-3.3.2-8] */
    assert_int_equal(reason_of(MQTT_PUBLISH, 0, MQTT_5, BYTES("\x00\x01t\x03\x23\x00\x00")),
                     MQTT_REASON_TOPIC_ALIAS_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_qos_0),       cmocka_unit_test(test_qos_1_and_2),
        cmocka_unit_test(test_flags),       cmocka_unit_test(test_identifier_zero),
        cmocka_unit_test(test_lengths),     cmocka_unit_test(test_properties),
        cmocka_unit_test(test_empty_topic),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
