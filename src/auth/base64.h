/* SPDX-License-Identifier: MIT
 *
 * base64 - the encoding of salts, hashes and keys (RFC 4648, section 4), in bounded buffers.
 */
#ifndef SHARDMQ_AUTH_BASE64_H
#define SHARDMQ_AUTH_BASE64_H

#include "base/span.h"

/* Room for the text of `len` bytes, with its terminator. */
#define BASE64_SIZE(len) (((len) + 2) / 3 * 4 + 1)

/* Decodes all of `text`, with its padding or without any, into to[0 .. size); *len is what it was. False when it is
 * not base64, or longer. */
bool base64_decode(struct span text, uint8_t *to, size_t size, size_t *len);

/* Writes data[0 .. len) with padding; `to` holds BASE64_SIZE(len), and is terminated. Returns the length of the text. */
size_t base64_encode(char *to, const uint8_t *data, size_t len);

#endif
