/* SPDX-License-Identifier: MIT
 *
 * Tickets of questions that wait: each is answered once, whatever comes, and when.
 */
#include "broker/plugins.c"

#include "unit/broker/fake_ports.h"

static struct {
    enum smq_decision decision;
    bool defers;
    uint64_t ticket; /* of the last question */
    unsigned asked, over;
} say;

static enum smq_decision authenticate(void *self, void *state,
                                      const struct smq_authentication *question,
                                      struct smq_answer *answer)
{
    (void)self;
    (void)state;
    (void)answer;
    say.asked++;
    *question->exchange = &say;
    say.ticket = say.defers ? plugins_defer(question->call) : 0;
    if (say.defers)
        assert_int_equal(plugins_defer(question->call), say.ticket); /* one for each question */
    return say.defers && say.ticket != 0 ? SMQ_DEFER : say.decision;
}

static void authentication_over(void *self, void *state, void *exchange)
{
    (void)self;
    (void)state;
    assert_ptr_equal(exchange, &say);
    say.over++;
}

struct guests {
    struct fake fake;
    struct plugins plugins;
    struct plugin list[1];
    _Atomic(struct plugin_desk *) desks[1];
    struct connection connections[3];
};

static void begin(struct guests *guests)
{
    char why[100];

    memset(guests, 0, sizeof(*guests));
    memset(&say, 0, sizeof(say));
    say.decision = SMQ_DENY;
    say.defers = true;
    fake_begin(&guests->fake);
    guests->list[0] = (struct plugin){
        .name = "test",
        .path = "/test",
        .hooks = {.authenticate = authenticate, .authentication_over = authentication_over}};
    guests->plugins =
        (struct plugins){.count = 1, .shards = 1, .list = guests->list, .desks = guests->desks};
    assert_true(plugins_enter(guests->fake.broker, &guests->plugins, why, sizeof(why)));
}

static void knock(struct guests *guests, unsigned i)
{
    const uint8_t connect[] = {
        0x10, 13, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 60, 0, 1, (uint8_t)('a' + i)};
    uint32_t consumed;
    unsigned home;

    connection_open(guests->fake.broker, &guests->connections[i], false);
    connection_receive(guests->fake.broker, &guests->connections[i], connect, sizeof(connect),
                       &consumed, &home);
}

static bool is_in(const struct guests *guests, unsigned i)
{
    return guests->connections[i].state == CONNECTION_ONLINE;
}

static bool is_out(const struct guests *guests, unsigned i)
{
    return guests->connections[i].state == CONNECTION_CLOSING;
}

static void end(struct guests *guests)
{
    while (broker_take_dirty(guests->fake.broker) != NULL)
        ;
    for (unsigned i = 0; i < 3; i++)
        if (guests->connections[i].serial != 0)
            connection_closed(guests->fake.broker, &guests->connections[i], NULL);
    plugins_leave(guests->fake.broker);
    assert_int_equal(say.over, say.asked); /* each exchange ended once */
    fake_end(&guests->fake);
}

static bool complete(struct guests *guests, uint64_t ticket, enum smq_decision decision)
{
    return plugins_complete(&guests->plugins, ticket, decision, NULL);
}

static int64_t count(const struct guests *guests, enum stat_id id)
{
    return fake_stat(&guests->fake, id);
}

static void test_the_first_answer_counts(void **state)
{
    struct guests guests;
    uint64_t ticket;

    (void)state;
    begin(&guests);
    knock(&guests, 0);
    ticket = say.ticket;
    assert_false(is_in(&guests, 0));
    assert_true(complete(&guests, ticket, SMQ_ALLOW));
    assert_true(is_in(&guests, 0));
    assert_true(complete(&guests, ticket, SMQ_DENY));
    assert_true(is_in(&guests, 0));
    assert_int_equal(count(&guests, STAT_plugin_stale), 1);
    knock(&guests, 1); /* in the same place, under another ticket */
    assert_int_not_equal(say.ticket, ticket);
    assert_int_equal(say.ticket >> 32, ticket >> 32);
    complete(&guests, ticket, SMQ_ALLOW);
    assert_false(is_in(&guests, 1));
    assert_int_equal(count(&guests, STAT_plugin_stale), 2);
    complete(&guests, say.ticket, SMQ_DENY);
    assert_true(is_out(&guests, 1));
    end(&guests);
}

static void test_time(void **state)
{
    struct guests guests;

    (void)state;
    begin(&guests);
    knock(&guests, 0);
    fake_pass_time(&guests.fake, guests.fake.conf->plugins_timeout_ms - 100);
    assert_false(is_out(&guests, 0));
    fake_pass_time(&guests.fake, 200);
    assert_true(is_out(&guests, 0));
    assert_int_equal(count(&guests, STAT_plugin_timeout), 1);
    complete(&guests, say.ticket, SMQ_ALLOW);
    assert_int_equal(count(&guests, STAT_plugin_stale), 1);
    assert_true(is_out(&guests, 0));
    end(&guests);
}

