/* SPDX-License-Identifier: MIT */
#include "api/auth.h"

#include <openssl/base64.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

static struct auth auth;
static uint64_t now_ms;

static int begin(void **state)
{
    (void)state;
    memset(&auth, 0, sizeof(auth));
    now_ms = 1000000;
    return 0;
}

static enum auth_verdict try_header(const char *header, uint8_t family, const uint8_t *address,
                                    unsigned *wait_s)
{
    return auth_check(&auth, span_text(header), family, address, now_ms, "admin", "pub:lic",
                      wait_s);
}

static enum auth_verdict try_pair(const char *pair, uint8_t family, const uint8_t *address)
{
    char header[2048] = "Basic ";
    unsigned wait_s = 0;
    enum auth_verdict verdict;

    EVP_EncodeBlock((uint8_t *)header + strlen(header), (const uint8_t *)pair, strlen(pair));
    verdict = try_header(header, family, address, &wait_s);
    assert_true((wait_s != 0) == (verdict == AUTH_SLOWED));
    return verdict;
}

static const uint8_t here[16] = {127, 0, 0, 1}, there[16] = {10, 0, 0, 7};

static void one_pair_is_right(void **state)
{
    static const char *const wrong[] = {"admin:",         ":",
                                        ":pub:lic",       "admin:pub:li",
                                        "admin:pub",      "ADMIN:pub:lic",
                                        "admin:pub:licx", "admi:pub:lic",
                                        "admin:admin"};

    (void)state;
    assert_int_equal(try_pair("admin:pub:lic", AF_INET, here), AUTH_RIGHT);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        memset(&auth, 0, sizeof(auth));
        assert_int_equal(try_pair(wrong[i], AF_INET, here), AUTH_WRONG);
    }
}

static void what_is_no_pair_is_absent(void **state)
{
    static const char *const absent[] = {"",           "Basic",       "Basic ",
                                         "Bearer x",   "Basic ====",  "Basic YWRtaW4=",
                                         "Basic @@@@", "Basicx YTpi", "Basic YTpi YTpi"};
    unsigned wait_s = 0;

    (void)state;
    for (unsigned round = 0; round < 3; round++) /* it does not count as wrong either */
        for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++)
            if (try_header(absent[i], AF_INET, here, &wait_s) != AUTH_ABSENT)
                fail_msg("%s", absent[i]);
    assert_int_equal(try_header("bAsIc   YWRtaW46cHViOmxpYw==", AF_INET, here, &wait_s),
                     AUTH_RIGHT);
}

static void guessing_is_slowed_down(void **state)
{
    (void)state;
    for (unsigned i = 0; i < AUTH_FREE; i++)
        assert_int_equal(try_pair("admin:x", AF_INET, here), AUTH_WRONG);
    /* right ones are not told apart: else an answer would tell */
    assert_int_equal(try_pair("admin:x", AF_INET, here), AUTH_SLOWED);
    assert_int_equal(try_pair("admin:pub:lic", AF_INET, here), AUTH_SLOWED);
    assert_int_equal(try_pair("admin:pub:lic", AF_INET, there), AUTH_RIGHT);
    now_ms += AUTH_PAUSE_MS - 1;
    assert_int_equal(try_pair("admin:x", AF_INET, here), AUTH_SLOWED);
    now_ms += 1;
    assert_int_equal(try_pair("admin:x", AF_INET, here), AUTH_WRONG); /* one, then it waits again */
    assert_int_equal(try_pair("admin:pub:lic", AF_INET, here), AUTH_SLOWED);
    now_ms += AUTH_PAUSE_MS;
    assert_int_equal(try_pair("admin:pub:lic", AF_INET, here), AUTH_RIGHT);
    now_ms += AUTH_FORGET_MS;
    for (unsigned i = 0; i < AUTH_FREE; i++)
        assert_int_equal(try_pair("admin:x", AF_INET, here), AUTH_WRONG);
    assert_int_equal(try_pair("admin:x", AF_INET, here), AUTH_SLOWED);
}

static void half_of_an_ipv6_address_counts(void **state)
{
    uint8_t address[16] = {0x20, 0x01, 0x0d, 0xb8};

    (void)state;
    for (unsigned i = 0; i < AUTH_FREE; i++) {
        address[15] = (uint8_t)i;
        address[8] = (uint8_t)(i * 7);
        assert_int_equal(try_pair("a:b", AF_INET6, address), AUTH_WRONG);
    }
    assert_int_equal(try_pair("a:b", AF_INET6, address), AUTH_SLOWED);
    address[7] = 1;
    assert_int_equal(try_pair("a:b", AF_INET6, address), AUTH_WRONG);
}

static void the_table_is_bounded(void **state)
{
    (void)state;
    for (unsigned i = 0; i < AUTH_FREE; i++)
        assert_int_equal(try_pair("a:b", AF_INET, here), AUTH_WRONG);
    for (unsigned i = 0; i < AUTH_ADDRESSES - 1; i++) {
        uint8_t address[16] = {10, 1, (uint8_t)(i / 256), (uint8_t)i};

        now_ms++;
        assert_int_equal(try_pair("a:b", AF_INET, address), AUTH_WRONG);
    }
    assert_int_equal(try_pair("a:b", AF_INET, here), AUTH_SLOWED); /* it has its place still */
    assert_int_equal(try_pair("a:b", AF_INET, there), AUTH_WRONG); /* which is now taken */
    assert_int_equal(try_pair("a:b", AF_INET, here), AUTH_WRONG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(one_pair_is_right, begin),
        cmocka_unit_test_setup(what_is_no_pair_is_absent, begin),
        cmocka_unit_test_setup(guessing_is_slowed_down, begin),
        cmocka_unit_test_setup(half_of_an_ipv6_address_counts, begin),
        cmocka_unit_test_setup(the_table_is_bounded, begin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
