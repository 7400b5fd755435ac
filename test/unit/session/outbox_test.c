/* SPDX-License-Identifier: MIT
 *
 * The outbox: what was appended is what the chunks hold, in order, however they are taken.
 */
#include "session/outbox.c"

#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

struct stream {
    struct outbox outbox;
    struct outbox_pool pool;
    uint32_t written, read; /* bytes; byte n of the stream is pattern(n) */
};

static uint8_t pattern(uint32_t at)
{
    return (uint8_t)(at * 13 + at / 251);
}

static void write_packet(struct stream *stream, uint32_t size)
{
    uint8_t *to = outbox_reserve(&stream->outbox, &stream->pool, size);

    assert_non_null(to);
    for (uint32_t i = 0; i < size; i++)
        to[i] = pattern(stream->written++);
    outbox_commit(&stream->outbox, size);
}

static void write_payload(struct stream *stream, uint32_t size)
{
    uint8_t *bytes = mem_alloc(size);
    struct message *message;

    for (uint32_t i = 0; i < size; i++)
        bytes[i] = pattern(stream->written++);
    message = message_create(
        &(struct publication){.topic = span_text("t"), .payload = span_of(bytes, size)}, 1);
    assert_true(outbox_append_payload(&stream->outbox, message));
    message_unref(message); /* the chunk has a reference of its own */
    mem_free(bytes);
}

/* Takes the chain, as the machine does, and gives back its first chunks. */
static void take(struct stream *stream, uint32_t chunks)
{
    while (chunks-- > 0 && stream->outbox.head != NULL) {
        struct outbox_chunk *chunk = stream->outbox.head;

        stream->outbox.head = chunk->next;
        if (stream->outbox.head == NULL)
            stream->outbox.tail = NULL;
        for (uint32_t i = 0; i < chunk->len; i++)
            assert_int_equal(chunk->data[i], pattern(stream->read++));
        outbox_release(&stream->outbox, &stream->pool, chunk);
        assert_int_equal(stream->outbox.bytes, stream->written - stream->read); /* I2 */
    }
}

static void holds_the_stream_in_order(void **state)
{
    struct random random = {.state = 5};

    (void)state;
    for (uint32_t run = 0; run < 20; run++) {
        struct stream stream = {0};

        for (uint32_t i = 0; i < 300; i++) {
            switch (random_below(&random, 8)) {
            case 0:
                write_payload(&stream, OUTBOX_COPY_MAX + 1 + random_below(&random, 9000));
                break;
            case 1:
                write_packet(&stream, 1 + random_below(&random, 40000));
                break;
            case 2:
                take(&stream, 1 + random_below(&random, 4));
                break;
            default:
                write_packet(&stream, 1 + random_below(&random, 200));
                break;
            }
        }
        take(&stream, UINT32_MAX);
        assert_int_equal(stream.read, stream.written);
        assert_int_equal(stream.outbox.bytes, 0);
        outbox_pool_clear(&stream.pool);
    }
}

/* I1, and: an idle connection's first chunk is small, those behind it are large. */
static void small_packets_lie_in_one_chunk(void **state)
{
    struct stream stream = {0};
    struct outbox_chunk *first;

    (void)state;
    write_packet(&stream, 100);
    first = stream.outbox.head;
    assert_int_equal(first->capacity + sizeof(*first), OUTBOX_CHUNK_SMALL);
    write_packet(&stream, OUTBOX_COPY_MAX);
    assert_int_equal(first->len, 100);
    assert_int_equal(first->next->len, OUTBOX_COPY_MAX);
    assert_int_equal(first->next->capacity + sizeof(*first), OUTBOX_CHUNK_LARGE);
    write_packet(&stream, 100);
    assert_int_equal(first->next->len, OUTBOX_COPY_MAX + 100);
    take(&stream, UINT32_MAX);
    outbox_pool_clear(&stream.pool);
}

