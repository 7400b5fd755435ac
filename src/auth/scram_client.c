/* SPDX-License-Identifier: MIT
 *
 * scram_client - the client's side. text[] is as in scram_server.c.
 */
#include "auth/base64.h"
#include "auth/saslprep.h"
#include "auth/scram_priv.h"
#include "base/check.h"

#include <openssl/mem.h>

#include <stdio.h>
#include <stdlib.h>

#define HEADER "n,,"

static void append(struct scram_client *client, struct span more)
{
    bool fits = scram_append(client->text, sizeof(client->text), &client->text_len, more);

    ASSERT(fits); /* there is room for three messages, whose length was looked at */
}

/* Each byte may become three. */
static bool name_fits(struct span name)
{
    return name.len > 0 && name.len <= (SCRAM_MESSAGE_MAX - 64) / 3;
}

bool scram_client_name_good(struct span user)
{
    struct prepared name;
    bool good = saslprep(user, &name) && name_fits(name.text);

    saslprep_free(&name);
    return good;
}

static void append_name(struct scram_client *client, struct span user)
{
    for (uint32_t i = 0; i < user.len; i++) {
        if (user.data[i] == ',')
            append(client, span_text("=2C"));
        else if (user.data[i] == '=')
            append(client, span_text("=3D"));
        else
            append(client, span_of(user.data + i, 1));
    }
}

size_t scram_client_first(struct scram_client *client, struct span user, const uint8_t *random,
                          char *to)
{
    char nonce[BASE64_SIZE(SCRAM_RANDOM_BYTES)];
    struct prepared name;

    *client = (struct scram_client){0};
    if (!saslprep(user, &name) || !name_fits(name.text)) {
        saslprep_free(&name);
        return 0;
    }
    append(client, span_text("n="));
    append_name(client, name.text);
    saslprep_free(&name);
    append(client, span_text(",r="));
    client->nonce_at = client->text_len;
    client->nonce_len = (uint32_t)base64_encode(nonce, random, SCRAM_RANDOM_BYTES);
    append(client, span_text(nonce));
    return (size_t)snprintf(to, SCRAM_MESSAGE_MAX, HEADER "%.*s", (int)client->text_len,
                            client->text);
}

static size_t refuse(const char **why, const char *what)
{
    *why = what;
    return 0;
}

static bool read_iterations(struct span text, uint32_t *to)
{
    char digits[12];
    unsigned long number;

    if (text.len == 0 || text.len > 9)
        return false;
    memcpy(digits, text.data, text.len);
    digits[text.len] = '\0';
    number = strspn(digits, "0123456789") == text.len ? strtoul(digits, NULL, 10) : 0;
    *to = (uint32_t)number;
    return number >= SCRAM_ITERATIONS_MIN && number <= SCRAM_ITERATIONS_MAX;
}

/* Takes salt, iterations and the whole nonce; NULL, or what is wrong. */
static const char *take_challenge(const struct scram_client *client, struct span rest,
                                  struct scram_keys *keys, struct span *nonce)
{
    struct span salt, iterations, own = span_of(client->text + client->nonce_at, client->nonce_len);
    size_t len;

    if (span_starts_with(rest, "m="))
        return "the server demands an extension that is not known";
    if (!scram_attribute(&rest, 'r', nonce) || !scram_nonce_good(*nonce) || nonce->len <= own.len ||
        nonce->len > SCRAM_NONCE_MAX || !span_equal(span_of(nonce->data, own.len), own))
        return "the nonce of the challenge does not begin with the client's";
    if (!scram_attribute(&rest, 's', &salt) ||
        !base64_decode(salt, keys->salt, sizeof(keys->salt), &len))
        return "the salt of the challenge is not good";
    keys->salt_len = (uint32_t)len;
    if (!scram_attribute(&rest, 'i', &iterations) ||
        !read_iterations(iterations, &keys->iterations))
        return "the iterations of the challenge are not from 4096 to 10000000";
    return NULL;
}

/* The proof of the password, and what the server must answer. */
static bool compute(struct scram_client *client, struct scram_keys *keys, struct span password,
                    uint8_t *proof)
{
    uint8_t signature[SCRAM_KEY_BYTES];
    bool good =
        scram_derive_all(keys, password, proof) &&
        scram_hmac(keys->stored_key, client->text, client->text_len, signature) &&
        scram_hmac(keys->server_key, client->text, client->text_len, client->server_signature);

    for (unsigned i = 0; good && i < SCRAM_KEY_BYTES; i++)
        proof[i] ^= signature[i];
    OPENSSL_cleanse(keys, sizeof(*keys));
    return good;
}

size_t scram_client_final(struct scram_client *client, struct span challenge, struct span password,
                          char *to, const char **why)
{
    char binding[BASE64_SIZE(sizeof(HEADER))], text[BASE64_SIZE(SCRAM_KEY_BYTES)];
    uint8_t proof[SCRAM_KEY_BYTES];
    struct scram_keys keys = {0};
    struct span nonce;
    size_t len;

    if (challenge.len >= SCRAM_MESSAGE_MAX)
        return refuse(why, "the challenge is too long");
    *why = take_challenge(client, challenge, &keys, &nonce);
    if (*why != NULL)
        return 0;
    base64_encode(binding, (const uint8_t *)HEADER, strlen(HEADER));
    len = (size_t)snprintf(to, SCRAM_MESSAGE_MAX, "c=%s,r=%.*s", binding, (int)nonce.len,
                           (const char *)nonce.data);
    append(client, span_of(",", 1));
    append(client, challenge);
    append(client, span_of(",", 1));
    append(client, span_of(to, len));
    if (!compute(client, &keys, password, proof))
        return refuse(why, "out of memory");
    base64_encode(text, proof, sizeof(proof));
    OPENSSL_cleanse(proof, sizeof(proof));
    return len + (size_t)snprintf(to + len, SCRAM_MESSAGE_MAX - len, ",p=%s", text);
}

bool scram_client_check(const struct scram_client *client, struct span message)
{
    uint8_t signature[SCRAM_KEY_BYTES];
    struct span rest = message, text;
    size_t len;

    return scram_attribute(&rest, 'v', &text) &&
           base64_decode(text, signature, sizeof(signature), &len) && len == sizeof(signature) &&
           CRYPTO_memcmp(signature, client->server_signature, sizeof(signature)) == 0;
}
