/* SPDX-License-Identifier: MIT */
#include "api/process.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static double seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static void read_memory(struct process_view *view)
{
    FILE *file = fopen("/proc/self/statm", "re");
    unsigned long total = 0, resident = 0;
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

    if (file == NULL)
        return;
    if (fscanf(file, "%lu %lu", &total, &resident) == 2) {
        view->virtual_bytes = total * page;
        view->resident_bytes = resident * page;
    }
    fclose(file);
}

static uint64_t count_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    uint64_t count = 0;

    if (folder == NULL)
        return 0;
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(folder);
    return count - 1; /* without the one that was open to count them */
}

void process_observe(struct process_view *view)
{
    struct rlimit limit;
    struct rusage usage;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    memset(view, 0, sizeof(*view));
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        view->cpu_s = seconds(usage.ru_utime) + seconds(usage.ru_stime);
    read_memory(view);
    view->open_descriptors = count_descriptors();
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        view->descriptors_max = limit.rlim_cur;
    view->cores = cores < 1 ? 1 : (unsigned)cores;
}
