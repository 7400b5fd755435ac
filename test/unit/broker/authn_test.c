/* SPDX-License-Identifier: MIT
 *
 * The chain of those who may know a client, with links that say what the test wants: who is asked, in which order, and what
 * becomes of each answer, whenever it comes.
 */
#define authn_plugins_configured  say_plugins_configured
#define authn_plugins_ask         say_plugins_ask
#define authn_jwt_configured      say_jwt_configured
#define authn_jwt_ask             say_jwt_ask
#define authn_password_configured say_password_configured
#define authn_password_ask        say_password_ask
#define authn_scram_configured    say_scram_configured
#define authn_scram_ask           say_scram_ask
#define authn_http_configured     say_http_configured
#define authn_http_ask            say_http_ask
#include "broker/authn.c"

#include "broker/banned.h"

/* This test has its own of these two. */
void nobodys_door(const struct connection *connection, struct peer_door *to);
enum port_username nobodys_username(const struct connection *connection, char *to, size_t size);
#define port_peer_door     nobodys_door
#define port_peer_username nobodys_username
#include "unit/broker/fake_ports.h"
#undef port_peer_door
#undef port_peer_username

enum who { PLUGINS, JWT, PASSWORD, SCRAM, HTTP, LINKS };

static struct {
    enum authn_answer answer;
    enum mqtt_reason code;
    const char *new_username; /* with ALLOW */
    bool absent;              /* it is not configured */
    struct authn_handle handle;
} says[LINKS];

static char asked[64];  /* their names' first letters, in order */
static unsigned states; /* of links, that are not freed */
static struct peer_door door;
static bool alone;          /* no PINGREQ comes with CONNECT */
static bool certified_name; /* the certificate's is "machine" */

static struct fake fake;
static struct broker *broker;
static struct policy policy;
static struct connection client;

static void free_state(void *state)
{
    states--;
    mem_free(state);
}

static enum authn_answer ask_one(enum who who, char letter, struct authn_attempt *attempt)
{
    asked[strlen(asked)] = letter;
    says[who].handle = attempt->handle;
    attempt->code = says[who].code;
    attempt->reason = "the test says so";
    if (says[who].new_username != NULL)
        attempt->new_username = mem_strdup(says[who].new_username);
    if (attempt->state == NULL) { /* of each of them, and none of another's */
        attempt->state = mem_alloc(1);
        attempt->free_state = free_state;
        states++;
    }
    assert_int_equal(states, 1);
    return says[who].answer;
}

#define LINK(name, who, letter)                                                                    \
    bool say_##name##_configured(const struct broker *of)                                          \
    {                                                                                              \
        (void)of;                                                                                  \
        return !says[who].absent;                                                                  \
    }                                                                                              \
    enum authn_answer say_##name##_ask(struct broker *of, struct authn_attempt *attempt)           \
    {                                                                                              \
        (void)of;                                                                                  \
        return ask_one(who, letter, attempt);                                                      \
    }
LINK(plugins, PLUGINS, 'p')
LINK(jwt, JWT, 'j')
LINK(password, PASSWORD, 'w')
LINK(scram, SCRAM, 's')
LINK(http, HTTP, 'h')
#define EVERYBODY "pjwsh"

void port_peer_door(const struct connection *connection, struct peer_door *to)
{
    (void)connection;
    *to = door;
}

enum port_username port_peer_username(const struct connection *connection, char *to, size_t size)
{
    (void)connection;
    snprintf(to, size, "machine");
    return certified_name ? PORT_USERNAME_VERIFIED : PORT_USERNAME_OWN;
}

static int begin(void **state)
{
    (void)state;
    memset(says, 0, sizeof(says));
    memset(asked, 0, sizeof(asked));
    memset(&client, 0, sizeof(client));
    certified_name = alone = false;
    door = (struct peer_door){.listener = "tcp", .protocol = "mqtt"};
    policy = (struct policy){.references = 1, .super_users = (char *)(uintptr_t) "root, boss"};
    fake_begin(&fake);
    broker = fake.broker;
    broker_set_policy(broker, &policy);
    return 0;
}

static void leave(void)
{
    while (broker_take_dirty(broker) != NULL)
        ;
    if (client.serial != 0)
        connection_closed(broker, &client, NULL);
    memset(&client, 0, sizeof(client));
    memset(asked, 0, sizeof(asked));
    assert_int_equal(states, 0);
    assert_int_equal(broker->attempts.count, 0);
}

