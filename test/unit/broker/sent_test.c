/* SPDX-License-Identifier: MIT
 *
 * What is counted of deliveries whose bytes the kernel took as a whole, in part, or not at all.
 */
#include "broker/sent.c"

#include "unit/broker/fake_ports.h"

#define CONNECT_HEAD 0x10, 13, 0, 4, 'M', 'Q', 'T', 'T', 4

struct peers {
    struct fake fake;
    struct connection receiver, sender;
};

static void feed(struct fake *fake, struct connection *connection, const uint8_t *bytes,
                 uint32_t len)
{
    uint32_t consumed;
    unsigned home;

    connection_receive(fake->broker, connection, bytes, len, &consumed, &home);
    assert_int_equal(consumed, len);
}

/* The chunks that wait, as the machine takes them. */
static struct outbox_chunk *take(struct connection *connection)
{
    struct outbox_chunk *chunk = connection->out.head;

    connection->out.head = connection->out.tail = NULL;
    return chunk;
}

static void send_all(struct fake *fake, struct connection *connection)
{
    struct outbox_chunk *chunk = take(connection);

    while (chunk != NULL) {
        struct outbox_chunk *next = chunk->next;

        chunk->next = NULL;
        connection_sent(fake->broker, connection, chunk);
        chunk = next;
    }
}

static void join(struct fake *fake, struct connection *connection, char letter, bool clean)
{
    const uint8_t connect[] = {CONNECT_HEAD, clean ? 2 : 0, 0, 0, 0, 1, (uint8_t)letter};

    memset(connection, 0, sizeof(*connection));
    connection_open(fake->broker, connection, false);
    feed(fake, connection, connect, sizeof(connect));
    send_all(fake, connection);
}

static void leave(struct fake *fake, struct connection *connection, struct outbox_chunk *unsent,
                  uint32_t sent)
{
    if (unsent != NULL)
        unsent->sent = sent;
    connection_closed(fake->broker, connection, unsent);
    broker_take_dirty(fake->broker);
}

static void begin(struct peers *peers)
{
    static const uint8_t subscribe[] = {0x82, 6, 0, 1, 0, 1, 't', 2};

    fake_begin(&peers->fake);
    join(&peers->fake, &peers->receiver, 'r', false);
    join(&peers->fake, &peers->sender, 's', true);
    feed(&peers->fake, &peers->receiver, subscribe, sizeof(subscribe));
    send_all(&peers->fake, &peers->receiver);
    peers->fake.stats.values[STAT_byte_out] = 0;
}

static void end(struct peers *peers)
{
    send_all(&peers->fake, &peers->sender);
    leave(&peers->fake, &peers->sender, NULL, 0);
    fake_end(&peers->fake);
}

/* 8 bytes to the receiver with QoS 0, 10 with QoS 1. */
static void publish(struct peers *peers, uint8_t qos)
{
    const uint8_t qos0[] = {0x30, 6, 0, 1, 't', 'a', 'b', 'c'};
    const uint8_t qos1[] = {0x32, 8, 0, 1, 't', 0, 9, 'a', 'b', 'c'};

    if (qos == 0)
        feed(&peers->fake, &peers->sender, qos0, sizeof(qos0));
    else
        feed(&peers->fake, &peers->sender, qos1, sizeof(qos1));
}

static void law_holds(const struct fake *fake)
{
    struct stats_snapshot sum = {0};

    stats_sum(&sum, &fake->stats);
    assert_int_equal(sum.values[STAT_delivery_matched], sum.values[STAT_message_out] +
                                                            stats_message_drop(&sum) +
                                                            stats_delivery_pending(&sum));
}

static int64_t timed(const struct fake *fake)
{
    struct stats_snapshot sum = {0};

    stats_sum(&sum, &fake->stats);
    return stats_histogram_count(&sum.histograms[STAT_HISTOGRAM_delivery]);
}

static void packets_that_the_kernel_has_are_counted(void **unused)
{
    /* bytes taken of five QoS 0 packets of 8 bytes, and how many of them that is */
    static const struct {
        uint32_t sent, out;
    } cases[] = {{0, 0}, {1, 0}, {7, 0}, {8, 1}, {9, 1}, {31, 3}, {32, 4}, {39, 4}};

    (void)unused;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct peers peers;

        begin(&peers);
        for (unsigned n = 0; n < 5; n++)
            publish(&peers, 0);
        leave(&peers.fake, &peers.receiver, take(&peers.receiver), cases[i].sent);
        assert_int_equal(fake_stat(&peers.fake, STAT_message_out), cases[i].out);
        assert_int_equal(fake_stat(&peers.fake, STAT_drop_connection_lost), 5 - cases[i].out);
        assert_int_equal(fake_stat(&peers.fake, STAT_byte_out), cases[i].sent);
        assert_int_equal(fake_stat(&peers.fake, STAT_delivery_sending), 0);
        law_holds(&peers.fake);
        end(&peers);
    }
}

