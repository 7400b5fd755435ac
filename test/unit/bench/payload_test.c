/* SPDX-License-Identifier: MIT
 *
 * Unit tests of what payloads are made of: numbered and stamped ones, and the texts of --payload.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "bench/message_text.h"
#include "bench/payload.h"

/* Renders one message of client 7 with this --payload. */
static const char *render(const char *option)
{
    static uint8_t out[256];
    struct message_text all, own;
    char error[200];
    uint32_t len;

    assert_true(message_text_load(&all, option, error, sizeof(error)));
    message_text_expand(&own, &all, 7, "id-7", "me%n");
    assert_true(message_text_room(&own) < sizeof(out));
    len = message_text_render(&own, out, 42, 1234);
    assert_true(len <= message_text_room(&own));
    out[len] = '\0';
    message_text_fini(&all);
    message_text_fini(&own);
    return (const char *)out;
}

static void test_payload_texts(void **state)
{
    char path[] = "/tmp/shardmq-payload-XXXXXX", at_path[64], error[200];
    struct message_text none;
    int file = mkstemp(path);

    (void)state;
    assert_string_equal(render("{\"n\":%n,\"t\":%t,\"i\":%i}"), "{\"n\":42,\"t\":1234,\"i\":7}");
    assert_string_equal(render("%c %u 100%% %x %"), "id-7 me%n 100% %x %");
    assert_string_equal(render("plain"), "plain");
    assert_true(file >= 0);
    assert_int_equal(dprintf(file, "raw %%n"), 6);
    close(file);
    assert_string_equal(render(path), "raw %n");
    snprintf(at_path, sizeof(at_path), "@%s", path);
    assert_string_equal(render(at_path), "raw %n");
    unlink(path);
    assert_false(message_text_load(&none, at_path, error, sizeof(error)));
    assert_non_null(strstr(error, "cannot read"));
    message_text_fini(&none);
    assert_false(message_text_load(&none, "@/tmp", error, sizeof(error)));
    message_text_fini(&none);
}

static void test_payload_headers(void **state)
{
    static const uint32_t sizes[] = {16, 17, 23, 24, 100};
    uint8_t payload[100];

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(sizes); i++) {
        struct payload_header header;
        uint64_t number = UINT64_C(0x1ffffffff), time = UINT64_C(0x00fedcba98765432);

        payload_fill(payload, sizes[i], 0x12345678, 0xabcdef);
        payload_stamp(payload, sizes[i], number, time);
        assert_true(payload_read(payload, sizes[i], 0x12345678, &header));
        assert_false(payload_read(payload, sizes[i], 0x12345679, &header));
        assert_int_equal(header.flow, 0xabcdef);
        assert_true(header.sent_ns == time);
        assert_true(payload_whole_number(header.number, sizes[i], number + 5) == number);
        assert_true(payload_whole_number(header.number, sizes[i], number - 5) == number);
    }
    assert_false(payload_read(payload, 15, 0x12345678, &(struct payload_header){0}));
    assert_true(payload_whole_number(3, 16, 0) == 3);
    assert_true(payload_whole_number(0xffffffff, 16, 2) == 0xffffffff);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_payload_texts),
        cmocka_unit_test(test_payload_headers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