static int end(void **state)
{
    (void)state;
    leave();
    broker->policy = NULL;
    fake_end(&fake);
    return 0;
}

static enum connection_verdict verdict;

static uint32_t feed(const uint8_t *bytes, uint32_t len)
{
    uint32_t consumed;
    unsigned home;

    verdict = connection_receive(broker, &client, bytes, len, &consumed, &home);
    return consumed;
}

/* NULL: without it. A PINGREQ comes with it, which is taken when nobody has to think about the client. */
static void knock(const char *user, const char *password, const char *method)
{
    uint8_t to[256] = {0x10, 0, 0, 4, 'M', 'Q', 'T', 'T', 5};
    uint8_t *at = to + 9;
    uint32_t consumed;

    leave();
    *at++ = (uint8_t)(2 | (user != NULL ? 0x80 : 0) | (password != NULL ? 0x40 : 0));
    *at++ = 0, *at++ = 60;
    *at++ = method != NULL ? (uint8_t)(3 + strlen(method)) : 0;
#define PUT(text)                                                                                  \
    (*at++ = 0, *at++ = (uint8_t)strlen(text), memcpy(at, text, strlen(text)), at += strlen(text))
    if (method != NULL) {
        *at++ = MQTT_PROPERTY_AUTHENTICATION_METHOD;
        PUT(method);
    }
    PUT("c");
    if (user != NULL)
        PUT(user);
    if (password != NULL)
        PUT(password);
    to[1] = (uint8_t)(at - to - 2);
    if (!alone)
        *at++ = 0xC0, *at++ = 0;
    connection_open(broker, &client, false);
    consumed = feed(to, (uint32_t)(at - to));
    if (alone)
        return;
    assert_int_equal(consumed, at - to - (client.state == CONNECTION_ONLINE ? 0 : 2));
    assert_int_equal(verdict, client.attempt != NULL              ? CONNECTION_PAUSE
                              : client.state == CONNECTION_ONLINE ? CONNECTION_CONTINUE
                                                                  : CONNECTION_STOP); /* I2 */
}

static bool is_in(void)
{
    return client.state == CONNECTION_ONLINE;
}

/* The reason with which it is out; -1: it is not. */
static int out(void)
{
    return client.state == CONNECTION_CLOSING ? client.end_reason : -1;
}

/* Runs it again for each link in turn. */
#define FOR_EACH_LINK(who) for (enum who who = PLUGINS; (who) < LINKS; (who)++)

/* ---- tests ---- */

static void the_order_is_the_one_that_is_promised(void **state)
{
    static const char *const names[] = {"plugins",  "certificate", "jwt",
                                        "password", "scram",       "http"};

    (void)state;
    assert_int_equal(ARRAY_LENGTH(links), ARRAY_LENGTH(names));
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
        assert_string_equal(links[i].name, names[i]);
    knock("u", "p", NULL); /* nobody knows it */
    assert_string_equal(asked, EVERYBODY);
    assert_int_equal(out(), MQTT_REASON_BAD_USER_NAME_OR_PASSWORD);
    assert_null(client.session); /* I4 */
}

static void whoever_knows_is_the_last_who_is_asked(void **state)
{
    (void)state;
    FOR_EACH_LINK(who)
    {
        memset(says, 0, sizeof(says));
        says[who].answer = AUTHN_ALLOW;
        knock("u", "p", NULL);
        assert_true(is_in());
        assert_int_equal(strlen(asked), who + 1);
        assert_memory_equal(asked, EVERYBODY, who + 1);

        says[who].answer = AUTHN_DENY; /* and never falls through to those who would allow */
        for (enum who behind = who + 1; behind < LINKS; behind++)
            says[behind].answer = AUTHN_ALLOW;
        policy.anonymous = true;
        knock("u", "p", NULL);
        assert_int_equal(out(), MQTT_REASON_BAD_USER_NAME_OR_PASSWORD);
        assert_int_equal(strlen(asked), who + 1);

        says[who].code = MQTT_REASON_SERVER_BUSY; /* it could not do it */
        knock("u", "p", NULL);
        assert_int_equal(out(), MQTT_REASON_SERVER_BUSY);
        assert_int_equal(strlen(asked), who + 1);
        knock(NULL, NULL, NULL); /* no more does it let those in who have no name */
        assert_int_equal(out(), MQTT_REASON_SERVER_BUSY);
        policy.anonymous = false;
    }
}

