/* SPDX-License-Identifier: MIT */
#include "auth/jwt_keys_priv.h"

#include "auth/base64url.h"
#include "base/check.h"
#include "base/file_read.h"
#include "base/mem.h"
#include "base/refuse.h"

#include <openssl/bn.h>
#include <openssl/bytestring.h>
#include <openssl/ec_key.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <openssl/x509.h>

#define ES256_HALF 32u /* bytes of r and of s (RFC 7518, 3.4) */

struct jwt_keys *jwt_keys_create(void)
{
    return mem_zalloc(sizeof(struct jwt_keys));
}

void jwt_keys_destroy(struct jwt_keys *keys)
{
    for (unsigned i = 0; keys != NULL && i < keys->count; i++) {
        struct jwt_key *key = &keys->list[i];

        EVP_PKEY_free(key->public);
        if (key->secret != NULL)
            OPENSSL_cleanse(key->secret, key->secret_len);
        mem_free(key->secret);
        mem_free(key->kid);
    }
    mem_free(keys);
}

unsigned jwt_keys_count(const struct jwt_keys *keys)
{
    return keys->count;
}

/* ---- adding ---- */

static struct jwt_key *next_key(struct jwt_keys *keys, const char *kid, char *why, size_t size)
{
    struct jwt_key *key;

    if (keys->count == JWT_KEYS_MAX) {
        refuse_with(why, size, "there are more than %u keys", JWT_KEYS_MAX);
        return NULL;
    }
    key = &keys->list[keys->count++];
    *key = (struct jwt_key){.kid = kid != NULL ? mem_strdup(kid) : NULL};
    return key;
}

/* I2, and which algorithm it is for (I1). */
static bool judge(EVP_PKEY *public, enum jwt_algorithm *algorithm, char *why, size_t size)
{
    const EC_KEY *ec;
    unsigned bits;

    switch (EVP_PKEY_id(public)) {
    case EVP_PKEY_RSA:
        *algorithm = JWT_RS256;
        bits = (unsigned)EVP_PKEY_bits(public);
        if (bits < JWT_RSA_BITS_MIN)
            return refuse_with(why, size, "an RSA key of %u bits is too weak: %u are the least",
                               bits, JWT_RSA_BITS_MIN);
        if (bits > JWT_RSA_BITS_MAX)
            return refuse_with(why, size, "an RSA key has %u bits: %u are the most", bits,
                               JWT_RSA_BITS_MAX);
        return RSA_check_key(EVP_PKEY_get0_RSA(public)) == 1 ||
               refuse_with(why, size, "this is not a sound RSA key");
    case EVP_PKEY_EC:
        *algorithm = JWT_ES256;
        ec = EVP_PKEY_get0_EC_KEY(public);
        if (EC_GROUP_get_curve_name(EC_KEY_get0_group(ec)) != NID_X9_62_prime256v1)
            return refuse_with(why, size, "an EC key is not on the curve P-256, as ES256 wants it");
        return EC_KEY_check_key(ec) == 1 || refuse_with(why, size, "this is not a sound EC key");
    default:
        return refuse_with(why, size, "a key is neither of RSA nor of EC");
    }
}

bool jwt_keys_add_public(struct jwt_keys *keys, EVP_PKEY *public, const char *kid, char *why,
                         size_t size)
{
    enum jwt_algorithm algorithm = JWT_HS256;
    struct jwt_key *key;

    if (!judge(public, &algorithm, why, size)) {
        ERR_clear_error();
        return false;
    }
    key = next_key(keys, kid, why, size);
    if (key == NULL)
        return false;
    key->algorithm = algorithm;
    EVP_PKEY_up_ref(public);
    key->public = public;
    return true;
}

bool jwt_keys_add_bytes(struct jwt_keys *keys, struct span secret, const char *kid, char *why,
                        size_t size)
{
    struct jwt_key *key;

    if (secret.len < JWT_SECRET_BYTES_MIN)
        return refuse_with(why, size, "a secret of %u bytes is too short: %u are the least",
                           secret.len, JWT_SECRET_BYTES_MIN);
    key = next_key(keys, kid, why, size);
    if (key == NULL)
        return false;
    key->algorithm = JWT_HS256;
    key->secret = mem_alloc(secret.len);
    key->secret_len = secret.len;
    memcpy(key->secret, secret.data, secret.len);
    return true;
}

/* ---- PEM ---- */

