/* SPDX-License-Identifier: MIT */
#include "auth/answer_cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static const uint8_t secret[32] = "thirty-two bytes of a secret....";

static struct answer_key key_of(const struct answer_cache *cache, unsigned number)
{
    char text[16];

    return answer_cache_key(cache, 1,
                            span_of(text, (size_t)snprintf(text, sizeof(text), "%u", number)));
}

static void an_answer_holds_for_its_time(void **state)
{
    struct answer_cache *cache = answer_cache_create(64, secret);
    struct answer_key one = answer_cache_key(cache, 0, span_text("q")),
                      other = answer_cache_key(cache, 1, span_text("q"));
    uint8_t answer = 9;

    (void)state;
    assert_false(answer_cache_find(cache, &one, 0, &answer));
    answer_cache_put(cache, &one, 1000, 1);
    assert_false(answer_cache_find(cache, &other, 0, &answer)); /* of another kind */
    assert_true(answer_cache_find(cache, &one, 999, &answer));
    assert_int_equal(answer, 1);
    assert_false(answer_cache_find(cache, &one, 1000, &answer));
    answer_cache_put(cache, &one, 3000, 0); /* the later one counts */
    assert_true(answer_cache_find(cache, &one, 1000, &answer));
    assert_int_equal(answer, 0);
    answer_cache_destroy(cache);
}

static void another_secret_has_other_keys(void **state)
{
    struct answer_cache *cache = answer_cache_create(8, secret),
                        *other = answer_cache_create(
                            8, (const uint8_t *)"another secret of 32 bytes......");
    struct answer_key a = key_of(cache, 1), b = key_of(other, 1);

    (void)state;
    assert_memory_not_equal(&a, &b, sizeof(a));
    answer_cache_destroy(cache);
    answer_cache_destroy(other);
}

/* What does not fit takes the place of what ends first; whatever is found is right. */
static void it_does_not_grow(void **state)
{
    struct answer_cache *cache = answer_cache_create(64, secret);
    unsigned kept = 0;
    uint8_t answer;

    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        struct answer_key key = key_of(cache, i);

        answer_cache_put(cache, &key, 1000 + i, (uint8_t)(i % 3));
    }
    for (unsigned i = 0; i < 1000; i++) {
        struct answer_key key = key_of(cache, i);

        if (!answer_cache_find(cache, &key, 0, &answer))
            continue;
        assert_int_equal(answer, i % 3);
        kept++;
    }
    assert_int_equal(kept, 64);
    answer_cache_destroy(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_holds_for_its_time),
        cmocka_unit_test(another_secret_has_other_keys),
        cmocka_unit_test(it_does_not_grow),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
