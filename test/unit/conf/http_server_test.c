/* SPDX-License-Identifier: MIT
 *
 * The options of the HTTP API: NanoMQ's names for them, when it is on, and what it refuses to be open to.
 */
#include "conf/conf_priv.h"
#include "unit/conf/conf_test.h"

/* ---- names ---- */

static void test_what_nanomq_ships(void **state)
{
    struct conf *conf = load("http_server {\n port = 8082\n limit_conn = 2\n max_body = 64KB\n"
                             " username = root\n password = secret\n auth_type = basic\n"
                             " jwt { public.keyfile = \"/etc/certs/jwt/jwtRS256.key.pub\" }\n}\n");

    (void)state;
    assert_true(conf->http_server_enable); /* the block is the switch */
    assert_int_equal(conf->http_server_port, 8082);
    assert_int_equal(conf->http_server_limit_conn, 2);
    assert_int_equal(conf->http_server_max_body, 65536);
    assert_string_equal(conf->http_server_username, "root");
    assert_string_equal(conf->http_server_password, "secret");
    assert_string_equal(conf->http_server_jwt_public_keyfile, "/etc/certs/jwt/jwtRS256.key.pub");
    assert_string_equal(conf->warnings, "");
    conf_free(conf);
    conf = load("url=nmq-tcp://127.0.0.1:1883\nhttp_server.enable=true\nhttp_server.port=8083\n"
                "http_server.username=a\nhttp_server.password=b\nhttp_server.parallel=32\n"
                "http_server.ip_addr=127.0.0.1\n");
    assert_true(conf->http_server_enable);
    assert_int_equal(conf->http_server_port, 8083);
    conf_free(conf);
    expect_errors("http_server.auth_type = jwt", CONF_FORM_HOCON,
                  "http_server.auth_type = jwt needs http_server.jwt.public.keyfile, the key that "
                  "tokens are verified with\n");
    expect_errors("http_server.auth_type = none", CONF_FORM_HOCON,
                  "t.conf:1: http_server.auth_type: takes basic, no_auth or jwt, not \"none\"\n");
    expect_errors("http_server.username = \"a:b\"", CONF_FORM_HOCON,
                  "http_server.username must not have a colon: Basic authentication has no place "
                  "for it\n");
}

static void test_the_environment(void **state)
{
    static const char *const variables[] = {
        "NANOMQ_HTTP_SERVER_ENABLE=true",       "NANOMQ_HTTP_SERVER_URL=http://127.0.0.1:8085",
        "NANOMQ_HTTP_SERVER_USERNAME=u",        "NANOMQ_HTTP_SERVER_PASSWORD=p",
        "NANOMQ_HTTP_SERVER_AUTH_TYPE=no_auth", "SHARDMQ_HTTP_SERVER_USERNAME=v",
        "SHARDMQ_HTTP_SERVER_CORS_ORIGINS=*",   NULL};
    static const struct conf_override port[] = {{"http_server.port", "8086", "-p"}};
    struct conf_source source = {.environment = (char *const *)(uintptr_t)variables};
    struct conf *conf = conf_load(&source, errors, sizeof(errors));

    (void)state;
    if (conf == NULL)
        fail_msg("%s", errors);
    assert_true(conf->http_server_enable);
    assert_int_equal(conf->http_server_port, 8085);
    assert_string_equal(conf->http_server_ip_addr.host, "127.0.0.1");
    assert_string_equal(conf->http_server_username, "v");
    assert_string_equal(conf->http_server_password, "p");
    assert_int_equal(conf->http_server_auth_type, CONF_HTTP_AUTH_NONE);
    assert_string_equal(conf->http_server_cors_origins, "*");
    conf_free(conf);
    source.overrides = port;
    source.override_count = 1;
    conf = conf_load(&source, errors, sizeof(errors));
    assert_int_equal(conf->http_server_port, 8086);
    conf_free(conf);
}

