/* SPDX-License-Identifier: MIT
 *
 * decode_connect - hand-written CONNECT packets of all versions.
 */
#include "codec_test.h"

static enum mqtt_reason decode(struct span body, struct connect_packet *out, struct copy *copy)
{
    *copy = copy_body(MQTT_CONNECT, 0, body);
    return mqtt_decode_connect(&copy->frame, out);
}

/* The reason for a body; *version becomes what the decoder made of the version. */
static enum mqtt_reason refused(struct span body, enum mqtt_version *version)
{
    struct connect_packet packet;
    struct copy copy;
    enum mqtt_reason reason = decode(body, &packet, &copy);

    copy_free(&copy);
    *version = packet.version;
    return reason;
}

#define ASSERT_REASON(expected, literal)                                                           \
    assert_int_equal(refused(BYTES(literal), &(enum mqtt_version){0}), MQTT_REASON_##expected)

/* [MQTT-3.1.3-1] [MQTT-3.1.3-3] [MQTT-3.1.2-9] */
static void test_everything_3_1_1(void **state)
{
    struct connect_packet packet;
    struct copy copy;

    (void)state;
    assert_int_equal(decode(BYTES("\x00\x04MQTT\x04\xF6\x01\x2C"
                                  "\x00\x02"
                                  "id"
                                  "\x00\x03"
                                  "w/t"
                                  "\x00\x04"
                                  "gone"
                                  "\x00\x04user\x00\x03\x00pw"),
                            &packet, &copy),
                     MQTT_REASON_SUCCESS);
    assert_int_equal(packet.version, MQTT_3_1_1);
    assert_true(packet.clean_start);
    assert_true(packet.has_will);
    assert_int_equal(packet.will_qos, 2);
    assert_true(packet.will_retain);
    assert_int_equal(packet.keep_alive_s, 300);
    assert_span(packet.client_identifier, "id");
    assert_span(packet.will_topic, "w/t");
    assert_span(packet.will_payload, "gone");
    assert_true(packet.has_username && packet.has_password);
    assert_span(packet.username, "user");
    assert_bytes(packet.password.data, packet.password.len, BYTES("\x00pw"));
    assert_int_equal(packet.props.present, 0);
    copy_free(&copy);
}

static void test_minimal(void **state)
{
    struct connect_packet packet;
    struct copy copy;

    (void)state;
    assert_int_equal(decode(BYTES("\x00\x04MQTT\x04\x00\x00\x00\x00\x00"), &packet, &copy),
                     MQTT_REASON_SUCCESS);
    assert_false(packet.clean_start || packet.has_will || packet.has_username ||
                 packet.has_password);
    assert_int_equal(packet.client_identifier.len, 0);
    copy_free(&copy);

    assert_int_equal(decode(BYTES("\x00\x04MQTT\x05\x02\x00\x0A\x00\x00\x01x"), &packet, &copy),
                     MQTT_REASON_SUCCESS);
    assert_int_equal(packet.version, MQTT_5);
    assert_span(packet.client_identifier, "x");
    copy_free(&copy);
}

static void test_everything_5(void **state)
{
    struct connect_packet packet;
    struct copy copy;

    (void)state;
    assert_int_equal(decode(BYTES("\x00\x04MQTT\x05\xCE\x00\x3C"
                                  "\x24"                 /* 36 bytes */
                                  "\x11\x00\x00\x0E\x10" /* Session Expiry Interval 3600 */
                                  "\x21\x00\x14"         /* Receive Maximum 20 */
                                  "\x27\x00\x01\x00\x00" /* Maximum Packet Size 65536 */
                                  "\x22\x00\x05"         /* Topic Alias Maximum 5 */
                                  "\x19\x01\x17\x00"     /* Request Response, Problem Information */
                                  "\x26\x00\x01k\x00\x01v"
                                  "\x15\x00\x01m\x16\x00\x02\x00\x01"
                                  "\x00\x02id"
                                  "\x0E" /* will properties, 14 bytes */
                                  "\x18\x00\x00\x00\x05\x02\x00\x00\x00\x09\x01\x01\x24\x00"
                                  "\x00\x01t\x00\x01p"
                                  "\x00\x01u\x00\x01p"),
                            &packet, &copy),
                     MQTT_REASON_MALFORMED_PACKET); /* Maximum QoS is no will property */
    copy_free(&copy);

    assert_int_equal(decode(BYTES("\x00\x04MQTT\x05\xCE\x00\x3C"
                                  "\x24"
                                  "\x11\x00\x00\x0E\x10\x21\x00\x14\x27\x00\x01\x00\x00\x22\x00\x05"
                                  "\x19\x01\x17\x00\x26\x00\x01k\x00\x01v"
                                  "\x15\x00\x01m\x16\x00\x02\x00\x01"
                                  "\x00\x02id"
                                  "\x0C\x18\x00\x00\x00\x05\x02\x00\x00\x00\x09\x01\x01"
                                  "\x00\x01t\x00\x01p"
                                  "\x00\x01u\x00\x01p"),
                            &packet, &copy),
                     MQTT_REASON_SUCCESS);
    assert_int_equal(packet.props.session_expiry, 3600);
    assert_int_equal(packet.props.receive_maximum, 20);
    assert_int_equal(packet.props.maximum_packet_size, 65536);
    assert_int_equal(packet.props.topic_alias_maximum, 5);
    assert_int_equal(packet.props.request_response_information, 1);
    assert_int_equal(packet.props.request_problem_information, 0);
    assert_true(props_has(&packet.props, MQTT_PROPERTY_REQUEST_PROBLEM_INFORMATION));
    assert_true(props_has(&packet.props, MQTT_PROPERTY_USER_PROPERTY));
    assert_span(packet.props.authentication_method, "m");
    assert_bytes(packet.props.authentication_data.data, packet.props.authentication_data.len,
                 BYTES("\x00\x01"));
    assert_int_equal(packet.will_qos, 1);
    assert_int_equal(packet.will_props.will_delay, 5);
    assert_int_equal(packet.will_props.message_expiry, 9);
    assert_int_equal(packet.will_props.payload_format, 1);
    assert_false(props_has(&packet.will_props, MQTT_PROPERTY_CONTENT_TYPE));
    copy_free(&copy);
}

/* [MQTT-3.1.2-1] [MQTT-3.1.2-2] */
static void test_protocol(void **state)
{
    static const struct {
        struct span body;
        enum mqtt_reason reason;
        enum mqtt_version version;
    } rows[] = {
        {{(const uint8_t *)"\x00\x06MQIsdp\x03\x02\x00\x0A\x00\x01x", 15}, 0, MQTT_3_1},
        {{(const uint8_t *)"\x00\x06MQIsdp\x04\x02\x00\x0A\x00\x01x", 15},
         MQTT_REASON_UNSUPPORTED_PROTOCOL_VERSION,
         MQTT_3_1},
        {{(const uint8_t *)"\x00\x04MQTT\x03\x02\x00\x0A\x00\x01x", 13},
         MQTT_REASON_UNSUPPORTED_PROTOCOL_VERSION,
         MQTT_3_1_1},
        {{(const uint8_t *)"\x00\x04MQTT\x06\x02\x00\x0A\x00\x01x", 13},
         MQTT_REASON_UNSUPPORTED_PROTOCOL_VERSION,
         MQTT_5},
        {{(const uint8_t *)"\x00\x04MQTT\x00\x02\x00\x0A\x00\x01x", 13},
         MQTT_REASON_UNSUPPORTED_PROTOCOL_VERSION,
         MQTT_3_1_1},
        {{(const uint8_t *)"\x00\x04MQTT\x84\x02\x00\x0A\x00\x01x", 13}, /* the bridge bit */
         MQTT_REASON_UNSUPPORTED_PROTOCOL_VERSION,
         MQTT_3_1_1},
        {{(const uint8_t *)"\x00\x04MQTT\x85\x02\x00\x0A\x00\x01x", 13},
         MQTT_REASON_UNSUPPORTED_PROTOCOL_VERSION,
         MQTT_5},
        {{(const uint8_t *)"\x00\x06MQIsdp\x83\x02\x00\x0A\x00\x01x", 15},
         MQTT_REASON_UNSUPPORTED_PROTOCOL_VERSION,
         MQTT_3_1},
        /* The rest of an unsupported CONNECT may look like anything. */
        {{(const uint8_t *)"\x00\x04MQTT\x07", 7},
         MQTT_REASON_UNSUPPORTED_PROTOCOL_VERSION,
         MQTT_5},
        {{(const uint8_t *)"\x00\x04mqtt\x04\x02\x00\x0A\x00\x01x", 13},
         MQTT_REASON_MALFORMED_PACKET,
         MQTT_3_1_1},
        {{(const uint8_t *)"\x00\x05MQTTx\x04\x02\x00\x0A\x00\x01x", 14},
         MQTT_REASON_MALFORMED_PACKET,
         MQTT_3_1_1},
        {{(const uint8_t *)"\x00\x00\x05\x02\x00\x0A\x00\x01x", 9},
         MQTT_REASON_MALFORMED_PACKET,
         MQTT_3_1_1},
        {{(const uint8_t *)"", 0}, MQTT_REASON_MALFORMED_PACKET, MQTT_3_1_1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        enum mqtt_version version;

        assert_int_equal(refused(rows[i].body, &version), rows[i].reason);
        assert_int_equal(version, rows[i].version);
    }
}

/* Every value of the connect flags, with as many strings behind them as they announce. 3.1.1: [MQTT-3.1.2-3]
 * [MQTT-3.1.2-11] [MQTT-3.1.2-13] [MQTT-3.1.2-14] [MQTT-3.1.2-15] [MQTT-3.1.2-22],
 * 5.0: [MQTT-3.1.2-3] [MQTT-3.1.2-11] [MQTT-3.1.2-12] [MQTT-3.1.2-13] */
static void test_all_flags(void **state)
{
    (void)state;
    for (unsigned level = 4; level <= 5; level++) {
        for (unsigned flags = 0; flags < 256; flags++) {
            bool will = flags & 4, username = flags & 0x80, password = flags & 0x40;
            unsigned qos = (flags >> 3) & 3;
            bool valid = (flags & 1) == 0 && qos < 3 && (will || (flags & 0x38) == 0) &&
                         (username || !password || level == 5);
            uint8_t body[64] = "\x00\x04MQTT";
            enum mqtt_version version;
            uint32_t len = 6;

            body[len++] = (uint8_t)level;
            body[len++] = (uint8_t)flags;
            len += 2;          /* keep alive */
            len += level == 5; /* no properties */
            len += 2;          /* client identifier */
            if (will) {
                len += level == 5;
                body[len + 1] = 1;
                body[len + 2] = 't';
                len += 3 + 2;
            }
            len += 2u * (username + password);
            assert_int_equal(refused(span_of(body, len), &version) == MQTT_REASON_SUCCESS, valid);
            assert_int_equal(version, level);
            /* One byte more or less does not fit the flags. [MQTT-3.1.4-1], 3.1.1: [MQTT-3.1.2-18]
             * [MQTT-3.1.2-19] [MQTT-3.1.2-20] [MQTT-3.1.2-21], 5.0: [MQTT-3.1.2-16] [MQTT-3.1.2-17]
             * [MQTT-3.1.2-18] [MQTT-3.1.2-19] */
            assert_int_equal(refused(span_of(body, len + 1), &version),
                             MQTT_REASON_MALFORMED_PACKET);
            assert_int_equal(refused(span_of(body, len - 1), &version),
                             MQTT_REASON_MALFORMED_PACKET);
        }
    }
}

/* What 3.1 is more lenient about. */
static void test_3_1(void **state)
{
    struct connect_packet packet;
    struct copy copy;

    (void)state;
    ASSERT_REASON(SUCCESS, "\x00\x06MQIsdp\x03\x03\x00\x0A\x00\x01x"); /* bit 0 is unused */
    ASSERT_REASON(MALFORMED_PACKET, "\x00\x06MQIsdp\x03\x42\x00\x0A\x00\x01x\x00\x01p");
    /* a user name that is announced and missing */
    assert_int_equal(decode(BYTES("\x00\x06MQIsdp\x03\xC2\x00\x0A\x00\x01x"), &packet, &copy),
                     MQTT_REASON_SUCCESS);
    assert_false(packet.has_username || packet.has_password);
    copy_free(&copy);
    assert_int_equal(
        decode(BYTES("\x00\x06MQIsdp\x03\xC2\x00\x0A\x00\x01x\x00\x01u"), &packet, &copy),
        MQTT_REASON_SUCCESS);
    assert_true(packet.has_username && !packet.has_password);
    copy_free(&copy);
    /* an identifier of more than 23 characters */
    ASSERT_REASON(SUCCESS, "\x00\x06MQIsdp\x03\x02\x00\x0A\x00\x18"
                           "abcdefghijklmnopqrstuvwx");
}

/* Strings: 3.1.1: [MQTT-1.5.3-1] [MQTT-1.5.3-2] [MQTT-3.1.3-4] [MQTT-3.1.3-10] [MQTT-3.1.3-11],
 * 5.0: [MQTT-1.5.4-1] [MQTT-1.5.4-2] [MQTT-3.1.3-4] [MQTT-3.1.3-11] [MQTT-3.1.3-12] */
static void test_strings(void **state)
{
    (void)state;
    ASSERT_REASON(MALFORMED_PACKET, "\x00\x04MQTT\x04\x02\x00\x00\x00\x01\xFF");
    ASSERT_REASON(MALFORMED_PACKET, "\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x01\x00");
    ASSERT_REASON(MALFORMED_PACKET, "\x00\x04MQTT\x04\x06\x00\x00\x00\x01x\x00\x01\xC3\x00\x00");
    ASSERT_REASON(MALFORMED_PACKET,
                  "\x00\x04MQTT\x05\x82\x00\x00\x00\x00\x01x\x00\x03\xED\xA0\x80");
    ASSERT_REASON(SUCCESS, "\x00\x04MQTT\x05\x82\x00\x00\x00\x00\x01x\x00\x03\xEF\xBB\xBF");
    /* a password is not a string */
    ASSERT_REASON(SUCCESS, "\x00\x04MQTT\x05\x42\x00\x00\x00\x00\x01x\x00\x02\xFF\x00");
    /* a length that leaves the packet */
    ASSERT_REASON(MALFORMED_PACKET, "\x00\x04MQTT\x04\x02\x00\x00\xFF\xFFx");
}

/* [MQTT-4.7.1-1] [MQTT-4.7.0-1] [MQTT-4.7.3-1] */
static void test_will_topic(void **state)
{
    (void)state;
    ASSERT_REASON(SUCCESS, "\x00\x04MQTT\x04\x06\x00\x00\x00\x01x\x00\x03"
                           "a/b\x00\x00");
    ASSERT_REASON(TOPIC_NAME_INVALID, "\x00\x04MQTT\x04\x06\x00\x00\x00\x01x\x00\x03"
                                      "a/+\x00\x00");
    ASSERT_REASON(TOPIC_NAME_INVALID, "\x00\x04MQTT\x04\x06\x00\x00\x00\x01x\x00\x01#\x00\x00");
    ASSERT_REASON(TOPIC_NAME_INVALID, "\x00\x04MQTT\x04\x06\x00\x00\x00\x01x\x00\x00\x00\x00");
}

static void test_authentication_data_needs_a_method(void **state)
{
    (void)state;
    ASSERT_REASON(PROTOCOL_ERROR, "\x00\x04MQTT\x05\x02\x00\x00\x04\x16\x00\x01x\x00\x01i");
    ASSERT_REASON(SUCCESS, "\x00\x04MQTT\x05\x02\x00\x00\x08\x16\x00\x01x\x15\x00\x01m\x00\x01i");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything_3_1_1),
        cmocka_unit_test(test_minimal),
        cmocka_unit_test(test_everything_5),
        cmocka_unit_test(test_protocol),
        cmocka_unit_test(test_all_flags),
        cmocka_unit_test(test_3_1),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_will_topic),
        cmocka_unit_test(test_authentication_data_needs_a_method),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
