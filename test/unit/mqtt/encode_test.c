/* SPDX-License-Identifier: MIT
 *
 * encode - what a server sends, byte for byte.
 */
#include "codec_test.h"

#include "mqtt/encode.h"
#include "mqtt/encode_client.h"

#define ROOM 512u

static const struct span none = {NULL, 0};

/* The packet that `fields` become, in a block that is exactly as long as room says. */
static void assert_connack(enum mqtt_version version, const struct connack_fields *fields,
                           struct span expected)
{
    uint8_t *to = malloc(expected.len);

    assert_bytes(to, mqtt_encode_connack(to, expected.len, version, fields), expected);
    if (expected.len > 0) /* what can be left out is, and nothing is written behind the room */
        assert_true(mqtt_encode_connack(to, expected.len - 1, version, fields) < expected.len);
    free(to);
}

/* 3.1.1: [MQTT-3.2.2-4] [MQTT-3.2.2-6] */
static void test_connack_3_1_1(void **state)
{
    static const struct {
        enum mqtt_reason reason;
        struct span bytes;
    } rows[] = {
        {MQTT_REASON_SUCCESS, {(const uint8_t *)"\x20\x02\x01\x00", 4}},
        {MQTT_REASON_UNSUPPORTED_PROTOCOL_VERSION, {(const uint8_t *)"\x20\x02\x00\x01", 4}},
        {MQTT_REASON_CLIENT_IDENTIFIER_NOT_VALID, {(const uint8_t *)"\x20\x02\x00\x02", 4}},
        {MQTT_REASON_SERVER_UNAVAILABLE, {(const uint8_t *)"\x20\x02\x00\x03", 4}},
        {MQTT_REASON_BAD_USER_NAME_OR_PASSWORD, {(const uint8_t *)"\x20\x02\x00\x04", 4}},
        {MQTT_REASON_NOT_AUTHORIZED, {(const uint8_t *)"\x20\x02\x00\x05", 4}},
        {MQTT_REASON_MALFORMED_PACKET, {NULL, 0}},
        {MQTT_REASON_PROTOCOL_ERROR, {NULL, 0}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct connack_fields fields = {.session_present = true, .reason = rows[i].reason};

        assert_connack(MQTT_3_1_1, &fields, rows[i].bytes);
    }
    /* 3.1 has no Session Present */
    assert_connack(MQTT_3_1, &(struct connack_fields){.session_present = true},
                   BYTES("\x20\x02\x00\x00"));
}

/* 5.0: [MQTT-3.2.2-1] [MQTT-3.2.2-6] [MQTT-3.2.2-8] [MQTT-2.2.2-1] */
static void test_connack_5(void **state)
{
    struct connack_fields fields = {.session_present = true};

    (void)state;
    assert_connack(MQTT_5, &fields, BYTES("\x20\x03\x01\x00\x00"));
    fields.reason = MQTT_REASON_NOT_AUTHORIZED;
    assert_connack(MQTT_5, &fields, BYTES("\x20\x03\x00\x87\x00"));
    fields.reason = MQTT_REASON_SESSION_TAKEN_OVER; /* has no place in CONNACK */
    assert_connack(MQTT_5, &fields, BYTES("\x20\x03\x00\x80\x00"));
}

static uint64_t bit(enum mqtt_property id)
{
    return (uint64_t)1 << id;
}

static struct mqtt_props all_connack_props(void)
{
    struct mqtt_props props = {
        .present = UINT64_MAX, /* also bits that do not belong in CONNACK */
        .session_expiry = 1,
        .assigned_client_identifier = span_text("id"),
        .server_keep_alive = 2,
        .authentication_method = span_text("m"),
        .authentication_data = span_text("d"),
        .response_information = span_text("r"),
        .server_reference = span_text("s"),
        .reason_string = span_text("why"),
        .receive_maximum = 3,
        .topic_alias_maximum = 4,
        .maximum_qos = 1,
        .retain_available = 0,
        .maximum_packet_size = 5,
        .wildcard_available = 1,
        .subscription_identifier_available = 0,
        .shared_available = 1,
        .raw = BYTES("\x26\x00\x01k\x00\x01v\x26\x00\x01k\x00\x01w"),
    };

    return props;
}

static void test_connack_properties(void **state)
{
    struct connack_fields fields = {.props = all_connack_props()};

    (void)state;
    assert_connack(
        MQTT_5, &fields,
        BYTES("\x20\x49\x00\x00\x46"
              "\x11\x00\x00\x00\x01\x12\x00\x02id\x13\x00\x02\x15\x00\x01m\x16\x00\x01"
              "d\x1A\x00\x01r\x1C\x00\x01s\x1F\x00\x03why\x21\x00\x03\x22\x00\x04\x24\x01"
              "\x25\x00\x27\x00\x00\x00\x05\x28\x01\x29\x00\x2A\x01"
              "\x26\x00\x01k\x00\x01v\x26\x00\x01k\x00\x01w"));
    assert_connack(MQTT_3_1_1, &fields, BYTES("\x20\x02\x00\x00"));
}

/* What would make it too large for the client is left out: User Properties first, then the Reason String.
 * [MQTT-3.2.2-19] [MQTT-3.2.2-20] [MQTT-3.1.2-24] */
static void test_connack_size_limit(void **state)
{
    struct connack_fields fields = {
        .reason = MQTT_REASON_BANNED,
        .props = {.present = bit(MQTT_PROPERTY_REASON_STRING) | bit(MQTT_PROPERTY_USER_PROPERTY) |
                             bit(MQTT_PROPERTY_RECEIVE_MAXIMUM),
                  .reason_string = span_text("go"),
                  .receive_maximum = 7,
                  .raw = BYTES("\x26\x00\x01k\x00\x01v")},
    };
    uint8_t to[ROOM];

    (void)state;
    fields.packet_size_max = 20;
    assert_int_equal(mqtt_encode_connack(to, ROOM, MQTT_5, &fields), 20);
    fields.packet_size_max = 19;
    assert_bytes(to, mqtt_encode_connack(to, ROOM, MQTT_5, &fields),
                 BYTES("\x20\x0B\x00\x8A\x08\x1F\x00\x02go\x21\x00\x07"));
    fields.packet_size_max = 12;
    assert_bytes(to, mqtt_encode_connack(to, ROOM, MQTT_5, &fields),
                 BYTES("\x20\x06\x00\x8A\x03\x21\x00\x07"));
    fields.packet_size_max = 7;
    assert_int_equal(mqtt_encode_connack(to, ROOM, MQTT_5, &fields), 0);
}

/* 3.1.1: [MQTT-2.2.2-1] [MQTT-2.3.1-6], 5.0: [MQTT-2.2.1-5] */
static void test_acks(void **state)
{
    uint8_t to[ROOM];

    (void)state;
    for (unsigned version = 3; version <= 5; version++) {
        enum mqtt_version v = (enum mqtt_version)version;

        assert_bytes(to, mqtt_encode_ack(to, 4, v, MQTT_PUBACK, 0x1234, 0, none, 0),
                     BYTES("\x40\x02\x12\x34"));
        assert_bytes(to, mqtt_encode_ack(to, 4, v, MQTT_PUBREC, 1, 0, none, 0),
                     BYTES("\x50\x02\x00\x01"));
        assert_bytes(to, mqtt_encode_ack(to, 4, v, MQTT_PUBREL, 1, 0, none, 0),
                     BYTES("\x62\x02\x00\x01"));
        assert_bytes(to, mqtt_encode_ack(to, 4, v, MQTT_PUBCOMP, 1, 0, none, 0),
                     BYTES("\x70\x02\x00\x01"));
        assert_int_equal(mqtt_encode_ack(to, 3, v, MQTT_PUBACK, 1, 0, none, 0), 0);
    }
    /* before 5.0 there are no reasons */
    assert_bytes(to,
                 mqtt_encode_ack(to, ROOM, MQTT_3_1_1, MQTT_PUBACK, 1, MQTT_REASON_NOT_AUTHORIZED,
                                 span_text("no"), 0),
                 BYTES("\x40\x02\x00\x01"));
    assert_bytes(
        to, mqtt_encode_ack(to, 5, MQTT_5, MQTT_PUBACK, 1, MQTT_REASON_NOT_AUTHORIZED, none, 0),
        BYTES("\x40\x03\x00\x01\x87"));
    assert_bytes(to,
                 mqtt_encode_ack(to, 11, MQTT_5, MQTT_PUBREC, 1, MQTT_REASON_NOT_AUTHORIZED,
                                 span_text("no"), 0),
                 BYTES("\x50\x09\x00\x01\x87\x05\x1F\x00\x02no"));
    assert_bytes(
        to,
        mqtt_encode_ack(to, 11, MQTT_5, MQTT_PUBREC, 1, MQTT_REASON_SUCCESS, span_text("no"), 0),
        BYTES("\x50\x09\x00\x01\x00\x05\x1F\x00\x02no"));
}

/* [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1] */
static void test_ack_reasons_that_do_not_exist(void **state)
{
    uint8_t to[ROOM];

    (void)state;
    assert_bytes(
        to, mqtt_encode_ack(to, ROOM, MQTT_5, MQTT_PUBACK, 1, MQTT_REASON_SERVER_BUSY, none, 0),
        BYTES("\x40\x03\x00\x01\x80"));
    assert_bytes(
        to, mqtt_encode_ack(to, ROOM, MQTT_5, MQTT_PUBCOMP, 1, MQTT_REASON_QUOTA_EXCEEDED, none, 0),
        BYTES("\x70\x03\x00\x01\x92"));
}

/* [MQTT-3.4.2-2] [MQTT-3.5.2-2] [MQTT-3.6.2-2] [MQTT-3.7.2-2] [MQTT-3.1.2-24]. User Properties are
 * never written: [MQTT-3.4.2-3] [MQTT-3.5.2-3] [MQTT-3.6.2-3] [MQTT-3.7.2-3] */
static void test_ack_size_limit(void **state)
{
    static const enum mqtt_packet_type types[] = {MQTT_PUBACK, MQTT_PUBREC, MQTT_PUBREL,
                                                  MQTT_PUBCOMP};
    struct span why = span_text("no");
    uint8_t to[ROOM];

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        enum mqtt_reason reason =
            i < 2 ? MQTT_REASON_UNSPECIFIED_ERROR : MQTT_REASON_PACKET_IDENTIFIER_NOT_FOUND;

        for (uint32_t limit = 1; limit < 14; limit++) {
            uint32_t expected = limit >= 11 ? 11 : limit >= 5 ? 5 : 0;

            assert_int_equal(mqtt_encode_ack(to, ROOM, MQTT_5, types[i], 1, reason, why, limit),
                             expected);
            assert_int_equal(mqtt_encode_ack(to, limit, MQTT_5, types[i], 1, reason, why, 0),
                             expected);
        }
        assert_int_equal(mqtt_encode_ack(to, ROOM, MQTT_5, types[i], 1, 0, none, 3), 0);
    }
}

