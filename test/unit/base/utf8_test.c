/* SPDX-License-Identifier: MIT
 *
 * utf8 - against a decoder written from the definition (decode, then look at the number), at every offset
 * relative to the eight-byte steps of the code under test. [MQTT-1.5.3-1] [MQTT-1.5.3-2] [MQTT-1.5.3-3]
 * [MQTT-1.5.4-1] [MQTT-1.5.4-2] [MQTT-1.5.4-3]
 */
#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Writes the code point the way UTF-8 would with `size` bytes, legal or not; returns size. */
static size_t encode(uint32_t point, size_t size, uint8_t *to)
{
    static const uint8_t lead[] = {0, 0x00, 0xC0, 0xE0, 0xF0};

    for (size_t i = size - 1; i > 0; i--) {
        to[i] = (uint8_t)(0x80 | (point & 0x3F));
        point >>= 6;
    }
    to[0] = (uint8_t)(lead[size] | point);
    return size;
}

static size_t shortest(uint32_t point)
{
    return point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
}

/* Whether utf8_valid() says `expected` about the bytes, with `before` and `after` letters around them, in a
 * buffer that is exactly as long. */
static void check_at(const uint8_t *bytes, size_t len, size_t before, size_t after, bool expected)
{
    size_t total = before + len + after;
    uint8_t *copy = malloc(total);

    memset(copy, 'x', total);
    memcpy(copy + before, bytes, len);
    assert_int_equal(utf8_valid(copy, total), expected);
    free(copy);
}

static void check(const uint8_t *bytes, size_t len, bool expected)
{
    for (size_t before = 0; before < 18; before++) {
        for (size_t after = 0; after < 10; after += 3)
            check_at(bytes, len, before, after, expected);
    }
}

#define CHECK(literal, expected) check((const uint8_t *)(literal), sizeof(literal) - 1, expected)

static void test_empty(void **state)
{
    (void)state;
    assert_true(utf8_valid(NULL, 0));
}

static void test_every_code_point_in_every_length(void **state)
{
    uint8_t bytes[4];

    (void)state;
    for (uint32_t point = 0; point < 0x110000 + 0x1000; point += point < 0x900 ? 1 : 7) {
        bool exists = point != 0 && point < 0x110000 && !(point >= 0xD800 && point < 0xE000);

        for (size_t size = shortest(point); size <= 4; size++) {
            encode(point, size, bytes);
            check_at(bytes, size, point % 17, point % 5, exists && size == shortest(point));
        }
    }
}

static void test_limits(void **state)
{
    (void)state;
    CHECK("\xED\x9F\xBF", true);      /* U+D7FF */
    CHECK("\xED\xA0\x80", false);     /* U+D800, a surrogate */
    CHECK("\xED\xBF\xBF", false);     /* U+DFFF */
    CHECK("\xEE\x80\x80", true);      /* U+E000 */
    CHECK("\xEF\xBB\xBF", true);      /* U+FEFF */
    CHECK("\xEF\xBF\xBF", true);      /* U+FFFF, not a character but allowed */
    CHECK("\xF0\x90\x80\x80", true);  /* U+10000 */
    CHECK("\xF0\x8F\xBF\xBF", false); /* overlong U+FFFF */
    CHECK("\xF4\x8F\xBF\xBF", true);  /* U+10FFFF */
    CHECK("\xF4\x90\x80\x80", false); /* U+110000 */
    CHECK("\xC0\x80", false);         /* overlong U+0000 */
    CHECK("\xC1\xBF", false);
    CHECK("\xE0\x9F\xBF", false);
    CHECK("\x01\x1F\x7F", true); /* control characters */
    CHECK("\xC2\x80", true);
}

static void test_every_byte_alone(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        uint8_t alone = (uint8_t)byte;

        check(&alone, 1, byte != 0 && byte < 0x80);
    }
}

static void test_cut_characters(void **state)
{
    static const char *const characters[] = {"\xC3\xA4", "\xE2\x82\xAC", "\xF0\x9F\x98\x80"};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        const uint8_t *bytes = (const uint8_t *)characters[i];
        size_t size = strlen(characters[i]);

        check(bytes, size, true);
        for (size_t cut = 1; cut < size; cut++)
            check(bytes, cut, false);
        check(bytes + 1, size - 1, false);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_every_code_point_in_every_length),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_every_byte_alone),
        cmocka_unit_test(test_cut_characters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
