/* SPDX-License-Identifier: MIT */
#include "auth/jwt.h"

#include "auth/base64url.h"
#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"
#include "conf/conf.h"

#include <strings.h>

#define PART_BYTES_MAX      BASE64URL_BYTES(JWT_BYTES_MAX)
#define SIGNATURE_BYTES_MAX (JWT_RSA_BITS_MAX / 8)
#define KID_BYTES_MAX       255u
#define TIME_MAX            1e15 /* seconds: what is behind is a mistake, and fits no integer in the end */

struct parts {
    struct span header, claims, signature;
    struct span message; /* what is signed: the first two with the dot between them */
};

static enum jwt_verdict refuse(const char **why, enum jwt_verdict verdict, const char *sentence)
{
    *why = sentence;
    return verdict;
}

/* ---- the form ---- */

/* Up to the next dot, or the end; `rest` is what is behind the dot. */
static bool take_part(struct span *rest, struct span *part)
{
    const uint8_t *dot = rest->len != 0 ? memchr(rest->data, '.', rest->len) : NULL;

    *part = *rest;
    if (dot == NULL)
        return false;
    part->len = (uint32_t)(dot - rest->data);
    *rest = span_of(dot + 1, rest->len - part->len - 1);
    return true;
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool in_braces(struct span text)
{
    while (text.len != 0 && is_blank(text.data[text.len - 1]))
        text.len--;
    while (text.len != 0 && is_blank(text.data[0])) {
        text.data++;
        text.len--;
    }
    return text.len >= 2 && text.data[0] == '{' && text.data[text.len - 1] == '}';
}

bool jwt_is_meant(struct span token)
{
    uint8_t room[PART_BYTES_MAX];
    struct span rest = token, header, bytes;

    if (rest.len > JWT_BYTES_MAX)
        rest.len = JWT_BYTES_MAX;
    if (!take_part(&rest, &header))
        return false;
    while (header.len != 0 && header.data[header.len - 1] == '=')
        header.len--;
    return base64url_decode(header, room, &bytes) && in_braces(bytes);
}

static bool split(struct span token, struct parts *parts)
{
    struct span rest = token;

    if (!take_part(&rest, &parts->header) || !take_part(&rest, &parts->claims))
        return false;
    parts->message = span_of(token.data, parts->header.len + 1 + parts->claims.len);
    return !take_part(&rest, &parts->signature); /* five parts are encrypted (JWE) */
}

static enum jwt_verdict no_memory(const char **why)
{
    return refuse(why, JWT_FAILED, "out of memory");
}

/* An object in base64url. NULL when it is none, which `malformed` says, or when memory is gone; *verdict tells. */
static cJSON *read_object(struct span text, const char *malformed, enum jwt_verdict *verdict,
                          const char **why)
{
    uint8_t room[PART_BYTES_MAX];
    const char *reason = NULL;
    cJSON *object = NULL;
    struct span bytes;

    *verdict = JWT_GOOD;
    if (base64url_decode(text, room, &bytes))
        object = json_parse(bytes, &reason);
    if (cJSON_IsObject(object))
        return object;
    cJSON_Delete(object);
    *verdict = reason == json_no_memory ? no_memory(why) : refuse(why, JWT_MALFORMED, malformed);
    return NULL;
}

/* ---- the header ---- */

static const cJSON *member(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

/* RFC 8725, 3.11: a token that says it is something else is not taken for one of these. */
static bool is_token_type(const cJSON *type)
{
    const char *name = cJSON_GetStringValue(type);

    if (type == NULL)
        return true;
    if (name != NULL && strncasecmp(name, "application/", 12) == 0)
        name += 12;
    return name != NULL && (strcasecmp(name, "JWT") == 0 || strcasecmp(name, "at+jwt") == 0);
}

static enum jwt_verdict read_header(const cJSON *header, enum jwt_algorithm *algorithm,
                                    struct span *kid, const char **why)
{
    static const char *const refused[] = {"crit", "b64", "zip", "cty"};
    const char *name = cJSON_GetStringValue(member(header, "alg"));
    const cJSON *key = member(header, "kid");

    for (unsigned i = 0; i < ARRAY_LENGTH(refused); i++)
        if (member(header, refused[i]) != NULL)
            return refuse(why, JWT_MALFORMED,
                          "the token's header has crit, b64, zip or cty, which is not taken");
    if (!is_token_type(member(header, "typ")))
        return refuse(why, JWT_MALFORMED, "the token's typ is neither JWT nor at+jwt");
    if (key != NULL && (!cJSON_IsString(key) || strlen(key->valuestring) > KID_BYTES_MAX))
        return refuse(why, JWT_MALFORMED, "the token's kid is no string, or too long");
    if (name == NULL)
        return refuse(why, JWT_ALGORITHM, "the token's alg is missing");
    if (!jwt_algorithm_read(span_text(name), algorithm))
        return refuse(why, JWT_ALGORITHM, "the token's alg is none of RS256, ES256 and HS256");
    *kid = key != NULL ? span_text(key->valuestring) : (struct span){0};
    return JWT_GOOD;
}

static enum jwt_verdict verify_signature(const struct jwt_keys *keys, const struct parts *parts,
                                         const cJSON *header, const char **why)
{
    uint8_t room[SIGNATURE_BYTES_MAX];
    enum jwt_algorithm algorithm;
    enum jwt_key_answer answer;
    struct span kid, signature;
    enum jwt_verdict verdict = read_header(header, &algorithm, &kid, why);

    if (verdict != JWT_GOOD)
        return verdict;
    if (BASE64URL_BYTES(parts->signature.len) > sizeof(room) ||
        !base64url_decode(parts->signature, room, &signature))
        return refuse(why, JWT_MALFORMED, "the token's signature is not base64url");
    answer = jwt_keys_verify(keys, algorithm, kid, parts->message, signature);
    mem_wipe(room, signature.len); /* with the claims it would be the token */
    mem_wipe_stack();
    switch (answer) {
    case JWT_KEY_RIGHT:
        return JWT_GOOD;
    case JWT_KEY_WRONG:
        return refuse(why, JWT_SIGNATURE, "the token's signature is wrong");
    case JWT_KEY_FAILED:
        return no_memory(why);
    case JWT_KEY_ABSENT:
        break;
    }
    if (jwt_keys_verify(keys, algorithm, (struct span){0}, (struct span){0}, (struct span){0}) ==
        JWT_KEY_ABSENT)
        return refuse(why, JWT_ALGORITHM, "no key is for the token's alg");
    return refuse(why, JWT_UNKNOWN_KEY, "no key has the token's kid");
}

/* ---- the claims ---- */

/* A NumericDate (RFC 7519, 2): *there says whether it is. False when it is there and none. */
static bool read_time(const cJSON *claims, const char *name, bool *there, double *time_s)
{
    const cJSON *value = member(claims, name);

    *there = value != NULL;
    *time_s = cJSON_IsNumber(value) ? value->valuedouble : 0;
    return value == NULL || (cJSON_IsNumber(value) && *time_s >= 0 && *time_s <= TIME_MAX);
}

static enum jwt_verdict check_times(const struct jwt_rules *rules, uint64_t now_s, struct jwt *jwt,
                                    const char **why)
{
    bool has_nbf, has_iat;
    double exp, nbf, iat, now = (double)now_s, leeway = rules->leeway_s;

    if (!read_time(jwt->claims, "exp", &jwt->expires, &exp) ||
        !read_time(jwt->claims, "nbf", &has_nbf, &nbf) ||
        !read_time(jwt->claims, "iat", &has_iat, &iat))
        return refuse(why, JWT_CLAIM, "exp, nbf or iat of the token is no time");
    if (jwt->expires && now >= exp + leeway)
        return refuse(why, JWT_EXPIRED, "the token has expired");
    if (has_nbf && now + leeway < nbf)
        return refuse(why, JWT_CLAIM, "the token is not good yet (nbf)");
    if (has_iat && now + leeway < iat)
        return refuse(why, JWT_CLAIM, "the token was issued in the future (iat)");
    if (jwt->expires)
        jwt->expires_s = (uint64_t)exp + (exp > (double)(uint64_t)exp) + rules->leeway_s;
    return JWT_GOOD;
}

/* RFC 7519, 4.1.3: who is not named in an aud that is there must refuse the token. */
static bool is_for_us(const struct jwt_rules *rules, const struct jwt *jwt)
{
    const char *list = rules->audience;
    char name[JWT_RULE_SIZE];

    if (list[0] == '\0')
        return member(jwt->claims, "aud") == NULL;
    while (conf_list_next(&list, name, sizeof(name)))
        if (jwt_has(jwt, "aud", span_text(name)))
            return true;
    return false;
}

static bool is_complete(const struct jwt_rules *rules, const struct jwt *jwt)
{
    const char *list = rules->required;
    char name[JWT_RULE_SIZE];

    while (conf_list_next(&list, name, sizeof(name))) {
        const cJSON *claim = member(jwt->claims, name);

        if (claim == NULL || cJSON_IsNull(claim))
            return false;
    }
    return true;
}

static enum jwt_verdict check_claims(const struct jwt_rules *rules, uint64_t now_s, struct jwt *jwt,
                                     const char **why)
{
    const char *issuer = jwt_text(jwt, "iss");
    enum jwt_verdict verdict = check_times(rules, now_s, jwt, why);

    if (verdict != JWT_GOOD)
        return verdict;
    if (rules->issuer[0] != '\0' && (issuer == NULL || strcmp(issuer, rules->issuer) != 0))
        return refuse(why, JWT_CLAIM, "the token is of another issuer (iss)");
    if (!is_for_us(rules, jwt))
        return refuse(why, JWT_CLAIM,
                      rules->audience[0] != '\0'
                          ? "the token is for another audience (aud)"
                          : "the token is for an audience (aud), and none is configured here");
    if (!is_complete(rules, jwt))
        return refuse(why, JWT_CLAIM, "the token lacks a claim that is required");
    return JWT_GOOD;
}

/* ---- all of it ---- */

static enum jwt_verdict verify_parts(const struct jwt_keys *keys, const struct jwt_rules *rules,
                                     const struct parts *parts, uint64_t now_s, struct jwt *jwt,
                                     const char **why)
{
    enum jwt_verdict verdict;
    cJSON *header = read_object(parts->header, "the token's header is no JSON object in base64url",
                                &verdict, why);

    if (header == NULL)
        return verdict;
    verdict = verify_signature(keys, parts, header, why);
    cJSON_Delete(header);
    if (verdict != JWT_GOOD)
        return verdict;
    jwt->claims = read_object(parts->claims, "the token's claims are no JSON object in base64url",
                              &verdict, why);
    if (jwt->claims == NULL)
        return verdict;
    verdict = check_claims(rules, now_s, jwt, why);
    if (verdict != JWT_GOOD)
        jwt_free(jwt);
    return verdict;
}

enum jwt_verdict jwt_verify(const struct jwt_keys *keys, const struct jwt_rules *rules,
                            struct span token, uint64_t now_s, struct jwt *jwt, const char **why)
{
    struct parts parts;

    *jwt = (struct jwt){0};
    *why = NULL;
    if (!jwt_is_meant(token))
        return refuse(why, JWT_FOREIGN, "this is no token");
    if (token.len > JWT_BYTES_MAX)
        return refuse(why, JWT_MALFORMED, "the token is longer than 8192 bytes");
    if (!split(token, &parts))
        return refuse(why, JWT_MALFORMED, "the token has not three parts");
    return verify_parts(keys, rules, &parts, now_s, jwt, why);
}

bool jwt_is_slow(struct span token)
{
    struct span rest = token, part;
    enum jwt_verdict verdict;
    const char *name, *why;
    cJSON *header;
    bool slow;

    if (token.len > JWT_BYTES_MAX || !take_part(&rest, &part))
        return false;
    header = read_object(part, "", &verdict, &why);
    name = cJSON_GetStringValue(member(header, "alg"));
    slow = name != NULL && strcmp(name, "ES256") == 0;
    cJSON_Delete(header);
    return slow;
}

void jwt_free(struct jwt *jwt)
{
    cJSON_Delete(jwt->claims);
    *jwt = (struct jwt){0};
}

const char *jwt_text(const struct jwt *jwt, const char *claim)
{
    return cJSON_GetStringValue(member(jwt->claims, claim));
}

bool jwt_has(const struct jwt *jwt, const char *claim, struct span wanted)
{
    const cJSON *value = member(jwt->claims, claim), *item;

    if (cJSON_IsString(value))
        return span_equal(span_text(value->valuestring), wanted);
    if (!cJSON_IsArray(value))
        return false;
    cJSON_ArrayForEach(item, value)
    {
        if (cJSON_IsString(item) && span_equal(span_text(item->valuestring), wanted))
            return true;
    }
    return false;
}
