/* SPDX-License-Identifier: MIT */
#include "auth/jwt.h"

#include "tokens.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define NOW    1700000000u
#define SECRET "0123456789abcdef0123456789abcdef"

static char folder[] = "/tmp/shardmq-jwt-XXXXXX";
static EVP_PKEY *rsa, *ec;
static struct jwt_keys *all, *rsa_only, *ec_only, *secret_only;
static const struct jwt_rules no_rules = {"", "", "", 0};

static struct jwt_keys *public_keys(EVP_PKEY *one, EVP_PKEY *other)
{
    struct jwt_keys *keys = jwt_keys_create();
    char why[256];

    assert_true(jwt_keys_add_pem(keys, key_public(folder, one), why, sizeof(why)));
    if (other != NULL)
        assert_true(jwt_keys_add_pem(keys, key_public(folder, other), why, sizeof(why)));
    return keys;
}

static void add_secret(struct jwt_keys *keys)
{
    char why[256];

    assert_true(
        jwt_keys_add_secret(keys, key_text(folder, SECRET), JWT_SECRET_RAW, why, sizeof(why)));
}

static int setup(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    rsa = make_rsa_key(2048);
    ec = make_ec_key(NID_X9_62_prime256v1);
    all = public_keys(rsa, ec);
    add_secret(all);
    rsa_only = public_keys(rsa, NULL);
    ec_only = public_keys(ec, NULL);
    secret_only = jwt_keys_create();
    add_secret(secret_only);
    return 0;
}

static int teardown(void **state)
{
    char path[256];

    (void)state;
    jwt_keys_destroy(all);
    jwt_keys_destroy(rsa_only);
    jwt_keys_destroy(ec_only);
    jwt_keys_destroy(secret_only);
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(ec);
    snprintf(path, sizeof(path), "%s/key", folder);
    unlink(path);
    return rmdir(folder);
}

/* In memory of exactly its length, for the sanitizer. */
static enum jwt_verdict verify_bytes(const struct jwt_keys *keys, const struct jwt_rules *rules,
                                     const char *token, size_t len, uint64_t now_s, struct jwt *jwt)
{
    char *copy = malloc(len + (len == 0));
    const char *why;
    enum jwt_verdict verdict;

    memcpy(copy, token, len);
    verdict = jwt_verify(keys, rules, span_of(copy, len), now_s, jwt, &why);
    free(copy);
    assert_true((verdict == JWT_GOOD) == (jwt->claims != NULL));
    assert_true((verdict == JWT_GOOD) == (why == NULL));
    return verdict;
}

static enum jwt_verdict verify(const struct jwt_keys *keys, const struct jwt_rules *rules,
                               const char *token, uint64_t now_s)
{
    struct jwt jwt;
    enum jwt_verdict verdict = verify_bytes(keys, rules, token, strlen(token), now_s, &jwt);

    jwt_free(&jwt);
    return verdict;
}

/* Signed with the secret, so that only what is said in it counts. */
static const char *token(const char *claims)
{
    return token_hs256("{\"alg\":\"HS256\"}", claims, SECRET, strlen(SECRET));
}

static void the_vectors_of_the_rfc(void **state)
{
    static const char set[] =
        "{\"keys\":[{\"kty\":\"oct\",\"k\":\"" RFC_SECRET "\"},"
        "{\"kty\":\"RSA\",\"n\":\"" RFC_N "\",\"e\":\"AQAB\"},"
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" RFC_X "\",\"y\":\"" RFC_Y "\"}]}";
    static const char *const tokens[] = {RFC_HS256, RFC_RS256, RFC_ES256};
    const struct jwt_rules joe = {"joe", "", "exp,http://example.com/is_root", 0};
    struct jwt_keys *keys = jwt_keys_create();
    char why[256], broken[1024];
    struct jwt jwt;

    (void)state;
    assert_true(jwt_keys_add_jwks(keys, key_text(folder, set), why, sizeof(why)));
    for (size_t i = 0; i < ARRAY_LENGTH(tokens); i++) {
        size_t len = strlen(tokens[i]);

        assert_int_equal(verify_bytes(keys, &joe, tokens[i], len, RFC_EXPIRES - 1, &jwt), JWT_GOOD);
        assert_string_equal(jwt_text(&jwt, "iss"), "joe");
        assert_true(jwt.expires);
        assert_int_equal(jwt.expires_s, RFC_EXPIRES);
        jwt_free(&jwt);
        assert_int_equal(verify(keys, &joe, tokens[i], RFC_EXPIRES), JWT_EXPIRED);
        for (size_t at = 0; at < len; at++) { /* no character may be another one */
            memcpy(broken, tokens[i], len + 1);
            broken[at] = broken[at] == 'A' ? 'B' : 'A';
            assert_int_not_equal(verify(keys, &joe, broken, RFC_EXPIRES - 1), JWT_GOOD);
        }
        for (size_t cut = 0; cut < len; cut++)
            assert_int_not_equal(verify_bytes(keys, &joe, tokens[i], cut, RFC_EXPIRES - 1, &jwt),
                                 JWT_GOOD);
    }
    jwt_keys_destroy(keys);
}

