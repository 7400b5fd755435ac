/* SPDX-License-Identifier: MIT
 *
 * scram - what both sides have in common.
 */
#include "auth/saslprep.h"
#include "auth/scram_priv.h"

#include <openssl/digest.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/mem.h>
#include <openssl/sha.h>

bool scram_hmac(const uint8_t *key, const void *text, size_t len, uint8_t *to)
{
    unsigned size = SCRAM_KEY_BYTES;

    return HMAC(EVP_sha256(), key, SCRAM_KEY_BYTES, text, len, to, &size) != NULL;
}

bool scram_derive_all(struct scram_keys *keys, struct span password, uint8_t *client_key)
{
    static const char client[] = "Client Key", server[] = "Server Key";
    uint8_t salted[SCRAM_KEY_BYTES];
    struct prepared prepared;
    struct span text;
    bool good;

    if (!saslprep(password, &prepared))
        return false;
    text = prepared.text;
    good = PKCS5_PBKDF2_HMAC(text.len > 0 ? (const char *)text.data : "", text.len, keys->salt,
                             keys->salt_len, keys->iterations, EVP_sha256(), sizeof(salted),
                             salted) == 1 &&
           scram_hmac(salted, client, strlen(client), client_key) &&
           scram_hmac(salted, server, strlen(server), keys->server_key);
    saslprep_free(&prepared);
    if (good)
        SHA256(client_key, SCRAM_KEY_BYTES, keys->stored_key);
    OPENSSL_cleanse(salted, sizeof(salted));
    return good;
}

bool scram_derive(struct scram_keys *keys, struct span password)
{
    uint8_t client_key[SCRAM_KEY_BYTES];
    bool good = scram_derive_all(keys, password, client_key);

    OPENSSL_cleanse(client_key, sizeof(client_key));
    return good;
}

bool scram_attribute(struct span *rest, char name, struct span *value)
{
    const uint8_t *comma;
    size_t len;

    if (rest->len < 2 || rest->data[0] != (uint8_t)name || rest->data[1] != '=')
        return false;
    comma = memchr(rest->data, ',', rest->len);
    len = comma != NULL ? (size_t)(comma - rest->data) : rest->len;
    *value = span_of(rest->data + 2, len - 2);
    len += comma != NULL;
    *rest = span_of(rest->data + len, rest->len - len);
    return true;
}

bool scram_nonce_good(struct span nonce)
{
    for (uint32_t i = 0; i < nonce.len; i++) {
        if (nonce.data[i] < 0x21 || nonce.data[i] > 0x7E || nonce.data[i] == ',')
            return false;
    }
    return nonce.len > 0;
}

bool scram_append(char *text, size_t size, uint32_t *len, struct span more)
{
    if (more.len > size - *len)
        return false;
    if (more.len > 0)
        memcpy(text + *len, more.data, more.len);
    *len += more.len;
    return true;
}
