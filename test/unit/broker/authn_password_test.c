/* SPDX-License-Identifier: MIT
 *
 * Passwords and the work that they are, counted and not timed: the same for whoever is refused, and no more of it than the
 * answers that are held back allow, however many come at once.
 */
#include "auth/password_store.h"
#include "broker/authn_priv.h"
#include "broker/policy.h"
#include "unit/broker/fake_shards.h"

#define CLIENTS 40u

static struct fake_shards fake;
static struct policy policy;
static struct connection clients[CLIENTS];
static unsigned knocked;

static struct broker *broker_of(unsigned client)
{
    return fake.brokers[client % FAKE_SHARDS];
}

/* A user with a hash that is quickly computed. */
static void add_user(const char *name, enum password_kind kind, unsigned work)
{
    const struct password_cost cost = {
        .kind = kind, .log_n = (uint8_t)work, .r = 1, .p = 1, .iterations = work};
    char text[PASSWORD_TEXT_MAX], error[256];

    if (kind == PASSWORD_CLEAR)
        snprintf(text, sizeof(text), "secret of %s", name);
    else
        assert_true(password_make(span_text("secret"), &cost, text));
    assert_true(password_store_add(policy.passwords, span_text(name), span_text(text), "here",
                                   error, sizeof(error)));
}

static int begin(void **state)
{
    (void)state;
    fake_shards_begin(&fake);
    memset(clients, 0, sizeof(clients));
    knocked = 0;
    policy = (struct policy){.references = 1,
                             .passwords = password_store_create(),
                             .super_users = (char *)(uintptr_t) ""};
    return 0;
}

static int end(void **state)
{
    (void)state;
    for (unsigned i = 0; i < knocked; i++) {
        while (broker_take_dirty(broker_of(i)) != NULL)
            ;
        connection_closed(broker_of(i), &clients[i], NULL);
    }
    assert_int_equal(policy.references, 1);
    for (unsigned i = 0; i < FAKE_SHARDS; i++)
        fake.brokers[i]->policy = NULL;
    password_store_unref(policy.passwords);
    fake_shards_end(&fake);
    return 0;
}

/* The next one, on the next shard. */
static struct connection *knock(const char *user, const char *password)
{
    unsigned number = knocked++, shard = number % FAKE_SHARDS, try = 0;
    struct connection *client = &clients[number];
    uint8_t to[256] = {0x10, 0, 0, 4, 'M', 'Q', 'T', 'T', 5, 0xC2, 0, 60, 0};
    const char *parts[] = {NULL, user, password};
    uint8_t *at = to + 13;
    uint32_t consumed;
    unsigned home;
    char id[32];

    assert_true(number < CLIENTS);
    do
        snprintf(id, sizeof(id), "c%u-%u", number, try++);
    while (broker_home_shard(span_text(id), FAKE_SHARDS) != shard);
    parts[0] = id;
    for (size_t i = 0; i < 3; i++) {
        *at++ = 0;
        *at++ = (uint8_t)strlen(parts[i]);
        memcpy(at, parts[i], strlen(parts[i]));
        at += strlen(parts[i]);
    }
    to[1] = (uint8_t)(at - to - 2);
    fake.brokers[shard]->policy = &policy;
    connection_open(broker_of(number), client, false);
    connection_receive(broker_of(number), client, to, (uint32_t)(at - to), &consumed, &home);
    return client;
}

static unsigned checks;
static void (*really_check)(struct work *work);

static void count_check(struct work *work)
{
    checks++;
    really_check(work);
}

/* Knocks, lets workers do what there is, and says how many passwords they checked; whether it is in must be as said. */
static unsigned work_of(const char *user, const char *password, bool in)
{
    struct connection *client = knock(user, password);

    checks = 0;
    for (unsigned i = 0; i < fake.work_count; i++) {
        really_check = fake.works[i]->blocking;
        fake.works[i]->blocking = count_check;
    }
    fake_run_works(&fake, false);
    assert_int_equal(client->state, in ? CONNECTION_ONLINE : CONNECTION_CLOSING);
    if (!in)
        assert_int_equal(client->end_reason, MQTT_REASON_BAD_USER_NAME_OR_PASSWORD);
    return checks;
}

static void whoever_is_refused_was_the_same_work(void **state)
{
    (void)state;
    add_user("clear", PASSWORD_CLEAR, 0);
    assert_int_equal(work_of("clear", "wrong", false), 0); /* all are checked in microseconds */
    assert_int_equal(work_of("nobody", "wrong", false), 0);
    add_user("hashed", PASSWORD_PBKDF2, 100);
    assert_int_equal(work_of("hashed", "wrong", false), 1);
    assert_int_equal(work_of("nobody", "wrong", false), 1);
    assert_int_equal(work_of("", "wrong", false), 1);
    assert_int_equal(work_of("clear", "wrong", false), 1);
    assert_int_equal(work_of("clear", "secret of clear", true), 0);
    assert_int_equal(work_of("hashed", "secret", true), 1);
}

/* The entry that a name is checked against for the sake of time is nobody's key. */
static void the_password_of_another_opens_nothing(void **state)
{
    (void)state;
    add_user("clear", PASSWORD_CLEAR, 0);
    add_user("hashed", PASSWORD_PBKDF2, 100);
    policy.cache_ttl_ms = 60000;
    policy.cache_size = 16;
    assert_int_equal(work_of("clear", "secret", false), 1);
    assert_int_equal(work_of("nobody", "secret", false), 1);
    assert_int_equal(work_of("hashed", "secret of clear", false), 1);
    assert_int_equal(work_of("clear", "secret", false), 1); /* nor was it remembered */
}

/* A crowd that came before the first was known to be wrong. */
static void a_burst_is_tried_one_by_one(void **state)
{
    int64_t unchecked = 0, held = 0;
    char password[16];

    (void)state;
    add_user("hashed", PASSWORD_PBKDF2, 100);
    policy.slow_down = (struct slow_down_rule){
        .after = 2, .held = 4, .delay_ms = 500, .max_delay_ms = 1000, .forget_ms = 60000};
    for (unsigned i = 0; i < 30; i++) {
        snprintf(password, sizeof(password), "guess %u", i);
        knock("hashed", password);
    }
    assert_int_equal(fake.work_count, 30);
    fake_run_works(&fake, false);
    for (unsigned i = 0; i < FAKE_SHARDS; i++) {
        unchecked += fake.stats[i].values[STAT_authn_unchecked];
        held += fake.stats[i].values[STAT_authn_held_back];
    }
    assert_int_equal(held, 4); /* of all shards together */
    assert_int_equal(unchecked, 30 - 2 - 4);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(whoever_is_refused_was_the_same_work),
        TEST(the_password_of_another_opens_nothing),
        TEST(a_burst_is_tried_one_by_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
