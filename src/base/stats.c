/* SPDX-License-Identifier: MIT */
#include "base/stats.h"

#include <string.h>

const struct stat_info stat_infos[STAT_ID_COUNT] = {
#define STAT(name, kind, unit, help) {#name, #unit, help, STAT_KIND_##kind},
#include "base/stats.def"
#undef STAT
};

void stats_sum(struct stats_snapshot *sum, const struct shard_stats *shard)
{
    for (unsigned i = 0; i < STAT_ID_COUNT; i++)
        sum->values[i] += atomic_load_explicit(&shard->values[i], memory_order_relaxed);
}

int64_t stats_message_drop(const struct stats_snapshot *sum)
{
    int64_t drops = 0;

    for (unsigned i = 0; i < STAT_ID_COUNT; i++)
        if (strncmp(stat_infos[i].name, "drop_", 5) == 0)
            drops += sum->values[i];
    return drops;
}

int64_t stats_delivery_pending(const struct stats_snapshot *sum)
{
    return sum->values[STAT_delivery_queued] + sum->values[STAT_delivery_sending] +
           sum->values[STAT_delivery_held];
}