/* RFC 7515, A.5; and whatever else says none. */
static void nothing_is_no_signature(void **state)
{
    static const char *const names[] = {"none", "None",  "NONE",        "nOnE",
                                        "",     "none ", "HS256\\u0020"};
    char header[64], unsigned_token[TOKEN_SIZE];

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
        size_t len;

        snprintf(header, sizeof(header), "{\"alg\":\"%s\"}", names[i]);
        len = token_message(unsigned_token, header, "{\"sub\":\"root\"}");
        strcpy(unsigned_token + len, ".");
        assert_int_equal(verify(all, &no_rules, unsigned_token, NOW), JWT_ALGORITHM);
        strcpy(unsigned_token + len, "");
        assert_int_equal(verify(all, &no_rules, unsigned_token, NOW), JWT_MALFORMED);
    }
    for (size_t i = 0; i < ARRAY_LENGTH(names);
         i++) { /* and an empty signature of one that we know */
        size_t len = token_message(unsigned_token, "{\"alg\":\"HS256\"}", "{\"sub\":\"root\"}");

        strcpy(unsigned_token + len, ".");
        assert_int_equal(verify(all, &no_rules, unsigned_token, NOW), JWT_SIGNATURE);
    }
}

/* The text of the public key file, and its DER, as the secret of an HMAC. */
static void the_key_decides_the_algorithm(void **state)
{
    static char text[8192];
    uint8_t *der = NULL;
    int der_len = i2d_PUBKEY(rsa, &der);
    FILE *file = fopen(key_public(folder, rsa), "r");
    size_t len = fread(text, 1, sizeof(text), file);
    const char *forged = token_hs256("{\"alg\":\"HS256\"}", "{\"sub\":\"root\"}", text, len);

    (void)state;
    fclose(file);
    assert_int_equal(verify(rsa_only, &no_rules, forged, NOW), JWT_ALGORITHM);
    assert_int_equal(verify(all, &no_rules, forged, NOW), JWT_SIGNATURE);
    forged = token_hs256("{\"alg\":\"RS256\"}", "{\"sub\":\"root\"}", text, len);
    assert_int_equal(verify(rsa_only, &no_rules, forged, NOW), JWT_SIGNATURE);
    forged = token_hs256("{\"alg\":\"HS256\"}", "{}", der, (size_t)der_len);
    assert_int_equal(verify(rsa_only, &no_rules, forged, NOW), JWT_ALGORITHM);
    OPENSSL_free(der);

    /* each key with the name of another algorithm */
    assert_int_equal(verify(all, &no_rules, token_rs256("{\"alg\":\"ES256\"}", "{}", rsa), NOW),
                     JWT_SIGNATURE);
    assert_int_equal(verify(all, &no_rules, token_es256("{\"alg\":\"RS256\"}", "{}", ec), NOW),
                     JWT_SIGNATURE);
    assert_int_equal(verify(rsa_only, &no_rules, token_es256("{\"alg\":\"ES256\"}", "{}", ec), NOW),
                     JWT_ALGORITHM);
    assert_int_equal(verify(ec_only, &no_rules, token_rs256("{\"alg\":\"RS256\"}", "{}", rsa), NOW),
                     JWT_ALGORITHM);
    assert_int_equal(
        verify(secret_only, &no_rules, token_rs256("{\"alg\":\"RS256\"}", "{}", rsa), NOW),
        JWT_ALGORITHM);
    assert_int_equal(verify(all, &no_rules, token_rs256("{\"alg\":\"RS256\"}", "{}", rsa), NOW),
                     JWT_GOOD);
    assert_int_equal(verify(all, &no_rules, token_es256("{\"alg\":\"ES256\"}", "{}", ec), NOW),
                     JWT_GOOD);
    assert_int_equal(verify(all, &no_rules, token("{}"), NOW), JWT_GOOD);
}

