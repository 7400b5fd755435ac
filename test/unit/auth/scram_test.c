/* SPDX-License-Identifier: MIT
 *
 * scram - the exchange of RFC 7677 on both sides, and what each refuses of the other.
 */
#include "auth/scram.h"

#include "auth/base64.h"
#include "base/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
/* cmocka wants the above first */
#include <cmocka.h>

/* RFC 7677, section 3. The nonces there are no base64 of 18 bytes: the client's part is written over with it. */
#define RFC_FIRST     "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
#define RFC_NONCE     "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define RFC_CHALLENGE "r=" RFC_NONCE ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
#define RFC_BARE      "c=biws,r=" RFC_NONCE
#define RFC_FINAL     RFC_BARE ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
#define RFC_ANSWER    "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="

static const uint8_t random_bytes[SCRAM_RANDOM_BYTES] = "0123456789abcdefgh";

static struct scram_keys pencil_keys(void)
{
    struct scram_keys keys = {.iterations = 4096};
    size_t len;

    assert_true(
        base64_decode(span_text("W22ZaJ0SNY7soEsUEjb6gQ=="), keys.salt, sizeof(keys.salt), &len));
    keys.salt_len = (uint32_t)len;
    assert_true(scram_derive(&keys, span_text("pencil")));
    return keys;
}

/* The server's state as if it had made the RFC's challenge. */
static void set_rfc_challenge(struct scram_server *server)
{
    const char *bare = "n=user,r=rOprNGfwEbeRWgbNEkqO," RFC_CHALLENGE;

    server->keys = pencil_keys();
    server->text_len = (uint32_t)strlen(bare);
    memcpy(server->text, bare, server->text_len);
    server->nonce_at = (uint32_t)strlen("n=user,r=rOprNGfwEbeRWgbNEkqO,r=");
    server->nonce_len = (uint32_t)strlen(RFC_NONCE);
}

static void the_server_agrees_with_the_rfc(void **state)
{
    static struct scram_server server;
    char answer[SCRAM_MESSAGE_MAX];
    const char *why = "";
    size_t len;
    bool guess;

    (void)state;
    assert_true(scram_server_first(&server, span_text(RFC_FIRST), &why));
    assert_int_equal(server.user_len, 4);
    assert_memory_equal(server.user, "user", 4);
    set_rfc_challenge(&server);
    assert_true(scram_server_final(&server, span_text(RFC_FINAL), answer, &len, &guess, &why));
    assert_string_equal(answer, RFC_ANSWER);
    assert_int_equal(len, strlen(answer));
    scram_server_end(&server);
    assert_int_equal(server.keys.iterations, 0);
}

static void the_client_agrees_with_the_rfc(void **state)
{
    static struct scram_client client;
    char message[SCRAM_MESSAGE_MAX];
    const char *why = "", *bare = "n=user,r=rOprNGfwEbeRWgbNEkqO";

    (void)state;
    assert_true(scram_client_first(&client, span_text("user"), random_bytes, message) > 0);
    client.text_len = (uint32_t)strlen(bare);
    memcpy(client.text, bare, client.text_len);
    client.nonce_at = 9;
    client.nonce_len = 20;
    assert_int_equal(
        scram_client_final(&client, span_text(RFC_CHALLENGE), span_text("pencil"), message, &why),
        strlen(RFC_FINAL));
    assert_string_equal(message, RFC_FINAL);
    assert_true(scram_client_check(&client, span_text(RFC_ANSWER)));
    assert_false(scram_client_check(&client, span_text("v=")));
    assert_false(scram_client_check(&client, span_text("e=other-error")));
    assert_false(
        scram_client_check(&client, span_text("v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")));
}

/* A whole exchange; whether the client got in. */
static bool exchange(const char *user, const char *password, const struct scram_keys *keys,
                     bool *guess)
{
    static struct scram_client client;
    static struct scram_server server;
    char message[SCRAM_MESSAGE_MAX], answer[SCRAM_MESSAGE_MAX];
    const char *why = "";
    size_t len = scram_client_first(&client, span_text(user), random_bytes, message);

    assert_true(len > 0);
    assert_true(scram_server_first(&server, span_of(message, len), &why));
    assert_true(span_equal(span_of(server.user, server.user_len), span_text(user)));
    len = scram_server_challenge(&server, keys, random_bytes, answer);
    len = scram_client_final(&client, span_of(answer, len), span_text(password), message, &why);
    assert_true(len > 0);
    if (!scram_server_final(&server, span_of(message, len), answer, &len, guess, &why))
        return false;
    assert_true(scram_client_check(&client, span_of(answer, len)));
    return true;
}

