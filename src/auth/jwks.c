/* SPDX-License-Identifier: MIT
 *
 * jwks - a JSON Web Key Set (RFC 7517): {"keys": [{"kty": ..., "kid": ..., "use": ..., "alg": ...}, ...]}.
 *
 * Sets of identity providers hold keys that are none of ours: for encryption, of Ed25519, for RS512. Those are passed
 * over, as the RFC says. A key that should be ours and is broken or weak is an error, as is a set without any of ours:
 * half a set would keep out half of the users without a word.
 */
#include "auth/base64url.h"
#include "auth/jwt_keys_priv.h"
#include "base/check.h"
#include "base/file_read.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/refuse.h"

#include <openssl/bn.h>
#include <openssl/ec_key.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/rsa.h>

#define NUMBER_BYTES_MAX (JWT_RSA_BITS_MAX / 8)
#define SECRET_BYTES_MAX 1024u
#define KID_BYTES_MAX    255u

static const char *text_of(const cJSON *jwk, const char *name)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(jwk, name));
}

/* Decodes a member into `to`, `room` bytes. False when it is missing, not base64url, empty or too long. */
static bool decode(const cJSON *jwk, const char *name, uint8_t *to, size_t room, struct span *bytes)
{
    const char *text = text_of(jwk, name);

    return text != NULL && BASE64URL_BYTES(strlen(text)) <= room &&
           base64url_decode(span_text(text), to, bytes) && bytes->len != 0;
}

static BIGNUM *number_of(const cJSON *jwk, const char *name)
{
    uint8_t room[NUMBER_BYTES_MAX];
    struct span bytes;

    return decode(jwk, name, room, sizeof(room), &bytes) ? BN_bin2bn(bytes.data, bytes.len, NULL)
                                                         : NULL;
}

/* ---- kinds ---- */

static bool add_public(struct jwt_keys *keys, EVP_PKEY *public, const char *kid, char *why,
                       size_t size)
{
    bool added = jwt_keys_add_public(keys, public, kid, why, size);

    EVP_PKEY_free(public);
    return added;
}

/* RFC 7518, 6.3.1. */
static bool add_rsa(struct jwt_keys *keys, const cJSON *jwk, const char *kid, char *why,
                    size_t size)
{
    BIGNUM *n = number_of(jwk, "n"), *e = number_of(jwk, "e");
    RSA *rsa = RSA_new();
    EVP_PKEY *public = EVP_PKEY_new();

    ASSERT(rsa != NULL && public != NULL);
    if (n == NULL || e == NULL) {
        BN_free(n);
        BN_free(e);
        RSA_free(rsa);
        EVP_PKEY_free(public);
        return refuse_with(why, size, "n and e are not both numbers in base64url");
    }
    RSA_set0_key(rsa, n, e, NULL);
    EVP_PKEY_set1_RSA(public, rsa);
    RSA_free(rsa);
    return add_public(keys, public, kid, why, size);
}

/* RFC 7518, 6.2.1. The curve is P-256. */
static bool add_ec(struct jwt_keys *keys, const cJSON *jwk, const char *kid, char *why, size_t size)
{
    uint8_t x_room[32], y_room[32];
    struct span x, y;
    BIGNUM *x_number, *y_number;
    EC_KEY *ec;
    EVP_PKEY *public;
    bool on_curve;

    if (!decode(jwk, "x", x_room, sizeof(x_room), &x) || x.len != sizeof(x_room) ||
        !decode(jwk, "y", y_room, sizeof(y_room), &y) || y.len != sizeof(y_room))
        return refuse_with(why, size, "x and y are not both 32 bytes in base64url");
    x_number = BN_bin2bn(x.data, x.len, NULL);
    y_number = BN_bin2bn(y.data, y.len, NULL);
    ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    public = EVP_PKEY_new();
    ASSERT(x_number != NULL && y_number != NULL && ec != NULL && public != NULL);
    on_curve = EC_KEY_set_public_key_affine_coordinates(ec, x_number, y_number) == 1;
    EVP_PKEY_set1_EC_KEY(public, ec);
    BN_free(x_number);
    BN_free(y_number);
    EC_KEY_free(ec);
    ERR_clear_error();
    if (on_curve)
        return add_public(keys, public, kid, why, size);
    EVP_PKEY_free(public);
    return refuse_with(why, size, "x and y are no point of the curve");
}

/* RFC 7518, 6.4. */
static bool add_oct(struct jwt_keys *keys, const cJSON *jwk, const char *kid, char *why,
                    size_t size)
{
    uint8_t room[SECRET_BYTES_MAX];
    struct span secret;
    bool added;

    if (!decode(jwk, "k", room, sizeof(room), &secret))
        return refuse_with(why, size, "k is not up to %u bytes in base64url", SECRET_BYTES_MAX);
    added = jwt_keys_add_bytes(keys, secret, kid, why, size);
    OPENSSL_cleanse(room, sizeof(room));
    return added;
}

