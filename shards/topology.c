/* SPDX-License-Identifier: MIT */
#include "shards/topology.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool read_file(const char *path, char *to, size_t size)
{
    FILE *file = fopen(path, "re");
    size_t got;

    if (file == NULL)
        return false;
    got = fread(to, 1, size - 1, file);
    to[got] = '\0';
    fclose(file);
    return true;
}

static unsigned lower_of(unsigned quota, long long limit, long long period)
{
    unsigned long long found;

    if (limit <= 0 || period <= 0)
        return quota;
    found = (unsigned long long)limit * 1000 / (unsigned long long)period;
    if (found == 0)
        found = 1;
    if (found > UINT_MAX)
        return quota;
    return quota == 0 || found < quota ? (unsigned)found : quota;
}

/* Looks into the group and all groups above it: the tightest quota holds. */
static unsigned walk(const char *root, const char *mount, const char *group, bool version_2)
{
    char path[2 * PATH_MAX], at[PATH_MAX], text[128];
    unsigned quota = 0;

    snprintf(at, sizeof(at), "%s", group);
    for (;;) {
        char *slash;
        long long limit = 0, period = 0;

        snprintf(path, sizeof(path), "%s%s%s/%s", root, mount, strcmp(at, "/") == 0 ? "" : at,
                 version_2 ? "cpu.max" : "cpu.cfs_quota_us");
        if (read_file(path, text, sizeof(text))) {
            if (version_2) {
                if (sscanf(text, "%lld %lld", &limit, &period) == 2) /* "max" does not match */
                    quota = lower_of(quota, limit, period);
            } else {
                limit = atoll(text);
                snprintf(path, sizeof(path), "%s%s%s/cpu.cfs_period_us", root, mount,
                         strcmp(at, "/") == 0 ? "" : at);
                if (read_file(path, text, sizeof(text)))
                    quota = lower_of(quota, limit, atoll(text));
            }
        }
        slash = strrchr(at, '/');
        if (slash == NULL || at[1] == '\0')
            return quota;
        slash[slash == at] = '\0';
    }
}

unsigned topology_quota(const char *root, const char *cgroups)
{
    char line[PATH_MAX];
    unsigned quota = 0;

    while (*cgroups != '\0') {
        size_t len = strcspn(cgroups, "\n");
        char *controllers, *group;
        unsigned found = 0;

        snprintf(line, sizeof(line), "%.*s", (int)len, cgroups);
        cgroups += len + (cgroups[len] == '\n');
        controllers = strchr(line, ':');
        group = controllers == NULL ? NULL : strchr(controllers + 1, ':');
        if (group == NULL)
            continue;
        *group++ = '\0';
        controllers++;
        if (*controllers == '\0')
            found = walk(root, "", group, true);
        else if (strcmp(controllers, "cpu") == 0 || strstr(controllers, "cpu,") != NULL ||
                 strstr(controllers, ",cpu") != NULL)
            found = walk(root, "/cpu", group, false);
        if (found != 0 && (quota == 0 || found < quota))
            quota = found;
    }
    return quota;
}

void topology_read(struct topology *topology)
{
    cpu_set_t set;
    char cgroups[4096];

    memset(topology, 0, sizeof(*topology));
    if (sched_getaffinity(0, sizeof(set), &set) == 0) {
        for (int cpu = 0; cpu < CPU_SETSIZE && cpu < TOPOLOGY_CPUS_MAX; cpu++)
            if (CPU_ISSET((size_t)cpu, &set))
                topology->cpus[topology->cpu_count++] = cpu;
    }
    if (topology->cpu_count == 0)
        topology->cpu_count = 1;
    if (read_file("/proc/self/cgroup", cgroups, sizeof(cgroups))) {
        unsigned quota = topology_quota("/sys/fs/cgroup", cgroups);

        topology->quota_cpus = quota == 0 ? 0 : (quota < 1000 ? 1 : quota / 1000);
    }
}

unsigned topology_shards(const struct topology *topology)
{
    if (topology->quota_cpus != 0 && topology->quota_cpus < topology->cpu_count)
        return topology->quota_cpus;
    return topology->cpu_count;
}

int topology_pin(int cpu)
{
    cpu_set_t set;

    if (cpu < 0 || cpu >= CPU_SETSIZE)
        return -EINVAL;
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    return sched_setaffinity(0, sizeof(set), &set) == 0 ? 0 : -errno;
}