/* Typed in another way, it is the same user with the same password (RFC 4013). */
static void text_has_one_form(void **state)
{
    struct scram_keys keys = {.iterations = 4096, .salt_len = 4, .salt = "salt"}, other = keys;
    static struct scram_client client;
    static struct scram_server server;
    char message[SCRAM_MESSAGE_MAX], long_name[600];
    const char *why = "";
    size_t len;
    bool guess;

    (void)state;
    assert_true(scram_derive(&keys, span_text("\xC3\xA9t\xC3\xA9 IX")));
    assert_true(scram_derive(&other, span_text("e\xCC\x81t\xC3\xA9\xC2\xA0\xE2\x85\xA8")));
    assert_memory_equal(&keys, &other, sizeof(keys));
    assert_true(exchange("u", "e\xCC\x81t\xC3\xA9\xC2\xA0I\xC2\xADX", &keys, &guess));
    assert_false(exchange("u", "ete IX", &keys, &guess));

    len = scram_client_first(&client, span_text("I\xC2\xADX\xEF\xBC\x8C"), random_bytes, message);
    assert_true(len > 9);
    assert_memory_equal(message, "n,,n=IX=2C,", 11); /* a wide comma is one */
    assert_true(scram_server_first(&server, span_text("n,,n=\xE2\x85\xA8,r=x"), &why));
    assert_true(span_equal(span_of(server.user, server.user_len), span_text("IX")));
    assert_true(scram_server_first(&server, span_text("n,a=IX,n=\xE2\x85\xA8,r=x"), &why));
    assert_false(scram_server_first(&server, span_text("n,,n=\xC2\xAD,r=x"), &why));

    for (size_t i = 0; i < sizeof(long_name); i += 3)
        memcpy(long_name + i, "\xEF\xB7\xBA", 3);
    assert_int_equal(
        scram_client_first(&client, span_of(long_name, sizeof(long_name)), random_bytes, message),
        0);
    assert_false(scram_client_name_good(span_of(long_name, sizeof(long_name))));
    assert_true(scram_client_name_good(span_of(long_name, 30)));
    assert_false(scram_client_name_good(span_text("\xC2\xAD")));
    memcpy(message, "n,,n=", 5);
    memcpy(message + 5, long_name, sizeof(long_name));
    memcpy(message + 5 + sizeof(long_name), ",r=x", 4);
    assert_false(scram_server_first(&server, span_of(message, 5 + sizeof(long_name) + 4), &why));
}

static void both_sides_find_each_other(void **state)
{
    struct scram_keys keys = pencil_keys();
    char longest[601];
    bool guess = false;

    (void)state;
    assert_true(exchange("user", "pencil", &keys, &guess));
    assert_true(exchange("a,b=c,=2C", "pencil", &keys, &guess));
    assert_true(exchange("\xC3\xA9t\xC3\xA9", "pencil", &keys, &guess));
    memset(longest, ',', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    assert_true(exchange(longest, "pencil", &keys, &guess));
    assert_false(guess);
    assert_false(exchange("user", "pencils", &keys, &guess));
    assert_true(guess);
    assert_false(exchange("user", "", &keys, &guess));
    memset(keys.stored_key, 0, sizeof(keys.stored_key)); /* what unknown users have */
    assert_false(exchange("user", "pencil", &keys, &guess));
}

static void a_bad_first_message_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "n",
        "n,",
        "n,,",
        "x,,n=user,r=abc",
        ",,n=user,r=abc",
        "n,n=user,r=abc",
        "n,,n=,r=abc",
        "n,,n=user",
        "n,,n=user,r=",
        "n,,n=user,",
        "n,,r=abc,n=user",
        "n,,n=us=er,r=abc",
        "n,,n=user=2,r=abc",
        "n,,n=user=2c,r=abc",
        "n,,n=us\xFF,r=abc",
        "n,,n=user,r=a\x01",
        "n,,n=user,r=a b",
        "n,,m=ext,n=user,r=abc",
        "p=tls-unique,,n=user,r=abc",
        "p=tls-exporter,,n=user,r=abc",
        "n,a=,n=user,r=abc",
        "n,a=other,n=user,r=abc",
        "n,a=user",
    };
    static struct scram_server server;
    static char text[2 * SCRAM_MESSAGE_MAX];
    const char *why = NULL;

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        why = NULL;
        if (scram_server_first(&server, span_text(bad[i]), &why))
            fail_msg("taken: %s", bad[i]);
        assert_non_null(why);
    }
    assert_false(scram_server_first(&server, span_of("n,,n=us\0er,r=a", 14), &why));
    memset(text, 'a', sizeof(text));
    memcpy(text, "n,,n=", 5);
    assert_false(scram_server_first(&server, span_of(text, sizeof(text)), &why));
    assert_string_equal(why, "the first message is too long");
    memcpy(text, "n,,n=u,r=", 9);
    assert_false(scram_server_first(&server, span_of(text, 9 + SCRAM_NONCE_MAX + 1), &why));
    assert_true(scram_server_first(&server, span_of(text, 9 + SCRAM_NONCE_MAX), &why));
    assert_true(scram_server_first(&server, span_text("n,a=us=2Cer,n=us=2Cer,r=abc"), &why));
    assert_true(scram_server_first(&server, span_text("y,,n=user,r=abc"), &why));
    assert_true(scram_server_first(&server, span_text("n,,n=user,r=abc,x=later"), &why));
}

