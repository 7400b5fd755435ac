/* SPDX-License-Identifier: MIT
 *
 * broker_cost - CPU time and memory from /proc.
 */
#include "bench/broker_cost.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static uint64_t thread_cpu_ns(uint64_t pid, const char *thread)
{
    char path[320];
    uint64_t run_ns = 0;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%" PRIu64 "/task/%s/schedstat", pid, thread);
    file = fopen(path, "re");
    if (file == NULL) {
        return 0;
    }
    if (fscanf(file, "%" SCNu64, &run_ns) != 1) {
        run_ns = 0;
    }
    fclose(file);
    return run_ns;
}

uint64_t broker_cpu_ns(uint64_t pid)
{
    char path[64];
    struct dirent *entry;
    uint64_t sum_ns = 0;
    DIR *tasks;

    snprintf(path, sizeof(path), "/proc/%" PRIu64 "/task", pid);
    tasks = opendir(path);
    if (tasks == NULL) {
        return 0;
    }
    while ((entry = readdir(tasks)) != NULL) {
        if (entry->d_name[0] != '.') {
            sum_ns += thread_cpu_ns(pid, entry->d_name);
        }
    }
    closedir(tasks);
    return sum_ns;
}

/* Finds "<name> <number>" at the start of a line; false when there is none. */
static bool read_number(const char *path, const char *name, int64_t *out)
{
    char line[512];
    FILE *file = fopen(path, "re");
    bool found = false;

    while (file != NULL && !found && fgets(line, sizeof(line), file) != NULL) {
        found = strncmp(line, name, strlen(name)) == 0 &&
                sscanf(line + strlen(name), "%" SCNd64, out) == 1;
    }
    if (file != NULL) {
        fclose(file);
    }
    return found;
}

/* Memory of all TCP sockets: the last number of the line TCP, in pages. */
static int64_t sockets_kib(void)
{
    char line[256];
    int64_t pages = 0;
    FILE *file = fopen("/proc/net/sockstat", "re");

    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        const char *mem = strstr(line, " mem ");

        if (strncmp(line, "TCP:", 4) == 0 && mem != NULL &&
            sscanf(mem, " mem %" SCNd64, &pages) != 1) {
            pages = 0;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

bool memory_cost_read(uint64_t pid, struct memory_cost *out)
{
    char path[64];

    memset(out, 0, sizeof(*out));
    snprintf(path, sizeof(path), "/proc/%" PRIu64 "/status", pid);
    read_number("/proc/meminfo", "Slab:", &out->slab_kib);
    out->sockets_kib = sockets_kib();
    return read_number(path, "VmRSS:", &out->resident_kib) &&
           read_number(path, "RssAnon:", &out->anonymous_kib);
}
