/* SPDX-License-Identifier: MIT */
#include "auth/password.h"

#include "auth/base64.h"
#include "base/check.h"
#include "base/mem.h"

#include <openssl/digest.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include <stdio.h>

#define SCRYPT_MEMORY_MAX     (256u << 20)
#define SCRYPT_P_MAX          16u
#define SCRYPT_SALT_BYTES     16u
#define SCRYPT_HASH_BYTES     32u
#define PBKDF2_SALT_BYTES     12u
#define PBKDF2_ITERATIONS_MAX 10000000u
#define SALT_BYTES_MIN        4u /* mosquitto_passwd writes 12 */

static bool refuse(const char **why, const char *what)
{
    *why = what;
    return false;
}

/* ---- reading ---- */

/* Cuts what stands before the next `end`, or all of it, off the front of `text`. */
static struct span cut(struct span *text, char end)
{
    const uint8_t *found = text->len > 0 ? memchr(text->data, end, text->len) : NULL;
    size_t len = found != NULL ? (size_t)(found - text->data) : text->len;
    struct span first = span_of(text->data, len);

    len += found != NULL;
    *text = span_of(text->data + len, text->len - len);
    return first;
}

/* A decimal number without sign, blanks or leading zero; all of `text`. */
static bool read_number(struct span text, uint32_t least, uint32_t most, uint32_t *to)
{
    uint64_t number = 0;

    if (text.len == 0 || text.len > 9 || (text.data[0] == '0' && text.len > 1))
        return false;
    for (uint32_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        number = number * 10 + (uint64_t)(text.data[i] - '0');
    }
    *to = (uint32_t)number;
    return number >= least && number <= most;
}

/* "ln=" and a number, when `name` is "ln=". */
static bool read_named(struct span text, const char *name, uint32_t least, uint32_t most,
                       uint32_t *to)
{
    size_t len = strlen(name);

    return span_starts_with(text, name) &&
           read_number(span_of(text.data + len, text.len - len), least, most, to);
}

static bool read_salt(struct span text, uint8_t *salt, size_t size, uint32_t *len_out)
{
    size_t len;

    if (!base64_decode(text, salt, size, &len) || len < SALT_BYTES_MIN)
        return false;
    *len_out = (uint32_t)len;
    return true;
}

static bool read_exactly(struct span text, uint8_t *to, size_t size)
{
    size_t len;

    return base64_decode(text, to, size, &len) && len == size;
}

static bool parse_sha512(struct password *to, struct span rest, const char **why)
{
    to->kind = PASSWORD_SHA512;
    to->hash_len = SHA512_DIGEST_LENGTH;
    if (!read_salt(cut(&rest, '$'), to->salt, sizeof(to->salt), &to->salt_len))
        return refuse(why, "the salt of $6$ is not good");
    if (!read_exactly(rest, to->hash, to->hash_len))
        return refuse(why, "the hash of $6$ is not whole");
    return true;
}

static bool parse_pbkdf2(struct password *to, struct span rest, const char **why)
{
    to->kind = PASSWORD_PBKDF2;
    to->hash_len = SHA512_DIGEST_LENGTH;
    if (!read_number(cut(&rest, '$'), 1, PBKDF2_ITERATIONS_MAX, &to->iterations))
        return refuse(why, "the iterations of $7$ are no number from 1 to 10000000");
    if (!read_salt(cut(&rest, '$'), to->salt, sizeof(to->salt), &to->salt_len))
        return refuse(why, "the salt of $7$ is not good");
    if (!read_exactly(rest, to->hash, to->hash_len))
        return refuse(why, "the hash of $7$ is not whole");
    return true;
}

static bool scrypt_good(uint32_t log_n, uint32_t r, uint32_t p)
{
    return log_n >= 10 && log_n <= 20 && r >= 1 && r <= 32 && p >= 1 && p <= SCRYPT_P_MAX &&
           ((uint64_t)128 * r << log_n) <= SCRYPT_MEMORY_MAX;
}