static void headers(void **state)
{
    static const struct {
        const char *header;
        enum jwt_verdict verdict;
    } rows[] = {
        {"{\"alg\":\"HS256\"}", JWT_GOOD},
        {" {\"alg\":\"HS256\"}\r\n", JWT_GOOD},
        {"{\"alg\":\"HS256\",\"typ\":\"JWT\"}", JWT_GOOD},
        {"{\"alg\":\"HS256\",\"typ\":\"jwt\"}", JWT_GOOD},
        {"{\"alg\":\"HS256\",\"typ\":\"application/at+jwt\"}", JWT_GOOD},
        {"{\"alg\":\"HS256\",\"kid\":\"which\"}", JWT_GOOD}, /* ours has no name */
        /* a key that came along is not looked at, and need not be right */
        {"{\"alg\":\"HS256\",\"jwk\":{\"kty\":\"oct\",\"k\":\"AAAA\"},\"jku\":\"http://127.0.0.1:1/"
         "\",\"x5u\":1,\"x5c\":[]}",
         JWT_GOOD},
        {"{\"alg\":\"hs256\"}", JWT_ALGORITHM},
        {"{\"alg\":\"HS256 \"}", JWT_ALGORITHM},
        {"{\"alg\":\"HS384\"}", JWT_ALGORITHM},
        {"{\"alg\":\"PS256\"}", JWT_ALGORITHM},
        {"{\"alg\":[\"HS256\"]}", JWT_ALGORITHM},
        {"{\"alg\":null}", JWT_ALGORITHM},
        {"{\"Alg\":\"HS256\"}", JWT_ALGORITHM},
        {"{}", JWT_ALGORITHM},
        {"{\"alg\":\"HS256\",\"alg\":\"HS256\"}", JWT_MALFORMED},
        {"{\"alg\":\"none\",\"alg\":\"HS256\"}", JWT_MALFORMED},
        {"{\"alg\":\"HS256\",\"crit\":[\"exp\"]}", JWT_MALFORMED},
        {"{\"alg\":\"HS256\",\"crit\":[]}", JWT_MALFORMED},
        {"{\"alg\":\"HS256\",\"b64\":false,\"crit\":[\"b64\"]}", JWT_MALFORMED},
        {"{\"alg\":\"HS256\",\"b64\":true}", JWT_MALFORMED},
        {"{\"alg\":\"HS256\",\"zip\":\"DEF\"}", JWT_MALFORMED},
        {"{\"alg\":\"HS256\",\"cty\":\"JWT\"}", JWT_MALFORMED},
        {"{\"alg\":\"HS256\",\"typ\":\"dpop+jwt\"}", JWT_MALFORMED},
        {"{\"alg\":\"HS256\",\"typ\":7}", JWT_MALFORMED},
        {"{\"alg\":\"HS256\",\"kid\":7}", JWT_MALFORMED},
        {"{\"alg\":\"HS256\",\"kid\":\"a\\u0000b\"}", JWT_MALFORMED},
        {"{\"alg\":\"HS256\"}{}", JWT_MALFORMED},
        {"{\"alg\":\"HS256\",}", JWT_MALFORMED},
        {"{'alg':'HS256'}", JWT_MALFORMED},
        {"{\"alg\":\"HS256\",\"x\":\"\xff\"}", JWT_MALFORMED},
        {"[\"alg\",\"HS256\"]", JWT_FOREIGN},
        {"\"alg\"", JWT_FOREIGN},
        {"", JWT_FOREIGN},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        enum jwt_verdict verdict =
            verify(all, &no_rules, token_hs256(rows[i].header, "{}", SECRET, strlen(SECRET)), NOW);

        if (verdict != rows[i].verdict)
            fail_msg("%s: %d instead of %d", rows[i].header, verdict, rows[i].verdict);
    }
}

