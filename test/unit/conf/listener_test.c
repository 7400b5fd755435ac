/* SPDX-License-Identifier: MIT
 *
 * Listeners of every kind: where they come from, what they have when nothing is said, and what is refused.
 */
#include "conf/conf_priv.h"
#include "unit/conf/conf_test.h"

#define KEYS "certfile = c.pem, keyfile = k.pem"

static const struct conf_listener *find(const struct conf *conf, const char *name)
{
    const struct conf_listener *listener = conf_listener_find(conf, name);

    if (listener == NULL)
        fail_msg("there is no listener %s", name);
    return listener;
}

static struct conf *must_load(const char *text)
{
    struct conf *conf = load(text);

    if (conf == NULL)
        fail_msg("%s", errors);
    return conf;
}

static void test_kinds(void **state)
{
    struct conf *conf =
        must_load("listeners {\n"
                  "  ssl { " KEYS " }\n"
                  "  ssl.inside { bind = \"[::1]:8884\", " KEYS ", verify_peer = true,\n"
                  "               cacertfile = ca.pem }\n"
                  "  ws { origins = \"https://a.example, https://b.example\" }\n"
                  "  wss { bind = \"0.0.0.0:9001/broker\", enable = false }\n"
                  "}");

    (void)state;
    assert_int_equal(conf->listener_count, 4); /* and no tcp: it was not asked for */
    assert_int_equal(find(conf, "ssl")->kind, CONF_LISTENER_SSL);
    assert_int_equal(find(conf, "ssl")->address.port, 8883);
    assert_string_equal(find(conf, "ssl")->address.host, "127.0.0.1");
    assert_string_equal(find(conf, "ssl")->certfile, "c.pem");
    assert_false(find(conf, "ssl")->verify_peer);
    assert_true(find(conf, "ssl.inside")->verify_peer);
    assert_true(find(conf, "ssl.inside")->address.ipv6);
    assert_int_equal(find(conf, "ws")->address.port, 8083);
    assert_string_equal(find(conf, "ws")->address.path, "/mqtt");
    assert_string_equal(find(conf, "wss")->address.path, "/broker");
    assert_false(find(conf, "wss")->enable);
    conf_free(conf);
}

static void test_nothing_said_is_tcp(void **state)
{
    struct conf *conf = must_load("mqtt.max_qos = 1");

    (void)state;
    assert_int_equal(conf->listener_count, 1);
    assert_int_equal(conf->listeners[0].kind, CONF_LISTENER_TCP);
    assert_int_equal(conf->listeners[0].address.port, 1883);
    conf_free(conf);
}

/* NanoMQ's wss has no certificates of its own. */
static void test_wss_has_what_ssl_has(void **state)
{
    struct conf *conf =
        must_load("auth.allow_anonymous = true\n"
                  "listeners.wss.bind = \"0.0.0.0:8086/mqtt\"\n"
                  "listeners.ssl { " KEYS ", cacertfile = ca.pem, verify_peer = true,\n"
                  "  fail_if_no_peer_cert = true, key_password = secret }\n"
                  "listeners.wss.own { bind = \"0.0.0.0:8087\", certfile = d.pem,\n"
                  "  keyfile = e.pem }");

    (void)state;
    assert_string_equal(find(conf, "wss")->certfile, "c.pem");
    assert_string_equal(find(conf, "wss")->key_password, "secret");
    assert_true(find(conf, "wss")->fail_if_no_peer_cert);
    assert_string_equal(find(conf, "wss.own")->certfile, "d.pem");
    assert_false(find(conf, "wss.own")->verify_peer);
    conf_free(conf);
}

