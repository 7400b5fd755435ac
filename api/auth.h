/* SPDX-License-Identifier: MIT
 *
 * auth - Basic authentication (RFC 7617) with one account, or tokens (RFC 6750), and what slows guessing down.
 *
 * Owner: shard. An address that gave AUTH_FREE wrong pairs is answered 429 for AUTH_PAUSE_MS without
 * a look at what it gives, right or wrong; then it may try once more, and so on. Nothing wrong for
 * AUTH_FORGET_MS forgives. Of IPv6 the first 64 bits count, which is what one customer has. The table
 * has AUTH_ADDRESSES rows: the one that was wrong longest ago makes room.
 *
 * Both parts of the pair are compared through their SHA-256, always both and all bytes: neither time
 * nor answer tells which was wrong or how much of it was right. A token that was good once is no guess: one that has
 * expired, or is for somebody else, does not count.
 */
#ifndef SHARDMQ_API_AUTH_H
#define SHARDMQ_API_AUTH_H

#include "auth/jwt_login.h"
#include "base/span.h"

#define AUTH_ADDRESSES 256u
#define AUTH_FREE      5u
#define AUTH_PAUSE_MS  5000u
#define AUTH_FORGET_MS 60000u

struct auth_address {
    uint8_t family; /* 0: free */
    uint8_t bytes[16];
    uint32_t wrong;
    uint64_t last_ms; /* of the last wrong pair */
};

struct auth {
    struct auth_address addresses[AUTH_ADDRESSES];
};

enum auth_verdict {
    AUTH_RIGHT,
    AUTH_ABSENT, /* no Authorization header, another scheme, or not one pair in base64 */
    AUTH_WRONG,
    AUTH_EXPIRED, /* a token */
    AUTH_FAILED,  /* there is no memory to look at it */
    AUTH_SLOWED   /* too many wrong ones from there: *wait_s until the next may come */
};

/* Looks at the value of an Authorization header (empty: none) that came from an address: `family`
 * AF_INET or AF_INET6, `address` 4 or 16 bytes. */
enum auth_verdict auth_check(struct auth *auth, struct span header, uint8_t family,
                             const uint8_t *address, uint64_t now_ms, const char *username,
                             const char *password, unsigned *wait_s);

/* The same for "Bearer <token>": `login` has its keys and rules, `now_s` is seconds since 1970. With AUTH_RIGHT *scope is
 * what its bearer may do; with AUTH_WRONG, AUTH_EXPIRED and AUTH_FAILED *why is a sentence for the log. */
enum auth_verdict auth_check_token(struct auth *auth, struct span header, uint8_t family,
                                   const uint8_t *address, uint64_t now_ms, uint64_t now_s,
                                   const struct jwt_login *login, enum jwt_scope *scope,
                                   const char **why, unsigned *wait_s);

#endif
