/* SPDX-License-Identifier: MIT */
#include "auth/scram.h"

#include <openssl/digest.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/mem.h>
#include <openssl/sha.h>

/* HMAC(key, text) with a key of SCRAM_KEY_BYTES. False when memory is gone. */
static bool keyed(const uint8_t *key, const void *text, size_t len, uint8_t *to)
{
    unsigned size = SCRAM_KEY_BYTES;

    return HMAC(EVP_sha256(), key, SCRAM_KEY_BYTES, text, len, to, &size) != NULL;
}

bool scram_derive(struct scram_keys *keys, struct span password)
{
    static const char client[] = "Client Key", server[] = "Server Key";
    uint8_t salted[SCRAM_KEY_BYTES], client_key[SCRAM_KEY_BYTES];
    bool good = PKCS5_PBKDF2_HMAC(password.len > 0 ? (const char *)password.data : "", password.len,
                                  keys->salt, keys->salt_len, keys->iterations, EVP_sha256(),
                                  sizeof(salted), salted) == 1 &&
                keyed(salted, client, strlen(client), client_key) &&
                keyed(salted, server, strlen(server), keys->server_key);

    if (good)
        SHA256(client_key, sizeof(client_key), keys->stored_key);
    OPENSSL_cleanse(salted, sizeof(salted));
    OPENSSL_cleanse(client_key, sizeof(client_key));
    return good;
}