bool password_cost_good(const struct password_cost *cost)
{
    bool good = cost->kind == PASSWORD_PBKDF2
                    ? cost->iterations >= 1 && cost->iterations <= PBKDF2_ITERATIONS_MAX
                    : cost->kind == PASSWORD_SCRYPT && scrypt_good(cost->log_n, cost->r, cost->p);

    return good &&
           (cost->scram_iterations == 0 || (cost->scram_iterations >= SCRAM_ITERATIONS_MIN &&
                                            cost->scram_iterations <= SCRAM_ITERATIONS_MAX));
}

static bool parse_scrypt(struct password *to, struct span rest, const char **why)
{
    struct span costs = cut(&rest, '$');
    uint32_t log_n, r, p;

    to->kind = PASSWORD_SCRYPT;
    if (!read_named(cut(&costs, ','), "ln=", 10, 20, &log_n) ||
        !read_named(cut(&costs, ','), "r=", 1, 32, &r) ||
        !read_named(costs, "p=", 1, SCRYPT_P_MAX, &p) || !scrypt_good(log_n, r, p))
        return refuse(why, "the costs of $scrypt$ are not ln=10..20,r=1..32,p=1..16 within 256 MB");
    to->log_n = (uint8_t)log_n;
    to->r = (uint8_t)r;
    to->p = (uint8_t)p;
    if (!read_salt(cut(&rest, '$'), to->salt, sizeof(to->salt), &to->salt_len))
        return refuse(why, "the salt of $scrypt$ is not good");
    to->hash_len = SCRYPT_HASH_BYTES;
    if (!read_exactly(rest, to->hash, to->hash_len))
        return refuse(why, "the hash of $scrypt$ is not whole");
    return true;
}

static const char scram_word[] = "$scram-sha-256$";

/* `rest` is what follows the word. */
static bool parse_scram(struct scram_keys *to, struct span rest, const char **why)
{
    if (!read_named(cut(&rest, '$'), "i=", SCRAM_ITERATIONS_MIN, SCRAM_ITERATIONS_MAX,
                    &to->iterations))
        return refuse(why, "the iterations of $scram-sha-256$ are not i=4096 .. i=10000000");
    if (!read_salt(cut(&rest, '$'), to->salt, sizeof(to->salt), &to->salt_len))
        return refuse(why, "the salt of $scram-sha-256$ is not good");
    if (!read_exactly(cut(&rest, '$'), to->stored_key, sizeof(to->stored_key)) ||
        !read_exactly(rest, to->server_key, sizeof(to->server_key)))
        return refuse(why, "the keys of $scram-sha-256$ are not whole");
    return true;
}

static bool parse_only_scram(struct password *to, struct span rest, const char **why)
{
    to->kind = PASSWORD_SCRAM;
    to->has_scram = true;
    return parse_scram(&to->scram, rest, why);
}

static const struct {
    const char *word;
    bool (*parse)(struct password *to, struct span rest, const char **why);
} forms[] = {
    {"$6$", parse_sha512},
    {"$7$", parse_pbkdf2},
    {"$scrypt$", parse_scrypt},
    {scram_word, parse_only_scram},
};

