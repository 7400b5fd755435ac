/* SPDX-License-Identifier: MIT
 *
 * password - stored passwords of every kind: those of other programs, ours, and what is none.
 */
#include "auth/password.h"

#include "base/check.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
/* cmocka wants the above first */
#include <cmocka.h>

/* Written by other programs: Python's hashlib, Passlib's documentation, Debian's mosquitto_passwd 2.0.11; the password
 * and the salt of the keys of SCRAM are those of RFC 7677, section 3. */
static const struct {
    const char *text, *password;
    enum password_kind kind;
} known[] = {
    {"$6$MDEyMzQ1Njc4OTAx$"
     "gYNW6ZAeKzKZrqejkwS8I3P39a51xxC8SujBy5uuCu0N5KEcCOq6H6GjiCNljZ2Di2xqkex9t15gGxGuVI/HNg==",
     "swordfish", PASSWORD_SHA512},
    {"$7$101$MDEyMzQ1Njc4OTAx$fF+rvqrLFAqhz7fmB3DB0RMPFBvVQZGSXu5LMM+"
     "O3Z6UqsAohxNWOIZoJH5qgFwvpT8v1JwLN2jJoLJcuxxcYg==",
     "swordfish", PASSWORD_PBKDF2},
    {"$scrypt$ln=10,r=8,p=2$MDEyMzQ1Njc4OTAx$cq6+nBNqSPaI/MLks803mSj7WIJT6Z4DvmvKucS/m84=",
     "swordfish", PASSWORD_SCRYPT},
    {"$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E",
     "password", PASSWORD_SCRYPT},
    {"$scram-sha-256$i=4096$W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=$"
     "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
     "pencil", PASSWORD_SCRAM},
    {"correct: horse", "correct: horse", PASSWORD_CLEAR},
    {"$", "$", PASSWORD_CLEAR},
    {"$$x", "$$x", PASSWORD_CLEAR},
    {"$money", "$money", PASSWORD_CLEAR},
    {"$7$101$mWi4hvwRjDhlZv7N$9VmcuPbW4yEn98tqVJKpay+LO1+"
     "sLXZmoPvgH8KBYC87UUE7d4gPXNIfWQeiiKuuMAUlkqCTPhkmDriPofxFQw==",
     "secret", PASSWORD_PBKDF2},
    {"$6$U1Ql7dIH1sv2zsLj$sRG0FETQoQCPiG1NqIqzB7EESuMijJ6hTGzukM09GNrV4guCjF2R++aeuLWxKB9K6lAQ/"
     "DeXYKe7fmh2sOybeA==",
     "secret", PASSWORD_SHA512},
};

static bool parses(struct password *to, const char *text)
{
    const char *why = NULL;
    bool good = password_parse(to, span_text(text), &why);

    if (!good)
        assert_non_null(why);
    return good;
}

static void what_others_wrote_is_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(known); i++) {
        struct password password;
        char wrong[64];

        assert_true(parses(&password, known[i].text));
        assert_int_equal(password.kind, known[i].kind);
        assert_true(password_verify(&password, span_text(known[i].password)));
        snprintf(wrong, sizeof(wrong), "%s ", known[i].password);
        assert_false(password_verify(&password, span_text(wrong)));
        assert_false(password_verify(&password, span_text("x")));
        assert_false(password_verify(&password, span_of(NULL, 0)));
        password_release(&password);
    }
}

static const char *const bad[] = {
    "",
    "$6$",
    "$6$$",
    "$6$MDEy$",
    "$6$salt$hash",
    "$7$",
    "$7$101",
    "$7$101$MDEyMzQ1Njc4OWFi",
    "$7$0$",
    "$7$-1$",
    "$7$1e3$",
    "$7$4294967297$",
    "$5$rounds=5000$salt$hash",
    "$2b$12$abcdefghijklmnopqrstuv",
    "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$aGFzaGhhc2g",
    "$y$j9T$salt$hash",
    "$scrypt$",
    "$scrypt$ln=14,r=8,p=1",
    "$scrypt$ln=14,r=8,p=1$aM15713r3Xsvxbi31lqr1Q",
    "$scrypt$ln=14,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$",
    "$scrypt$ln=14,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5",
    "$scrypt$ln=9,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E",
    "$scrypt$ln=20,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E",
    "$scrypt$ln=14,r=8,p=17$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E",
    "$scrypt$r=8,ln=14,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E",
    "$scrypt$ln=14,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E:",
    "$scrypt$ln=14,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E:x",
    ("$scrypt$ln=14,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E "
     ":$scram-sha-256$i=4096$"),
    "$scram-sha-256$i=4096$W22ZaJ0SNY7soEsUEjb6gQ==$",
    "$scram-sha-256$i=4095$W22ZaJ0SNY7soEsUEjb6gQ==$",
};