static void forms(void **state)
{
    static const struct {
        const char *token;
        enum jwt_verdict verdict;
    } rows[] = {
        {"", JWT_FOREIGN},
        {"secret", JWT_FOREIGN},
        {"..", JWT_FOREIGN},
        {"a.b.c", JWT_FOREIGN},
        {"eyes.open.wide", JWT_FOREIGN},
        {"correct.horse.battery", JWT_FOREIGN},
        {"eyJhbGciOiJIUzI1NiJ9", JWT_FOREIGN}, /* no dot */
        {"eyJhbGciOiJIUzI1NiJ9.", JWT_MALFORMED},
        {"eyJhbGciOiJIUzI1NiJ9..", JWT_SIGNATURE},
        {"eyJhbGciOiJIUzI1NiJ9.e30", JWT_MALFORMED},
        {"eyJhbGciOiJIUzI1NiJ9.e30.", JWT_SIGNATURE},
        {"eyJhbGciOiJIUzI1NiJ9.e30.AAAA", JWT_SIGNATURE},
        {"eyJhbGciOiJIUzI1NiJ9.e30.AAAA=", JWT_MALFORMED},
        {"eyJhbGciOiJIUzI1NiJ9.e30.AA+A", JWT_MALFORMED},
        {"eyJhbGciOiJIUzI1NiJ9.e30.AAAA.", JWT_MALFORMED},
        {"eyJhbGciOiJIUzI1NiJ9.e30.AAAA.AAAA.AAAA", JWT_MALFORMED}, /* JWE */
        {"eyJhbGciOiJIUzI1NiJ9=.e30.AAAA", JWT_MALFORMED},
    };
    char blank[TOKEN_SIZE];

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        enum jwt_verdict verdict = verify(all, &no_rules, rows[i].token, NOW);

        if (verdict != rows[i].verdict)
            fail_msg("%s: %d instead of %d", rows[i].token, verdict, rows[i].verdict);
    }
    /* the same token may not be written in two ways */
    snprintf(blank, sizeof(blank), "%s=", token("{}"));
    assert_int_equal(verify(all, &no_rules, blank, NOW), JWT_MALFORMED);
    snprintf(blank, sizeof(blank), "%s\n", token("{}"));
    assert_int_equal(verify(all, &no_rules, blank, NOW), JWT_MALFORMED);
    snprintf(blank, sizeof(blank), " %s", token("{}"));
    assert_int_equal(verify(all, &no_rules, blank, NOW), JWT_FOREIGN);
}

/* The last two bits of an HMAC's 43 characters belong to no byte. */
static void signatures_are_written_in_one_way(void **state)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    char other[TOKEN_SIZE];
    size_t last;

    (void)state;
    snprintf(other, sizeof(other), "%s", token("{}"));
    last = strlen(other) - 1;
    other[last] = strchr(alphabet, other[last])[1];
    assert_int_equal(verify(all, &no_rules, other, NOW), JWT_MALFORMED);
}

static void ecdsa_of_zero_and_of_another_form(void **state)
{
    const char *good = token_es256("{\"alg\":\"ES256\"}", "{}", ec);
    size_t message_len = (size_t)(strrchr(good, '.') - good);
    char forged[TOKEN_SIZE];
    uint8_t signature[128] = {0}, digest[SHA256_DIGEST_LENGTH];
    unsigned len = sizeof(signature);

    (void)state;
    snprintf(forged, sizeof(forged), "%.*s", (int)message_len, good);
    token_append(forged, signature, 64); /* r = s = 0 */
    assert_int_equal(verify(ec_only, &no_rules, forged, NOW), JWT_SIGNATURE);
    memset(signature, 0xFF, sizeof(signature)); /* more than the order */
    forged[message_len] = '\0';
    token_append(forged, signature, 64);
    assert_int_equal(verify(ec_only, &no_rules, forged, NOW), JWT_SIGNATURE);
    SHA256((const uint8_t *)good, message_len, digest); /* right, but in ASN.1 */
    assert_int_equal(
        ECDSA_sign(0, digest, sizeof(digest), signature, &len, EVP_PKEY_get0_EC_KEY(ec)), 1);
    forged[message_len] = '\0';
    token_append(forged, signature, len);
    assert_int_equal(verify(ec_only, &no_rules, forged, NOW), JWT_SIGNATURE);
}

