/* SPDX-License-Identifier: MIT */
#include "shards/snapshot.h"

#include "shards/machine_priv.h"

static struct snapshot *find(struct snapshots *snapshots, const void *fresh)
{
    for (unsigned i = 0; i < SNAPSHOTS_MAX; i++) {
        if (snapshots->rows[i].fresh == fresh)
            return &snapshots->rows[i];
    }
    return NULL;
}

bool snapshot_room(const struct snapshots *snapshots, unsigned count)
{
    for (unsigned i = 0; i < SNAPSHOTS_MAX && count != 0; i++)
        count -= snapshots->rows[i].fresh == NULL;
    return count == 0;
}

void snapshot_post(struct shard *control, struct snapshots *snapshots, enum mesh_kind kind,
                   void *fresh, void *former, snapshot_release *release)
{
    struct snapshot *row = find(snapshots, NULL);
    unsigned shards = control->machine->limits.shards;

    ASSERT(row != NULL && fresh != NULL);
    *row = (struct snapshot){fresh, former, release, shards};
    for (unsigned i = 0; i < shards; i++)
        shard_post(control, i, kind, 0, fresh);
}

static void end(struct shard *control, struct snapshot *row)
{
    struct snapshot over = *row;

    *row = (struct snapshot){0}; /* first: release() may post */
    if (over.former != NULL)
        over.release(control, over.former);
}

void snapshot_confirmed(struct shard *control, struct snapshots *snapshots, const void *fresh)
{
    struct snapshot *row = find(snapshots, fresh);

    ASSERT(row != NULL && row->confirmations > 0);
    if (--row->confirmations == 0)
        end(control, row); /* I2 */
}

void snapshots_end(struct shard *control, struct snapshots *snapshots)
{
    for (unsigned i = 0; i < SNAPSHOTS_MAX; i++) {
        if (snapshots->rows[i].fresh != NULL)
            end(control, &snapshots->rows[i]);
    }
}
