/* SPDX-License-Identifier: MIT
 *
 * props - which property may stand in which packet, how often and with which values, from a table that was
 * written from the specification and not from props.def.
 */
#include "codec_test.h"

/* Where a block can stand; by these letters the table below says where a property may. */
static const char places[] = "CWcPARLMSsUuDdX";

/* A good value as encoded, behind the identifier; and the places. */
static const struct {
    uint8_t id;
    struct span value;
    const char *where;
} table[] = {
    {0x01, {(const uint8_t *)"\x01", 1}, "WP"},
    {0x02, {(const uint8_t *)"\x00\x00\x00\x00", 4}, "WP"},
    {0x03, {(const uint8_t *)"\x00\x01x", 3}, "WP"},
    {0x08, {(const uint8_t *)"\x00\x01x", 3}, "WP"},
    {0x09, {(const uint8_t *)"\x00\x01\x00", 3}, "WP"},
    {0x0B, {(const uint8_t *)"\xFF\xFF\xFF\x7F", 4}, "PS"},
    {0x11, {(const uint8_t *)"\xFF\xFF\xFF\xFF", 4}, "CcD"},
    {0x12, {(const uint8_t *)"\x00\x01x", 3}, "c"},
    {0x13, {(const uint8_t *)"\x00\x00", 2}, "c"},
    {0x15, {(const uint8_t *)"\x00\x01x", 3}, "CcX"},
    {0x16, {(const uint8_t *)"\x00\x01\xFF", 3}, "CcX"},
    {0x17, {(const uint8_t *)"\x00", 1}, "C"},
    {0x18, {(const uint8_t *)"\x00\x00\x00\x01", 4}, "W"},
    {0x19, {(const uint8_t *)"\x01", 1}, "C"},
    {0x1A, {(const uint8_t *)"\x00\x01x", 3}, "c"},
    {0x1C, {(const uint8_t *)"\x00\x01x", 3}, "cd"},
    {0x1F, {(const uint8_t *)"\x00\x01x", 3}, "cARLMsuDdX"},
    {0x21, {(const uint8_t *)"\x00\x01", 2}, "Cc"},
    {0x22, {(const uint8_t *)"\x00\x00", 2}, "Cc"},
    {0x23, {(const uint8_t *)"\x00\x01", 2}, "P"},
    {0x24, {(const uint8_t *)"\x01", 1}, "c"},
    {0x25, {(const uint8_t *)"\x00", 1}, "c"},
    {0x26, {(const uint8_t *)"\x00\x01k\x00\x01v", 6}, "CWcPARLMSsUuDdX"},
    {0x27, {(const uint8_t *)"\x00\x00\x00\x01", 4}, "Cc"},
    {0x28, {(const uint8_t *)"\x00", 1}, "c"},
    {0x29, {(const uint8_t *)"\x01", 1}, "c"},
    {0x2A, {(const uint8_t *)"\x01", 1}, "c"},
};

/* A body under construction. */
struct body {
    uint8_t bytes[256];
    uint32_t len;
};

static void append(struct body *body, struct span bytes)
{
    memcpy(body->bytes + body->len, bytes.data, bytes.len);
    body->len += bytes.len;
}

static void append_block(struct body *body, struct span block)
{
    body->bytes[body->len++] = (uint8_t)block.len;
    append(body, block);
}

/* Decodes a packet that is right but for the property block, which stands in `place`. */
static enum mqtt_reason decode_in(char place, struct span block)
{
    static const char acks[] = "ARLM";
    struct body body = {.len = 0};
    struct copy copy;
    enum mqtt_packet_type type = MQTT_AUTH;
    enum mqtt_reason reason;

