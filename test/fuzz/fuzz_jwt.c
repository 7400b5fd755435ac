/* SPDX-License-Identifier: MIT
 *
 * fuzz_jwt - tokens and key sets. The first byte says what the rest is: 't' a token; 's' header and claims, with a line
 * feed between them, which are signed here, so that what is behind the signature is reached; 'k' a set of keys.
 */
#include "fuzz.h"

#include "auth/jwt.h"

#include <openssl/base64.h>
#include <openssl/hmac.h>

#define SECRET "0123456789abcdef0123456789abcdef"
#define NOW    1700000000u

static struct jwt_keys *our_keys(void)
{
    static struct jwt_keys *keys;
    char why[256];

    if (keys == NULL) {
        keys = jwt_keys_create();
        ASSERT(jwt_keys_add_jwks_text(
            keys,
            span_text("{\"keys\":["
                      "{\"kty\":\"oct\",\"k\":\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY\"},"
                      "{\"kty\":\"EC\",\"crv\":\"P-256\","
                      "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
                      "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}]}"),
            why, sizeof(why)));
    }
    return keys;
}

static void verify(struct span token)
{
    static const struct jwt_rules rules = {"", "a, mqtt", "exp", 30};
    struct jwt jwt;
    const char *why;
    enum jwt_verdict verdict = jwt_verify(our_keys(), &rules, token, NOW, &jwt, &why);

    ASSERT((verdict == JWT_GOOD) == (why == NULL));
    ASSERT((verdict == JWT_GOOD) == (jwt.claims != NULL));
    if (verdict == JWT_GOOD)
        ASSERT(jwt.expires && jwt.expires_s > NOW);
    jwt_free(&jwt);
}

static size_t encode(uint8_t *to, struct span bytes)
{
    size_t len = EVP_EncodeBlock(to, bytes.data, bytes.len);

    while (len != 0 && to[len - 1] == '=')
        len--;
    for (size_t i = 0; i < len; i++)
        to[i] = to[i] == '+' ? '-' : to[i] == '/' ? '_' : to[i];
    return len;
}

static void sign_and_verify(const uint8_t *data, size_t size)
{
    const uint8_t *line = size != 0 ? memchr(data, '\n', size) : NULL;
    uint8_t *token = malloc(2 * size + 128), mac[32];
    size_t header = line == NULL ? size : (size_t)(line - data), len;
    unsigned mac_len;

    len = encode(token, span_of(data, header));
    token[len++] = '.';
    if (line != NULL)
        len += encode(token + len, span_of(line + 1, size - header - 1));
    HMAC(EVP_sha256(), SECRET, strlen(SECRET), token, len, mac, &mac_len);
    token[len++] = '.';
    len += encode(token + len, span_of(mac, mac_len));
    verify(span_of(token, len));
    free(token);
}

static void read_set(struct span text)
{
    struct jwt_keys *keys = jwt_keys_create();
    char why[256] = "";
    bool added = jwt_keys_add_jwks_text(keys, text, why, sizeof(why));

    ASSERT(added == (jwt_keys_count(keys) != 0 && why[0] == '\0') || !added);
    ASSERT(added || why[0] != '\0');
    jwt_keys_destroy(keys);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] == 't')
        verify(span_of(data + 1, size - 1));
    else if (data[0] == 's')
        sign_and_verify(data + 1, size - 1);
    else if (data[0] == 'k')
        read_set(span_of(data + 1, size - 1));
    return 0;
}