/* What is in the files that NanoMQ ships. */
static void test_nanomq_files(void **state)
{
    static const char old[] = "url=nmq-tcp://0.0.0.0:1883\n"
                              "allow_anonymous=true\n"
                              "tls.enable=false\n"
                              "tls.url=nmq-tls://0.0.0.0:8883\n"
                              "tls.key_password=\n"
                              "tls.keyfile=/etc/certs/key.pem\n"
                              "tls.certfile=/etc/certs/cert.pem\n"
                              "tls.cacertfile=/etc/certs/cacert.pem\n"
                              "tls.verify_peer=false\n"
                              "tls.fail_if_no_peer_cert=false\n"
                              "websocket.enable=true\n"
                              "websocket.url=nmq-ws://0.0.0.0:8083/mqtt\n"
                              "websocket.tls_url=nmq-wss://0.0.0.0:8084/mqtt\n";
    static const char fresh[] = "auth { allow_anonymous = true }\n"
                                "listeners.tcp { bind = \"0.0.0.0:1883\" }\n"
                                "listeners.ssl { bind = \"0.0.0.0:8883\"\n"
                                "  keyfile = \"/etc/certs/key.pem\"\n"
                                "  certfile = \"/etc/certs/cert.pem\"\n"
                                "  cacertfile = \"/etc/certs/cacert.pem\"\n"
                                "  verify_peer = false\n"
                                "  fail_if_no_peer_cert = false }\n"
                                "listeners.ws { bind = \"0.0.0.0:8083/mqtt\" }\n"
                                "listeners.wss { bind = \"0.0.0.0:8086/mqtt\" }\n";
    struct conf *conf = must_load(old);

    (void)state;
    assert_true(find(conf, "tcp")->enable);
    assert_false(find(conf, "ssl")->enable);
    assert_true(find(conf, "ws")->enable);
    assert_string_equal(find(conf, "ws")->address.path, "/mqtt");
    assert_false(find(conf, "wss")->enable); /* there is no TLS */
    assert_string_equal(conf->warnings, "");
    conf_free(conf);

    conf = must_load("allow_anonymous=true\ntls.enable=true\ntls.keyfile=k\ntls.certfile=c\n"
                     "websocket.tls_url=nmq-wss://0.0.0.0:8084/mqtt\n");
    assert_true(find(conf, "ssl")->enable);
    assert_true(find(conf, "wss")->enable);
    assert_string_equal(find(conf, "wss")->certfile, "c");
    conf_free(conf);

    conf = must_load("tls.keyfile=k\nurl=nmq-tcp://127.0.0.1:1883\n"); /* off is the old default */
    assert_false(find(conf, "ssl")->enable);
    conf_free(conf);

    conf = must_load(fresh);
    assert_true(find(conf, "ssl")->enable);
    assert_string_equal(find(conf, "wss")->keyfile, "/etc/certs/key.pem");
    conf_free(conf);
}

static void test_unix_sockets(void **state)
{
    struct conf *conf =
        must_load("listeners.unix.bind = \"/run/a b:1/x.sock\"\n"
                  "listeners.unix.url { bind = \"unix:///run/y.sock\", mode = 600,\n"
                  "  group = mqtt, mountpoint = \"here/${username}/\" }");
    char text[128];

    (void)state;
    assert_int_equal(conf->listener_count, 2);
    assert_int_equal(find(conf, "unix")->kind, CONF_LISTENER_UNIX);
    assert_string_equal(find(conf, "unix")->address.path, "/run/a b:1/x.sock");
    assert_string_equal(find(conf, "unix")->mode, "0660");
    assert_string_equal(find(conf, "unix.url")->address.path, "/run/y.sock");
    assert_string_equal(find(conf, "unix.url")->mode, "600");
    assert_true(conf_address_loopback(&find(conf, "unix")->address));
    assert_true(conf_option_get(conf, "listeners.unix.bind", text, sizeof(text)));
    assert_string_equal(text, "/run/a b:1/x.sock");
    conf_free(conf);
    expect_errors("listeners.unix.bind = \"127.0.0.1:1883\"", CONF_FORM_HOCON,
                  "listeners.unix.bind takes the path of a socket, as /run/shardmq/mqtt.sock\n");
    expect_errors("listeners.tcp.bind = \"/run/x.sock\"", CONF_FORM_HOCON,
                  "t.conf:1: listeners.tcp.bind: this URL is of another kind of listener\n");
    expect_errors("listeners.unix.mode = \"0888\"", CONF_FORM_HOCON,
                  "listeners.unix.mode is octal, as 0660, and 0777 at most\n");
    expect_errors("listeners.unix.a.bind = \"/x\"\nlisteners.unix.b.bind = \"/x\"", CONF_FORM_HOCON,
                  "listeners.unix.a and listeners.unix.b have the same address\n");
    expect_errors("listeners.unix.tcp_nodelay = true", CONF_FORM_HOCON,
                  "t.conf:1: listeners.unix.tcp_nodelay: there is no such option; did you mean "
                  "listeners.tcp.tcp_nodelay?\n");
    expect_errors("listeners.tcp.mountpoint = \"a\"", CONF_FORM_HOCON,
                  "listeners.tcp.mountpoint has to end with a slash: \"a/\"\n");
    expect_errors("listeners.tcp.mountpoint = \"a/+/\"", CONF_FORM_HOCON,
                  "listeners.tcp.mountpoint has a wildcard in it\n");
    expect_errors("listeners.tcp.mountpoint = \"$SYS/\"", CONF_FORM_HOCON,
                  "listeners.tcp.mountpoint has a $ that does not begin ${clientid} or "
                  "${username}\n");
}

