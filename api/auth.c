/* SPDX-License-Identifier: MIT */
#include "api/auth.h"

#include "http/http.h"

#include <openssl/base64.h>
#include <openssl/mem.h>
#include <openssl/sha.h>
#include <sys/socket.h>

#define PAIR_MAX 1024u /* "user name:password", decoded */

static uint32_t significant_bytes(uint8_t family)
{
    return family == AF_INET6 ? 8 : 4;
}

static struct auth_address *find(struct auth *auth, uint8_t family, const uint8_t *address)
{
    for (unsigned i = 0; i < AUTH_ADDRESSES; i++)
        if (auth->addresses[i].family == family &&
            memcmp(auth->addresses[i].bytes, address, significant_bytes(family)) == 0)
            return &auth->addresses[i];
    return NULL;
}

static void count_wrong(struct auth *auth, uint8_t family, const uint8_t *address, uint64_t now_ms)
{
    struct auth_address *row = find(auth, family, address);

    if (row == NULL) {
        row = &auth->addresses[0];
        for (unsigned i = 1; i < AUTH_ADDRESSES && row->family != 0; i++)
            if (auth->addresses[i].family == 0 || auth->addresses[i].last_ms < row->last_ms)
                row = &auth->addresses[i];
        *row = (struct auth_address){.family = family};
        memcpy(row->bytes, address, significant_bytes(family));
    }
    row->wrong++;
    row->last_ms = now_ms;
}

/* How long that address is still answered nothing else than 429; forgets what is long ago. */
static uint64_t pause_left(struct auth *auth, uint8_t family, const uint8_t *address,
                           uint64_t now_ms)
{
    struct auth_address *row = find(auth, family, address);

    if (row == NULL)
        return 0;
    if (now_ms - row->last_ms >= AUTH_FORGET_MS) {
        *row = (struct auth_address){0};
        return 0;
    }
    if (row->wrong < AUTH_FREE || now_ms - row->last_ms >= AUTH_PAUSE_MS)
        return 0;
    return AUTH_PAUSE_MS - (now_ms - row->last_ms);
}

static bool is_slowed(struct auth *auth, uint8_t family, const uint8_t *address, uint64_t now_ms,
                      unsigned *wait_s)
{
    uint64_t wait_ms = pause_left(auth, family, address, now_ms);

    *wait_s = (unsigned)((wait_ms + 999) / 1000);
    return wait_ms != 0;
}

static bool is_same(struct span given, const char *wanted)
{
    uint8_t a[SHA256_DIGEST_LENGTH], b[SHA256_DIGEST_LENGTH];

    SHA256(given.data, given.len, a);
    SHA256((const uint8_t *)wanted, strlen(wanted), b);
    return CRYPTO_memcmp(a, b, sizeof(a)) == 0;
}

/* What stands behind "<scheme> " in the header; false when it has another scheme. */
static bool credentials(struct span header, const char *scheme, struct span *rest)
{
    uint32_t len = (uint32_t)strlen(scheme);

    if (header.len <= len || header.data[len] != ' ' ||
        !http_token_equal(span_of(header.data, len), scheme))
        return false;
    *rest = span_of(header.data + len, header.len - len);
    while (rest->len != 0 && rest->data[0] == ' ') {
        rest->data++;
        rest->len--;
    }
    return true;
}

/* Decodes "Basic <base64>" into `pair`; false when it is something else. */
static bool decode(struct span header, uint8_t *pair, struct span *user, struct span *password)
{
    const uint8_t *colon;
    struct span rest;
    size_t len = 0;

    if (!credentials(header, "basic", &rest) ||
        EVP_DecodeBase64(pair, &len, PAIR_MAX, rest.data, rest.len) != 1)
        return false;
    colon = memchr(pair, ':', len);
    if (colon == NULL)
        return false;
    *user = span_of(pair, (size_t)(colon - pair));
    *password = span_of(colon + 1, len - user->len - 1);
    return true;
}

enum auth_verdict auth_check(struct auth *auth, struct span header, uint8_t family,
                             const uint8_t *address, uint64_t now_ms, const char *username,
                             const char *password, unsigned *wait_s)
{
    uint8_t pair[PAIR_MAX];
    struct span given_user, given_password;
    bool right;

    if (!decode(header, pair, &given_user, &given_password))
        return AUTH_ABSENT;
    if (is_slowed(auth, family, address, now_ms, wait_s)) {
        OPENSSL_cleanse(pair, sizeof(pair));
        return AUTH_SLOWED;
    }
    right = is_same(given_user, username);
    right = is_same(given_password, password) && right;
    OPENSSL_cleanse(pair, sizeof(pair));
    if (!right)
        count_wrong(auth, family, address, now_ms);
    return right ? AUTH_RIGHT : AUTH_WRONG;
}

/* NanoMQ's claim for a body that is encrypted; nobody here has the key. */
static bool wants_encryption(const struct jwt_bearer *bearer)
{
    const cJSON *claim = cJSON_GetObjectItemCaseSensitive(bearer->token.claims, "bodyEncode");

    return claim != NULL && !(cJSON_IsNumber(claim) && claim->valuedouble == 0);
}

enum auth_verdict auth_check_token(struct auth *auth, struct span header, uint8_t family,
                                   const uint8_t *address, uint64_t now_ms, uint64_t now_s,
                                   const struct jwt_login *login, enum jwt_scope *scope,
                                   const char **why, unsigned *wait_s)
{
    struct jwt_bearer bearer;
    struct span token;
    bool encrypted;

    if (!credentials(header, "bearer", &token))
        return AUTH_ABSENT;
    if (is_slowed(auth, family, address, now_ms, wait_s))
        return AUTH_SLOWED;
    switch (jwt_login_ask(login, token, NULL, now_s, &bearer, why)) {
    case JWT_GOOD:
        break;
    case JWT_EXPIRED:
        return AUTH_EXPIRED;
    case JWT_CLAIM:
        return AUTH_WRONG;
    case JWT_FAILED:
        return AUTH_FAILED;
    default:
        count_wrong(auth, family, address, now_ms);
        return AUTH_WRONG;
    }
    encrypted = wants_encryption(&bearer);
    *scope = jwt_login_scope(login, &bearer);
    jwt_login_done(&bearer);
    *why = encrypted ? "the token wants an encrypted body (bodyEncode), which is not taken" : NULL;
    return encrypted ? AUTH_WRONG : AUTH_RIGHT;
}
