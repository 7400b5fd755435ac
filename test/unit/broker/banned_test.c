/* SPDX-License-Identifier: MIT
 *
 * The snapshot of the bans against a list that is looked through.
 */
#include "base/check.h"
#include "base/mem.h"
#include "broker/banned.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define NOW_MS 1000000u

static struct peer_address peer_of(const char *text)
{
    struct peer_address peer = {.family = AF_INET};

    if (inet_pton(AF_INET, text, peer.bytes) != 1) {
        peer.family = AF_INET6;
        assert_int_equal(inet_pton(AF_INET6, text, peer.bytes), 1);
    }
    return peer;
}

static struct ban_key name_key(enum ban_kind kind, const char *name)
{
    return (struct ban_key){.kind = kind, .bytes = span_text(name), .until_ms = BAN_FOREVER};
}

static struct ban_key address_key(const char *text, unsigned prefix, uint8_t bytes[16])
{
    struct peer_address peer = peer_of(text);
    uint32_t len = banned_address_bytes(&peer, bytes);

    banned_mask(bytes, len, prefix);
    return (struct ban_key){.kind = BAN_ADDRESS,
                            .prefix = (uint8_t)prefix,
                            .bytes = span_of(bytes, len),
                            .until_ms = BAN_FOREVER};
}

static bool address_is(const struct banned *banned, const char *text)
{
    struct peer_address peer = peer_of(text);

    return banned_address(banned, &peer, NOW_MS);
}

static const char *client_is(const struct banned *banned, const char *identifier,
                             const char *username)
{
    struct peer_address peer = {0};

    return banned_client(banned, span_text(identifier),
                         username != NULL ? span_text(username) : (struct span){0}, &peer, NOW_MS);
}

static void test_nobody(void **state)
{
    struct banned *banned = banned_create(NULL, 0);

    (void)state;
    assert_false(address_is(NULL, "127.0.0.1"));
    assert_null(client_is(NULL, "x", "y"));
    assert_false(address_is(banned, "127.0.0.1"));
    assert_null(client_is(banned, "", NULL));
    banned_destroy(banned);
    banned_destroy(NULL);
}

static void test_names(void **state)
{
    struct ban_key keys[] = {name_key(BAN_CLIENT_IDENTIFIER, "a"), name_key(BAN_USERNAME, "b"),
                             name_key(BAN_USERNAME, ""), name_key(BAN_CLIENT_IDENTIFIER, "#")};
    struct banned *banned = banned_create(keys, ARRAY_LENGTH(keys));

    (void)state;
    assert_string_equal(client_is(banned, "a", NULL), "the client identifier is banned");
    assert_string_equal(client_is(banned, "x", "b"), "the user name is banned");
    assert_string_equal(client_is(banned, "x", ""), "the user name is banned");
    assert_null(client_is(banned, "b", "a")); /* the kinds are apart */
    assert_null(client_is(banned, "x", NULL));
    assert_null(client_is(banned, "A", "B"));
    assert_null(client_is(banned, "aa", NULL)); /* # is no wildcard */
    banned_destroy(banned);
}