static void who_is_not_configured_is_not_asked(void **state)
{
    (void)state;
    says[JWT].absent = says[SCRAM].absent = true;
    knock("u", "p", NULL);
    assert_string_equal(asked, "pwh");
    assert_true(authn_any_behind(broker, &links[3]));
    says[HTTP].absent = true;
    assert_false(authn_any_behind(broker, &links[3])); /* of password */
}

static void a_ban_comes_first(void **state)
{
    struct ban_key key = {.kind = BAN_USERNAME, .bytes = span_text("u"), .until_ms = BAN_FOREVER};
    struct banned *banned = banned_create(&key, 1);

    (void)state;
    says[PLUGINS].answer = AUTHN_ALLOW;
    broker->banned = banned;
    knock("u", "p", NULL);
    assert_string_equal(asked, "");
    assert_int_equal(out(), MQTT_REASON_BANNED);
    broker->banned = NULL;
    /* and one that comes while somebody thinks about it counts all the same */
    says[PLUGINS].answer = AUTHN_WAIT;
    knock("u", "p", NULL);
    broker->banned = banned;
    authn_complete(broker, says[PLUGINS].handle, AUTHN_ALLOW);
    assert_int_equal(out(), MQTT_REASON_BANNED);
    broker->banned = NULL;
    banned_destroy(banned);
}

static void a_certificate_is_behind_plug_ins_alone(void **state)
{
    (void)state;
    certified_name = true;
    says[JWT].answer = AUTHN_DENY;
    knock("u", NULL, NULL);
    assert_int_equal(out(), MQTT_REASON_BAD_USER_NAME_OR_PASSWORD); /* the door takes others, too */
    door.certified = true;
    knock("u", NULL, NULL);
    assert_true(is_in());
    assert_string_equal(asked, "p");
    assert_string_equal(client.session->username, "machine");
    knock("u", NULL, "SOME"); /* whoever has a method is to prove it */
    assert_string_equal(asked, "pj");
    says[PLUGINS].answer = AUTHN_DENY;
    knock("u", NULL, NULL);
    assert_int_equal(out(), MQTT_REASON_BAD_USER_NAME_OR_PASSWORD);
    assert_string_equal(asked, "p");
}

static void an_answer_may_come_later(void **state)
{
    static const uint8_t ping[] = {0xC0, 0};

    (void)state;
    FOR_EACH_LINK(who)
    {
        int64_t stale = fake_stat(&fake, STAT_authn_stale);

        memset(says, 0, sizeof(says));
        says[who].answer = AUTHN_WAIT;
        knock("u", "p", NULL);
        assert_true(authn_holds(&client));
        assert_false(connection_may_read(broker, &client));
        assert_false(is_in());
        assert_int_equal(out(), -1);
        assert_int_equal(strlen(asked), who + 1);
        authn_complete(broker, says[who].handle, AUTHN_ALLOW);
        assert_true(is_in());
        assert_true(connection_may_read(broker, &client));
        assert_int_equal(feed(ping, sizeof(ping)), sizeof(ping));
        authn_complete(broker, says[who].handle, AUTHN_DENY); /* twice: I1 */
        assert_true(is_in());
        assert_int_equal(fake_stat(&fake, STAT_authn_stale), stale + 1);

        for (enum who behind = who + 1; behind < LINKS; behind++)
            says[behind].answer = AUTHN_ALLOW;
        knock("u", "p", NULL);
        authn_complete(broker, says[who].handle, AUTHN_DENY);
        assert_int_equal(out(), MQTT_REASON_BAD_USER_NAME_OR_PASSWORD);
        assert_int_equal(strlen(asked), who + 1);

        knock("u", "p", NULL);
        authn_complete(broker, says[who].handle, AUTHN_IGNORE); /* those behind it, and no other */
        assert_int_equal(strlen(asked), who + (who == HTTP ? 1 : 2));
        assert_int_equal(is_in(), who != HTTP);
    }
}

static void several_may_think_about_it(void **state)
{
    struct authn_handle first;

    (void)state;
    says[JWT].answer = says[HTTP].answer = AUTHN_WAIT;
    knock("u", "p", NULL);
    first = says[JWT].handle;
    authn_complete(broker, first, AUTHN_IGNORE);
    assert_string_equal(asked, EVERYBODY);
    assert_true(authn_holds(&client));
    authn_complete(broker, says[HTTP].handle, AUTHN_ALLOW);
    assert_true(is_in());
    assert_string_equal(client.identity->link->name, "http");
    assert_int_equal(fake_stat(&fake, STAT_authn_waited), 2);
}