    switch (place) {
    case 'C':
        type = MQTT_CONNECT;
        append(&body, BYTES("\x00\x04MQTT\x05\x02\x00\x00"));
        append_block(&body, block);
        append(&body, BYTES("\x00\x01i"));
        break;
    case 'W':
        type = MQTT_CONNECT;
        append(&body, BYTES("\x00\x04MQTT\x05\x06\x00\x00\x00\x00\x01i"));
        append_block(&body, block);
        append(&body, BYTES("\x00\x01t\x00\x00"));
        break;
    case 'c':
        type = MQTT_CONNACK;
        append(&body, BYTES("\x00\x00"));
        append_block(&body, block);
        break;
    case 'P':
        type = MQTT_PUBLISH;
        append(&body, BYTES("\x00\x01t"));
        append_block(&body, block);
        break;
    case 'A':
    case 'R':
    case 'L':
    case 'M':
        type = (enum mqtt_packet_type)(MQTT_PUBACK + (strchr(acks, place) - acks));
        append(&body, BYTES("\x00\x01\x00"));
        append_block(&body, block);
        break;
    case 'S':
    case 'U':
        type = place == 'S' ? MQTT_SUBSCRIBE : MQTT_UNSUBSCRIBE;
        append(&body, BYTES("\x00\x01"));
        append_block(&body, block);
        append(&body, place == 'S' ? BYTES("\x00\x01t\x00") : BYTES("\x00\x01t"));
        break;
    case 's':
    case 'u':
        type = place == 's' ? MQTT_SUBACK : MQTT_UNSUBACK;
        append(&body, BYTES("\x00\x01"));
        append_block(&body, block);
        append(&body, BYTES("\x00"));
        break;
    case 'D':
    case 'd':
        type = MQTT_DISCONNECT;
        append(&body, BYTES("\x80"));
        append_block(&body, block);
        break;
    default:
        append(&body, BYTES("\x18"));
        append_block(&body, block);
        break;
    }
    copy = copy_body(type, 0, span_of(body.bytes, body.len));
    reason = decode_any(&copy.frame, MQTT_5, place == 'd');
    copy_free(&copy);
    return reason;
}

/* The Authentication Method that some blocks need beside the property in question. */
static bool needs_method(char place, uint8_t id)
{
    return id != 0x15 && (place == 'X' || (place == 'C' && id == 0x16));
}

static enum mqtt_reason decode_property(char place, uint8_t id, struct span value, unsigned times)
{
    struct body block = {.len = 0};

    if (needs_method(place, id))
        append(&block, BYTES("\x15\x00\x01m"));
    for (unsigned i = 0; i < times; i++) {
        block.bytes[block.len++] = id;
        append(&block, value);
    }
    return decode_in(place, span_of(block.bytes, block.len));
}

static void test_matrix(void **state)
{
    size_t row = 0;

    (void)state;
    for (unsigned id = 0; id < 256; id++) {
        bool exists = row < sizeof(table) / sizeof(table[0]) && table[row].id == id;
        struct span value = exists ? table[row].value : BYTES("\x00\x01\x00\x01");

        for (const char *place = places; *place != '\0'; place++) {
            bool allowed = exists && strchr(table[row].where, *place) != NULL;
            bool repeats = id == 0x26 || (id == 0x0B && *place == 'P');
            enum mqtt_reason once = decode_property(*place, (uint8_t)id, value, 1);
            enum mqtt_reason twice = decode_property(*place, (uint8_t)id, value, 2);

            if (!allowed) {
                assert_int_equal(once, MQTT_REASON_MALFORMED_PACKET);
                continue;
            }
            assert_int_equal(once, MQTT_REASON_SUCCESS);
            assert_int_equal(twice, repeats ? MQTT_REASON_SUCCESS : MQTT_REASON_PROTOCOL_ERROR);
        }
        row += exists;
    }
    assert_int_equal(row, sizeof(table) / sizeof(table[0]));
}

/* A block that ends inside any property is malformed. */
static void test_cut_values(void **state)
{
    (void)state;
    for (size_t row = 0; row < sizeof(table) / sizeof(table[0]); row++) {
        struct span value = table[row].value;
        char place = table[row].where[0];

        for (value.len--;; value.len--) {
            assert_int_equal(decode_property(place, table[row].id, value, 1),
                             MQTT_REASON_MALFORMED_PACKET);
            if (value.len == 0)
                break;
        }
    }
}

