/* SPDX-License-Identifier: MIT */
#include "auth/base64url.h"

#include <stddef.h>

/* All ones when least <= c <= most, without a branch on c. */
static uint32_t within(uint32_t c, uint32_t least, uint32_t most)
{
    return ((c - least) >> 31 | (most - c) >> 31) - 1;
}

/* 0 to 63, or 64 and more for what is no character of the alphabet. */
static uint32_t value_of(uint32_t c)
{
    uint32_t value = 64;

    value ^= within(c, 'A', 'Z') & (64 ^ (c - 'A'));
    value ^= within(c, 'a', 'z') & (64 ^ (c - 'a' + 26));
    value ^= within(c, '0', '9') & (64 ^ (c - '0' + 52));
    value ^= within(c, '-', '-') & (64 ^ 62);
    value ^= within(c, '_', '_') & (64 ^ 63);
    return value;
}

bool base64url_decode(struct span text, uint8_t *to, struct span *bytes)
{
    uint32_t pending = 0, bits = 0, wrong = 0;
    size_t len = 0;

    for (uint32_t i = 0; i < text.len; i++) {
        uint32_t value = value_of(text.data[i]);

        wrong |= value >> 6;
        pending = (pending << 6 | (value & 63)) & 0xFFFF;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            to[len++] = (uint8_t)(pending >> bits);
        }
    }
    *bytes = span_of(to, len);
    /* One character alone has no byte; the bits that belong to none are zero. */
    return wrong == 0 && text.len % 4 != 1 && (pending & ((1u << bits) - 1)) == 0;
}