static void test_addresses(void **state)
{
    uint8_t bytes[6][16];
    struct ban_key keys[] = {
        address_key("192.0.2.1", 32, bytes[0]),    address_key("10.1.2.3", 8, bytes[1]),
        address_key("172.16.0.0", 12, bytes[2]),   address_key("2001:db8::", 32, bytes[3]),
        address_key("2001:db9::1", 128, bytes[4]), address_key("fe80::", 10, bytes[5]),
    };
    struct banned *banned = banned_create(keys, ARRAY_LENGTH(keys));
    static const struct {
        const char *text;
        bool banned;
    } rows[] = {
        {"192.0.2.1", true},         {"192.0.2.2", false},      {"10.255.255.255", true},
        {"11.0.0.0", false},         {"9.255.255.255", false},  {"172.31.255.255", true},
        {"172.32.0.0", false},       {"172.15.255.255", false}, {"2001:db8:ffff::1", true},
        {"2001:db9::1", true},       {"2001:db9::2", false},    {"fe80::1", true},
        {"febf::1", true},           {"fec0::1", false},        {"::ffff:10.0.0.1", true},
        {"::ffff:192.0.2.2", false}, {"::192.0.2.1", false},    {"::1", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
        if (address_is(banned, rows[i].text) != rows[i].banned)
            fail_msg("%s is %s", rows[i].text, rows[i].banned ? "let in" : "banned");
    banned_destroy(banned);
    /* all of one family, and none of the other */
    keys[0] = address_key("0.0.0.0", 0, bytes[0]);
    banned = banned_create(keys, 1);
    assert_true(address_is(banned, "1.2.3.4") && address_is(banned, "::ffff:1.2.3.4"));
    assert_false(address_is(banned, "::1"));
    banned_destroy(banned);
}

static void test_time(void **state)
{
    uint8_t bytes[16];
    struct ban_key keys[] = {name_key(BAN_CLIENT_IDENTIFIER, "a"),
                             name_key(BAN_CLIENT_IDENTIFIER, "b"),
                             address_key("10.0.0.0", 8, bytes)};
    struct peer_address peer = peer_of("10.0.0.1");
    struct banned *banned;

    (void)state;
    keys[0].until_ms = NOW_MS;
    keys[1].until_ms = NOW_MS + 1;
    keys[2].until_ms = NOW_MS + 1;
    banned = banned_create(keys, ARRAY_LENGTH(keys));
    assert_null(client_is(banned, "a", NULL));
    assert_non_null(client_is(banned, "b", NULL));
    assert_true(banned_address(banned, &peer, NOW_MS));
    assert_false(banned_address(banned, &peer, NOW_MS + 1));
    banned_destroy(banned);
}

static void test_masks(void **state)
{
    (void)state;
    for (unsigned prefix = 0; prefix <= 32; prefix++) {
        uint8_t bytes[4] = {0xFF, 0xFF, 0xFF, 0xFF};
        uint32_t wanted = prefix == 0 ? 0 : 0xFFFFFFFFu << (32 - prefix), made;

        banned_mask(bytes, 4, prefix);
        made = (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 |
               bytes[3];
        assert_int_equal(made, wanted);
    }
}

/* ---- against a list ---- */

#define KEYS 300

static bool covered(const struct ban_key *keys, size_t count, const uint8_t *bytes, uint32_t len)
{
    for (size_t i = 0; i < count; i++) {
        uint8_t masked[16];

        memcpy(masked, bytes, len);
        banned_mask(masked, len, keys[i].prefix);
        if (keys[i].bytes.len == len && memcmp(masked, keys[i].bytes.data, len) == 0)
            return true;
    }
    return false;
}

static bool is_there(const struct ban_key *keys, size_t count, const struct ban_key *key)
{
    for (size_t i = 0; i < count; i++)
        if (keys[i].prefix == key->prefix && span_equal(keys[i].bytes, key->bytes))
            return true;
    return false;
}

static void random_address(uint8_t *bytes, uint32_t len)
{
    for (uint32_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(rand() % 4 * 0x55); /* few, so that networks hold some of them */
}

static void test_as_a_list_would(void **state)
{
    static uint8_t bytes[KEYS][16];
    static struct ban_key keys[KEYS];
    unsigned yes = 0;
    size_t count = 0;
    struct banned *banned;

    (void)state;
    srand(1);
    for (size_t i = 0; i < KEYS; i++) {
        uint32_t len = rand() % 2 ? 4 : 16;
        unsigned prefix = 8 * len - (unsigned)rand() % (4 * len);

        random_address(bytes[i], len);
        banned_mask(bytes[i], len, prefix);
        keys[count] =
            (struct ban_key){BAN_ADDRESS, (uint8_t)prefix, span_of(bytes[i], len), BAN_FOREVER};
        count += !is_there(keys, count, &keys[count]);
    }
    banned = banned_create(keys, (uint32_t)count);
    for (unsigned i = 0; i < 100000; i++) {
        struct peer_address peer = {.family = rand() % 2 ? AF_INET : AF_INET6};
        uint32_t len = peer.family == AF_INET ? 4 : 16;
        bool wanted;

        random_address(peer.bytes, len);
        wanted = covered(keys, count, peer.bytes, len);
        assert_int_equal(banned_address(banned, &peer, NOW_MS), wanted);
        yes += wanted;
    }
    assert_in_range(yes, 1000, 99000);
    banned_destroy(banned);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nobody),    cmocka_unit_test(test_names),
        cmocka_unit_test(test_addresses), cmocka_unit_test(test_time),
        cmocka_unit_test(test_masks),     cmocka_unit_test(test_as_a_list_would),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
