/* SPDX-License-Identifier: MIT
 *
 * truncation - every sample packet cut at every byte, with a byte too many, and with every single byte changed:
 * never a look outside (the copies are exact, for the sanitizers), never success where it must not be.
 */
#include "samples.h"

#include "mqtt/dump.h"

static struct span sample_bytes(const struct sample *sample)
{
    return span_of(sample->bytes, sample->len);
}

static void test_samples_are_good(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLE_COUNT; i++) {
        struct copy copy = copy_packet(sample_bytes(&samples[i]));

        if (decode_any(&copy.frame, samples[i].version, samples[i].from_server) !=
            MQTT_REASON_SUCCESS)
            fail_msg("%s", samples[i].name);
        assert_true(packet_flags_valid(copy.frame.type, copy.frame.flags));
        copy_free(&copy);
    }
}

/* The bytes of a packet come one by one. */
static void test_stream_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLE_COUNT; i++) {
        for (uint32_t len = 0; len < samples[i].len; len++) {
            uint8_t *bytes = malloc(len);
            struct frame frame = {0};

            if (len > 0)
                memcpy(bytes, samples[i].bytes, len);
            assert_int_equal(frame_find(bytes, len, MQTT_PACKET_SIZE_MAX, &frame),
                             FRAME_INCOMPLETE);
            assert_int_equal(frame.total_len, len < 2 ? 0 : samples[i].len);
            free(bytes);
        }
    }
}

static bool good_at(const struct sample *sample, uint32_t len)
{
    if (sample->good_from != 0 && len >= sample->good_from)
        return true;
    for (size_t i = 0; i < sizeof(sample->good); i++) {
        if (sample->good[i] != 0 && sample->good[i] == len)
            return true;
    }
    /* a DISCONNECT of any version may be empty */
    return len == 0 && ((uint8_t)sample->bytes[0] >> 4) == MQTT_DISCONNECT;
}

/* The packet says it is shorter than it should be. */
static void test_body_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLE_COUNT; i++) {
        struct copy whole = copy_packet(sample_bytes(&samples[i]));

        for (uint32_t len = 0; len < whole.frame.body_len; len++) {
            struct copy cut =
                copy_body(whole.frame.type, whole.frame.flags, span_of(whole.frame.body, len));
            bool good = decode_any(&cut.frame, samples[i].version, samples[i].from_server) ==
                        MQTT_REASON_SUCCESS;

            if (good != good_at(&samples[i], len))
                fail_msg("%s cut to %u bytes of body", samples[i].name, len);
            copy_free(&cut);
        }
        copy_free(&whole);
    }
}

/* Every byte of every sample takes every value, decoded in every version and dumped. What comes out does not
 * matter here, only that a success can be walked through. */
static void test_changed_bytes(void **state)
{
    char line[1024];

    (void)state;
    for (size_t i = 0; i < SAMPLE_COUNT; i++) {
        struct copy copy = copy_packet(sample_bytes(&samples[i]));

        for (uint32_t at = 0; at < copy.frame.body_len; at++) {
            uint8_t original = copy.body[at];

            for (unsigned value = 0; value < 256; value++) {
                copy.body[at] = (uint8_t)value;
                for (unsigned version = 4; version <= 5; version++) {
                    decode_any(&copy.frame, (enum mqtt_version)version, samples[i].from_server);
                    assert_true(mqtt_dump(line, sizeof(line), &copy.frame,
                                          (enum mqtt_version)version) < sizeof(line));
                }
            }
            copy.body[at] = original;
        }
        copy_free(&copy);
    }
}

static void test_trailing_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLE_COUNT; i++) {
        struct copy whole = copy_packet(sample_bytes(&samples[i]));
        enum mqtt_packet_type type = whole.frame.type;
        uint8_t *longer = malloc(whole.frame.body_len + 1);
        struct copy copy;

        memcpy(longer, whole.body, whole.frame.body_len);
        longer[whole.frame.body_len] = 0;
        copy = copy_body(type, whole.frame.flags, span_of(longer, whole.frame.body_len + 1));
        /* A payload goes on, a list of codes gets one more. */
        assert_int_equal(decode_any(&copy.frame, samples[i].version, samples[i].from_server) ==
                             MQTT_REASON_SUCCESS,
                         samples[i].good_from != 0);
        copy_free(&copy);
        copy_free(&whole);
        free(longer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_samples_are_good), cmocka_unit_test(test_stream_cut),
        cmocka_unit_test(test_body_cut),         cmocka_unit_test(test_changed_bytes),
        cmocka_unit_test(test_trailing_byte),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