static void an_answer_to_nobody_changes_nothing(void **state)
{
    struct authn_handle gone;

    (void)state;
    says[HTTP].answer = AUTHN_WAIT;
    knock("u", "p", NULL);
    gone = says[HTTP].handle;
    connection_closed(broker, &client, NULL);
    memset(&client, 0, sizeof(client));
    assert_null(authn_find(broker, gone));
    authn_complete(broker, gone, AUTHN_ALLOW);
    assert_int_equal(fake_stat(&fake, STAT_authn_stale), 1);
    knock("u", "p", NULL); /* in the same place, and no answer of another's */
    assert_int_equal(says[HTTP].handle.slot, gone.slot);
    authn_complete(broker, gone, AUTHN_ALLOW);
    assert_int_equal(fake_stat(&fake, STAT_authn_stale), 2);
    assert_true(authn_holds(&client));
    authn_complete(broker, (struct authn_handle){9999, 1}, AUTHN_ALLOW);
    assert_int_equal(fake_stat(&fake, STAT_authn_stale), 3);
}

static void nobody_waits_for_ever(void **state)
{
    (void)state;
    says[HTTP].answer = AUTHN_WAIT;
    knock("u", "p", NULL);
    fake_pass_time(&fake, (uint64_t)broker->conf->mqtt_connect_timeout_ms - 1);
    assert_int_equal(out(), -1);
    fake_pass_time(&fake, 1);
    assert_int_equal(out(), MQTT_REASON_SERVER_UNAVAILABLE);
    assert_int_equal(fake_stat(&fake, STAT_authn_timeout), 1);
    authn_complete(broker, says[HTTP].handle, AUTHN_ALLOW);
    assert_int_equal(fake_stat(&fake, STAT_authn_stale), 1);
    assert_false(is_in());
}

static void who_authenticates_again_is_not_held(void **state)
{
    static const uint8_t again[] = {0xF0, 9, 0x19, 7, 0x15, 0, 4, 'S', 'O', 'M', 'E'};
    static const uint8_t ping[] = {0xC0, 0};

    (void)state;
    says[SCRAM].answer = AUTHN_ALLOW;
    knock("u", NULL, "SOME");
    assert_true(is_in());
    memset(asked, 0, sizeof(asked));
    says[SCRAM].answer = AUTHN_WAIT;
    assert_int_equal(feed(again, sizeof(again)), sizeof(again));
    assert_string_equal(asked, "pjws");
    assert_true(client.attempt->again);
    assert_false(authn_holds(&client)); /* everything else goes on */
    assert_int_equal(feed(ping, sizeof(ping)), sizeof(ping));
    authn_complete(broker, says[SCRAM].handle, AUTHN_ALLOW);
    assert_null(client.attempt);
    assert_int_equal(fake_stat(&fake, STAT_authn_again), 1);
    assert_true(is_in());
    assert_int_equal(feed(again, sizeof(again)), sizeof(again));
    authn_complete(broker, says[SCRAM].handle, AUTHN_DENY);
    assert_int_equal(out(), MQTT_REASON_NOT_AUTHORIZED);
}

static void who_is_to_say_more_is_read(void **state)
{
    static const uint8_t next[] = {0xF0, 9, 0x18, 7, 0x15, 0, 4, 'S', 'O', 'M', 'E'};

    (void)state;
    alone = true;
    says[SCRAM].answer = AUTHN_CONTINUE;
    knock("u", NULL, "SOME");
    assert_string_equal(asked, "pjws");
    assert_false(authn_holds(&client));
    assert_true(connection_may_read(broker, &client));
    authn_complete(broker, says[SCRAM].handle, AUTHN_ALLOW); /* nobody was to say anything */
    assert_false(is_in());
    assert_int_equal(fake_stat(&fake, STAT_authn_stale), 1);
    says[SCRAM].answer = AUTHN_ALLOW;
    assert_int_equal(feed(next, sizeof(next)), sizeof(next));
    assert_string_equal(asked, "pjwss"); /* the same link, with its state */
    assert_true(is_in());
}