static void test_what_is_refused(void **state)
{
    (void)state;
    expect_errors("listeners.ssl.enable = true", CONF_FORM_HOCON,
                  "listeners.ssl needs a certificate and its key: set certfile and keyfile\n");
    expect_errors(
        "listeners.wss.enable = true", CONF_FORM_HOCON,
        "listeners.wss needs a certificate and its key: set certfile and keyfile, or those "
        "of listeners.ssl, which it has without its own\n");
    expect_errors("listeners.ssl { certfile = \"a, b\", keyfile = c }", CONF_FORM_HOCON,
                  "listeners.ssl has 2 files in certfile and 1 in keyfile\n");
    expect_errors(
        "listeners.ssl { " KEYS ", verify_peer = true }", CONF_FORM_HOCON,
        "listeners.ssl has verify_peer, but no cacertfile that says whose certificates are "
        "good\n");
    expect_errors(
        "listeners.ssl { " KEYS ", cacertfile = x, fail_if_no_peer_cert = true }", CONF_FORM_HOCON,
        "listeners.ssl has fail_if_no_peer_cert without verify_peer: nobody's certificate "
        "would be looked at; set verify_peer = true\n");
    expect_errors("listeners.ssl { " KEYS ", crlfile = x }", CONF_FORM_HOCON,
                  "listeners.ssl has a crlfile, which needs verify_peer = true\n");
    expect_errors("listeners.ssl { " KEYS ", cacertfile = x, verify_peer = true,\n"
                  "peer_username = cn }",
                  CONF_FORM_HOCON,
                  "listeners.ssl has peer_username, which needs verify_peer and "
                  "fail_if_no_peer_cert\n");
    expect_errors("listeners.tcp.bind = \"127.0.0.1:1883/mqtt\"", CONF_FORM_HOCON,
                  "listeners.tcp.bind has a path, which only WebSocket has\n");
    expect_errors("listeners.ws.bind = \"nmq-tcp://127.0.0.1:1883\"", CONF_FORM_HOCON,
                  "t.conf:1: listeners.ws.bind: this URL is of another kind of listener\n");
    expect_errors("listeners.ws.certfile = x", CONF_FORM_HOCON,
                  "t.conf:1: listeners.ws.certfile: there is no such option; did you mean "
                  "listeners.ssl.certfile?\n");
    expect_errors("listeners.quic.bind = x", CONF_FORM_HOCON,
                  "t.conf:1: listeners.quic.bind: there is no such option; did you mean "
                  "listeners.tcp.bind?\n");
    expect_errors("listeners.tcp.proxy_from = \" ,\"", CONF_FORM_HOCON,
                  "listeners.tcp.proxy_from is a list of nothing: name some, or leave it out\n");
    expect_errors("listeners.ws.origins = \", ,\"", CONF_FORM_HOCON,
                  "listeners.ws.origins is a list of nothing: name some, or leave it out\n");
    expect_errors("listeners.tcp.bind = \"1.1.1.1:1\"\nlisteners.ws.bind = \"1.1.1.1:1\"",
                  CONF_FORM_HOCON, "listeners.tcp and listeners.ws have the same address\n");
}

static struct conf *load_with(const struct conf_override *overrides, size_t count)
{
    struct conf_source source = {.file = "t.conf", .overrides = overrides, .override_count = count};

    return conf_load(&source, errors, sizeof(errors));
}

static void test_command_line(void **state)
{
    static const struct conf_override urls[] = {{"url", "nmq-wss://127.0.0.1:1/x", "--url"},
                                                {"url", "nmq-tls://127.0.0.1:2", "--url"},
                                                {"url", "nmq-tls://127.0.0.1:3", "--url"},
                                                {"listeners.ssl.certfile", "c", "--cert"},
                                                {"listeners.ssl.keyfile", "k", "--key"}};
    static const struct conf_override plain[] = {{"url", "nmq-tcp://127.0.0.1:4", "--url"},
                                                 {"listeners.ssl.certfile", "c", "--cert"}};
    struct conf *conf;

    (void)state;
    write_bytes("t.conf", "listeners.tcp.bind = \"1.1.1.1:1\"", 32);
    conf = load_with(urls, 2);
    assert_null(conf); /* no certificate */
    conf = load_with(plain, 2);
    if (conf == NULL)
        fail_msg("%s", errors);
    assert_int_equal(find(conf, "tcp")->address.port, 4);
    assert_false(find(conf, "ssl")->enable); /* a certificate opens nothing by itself */
    conf_free(conf);
    (void)urls;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_nothing_said_is_tcp),
        cmocka_unit_test(test_wss_has_what_ssl_has),
        cmocka_unit_test(test_nanomq_files),
        cmocka_unit_test(test_unix_sockets),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_command_line),
    };

    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
