/* SPDX-License-Identifier: MIT
 *
 * dump - the line for every kind of packet.
 */
#include "samples.h"

#include "mqtt/dump.h"

static const char *dump(struct span packet, enum mqtt_version version)
{
    static char line[1024];
    struct copy copy = copy_packet(packet);
    size_t len = mqtt_dump(line, sizeof(line), &copy.frame, version);

    assert_int_equal(strlen(line), len);
    copy_free(&copy);
    return line;
}

static void test_samples(void **state)
{
    static const char *const lines[SAMPLE_COUNT] = {
        "CONNECT version=3 clean_start=1 keep_alive=60 client=\"longname\"",
        "CONNECT version=4 clean_start=1 keep_alive=60 client=\"id\" will_qos=1 will_retain=1 "
        "will_topic=\"w/t\" will_payload(3)=\"bye\" username=\"user\" password(3)",
        "CONNECT version=5 clean_start=1 keep_alive=60 client=\"id\" [SESSION_EXPIRY_INTERVAL=3600 "
        "RECEIVE_MAXIMUM=20 MAXIMUM_PACKET_SIZE=65536 USER_PROPERTY:\"k\"=\"v\" "
        "AUTHENTICATION_METHOD=\"m\" TOPIC_ALIAS_MAXIMUM=5] will_qos=1 will_retain=0 "
        "will_topic=\"t\" will_payload(1)=\"p\" [WILL_DELAY_INTERVAL=5 MESSAGE_EXPIRY_INTERVAL=9 "
        "PAYLOAD_FORMAT_INDICATOR=1] username=\"u\" password(1)",
        "CONNACK session_present=1 reason=0x00",
        "CONNACK session_present=0 reason=0x00 [RECEIVE_MAXIMUM=10 MAXIMUM_QOS=1 "
        "REASON_STRING=\"ok\"]",
        "PUBLISH qos=0 topic=\"a/b\" payload(5)=\"hello\"",
        "PUBLISH qos=1 id=7 retain topic=\"a/b\" payload(3)=\"xyz\"",
        "PUBLISH qos=2 id=7 topic=\"t\" payload(3)=\"pay\" [PAYLOAD_FORMAT_INDICATOR=1 "
        "USER_PROPERTY:\"k\"=\"v\" RESPONSE_TOPIC=\"rt\" SUBSCRIPTION_IDENTIFIER=5]",
        "PUBACK id=1 reason=0x00",
        "PUBREC id=1 reason=0x97 [REASON_STRING=\"why\"]",
        "PUBREL id=1 reason=0x00",
        "PUBCOMP id=1 reason=0x92 [USER_PROPERTY:\"k\"=\"v\"]",
        "SUBSCRIBE id=1 \"a/b\":qos=1 \"c/d\":qos=2",
        "SUBSCRIBE id=1 \"a/b\":qos=1,nl=1,rap=1,rh=2 \"c/d\":qos=2 [SUBSCRIPTION_IDENTIFIER=7]",
        "SUBACK id=1 reasons=0x00,0x01,0x80",
        "SUBACK id=1 reasons=0x02,0x87 [REASON_STRING=\"x\"]",
        "UNSUBSCRIBE id=1 \"a/b\" \"c/d\"",
        "UNSUBSCRIBE id=1 \"a/b\" [USER_PROPERTY:\"k\"=\"v\"]",
        "UNSUBACK id=1 reason=0x00",
        "UNSUBACK id=1 reasons=0x00,0x11",
        "DISCONNECT reason=0x04 [SESSION_EXPIRY_INTERVAL=60]",
        "DISCONNECT reason=0x9D [SERVER_REFERENCE=\"h\"]",
        "AUTH reason=0x18 [AUTHENTICATION_METHOD=\"m\" AUTHENTICATION_DATA=\"\\x00\"]",
    };

    (void)state;
    for (size_t i = 0; i < SAMPLE_COUNT; i++)
        assert_string_equal(dump(span_of(samples[i].bytes, samples[i].len), samples[i].version),
                            lines[i]);
    assert_string_equal(dump(BYTES("\xC0\x00"), MQTT_5), "PINGREQ");
    assert_string_equal(dump(BYTES("\xD0\x00"), MQTT_5), "PINGRESP");
}

static void test_escapes(void **state)
{
    (void)state;
    assert_string_equal(dump(BYTES("\x30\x0B\x00\x05"
                                   "a\n\x1B\"\\\x00\x7F\xC3\xA4"),
                             MQTT_3_1_1),
                        "PUBLISH qos=0 topic=\"a\\x0A\\x1B\\\"\\\\\" "
                        "payload(4)=\"\\x00\\x7F\\xC3\\xA4\"");
}

static void test_bad_packets(void **state)
{
    (void)state;
    assert_string_equal(dump(BYTES("\x36\x03\x00\x01t"), MQTT_3_1_1),
                        "PUBLISH bad (Malformed Packet) flags=0x6 length=3: 00 01 74");
    assert_string_equal(dump(BYTES("\xC0\x01\x00"), MQTT_3_1_1),
                        "PINGREQ bad (Malformed Packet) flags=0x0 length=1: 00");
    /* whatever is wrong with it, a CONNECT may hold a password */
    assert_string_equal(dump(BYTES("\x10\x06secret"), MQTT_3_1_1),
                        "CONNECT bad (Malformed Packet) flags=0x0 length=6:");
}

static void test_line_too_short(void **state)
{
    struct copy copy = copy_packet(BYTES("\x30\x0A\x00\x03"
                                         "a/bhello"));
    static const char whole[] = "PUBLISH qos=0 topic=\"a/b\" payload(5)=\"hello\"";

    (void)state;
    for (size_t room = 1; room <= sizeof(whole); room++) {
        char *line = malloc(room);
        size_t len = mqtt_dump(line, room, &copy.frame, MQTT_3_1_1);

        assert_int_equal(len, room - 1);
        assert_int_equal(strlen(line), len);
        assert_memory_equal(line, whole, len);
        free(line);
    }
    copy_free(&copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_samples),
        cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_bad_packets),
        cmocka_unit_test(test_line_too_short),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
