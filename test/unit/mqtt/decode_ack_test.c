/* SPDX-License-Identifier: MIT
 *
 * decode_ack - hand-written acknowledgements, CONNACK, DISCONNECT and AUTH.
 */
#include "codec_test.h"

#include "mqtt/tables.h"

static const enum mqtt_packet_type acks[] = {MQTT_PUBACK, MQTT_PUBREC, MQTT_PUBREL, MQTT_PUBCOMP};

static void test_short_acks(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        for (unsigned version = 3; version <= 5; version++) {
            struct copy copy = copy_body(acks[i], 0, BYTES("\xAB\xCD"));
            struct ack_packet packet;

            memset(&packet, 0xA5, sizeof(packet));
            assert_int_equal(mqtt_decode_ack(&copy.frame, (enum mqtt_version)version, &packet),
                             MQTT_REASON_SUCCESS);
            assert_int_equal(packet.packet_identifier, 0xABCD);
            assert_int_equal(packet.reason, MQTT_REASON_SUCCESS);
            assert_int_equal(packet.props.present, 0);
            copy_free(&copy);
            assert_int_equal(reason_of(acks[i], 0, (enum mqtt_version)version, BYTES("")),
                             MQTT_REASON_MALFORMED_PACKET);
            assert_int_equal(reason_of(acks[i], 0, (enum mqtt_version)version, BYTES("\x01")),
                             MQTT_REASON_MALFORMED_PACKET);
            assert_int_equal(reason_of(acks[i], 0, (enum mqtt_version)version, BYTES("\x00\x00")),
                             version == 5 ? MQTT_REASON_PROTOCOL_ERROR
                                          : MQTT_REASON_MALFORMED_PACKET); /* [MQTT-2.3.1-1] */
        }
        assert_int_equal(reason_of(acks[i], 0, MQTT_3_1_1, BYTES("\x00\x01\x00")),
                         MQTT_REASON_MALFORMED_PACKET);
    }
}

/* Every code in every acknowledgement. [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1] */
static void test_reason_codes(void **state)
{
    static const uint8_t first[] = {0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99};
    static const uint8_t second[] = {0, 0x92};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        const uint8_t *legal = i < 2 ? first : second;
        size_t count = i < 2 ? sizeof(first) : sizeof(second);

        for (unsigned code = 0; code < 256; code++) {
            uint8_t body[] = {0, 1, (uint8_t)code, 0};
            enum mqtt_reason expected = memchr(legal, (int)code, count) != NULL
                                            ? MQTT_REASON_SUCCESS
                                            : MQTT_REASON_PROTOCOL_ERROR;

            assert_int_equal(reason_of(acks[i], 0, MQTT_5, span_of(body, 3)), expected);
            assert_int_equal(reason_of(acks[i], 0, MQTT_5, span_of(body, 4)), expected);
        }
    }
}

static void test_ack_properties(void **state)
{
    struct copy copy =
        copy_body(MQTT_PUBREC, 0, BYTES("\x00\x01\x97\x0B\x1F\x00\x01s\x26\x00\x01k\x00\x01v"));
    struct ack_packet packet;

    (void)state;
    assert_int_equal(mqtt_decode_ack(&copy.frame, MQTT_5, &packet), MQTT_REASON_SUCCESS);
    assert_int_equal(packet.reason, MQTT_REASON_QUOTA_EXCEEDED);
    assert_span(packet.props.reason_string, "s");
    assert_true(props_has(&packet.props, MQTT_PROPERTY_USER_PROPERTY));
    copy_free(&copy);
    assert_int_equal(reason_of(MQTT_PUBACK, 0, MQTT_5, BYTES("\x00\x01\x00\x00\x00")),
                     MQTT_REASON_MALFORMED_PACKET); /* a byte behind the properties */
    assert_int_equal(reason_of(MQTT_PUBACK, 0, MQTT_5, BYTES("\x00\x01\x00\x01")),
                     MQTT_REASON_MALFORMED_PACKET);
}