static void a_bad_last_message_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "c=biws",
        RFC_BARE,
        RFC_BARE ",p=",
        RFC_BARE ",p=AAAA",
        RFC_BARE ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=,x=1",
        "c=eSws,r=" RFC_NONCE ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        "r=" RFC_NONCE ",c=biws,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        "c=biws,r=rOprNGfwEbeRWgbNEkqO,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        "c=biws,r=" RFC_NONCE "0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
    };
    static struct scram_server server;
    char answer[SCRAM_MESSAGE_MAX];
    const char *why = NULL;
    size_t len;
    bool guess = true;

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        assert_true(scram_server_first(&server, span_text(RFC_FIRST), &why));
        set_rfc_challenge(&server);
        if (scram_server_final(&server, span_text(bad[i]), answer, &len, &guess, &why))
            fail_msg("taken: %s", bad[i]);
        assert_false(guess);
    }
    /* an extension is part of what the proof is over */
    assert_true(scram_server_first(&server, span_text(RFC_FIRST), &why));
    set_rfc_challenge(&server);
    assert_false(scram_server_final(
        &server, span_text(RFC_BARE ",x=y,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="), answer,
        &len, &guess, &why));
    assert_true(guess);
}

static void a_bad_challenge_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "e=unknown-user",
        "r=MDEyMzQ1Njc4OWFiY2RlZmdo,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", /* nothing added */
        "r=NDEyMzQ1Njc4OWFiY2RlZmdoX,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        "r=MDEyMzQ1Njc4OWFiY2RlZmdoX,s=,i=4096",
        "r=MDEyMzQ1Njc4OWFiY2RlZmdoX,i=4096",
        "r=MDEyMzQ1Njc4OWFiY2RlZmdoX,s=W22ZaJ0SNY7soEsUEjb6gQ==",
        "r=MDEyMzQ1Njc4OWFiY2RlZmdoX,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=1",
        "r=MDEyMzQ1Njc4OWFiY2RlZmdoX,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4095",
        "r=MDEyMzQ1Njc4OWFiY2RlZmdoX,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=10000001",
        "r=MDEyMzQ1Njc4OWFiY2RlZmdoX,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=-4096",
        "r=MDEyMzQ1Njc4OWFiY2RlZmdoX,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=99999999999",
        "m=x,r=MDEyMzQ1Njc4OWFiY2RlZmdoX,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
    };
    static struct scram_client client;
    char message[SCRAM_MESSAGE_MAX];

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        const char *why = NULL;

        assert_true(scram_client_first(&client, span_text("user"), random_bytes, message) > 0);
        if (scram_client_final(&client, span_text(bad[i]), span_text("pencil"), message, &why) > 0)
            fail_msg("taken: %s", bad[i]);
        assert_non_null(why);
    }
    assert_int_equal(scram_client_first(&client, span_text(""), random_bytes, message), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_server_agrees_with_the_rfc),
        cmocka_unit_test(the_client_agrees_with_the_rfc),
        cmocka_unit_test(both_sides_find_each_other),
        cmocka_unit_test(text_has_one_form),
        cmocka_unit_test(a_bad_first_message_is_refused),
        cmocka_unit_test(a_bad_last_message_is_refused),
        cmocka_unit_test(a_bad_challenge_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
