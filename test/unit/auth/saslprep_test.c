/* SPDX-License-Identifier: MIT */
#include "auth/saslprep.h"

#include "base/check.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void forms(void **state)
{
    static const struct {
        const char *text, *form;
    } rows[] = {
        /* the examples of RFC 4013, section 3 */
        {"I\xC2\xADX", "IX"},
        {"user", "user"},
        {"USER", "USER"},
        {"\xC2\xAA", "a"},
        {"\xE2\x85\xA8", "IX"},
        /* what it prohibits is taken all the same */
        {"\x07", "\x07"},
        {"\xD8\xA7"
         "1",
         "\xD8\xA7"
         "1"},
        /* one character or two */
        {"e\xCC\x81t\xC3\xA9", "\xC3\xA9t\xC3\xA9"},
        {"\xEF\xBC\xA1\xEF\xBC\x91", "A1"},
        {"a\xC2\xA0"
         "b\xE3\x80\x80"
         "c\xE2\x80\x8B"
         "d",
         "a b c d"},
        {"\xEF\xBB\xBFx\xEF\xB8\x8F\xE2\x81\xA0y\xCD\x8F", "xy"},
        {"\xC2\xAD", ""},
        {"\xF0\x9F\x98\x80", "\xF0\x9F\x98\x80"},
        /* not UTF-8 */
        {"\xC2", "\xC2"},
        {"\xC2\xAA\xFF", "\xC2\xAA\xFF"},
        {"", ""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct prepared prepared;

        assert_true(saslprep(span_text(rows[i].text), &prepared));
        if (!span_equal(prepared.text, span_text(rows[i].form)))
            fail_msg("row %zu: %.*s", i, (int)prepared.text.len, (const char *)prepared.text.data);
        saslprep_free(&prepared);
        assert_true(saslprep_same(span_text(rows[i].text), span_text(rows[i].form)));
    }
    assert_false(saslprep_same(span_text("a"), span_text("A")));
    assert_false(saslprep_same(span_text("\xC3\xA9"), span_text("e")));
}

/* Three bytes that become 33, which no other character does. */
static void the_longest(void **state)
{
    static char text[3 * 20000];
    struct prepared prepared;

    (void)state;
    for (size_t i = 0; i < sizeof(text); i += 3)
        memcpy(text + i, "\xEF\xB7\xBA", 3);
    assert_true(saslprep(span_of(text, sizeof(text)), &prepared));
    assert_int_equal(prepared.text.len, 11 * sizeof(text));
    saslprep_free(&prepared);
}

/* More accents than one character ever has. */
static void many_accents(void **state)
{
    static char text[1 + 2 * 5000];
    struct prepared prepared;

    (void)state;
    text[0] = 'e';
    for (size_t i = 1; i < sizeof(text); i += 2)
        memcpy(text + i, "\xCC\x81", 2);
    assert_true(saslprep(span_of(text, sizeof(text)), &prepared));
    assert_int_equal(prepared.text.len, sizeof(text) - 1);
    assert_memory_equal(prepared.text.data, "\xC3\xA9\xCC\x81", 4);
    saslprep_free(&prepared);
}

static void memory_that_is_gone(void **state)
{
    struct prepared prepared;

    (void)state;
    mem_fail_after(1);
    assert_true(saslprep(span_text("pencil"), &prepared));
    saslprep_free(&prepared);
    assert_false(saslprep(span_text("\xC3\xA9"), &prepared));
    assert_false(saslprep_same(span_text("\xC3\xA9"), span_text("e\xCC\x81")));
    mem_fail_after(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms),
        cmocka_unit_test(the_longest),
        cmocka_unit_test(many_accents),
        cmocka_unit_test(memory_that_is_gone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