static void what_is_no_password_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        struct password password;

        if (parses(&password, bad[i]))
            fail_msg("taken: %s", bad[i]);
    }
}

/* A file that was cut off anywhere: no shorter form of a hash is a hash, and none is a password in clear text. */
static void no_beginning_of_a_hash_is_a_password(void **state)
{
    (void)state;
    for (size_t i = 0; i < 5; i++) {
        size_t len = strlen(known[i].text);

        while (known[i].text[len - 1] == '=')
            len--; /* padding may be left away */
        for (size_t part = 3; part < len; part++) {
            struct password password;
            const char *why;

            if (password_parse(&password, span_of(known[i].text, part), &why)) {
                /* "$s", "$sc" .. do not look like a hash yet */
                assert_int_equal(password.kind, PASSWORD_CLEAR);
                assert_null(memchr(known[i].text + 1, '$', part - 1));
                password_release(&password);
            }
        }
    }
}

static void a_new_one_is_good_for_both_ways(void **state)
{
    struct password_cost cost = {
        .kind = PASSWORD_SCRYPT, .log_n = 10, .r = 8, .p = 1, .scram_iterations = 4096};
    char text[PASSWORD_TEXT_MAX], other[PASSWORD_TEXT_MAX];
    struct password password;
    struct scram_keys keys;

    (void)state;
    assert_true(password_make(span_text("opensesame"), &cost, text));
    assert_true(password_make(span_text("opensesame"), &cost, other));
    assert_string_not_equal(text, other); /* the salts differ */
    assert_true(parses(&password, text));
    assert_int_equal(password.kind, PASSWORD_SCRYPT);
    assert_true(password_verify(&password, span_text("opensesame")));
    assert_false(password_verify(&password, span_text("Opensesame")));
    assert_true(password.has_scram);
    keys = password.scram;
    assert_true(scram_derive(&keys, span_text("opensesame")));
    assert_memory_equal(keys.stored_key, password.scram.stored_key, SCRAM_KEY_BYTES);
    assert_memory_equal(keys.server_key, password.scram.server_key, SCRAM_KEY_BYTES);
    password_release(&password);

    cost.scram_iterations = 0;
    cost.kind = PASSWORD_PBKDF2;
    cost.iterations = 1000;
    assert_true(password_make(span_text("opensesame"), &cost, text));
    assert_true(span_starts_with(span_text(text), "$7$1000$"));
    assert_true(parses(&password, text));
    assert_true(password_verify(&password, span_text("opensesame")));
    password_release(&password);
    cost.kind = PASSWORD_SCRYPT;
    assert_true(password_make(span_text("x"), &cost, text));
    assert_null(strchr(text, ':'));
    assert_true(parses(&password, text));
    assert_false(password.has_scram);
    password_release(&password);
}

static void the_usual_cost_is_within_the_bounds(void **state)
{
    char text[PASSWORD_TEXT_MAX];
    struct password password;

    (void)state;
    assert_true(password_cost_good(&PASSWORD_COST_DEFAULT));
    assert_true(password_make(span_text("pw"), &PASSWORD_COST_DEFAULT, text));
    assert_true(parses(&password, text));
    assert_true(password_verify(&password, span_text("pw")));
    password_release(&password);
}

static void the_longest_password_fits(void **state)
{
    static uint8_t bytes[PASSWORD_BYTES_MAX + 1];
    struct password password;
    const char *why;

    (void)state;
    memset(bytes, 'x', sizeof(bytes));
    assert_true(password_parse(&password, span_of(bytes, PASSWORD_BYTES_MAX), &why));
    assert_true(password_verify(&password, span_of(bytes, PASSWORD_BYTES_MAX)));
    assert_false(password_verify(&password, span_of(bytes, PASSWORD_BYTES_MAX + 1)));
    password_release(&password);
    assert_false(password_parse(&password, span_of(bytes, PASSWORD_BYTES_MAX + 1), &why));
    assert_string_equal(why, "the password is longer than 1024 bytes");
}

static void without_memory_there_is_no_password(void **state)
{
    struct password password;
    const char *why;
    bool good;

    (void)state;
    mem_fail_after(1);
    good = password_parse(&password, span_text("clear"), &why);
    mem_fail_after(0);
    assert_false(good);
    assert_string_equal(why, "out of memory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_others_wrote_is_read),
        cmocka_unit_test(what_is_no_password_is_refused),
        cmocka_unit_test(no_beginning_of_a_hash_is_a_password),
        cmocka_unit_test(a_new_one_is_good_for_both_ways),
        cmocka_unit_test(the_usual_cost_is_within_the_bounds),
        cmocka_unit_test(the_longest_password_fits),
        cmocka_unit_test(without_memory_there_is_no_password),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
