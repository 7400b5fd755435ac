/* SPDX-License-Identifier: MIT
 *
 * scram_server - the server's side.
 *
 * text[] holds what the proof is over (RFC 5802, section 3: AuthMessage), as it comes: the client's first message without
 * its header, the challenge, and the last message without its proof.
 */
#include "auth/base64.h"
#include "auth/saslprep.h"
#include "auth/scram_priv.h"
#include "base/check.h"
#include "base/mem.h"
#include "base/utf8.h"

#include <openssl/mem.h>
#include <openssl/sha.h>

#include <stdio.h>

static bool refuse(const char **why, const char *what)
{
    *why = what;
    return false;
}

/* There is room for three messages, whose length was looked at. */
static bool append(struct scram_server *server, struct span more)
{
    bool fits = scram_append(server->text, sizeof(server->text), &server->text_len, more);

    ASSERT(fits);
    return fits;
}

/* In place, to[0 .. SCRAM_MESSAGE_MAX). */
static bool prepare_name(char *to, uint32_t *len)
{
    struct prepared name;
    bool fits = saslprep(span_of(to, *len), &name) && name.text.len > 0 &&
                name.text.len <= SCRAM_MESSAGE_MAX;

    if (fits && name.room != NULL) {
        memcpy(to, name.text.data, name.text.len);
        *len = name.text.len;
    }
    saslprep_free(&name);
    return fits;
}

/* "=2C" is a comma, "=3D" an equals sign, and no other "=" may stand there. */
static bool decode_name(struct span name, char *to, uint32_t *len)
{
    uint32_t used = 0;

    for (uint32_t i = 0; i < name.len; i++) {
        char c = (char)name.data[i];

        if (c == '=') {
            struct span rest = span_of(name.data + i, name.len - i);

            if (!span_starts_with(rest, "=2C") && !span_starts_with(rest, "=3D"))
                return false;
            c = rest.data[1] == '2' ? ',' : '=';
            i += 2;
        }
        to[used++] = c;
    }
    *len = used;
    return used > 0 && utf8_valid((const uint8_t *)to, used) && prepare_name(to, len);
}

/* Takes "n," or "y," and the authorisation identity with its comma off the front. */
static bool take_header(struct scram_server *server, struct span *rest, struct span *identity,
                        const char **why)
{
    struct span whole = *rest;

    *identity = span_of(NULL, 0);
    if (span_starts_with(*rest, "p="))
        return refuse(why, "the client wants channel binding, which SCRAM-SHA-256 does not have");
    if (!span_starts_with(*rest, "n,") && !span_starts_with(*rest, "y,"))
        return refuse(why, "the first message does not begin with n, or y,");
    *rest = span_of(rest->data + 2, rest->len - 2u);
    if (span_starts_with(*rest, "a=") ? !scram_attribute(rest, 'a', identity)
                                      : !span_starts_with(*rest, ","))
        return refuse(why, "the header of the first message is not good");
    if (identity->data == NULL)
        *rest = span_of(rest->data + 1, rest->len - 1u);
    whole.len -= rest->len;
    base64_encode(server->binding, whole.data, whole.len);
    return true;
}

bool scram_server_first(struct scram_server *server, struct span message, const char **why)
{
    struct span rest = message, identity, name, nonce;
    char other[SCRAM_MESSAGE_MAX];
    uint32_t other_len;

    *server = (struct scram_server){0};
    if (message.len >= SCRAM_MESSAGE_MAX)
        return refuse(why, "the first message is too long");
    if (!take_header(server, &rest, &identity, why))
        return false;
    append(server, rest);
    if (span_starts_with(rest, "m="))
        return refuse(why, "the client demands an extension that is not known");
    if (!scram_attribute(&rest, 'n', &name) || !decode_name(name, server->user, &server->user_len))
        return refuse(why, "the first message has no good user name");
    if (identity.data != NULL &&
        (!decode_name(identity, other, &other_len) ||
         !span_equal(span_of(other, other_len), span_of(server->user, server->user_len))))
        return refuse(why, "the client wants to act for another user");
    if (!scram_attribute(&rest, 'r', &nonce) || nonce.len > SCRAM_NONCE_MAX ||
        !scram_nonce_good(nonce))
        return refuse(why, "the first message has no good nonce");
    server->nonce_at = (uint32_t)((nonce.data - message.data) - (message.len - server->text_len));
    server->nonce_len = nonce.len;
    return true;
}