struct kind {
    const char *kty, *algorithm;
    const char *curve; /* NULL: it has none */
    bool (*add)(struct jwt_keys *keys, const cJSON *jwk, const char *kid, char *why, size_t size);
};

static const struct kind kinds[] = {
    {"RSA", "RS256", NULL, add_rsa},
    {"EC", "ES256", "P-256", add_ec},
    {"oct", "HS256", NULL, add_oct},
};

/* ---- one key ---- */

static bool verifies(const cJSON *operations)
{
    const cJSON *operation;

    if (operations == NULL)
        return true;
    cJSON_ArrayForEach(operation, operations)
    {
        if (cJSON_IsString(operation) && strcmp(operation->valuestring, "verify") == 0)
            return true;
    }
    return false;
}

/* The member, if it is there, has that value. */
static bool says(const cJSON *jwk, const char *name, const char *wanted)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(jwk, name);

    return value == NULL || (cJSON_IsString(value) && strcmp(value->valuestring, wanted) == 0);
}

/* The kind of a key that is ours to use; NULL for all others. */
static const struct kind *kind_of(const cJSON *jwk)
{
    const char *kty = text_of(jwk, "kty"), *curve = text_of(jwk, "crv");

    for (unsigned i = 0; kty != NULL && i < ARRAY_LENGTH(kinds); i++) {
        const struct kind *kind = &kinds[i];

        if (strcmp(kty, kind->kty) == 0 && says(jwk, "alg", kind->algorithm) &&
            says(jwk, "use", "sig") && verifies(cJSON_GetObjectItemCaseSensitive(jwk, "key_ops")) &&
            (kind->curve == NULL || (curve != NULL && strcmp(curve, kind->curve) == 0)))
            return kind;
    }
    return NULL;
}

static bool add_key(struct jwt_keys *keys, const cJSON *jwk, char *why, size_t size)
{
    const struct kind *kind;
    const cJSON *kid = cJSON_GetObjectItemCaseSensitive(jwk, "kid");

    if (!cJSON_IsObject(jwk))
        return refuse_with(why, size, "this is no object");
    kind = kind_of(jwk);
    if (kind == NULL)
        return true;
    if (kid != NULL && (!cJSON_IsString(kid) || kid->valuestring[0] == '\0' ||
                        strlen(kid->valuestring) > KID_BYTES_MAX))
        return refuse_with(why, size, "kid is no string of 1 to %u bytes", KID_BYTES_MAX);
    if (cJSON_GetObjectItemCaseSensitive(jwk, "d") != NULL)
        return refuse_with(why, size, "this is a private key: give the broker the public one");
    return kind->add(keys, jwk, kid != NULL ? kid->valuestring : NULL, why, size);
}

/* ---- the set ---- */

static bool add_set(struct jwt_keys *keys, const cJSON *set, char *why, size_t size)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(set, "keys"), *jwk;
    unsigned number = 0, before = keys->count;

    if (!cJSON_IsArray(list))
        return refuse_with(why, size, "there is no array \"keys\" in it");
    cJSON_ArrayForEach(jwk, list)
    {
        char reason[128];

        number++;
        if (!add_key(keys, jwk, reason, sizeof(reason)))
            return refuse_with(why, size, "key %u: %s", number, reason);
    }
    return keys->count != before ||
           refuse_with(why, size, "none of its %u keys is for RS256, ES256 or HS256", number);
}

/* cJSON frees what it read, secrets included, as it is. */
static void cleanse(const cJSON *value)
{
    for (; value != NULL; value = value->next) {
        if (value->valuestring != NULL)
            OPENSSL_cleanse(value->valuestring, strlen(value->valuestring));
        cleanse(value->child);
    }
}

bool jwt_keys_add_jwks_text(struct jwt_keys *keys, struct span text, char *why, size_t size)
{
    const char *reason = NULL;
    cJSON *set = json_parse(text, &reason);
    bool added;

    if (set == NULL)
        return refuse_with(why, size, "this is not JSON: %s", reason);
    added = add_set(keys, set, why, size);
    cleanse(set);
    cJSON_Delete(set);
    return added;
}

bool jwt_keys_add_jwks(struct jwt_keys *keys, const char *file, char *why, size_t size)
{
    struct file_bytes bytes;
    char reason[256];
    bool added;

    if (!file_read(file, JWT_KEY_FILE_MAX, &bytes, why, size))
        return false;
    added = jwt_keys_add_jwks_text(keys, span_of(bytes.data, bytes.len), reason, sizeof(reason));
    file_bytes_free(&bytes);
    return added || refuse_with(why, size, "%s: %s", file, reason);
}
