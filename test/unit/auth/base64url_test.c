/* SPDX-License-Identifier: MIT */
#include "auth/base64url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Into memory of exactly the size that is promised to be enough. */
static bool decode(const char *text, size_t len, char *to, size_t *to_len)
{
    uint8_t *room = malloc(BASE64URL_BYTES(len) + (len == 0));
    struct span bytes;
    bool good = base64url_decode(span_of(text, len), room, &bytes);

    *to_len = bytes.len;
    memcpy(to, room, bytes.len);
    free(room);
    return good;
}

static void expect(const char *text, const char *wanted)
{
    char bytes[64];
    size_t len;

    assert_true(decode(text, strlen(text), bytes, &len));
    assert_int_equal(len, strlen(wanted));
    assert_memory_equal(bytes, wanted, len);
}

static void the_vectors_of_the_rfc(void **state)
{
    (void)state;
    expect("", "");
    expect("Zg", "f");
    expect("Zm8", "fo");
    expect("Zm9v", "foo");
    expect("Zm9vYg", "foob");
    expect("Zm9vYmE", "fooba");
    expect("Zm9vYmFy", "foobar");
    expect("A-z_4ME", "\x03\xec\xff\xe0\xc1"); /* RFC 7515, appendix C */
}

static void one_text_for_the_same_bytes(void **state)
{
    static const char *const wrong[] = {"Z",      "Zg==",   "Zg=",  "Zh",    "Zm9",
                                        "Zm9vY",  "Zm+v",   "Zm/v", "Zm9v ", " Zg",
                                        "Zm9v\n", "Zm\n9v", "Zm.v", "Zm9v=", "\xc3\xa4Zg"};
    char bytes[64];
    size_t len;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_false(decode(wrong[i], strlen(wrong[i]), bytes, &len));
    assert_false(decode("Zm\0v", 4, bytes, &len));
}

static void every_character_has_its_value_or_none(void **state)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

    (void)state;
    for (unsigned c = 0; c < 256; c++) {
        char text[4] = {'A', 'A', 'A', (char)c}, bytes[64];
        const char *place = memchr(alphabet, (int)c, 64);
        size_t len;

        assert_int_equal(decode(text, 4, bytes, &len), place != NULL);
        if (place != NULL)
            assert_int_equal(bytes[2], place - alphabet);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vectors_of_the_rfc),
        cmocka_unit_test(one_text_for_the_same_bytes),
        cmocka_unit_test(every_character_has_its_value_or_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
