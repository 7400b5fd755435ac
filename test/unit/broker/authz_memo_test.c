/* SPDX-License-Identifier: MIT */
#include "broker/authz_memo.h"

#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static struct span name(char *room, size_t size, unsigned i)
{
    snprintf(room, size, "t/%u", i);
    return span_text(room);
}

static bool has(const struct authz_memo *memo, unsigned action, struct span topic)
{
    return authz_memo_has(memo, action, topic, hash64(topic.data, topic.len));
}

static void add(struct authz_memo **memo, unsigned action, struct span topic)
{
    authz_memo_add(memo, action, topic, hash64(topic.data, topic.len));
}

static void keeps_what_it_was_told(void **state)
{
    struct authz_memo *memo = NULL;
    char room[16];

    (void)state;
    assert_false(has(memo, 0, span_text("t/0")));
    for (unsigned i = 0; i < MEMO_TOPICS_MAX; i++) {
        assert_false(has(memo, 0, name(room, sizeof(room), i)));
        add(&memo, 0, name(room, sizeof(room), i));
        assert_true(has(memo, 0, name(room, sizeof(room), i / 2)));
    }
    for (unsigned i = 0; i < MEMO_TOPICS_MAX; i++) {
        assert_true(has(memo, 0, name(room, sizeof(room), i)));
        assert_false(has(memo, 2, name(room, sizeof(room), i)));
    }
    assert_false(has(memo, 0, name(room, sizeof(room), MEMO_TOPICS_MAX)));
    add(&memo, 0, name(room, sizeof(room), MEMO_TOPICS_MAX)); /* begins again */
    assert_true(has(memo, 0, name(room, sizeof(room), MEMO_TOPICS_MAX)));
    assert_false(has(memo, 0, name(room, sizeof(room), 0)));
    assert_int_equal(memo->count, 1);
    authz_memo_clear(&memo);
    assert_null(memo);
}

static void compares_action_and_text(void **state)
{
    static const char *const topics[] = {
        "",
        "t",
        "1234567",
        "12345678",
        "123456789",
        "1234567890123456",
        "12345678901234567890",
        "12345678901234567890123456789012345678901234567890123456789012"};
    struct authz_memo *memo = NULL;

    (void)state;
    for (unsigned i = 0; i < ARRAY_LENGTH(topics); i++) {
        struct span topic = span_text(topics[i]);
        char other[MEMO_TOPIC_MAX + 1];

        authz_memo_add(&memo, 2, topic, 77); /* all of one hash */
        assert_true(authz_memo_has(memo, 2, topic, 77));
        assert_false(authz_memo_has(memo, 0, topic, 77));
        assert_false(authz_memo_has(memo, 2, topic, 78));
        for (uint32_t at = 0; at < topic.len; at++) {
            snprintf(other, sizeof(other), "%s", topics[i]);
            other[at] = 'x';
            assert_false(authz_memo_has(memo, 2, span_text(other), 77));
        }
    }
    authz_memo_clear(&memo);
}

static void long_topics_are_not_kept(void **state)
{
    struct authz_memo *memo = NULL;
    char topic[MEMO_TOPIC_MAX + 2];

    (void)state;
    memset(topic, 't', sizeof(topic));
    topic[sizeof(topic) - 1] = '\0';
    add(&memo, 0, span_text(topic));
    assert_false(has(memo, 0, span_text(topic)));
    add(&memo, 0, span_text(topic + 1));
    assert_true(has(memo, 0, span_text(topic + 1)));
    assert_false(has(memo, 0, span_text(topic)));
    authz_memo_clear(&memo);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_what_it_was_told),
        cmocka_unit_test(compares_action_and_text),
        cmocka_unit_test(long_topics_are_not_kept),
    };

    hash_setup(1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