/* 3.1.1: [MQTT-2.3.1-7] [MQTT-3.9.3-1] [MQTT-3.9.3-2], 5.0: [MQTT-2.2.1-6] [MQTT-3.8.4-2]
 * [MQTT-3.9.3-1] [MQTT-3.9.3-2] [MQTT-3.11.3-1] [MQTT-3.11.3-2] [MQTT-3.9.2-1] [MQTT-3.9.2-2] [MQTT-3.11.2-1]
 * [MQTT-3.11.2-2] */
static void test_suback(void **state)
{
    static const uint8_t codes[] = {0, 1, 2, 0x87, 0x80};
    static const uint8_t removed[] = {0, 0x11};
    uint8_t to[ROOM];

    (void)state;
    assert_bytes(to, mqtt_encode_suback(to, 9, MQTT_3_1_1, MQTT_SUBACK, 0x102, codes, 5),
                 BYTES("\x90\x07\x01\x02\x00\x01\x02\x80\x80"));
    assert_int_equal(mqtt_encode_suback(to, 8, MQTT_3_1_1, MQTT_SUBACK, 1, codes, 5), 0);
    assert_bytes(to, mqtt_encode_suback(to, 10, MQTT_5, MQTT_SUBACK, 0x102, codes, 5),
                 BYTES("\x90\x08\x01\x02\x00\x00\x01\x02\x87\x80"));
    assert_bytes(to, mqtt_encode_suback(to, ROOM, MQTT_5, MQTT_UNSUBACK, 3, removed, 2),
                 BYTES("\xB0\x05\x00\x03\x00\x00\x11"));
    assert_bytes(to, mqtt_encode_suback(to, ROOM, MQTT_3_1_1, MQTT_UNSUBACK, 3, removed, 2),
                 BYTES("\xB0\x02\x00\x03"));
    /* a code that SUBACK does not have */
    assert_bytes(to, mqtt_encode_suback(to, ROOM, MQTT_5, MQTT_SUBACK, 3, removed + 1, 1),
                 BYTES("\x90\x04\x00\x03\x00\x80"));
}

