/* SPDX-License-Identifier: MIT
 *
 * Publications and subscriptions of operators: what is refused, what goes out, and the ends of an order that
 * waits for other shards.
 */
#include "broker/mqtt_orders.h"

#include "broker/query.h"
#include "mqtt/props.h"
#include "unit/broker/fake_shards.h"

static struct fake_shards fake;
static struct connection client;
static struct errand *back;
static unsigned done_count;

static void done(void *argument, struct errand *errand)
{
    (void)argument;
    done_count++;
    back = errand;
}

static void begin(void)
{
    fake_shards_begin(&fake);
    back = NULL;
    done_count = 0;
}

static void forget_back(void)
{
    errand_free(fake.control, back);
    back = NULL;
}

static void end(void)
{
    forget_back();
    fake_shards_end(&fake);
}

static void drain(struct connection *connection, unsigned shard)
{
    struct outbox_chunk *chunk = connection->out.head;

    connection->out.head = connection->out.tail = NULL;
    while (chunk != NULL) {
        struct outbox_chunk *next = chunk->next;

        chunk->next = NULL;
        connection_sent(fake.brokers[shard], connection, chunk);
        chunk = next;
    }
}

/* Joins as "c" on its home shard; which is that? */
static unsigned join(void)
{
    static const uint8_t connect[] = {0x10, 13, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0, 0, 1, 'c'};
    unsigned shard = broker_home_shard(span_text("c"), FAKE_SHARDS), home;
    uint32_t consumed;

    memset(&client, 0, sizeof(client));
    connection_open(fake.brokers[shard], &client, true);
    connection_receive(fake.brokers[shard], &client, connect, sizeof(connect), &consumed, &home);
    drain(&client, shard);
    fake_settle(&fake);
    return shard;
}

static void leave(unsigned shard)
{
    connection_closed(fake.brokers[shard], &client, NULL);
    broker_take_dirty(fake.brokers[shard]);
}

static const char *why(struct publish_terms terms)
{
    if (terms.topic.data == NULL)
        terms.topic = span_text("t");
    return publish_terms_check(&terms, fake.conf);
}

#define WITH(id, ...)                                                                              \
    {                                                                                              \
        .present = (uint64_t)1 << MQTT_PROPERTY_##id, __VA_ARGS__                                  \
    }

static void wrong_terms_are_named(void **unused)
{
    static uint8_t text[65537];
    static const char *const topics[] = {"", "+", "a/#", "$SYS/x"};
    struct user_property pair = {span_text("k"), span_of(text, 65536)};

    (void)unused;
    begin();
    memset(text, 'x', sizeof(text));
    assert_null(why((struct publish_terms){.qos = 2, .retain = true}));
    for (unsigned i = 0; i < ARRAY_LENGTH(topics); i++)
        assert_memory_equal(why((struct publish_terms){.topic = span_text(topics[i])}), "topic", 5);
    assert_null(why((struct publish_terms){.topic = span_of(text, 65535)}));
    assert_non_null(why((struct publish_terms){.topic = span_of(text, 65536)}));
    assert_non_null(why(
        (struct publish_terms){.props = WITH(CONTENT_TYPE, .content_type = span_of(text, 65536))}));
    assert_non_null(why((struct publish_terms){
        .props = WITH(CORRELATION_DATA, .correlation_data = span_of(text, 65536))}));
    assert_non_null(why(
        (struct publish_terms){.props = WITH(RESPONSE_TOPIC, .response_topic = span_text("a/+"))}));
    assert_non_null(
        why((struct publish_terms){.user_properties = &pair, .user_property_count = 1}));
    pair.value.len = 65535;
    assert_null(why((struct publish_terms){.user_properties = &pair, .user_property_count = 1}));
    fake.conf->mqtt_max_qos = 1;
    assert_memory_equal(why((struct publish_terms){.qos = 2}), "qos", 3);
    fake.conf->mqtt_retain_available = false;
    assert_memory_equal(why((struct publish_terms){.retain = true}), "retain", 6);
    fake.conf->mqtt_max_packet_size = 1000;
    assert_null(why((struct publish_terms){.payload = span_of(text, 980)}));
    assert_memory_equal(why((struct publish_terms){.payload = span_of(text, 1000)}), "payload", 7);
    end();
}

static void properties_are_written_as_in_a_packet(void **unused)
{
    static const uint8_t expected[] = {0x01, 1, 0x08, 0, 1, 'r', 0x26, 0, 1, 'k', 0, 2, 'v', 'w'};
    const struct user_property pair = {span_text("k"), span_text("vw")};
    struct publish_terms terms = {
        .topic = span_text("t"),
        .payload = span_text("p"),
        .qos = 1,
        .props = {.present = PROP_BIT(MQTT_PROPERTY_PAYLOAD_FORMAT_INDICATOR) |
                             PROP_BIT(MQTT_PROPERTY_MESSAGE_EXPIRY_INTERVAL) |
                             PROP_BIT(MQTT_PROPERTY_RESPONSE_TOPIC),
                  .payload_format = 1,
                  .message_expiry = 7,
                  .response_topic = span_text("r")},
        .user_properties = &pair,
        .user_property_count = 1,
    };
    struct publish_order *order = publish_order_create(&terms, 5000000000u);
    const struct publication *publication = &order->message->publication;

    (void)unused;
    assert_true(span_equal(publication->props, span_of(expected, sizeof(expected))));
    assert_int_equal(publication->expires_ms, 5000 + 7000);
    assert_int_equal(publication->received_ns, 5000000000u);
    assert_true(order->payload_is_text);
    begin();
    back = &order->errand;
    end();
}

