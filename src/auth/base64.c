/* SPDX-License-Identifier: MIT */
#include "auth/base64.h"

#include <openssl/base64.h>
#include <openssl/mem.h>

#define TEXT_MAX 1024u /* nothing of ours is near it */

bool base64_decode(struct span text, uint8_t *to, size_t size, size_t *len)
{
    uint8_t padded[TEXT_MAX + 4], bytes[TEXT_MAX];
    size_t used = text.len, decoded = 0;
    bool good;

    if (text.len == 0 || text.len > TEXT_MAX)
        return false;
    memcpy(padded, text.data, used);
    while (used % 4 != 0)
        padded[used++] = '=';
    good = EVP_DecodeBase64(bytes, &decoded, sizeof(bytes), padded, used) == 1 && decoded <= size;
    if (good) {
        memcpy(to, bytes, decoded);
        *len = decoded;
    }
    OPENSSL_cleanse(padded, sizeof(padded));
    OPENSSL_cleanse(bytes, sizeof(bytes));
    return good;
}

size_t base64_encode(char *to, const uint8_t *data, size_t len)
{
    return EVP_EncodeBlock((uint8_t *)to, data, len);
}
