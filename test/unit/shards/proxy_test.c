/* SPDX-License-Identifier: MIT
 *
 * PROXY headers, whole and in pieces, good and bad; lists of proxies.
 */
#include "shards/proxy.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define V2 "\r\n\r\n\0\r\nQUIT\n"

static enum proxy_found read_it(const char *data, size_t len, size_t *used, struct conn_peer *peer)
{
    *used = 0;
    *peer = (struct conn_peer){.family = AF_INET, .port = 7, .address = {9, 9, 9, 9}};
    /* all that is shorter is incomplete, and says nothing */
    for (size_t part = 0; part < len; part++) {
        struct conn_peer untouched = *peer;

        if (proxy_read((const uint8_t *)data, part, used, peer) != PROXY_INCOMPLETE)
            return proxy_read((const uint8_t *)data, part, used, peer);
        assert_memory_equal(&untouched, peer, sizeof(untouched));
    }
    return proxy_read((const uint8_t *)data, len, used, peer);
}

static void test_good_headers(void **state)
{
    static const struct {
        const char *data;
        size_t len;
        uint8_t family;
        const char *address;
        uint16_t port;
    } cases[] = {
        {"PROXY TCP4 192.0.2.1 198.51.100.1 56324 1883\r\n", 46, AF_INET, "192.0.2.1", 56324},
        {"PROXY TCP6 2001:db8::1 ::1 1 65535\r\n", 36, AF_INET6, "2001:db8::1", 1},
        {"PROXY UNKNOWN\r\n", 15, AF_INET, "9.9.9.9", 7},
        {"PROXY UNKNOWN what ever this is\r\n", 33, AF_INET, "9.9.9.9", 7},
        {V2 "\x21\x11\0\x0c\xc0\0\x02\x01\x7f\0\0\x01\x12\x34\x07\x5b", 28, AF_INET, "192.0.2.1",
         0x1234},
        {V2 "\x21\x11\0\x0f\xc0\0\x02\x01\x7f\0\0\x01\x12\x34\x07\x5b\x04\0\0", 31, AF_INET,
         "192.0.2.1", 0x1234},
        {V2 "\x21\x21\0\x24\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
            "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x12\x34\x07\x5b",
         52, AF_INET6, "2001:db8::1", 0x1234},
        /* PP2_TYPE_SSL with a common name of control bytes: nobody looks at it */
        {V2 "\x21\x11\0\x1c\xc0\0\x02\x01\x7f\0\0\x01\x12\x34\x07\x5b"
            "\x20\0\x0d\x01\0\0\0\0\x22\0\x05\r\n\0\x1b\x7f",
         44, AF_INET, "192.0.2.1", 0x1234},
        {V2 "\x20\x00\0\0", 16, AF_INET, "9.9.9.9", 7}, /* LOCAL: a health check */
        {V2 "\x20\x11\0\x0c\xc0\0\x02\x01\x7f\0\0\x01\x12\x34\x07\x5b", 28, AF_INET, "9.9.9.9", 7},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[INET6_ADDRSTRLEN];
        struct conn_peer peer;
        size_t used;

        if (read_it(cases[i].data, cases[i].len, &used, &peer) != PROXY_COMPLETE)
            fail_msg("header %zu is refused", i);
        assert_int_equal(used, cases[i].len);
        assert_int_equal(peer.family, cases[i].family);
        assert_int_equal(peer.port, cases[i].port);
        assert_string_equal(inet_ntop(peer.family, peer.address, text, sizeof(text)),
                            cases[i].address);
    }
}