static void chunks_are_used_again(void **state)
{
    struct stream stream = {0};
    struct outbox_chunk *first;

    (void)state;
    write_packet(&stream, 10);
    first = stream.outbox.head;
    first->kept = 3;
    first->ordinal = 9;
    outbox_count(first, 5);
    outbox_count(first, 6);
    take(&stream, 1);
    assert_int_equal(stream.pool.small_count, 1);
    write_packet(&stream, 10);
    assert_ptr_equal(stream.outbox.head, first);
    assert_int_equal(first->kept, 0); /* nothing of its earlier life */
    assert_int_equal(first->ordinal, 0);
    assert_int_equal(first->runs[0].received_ns + first->runs[0].deliveries + first->older_runs, 0);
    assert_null(first->next);
    assert_int_equal(stream.pool.small_count, 0);
    take(&stream, 1);
    outbox_pool_clear(&stream.pool);
    assert_int_equal(stream.pool.small_count, 0);
}

static void check_runs(const struct outbox_chunk *chunk, const struct outbox_run *expected,
                       uint32_t count)
{
    assert_int_equal(chunk->older_runs, count - 1);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(chunk->runs[i].received_ns, expected[i].received_ns);
        assert_int_equal(chunk->runs[i].deliveries, expected[i].deliveries);
    }
}

/* Deliveries are told apart by when their messages came, as far as there is room; what is merged
 * takes the earlier time, or none, and none is forgotten. */
static void deliveries_are_timed_in_runs(void **state)
{
    static const struct outbox_run four[] = {{70, 1}, {60, 2}, {50, 1}, {20, 9}};
    static const struct outbox_run untimed[] = {{90, 1}, {0, 2}, {80, 1}, {20, 13}};
    static const struct outbox_run all_untimed[] = {{99, 1}, {95, 1}, {90, 1}, {0, 16}};
    static const uint64_t times[] = {20, 20, 20, 20, 30, 30, 40, 40, 40, 50, 60, 60, 70};
    struct stream stream = {0};
    struct outbox_chunk *chunk;

    (void)state;
    write_packet(&stream, 10);
    chunk = stream.outbox.head;
    for (unsigned i = 0; i < ARRAY_LENGTH(times); i++)
        outbox_count(chunk, times[i]);
    check_runs(chunk, four, ARRAY_LENGTH(four));
    outbox_count(chunk, 80);
    outbox_count(chunk, 0);
    outbox_count(chunk, 0);
    outbox_count(chunk, 90);
    check_runs(chunk, untimed, ARRAY_LENGTH(untimed));
    outbox_count(chunk, 95);
    outbox_count(chunk, 99);
    check_runs(chunk, all_untimed, ARRAY_LENGTH(all_untimed));
    chunk->kept = 4;
    assert_int_equal(outbox_losable(chunk), ARRAY_LENGTH(times) + 6 - 4);
    take(&stream, 1);
    outbox_pool_clear(&stream.pool);
}

static void free_lists_are_bounded(void **state)
{
    struct stream stream = {0};

    (void)state;
    for (uint32_t i = 0; i < POOL_LARGE_MAX + 50; i++)
        write_packet(&stream, OUTBOX_CHUNK_LARGE - (uint32_t)sizeof(struct outbox_chunk));
    take(&stream, UINT32_MAX);
    assert_int_equal(stream.pool.large_count, POOL_LARGE_MAX);
    outbox_pool_clear(&stream.pool);
}

static void no_memory_leaves_the_outbox_as_it_was(void **state)
{
    struct stream stream = {0};
    struct message *message = message_create(
        &(struct publication){.topic = span_text("t"), .payload = span_text("xyz")}, 1);

    (void)state;
    write_packet(&stream, 10);
    mem_fail_after(1);
    assert_null(outbox_reserve(&stream.outbox, &stream.pool, OUTBOX_CHUNK_SMALL));
    assert_false(outbox_append_payload(&stream.outbox, message));
    mem_fail_after(0);
    assert_int_equal(stream.outbox.bytes, 10);
    assert_int_equal(atomic_load(&message->references), 1);
    message_unref(message);
    take(&stream, UINT32_MAX);
    outbox_pool_clear(&stream.pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_the_stream_in_order),
        cmocka_unit_test(small_packets_lie_in_one_chunk),
        cmocka_unit_test(chunks_are_used_again),
        cmocka_unit_test(deliveries_are_timed_in_runs),
        cmocka_unit_test(free_lists_are_bounded),
        cmocka_unit_test(no_memory_leaves_the_outbox_as_it_was),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