static void times(void **state)
{
    static const struct {
        const char *claims;
        uint32_t leeway_s;
        enum jwt_verdict verdict;
    } rows[] = {
        {"{}", 0, JWT_GOOD},
        {"{\"exp\":1700000001}", 0, JWT_GOOD},
        {"{\"exp\":1700000000}", 0, JWT_EXPIRED},
        {"{\"exp\":1700000000.5}", 0, JWT_GOOD},
        {"{\"exp\":1699999999}", 2, JWT_GOOD},
        {"{\"exp\":1699999998}", 2, JWT_EXPIRED},
        {"{\"exp\":0}", 0, JWT_EXPIRED},
        {"{\"exp\":-1}", 0, JWT_CLAIM},
        {"{\"exp\":1e15}", 0, JWT_GOOD},
        {"{\"exp\":1e16}", 0, JWT_CLAIM},
        {"{\"exp\":1e400}", 0, JWT_MALFORMED},
        {"{\"exp\":\"1700000001\"}", 0, JWT_CLAIM},
        {"{\"exp\":null}", 0, JWT_CLAIM},
        {"{\"exp\":true}", 0, JWT_CLAIM},
        {"{\"exp\":[1700000001]}", 0, JWT_CLAIM},
        {"{\"exp\":1600000000,\"exp\":1800000000}", 0, JWT_MALFORMED},
        {"{\"nbf\":1700000000}", 0, JWT_GOOD},
        {"{\"nbf\":1700000001}", 0, JWT_CLAIM},
        {"{\"nbf\":1700000005}", 5, JWT_GOOD},
        {"{\"nbf\":\"0\"}", 0, JWT_CLAIM},
        {"{\"iat\":1700000000}", 0, JWT_GOOD},
        {"{\"iat\":1700000001}", 0, JWT_CLAIM},
        {"{\"iat\":1700000005}", 5, JWT_GOOD},
        {"{\"iat\":{}}", 0, JWT_CLAIM},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        const struct jwt_rules rules = {"", "", "", rows[i].leeway_s};
        enum jwt_verdict verdict = verify(all, &rules, token(rows[i].claims), NOW);

        if (verdict != rows[i].verdict)
            fail_msg("%s: %d instead of %d", rows[i].claims, verdict, rows[i].verdict);
    }
}

static void when_it_expires(void **state)
{
    const struct jwt_rules rules = {"", "", "", 30};
    const char *text = token("{\"exp\":1700000001.25}");
    struct jwt jwt;

    (void)state;
    assert_int_equal(verify_bytes(all, &rules, text, strlen(text), NOW, &jwt), JWT_GOOD);
    assert_true(jwt.expires);
    assert_int_equal(jwt.expires_s, 1700000032);
    jwt_free(&jwt);
    text = token("{}");
    assert_int_equal(verify_bytes(all, &rules, text, strlen(text), NOW, &jwt), JWT_GOOD);
    assert_false(jwt.expires);
    jwt_free(&jwt);
}