static void publications_are_counted_where_they_are_routed(void **unused)
{
    struct publish_terms terms = {
        .topic = span_text("t"), .retain = true, .payload = span_text("p")};
    unsigned owner = query_retained_owner(terms.topic, FAKE_SHARDS);
    struct publish_order *order = publish_order_create(&terms, 1);

    (void)unused;
    begin();
    errand_send(fake.control, owner, &order->errand, 1000, done, NULL, NULL);
    fake_settle(&fake);
    assert_ptr_equal(back, &order->errand);
    assert_int_equal(order->reason, MQTT_REASON_NO_MATCHING_SUBSCRIBERS);
    assert_int_equal(fake.stats[owner].values[STAT_message_in], 1);
    assert_int_equal(fake.stats[owner].values[STAT_retained_count], 1);
    forget_back();

    fake.conf->mqtt_max_retained = 1;
    terms.topic = span_text("other");
    owner = query_retained_owner(terms.topic, FAKE_SHARDS);
    order = publish_order_create(&terms, 1);
    errand_send(fake.control, owner, &order->errand, 1000, done, NULL, NULL);
    fake_settle(&fake);
    assert_int_equal(order->reason, MQTT_REASON_QUOTA_EXCEEDED);
    assert_int_equal(fake.stats[owner].values[STAT_publish_refused], 1);
    end();
}

static struct subscribe_order *send(unsigned shard, const char *filter, bool subscribe)
{
    struct subscribe_order *order =
        subscribe_order_create(span_text("c"), span_text(filter), subscribe, 1);

    errand_send(fake.control, shard, &order->errand, 1000, done, NULL, NULL);
    return order;
}

static void a_subscription_waits_for_all_shards(void **unused)
{
    unsigned shard;
    struct subscribe_order *order;

    (void)unused;
    begin();
    shard = join();
    order = send(shard, "a/+", true);
    fake_turn(&fake, shard); /* the others have not heard of it */
    fake_turn(&fake, FAKE_SHARDS);
    assert_int_equal(done_count, 0);
    assert_int_equal(client.subscribes, 1);
    fake_settle(&fake);
    assert_int_equal(done_count, 1);
    assert_true(order->connected && order->reason == MQTT_REASON_GRANTED_QOS_1);
    assert_int_equal(client.subscribes, 0);
    assert_null(client.out.head); /* no SUBACK that nobody asked for */
    forget_back();
    order = send(shard, "a/+", false);
    fake_settle(&fake);
    assert_int_equal(order->reason, MQTT_REASON_SUCCESS);
    assert_int_equal(fake.stats[shard].values[STAT_subscription_count], 0);
    forget_back();
    order = send(shard, "a/+", false);
    fake_settle(&fake);
    assert_int_equal(order->reason, MQTT_REASON_NO_SUBSCRIPTION_EXISTED);
    leave(shard);
    end();
}

static void a_client_that_goes_meanwhile_is_told(void **unused)
{
    unsigned shard;
    struct subscribe_order *order;

    (void)unused;
    begin();
    shard = join();
    order = send(shard, "a/+", true);
    fake_turn(&fake, shard);
    leave(shard);
    fake_settle(&fake);
    assert_int_equal(done_count, 1);
    assert_ptr_equal(back, &order->errand);
    assert_false(order->connected);
    forget_back();
    order = send(shard, "a/+", true); /* and one that is not there at all */
    fake_settle(&fake);
    assert_false(order->connected);
    end();
}

static void an_asker_that_does_not_wait_gets_nothing(void **unused)
{
    unsigned shard;

    (void)unused;
    begin();
    shard = join();
    send(shard, "a/+", true);
    fake_turn(&fake, shard);
    fake_shards_pass_time(&fake, 2000);
    fake_turn(&fake, FAKE_SHARDS);
    assert_int_equal(done_count, 1);
    assert_null(back);
    fake_settle(&fake); /* it comes back, and is freed */
    assert_int_equal(done_count, 1);
    assert_int_equal(fake.stats[shard].values[STAT_subscription_count], 1);
    leave(shard);
    end();
}

static void the_end_of_the_broker_frees_what_waits(void **unused)
{
    unsigned shard;

    (void)unused;
    begin();
    shard = join();
    send(shard, "a/+", true);
    fake_turn(&fake, shard);
    leave(
        shard); /* as the machine does at the end: connections first; nobody takes the order then */
    fake_shards_end(&fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_terms_are_named),
        cmocka_unit_test(properties_are_written_as_in_a_packet),
        cmocka_unit_test(publications_are_counted_where_they_are_routed),
        cmocka_unit_test(a_subscription_waits_for_all_shards),
        cmocka_unit_test(a_client_that_goes_meanwhile_is_told),
        cmocka_unit_test(an_asker_that_does_not_wait_gets_nothing),
        cmocka_unit_test(the_end_of_the_broker_frees_what_waits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
