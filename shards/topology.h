/* SPDX-License-Identifier: MIT
 *
 * topology - the CPUs and the memory that this process may use.
 */
#ifndef SHARDMQ_SHARDS_TOPOLOGY_H
#define SHARDMQ_SHARDS_TOPOLOGY_H

#include <stdint.h>

#define TOPOLOGY_CPUS_MAX 1024

struct topology {
    unsigned cpu_count;
    int cpus[TOPOLOGY_CPUS_MAX]; /* allowed by the affinity mask, ascending */
    unsigned quota_cpus;         /* whole CPUs that the cgroup's quota pays for, 0: no quota */
    uint64_t memory;             /* bytes, of the machine or of the tightest cgroup */
};

void topology_read(struct topology *topology);

/* One thread per CPU, but not more than the quota pays for; at least 1. */
unsigned topology_shards(const struct topology *topology);

/* Binds the calling thread to a CPU. 0 or -errno. */
int topology_pin(int cpu);

/* The quota in thousandths of a CPU, from the files of cgroup version 2 or 1 below `root`
 * ("/sys/fs/cgroup") and the contents of /proc/self/cgroup; 0: none. For tests, too. */
unsigned topology_quota(const char *root, const char *cgroups);

/* The lowest memory limit in bytes, from the same files; 0: none. */
uint64_t topology_memory(const char *root, const char *cgroups);

#endif
