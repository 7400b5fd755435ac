/* SPDX-License-Identifier: MIT */
#include "shards/topology.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* One group: `folder` holds its files. */
typedef void visit_group(void *argument, const char *folder, bool version_2);

/* The group and all groups above it. */
static void walk(const char *root, const char *mount, const char *group, bool version_2,
                 visit_group *visit, void *argument)
{
    char folder[2 * PATH_MAX], at[PATH_MAX];

    snprintf(at, sizeof(at), "%s", group);
    for (;;) {
        char *slash = strrchr(at, '/');

        snprintf(folder, sizeof(folder), "%s%s%s", root, mount, strcmp(at, "/") == 0 ? "" : at);
        visit(argument, folder, version_2);
        if (slash == NULL || at[1] == '\0')
            return;
        slash[slash == at] = '\0';
    }
}

static bool names(const char *controllers, const char *controller)
{
    size_t wanted = strlen(controller);

    while (*controllers != '\0') {
        size_t len = strcspn(controllers, ",");

        if (len == wanted && memcmp(controllers, controller, len) == 0)
            return true;
        controllers += len + (controllers[len] == ',');
    }
    return false;
}

/* Every group that holds this process for `controller`, in version 2 or 1 of cgroups. */
static void each_group(const char *root, const char *cgroups, const char *controller,
                       visit_group *visit, void *argument)
{
    char line[PATH_MAX], mount[32];

    snprintf(mount, sizeof(mount), "/%s", controller);
    while (*cgroups != '\0') {
        size_t len = strcspn(cgroups, "\n");
        char *controllers, *group;

        snprintf(line, sizeof(line), "%.*s", (int)len, cgroups);
        cgroups += len + (cgroups[len] == '\n');
        controllers = strchr(line, ':');
        group = controllers == NULL ? NULL : strchr(controllers + 1, ':');
        if (group == NULL)
            continue;
        *group++ = '\0';
        controllers++;
        if (*controllers == '\0')
            walk(root, "", group, true, visit, argument);
        else if (names(controllers, controller))
            walk(root, mount, group, false, visit, argument);
    }
}

static bool read_in(const char *folder, const char *name, char *to, size_t size)
{
    char path[2 * PATH_MAX + 64];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return read_file(path, to, size);
}

static void visit_quota(void *argument, const char *folder, bool version_2)
{
    unsigned *quota = argument;
    char limit_text[128], period_text[128];
    long long limit = 0, period = 0;

    if (version_2) {
        if (read_in(folder, "cpu.max", limit_text, sizeof(limit_text)) &&
            sscanf(limit_text, "%lld %lld", &limit, &period) == 2) /* "max" does not match */
            *quota = lower_of(*quota, limit, period);
    } else if (read_in(folder, "cpu.cfs_quota_us", limit_text, sizeof(limit_text)) &&
               read_in(folder, "cpu.cfs_period_us", period_text, sizeof(period_text))) {
        *quota = lower_of(*quota, atoll(limit_text), atoll(period_text));
    }
}

unsigned topology_quota(const char *root, const char *cgroups)
{
    unsigned quota = 0;

    each_group(root, cgroups, "cpu", visit_quota, &quota);
    return quota;
}

static void visit_memory(void *argument, const char *folder, bool version_2)
{
    uint64_t *lowest = argument, limit = 0;
    char text[128];

    if (read_in(folder, version_2 ? "memory.max" : "memory.limit_in_bytes", text, sizeof(text)) &&
        sscanf(text, "%" SCNu64, &limit) == 1 && limit != 0 && (*lowest == 0 || limit < *lowest))
        *lowest = limit;
}

uint64_t topology_memory(const char *root, const char *cgroups)
{
    uint64_t lowest = 0;

    each_group(root, cgroups, "memory", visit_memory, &lowest);
    return lowest;
}

/* The text of /proc/self/cgroup; "" without it. */
static void read_own_groups(char *to, size_t size)
{
    if (!read_file("/proc/self/cgroup", to, size))
        to[0] = '\0';
}

void topology_read(struct topology *topology)
{
    cpu_set_t set;
    char cgroups[4096];
    uint64_t pages = (uint64_t)sysconf(_SC_PHYS_PAGES), limit;
    unsigned quota;

    memset(topology, 0, sizeof(*topology));
    if (sched_getaffinity(0, sizeof(set), &set) == 0) {
        for (int cpu = 0; cpu < CPU_SETSIZE && cpu < TOPOLOGY_CPUS_MAX; cpu++)
            if (CPU_ISSET((size_t)cpu, &set))
                topology->cpus[topology->cpu_count++] = cpu;
    }
    if (topology->cpu_count == 0)
        topology->cpu_count = 1;
    read_own_groups(cgroups, sizeof(cgroups));
    quota = topology_quota("/sys/fs/cgroup", cgroups);
    topology->quota_cpus = quota == 0 ? 0 : (quota < 1000 ? 1 : quota / 1000);
    topology->memory = pages * (uint64_t)sysconf(_SC_PAGESIZE);
    limit = topology_memory("/sys/fs/cgroup", cgroups);
    if (limit != 0 && limit < topology->memory)
        topology->memory = limit;
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