static void test_bad_headers(void **state)
{
    static const struct {
        const char *data;
        size_t len;
    } cases[] = {
        {"\x10\x0c\x00\x04MQTT", 8},
        {"PROXY\r\n", 7},
        {"PROXY \r\n", 8},
        {"PROXY TCP4\r\n", 12},
        {"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n", 30},
        {"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n", 34},
        {"PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n", 36},
        {"PROXY TCP4 1.2.3.4 1.2.3.4 -1 2\r\n", 33},
        {"PROXY TCP4 ::1 ::1 1 2\r\n", 24},
        {"PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n", 32},
        {"PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n", 32},
        {"PROXY TCP4 1.2.3.4 1.2.3.4\0 1 2\r\n", 33},
        {"proxy UNKNOWN\r\n", 15},
        {"PROXY UNKNOWN "
         "..............................................................................."
         "................\r\n",
         111},
        {V2 "\x31\x11\0\x0c\xc0\0\x02\x01\x7f\0\0\x01\x12\x34\x07\x5b", 28}, /* version 3 */
        {V2 "\x22\x11\0\x0c\xc0\0\x02\x01\x7f\0\0\x01\x12\x34\x07\x5b", 28}, /* command 2 */
        {V2 "\x21\x11\0\x0b\xc0\0\x02\x01\x7f\0\0\x01\x12\x34\x07", 27},     /* too short */
        {V2 "\x21\x21\0\x0c\xc0\0\x02\x01\x7f\0\0\x01\x12\x34\x07\x5b", 28},
        {V2 "\x21\x11\0\x0d\xc0\0\x02\x01\x7f\0\0\x01\x12\x34\x07\x5b\x22",
         29}, /* half an element */
        {V2 "\x21\x11\0\x10\xc0\0\x02\x01\x7f\0\0\x01\x12\x34\x07\x5b\x22\0\x02x", 32},
        {V2 "\x21\x12\0\x0c\xc0\0\x02\x01\x7f\0\0\x01\x12\x34\x07\x5b", 28}, /* UDP */
        {V2 "\x21\x11\xff\xff", 16},                                         /* 65535 bytes */
        {"\r\n\r\n\0\r\nQUIT\r", 12},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct conn_peer peer;
        size_t used;

        if (read_it(cases[i].data, cases[i].len, &used, &peer) != PROXY_REFUSED)
            fail_msg("header %zu is accepted", i);
    }
}

static bool listed(const char *list_text, const char *address)
{
    struct proxy_list list;
    uint8_t bytes[16];
    uint8_t family = strchr(address, ':') == NULL ? AF_INET : AF_INET6;

    assert_true(proxy_list_read(&list, list_text));
    assert_int_equal(inet_pton(family, address, bytes), 1);
    return proxy_list_has(&list, family, bytes);
}

static void test_lists(void **state)
{
    static const char *const bad[] = {"x",          "1.2.3",   "1.2.3.4/33", "1.2.3.4/",
                                      "1.2.3.4/-1", "::1/129", "1.2.3.4/8x", "1.2.3.4 5.6.7.8"};
    struct proxy_list list;

    (void)state;
    assert_true(listed("127.0.0.1", "127.0.0.1"));
    assert_false(listed("127.0.0.1", "127.0.0.2"));
    assert_true(listed("10.0.0.0/8, 192.168.0.0/16", "192.168.7.7"));
    assert_false(listed("10.0.0.0/8, 192.168.0.0/16", "192.169.0.1"));
    assert_true(listed("10.16.0.0/12", "10.31.255.255"));
    assert_false(listed("10.16.0.0/12", "10.32.0.0"));
    assert_true(listed("127.0.0.1", "::ffff:127.0.0.1"));
    assert_true(listed("fd00::/8", "fd12::1"));
    assert_false(listed("fd00::/8", "fe80::1"));
    assert_false(listed("0.0.0.0/0", "::1"));
    assert_true(listed("::/0", "1.2.3.4"));
    assert_false(listed("", "127.0.0.1"));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (proxy_list_read(&list, bad[i]))
            fail_msg("\"%s\" is accepted", bad[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_headers),
        cmocka_unit_test(test_bad_headers),
        cmocka_unit_test(test_lists),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