static void test_bad_values(void **state)
{
    static const uint8_t booleans[] = {0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2A};
    static const char *const boolean_places[] = {"P", "C", "C", "c", "c", "c", "c", "c"};

    (void)state;
    for (size_t i = 0; i < sizeof(booleans); i++) {
        for (unsigned value = 0; value < 256; value++) {
            uint8_t byte = (uint8_t)value;

            assert_int_equal(
                decode_property(boolean_places[i][0], booleans[i], span_of(&byte, 1), 1),
                value <= 1 ? MQTT_REASON_SUCCESS : MQTT_REASON_PROTOCOL_ERROR);
        }
    }
    assert_int_equal(decode_property('C', 0x21, BYTES("\x00\x00"), 1), MQTT_REASON_PROTOCOL_ERROR);
    assert_int_equal(decode_property('C', 0x27, BYTES("\x00\x00\x00\x00"), 1),
                     MQTT_REASON_PROTOCOL_ERROR);
    assert_int_equal(decode_property('S', 0x0B, BYTES("\x00"), 1), MQTT_REASON_PROTOCOL_ERROR);
    assert_int_equal(decode_property('P', 0x0B, BYTES("\x00"), 1), MQTT_REASON_PROTOCOL_ERROR);
    assert_int_equal(decode_property('S', 0x0B, BYTES("\x80\x00"), 1),
                     MQTT_REASON_MALFORMED_PACKET); /* [MQTT-1.5.5-1] */
    assert_int_equal(decode_property('S', 0x0B, BYTES("\xFF\xFF\xFF\xFF\x7F"), 1),
                     MQTT_REASON_MALFORMED_PACKET);
    /* [MQTT-3.3.2-8] */
    assert_int_equal(decode_property('P', 0x23, BYTES("\x00\x00"), 1),
                     MQTT_REASON_TOPIC_ALIAS_INVALID);
}

/* [MQTT-1.5.4-1] [MQTT-1.5.4-2] [MQTT-1.5.7-1] [MQTT-3.3.2-13] [MQTT-3.3.2-19] */
static void test_strings(void **state)
{
    static const struct {
        uint8_t id;
        char place;
    } strings[] = {{0x03, 'P'}, {0x08, 'P'}, {0x12, 'c'}, {0x15, 'C'},
                   {0x1A, 'c'}, {0x1C, 'd'}, {0x1F, 'A'}};

    (void)state;
    for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
        assert_int_equal(
            decode_property(strings[i].place, strings[i].id, BYTES("\x00\x02\xC3\xA4"), 1),
            MQTT_REASON_SUCCESS);
        assert_int_equal(decode_property(strings[i].place, strings[i].id, BYTES("\x00\x01\xC3"), 1),
                         MQTT_REASON_MALFORMED_PACKET);
        assert_int_equal(decode_property(strings[i].place, strings[i].id, BYTES("\x00\x01\x00"), 1),
                         MQTT_REASON_MALFORMED_PACKET);
    }
    assert_int_equal(decode_property('P', 0x26, BYTES("\x00\x01\x00\x00\x01v"), 1),
                     MQTT_REASON_MALFORMED_PACKET);
    assert_int_equal(decode_property('P', 0x26, BYTES("\x00\x01k\x00\x02\xC0\x80"), 1),
                     MQTT_REASON_MALFORMED_PACKET);
    assert_int_equal(decode_property('P', 0x26, BYTES("\x00\x00\x00\x00"), 1), MQTT_REASON_SUCCESS);
    /* [MQTT-3.3.2-14] */
    assert_int_equal(decode_property('P', 0x08,
                                     BYTES("\x00\x03"
                                           "a/#"),
                                     1),
                     MQTT_REASON_PROTOCOL_ERROR);
    assert_int_equal(decode_property('W', 0x08, BYTES("\x00\x01+"), 1), MQTT_REASON_PROTOCOL_ERROR);
    assert_int_equal(decode_property('P', 0x08, BYTES("\x00\x00"), 1), MQTT_REASON_PROTOCOL_ERROR);
}

static void test_identifiers_of_several_bytes(void **state)
{
    (void)state;
    assert_int_equal(decode_in('P', BYTES("\x81\x00\x01")), MQTT_REASON_MALFORMED_PACKET);
    assert_int_equal(decode_in('P', BYTES("\x81\x01\x01")), MQTT_REASON_MALFORMED_PACKET);
    assert_int_equal(decode_in('P', BYTES("\xFF\xFF\xFF\xFF\x7F")), MQTT_REASON_MALFORMED_PACKET);
    /* the second of two is broken */
    assert_int_equal(decode_in('P', BYTES("\x01\x01\x03\x00\x05x")), MQTT_REASON_MALFORMED_PACKET);
}

