/* SPDX-License-Identifier: MIT
 *
 * scram - SCRAM-SHA-256 (RFC 5802, RFC 7677): a client and a server show each other that they know a password, or
 * what was derived of it, without saying it.
 */
#ifndef SHARDMQ_AUTH_SCRAM_H
#define SHARDMQ_AUTH_SCRAM_H

#include "base/span.h"

#define SCRAM_METHOD         "SCRAM-SHA-256" /* the Authentication Method of MQTT 5.0 */
#define SCRAM_KEY_BYTES      32u
#define SCRAM_SALT_MAX       64u
#define SCRAM_SALT_BYTES     16u /* of a salt that is made here */
#define SCRAM_ITERATIONS     15000u
#define SCRAM_ITERATIONS_MIN 4096u /* RFC 7677, section 4 */
#define SCRAM_ITERATIONS_MAX 10000000u

/* What a server keeps of a password. Who has it can pretend to be the server, and can try passwords, but cannot log
 * in with it. boot. */
struct scram_keys {
    uint32_t iterations;
    uint32_t salt_len;
    uint8_t salt[SCRAM_SALT_MAX];
    uint8_t stored_key[SCRAM_KEY_BYTES], server_key[SCRAM_KEY_BYTES];
};

/* Derives the keys of a password with the salt and the iterations that stand in `keys` already. Blocks: about a
 * microsecond for three iterations. False when memory is gone. */
bool scram_derive(struct scram_keys *keys, struct span password);

#endif
