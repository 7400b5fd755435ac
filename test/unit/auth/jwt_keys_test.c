/* SPDX-License-Identifier: MIT */
#include "tokens.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static char folder[] = "/tmp/shardmq-jwt-keys-XXXXXX";
static EVP_PKEY *rsa, *ec;

static int setup(void **state)
{
    (void)state;
    rsa = make_rsa_key(2048);
    ec = make_ec_key(NID_X9_62_prime256v1);
    return mkdtemp(folder) == NULL;
}

static int teardown(void **state)
{
    char path[256];

    (void)state;
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(ec);
    snprintf(path, sizeof(path), "%s/key", folder);
    unlink(path);
    return rmdir(folder);
}

enum form { PEM, SECRET, SECRET64, JWKS };

static bool add(struct jwt_keys *keys, enum form form, const char *file, char *why, size_t size)
{
    switch (form) {
    case PEM:
        return jwt_keys_add_pem(keys, file, why, size);
    case SECRET:
    case SECRET64:
        return jwt_keys_add_secret(
            keys, file, form == SECRET ? JWT_SECRET_RAW : JWT_SECRET_BASE64URL, why, size);
    case JWKS:
        break;
    }
    return jwt_keys_add_jwks(keys, file, why, size);
}

/* What is wrong with it is said, behind the file's name. */
static void refused(enum form form, const char *file, const char *what)
{
    struct jwt_keys *keys = jwt_keys_create();
    char why[512];

    assert_false(add(keys, form, file, why, sizeof(why)));
    assert_memory_equal(why, file, strlen(file));
    if (strstr(why, what) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", why, what);
    jwt_keys_destroy(keys);
}

static void taken(enum form form, const char *file, unsigned count)
{
    struct jwt_keys *keys = jwt_keys_create();
    char why[512] = "";

    if (!add(keys, form, file, why, sizeof(why)))
        fail_msg("%s", why);
    assert_int_equal(jwt_keys_count(keys), count);
    jwt_keys_destroy(keys);
}

static void files_that_are_none(void **state)
{
    char path[256];

    (void)state;
    for (enum form form = PEM; form <= JWKS; form++) {
        snprintf(path, sizeof(path), "%s/absent", folder);
        refused(form, path, "No such file");
        refused(form, folder, "no regular file");
        char *large = mem_zalloc(JWT_KEY_FILE_MAX + 1);
        refused(form, key_file(folder, large, JWT_KEY_FILE_MAX + 1), "too large");
        mem_free(large);
    }
    refused(PEM, key_text(folder, ""), "no public key");
    refused(SECRET, key_text(folder, ""), "0 bytes is too short");
    refused(SECRET64, key_text(folder, ""), "0 bytes is too short");
    refused(JWKS, key_text(folder, ""), "not JSON");
}

static void public_keys_in_pem(void **state)
{
    static char two[8192];
    FILE *file;
    size_t len;

    (void)state;
    taken(PEM, key_public(folder, rsa), 1);
    file = fopen(key_public(folder, ec), "r");
    len = fread(two, 1, sizeof(two) / 2, file);
    fclose(file);
    taken(PEM, key_file(folder, two, len), 1);
    memcpy(two + len, two, len); /* two in one file, text before and between them */
    taken(PEM, key_file(folder, two, 2 * len), 2);
    refused(PEM, key_file(folder, two, 2 * len - 30), "not PEM"); /* half-written */
    refused(PEM, key_file(folder, two, len / 2), "not PEM");
    refused(PEM, key_text(folder, "some text\n"), "no public key");
    refused(PEM, key_text(folder, "-----BEGIN PUBLIC KEY-----\n!!!\n-----END PUBLIC KEY-----\n"),
            "not PEM");
    refused(PEM, key_text(folder, "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"),
            "no public key");
    refused(PEM, key_text(folder, "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"),
            "no public key");
}

static void private_keys_are_refused(void **state)
{
    char path[256];
    FILE *file;

    (void)state;
    snprintf(path, sizeof(path), "%s/key", folder);
    file = fopen(path, "w");
    PEM_write_PrivateKey(file, rsa, NULL, NULL, 0, NULL, NULL);
    fclose(file);
    refused(PEM, path, "this is a private key");
    refused(SECRET, path, "this is PEM");
    file = fopen(path, "w");
    PEM_write_RSAPrivateKey(file, EVP_PKEY_get0_RSA(rsa), NULL, NULL, 0, NULL, NULL);
    fclose(file);
    refused(PEM, path, "this is a private key");
    refused(JWKS,
            key_text(folder, "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"" RFC_N
                             "\",\"e\":\"AQAB\",\"d\":\"AQAB\"}]}"),
            "key 1: this is a private key");
}

/* Nobody can make of a public key the secret of an HMAC (I1). */
static void a_public_key_is_no_secret(void **state)
{
    (void)state;
    refused(SECRET, key_public(folder, rsa), "this is PEM");
    refused(SECRET64, key_public(folder, rsa), "this is PEM");
}

static void weak_keys_are_refused(void **state)
{
    EVP_PKEY *weak = make_rsa_key(1024), *other = make_ec_key(NID_secp384r1);

    (void)state;
    refused(PEM, key_public(folder, weak), "1024 bits is too weak");
    refused(PEM, key_public(folder, other), "not on the curve P-256");
    EVP_PKEY_free(weak);
    EVP_PKEY_free(other);
    refused(SECRET, key_text(folder, "0123456789abcdef0123456789abcde"), "31 bytes is too short");
    refused(SECRET64, key_text(folder, "MDEyMzQ1Njc4OWFiY2RlZg"), "16 bytes is too short");
    refused(SECRET64, key_text(folder, "MDEyMzQ1Njc4OWFiY2RlZg=="), "not base64url");
    refused(JWKS,
            key_text(folder, "{\"keys\":[{\"kty\":\"oct\",\"k\":\"MDEyMzQ1Njc4OWFiY2RlZg\"}]}"),
            "key 1: a secret of 16 bytes is too short");
    refused(JWKS, key_text(folder, "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]}"),
            "key 1: an RSA key of 17 bits");
    refused(JWKS,
            key_text(folder, "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"" RFC_N "\",\"e\":\"AQ\"}]}"),
            "not a sound RSA key");
    refused(JWKS,
            key_text(folder, "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" RFC_X
                             "\",\"y\":\"" RFC_X "\"}]}"),
            "no point of the curve");
    refused(JWKS,
            key_text(folder, "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" RFC_X
                             "\",\"y\":\"AA\"}]}"),
            "not both 32 bytes");
}

static bool verifies(const struct jwt_keys *keys, const char *bytes, size_t len, const void *secret,
                     size_t secret_len, const char *kid)
{
    uint8_t mac[SHA256_DIGEST_LENGTH];
    unsigned mac_len;

    HMAC(EVP_sha256(), secret, secret_len, (const uint8_t *)bytes, len, mac, &mac_len);
    return jwt_keys_verify(keys, JWT_HS256, span_text(kid), span_of(bytes, len),
                           span_of(mac, mac_len)) == JWT_KEY_RIGHT;
}

static void a_secret_is_what_the_file_says(void **state)
{
    static const struct {
        enum form form;
        const char *file;
        size_t len;
        const char *secret;
        size_t secret_len;
    } rows[] = {
        {SECRET, "0123456789abcdef0123456789abcdef", 32, "0123456789abcdef0123456789abcdef", 32},
        {SECRET, "0123456789abcdef0123456789abcdef\n", 33, "0123456789abcdef0123456789abcdef", 32},
        {SECRET, "0123456789abcdef0123456789abcdef\r\n", 34, "0123456789abcdef0123456789abcdef",
         32},
        {SECRET, "0123456789abcdef0123456789abcdef\n\n", 34, "0123456789abcdef0123456789abcdef\n",
         33},
        /* bytes are what they are: a line feed may be one of them */
        {SECRET,
         "\0"
         "123456789abcdef0123456789abcde\n",
         32,
         "\0"
         "123456789abcdef0123456789abcde\n",
         32},
        {SECRET64, "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY\n", 44,
         "0123456789abcdef0123456789abcdef", 32},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct jwt_keys *keys = jwt_keys_create();
        char why[256];

        assert_true(
            add(keys, rows[i].form, key_file(folder, rows[i].file, rows[i].len), why, sizeof(why)));
        assert_true(verifies(keys, "abc", 3, rows[i].secret, rows[i].secret_len, ""));
        assert_true(verifies(keys, "abc", 3, rows[i].secret, rows[i].secret_len, "any"));
        assert_false(verifies(keys, "abc", 3, rows[i].secret, rows[i].secret_len - 1, ""));
        jwt_keys_destroy(keys);
    }
}

#define OCT(kid, secret)                                                                           \
    "{\"kty\":\"oct\",\"kid\":\"" kid "\",\"alg\":\"HS256\",\"use\":\"sig\",\"k\":\"" secret "\"}"
#define SECRET_A "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"
#define SECRET_B "YmNkZWYwMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWE"

static void key_identifiers_tell_which(void **state)
{
    struct jwt_keys *keys = jwt_keys_create();
    char why[256];

    (void)state;
    assert_true(jwt_keys_add_jwks(
        keys, key_text(folder, "{\"keys\":[" OCT("a", SECRET_A) "," OCT("b", SECRET_B) "]}"), why,
        sizeof(why)));
    assert_true(verifies(keys, "abc", 3, "0123456789abcdef0123456789abcdef", 32, "a"));
    assert_false(verifies(keys, "abc", 3, "0123456789abcdef0123456789abcdef", 32, "b"));
    assert_true(verifies(keys, "abc", 3, "bcdef0123456789abcdef0123456789a", 32, "b"));
    assert_true(verifies(keys, "abc", 3, "bcdef0123456789abcdef0123456789a", 32, ""));
    assert_int_equal(jwt_keys_verify(keys, JWT_HS256, span_text("c"), span_text("abc"),
                                     span_text("12345678901234567890123456789012")),
                     JWT_KEY_ABSENT);
    assert_int_equal(jwt_keys_verify(keys, JWT_HS256, span_text("a"), span_text("abc"),
                                     span_text("12345678901234567890123456789012")),
                     JWT_KEY_WRONG);
    assert_int_equal(jwt_keys_verify(keys, JWT_RS256, span_text("a"), span_text("abc"),
                                     span_text("12345678901234567890123456789012")),
                     JWT_KEY_ABSENT);
    jwt_keys_destroy(keys);
}

static void keys_for_something_else_are_passed_over(void **state)
{
    static const char *const foreign[] = {
        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"AAAA\",\"y\":\"AAAA\"}",
        "{\"kty\":\"RSA\",\"use\":\"enc\",\"n\":\"" RFC_N "\",\"e\":\"AQAB\"}",
        "{\"kty\":\"RSA\",\"alg\":\"RS512\",\"n\":\"" RFC_N "\",\"e\":\"AQAB\"}",
        "{\"kty\":\"RSA\",\"alg\":\"HS256\",\"n\":\"" RFC_N "\",\"e\":\"AQAB\"}",
        "{\"kty\":\"RSA\",\"key_ops\":[\"encrypt\"],\"n\":\"" RFC_N "\",\"e\":\"AQAB\"}",
        "{\"kty\":\"oct\",\"alg\":\"RS256\",\"k\":\"" SECRET_A "\"}",
        "{\"n\":\"" RFC_N "\",\"e\":\"AQAB\"}",
    };
    char text[2048];

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(foreign); i++) {
        snprintf(text, sizeof(text), "{\"keys\":[%s]}", foreign[i]);
        refused(JWKS, key_text(folder, text), "none of its 1 keys");
        snprintf(text, sizeof(text),
                 "{\"keys\":[%s,{\"kty\":\"RSA\",\"n\":\"" RFC_N "\",\"e\":\"AQAB\"}]}",
                 foreign[i]);
        taken(JWKS, key_text(folder, text), 1);
    }
}

