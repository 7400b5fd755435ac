/* SPDX-License-Identifier: MIT
 *
 * tables - the questions other code asks of packets.def and reasons.def, answered here from a table of its own.
 */
#include "codec_test.h"

#include "mqtt/tables.h"

/* [MQTT-2.2.2-2] [MQTT-2.1.3-1] [MQTT-3.6.1-1] [MQTT-3.8.1-1] [MQTT-3.10.1-1] [MQTT-3.14.1-1]
 * [MQTT-3.15.1-1] */
static void test_flags(void **state)
{
    (void)state;
    for (unsigned type = 1; type < 16; type++) {
        bool two = type == 6 || type == 8 || type == 10;

        for (uint8_t flags = 0; flags < 16; flags++) {
            bool valid = type == 3 || flags == (two ? 2 : 0);

            assert_int_equal(packet_flags_valid((enum mqtt_packet_type)type, flags), valid);
            assert_int_equal(packet_flags_accepted((enum mqtt_packet_type)type, flags, MQTT_3_1_1),
                             valid);
            assert_int_equal(packet_flags_accepted((enum mqtt_packet_type)type, flags, MQTT_5),
                             valid);
        }
    }
    assert_true(packet_flags_accepted(MQTT_SUBSCRIBE, 0xA, MQTT_3_1)); /* DUP */
    assert_true(packet_flags_accepted(MQTT_PUBREL, 0xA, MQTT_3_1));
    assert_false(packet_flags_accepted(MQTT_SUBSCRIBE, 0x0, MQTT_3_1));
    assert_true(packet_flags_accepted(MQTT_PINGREQ, 0x1, MQTT_3_1));
}

static void test_directions(void **state)
{
    static const char from[] = "?CSBBBBBCSCSCSBB"; /* by packet type: client, server, both */

    (void)state;
    for (unsigned type = 1; type < 16; type++) {
        assert_int_equal(packet_from_client((enum mqtt_packet_type)type), from[type] != 'S');
        assert_int_equal(packet_from_server((enum mqtt_packet_type)type), from[type] != 'C');
    }
}

/* One column per packet that has reason codes; s: a server may send the code, c: a client, b: both. */
static const struct {
    uint8_t code;
    const char *use; /* CONNACK PUBACK PUBREC PUBREL PUBCOMP SUBACK UNSUBACK DISCONNECT AUTH */
    int return_code;
} expected_reasons[] = {
    {0x00, "sbbbbssbs", 0},  {0x01, "-----s---", -1}, {0x02, "-----s---", -1},
    {0x04, "-------c-", -1}, {0x10, "-ss------", -1}, {0x11, "------s--", -1},
    {0x18, "--------b", -1}, {0x19, "--------c", -1}, {0x80, "sbb--ssb-", 3},
    {0x81, "s------b-", -1}, {0x82, "s------b-", -1}, {0x83, "sbb--ssb-", -1},
    {0x84, "s--------", 1},  {0x85, "s--------", 2},  {0x86, "s--------", 4},
    {0x87, "sbb--sss-", 5},  {0x88, "s--------", 3},  {0x89, "s------s-", 3},
    {0x8A, "s--------", 5},  {0x8B, "-------s-", -1}, {0x8C, "s------s-", -1},
    {0x8D, "-------s-", -1}, {0x8E, "-------s-", -1}, {0x8F, "-----sss-", -1},
    {0x90, "sbb----b-", -1}, {0x91, "-bb--ss--", -1}, {0x92, "---bb----", -1},
    {0x93, "-------b-", -1}, {0x94, "-------b-", -1}, {0x95, "s------b-", -1},
    {0x96, "-------b-", -1}, {0x97, "sbb--s-b-", 3},  {0x98, "-------b-", -1},
    {0x99, "sbb----b-", -1}, {0x9A, "s------s-", -1}, {0x9B, "s------s-", -1},
    {0x9C, "s------s-", 3},  {0x9D, "s------s-", 3},  {0x9E, "-----s-s-", -1},
    {0x9F, "s------s-", 3},  {0xA0, "-------s-", -1}, {0xA1, "-----s-s-", -1},
    {0xA2, "-----s-s-", -1},
};

static const uint8_t columns[] = {2, 4, 5, 6, 7, 9, 11, 14, 15};

/* [MQTT-3.2.2-8] [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1] [MQTT-3.9.3-2]
 * [MQTT-3.11.3-2] [MQTT-3.14.2-1] [MQTT-3.15.2-1] */
static void test_reasons(void **state)
{
    size_t row = 0;

    (void)state;
    for (unsigned code = 0; code < 256; code++) {
        enum mqtt_reason reason = (enum mqtt_reason)code;
        const char *use = "---------";
        int return_code = -1;

        if (row < sizeof(expected_reasons) / sizeof(expected_reasons[0]) &&
            expected_reasons[row].code == code) {
            use = expected_reasons[row].use;
            return_code = expected_reasons[row++].return_code;
            assert_string_not_equal(reason_text(reason), "unknown reason");
        } else {
            assert_string_equal(reason_text(reason), "unknown reason");
        }
        assert_int_equal(reason_to_return_code(reason), return_code);
        for (size_t i = 0; i < sizeof(columns); i++) {
            enum mqtt_packet_type type = (enum mqtt_packet_type)columns[i];

            assert_int_equal(reason_from_server(type, reason), use[i] == 's' || use[i] == 'b');
            assert_int_equal(reason_from_client(type, reason), use[i] == 'c' || use[i] == 'b');
        }
    }
}

static void test_return_codes(void **state)
{
    (void)state;
    for (uint8_t code = 0; code <= 5; code++)
        assert_int_equal(reason_to_return_code(reason_of_return_code(code)), code);
    assert_int_equal(reason_of_return_code(6), MQTT_REASON_PROTOCOL_ERROR);
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(packet_name(MQTT_CONNECT), "CONNECT");
    assert_string_equal(packet_name(MQTT_AUTH), "AUTH");
    assert_string_equal(packet_name((enum mqtt_packet_type)0), "?");
    assert_string_equal(property_name(MQTT_PROPERTY_USER_PROPERTY), "USER_PROPERTY");
    assert_string_equal(property_name((enum mqtt_property)0), "?");
    assert_string_equal(property_name((enum mqtt_property)0x7F), "?");
    assert_string_equal(reason_text(MQTT_REASON_NOT_AUTHORIZED), "Not authorized");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flags),   cmocka_unit_test(test_directions),
        cmocka_unit_test(test_reasons), cmocka_unit_test(test_return_codes),
        cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
