/* SPDX-License-Identifier: MIT
 *
 * retained - one shard's part of the retained messages: topic name -> message (an opaque pointer).
 *
 * Owner: shard. A scan by filter is cut into bounded batches, and the store may change between two
 * batches.
 */
#ifndef SHARDMQ_TOPIC_RETAINED_H
#define SHARDMQ_TOPIC_RETAINED_H

#include "base/span.h"

struct retained_store;

struct retained_store *retained_create(void);
/* Calls `release` for every message that is still stored. */
void retained_destroy(struct retained_store *store, void (*release)(void *argument, void *message),
                      void *argument);

/* Stores `message` under a valid topic name. Returns false when memory is gone (nothing changed).
 * *old_out gets the message it replaces, or NULL. */
bool retained_set(struct retained_store *store, struct span topic, void *message, void **old_out);
/* Removes and returns what was stored, or NULL. */
void *retained_remove(struct retained_store *store, struct span topic);
void *retained_get(const struct retained_store *store, struct span topic);
uint64_t retained_count(const struct retained_store *store);

/* A scan in progress. Every message that was stored before the scan began, is still stored and
 * matches is visited exactly once; one stored meanwhile may be visited or not. */
struct retained_scan;

/* Begins a scan for a valid filter (exact or with wildcards; `$` topics do not match a leading
 * wildcard). NULL when memory is gone. */
struct retained_scan *retained_scan_open(struct retained_store *store, struct span filter);
/* Visits at most `visits` messages and looks at no more than about 4 * visits nodes. Returns false
 * when the scan is complete. `visit` must not change the store. */
bool retained_scan_next(struct retained_scan *scan, uint32_t visits,
                        void (*visit)(void *argument, void *message), void *argument);
/* Ends a scan, complete or not. All scans must be closed before the store is destroyed. */
void retained_scan_close(struct retained_scan *scan);

void retained_check(const struct retained_store *store);

#endif
