/* SPDX-License-Identifier: MIT
 *
 * What is remembered of rules is nobody else's, and not true for longer than the rules are: every case sends the same
 * message so often that all that could be remembered of it is.
 */
#include "broker/authz_client.c"

#include "unit/broker/fake_ports.h"

#define OFTEN 5u

struct stage {
    struct fake fake;
    struct policy *policy;
    struct connection ann, eve, robot; /* the robot publishes */
};

/* In place of the rules that there were. */
static void use_rules(struct stage *stage, const char *rules)
{
    const struct conf_override change = {"auth.acl.rules", rules, "the test"};
    const struct conf_source source = {.changes = &change, .change_count = 1};
    struct policy *former = stage->policy;
    char why[256] = "";
    struct conf *conf = conf_load(&source, why, sizeof(why));

    assert_string_equal(why, "");
    stage->policy = policy_create(conf, why, sizeof(why));
    assert_non_null(stage->policy);
    conf_free(conf);
    broker_set_policy(stage->fake.broker, stage->policy);
    policy_unref(former);
}

static void feed(struct stage *stage, struct connection *client, const uint8_t *bytes, size_t len)
{
    uint32_t consumed;
    unsigned home;

    connection_receive(stage->fake.broker, client, bytes, (uint32_t)len, &consumed, &home);
    assert_int_equal(consumed, len);
}

/* Takes all that the client is sent; returns how many PUBLISH packets that were. */
static unsigned take(struct stage *stage, struct connection *client)
{
    struct outbox_chunk *chunk = client->out.head;
    unsigned count = 0;

    client->out.head = client->out.tail = NULL;
    while (chunk != NULL) {
        struct outbox_chunk *next = chunk->next;

        for (uint32_t at = 0; at < chunk->len; at += chunk->data[at + 1] + 2u)
            count += chunk->data[at] >> 4 == MQTT_PUBLISH;
        chunk->next = NULL;
        connection_sent(stage->fake.broker, client, chunk);
        chunk = next;
    }
    return count;
}

/* Its session stays behind, for the next with that letter. */
static void join(struct stage *stage, struct connection *client, char letter, const char *username)
{
    uint8_t connect[64] = {0x10, 0, 0, 4, 'M', 'Q', 'T', 'T', 4, 0x80, 0, 0, 0, 1, (uint8_t)letter};
    size_t len = strlen(username);

    connect[1] = (uint8_t)(15 + len);
    connect[16] = (uint8_t)len;
    memcpy(connect + 17, username, len);
    memset(client, 0, sizeof(*client));
    connection_open(stage->fake.broker, client, false);
    feed(stage, client, connect, 17 + len);
    assert_int_equal(client->state, CONNECTION_ONLINE);
    take(stage, client);
}

static void leave(struct stage *stage, struct connection *client)
{
    take(stage, client);
    connection_closed(stage->fake.broker, client, NULL);
    broker_take_dirty(stage->fake.broker);
}

static void subscribe(struct stage *stage, struct connection *client, const char *filter)
{
    uint8_t bytes[64] = {0x82, (uint8_t)(5 + strlen(filter)), 0, 1, 0, (uint8_t)strlen(filter)};

    memcpy(bytes + 6, filter, strlen(filter)); /* QoS 0 */
    feed(stage, client, bytes, 7 + strlen(filter));
    assert_int_equal(client->out.tail->data[client->out.tail->len - 1], 0); /* granted */
    take(stage, client);
}

static void publish_from(struct stage *stage, struct connection *client, const char *topic)
{
    uint8_t bytes[64] = {0x30, (uint8_t)(2 + strlen(topic)), 0, (uint8_t)strlen(topic)};

    memcpy(bytes + 4, topic, strlen(topic));
    feed(stage, client, bytes, 4 + strlen(topic));
}

static void publish_often(struct stage *stage, const char *topic)
{
    for (unsigned i = 0; i < OFTEN; i++)
        publish_from(stage, &stage->robot, topic);
}

#define FOR_ALL "{\"permit\":\"allow\",\"topics\":[\"#\"]}"
#define NOT_FOR_EVE                                                                                \
    "[{\"permit\":\"deny\",\"username\":\"eve\",\"action\":\"subscribe\",\"topics\":[\"s/"         \
    "x\"]}," FOR_ALL "]"
/* The filter s/# is allowed, and yet not all that it matches, so that every message is looked at. */
#define NOT_FOR_ZOE                                                                                \
    "[{\"permit\":\"deny\",\"topics\":[\"s/none\"]},"                                              \
    "{\"permit\":\"deny\",\"username\":\"zoe\",\"topics\":[\"#\"]}," FOR_ALL "]"
#define NOBODY_READS_X                                                                             \
    "[{\"permit\":\"deny\",\"action\":\"subscribe\",\"topics\":[\"s/x\"]}," FOR_ALL "]"
#define NOBODY_WRITES_X                                                                            \
    "[{\"permit\":\"deny\",\"action\":\"publish\",\"topics\":[\"s/x\"]}," FOR_ALL "]"

static int begin(void **state)
{
    static struct stage stage;

    memset(&stage, 0, sizeof(stage));
    fake_begin(&stage.fake);
    use_rules(&stage, NOT_FOR_ZOE);
    join(&stage, &stage.ann, 'a', "ann");
    join(&stage, &stage.eve, 'e', "eve");
    join(&stage, &stage.robot, 'r', "robot");
    *state = &stage;
    return 0;
}

