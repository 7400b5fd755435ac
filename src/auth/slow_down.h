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
 * There is one table for the whole broker: however many shards share the connections of one who tries, and whichever they
 * are, he gets what he would get of one.
 *
 * The table is bounded: a key has eight places that it can be in, and when all are taken by others that count for nothing
 * more than it, the one that was quiet for longest gives way, but none with answers held back.
 *
 *   bucket = hash mod buckets     word[8]:  tag of the key (27) | answers held back (17) | wrong ones (20)
 *                                 last[8]:  when one was wrong
 *
 * Any thread may call everything here. A place is one word, which is only changed by compare-and-swap: whoever finds that it
 * is another's now begins anew. While no answer is held back, which is always as long as nobody tries passwords, asking
 * costs one load of a word that nobody writes.
 *
 * Invariants
 *   I1  a place with answers held back stays its key's: it is taken from a word that has none only
 *   I2  a hold is given back where it was taken: `slow_down_hold` names the places, so none is lost and no key stays held
 *   I3  a wrong one is counted once; one may be lost for each thread that counts in the moment in which a count begins, or
 *       begins anew, and no other
 *   I4  the clocks of shards differ by the length of a turn: what is later than now is now
 *
 * Rejected: a table for each shard (N shards give N times the tries), messages between shards (too late for those that
 * come at the same moment), a lock.
 *
 * Class: shared, many writers. Time is an argument.
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

/* The places in which an answer is held back; the caller's, zeroed at first. */
struct slow_down_hold {
    uint32_t address, user; /* 1 + the number of the place; 0: none */
    bool held;
};

/* What `auth.slow_down` may say, so that it fits into a place. */
#define SLOW_DOWN_HELD_MAX  100000u
#define SLOW_DOWN_AFTER_MAX 1000000u

struct slow_down;

/* Never NULL. */
struct slow_down *slow_down_create(void);
/* NULL is ignored. */
void slow_down_destroy(struct slow_down *table);

struct slow_down_keys slow_down_keys_of(const struct peer_address *peer, struct span username);

/* Whether an attempt may be looked at: not too many answers are held back. */
bool slow_down_may_try(const struct slow_down *table, struct slow_down_keys keys,
                       const struct slow_down_rule *rule);
/* It was wrong: counts, and says for how many milliseconds the answer is to be held back; then `hold` has it until
 * slow_down_release(). 0: not at all, and `hold` has nothing. */
uint64_t slow_down_wrong(struct slow_down *table, struct slow_down_keys keys,
                         const struct slow_down_rule *rule, uint64_t now_ms,
                         struct slow_down_hold *hold);
/* The answer is on its way, or nobody waits for it any more. Nothing happens for a hold that has nothing. */
void slow_down_release(struct slow_down *table, struct slow_down_hold *hold);
/* It was right: the user name's count begins anew. Not the address's: a right password among wrong ones
 * buys no more of them. */
void slow_down_right(struct slow_down *table, struct slow_down_keys keys);

#endif
