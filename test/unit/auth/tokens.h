/* SPDX-License-Identifier: MIT
 *
 * tokens - makes tokens and key files for the tests of those that read them.
 */
#ifndef SHARDMQ_TEST_TOKENS_H
#define SHARDMQ_TEST_TOKENS_H

#include "auth/jwt_keys_priv.h"
#include "base/check.h"

#include <openssl/bn.h>
#include <openssl/ec_key.h>
#include <openssl/ecdsa.h>
#include <openssl/hmac.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TOKEN_SIZE 16384

/* RFC 7515, appendix A: one message, signed with each of the three. */
#define RFC_CLAIMS                                                                                 \
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVl" \
    "fQ"
#define RFC_EXPIRES 1300819380u
#define RFC_HS256                                                                                  \
    "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." RFC_CLAIMS                                         \
    ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
#define RFC_RS256                                                                                  \
    "eyJhbGciOiJSUzI1NiJ9." RFC_CLAIMS                                                             \
    ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp" \
    "5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHl" \
    "b1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9Q" \
    "OYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
#define RFC_ES256                                                                                  \
    "eyJhbGciOiJFUzI1NiJ9." RFC_CLAIMS                                                             \
    ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
#define RFC_SECRET                                                                                 \
    "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"
#define RFC_N                                                                                      \
    "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4" \
    "d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5re" \
    "xMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxX" \
    "FvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"
#define RFC_X "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
#define RFC_Y "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"

static inline size_t token_encode(char *to, const void *bytes, size_t len)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const uint8_t *from = bytes;
    size_t written = 0;

    for (size_t bit = 0; bit < len * 8; bit += 6) {
        unsigned pair = (unsigned)from[bit / 8] << 8 | (bit / 8 + 1 < len ? from[bit / 8 + 1] : 0u);

        to[written++] = alphabet[pair >> (10 - bit % 8) & 63];
    }
    to[written] = '\0';
    return written;
}

/* "header.claims", and what follows of them when the caller signs it. */
static inline size_t token_message(char *to, const char *header, const char *claims)
{
    size_t len = token_encode(to, header, strlen(header));

    to[len++] = '.';
    return len + token_encode(to + len, claims, strlen(claims));
}

static inline void token_append(char *to, const void *signature, size_t len)
{
    strcat(to, ".");
    token_encode(to + strlen(to), signature, len);
}

/* Each into a buffer of its own, valid until the next call. */
static inline const char *token_hs256(const char *header, const char *claims, const void *secret,
                                      size_t secret_len)
{
    static char token[TOKEN_SIZE];
    uint8_t mac[SHA256_DIGEST_LENGTH];
    size_t len = token_message(token, header, claims);
    unsigned mac_len;

    HMAC(EVP_sha256(), secret, secret_len, (const uint8_t *)token, len, mac, &mac_len);
    token_append(token, mac, mac_len);
    return token;
}

static inline const char *token_rs256(const char *header, const char *claims, EVP_PKEY *key)
{
    static char token[TOKEN_SIZE];
    uint8_t signature[1024];
    size_t len = token_message(token, header, claims), signature_len = sizeof(signature);
    EVP_MD_CTX context;

    EVP_MD_CTX_init(&context);
    ASSERT(EVP_DigestSignInit(&context, NULL, EVP_sha256(), NULL, key) == 1);
    ASSERT(EVP_DigestSign(&context, signature, &signature_len, (const uint8_t *)token, len) == 1);
    EVP_MD_CTX_cleanup(&context);
    token_append(token, signature, signature_len);
    return token;
}

static inline const char *token_es256(const char *header, const char *claims, EVP_PKEY *key)
{
    static char token[TOKEN_SIZE];
    uint8_t digest[SHA256_DIGEST_LENGTH], signature[64];
    size_t len = token_message(token, header, claims);
    ECDSA_SIG *pair;

    SHA256((const uint8_t *)token, len, digest);
    pair = ECDSA_do_sign(digest, sizeof(digest), EVP_PKEY_get0_EC_KEY(key));
    BN_bn2bin_padded(signature, 32, ECDSA_SIG_get0_r(pair));
    BN_bn2bin_padded(signature + 32, 32, ECDSA_SIG_get0_s(pair));
    ECDSA_SIG_free(pair);
    token_append(token, signature, sizeof(signature));
    return token;
}

static inline EVP_PKEY *make_rsa_key(int bits)
{
    EVP_PKEY *key = EVP_PKEY_new();
    RSA *rsa = RSA_new();
    BIGNUM *e = BN_new();

    ASSERT(BN_set_word(e, RSA_F4) == 1 && RSA_generate_key_ex(rsa, bits, e, NULL) == 1);
    EVP_PKEY_set1_RSA(key, rsa);
    BN_free(e);
    RSA_free(rsa);
    return key;
}

static inline EVP_PKEY *make_ec_key(int curve)
{
    EVP_PKEY *key = EVP_PKEY_new();
    EC_KEY *ec = EC_KEY_new_by_curve_name(curve);

    ASSERT(EC_KEY_generate_key(ec) == 1);
    EVP_PKEY_set1_EC_KEY(key, ec);
    EC_KEY_free(ec);
    return key;
}

/* A file in the folder of the test. */
static inline const char *key_file(const char *folder, const void *bytes, size_t len)
{
    static char path[256];
    FILE *file;

    snprintf(path, sizeof(path), "%s/key", folder);
    file = fopen(path, "w");
    ASSERT(file != NULL && fwrite(bytes, 1, len, file) == len);
    fclose(file);
    return path;
}

static inline const char *key_text(const char *folder, const char *text)
{
    return key_file(folder, text, strlen(text));
}

static inline const char *key_public(const char *folder, EVP_PKEY *key)
{
    static char path[256];
    FILE *file;

    snprintf(path, sizeof(path), "%s/key", folder);
    file = fopen(path, "w");
    ASSERT(file != NULL && PEM_write_PUBKEY(file, key) == 1);
    fclose(file);
    return path;
}

#endif