static int end(void **state)
{
    struct stage *stage = *state;

    leave(stage, &stage->ann);
    leave(stage, &stage->eve);
    leave(stage, &stage->robot);
    fake_end(&stage->fake);
    policy_unref(stage->policy);
    return 0;
}

static void new_rules_count_for_the_next_delivery(void **state)
{
    struct stage *stage = *state;

    subscribe(stage, &stage->ann, "s/#");
    publish_often(stage, "s/x");
    assert_int_equal(take(stage, &stage->ann), OFTEN);
    use_rules(stage, NOBODY_READS_X);
    publish_often(stage, "s/x");
    assert_int_equal(take(stage, &stage->ann), 0);
    assert_int_equal(fake_stat(&stage->fake, STAT_drop_not_authorized), OFTEN);
    use_rules(stage, NOT_FOR_ZOE);
    publish_often(stage, "s/x");
    assert_int_equal(take(stage, &stage->ann), OFTEN);
}

static void new_rules_count_for_an_exact_filter(void **state)
{
    struct stage *stage = *state;

    subscribe(stage, &stage->ann, "s/x");
    publish_often(stage, "s/x");
    assert_int_equal(take(stage, &stage->ann), OFTEN);
    use_rules(stage, NOBODY_READS_X);
    publish_often(stage, "s/x");
    assert_int_equal(take(stage, &stage->ann), 0);
}

static void new_rules_count_for_the_next_publish(void **state)
{
    struct stage *stage = *state;

    subscribe(stage, &stage->ann, "s/#");
    publish_often(stage, "s/x");
    use_rules(stage, NOBODY_WRITES_X);
    publish_often(stage, "s/x");
    assert_int_equal(take(stage, &stage->ann), OFTEN);
    assert_int_equal(fake_stat(&stage->fake, STAT_refused_publish), OFTEN);
}

static void a_receiver_has_only_its_own_right(void **state)
{
    struct stage *stage = *state;

    use_rules(stage, NOT_FOR_EVE);
    subscribe(stage, &stage->ann, "s/#");
    subscribe(stage, &stage->eve, "s/#");
    publish_often(stage, "s/x");
    publish_often(stage, "s/y");
    assert_int_equal(take(stage, &stage->ann), 2 * OFTEN);
    assert_int_equal(take(stage, &stage->eve), OFTEN);
}

static void a_publisher_has_only_its_own_right(void **state)
{
    struct stage *stage = *state;

    use_rules(stage, "[{\"permit\":\"allow\",\"topics\":[\"s/${clientid}\"]},"
                     "{\"permit\":\"allow\",\"username\":\"ann\",\"topics\":[\"#\"]},"
                     "{\"permit\":\"deny\",\"topics\":[\"#\"]}]");
    subscribe(stage, &stage->ann, "s/#");
    for (unsigned i = 0; i < OFTEN; i++) {
        publish_from(stage, &stage->robot, "s/r");
        publish_from(stage, &stage->eve, "s/r");
    }
    assert_int_equal(take(stage, &stage->ann), OFTEN);
    assert_int_equal(fake_stat(&stage->fake, STAT_refused_publish), OFTEN);
}

/* The tree has not changed, and neither have the rules. */
static void another_user_of_a_session_has_only_its_own_right(void **state)
{
    struct stage *stage = *state;

    use_rules(stage, NOT_FOR_EVE);
    subscribe(stage, &stage->ann, "s/#");
    publish_often(stage, "s/x");
    assert_int_equal(take(stage, &stage->ann), OFTEN);
    leave(stage, &stage->ann);
    join(stage, &stage->ann, 'a', "eve");
    assert_int_equal(stage->ann.session->subscription_count, 1);
    publish_often(stage, "s/x");
    assert_int_equal(take(stage, &stage->ann), 0);
    publish_often(stage, "s/y");
    assert_int_equal(take(stage, &stage->ann), OFTEN);
}

static void a_member_of_a_group_has_only_its_own_right(void **state)
{
    struct stage *stage = *state;

    use_rules(stage, NOT_FOR_EVE);
    subscribe(stage, &stage->ann, "s/#");
    subscribe(stage, &stage->eve, "$share/g/s/#");
    publish_often(stage, "s/x");
    assert_int_equal(take(stage, &stage->ann), OFTEN);
    assert_int_equal(take(stage, &stage->eve), 0);
}

/* Of who has one filter that needs no look, and one that does. */
static void an_exact_filter_says_nothing_about_others(void **state)
{
    struct stage *stage = *state;

    use_rules(stage, NOT_FOR_EVE);
    subscribe(stage, &stage->eve, "s/y");
    subscribe(stage, &stage->eve, "s/+");
    publish_often(stage, "s/x");
    assert_int_equal(take(stage, &stage->eve), 0);
    publish_often(stage, "s/y");
    assert_int_equal(take(stage, &stage->eve), OFTEN);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(new_rules_count_for_the_next_delivery),
        CASE(new_rules_count_for_an_exact_filter),
        CASE(new_rules_count_for_the_next_publish),
        CASE(a_receiver_has_only_its_own_right),
        CASE(a_publisher_has_only_its_own_right),
        CASE(another_user_of_a_session_has_only_its_own_right),
        CASE(a_member_of_a_group_has_only_its_own_right),
        CASE(an_exact_filter_says_nothing_about_others),
    };

    hash_setup(1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