/* Whoever names no user is anonymous where that is allowed; whoever names one, or shows a password, is not. */
static void anonymous_is_who_says_nothing(void **state)
{
    (void)state;
    knock(NULL, NULL, NULL);
    assert_int_equal(out(), MQTT_REASON_BAD_USER_NAME_OR_PASSWORD);
    policy.anonymous = true;
    knock(NULL, NULL, NULL);
    assert_true(is_in());
    assert_string_equal(asked, EVERYBODY); /* one of them might know it all the same */
    assert_null(client.identity->link);
    knock("u", NULL, NULL);
    assert_int_equal(out(), MQTT_REASON_BAD_USER_NAME_OR_PASSWORD);
    knock("u", "p", NULL);
    assert_int_equal(out(), MQTT_REASON_BAD_USER_NAME_OR_PASSWORD);
    knock(NULL, "p", NULL);
    assert_int_equal(out(), MQTT_REASON_BAD_USER_NAME_OR_PASSWORD);
    knock(NULL, NULL, "SOME");
    assert_int_equal(out(), MQTT_REASON_BAD_AUTHENTICATION_METHOD);
    door.named_only = true;
    knock(NULL, NULL, NULL);
    assert_int_equal(out(), MQTT_REASON_BAD_USER_NAME_OR_PASSWORD);
}

static void rules_do_not_hold_for_super_users(void **state)
{
    static const struct {
        const char *name;
        bool super;
    } users[] = {{"root", true}, {"boss", true},   {"u", false},
                 {"roo", false}, {"root2", false}, {"root,", false}};

    (void)state;
    says[PASSWORD].answer = AUTHN_ALLOW;
    for (size_t i = 0; i < ARRAY_LENGTH(users); i++) {
        knock(users[i].name, "p", NULL);
        assert_true(is_in());
        assert_int_equal(client.session->superuser, users[i].super);
    }
    says[PASSWORD].new_username = "boss"; /* it is who the link says */
    knock("u", "p", NULL);
    assert_true(client.session->superuser);
    says[PASSWORD].new_username = "u";
    knock("root", "p", NULL);
    assert_false(client.session->superuser);
}

/* A name alone is nobody's: without a link that vouches for it there is no super user. */
static void a_name_alone_makes_no_super_user(void **state)
{
    char *none = fake.conf->auth_http_auth_super_req_url;

    (void)state;
    FOR_EACH_LINK(who)
    says[who].absent = true;
    policy.anonymous = true;
    knock("root", NULL, NULL);
    assert_true(is_in());
    assert_string_equal(asked, "");
    assert_false(client.session->superuser);
    broker_set_policy(broker, &policy); /* a reload looks at it again */
    while (authn_sweep(broker))
        ;
    assert_true(is_in());
    assert_false(client.session->superuser);
    /* the same when there was a question about it */
    fake.conf->auth_http_auth_super_req_url = (char *)(uintptr_t) "http://127.0.0.1/";
    knock("root", NULL, NULL);
    assert_true(is_in());
    assert_non_null(client.identity);
    assert_false(client.session->superuser);
    fake.conf->auth_http_auth_super_req_url = none;
    says[HTTP].absent = false; /* now there is somebody to ask, and he does not know it */
    knock("root", NULL, NULL);
    assert_int_equal(out(), MQTT_REASON_BAD_USER_NAME_OR_PASSWORD);
}

/* Taken from the list by a reload, it is one no more; nor is a session of it that is taken over by somebody else. */
static void super_users_change_with_the_policy(void **state)
{
    struct policy other;

    (void)state;
    says[PASSWORD].answer = AUTHN_ALLOW;
    knock("root", "p", NULL);
    assert_true(client.session->superuser);
    other = policy;
    other.super_users = (char *)(uintptr_t) "u";
    broker_set_policy(broker, &other);
    while (authn_sweep(broker))
        ;
    assert_true(is_in());
    assert_false(client.session->superuser);
    knock("u", "p", NULL);
    assert_true(client.session->superuser);
    knock("root", "p", NULL);
    assert_false(client.session->superuser);
    broker_set_policy(broker, &policy);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(the_order_is_the_one_that_is_promised),
        TEST(whoever_knows_is_the_last_who_is_asked),
        TEST(who_is_not_configured_is_not_asked),
        TEST(a_ban_comes_first),
        TEST(a_certificate_is_behind_plug_ins_alone),
        TEST(an_answer_may_come_later),
        TEST(several_may_think_about_it),
        TEST(an_answer_to_nobody_changes_nothing),
        TEST(nobody_waits_for_ever),
        TEST(who_authenticates_again_is_not_held),
        TEST(who_is_to_say_more_is_read),
        TEST(anonymous_is_who_says_nothing),
        TEST(rules_do_not_hold_for_super_users),
        TEST(a_name_alone_makes_no_super_user),
        TEST(super_users_change_with_the_policy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