size_t scram_server_challenge(struct scram_server *server, const struct scram_keys *keys,
                              const uint8_t *random, char *to)
{
    char own[BASE64_SIZE(SCRAM_RANDOM_BYTES)], salt[BASE64_SIZE(SCRAM_SALT_MAX)];
    size_t len;

    server->keys = *keys;
    base64_encode(own, random, SCRAM_RANDOM_BYTES);
    base64_encode(salt, keys->salt, keys->salt_len);
    len = (size_t)snprintf(to, SCRAM_MESSAGE_MAX, "r=%.*s%s,s=%s,i=%u", (int)server->nonce_len,
                           server->text + server->nonce_at, own, salt, keys->iterations);
    ASSERT(len < SCRAM_MESSAGE_MAX);
    append(server, span_of(",", 1));
    server->nonce_at = server->text_len + 2;
    server->nonce_len += (uint32_t)strlen(own);
    append(server, span_of(to, len));
    return len;
}

/* The proof is the client's key, hidden by what only who knows the stored key can compute. */
static bool proof_right(const struct scram_server *server, const uint8_t *proof)
{
    uint8_t key[SCRAM_KEY_BYTES], hash[SCRAM_KEY_BYTES];
    bool right = scram_hmac(server->keys.stored_key, server->text, server->text_len, key);

    for (unsigned i = 0; i < SCRAM_KEY_BYTES; i++)
        key[i] ^= proof[i];
    SHA256(key, sizeof(key), hash);
    right = CRYPTO_memcmp(hash, server->keys.stored_key, sizeof(hash)) == 0 && right;
    OPENSSL_cleanse(key, sizeof(key));
    return right;
}

/* Reads "c=..,r=..[,..],p=.." and puts what stands in front of the proof behind the text. */
static bool take_final(struct scram_server *server, struct span message, uint8_t *proof,
                       const char **why)
{
    struct span rest = message, binding, nonce, proof_text = {0};
    size_t len;

    if (!scram_attribute(&rest, 'c', &binding) || !span_equal(binding, span_text(server->binding)))
        return refuse(why, "the last message does not repeat the header of the first");
    if (!scram_attribute(&rest, 'r', &nonce) ||
        !span_equal(nonce, span_of(server->text + server->nonce_at, server->nonce_len)))
        return refuse(why, "the nonce of the last message is not that of the challenge");
    /* extensions stand between the nonce and the proof; none is known, so they say nothing */
    while (rest.len > 0 && !scram_attribute(&rest, 'p', &proof_text)) {
        const uint8_t *comma = memchr(rest.data, ',', rest.len);
        size_t skip = comma != NULL ? (size_t)(comma - rest.data) + 1 : rest.len;

        rest = span_of(rest.data + skip, rest.len - skip);
    }
    if (rest.len > 0 || proof_text.data == NULL ||
        !base64_decode(proof_text, proof, SCRAM_KEY_BYTES, &len) || len != SCRAM_KEY_BYTES)
        return refuse(why, "the last message has no good proof");
    len = (size_t)(proof_text.data - message.data) - 3; /* without ",p=" */
    return append(server, span_of(",", 1)) && append(server, span_of(message.data, len));
}

bool scram_server_final(struct scram_server *server, struct span message, char *to, size_t *len,
                        bool *guess, const char **why)
{
    uint8_t proof[SCRAM_KEY_BYTES], signature[SCRAM_KEY_BYTES];
    char text[BASE64_SIZE(SCRAM_KEY_BYTES)];

    *guess = false;
    if (message.len >= SCRAM_MESSAGE_MAX)
        return refuse(why, "the last message is too long");
    if (!take_final(server, message, proof, why))
        return false;
    *guess = !proof_right(server, proof);
    OPENSSL_cleanse(proof, sizeof(proof));
    mem_wipe_stack(); /* of the client's key, which was hashed */
    if (*guess)
        return refuse(why, "the proof is not that of the password");
    if (!scram_hmac(server->keys.server_key, server->text, server->text_len, signature))
        return refuse(why, "out of memory");
    base64_encode(text, signature, sizeof(signature));
    *len = (size_t)snprintf(to, SCRAM_MESSAGE_MAX, "v=%s", text);
    return true;
}

void scram_server_end(struct scram_server *server)
{
    OPENSSL_cleanse(server, sizeof(*server));
}
