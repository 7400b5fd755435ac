/* SPDX-License-Identifier: MIT
 *
 * snapshot - what every shard reads and the control shard replaces as a whole: the configuration, the bans.
 *
 *   control shard                                   shard
 *   makes a new one
 *   snapshot_post() --kind, pointer to the new one-->  uses it from this turn on
 *   snapshot_confirmed()  <--the same entry back---     has no pointer to the former one any more
 *   all confirmed: the former one is freed
 *
 * Invariants
 *   I1  nobody changes one that was posted (class: boot)
 *   I2  the former one is freed when no shard can have it, and not before
 *
 * Several may be on their way: a ring keeps their order, so each shard confirms an older one first.
 */
#ifndef SHARDMQ_SHARDS_SNAPSHOT_H
#define SHARDMQ_SHARDS_SNAPSHOT_H

#include "broker/mesh.h"

#include <stdbool.h>

#define SNAPSHOTS_MAX 16u /* on their way at a time */

struct shard;

typedef void snapshot_release(struct shard *control, void *former);

/* Owner: shard (the control shard). */
struct snapshots {
    struct snapshot {
        const void *fresh; /* NULL: the row is free */
        void *former;      /* NULL: there is nothing to free */
        snapshot_release *release;
        unsigned confirmations; /* still to come */
    } rows[SNAPSHOTS_MAX];
};

/* Whether `count` more can be posted now; if not, some shard has not finished a turn for long. */
bool snapshot_room(const struct snapshots *snapshots, unsigned count);
/* Posts `fresh` to every data shard with an entry of that kind. `former` goes to release() when all have it; release()
 * may post one in its turn, for which there is room. */
void snapshot_post(struct shard *control, struct snapshots *snapshots, enum mesh_kind kind,
                   void *fresh, void *former, snapshot_release *release);
/* A shard sent the entry back. */
void snapshot_confirmed(struct shard *control, struct snapshots *snapshots, const void *fresh);
/* The threads have ended: frees what waits. */
void snapshots_end(struct shard *control, struct snapshots *snapshots);

#endif