/* A PUBLISH whose block has everything once and user properties twice. */
static const char full_block[] =
    "\x01\x01\x02\x00\x00\x00\x3C\x26\x00\x01"
    "a\x00\x01"
    "1\x23\x00\x03\x08\x00\x03r/t\x0B\x05\x09\x00\x02\x00\xFF\x26\x00\x01"
    "b\x00\x00\x03\x00\x01y";

/* [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.3.2-20]
 * [MQTT-3.1.3-10] */
static void test_copy_forwarded(void **state)
{
    static const char expected[] = "\x01\x01\x26\x00\x01"
                                   "a\x00\x01"
                                   "1\x08\x00\x03r/t\x09\x00\x02\x00\xFF\x26\x00\x01"
                                   "b\x00\x00\x03\x00\x01y";
    struct body body = {.len = 0};
    struct publish_packet packet;
    struct copy copy;
    uint8_t *to = malloc(sizeof(full_block) - 1);

    (void)state;
    append(&body, BYTES("\x00\x01t"));
    append_block(&body, BYTES(full_block));
    copy = copy_body(MQTT_PUBLISH, 0, span_of(body.bytes, body.len));
    assert_int_equal(mqtt_decode_publish(&copy.frame, MQTT_5, &packet), MQTT_REASON_SUCCESS);
    assert_bytes(to, props_copy_forwarded(&packet.props, to), BYTES(expected));
    copy_free(&copy);

    /* a block of nothing else is copied as it is */
    body.len = 0;
    append(&body, BYTES("\x00\x01t"));
    append_block(&body, BYTES(expected));
    copy = copy_body(MQTT_PUBLISH, 0, span_of(body.bytes, body.len));
    assert_int_equal(mqtt_decode_publish(&copy.frame, MQTT_5, &packet), MQTT_REASON_SUCCESS);
    assert_bytes(to, props_copy_forwarded(&packet.props, to), BYTES(expected));
    copy_free(&copy);
    free(to);
}

static void test_nothing_to_forward(void **state)
{
    struct copy copy = copy_body(MQTT_PUBLISH, 0, BYTES("\x00\x01t\x05\x02\x00\x00\x00\x01"));
    struct publish_packet packet;

    (void)state;
    assert_int_equal(mqtt_decode_publish(&copy.frame, MQTT_5, &packet), MQTT_REASON_SUCCESS);
    assert_int_equal(props_copy_forwarded(&packet.props, NULL), 0);
    assert_int_equal(mqtt_decode_publish(&copy.frame, MQTT_3_1_1, &packet), MQTT_REASON_SUCCESS);
    assert_int_equal(props_copy_forwarded(&packet.props, NULL), 0);
    copy_free(&copy);
}

static void test_next(void **state)
{
    static const uint8_t ids[] = {0x01, 0x02, 0x26, 0x23, 0x08, 0x0B, 0x09, 0x26, 0x03};
    struct span raw = BYTES(full_block);
    struct property_view view;
    uint32_t total = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(ids); i++) {
        assert_true(props_next(&raw, &view));
        assert_int_equal(view.id, ids[i]);
        assert_ptr_equal(view.encoded.data, full_block + total);
        total += view.encoded.len;
        switch ((int)view.id) {
        case 0x02:
            assert_int_equal(view.number, 60);
            break;
        case 0x0B:
            assert_int_equal(view.number, 5);
            break;
        case 0x08:
            assert_span(view.value, "r/t");
            break;
        case 0x26:
            assert_span(view.name, i == 2 ? "a" : "b");
            assert_span(view.value, i == 2 ? "1" : "");
            break;
        }
    }
    assert_false(props_next(&raw, &view));
    assert_int_equal(total, sizeof(full_block) - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matrix),
        cmocka_unit_test(test_cut_values),
        cmocka_unit_test(test_bad_values),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_identifiers_of_several_bytes),
        cmocka_unit_test(test_copy_forwarded),
        cmocka_unit_test(test_nothing_to_forward),
        cmocka_unit_test(test_next),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
