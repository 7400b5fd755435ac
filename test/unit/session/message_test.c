/* SPDX-License-Identifier: MIT */
#include "session/message.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void copy_is_complete_and_its_own(void **state)
{
    char topic[] = "some/topic", props[] = "\x01\x01", payload[] = "payload";
    const struct publication publication = {
        .topic = span_text(topic),
        .props = span_text(props),
        .payload = span_text(payload),
        .expires_ms = 77,
        .publisher = {1, 2, 3},
        .qos = 2,
        .retain = true,
    };
    struct message *message = message_create(&publication, 1);

    (void)state;
    memset(topic, 'x', sizeof(topic));
    memset(props, 'x', sizeof(props));
    memset(payload, 'x', sizeof(payload));
    assert_true(span_equal(message->publication.topic, span_text("some/topic")));
    assert_true(span_equal(message->publication.props, span_text("\x01\x01")));
    assert_true(span_equal(message->publication.payload, span_text("payload")));
    assert_int_equal(message->publication.expires_ms, 77);
    assert_int_equal(message->publication.qos, 2);
    assert_true(message->publication.retain);
    assert_true(session_handle_equal(message->publication.publisher, publication.publisher));
    assert_int_equal(message->size, sizeof(struct message) + 10 + 2 + 7);
    message_unref(message);
}

static void empty_parts_stay_empty(void **state)
{
    const struct publication publication = {.topic = span_text("t")};
    struct message *message = message_create(&publication, 1);

    (void)state;
    assert_int_equal(message->publication.props.len, 0);
    assert_int_equal(message->publication.payload.len, 0);
    assert_int_equal(message->size, sizeof(struct message) + 1);
    message_unref(message);
}

/* The last of many references frees; sanitizers see one freed too early or never. */
static void references_are_given_back_in_parts(void **state)
{
    const struct publication publication = {.topic = span_text("t")};
    struct message *message = message_create(&publication, 3);

    (void)state;
    message_ref(message, 64);
    message_unref_many(message, 60);
    assert_int_equal(atomic_load(&message->references), 7);
    message_unref_many(message, 6);
    assert_true(span_equal(message->publication.topic, span_text("t")));
    message_unref(message);
}

/* Of its author as well, which messages share: whoever is last frees it. */
static void an_author_lives_as_long_as_its_messages(void **state)
{
    const struct peer_address peer = {.port = 7};
    struct author *author = author_create(span_text("client"), span_text(""), &peer);
    const struct publication publication = {.topic = span_text("t"), .author = author};
    struct message *first = message_create(&publication, 2);
    struct message *second = message_create(&publication, 1);

    (void)state;
    assert_int_equal(atomic_load(&author->references), 3);
    author_unref(author);
    message_unref_many(first, 2);
    assert_int_equal(atomic_load(&author->references), 1);
    assert_true(span_equal(author_client_identifier(author), span_text("client")));
    assert_true(author_username(author).data != NULL); /* empty is not none */
    assert_int_equal(author->peer.port, 7);
    message_unref(second);
    author = author_create(span_text("client"), (struct span){0}, &peer);
    assert_null(author_username(author).data);
    author_unref(author);
}

static void no_memory_is_told(void **state)
{
    const struct publication publication = {.topic = span_text("t")};

    (void)state;
    mem_fail_after(1);
    assert_null(message_create(&publication, 1));
    mem_fail_after(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copy_is_complete_and_its_own),
        cmocka_unit_test(empty_parts_stay_empty),
        cmocka_unit_test(references_are_given_back_in_parts),
        cmocka_unit_test(an_author_lives_as_long_as_its_messages),
        cmocka_unit_test(no_memory_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
