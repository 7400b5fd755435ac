/* SPDX-License-Identifier: MIT
 *
 * frame and varint - packets in a byte stream, Remaining Length and its limits. [MQTT-1.5.5-1]
 */
#include "codec_test.h"

#include "mqtt/varint.h"

/* frame_find() on an exact copy. */
static enum frame_status find(struct span bytes, uint32_t size_max, struct frame *frame)
{
    uint8_t *copy = malloc(bytes.len);
    enum frame_status status;

    memcpy(copy, bytes.data, bytes.len);
    status = frame_find(copy, bytes.len, size_max, frame);
    free(copy);
    return status;
}

static void test_complete_packets(void **state)
{
    struct frame frame;
    uint8_t large[3 + 200];

    (void)state;
    assert_int_equal(find(BYTES("\xC0\x00"), 2, &frame), FRAME_READY);
    assert_int_equal(frame.type, MQTT_PINGREQ);
    assert_int_equal(frame.flags, 0);
    assert_int_equal(frame.body_len, 0);
    assert_int_equal(frame.total_len, 2);

    assert_int_equal(find(BYTES("\x62\x02\x00\x07\xC0\x00"), 100, &frame), FRAME_READY);
    assert_int_equal(frame.type, MQTT_PUBREL);
    assert_int_equal(frame.flags, 2);
    assert_int_equal(frame.total_len, 4);

    memset(large, 0, sizeof(large));
    large[0] = 0x3B;
    large[1] = 0xC8;
    large[2] = 0x01;
    assert_int_equal(frame_find(large, sizeof(large), 203, &frame), FRAME_READY);
    assert_int_equal(frame.type, MQTT_PUBLISH);
    assert_int_equal(frame.flags, 11);
    assert_int_equal(frame.body_len, 200);
    assert_int_equal(frame.total_len, 203);
    assert_ptr_equal(frame.body, large + 3);
}

static void test_incomplete(void **state)
{
    struct frame frame;

    (void)state;
    assert_int_equal(frame_find(NULL, 0, 100, &frame), FRAME_INCOMPLETE);
    assert_int_equal(frame.total_len, 0);
    assert_int_equal(find(BYTES("\x30"), 100, &frame), FRAME_INCOMPLETE);
    assert_int_equal(frame.total_len, 0);
    assert_int_equal(find(BYTES("\x30\x80"), 1000, &frame), FRAME_INCOMPLETE);
    assert_int_equal(frame.total_len, 0);
    assert_int_equal(find(BYTES("\x30\xFF\xFF\xFF"), 1000, &frame), FRAME_INCOMPLETE);
    assert_int_equal(frame.total_len, 0);
    assert_int_equal(find(BYTES("\x30\x05\x00"), 100, &frame), FRAME_INCOMPLETE);
    assert_int_equal(frame.total_len, 7);
    assert_int_equal(find(BYTES("\x30\x80\x01"), 1000, &frame), FRAME_INCOMPLETE);
    assert_int_equal(frame.total_len, 3 + 128);
}

/* The limit holds before any of the body is there. */
static void test_too_large(void **state)
{
    struct frame frame;

    (void)state;
    assert_int_equal(find(BYTES("\x10\x05"), 6, &frame), FRAME_TOO_LARGE);
    assert_int_equal(find(BYTES("\x10\x05"), 7, &frame), FRAME_INCOMPLETE);
    assert_int_equal(find(BYTES("\x10\xFF\xFF\xFF\x7F"), 65536, &frame), FRAME_TOO_LARGE);
    assert_int_equal(frame.total_len, MQTT_PACKET_SIZE_MAX);
    assert_int_equal(find(BYTES("\x10\xFF\xFF\xFF\x7F"), MQTT_PACKET_SIZE_MAX, &frame),
                     FRAME_INCOMPLETE);
}

static void test_malformed(void **state)
{
    struct frame frame;

    (void)state;
    assert_int_equal(find(BYTES("\x00"), 100, &frame), FRAME_MALFORMED);
    assert_int_equal(find(BYTES("\x0F\x00"), 100, &frame), FRAME_MALFORMED);
    assert_int_equal(find(BYTES("\x30\xFF\xFF\xFF\xFF"), UINT32_MAX, &frame), FRAME_MALFORMED);
    assert_int_equal(find(BYTES("\x30\xFF\xFF\xFF\xFF\x7F"), UINT32_MAX, &frame), FRAME_MALFORMED);
    assert_int_equal(find(BYTES("\x30\x80\x80\x80\x80\x00"), 100, &frame), FRAME_MALFORMED);
    /* longer than needed */
    assert_int_equal(find(BYTES("\xC0\x80\x00"), 100, &frame), FRAME_MALFORMED);
    assert_int_equal(find(BYTES("\xC0\x80\x80\x00"), 100, &frame), FRAME_MALFORMED);
    assert_int_equal(find(BYTES("\xC0\x80\x80\x80\x00"), 100, &frame), FRAME_MALFORMED);
    assert_int_equal(find(BYTES("\xC0\xFF\x80\x00"), 1000, &frame), FRAME_MALFORMED);
}

static void test_varint_limits(void **state)
{
    static const struct {
        uint32_t value, size;
        const char *bytes;
    } rows[] = {
        {0, 1, "\x00"},
        {1, 1, "\x01"},
        {127, 1, "\x7F"},
        {128, 2, "\x80\x01"},
        {16383, 2, "\xFF\x7F"},
        {16384, 3, "\x80\x80\x01"},
        {2097151, 3, "\xFF\xFF\x7F"},
        {2097152, 4, "\x80\x80\x80\x01"},
        {VARINT_MAX, 4, "\xFF\xFF\xFF\x7F"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint8_t bytes[VARINT_SIZE_MAX];
        uint32_t value = UINT32_MAX;

        assert_int_equal(varint_size(rows[i].value), rows[i].size);
        assert_ptr_equal(varint_put(bytes, rows[i].value), bytes + rows[i].size);
        assert_memory_equal(bytes, rows[i].bytes, rows[i].size);
        assert_int_equal(varint_get(bytes, rows[i].size, &value), rows[i].size);
        assert_int_equal(value, rows[i].value);
        for (uint32_t cut = 0; cut < rows[i].size; cut++)
            assert_int_equal(varint_get(bytes, cut, &value), VARINT_INCOMPLETE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_complete_packets), cmocka_unit_test(test_incomplete),
        cmocka_unit_test(test_too_large),        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_varint_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