/* QoS 1: what the kernel has is sent again with DUP and not counted again; the rest is queued. */
static void the_window_keeps_what_was_not_taken(void **unused)
{
    struct peers peers;

    (void)unused;
    begin(&peers);
    publish(&peers, 1);
    publish(&peers, 0);
    publish(&peers, 1);
    publish(&peers, 1);
    leave(&peers.fake, &peers.receiver, take(&peers.receiver), 10 + 8 + 10 + 3);
    assert_int_equal(fake_stat(&peers.fake, STAT_message_out), 3);
    assert_int_equal(fake_stat(&peers.fake, STAT_delivery_queued), 1);
    assert_int_equal(fake_stat(&peers.fake, STAT_delivery_sending), 0);
    law_holds(&peers.fake);

    fake_pass_time(&peers.fake, 1000);
    join(&peers.fake, &peers.receiver, 'r', false); /* resumes */
    assert_int_equal(fake_stat(&peers.fake, STAT_message_out), 4);
    assert_int_equal(fake_stat(&peers.fake, STAT_retransmit_out), 2);
    assert_int_equal(fake_stat(&peers.fake, STAT_delivery_queued), 0);
    assert_int_equal(timed(&peers.fake), 0); /* it waited for its client */
    law_holds(&peers.fake);
    leave(&peers.fake, &peers.receiver, NULL, 0);
    end(&peers);
}

/* A payload that is a chunk of its own: its message is sent with its last byte, not before. */
static void a_large_message_is_sent_with_its_last_byte(void **unused)
{
    enum { PAYLOAD = OUTBOX_COPY_MAX + 1, BODY = 3 + PAYLOAD };

    for (unsigned whole = 0; whole < 2; whole++) {
        static uint8_t large[3 + BODY] = {0x30, (BODY & 0x7f) | 0x80, BODY >> 7, 0, 1, 't'};
        struct outbox_chunk *head;
        struct peers peers;

        (void)unused;
        begin(&peers);
        publish(&peers, 0);
        feed(&peers.fake, &peers.sender, large, sizeof(large));
        head = take(&peers.receiver);
        assert_int_equal(head->len, 8 + 6);
        assert_int_equal(head->next->len, PAYLOAD);
        if (whole == 1) {
            struct outbox_chunk *payload = head->next;

            head->next = NULL;
            connection_sent(peers.fake.broker, &peers.receiver, head);
            leave(&peers.fake, &peers.receiver, payload, PAYLOAD - 1);
        } else {
            leave(&peers.fake, &peers.receiver, head, 8 + 6);
        }
        assert_int_equal(fake_stat(&peers.fake, STAT_message_out), 1);
        assert_int_equal(fake_stat(&peers.fake, STAT_drop_connection_lost), 1);
        law_holds(&peers.fake);
        end(&peers);
    }
}

static void deliveries_are_timed_from_their_publish(void **unused)
{
    struct stats_snapshot sum = {0};
    struct peers peers;

    (void)unused;
    begin(&peers);
    publish(&peers, 0);
    fake_pass_time(&peers.fake, 3);
    publish(&peers, 0);
    publish(&peers, 1);
    fake_pass_time(&peers.fake, 2);
    send_all(&peers.fake, &peers.receiver);
    stats_sum(&sum, &peers.fake.stats);
    assert_int_equal(timed(&peers.fake), fake_stat(&peers.fake, STAT_message_out));
    assert_int_equal(sum.histograms[STAT_HISTOGRAM_delivery].sum_ns, (5 + 2 + 2) * 1000000);
    assert_int_equal(sum.histograms[STAT_HISTOGRAM_delivery].buckets[stat_bucket(5000000)], 1);
    assert_int_equal(sum.histograms[STAT_HISTOGRAM_delivery].buckets[stat_bucket(2000000)], 2);
    leave(&peers.fake, &peers.receiver, NULL, 0);
    end(&peers);
}

static void retained_messages_are_not_timed(void **unused)
{
    static const uint8_t retain[] = {0x31, 4, 0, 1, 't', 'x'};
    static const uint8_t subscribe[] = {0x82, 6, 0, 1, 0, 1, 't', 0};
    struct peers peers;

    (void)unused;
    begin(&peers);
    leave(&peers.fake, &peers.receiver, NULL, 0);
    feed(&peers.fake, &peers.sender, retain, sizeof(retain));
    fake_pass_time(&peers.fake, 60000);
    feed(&peers.fake, &peers.sender, subscribe, sizeof(subscribe));
    while (broker_run_batches(peers.fake.broker))
        ;
    send_all(&peers.fake, &peers.sender);
    assert_int_equal(fake_stat(&peers.fake, STAT_message_out), 1);
    assert_int_equal(timed(&peers.fake), 0);
    law_holds(&peers.fake);
    end(&peers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packets_that_the_kernel_has_are_counted),
        cmocka_unit_test(the_window_keeps_what_was_not_taken),
        cmocka_unit_test(a_large_message_is_sent_with_its_last_byte),
        cmocka_unit_test(deliveries_are_timed_from_their_publish),
        cmocka_unit_test(retained_messages_are_not_timed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