static void sets_that_are_none(void **state)
{
    static const struct {
        const char *text, *what;
    } rows[] = {
        {"{}", "no array"},
        {"[]", "no array"},
        {"{\"keys\":{}}", "no array"},
        {"{\"keys\":[]}", "none of its 0 keys"},
        {"{\"keys\":[1]}", "key 1: this is no object"},
        {"{\"keys\":[],\"keys\":[]}", "a member is there twice"},
        {"{\"keys\":[{\"kty\":\"RSA\",\"e\":\"AQAB\"}]}", "n and e"},
        {"{\"keys\":[{\"kty\":\"RSA\",\"n\":\"" RFC_N "=\",\"e\":\"AQAB\"}]}", "n and e"},
        {"{\"keys\":[{\"kty\":\"RSA\",\"n\":5,\"e\":\"AQAB\"}]}", "n and e"},
        {"{\"keys\":[{\"kty\":\"oct\"}]}", "k is not"},
        {"{\"keys\":[" OCT("", SECRET_A) "]}", "kid is no string"},
        {"{\"keys\":[{\"kty\":\"oct\",\"kid\":7,\"k\":\"" SECRET_A "\"}]}", "kid is no string"},
        {"{\"keys\":[" OCT("a", SECRET_A) "]", "not JSON"}, /* half-written */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
        refused(JWKS, key_text(folder, rows[i].text), rows[i].what);
}

static void too_many_keys(void **state)
{
    static char text[8192];

    (void)state;
    strcpy(text, "{\"keys\":[" OCT("a", SECRET_A));
    for (unsigned i = 1; i < JWT_KEYS_MAX; i++)
        strcat(text, "," OCT("a", SECRET_A));
    strcat(text, "]}");
    taken(JWKS, key_text(folder, text), JWT_KEYS_MAX);
    text[strlen(text) - 2] = '\0';
    strcat(text, "," OCT("a", SECRET_A) "]}");
    refused(JWKS, key_text(folder, text), "key 17: there are more than 16 keys");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_that_are_none),
        cmocka_unit_test(public_keys_in_pem),
        cmocka_unit_test(private_keys_are_refused),
        cmocka_unit_test(a_public_key_is_no_secret),
        cmocka_unit_test(weak_keys_are_refused),
        cmocka_unit_test(a_secret_is_what_the_file_says),
        cmocka_unit_test(key_identifiers_tell_which),
        cmocka_unit_test(keys_for_something_else_are_passed_over),
        cmocka_unit_test(sets_that_are_none),
        cmocka_unit_test(too_many_keys),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