static void test_suback_of_many(void **state)
{
    uint32_t count = 20000;
    uint8_t *codes = malloc(count);
    uint8_t *to = malloc(mqtt_suback_size_max(count));
    struct ack_packet packet;
    struct frame frame;
    uint32_t len;

    (void)state;
    memset(codes, 2, count);
    len = mqtt_encode_suback(to, mqtt_suback_size_max(count), MQTT_5, MQTT_SUBACK, 9, codes, count);
    assert_int_equal(len, 1 + 3 + 2 + 1 + count);
    assert_int_equal(frame_find(to, len, len, &frame), FRAME_READY);
    assert_int_equal(mqtt_decode_suback(&frame, MQTT_5, &packet), MQTT_REASON_SUCCESS);
    assert_int_equal(packet.reason_codes.len, count);
    free(codes);
    free(to);
}

static void test_pings(void **state)
{
    uint8_t to[2];

    (void)state;
    assert_bytes(to, mqtt_encode_pingresp(to, 2), BYTES("\xD0\x00"));
    assert_int_equal(mqtt_encode_pingresp(to, 1), 0);
    assert_bytes(to, mqtt_encode_pingreq(to, 2), BYTES("\xC0\x00"));
    assert_int_equal(mqtt_encode_pingreq(to, 1), 0);
}

