/* SPDX-License-Identifier: MIT
 *
 * Where requests may go: every way of writing an address that must not be reached.
 */
#include "http/destination.h"
#include "http/url.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char *refused(const char *text, const struct destination_policy *policy)
{
    const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    const char *what;

    if (getaddrinfo(text, "80", &hints, &found) != 0)
        fail_msg("%s is no address", text);
    what = destination_refused(policy, found->ai_addr);
    freeaddrinfo(found);
    return what;
}

static void special_addresses_are_refused(void **state)
{
    static const char *const addresses[] = {
        "127.0.0.1",
        "127.1.2.3",
        "127.1", /* short, hexadecimal, octal and decimal forms: the resolver knows them */
        "0x7f000001",
        "0177.0.0.1",
        "2130706433",
        "0.0.0.0",
        "0",
        "0.1.2.3",
        "169.254.169.254",
        "2852039166",
        "100.100.100.200",
        "192.0.0.192",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:7f00:1",
        "64:ff9b::127.0.0.1",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::1",
        "fe80::1",
        "febf::1",
        "ff02::1",
        "fd00:ec2::254",
        "fd20:ce::254",
    };
    const struct destination_policy none = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(addresses) / sizeof(*addresses); i++)
        if (refused(addresses[i], &none) == NULL)
            fail_msg("%s is allowed", addresses[i]);
}

static void others_are_allowed(void **state)
{
    static const char *const addresses[] = {
        "10.0.0.1",        "172.16.0.1",  "192.168.1.1",   "93.184.216.34",
        "169.253.255.255", "128.0.0.1",   "1.0.0.0",       "100.100.100.201",
        "::ffff:10.0.0.1", "2001:db8::1", "fd00:ec2::255", "64:ff9b::10.0.0.1",
        "2002:a00:1::",    "fec0::1",
    };
    const struct destination_policy none = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(addresses) / sizeof(*addresses); i++)
        if (refused(addresses[i], &none) != NULL)
            fail_msg("%s is refused: %s", addresses[i], refused(addresses[i], &none));
}

static void what_is_named_is_allowed(void **state)
{
    struct destination_policy policy = {.count = 2};

    (void)state;
    assert_true(network_parse("127.0.0.0/8", &policy.allowed[0]));
    assert_true(network_parse("fe80::5", &policy.allowed[1]));
    assert_null(refused("127.9.9.9", &policy));
    assert_null(refused("::ffff:127.0.0.1", &policy));
    assert_null(refused("fe80::5", &policy));
    assert_non_null(refused("fe80::6", &policy));
    assert_non_null(refused("::1", &policy));
    assert_non_null(refused("169.254.169.254", &policy));
}

static void networks_are_read(void **state)
{
    static const char *const bad[] = {"",        "10.0.0.0/33", "10.0.0.0/",   "10.0.0/8",
                                      "::1/129", "x",           "10.0.0.0/8x", "10.0.0.0/-1",
                                      "::/ 1",   "/8",          "10.0.0.0/8/8"};
    struct network network;
    uint8_t mapped[16], ten[4] = {10, 1, 2, 3};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        if (network_parse(bad[i], &network))
            fail_msg("\"%s\" is read", bad[i]);
    assert_true(network_parse("10.0.0.0/15", &network));
    assert_true(network_map(AF_INET, ten, mapped));
    assert_true(network_has(&network, mapped));
    mapped[13] = 2;
    assert_false(network_has(&network, mapped));
    assert_true(network_parse("::/0", &network));
    assert_true(network_has(&network, mapped));
    assert_false(network_map(AF_UNIX, ten, mapped));
}

static void urls_are_read(void **state)
{
    static const struct {
        const char *text, *host, *target;
        uint16_t port;
        bool tls, ipv6, query;
    } good[] = {
        {"http://auth.example", "auth.example", "/", 80, false, false, false},
        {"HTTPS://a.example:8443/mqtt/auth", "a.example", "/mqtt/auth", 8443, true, false, false},
        {"http://[2001:db8::1]:81/x?k=1&l=%20", "2001:db8::1", "/x?k=1&l=%20", 81, false, true,
         true},
        {"https://127.0.0.1?x", "127.0.0.1", "/?x", 443, true, false, true},
    };
    static const char *const bad[] = {
        "",
        "auth.example",
        "/path",
        "file:///etc/passwd",
        "gopher://h.example:70/_x",
        "ftp://h.example/",
        "ws://h.example/",
        "http://",
        "http:///x",
        "http:/"
        "/user@h.example/",
        "http:/"
        "/user:secret@h.example/",
        "http://h.example/#f",
        "http://h.example:0/",
        "http://h.example:65536/",
        "http://h.example:x/",
        "http://h.example/a b",
        "http://h.example/a\r\nX: y",
        "http://h.example/\x7f",
        "http://h.example/\xc3\xa9",
        "http://h.example\\@evil/",
        "http://[::1/",
        "http://h.example/\"",
    };
    struct http_url url;
    char why[256];

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        if (!http_url_parse(good[i].text, &url, why, sizeof(why)))
            fail_msg("%s %s", good[i].text, why);
        assert_string_equal(url.host, good[i].host);
        assert_string_equal(url.target, good[i].target);
        assert_int_equal(url.port, good[i].port);
        assert_int_equal(url.tls, good[i].tls);
        assert_int_equal(url.ipv6, good[i].ipv6);
        assert_int_equal(url.query, good[i].query);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        why[0] = '\0';
        if (http_url_parse(bad[i], &url, why, sizeof(why)))
            fail_msg("\"%s\" is read", bad[i]);
        assert_int_not_equal(strlen(why), 0);
        assert_null(strstr(why, "secret"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(special_addresses_are_refused),
        cmocka_unit_test(others_are_allowed),
        cmocka_unit_test(what_is_named_is_allowed),
        cmocka_unit_test(networks_are_read),
        cmocka_unit_test(urls_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
