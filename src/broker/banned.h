/* SPDX-License-Identifier: MIT
 *
 * banned - who is not let in: client identifiers, user names, addresses and networks. The essay is in banned.c.
 */
#ifndef SHARDMQ_BROKER_BANNED_H
#define SHARDMQ_BROKER_BANNED_H

#include "base/span.h"
#include "broker/ports.h"

#include <stdbool.h>
#include <stdint.h>

enum ban_kind { BAN_CLIENT_IDENTIFIER, BAN_USERNAME, BAN_ADDRESS };

#define BAN_FOREVER UINT64_MAX

/* One ban, as far as it decides. */
struct ban_key {
    enum ban_kind kind;
    uint8_t prefix;    /* BAN_ADDRESS: how many bits count; the others are 0 */
    struct span bytes; /* the identifier, the name, or the address: 4 or 16 bytes */
    uint64_t until_ms; /* wall clock: from then on it is none; BAN_FOREVER */
};

struct banned;

/* A snapshot of these bans, which are copied. No two have the same kind, prefix and bytes. */
struct banned *banned_create(const struct ban_key *keys, uint32_t count);
/* NULL is ignored. */
void banned_destroy(struct banned *banned);

/* An IPv4 address that is written as IPv6 (::ffff:192.0.2.1) is the IPv4 address. Returns its length, 4 or 16; 0 when
 * it is neither. */
uint32_t banned_address_bytes(const struct peer_address *peer, uint8_t to[16]);
/* Makes the bits behind the prefix 0. */
void banned_mask(uint8_t *bytes, uint32_t len, unsigned prefix);

/* Whether an address is banned now. `banned` may be NULL: nobody is. */
bool banned_address(const struct banned *banned, const struct peer_address *peer, uint64_t wall_ms);
/* Which of a client's names is banned now, as a sentence for logs and CONNACK; NULL: none. An absent user name has no
 * data. */
const char *banned_client(const struct banned *banned, struct span client_identifier,
                          struct span username, const struct peer_address *peer, uint64_t wall_ms);

#endif
