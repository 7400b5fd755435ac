/* SPDX-License-Identifier: MIT */
#ifndef SHARDMQ_AUTH_SCRAM_PRIV_H
#define SHARDMQ_AUTH_SCRAM_PRIV_H

#include "auth/scram.h"

/* Takes "<name>=" and what follows up to the next comma off the front of `rest`, with that comma. False when something
 * else stands there. */
bool scram_attribute(struct span *rest, char name, struct span *value);

/* A nonce may have any visible character but the comma (RFC 5802, section 7), and not be empty. */
bool scram_nonce_good(struct span nonce);

/* scram_derive(), and the key that a client proves to have, of SCRAM_KEY_BYTES. */
bool scram_derive_all(struct scram_keys *keys, struct span password, uint8_t *client_key);

/* HMAC-SHA-256 with a key of SCRAM_KEY_BYTES. False when memory is gone. */
bool scram_hmac(const uint8_t *key, const void *text, size_t len, uint8_t *to);

/* Adds bytes at the end of a text of `size` bytes; false when they do not fit. */
bool scram_append(char *text, size_t size, uint32_t *len, struct span more);

#endif
