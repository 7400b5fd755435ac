/* SPDX-License-Identifier: MIT
 *
 * slow_down - whoever gives wrong passwords waits for his answers, and nobody else does.
 *
 *   a wrong password   counts for the address that it came from and for the user name
 *   after `after`      the answer is held back: delay, 2 * delay, 4 * delay ... max_delay, by the higher of both counts
 *   `held` at a time   as many answers to one address, or about one user name, are held back; while they are, others from
 *                      there or with that name are refused without being looked at
 *   `forget` of peace  and the count begins anew
 *
 * So somebody who tries passwords gets `held` of them in `max_delay`, however many connections he opens, and a device with
 * an old password among a thousand behind the same address keeps nobody out: it holds back its own answer only. Somebody who
 * tries passwords of one user from many addresses does keep that user from logging in meanwhile, unless the password was right
 * here a moment ago (auth/login_cache.h): that is the price of not letting him try.
 *
 * An address is all of IPv4, and the first 64 bits of IPv6: one subscriber has a whole network of those.
 *
 * The table is bounded: a key has eight places that it can be in, and when all are taken by others that count for nothing
 * more than it, the one that was quiet for longest gives way, but none with answers held back.
 *
 * Owner: shard. Time is an argument.
 */
#ifndef SHARDMQ_AUTH_SLOW_DOWN_H
#define SHARDMQ_AUTH_SLOW_DOWN_H

#include "base/address.h"
#include "base/span.h"

struct slow_down_rule {
    uint32_t after, held;
    uint64_t delay_ms, max_delay_ms, forget_ms;
};

/* The two that an attempt counts for; the caller keeps it while its answer is held back. */
struct slow_down_keys {
    uint64_t address, user; /* hashes; 0: there is none */
};

struct slow_down;

/* NULL when memory is gone. */
struct slow_down *slow_down_create(void);
/* NULL is ignored. */
void slow_down_destroy(struct slow_down *table);

struct slow_down_keys slow_down_keys_of(const struct peer_address *peer, struct span username);

/* Whether an attempt may be looked at: not too many answers are held back. */
bool slow_down_may_try(const struct slow_down *table, struct slow_down_keys keys,
                       const struct slow_down_rule *rule);
/* It was wrong: counts, and says for how long the answer is to be held back; then slow_down_release() is due. 0: not at
 * all, and it is not. */
uint64_t slow_down_wrong(struct slow_down *table, struct slow_down_keys keys,
                         const struct slow_down_rule *rule, uint64_t now_ms);
/* The answer is on its way, or nobody waits for it any more. */
void slow_down_release(struct slow_down *table, struct slow_down_keys keys);
/* It was right: the user name's count begins anew. Not the address's: a right password among wrong ones
 * buys no more of them. */
void slow_down_right(struct slow_down *table, struct slow_down_keys keys);

#endif