/* [MQTT-3.14.2-1] [MQTT-3.14.2-2] [MQTT-3.14.2-3] [MQTT-3.14.2-4] */
static void test_disconnect(void **state)
{
    struct span why = span_text("bye"), where = span_text("h:1");
    uint8_t to[ROOM];

    (void)state;
    assert_int_equal(mqtt_encode_disconnect(to, ROOM, MQTT_3_1_1, 0, none, none, 0), 0);
    assert_bytes(to, mqtt_encode_disconnect(to, 2, MQTT_5, 0, none, none, 0), BYTES("\xE0\x00"));
    assert_bytes(to, mqtt_encode_disconnect(to, 3, MQTT_5, 0x8B, none, none, 0),
                 BYTES("\xE0\x01\x8B"));
    assert_bytes(to, mqtt_encode_disconnect(to, ROOM, MQTT_5, 0x9C, why, where, 0),
                 BYTES("\xE0\x0E\x9C\x0C\x1C\x00\x03h:1\x1F\x00\x03"
                       "bye"));
    assert_bytes(to, mqtt_encode_disconnect(to, ROOM, MQTT_5, 0x9C, why, where, 15),
                 BYTES("\xE0\x08\x9C\x06\x1C\x00\x03h:1"));
    assert_int_equal(mqtt_encode_disconnect(to, ROOM, MQTT_5, 0x9C, why, where, 9), 0);
    assert_bytes(to, mqtt_encode_disconnect(to, ROOM, MQTT_5, 0x8D, why, none, 8),
                 BYTES("\xE0\x01\x8D"));
    assert_int_equal(mqtt_encode_disconnect(to, ROOM, MQTT_5, 0x8D, why, none, 2), 0);
    /* codes a server may not send here */
    assert_bytes(to, mqtt_encode_disconnect(to, ROOM, MQTT_5, 0x04, none, none, 0),
                 BYTES("\xE0\x01\x80"));
    assert_bytes(to, mqtt_encode_disconnect(to, ROOM, MQTT_5, 0x86, none, none, 0),
                 BYTES("\xE0\x01\x80"));
}

/* [MQTT-3.15.2-1] [MQTT-3.15.2-2] [MQTT-3.15.2-3] */
static void test_auth(void **state)
{
    uint8_t to[ROOM];

    (void)state;
    assert_bytes(to,
                 mqtt_encode_auth(to, 12, MQTT_REASON_CONTINUE_AUTHENTICATION, span_text("m"),
                                  span_text("d")),
                 BYTES("\xF0\x0A\x18\x08\x15\x00\x01m\x16\x00\x01"
                       "d"));
    assert_int_equal(mqtt_encode_auth(to, 11, MQTT_REASON_CONTINUE_AUTHENTICATION, span_text("m"),
                                      span_text("d")),
                     0);
    assert_bytes(to, mqtt_encode_auth(to, ROOM, MQTT_REASON_SUCCESS, span_text("m"), none),
                 BYTES("\xF0\x06\x00\x04\x15\x00\x01m"));
}

/* A Reason String that does not fit in a string is left out, not cut in the middle of a character. */
static void test_long_reason_string(void **state)
{
    uint8_t *text = malloc(65536), *to = malloc(70000);

    (void)state;
    memset(text, 'x', 65536);
    assert_int_equal(
        mqtt_encode_ack(to, 70000, MQTT_5, MQTT_PUBACK, 1, 0x80, span_of(text, 65536), 0), 5);
    assert_int_equal(
        mqtt_encode_ack(to, 70000, MQTT_5, MQTT_PUBACK, 1, 0x80, span_of(text, 65535), 0),
        1 + 3 + 3 + 3 + 3 + 65535);
    free(text);
    free(to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connack_3_1_1),
        cmocka_unit_test(test_connack_5),
        cmocka_unit_test(test_connack_properties),
        cmocka_unit_test(test_connack_size_limit),
        cmocka_unit_test(test_acks),
        cmocka_unit_test(test_ack_reasons_that_do_not_exist),
        cmocka_unit_test(test_ack_size_limit),
        cmocka_unit_test(test_suback),
        cmocka_unit_test(test_suback_of_many),
        cmocka_unit_test(test_pings),
        cmocka_unit_test(test_disconnect),
        cmocka_unit_test(test_auth),
        cmocka_unit_test(test_long_reason_string),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
