/* SPDX-License-Identifier: MIT
 *
 * utf8 - see the header. Topics and identifiers are nearly always short and ASCII, so eight (or
 * four) bytes are looked at in one step, and the rest of such a string with one more load that
 * overlaps what was seen already; only what is not plain ASCII comes to the byte-wise part.
 */
#include "base/utf8.h"

#include <string.h>

#define ONES  0x0101010101010101u
#define HIGHS 0x8080808080808080u

/* All eight bytes are between 0x01 and 0x7F. The subtraction borrows from a byte only when that or
 * one below it is zero, so a set high bit means a zero byte or a byte above 0x7F, and none means
 * neither. */
static inline bool ascii8(const uint8_t *data)
{
    uint64_t word;

    memcpy(&word, data, sizeof(word));
    return (((word - ONES) | word) & HIGHS) == 0;
}

static inline bool ascii4(const uint8_t *data)
{
    uint32_t word;

    memcpy(&word, data, sizeof(word));
    return (((word - (uint32_t)ONES) | word) & (uint32_t)HIGHS) == 0;
}

static inline bool continuation(uint8_t byte)
{
    return (byte & 0xC0) == 0x80;
}

/* Length of the well-formed character at data[0 .. len), len above 0; 0 when there is none. The
 * ranges of the second byte are those of the Unicode Standard, table 3-7: they exclude overlong
 * forms, surrogates and what lies above U+10FFFF. [MQTT-1.5.3-1] [MQTT-1.5.4-1] */
static size_t character(const uint8_t *data, size_t len)
{
    uint8_t first = data[0];
    uint8_t low = 0x80, high = 0xBF;
    size_t size;

    if (first < 0x80)
        return first != 0; /* [MQTT-1.5.3-2] [MQTT-1.5.4-2] */
    if (first < 0xC2 || first > 0xF4)
        return 0;
    if (first < 0xE0) {
        size = 2;
    } else if (first < 0xF0) {
        size = 3;
        if (first == 0xE0)
            low = 0xA0;
        else if (first == 0xED)
            high = 0x9F;
    } else {
        size = 4;
        if (first == 0xF0)
            low = 0x90;
        else if (first == 0xF4)
            high = 0x8F;
    }
    if (len < size || data[1] < low || data[1] > high)
        return 0;
    for (size_t i = 2; i < size; i++) {
        if (!continuation(data[i]))
            return 0;
    }
    return size;
}

/* The general case; steps over runs of ASCII eight bytes at a time. */
static bool valid_slow(const uint8_t *data, size_t len)
{
    while (len > 0) {
        size_t size = len >= 8 && ascii8(data) ? 8 : character(data, len);

        if (size == 0)
            return false;
        data += size;
        len -= size;
    }
    return true;
}

bool utf8_valid(const uint8_t *data, size_t len)
{
    size_t at;

    if (len >= 8) {
        for (at = 0; at + 8 <= len; at += 8) {
            if (!ascii8(data + at))
                return valid_slow(data + at, len - at);
        }
        /* Bytes before `at` are characters of their own, so a look back is harmless. */
        return ascii8(data + len - 8) || valid_slow(data + at, len - at);
    }
    if (len >= 4)
        return (ascii4(data) && ascii4(data + len - 4)) || valid_slow(data, len);
    return valid_slow(data, len);
}
