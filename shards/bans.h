/* SPDX-License-Identifier: MIT
 *
 * bans - the list of bans as operators see it, on the control shard: kept in a file, and handed to the shards as a
 * snapshot (broker/banned.h) for every change.
 *
 * Invariants
 *   I1  a change is in the file before it is in force; one that cannot be written changes nothing
 *   I2  a file that is not good stops the start: nobody is let in because a ban could not be read
 *   I3  there are at most banned.max_entries, those that have run out not counted
 */
#ifndef SHARDMQ_SHARDS_BANS_H
#define SHARDMQ_SHARDS_BANS_H

#include "broker/banned.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

struct bans;
struct conf;
struct control;
struct machine;

#define BAN_WHO_MAX    65535u
#define BAN_BY_MAX     255u
#define BAN_REASON_MAX 1024u

/* Class: shard (the control shard). */
struct ban {
    enum ban_kind kind;
    char *who; /* an address as inet_ntop() writes it, a network with /<bits> behind it */
    char *by, *reason;
    uint64_t at_s, until_s; /* wall clock; BAN_FOREVER */
    uint8_t address[16], address_len, prefix;
};

/* "clientid", "username", "peerhost" and "peerhost_net", as EMQX calls them. */
const char *ban_as(const struct ban *ban);
/* {"as":"clientid","who":"x","by":"admin","reason":"","at":1700000000,"until":"infinity"} */
cJSON *ban_show(const struct ban *ban);
/* The opposite. `at` and `until` are seconds since 1970, times of RFC 3339, or left out (now, and for ever); until can
 * also be "infinity". What is left out of `by` is `by_default`. NULL, with a sentence that begins with the member's
 * name, when something is wrong. ban_free() it. */
struct ban *ban_read(const cJSON *json, const char *by_default, uint64_t now_s, char *error,
                     size_t size);
/* NULL is ignored. */
void ban_free(struct ban *ban);

/* Reads the file. NULL, with a sentence in `why`, when it is there and not good (I2). */
struct bans *bans_open(const struct conf *conf, uint64_t now_s, char *why, size_t size);
void bans_close(struct bans *bans);
/* What the shards begin with; the list's until it is changed. NULL: there is none. */
struct banned *bans_snapshot(const struct bans *bans);

/* Those that have not run out, oldest first. */
uint32_t bans_count(struct bans *bans, uint64_t now_s);
const struct ban *bans_at(const struct bans *bans, uint32_t index);

enum bans_result {
    BANS_DONE,
    BANS_FULL,        /* I3 */
    BANS_NOT_WRITTEN, /* a sentence is in `why` */
    BANS_BUSY,        /* too many changes are on their way to the shards */
    BANS_UNKNOWN      /* there is no such ban */
};

/* For the control shard while it serves. */
struct bans *control_bans(struct control *control);
/* Adds a ban, or puts it in the place of the one for the same; takes `ban`. Clients that it concerns are disconnected
 * soon after. */
enum bans_result control_ban(struct control *control, struct ban *ban, char *why, size_t size);
/* Removes the ban for that `as` and `who`, or, with as == NULL, all. */
enum bans_result control_unban(struct control *control, const char *as, struct span who, char *why,
                               size_t size);

#endif