static bool is_word(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

bool password_is_hash(struct span text)
{
    uint32_t at = 1;

    while (at < text.len && is_word(text.data[at]))
        at++;
    return text.len > 2 && text.data[0] == '$' && at > 1 && at < text.len && text.data[at] == '$';
}

static bool parse_clear(struct password *to, struct span text, const char **why)
{
    if (text.len == 0)
        return refuse(why, "the password is missing");
    if (text.len > PASSWORD_BYTES_MAX)
        return refuse(why, "the password is longer than 1024 bytes");
    to->kind = PASSWORD_CLEAR;
    to->clear = mem_try_alloc(text.len);
    if (to->clear == NULL)
        return refuse(why, "out of memory");
    memcpy(to->clear, text.data, text.len);
    to->clear_len = text.len;
    *why = NULL;
    return true;
}

/* What may stand behind the colon of a hash. */
static bool parse_second(struct password *to, struct span text, const char **why)
{
    size_t len = strlen(scram_word);

    if (!span_starts_with(text, scram_word))
        return refuse(why, "only keys of SCRAM may stand behind a hash");
    if (to->kind == PASSWORD_SCRAM)
        return refuse(why, "there are two sets of keys of SCRAM");
    to->has_scram = true;
    return parse_scram(&to->scram, span_of(text.data + len, text.len - len), why);
}

bool password_parse(struct password *to, struct span text, const char **why)
{
    bool good = false;

    *to = (struct password){0};
    if (!password_is_hash(text))
        return parse_clear(to, text, why);
    *why =
        "this kind of hash is not known ($6$, $7$, $scrypt$ and $scram-sha-256$ are); a password "
        "that begins like one can only be stored hashed";
    for (size_t i = 0; i < ARRAY_LENGTH(forms); i++) {
        size_t len = strlen(forms[i].word);
        struct span hash;

        if (!span_starts_with(text, forms[i].word))
            continue;
        hash = cut(&text, ':');
        good = forms[i].parse(to, span_of(hash.data + len, hash.len - len), why);
        /* a colon with nothing behind it is a line that was cut off */
        if (good && hash.data + hash.len != text.data)
            good = parse_second(to, text, why);
        break;
    }
    if (good)
        *why = NULL;
    else
        password_release(to);
    return good;
}

void password_release(struct password *password)
{
    if (password->clear != NULL)
        OPENSSL_cleanse(password->clear, password->clear_len);
    mem_free(password->clear);
    OPENSSL_cleanse(password, sizeof(*password));
}

/* ---- checking ---- */

static bool hash_sha512(const struct password *how, struct span given, uint8_t *to)
{
    EVP_MD_CTX context;
    bool good;

    EVP_MD_CTX_init(&context);
    good = EVP_DigestInit_ex(&context, EVP_sha512(), NULL) == 1 &&
           EVP_DigestUpdate(&context, given.data, given.len) == 1 &&
           EVP_DigestUpdate(&context, how->salt, how->salt_len) == 1 &&
           EVP_DigestFinal_ex(&context, to, NULL) == 1;
    EVP_MD_CTX_cleanup(&context);
    return good;
}

/* Computes the hash of `given` as `how` says, to[0 .. how->hash_len). */
static bool hash(const struct password *how, struct span given, uint8_t *to)
{
    const char *text = given.len > 0 ? (const char *)given.data : "";

    switch (how->kind) {
    case PASSWORD_SHA512:
        return hash_sha512(how, given, to);
    case PASSWORD_PBKDF2:
        return PKCS5_PBKDF2_HMAC(text, given.len, how->salt, how->salt_len, how->iterations,
                                 EVP_sha512(), how->hash_len, to) == 1;
    case PASSWORD_SCRYPT:
        return EVP_PBE_scrypt(text, given.len, how->salt, how->salt_len, (uint64_t)1 << how->log_n,
                              how->r, how->p, SCRYPT_MEMORY_MAX + SCRYPT_MEMORY_MAX / 4, to,
                              how->hash_len) == 1;
    case PASSWORD_CLEAR:
    case PASSWORD_SCRAM:
        break;
    }
    UNREACHABLE("a kind of password that is no hash");
}

static bool verify_clear(const struct password *stored, struct span given)
{
    uint8_t wanted[SHA256_DIGEST_LENGTH], found[SHA256_DIGEST_LENGTH];
    bool right;

    SHA256(stored->clear, stored->clear_len, wanted);
    SHA256(given.data, given.len, found);
    right = CRYPTO_memcmp(wanted, found, sizeof(wanted)) == 0;
    OPENSSL_cleanse(wanted, sizeof(wanted));
    OPENSSL_cleanse(found, sizeof(found));
    return right;
}

static bool verify_scram(const struct password *stored, struct span given)
{
    struct scram_keys keys = stored->scram;
    bool right = scram_derive(&keys, given) &&
                 CRYPTO_memcmp(keys.stored_key, stored->scram.stored_key, SCRAM_KEY_BYTES) == 0;

    OPENSSL_cleanse(&keys, sizeof(keys));
    return right;
}

bool password_verify(const struct password *stored, struct span given)
{
    uint8_t found[sizeof(stored->hash)];
    bool right;

    if (stored->kind == PASSWORD_CLEAR)
        return verify_clear(stored, given);
    if (stored->kind == PASSWORD_SCRAM)
        return verify_scram(stored, given);
    right = hash(stored, given, found) && CRYPTO_memcmp(found, stored->hash, stored->hash_len) == 0;
    OPENSSL_cleanse(found, sizeof(found));
    return right;
}

uint64_t password_work(const struct password *stored)
{
    switch (stored->kind) {
    case PASSWORD_CLEAR:
    case PASSWORD_SHA512:
        break;
    case PASSWORD_PBKDF2: /* two SHA-512 of a block each, which are 7 rounds */
        return (uint64_t)stored->iterations * 14;
    case PASSWORD_SCRYPT:
        return (uint64_t)4 * stored->r * stored->p << stored->log_n;
    case PASSWORD_SCRAM: /* two SHA-256 */
        return (uint64_t)stored->scram.iterations * 4;
    }
    return 0;
}

/* ---- making ---- */

static bool format_scram(const struct scram_keys *keys, char *to, size_t size)
{
    char salt[BASE64_SIZE(SCRAM_SALT_MAX)], stored[BASE64_SIZE(SCRAM_KEY_BYTES)],
        server[BASE64_SIZE(SCRAM_KEY_BYTES)];

    base64_encode(salt, keys->salt, keys->salt_len);
    base64_encode(stored, keys->stored_key, SCRAM_KEY_BYTES);
    base64_encode(server, keys->server_key, SCRAM_KEY_BYTES);
    return snprintf(to, size, ":%si=%u$%s$%s$%s", scram_word, keys->iterations, salt, stored,
                    server) < (int)size;
}

/* Everything in front of the keys of SCRAM. Returns its length. */
static size_t format_hash(const struct password *made, char *to)
{
    char salt[BASE64_SIZE(sizeof(made->salt))], text[BASE64_SIZE(sizeof(made->hash))];

    base64_encode(salt, made->salt, made->salt_len);
    base64_encode(text, made->hash, made->hash_len);
    if (made->kind == PASSWORD_PBKDF2)
        return (size_t)snprintf(to, PASSWORD_TEXT_MAX, "$7$%u$%s$%s", made->iterations, salt, text);
    /* no padding: that is how others write and read this form */
    return (size_t)snprintf(to, PASSWORD_TEXT_MAX, "$scrypt$ln=%u,r=%u,p=%u$%.*s$%.*s", made->log_n,
                            made->r, made->p, (int)strcspn(salt, "="), salt,
                            (int)strcspn(text, "="), text);
}

bool password_make(struct span given, const struct password_cost *cost, char *to)
{
    bool scrypt = cost->kind == PASSWORD_SCRYPT;
    struct password made = {
        .kind = cost->kind,
        .log_n = cost->log_n,
        .r = cost->r,
        .p = cost->p,
        .iterations = cost->iterations,
        .salt_len = scrypt ? SCRYPT_SALT_BYTES : PBKDF2_SALT_BYTES,
        .hash_len = scrypt ? SCRYPT_HASH_BYTES : SHA512_DIGEST_LENGTH,
        .has_scram = cost->scram_iterations > 0,
        .scram = {.iterations = cost->scram_iterations, .salt_len = SCRAM_SALT_BYTES}};
    bool good;
    size_t used;

    ASSERT(password_cost_good(cost));
    RAND_bytes(made.salt, made.salt_len);
    RAND_bytes(made.scram.salt, SCRAM_SALT_BYTES);
    good = hash(&made, given, made.hash) && (!made.has_scram || scram_derive(&made.scram, given));
    if (good) {
        used = format_hash(&made, to);
        good = !made.has_scram || format_scram(&made.scram, to + used, PASSWORD_TEXT_MAX - used);
    }
    password_release(&made);
    return good;
}

const char *password_kind_name(enum password_kind kind)
{
    static const char *const names[] = {[PASSWORD_CLEAR] = "clear text",
                                        [PASSWORD_SHA512] = "sha512",
                                        [PASSWORD_PBKDF2] = "pbkdf2-sha512",
                                        [PASSWORD_SCRYPT] = "scrypt",
                                        [PASSWORD_SCRAM] = "scram-sha-256"};

    return names[kind];
}
