/* SPDX-License-Identifier: MIT
 *
 * base64url - the base64 of tokens and their keys (RFC 4648, section 5; RFC 7515, section 2): no padding, no blank, and
 * one text only for the same bytes. What is not written exactly so is refused, for two texts that mean the same are a
 * way around everything that remembers tokens.
 */
#ifndef SHARDMQ_AUTH_BASE64URL_H
#define SHARDMQ_AUTH_BASE64URL_H

#include "base/span.h"

/* How many bytes a text of that length decodes to. */
#define BASE64URL_BYTES(len) ((len) / 4 * 3 + ((len) % 4 * 3) / 4)

/* Decodes all of `text` into `to`, which has room for BASE64URL_BYTES(text.len); the decoded bytes are *bytes. False
 * when it is not base64url. The time it takes depends on the length alone: it also reads secrets. */
bool base64url_decode(struct span text, uint8_t *to, struct span *bytes);

#endif