static void issuer_audience_and_what_is_required(void **state)
{
    static const struct {
        struct jwt_rules rules;
        const char *claims;
        enum jwt_verdict verdict;
    } rows[] = {
        {{"joe", "", "", 0}, "{\"iss\":\"joe\"}", JWT_GOOD},
        {{"joe", "", "", 0}, "{\"iss\":\"Joe\"}", JWT_CLAIM},
        {{"joe", "", "", 0}, "{\"iss\":\"joe2\"}", JWT_CLAIM},
        {{"joe", "", "", 0}, "{\"iss\":[\"joe\"]}", JWT_CLAIM},
        {{"joe", "", "", 0}, "{}", JWT_CLAIM},
        {{"", "", "", 0}, "{\"iss\":\"anybody\"}", JWT_GOOD},
        {{"", "mqtt", "", 0}, "{\"aud\":\"mqtt\"}", JWT_GOOD},
        {{"", "mqtt", "", 0}, "{\"aud\":[\"web\",\"mqtt\"]}", JWT_GOOD},
        {{"", "a, mqtt", "", 0}, "{\"aud\":\"mqtt\"}", JWT_GOOD},
        {{"", "mqtt", "", 0}, "{\"aud\":\"web\"}", JWT_CLAIM},
        {{"", "mqtt", "", 0}, "{\"aud\":[]}", JWT_CLAIM},
        {{"", "mqtt", "", 0}, "{\"aud\":[[\"mqtt\"]]}", JWT_CLAIM},
        {{"", "mqtt", "", 0}, "{\"aud\":{\"mqtt\":\"mqtt\"}}", JWT_CLAIM},
        {{"", "mqtt", "", 0}, "{\"aud\":\"mqtt2\"}", JWT_CLAIM},
        {{"", "mqtt", "", 0}, "{\"aud\":\"mqt\"}", JWT_CLAIM},
        {{"", "mqtt", "", 0}, "{}", JWT_CLAIM},
        /* made for somebody else, and nobody said that we are it */
        {{"", "", "", 0}, "{\"aud\":\"web\"}", JWT_CLAIM},
        {{"", "", "exp", 0}, "{\"exp\":1800000000}", JWT_GOOD},
        {{"", "", "exp", 0}, "{}", JWT_CLAIM},
        {{"", "", "exp, sub", 0}, "{\"exp\":1800000000}", JWT_CLAIM},
        {{"", "", "exp, sub", 0}, "{\"exp\":1800000000,\"sub\":null}", JWT_CLAIM},
        {{"", "", "exp, sub", 0}, "{\"exp\":1800000000,\"Sub\":\"a\"}", JWT_CLAIM},
        {{"", "", "exp, sub", 0}, "{\"exp\":1800000000,\"sub\":\"a\"}", JWT_GOOD},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        enum jwt_verdict verdict = verify(all, &rows[i].rules, token(rows[i].claims), NOW);

        if (verdict != rows[i].verdict)
            fail_msg("%s: %d instead of %d", rows[i].claims, verdict, rows[i].verdict);
    }
}

static void claims_that_are_none(void **state)
{
    static char deep[2048];

    (void)state;
    assert_int_equal(verify(all, &no_rules, token("[]"), NOW), JWT_MALFORMED);
    assert_int_equal(verify(all, &no_rules, token("\"a\""), NOW), JWT_MALFORMED);
    assert_int_equal(verify(all, &no_rules, token(""), NOW), JWT_MALFORMED);
    assert_int_equal(verify(all, &no_rules, token("{\"sub\":\"a\",\"sub\":\"b\"}"), NOW),
                     JWT_MALFORMED);
    assert_int_equal(verify(all, &no_rules, token("{\"sub\":\"a\\u0000b\"}"), NOW), JWT_MALFORMED);
    assert_int_equal(verify(all, &no_rules, token("{\"sub\":\"\\ud800\"}"), NOW), JWT_MALFORMED);
    strcpy(deep, "{\"a\":");
    for (unsigned i = 0; i < 500; i++)
        strcat(deep, "[");
    for (unsigned i = 0; i < 500; i++)
        strcat(deep, "]");
    strcat(deep, "}");
    assert_int_equal(verify(all, &no_rules, token(deep), NOW), JWT_MALFORMED);
}