static void test_when_it_is_on(void **state)
{
    static const struct {
        const char *text;
        bool on;
    } rows[] = {
        {"", false},
        {"mqtt.max_qos = 1 #", false},
        {"http_server.port = 1 #", true},
        {"http_server { }", false},
        {"http_server { enable = false, port = 1 }", false},
        {"http_server { enable = true }", true},
        {"http_server.port=1\n", false}, /* NanoMQ 0.6: only the switch is one */
        {"http_server.enable=yes\n", true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct conf *conf = load(rows[i].text);

        if (conf->http_server_enable != rows[i].on)
            fail_msg("%s: it is %s", rows[i].text, rows[i].on ? "off" : "on");
        conf_free(conf);
    }
}

/* ---- who can reach it ---- */

static const struct {
    const char *address, *host;
    bool loopback;
} addresses[] = {
    {"127.0.0.1", "127.0.0.1", true},
    {"127.0.0.2", "127.0.0.2", true},
    {"127.255.255.254", "127.255.255.254", true},
    {"localhost", "127.0.0.1", true},
    {"::1", "::1", true},
    {"[::1]", "::1", true},
    {"::ffff:127.0.0.1", "::ffff:127.0.0.1", true},
    {"0.0.0.0", "0.0.0.0", false},
    {"*", "0.0.0.0", false},
    {"::", "::", false},
    {"[::]", "::", false},
    {"::ffff:0.0.0.0", "::ffff:0.0.0.0", false},
    {"::ffff:10.0.0.1", "::ffff:10.0.0.1", false},
    {"::127.0.0.1", "::127.0.0.1", false},
    {"128.0.0.1", "128.0.0.1", false},
    {"192.168.1.2", "192.168.1.2", false},
    {"fe80::1", "fe80::1", false},
};

static struct conf *load_address(const char *address, const char *more)
{
    char text[300];

    snprintf(text, sizeof(text), "http_server { ip_addr = \"%s\" }\n%s", address, more);
    return load_form(text, CONF_FORM_HOCON);
}

static void test_the_default_password_is_for_this_machine(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(addresses); i++) {
        struct conf *conf = load_address(addresses[i].address, "");
        char wanted[300];

        if (addresses[i].loopback != (conf != NULL))
            fail_msg("%s: %s", addresses[i].address, conf != NULL ? "accepted" : errors);
        snprintf(wanted, sizeof(wanted),
                 "http_server.password is the default one, which everybody knows, and other "
                 "machines can reach http_server.ip_addr %s: set http_server.password to one of "
                 "your own, or http_server.ip_addr = 127.0.0.1\n",
                 addresses[i].host);
        if (conf == NULL)
            assert_string_equal(errors, wanted);
        else
            assert_string_equal(conf->http_server_ip_addr.host, addresses[i].host);
        conf_free(conf);
        /* another name with the known password is no better */
        conf = load_address(addresses[i].address, "http_server.username = me");
        assert_int_equal(conf != NULL, addresses[i].loopback);
        conf_free(conf);
        conf = load_address(addresses[i].address, "http_server.password = Public");
        assert_non_null(conf);
        conf_free(conf);
        conf = load_address(addresses[i].address, "http_server.enable = false");
        assert_non_null(conf);
        conf_free(conf);
    }
}

static void test_without_authentication(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(addresses); i++) {
        struct conf *conf = load_address(
            addresses[i].address, "http_server { auth_type = no_auth, password = \"of no use\" }");

        if (addresses[i].loopback != (conf != NULL))
            fail_msg("%s: %s", addresses[i].address, conf != NULL ? "accepted" : errors);
        if (conf == NULL)
            assert_non_null(strstr(errors, "http_server.auth_type = no_auth would let everybody"));
        conf_free(conf);
        conf = load_address(addresses[i].address,
                            "http_server { auth_type = no_auth, allow_remote_no_auth = true }");
        assert_non_null(conf);
        conf_free(conf);
    }
}

static void test_what_is_no_address(void **state)
{
    static const char *const rows[] = {
        "example.com", "127.0.0.1:8081", "[::1]:8081",     "",   "[127.0.0.1", "::1]",
        "1.2.3",       "127.1",          "0.0.0.0 ; true", "::g"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        char wanted[300];

        snprintf(wanted, sizeof(wanted),
                 "t.conf:1: http_server.ip_addr: takes a numeric address without a port, as "
                 "127.0.0.1 or ::1, not \"%s\"\n",
                 rows[i]);
        if (load_address(rows[i], "") != NULL)
            fail_msg("%s: accepted", rows[i]);
        assert_string_equal(errors, wanted);
    }
}

/* ---- the secret ---- */

static void add(void *argument, const char *path, const char *running, const char *wanted)
{
    size_t used = strlen(argument);

    snprintf((char *)argument + used, 1000 - used, "%s %s %s\n", path, running, wanted);
}

static void test_nothing_shows_the_password(void **state)
{
    struct conf *one = load("http_server.password = \"hunter2\"");
    struct conf *other = load("http_server.password = \"hunter3\"");
    char *text = dump(one), differences[1000] = "";

    (void)state;
    assert_null(strstr(text, "hunter"));
    assert_non_null(strstr(text, "    password = \"***\"\n"));
    assert_int_equal(conf_diff_reload(one, other, add, add, differences), 1);
    assert_string_equal(differences, "http_server.password *** ***\n");
    assert_int_equal(conf_diff_reload(one, one, add, add, differences), 0);
    free(text);
    conf_free(one);
    conf_free(other);
}

/* Whatever is wrong with the line: the message does not quote it. */
static void test_no_message_quotes_the_password(void **state)
{
    static const char *const rows[] = {
        "http_server.password = hunter\"hunter",
        "http_server.password = \"hunter",
        "http_server.password = \"x\" hunter",
        "http_server.password = x, hunter",
        "http_server.password = x, hunter + hunter",
        "http_server.password = x{hunter}",
        "http_server.password hunter",
        "http_server.password = \"\\hunter\"",
        "http_server { port = 1\n password = [hunter, {hunter = hunter}] }",
        "http_server { username = u, password = \"\"hunter\"\" }",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct conf *conf = load_form(rows[i], CONF_FORM_HOCON);

        if (conf != NULL)
            fail_msg("%s: accepted", rows[i]);
        if (strstr(errors, "hunter") != NULL)
            fail_msg("%s: %s", rows[i], errors);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_nanomq_ships),
        cmocka_unit_test(test_the_environment),
        cmocka_unit_test(test_when_it_is_on),
        cmocka_unit_test(test_the_default_password_is_for_this_machine),
        cmocka_unit_test(test_without_authentication),
        cmocka_unit_test(test_what_is_no_address),
        cmocka_unit_test(test_nothing_shows_the_password),
        cmocka_unit_test(test_no_message_quotes_the_password),
    };

    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
