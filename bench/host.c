/* SPDX-License-Identifier: MIT
 *
 * host - read from uname, /proc/cpuinfo and the command line.
 */
#include "bench/host.h"

#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#ifndef SHARDMQ_COMMIT
#define SHARDMQ_COMMIT "unknown"
#endif

static void read_cpu(char *to, size_t room)
{
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "re");

    snprintf(to, room, "unknown");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        const char *colon = strchr(line, ':');

        if (strncmp(line, "model name", 10) == 0 && colon != NULL) {
            snprintf(to, room, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
            break;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
}

/* True when the word before tells that this one is a secret. */
static bool is_secret(const char *before, const char *word)
{
    return (before != NULL && (strcmp(before, "-P") == 0 || strcmp(before, "--password") == 0 ||
                               strcmp(before, "--keypass") == 0)) ||
           strncmp(word, "--password=", 11) == 0 || strncmp(word, "--keypass=", 10) == 0 ||
           (strncmp(word, "-P", 2) == 0 && word[2] != '\0');
}

static void write_command(char *to, size_t room, const struct bench_options *options)
{
    static const char *const names[] = {
        [PUB] = "pub", [SUB] = "sub", [CONN] = "conn", [RUN] = "run"};
    size_t used = (size_t)snprintf(to, room, "shardmq bench %s", names[options->command]);

    for (int i = 0; i < options->argc && used < room; i++) {
        const char *before = i > 0 ? options->argv[i - 1] : NULL;
        const char *word = is_secret(before, options->argv[i]) ? "***" : options->argv[i];

        used += (size_t)snprintf(to + used, room - used,
                                 word[strcspn(word, " \t'\"$\\")] == '\0' ? " %s" : " '%s'", word);
    }
}

void host_read(struct host_facts *facts, const struct bench_options *options)
{
    struct utsname system;
    struct tm utc;
    time_t now = time(NULL);

    memset(facts, 0, sizeof(*facts));
    if (uname(&system) == 0) {
        snprintf(facts->name, sizeof(facts->name), "%.120s", system.nodename);
        snprintf(facts->kernel, sizeof(facts->kernel), "%.60s %.100s %.60s", system.sysname,
                 system.release, system.machine);
    }
    read_cpu(facts->cpu, sizeof(facts->cpu));
    facts->cpus = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
    snprintf(facts->tool, sizeof(facts->tool), "shardmq bench %s (commit %s)", SHARDMQ_VERSION,
             SHARDMQ_COMMIT);
    gmtime_r(&now, &utc);
    strftime(facts->time, sizeof(facts->time), "%Y-%m-%dT%H:%M:%SZ", &utc);
    write_command(facts->command, sizeof(facts->command), options);
}