static void long_tokens(void **state)
{
    static char claims[2 * JWT_BYTES_MAX], junk[70000];
    const char *text;
    struct jwt jwt;

    (void)state;
    for (size_t len = 6000; len < 6200; len++) {
        snprintf(claims, sizeof(claims), "{\"a\":\"%*s\"}", (int)len, "");
        text = token(claims);
        assert_int_equal(verify(all, &no_rules, text, NOW),
                         strlen(text) <= JWT_BYTES_MAX ? JWT_GOOD : JWT_MALFORMED);
    }
    memset(junk, 'e', sizeof(junk));
    assert_int_equal(verify_bytes(all, &no_rules, junk, sizeof(junk), NOW, &jwt), JWT_FOREIGN);
    memcpy(junk, "eyJhbGciOiJIUzI1NiJ9.", 21);
    assert_int_equal(verify_bytes(all, &no_rules, junk, sizeof(junk), NOW, &jwt), JWT_MALFORMED);
    memset(junk, '.', sizeof(junk));
    assert_int_equal(verify_bytes(all, &no_rules, junk, sizeof(junk), NOW, &jwt), JWT_FOREIGN);
}

static void what_a_token_says(void **state)
{
    const char *text = token("{\"sub\":\"a\",\"n\":1,\"list\":[\"x\",2,\"y\"]}");
    struct jwt jwt;

    (void)state;
    assert_int_equal(verify_bytes(all, &no_rules, text, strlen(text), NOW, &jwt), JWT_GOOD);
    assert_string_equal(jwt_text(&jwt, "sub"), "a");
    assert_null(jwt_text(&jwt, "n"));
    assert_null(jwt_text(&jwt, "SUB"));
    assert_true(jwt_has(&jwt, "sub", span_text("a")));
    assert_false(jwt_has(&jwt, "sub", span_text("")));
    assert_true(jwt_has(&jwt, "list", span_text("y")));
    assert_false(jwt_has(&jwt, "list", span_text("2")));
    assert_false(jwt_has(&jwt, "n", span_text("1")));
    jwt_free(&jwt);
}

static void which_are_slow(void **state)
{
    (void)state;
    assert_true(jwt_is_slow(span_text(RFC_ES256)));
    assert_false(jwt_is_slow(span_text(RFC_RS256)));
    assert_false(jwt_is_slow(span_text(RFC_HS256)));
    assert_false(jwt_is_slow(span_text("secret")));
    assert_false(jwt_is_slow(span_text("W10.e30."))); /* [] */
}

static unsigned long left; /* allocations of cJSON that succeed */

static void *allocate(size_t size)
{
    return left == 0 ? NULL : (left--, malloc(size));
}

/* Neither a good token nor a bad one is taken for a bad one then. */
static void memory_that_is_gone(void **state)
{
    cJSON_Hooks hooks = {allocate, free};
    static char good[TOKEN_SIZE], bad[TOKEN_SIZE];
    static const struct jwt_rules rules = {"", "a", "", 0};
    enum jwt_verdict verdict = JWT_FAILED;
    unsigned long needed = 0;

    (void)state;
    snprintf(good, sizeof(good), "%s", token("{\"sub\":\"u\",\"aud\":[\"a\"]}"));
    snprintf(bad, sizeof(bad), "%s", token("{\"sub\":\"u\",\"aud\":[\"b\"]}"));
    cJSON_InitHooks(&hooks);
    while (verdict == JWT_FAILED) {
        left = needed;
        verdict = verify(all, &rules, good, NOW);
        left = needed++;
        assert_int_equal(verify(all, &rules, bad, NOW),
                         verdict == JWT_FAILED ? JWT_FAILED : JWT_CLAIM);
    }
    cJSON_InitHooks(NULL);
    assert_int_equal(verdict, JWT_GOOD);
    assert_true(needed > 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vectors_of_the_rfc),
        cmocka_unit_test(nothing_is_no_signature),
        cmocka_unit_test(the_key_decides_the_algorithm),
        cmocka_unit_test(headers),
        cmocka_unit_test(forms),
        cmocka_unit_test(signatures_are_written_in_one_way),
        cmocka_unit_test(ecdsa_of_zero_and_of_another_form),
        cmocka_unit_test(times),
        cmocka_unit_test(when_it_expires),
        cmocka_unit_test(issuer_audience_and_what_is_required),
        cmocka_unit_test(claims_that_are_none),
        cmocka_unit_test(long_tokens),
        cmocka_unit_test(what_a_token_says),
        cmocka_unit_test(which_are_slow),
        cmocka_unit_test(memory_that_is_gone),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