static void test_too_many(void **state)
{
    struct guests guests;

    (void)state;
    begin(&guests);
    guests.fake.conf->plugins_max_waiting = 2;
    for (unsigned i = 0; i < 3; i++)
        knock(&guests, i);
    assert_int_equal(say.ticket, 0);
    assert_true(is_out(&guests, 2));
    assert_false(is_out(&guests, 1));
    assert_int_equal(count(&guests, STAT_plugin_deferred), 2);
    end(&guests);
}

/* Its connection ends while the answer is awaited: so does the wait. */
static void test_gone(void **state)
{
    struct guests guests;

    (void)state;
    begin(&guests);
    knock(&guests, 0);
    connection_closed(guests.fake.broker, &guests.connections[0], NULL);
    guests.connections[0].serial = 0;
    assert_int_equal(say.over, 1);
    assert_int_equal(guests.fake.broker->plugins->waiting, 0);
    complete(&guests, say.ticket, SMQ_ALLOW);
    assert_int_equal(count(&guests, STAT_plugin_stale), 1);
    end(&guests);
}

static void test_strange_tickets_and_answers(void **state)
{
    struct guests guests;
    char long_text[PLUGIN_TEXT_BYTES * 3];
    struct smq_answer answer = SMQ_ANSWER_INIT;

    (void)state;
    begin(&guests);
    assert_false(complete(&guests, 0, SMQ_ALLOW));
    assert_false(complete(&guests, UINT64_MAX, SMQ_ALLOW));
    assert_true(complete(&guests, UINT64_C(1) << 56 | 7, SMQ_ALLOW));
    knock(&guests, 0);
    assert_true(complete(&guests, say.ticket + 1, SMQ_ALLOW));
    assert_int_equal(count(&guests, STAT_plugin_stale), 2);
    mem_fail_after(1);
    assert_false(complete(&guests, say.ticket, SMQ_ALLOW));
    mem_fail_after(0);
    memset(long_text, 'x', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 1] = '\0';
    answer.text = long_text;
    answer.reason = 0x10;
    assert_true(plugins_complete(&guests.plugins, say.ticket, (enum smq_decision)99, &answer));
    assert_true(is_out(&guests, 0)); /* no sense is no */
    knock(&guests, 1);
    complete(&guests, say.ticket, SMQ_CONTINUE); /* without a method */
    assert_true(is_out(&guests, 1));
    end(&guests);
}

/* One that was built with an older header has fewer members, which are then not read. */
static void test_older_answer(void **state)
{
    struct guests guests;
    struct smq_answer answer = SMQ_ANSWER_INIT;

    (void)state;
    begin(&guests);
    knock(&guests, 0);
    answer.struct_size = offsetof(struct smq_answer, username);
    answer.username = (struct smq_text){(const char *)1, 5};
    assert_true(plugins_complete(&guests.plugins, say.ticket, SMQ_ALLOW, &answer));
    assert_true(is_in(&guests, 0));
    end(&guests);
}

static void test_end_while_waiting(void **state)
{
    struct guests guests;

    (void)state;
    begin(&guests);
    knock(&guests, 0);
    knock(&guests, 1);
    end(&guests);
}

uint64_t port_clock_ns(void)
{
    return 3 * SLOW_NS;
}

static void test_one_call_in_17_is_timed(void **state)
{
    struct guests guests;
    unsigned timed = 0;

    (void)state;
    begin(&guests);
    for (unsigned i = 0; i < 3 * TIMED_ONE_IN; i++)
        timed += plugin_message_hook_begins(guests.fake.broker->plugins) != 0;
    assert_int_equal(timed, 3);
    plugin_hook_over(guests.fake.broker->plugins, guests.list, "publish", 0); /* not timed */
    assert_int_equal(count(&guests, STAT_plugin_slow), 0);
    plugin_hook_over(guests.fake.broker->plugins, guests.list, "publish", SLOW_NS);
    assert_int_equal(count(&guests, STAT_plugin_slow), 1);
    end(&guests);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_answer_counts),
        cmocka_unit_test(test_time),
        cmocka_unit_test(test_too_many),
        cmocka_unit_test(test_gone),
        cmocka_unit_test(test_strange_tickets_and_answers),
        cmocka_unit_test(test_older_answer),
        cmocka_unit_test(test_end_while_waiting),
        cmocka_unit_test(test_one_call_in_17_is_timed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