/* The public key of one PEM block; NULL with a sentence. */
static EVP_PKEY *read_block(const char *name, const uint8_t *der, long len, char *why, size_t size)
{
    EVP_PKEY *public = NULL;
    CBS bytes;

    CBS_init(&bytes, der, (size_t)len);
    if (strcmp(name, "PUBLIC KEY") == 0) {
        public = EVP_parse_public_key(&bytes);
        if (public != NULL && CBS_len(&bytes) != 0) {
            EVP_PKEY_free(public);
            public = NULL;
        }
    } else if (strcmp(name, "RSA PUBLIC KEY") == 0) {
        RSA *rsa = RSA_public_key_from_bytes(der, (size_t)len);

        public = rsa != NULL ? EVP_PKEY_new() : NULL;
        if (public != NULL)
            EVP_PKEY_set1_RSA(public, rsa);
        RSA_free(rsa);
    } else if (strcmp(name, "CERTIFICATE") == 0) {
        X509 *certificate = d2i_X509(NULL, &der, len);

        public = certificate != NULL ? X509_get_pubkey(certificate) : NULL;
        X509_free(certificate);
    } else if (strstr(name, "PRIVATE KEY") != NULL) {
        refuse_with(why, size, "this is a private key: give the broker the public one");
        return NULL;
    }
    if (public == NULL)
        refuse_with(why, size, "\"%.64s\" in it is no public key that tokens are signed for", name);
    return public;
}

static bool add_block(struct jwt_keys *keys, const char *name, const uint8_t *der, long len,
                      char *why, size_t size)
{
    EVP_PKEY *public = read_block(name, der, len, why, size);
    bool added = public != NULL && jwt_keys_add_public(keys, public, NULL, why, size);

    EVP_PKEY_free(public);
    return added;
}