/* [MQTT-3.14.2-1] */
static void test_disconnect(void **state)
{
    struct copy copy = copy_body(MQTT_DISCONNECT, 0, BYTES("\x04\x05\x11\x00\x00\x00\x3C"));
    struct ack_packet packet;

    (void)state;
    assert_int_equal(mqtt_decode_disconnect(&copy.frame, MQTT_5, &packet), MQTT_REASON_SUCCESS);
    assert_int_equal(packet.reason, MQTT_REASON_DISCONNECT_WITH_WILL);
    assert_int_equal(packet.props.session_expiry, 60);
    /* a server sends neither that code nor that property [MQTT-3.14.2-2] */
    assert_int_equal(mqtt_decode_server_disconnect(&copy.frame, &packet),
                     MQTT_REASON_MALFORMED_PACKET);
    copy_free(&copy);

    for (unsigned version = 3; version <= 5; version++)
        assert_int_equal(reason_of(MQTT_DISCONNECT, 0, (enum mqtt_version)version, BYTES("")),
                         MQTT_REASON_SUCCESS);
    assert_int_equal(reason_of(MQTT_DISCONNECT, 0, MQTT_3_1_1, BYTES("\x00")),
                     MQTT_REASON_MALFORMED_PACKET);
    assert_int_equal(reason_of(MQTT_DISCONNECT, 0, MQTT_5, BYTES("\x00\x00\x00")),
                     MQTT_REASON_MALFORMED_PACKET);
    for (unsigned code = 0; code < 256; code++) {
        uint8_t body[] = {(uint8_t)code};

        assert_int_equal(reason_of(MQTT_DISCONNECT, 0, MQTT_5, span_of(body, 1)),
                         reason_from_client(MQTT_DISCONNECT, (enum mqtt_reason)code)
                             ? MQTT_REASON_SUCCESS
                             : MQTT_REASON_PROTOCOL_ERROR);
    }
}

static void test_server_disconnect(void **state)
{
    struct copy copy = copy_body(MQTT_DISCONNECT, 0, BYTES("\x9D\x04\x1C\x00\x01h"));
    struct ack_packet packet;

    (void)state;
    assert_int_equal(mqtt_decode_server_disconnect(&copy.frame, &packet), MQTT_REASON_SUCCESS);
    assert_int_equal(packet.reason, MQTT_REASON_SERVER_MOVED);
    assert_span(packet.props.server_reference, "h");
    assert_int_equal(mqtt_decode_disconnect(&copy.frame, MQTT_5, &packet),
                     MQTT_REASON_MALFORMED_PACKET); /* not from a client */
    copy_free(&copy);
    copy = copy_body(MQTT_DISCONNECT, 0, BYTES("\x04"));
    assert_int_equal(mqtt_decode_server_disconnect(&copy.frame, &packet),
                     MQTT_REASON_PROTOCOL_ERROR);
    copy_free(&copy);
}

/* [MQTT-3.15.2-1] */
static void test_auth(void **state)
{
    struct copy copy = copy_body(MQTT_AUTH, 0, BYTES("\x18\x08\x15\x00\x01m\x16\x00\x01\x00"));
    struct ack_packet packet;

    (void)state;
    assert_int_equal(mqtt_decode_auth(&copy.frame, &packet), MQTT_REASON_SUCCESS);
    assert_int_equal(packet.reason, MQTT_REASON_CONTINUE_AUTHENTICATION);
    assert_span(packet.props.authentication_method, "m");
    assert_int_equal(packet.props.authentication_data.len, 1);
    assert_int_equal(mqtt_decode_server_auth(&copy.frame, &packet), MQTT_REASON_SUCCESS);
    copy_free(&copy);

    copy = copy_body(MQTT_AUTH, 0, BYTES(""));
    assert_int_equal(mqtt_decode_auth(&copy.frame, &packet), MQTT_REASON_PROTOCOL_ERROR);
    assert_int_equal(mqtt_decode_server_auth(&copy.frame, &packet), MQTT_REASON_SUCCESS);
    copy_free(&copy);
    /* without a method */
    assert_int_equal(reason_of(MQTT_AUTH, 0, MQTT_5, BYTES("\x18")), MQTT_REASON_PROTOCOL_ERROR);
    assert_int_equal(reason_of(MQTT_AUTH, 0, MQTT_5, BYTES("\x18\x04\x16\x00\x01x")),
                     MQTT_REASON_PROTOCOL_ERROR);
    assert_int_equal(reason_of(MQTT_AUTH, 0, MQTT_5, BYTES("\x19\x04\x15\x00\x01m")),
                     MQTT_REASON_SUCCESS);
    assert_int_equal(reason_of(MQTT_AUTH, 0, MQTT_5, BYTES("\x87\x04\x15\x00\x01m")),
                     MQTT_REASON_PROTOCOL_ERROR);
}