bool jwt_keys_add_pem(struct jwt_keys *keys, const char *file, char *why, size_t size)
{
    struct file_bytes bytes;
    unsigned before = keys->count;
    bool good = true;
    BIO *bio;
    char reason[256];

    if (!file_read(file, JWT_KEY_FILE_MAX, &bytes, why, size))
        return false;
    ERR_clear_error();
    bio = BIO_new_mem_buf(bytes.data, (int)bytes.len);
    while (bio != NULL && good) {
        char *name = NULL, *header = NULL;
        uint8_t *der = NULL;
        long len = 0;

        if (PEM_read_bio(bio, &name, &header, &der, &len) != 1)
            break;
        good = add_block(keys, name, der, len, reason, sizeof(reason));
        OPENSSL_free(name);
        OPENSSL_free(header);
        OPENSSL_free(der);
    }
    if (good && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
        good = refuse_with(reason, sizeof(reason), "this is not PEM");
    if (good && keys->count == before)
        good = refuse_with(reason, sizeof(reason), "there is no public key in PEM form in it");
    ERR_clear_error();
    BIO_free(bio);
    file_bytes_free(&bytes);
    return good || refuse_with(why, size, "%s: %s", file, reason);
}

/* ---- secrets ---- */

static bool is_text(const struct file_bytes *bytes)
{
    for (size_t i = 0; i < bytes->len; i++)
        if ((bytes->data[i] < ' ' || bytes->data[i] > '~') &&
            strchr("\t\r\n", bytes->data[i]) == NULL)
            return false;
    return memchr(bytes->data, '\0', bytes->len) == NULL;
}

static struct span without_line_end(const struct file_bytes *bytes)
{
    size_t len = bytes->len;

    if (is_text(bytes) && len != 0 && bytes->data[len - 1] == '\n') {
        len--;
        if (len != 0 && bytes->data[len - 1] == '\r')
            len--;
    }
    return span_of(bytes->data, len);
}

bool jwt_keys_add_secret(struct jwt_keys *keys, const char *file, enum jwt_secret_form form,
                         char *why, size_t size)
{
    struct file_bytes bytes;
    struct span secret;
    char reason[256];
    bool added = false;

    if (!file_read(file, JWT_KEY_FILE_MAX, &bytes, why, size))
        return false;
    secret = without_line_end(&bytes);
    if (memmem(bytes.data, bytes.len, "-----BEGIN ", 11) != NULL)
        refuse_with(reason, sizeof(reason), "this is PEM, and no secret");
    else if (form == JWT_SECRET_BASE64URL && /* in place: it writes behind what it reads */
             !base64url_decode(secret, (uint8_t *)bytes.data, &secret))
        refuse_with(reason, sizeof(reason), "this is not base64url without padding");
    else
        added = jwt_keys_add_bytes(keys, secret, NULL, reason, sizeof(reason));
    file_bytes_free(&bytes);
    return added || refuse_with(why, size, "%s: %s", file, reason);
}

/* ---- verifying ---- */

bool jwt_algorithm_read(struct span name, enum jwt_algorithm *algorithm)
{
    static const char *const names[] = {
        [JWT_HS256] = "HS256", [JWT_RS256] = "RS256", [JWT_ES256] = "ES256"};

    for (unsigned i = 0; i < ARRAY_LENGTH(names); i++) {
        if (span_equal(name, span_text(names[i]))) {
            *algorithm = (enum jwt_algorithm)i;
            return true;
        }
    }
    return false;
}

static enum jwt_key_answer is_hs256(const struct jwt_key *key, struct span bytes,
                                    struct span signature)
{
    uint8_t wanted[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    bool made = HMAC(EVP_sha256(), key->secret, key->secret_len, bytes.data, bytes.len, wanted,
                     &len) != NULL;
    bool same = made && len == signature.len && CRYPTO_memcmp(wanted, signature.data, len) == 0;

    OPENSSL_cleanse(wanted, sizeof(wanted));
    return same ? JWT_KEY_RIGHT : made ? JWT_KEY_WRONG : JWT_KEY_FAILED;
}

static bool is_rs256(const struct jwt_key *key, struct span bytes, struct span signature)
{
    EVP_MD_CTX context;
    bool same;

    EVP_MD_CTX_init(&context);
    same = EVP_DigestVerifyInit(&context, NULL, EVP_sha256(), NULL, key->public) == 1 &&
           EVP_DigestVerify(&context, signature.data, signature.len, bytes.data, bytes.len) == 1;
    EVP_MD_CTX_cleanup(&context);
    return same;
}

/* The signature is r and s one behind the other, not the ASN.1 of other protocols. */
static bool is_es256(const struct jwt_key *key, struct span bytes, struct span signature)
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    ECDSA_SIG *pair;
    BIGNUM *r, *s;
    bool same = false;

    if (signature.len != 2 * ES256_HALF)
        return false;
    pair = ECDSA_SIG_new();
    r = BN_bin2bn(signature.data, ES256_HALF, NULL);
    s = BN_bin2bn(signature.data + ES256_HALF, ES256_HALF, NULL);
    if (pair != NULL && r != NULL && s != NULL && ECDSA_SIG_set0(pair, r, s) == 1) {
        SHA256(bytes.data, bytes.len, digest);
        same =
            ECDSA_do_verify(digest, sizeof(digest), pair, EVP_PKEY_get0_EC_KEY(key->public)) == 1;
    } else {
        BN_free(r);
        BN_free(s);
    }
    ECDSA_SIG_free(pair);
    return same;
}

/* Wrong signatures leave their mark on the thread, and so does memory that is gone. */
static bool take_errors(void)
{
    bool starved = false;
    uint32_t error;

    while ((error = (uint32_t)ERR_get_error()) != 0)
        starved |= ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE;
    return starved;
}

static enum jwt_key_answer signed_by(const struct jwt_key *key, struct span bytes,
                                     struct span signature)
{
    bool same = false, starved;

    switch (key->algorithm) {
    case JWT_HS256:
        return is_hs256(key, bytes, signature);
    case JWT_RS256:
        same = is_rs256(key, bytes, signature);
        break;
    case JWT_ES256:
        same = is_es256(key, bytes, signature);
        break;
    }
    starved = take_errors();
    return same ? JWT_KEY_RIGHT : starved ? JWT_KEY_FAILED : JWT_KEY_WRONG;
}

enum jwt_key_answer jwt_keys_verify(const struct jwt_keys *keys, enum jwt_algorithm algorithm,
                                    struct span kid, struct span bytes, struct span signature)
{
    enum jwt_key_answer answer = JWT_KEY_ABSENT;

    for (unsigned i = 0; i < keys->count; i++) {
        const struct jwt_key *key = &keys->list[i];
        enum jwt_key_answer one;

        if (key->algorithm != algorithm ||
            (key->kid != NULL && kid.len != 0 && !span_equal(kid, span_text(key->kid))))
            continue;
        one = signed_by(key, bytes, signature);
        if (one == JWT_KEY_RIGHT)
            return JWT_KEY_RIGHT;
        if (answer != JWT_KEY_FAILED)
            answer = one;
    }
    return answer;
}