static void test_connack(void **state)
{
    struct copy copy = copy_body(MQTT_CONNACK, 0, BYTES("\x01\x00"));
    struct ack_packet packet;

    (void)state;
    assert_int_equal(mqtt_decode_connack(&copy.frame, MQTT_3_1_1, &packet), MQTT_REASON_SUCCESS);
    assert_true(packet.session_present);
    copy_free(&copy);
    copy = copy_body(MQTT_CONNACK, 0, BYTES("\x00\x85\x07\x21\x00\x0A\x1F\x00\x01s"));
    assert_int_equal(mqtt_decode_connack(&copy.frame, MQTT_5, &packet), MQTT_REASON_SUCCESS);
    assert_int_equal(packet.reason, MQTT_REASON_CLIENT_IDENTIFIER_NOT_VALID);
    assert_int_equal(packet.props.receive_maximum, 10);
    copy_free(&copy);

    for (unsigned code = 0; code < 256; code++) {
        uint8_t body[] = {0, (uint8_t)code, 0};

        assert_int_equal(reason_of(MQTT_CONNACK, 0, MQTT_3_1_1, span_of(body, 2)),
                         code <= 5 ? MQTT_REASON_SUCCESS : MQTT_REASON_PROTOCOL_ERROR);
        assert_int_equal(reason_of(MQTT_CONNACK, 0, MQTT_5, span_of(body, 3)),
                         reason_from_server(MQTT_CONNACK, (enum mqtt_reason)code)
                             ? MQTT_REASON_SUCCESS
                             : MQTT_REASON_PROTOCOL_ERROR);
    }
    /* [MQTT-3.2.2-1]; a refusal that claims a session: 3.1.1 [MQTT-3.2.2-4], 5.0 [MQTT-3.2.2-6] */
    assert_int_equal(reason_of(MQTT_CONNACK, 0, MQTT_3_1_1, BYTES("\x02\x00")),
                     MQTT_REASON_MALFORMED_PACKET);
    assert_int_equal(reason_of(MQTT_CONNACK, 0, MQTT_3_1_1, BYTES("\x01\x05")),
                     MQTT_REASON_PROTOCOL_ERROR);
    assert_int_equal(reason_of(MQTT_CONNACK, 0, MQTT_5, BYTES("\x01\x87\x00")),
                     MQTT_REASON_PROTOCOL_ERROR);
    assert_int_equal(reason_of(MQTT_CONNACK, 0, MQTT_3_1_1, BYTES("\x00\x00\x00")),
                     MQTT_REASON_MALFORMED_PACKET);
    assert_int_equal(reason_of(MQTT_CONNACK, 0, MQTT_3_1, BYTES("\xFF\x00")), MQTT_REASON_SUCCESS);
}

/* 3.1.1: [MQTT-3.9.3-2], 5.0: [MQTT-3.9.3-2] [MQTT-3.11.3-2] */
static void test_suback_and_unsuback(void **state)
{
    struct copy copy = copy_body(MQTT_SUBACK, 0, BYTES("\x00\x07\x00\x02\x01\x87"));
    struct ack_packet packet;

    (void)state;
    assert_int_equal(mqtt_decode_suback(&copy.frame, MQTT_5, &packet), MQTT_REASON_SUCCESS);
    assert_int_equal(packet.packet_identifier, 7);
    assert_bytes(packet.reason_codes.data, packet.reason_codes.len, BYTES("\x02\x01\x87"));
    copy_free(&copy);

    assert_int_equal(reason_of(MQTT_SUBACK, 0, MQTT_3_1_1, BYTES("\x00\x07\x80\x02")),
                     MQTT_REASON_SUCCESS);
    assert_int_equal(reason_of(MQTT_SUBACK, 0, MQTT_3_1_1, BYTES("\x00\x07\x03")),
                     MQTT_REASON_PROTOCOL_ERROR);
    assert_int_equal(reason_of(MQTT_SUBACK, 0, MQTT_5, BYTES("\x00\x07\x00\x11")),
                     MQTT_REASON_PROTOCOL_ERROR);
    assert_int_equal(reason_of(MQTT_UNSUBACK, 0, MQTT_5, BYTES("\x00\x07\x00\x11")),
                     MQTT_REASON_SUCCESS);
    assert_int_equal(reason_of(MQTT_UNSUBACK, 0, MQTT_5, BYTES("\x00\x07\x00\x01")),
                     MQTT_REASON_PROTOCOL_ERROR);
    assert_int_equal(reason_of(MQTT_UNSUBACK, 0, MQTT_3_1_1, BYTES("\x00\x07")),
                     MQTT_REASON_SUCCESS);
    assert_int_equal(reason_of(MQTT_UNSUBACK, 0, MQTT_3_1_1, BYTES("\x00\x07\x00")),
                     MQTT_REASON_MALFORMED_PACKET);
    /* no codes at all */
    assert_int_equal(reason_of(MQTT_SUBACK, 0, MQTT_3_1_1, BYTES("\x00\x07")),
                     MQTT_REASON_MALFORMED_PACKET);
    assert_int_equal(reason_of(MQTT_UNSUBACK, 0, MQTT_5, BYTES("\x00\x07\x00")),
                     MQTT_REASON_MALFORMED_PACKET);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_short_acks),        cmocka_unit_test(test_reason_codes),
        cmocka_unit_test(test_ack_properties),    cmocka_unit_test(test_disconnect),
        cmocka_unit_test(test_server_disconnect), cmocka_unit_test(test_auth),
        cmocka_unit_test(test_connack),           cmocka_unit_test(test_suback_and_unsuback),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
