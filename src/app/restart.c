/* SPDX-License-Identifier: MIT */
#include "app/restart.h"

#include "app/process.h"
#include "base/mem.h"
#include "shards/machine.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Set for the next program only. */
#define VARIABLE "SHARDMQ_RESTARTED"

/* A number after `name` in a file of /proc; `otherwise` when there is none. */
static unsigned long long read_number(const char *path, const char *name, int base,
                                      unsigned long long otherwise)
{
    FILE *file = fopen(path, "r");
    char line[256];

    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, name, strlen(name)) == 0) {
            otherwise = strtoull(line + strlen(name), NULL, base);
            break;
        }
    }
    if (file != NULL)
        fclose(file);
    return otherwise;
}

/* Ports below need CAP_NET_BIND_SERVICE, capability 10 (capabilities(7), ip(7)). */
static unsigned long long first_free_port(void)
{
    if (read_number("/proc/self/status", "CapEff:", 16, 0) >> 10 & 1)
        return 0;
    return read_number("/proc/sys/net/ipv4/ip_unprivileged_port_start", "", 10, 1024);
}

static bool refuse_port(unsigned port, char *why, size_t size)
{
    snprintf(
        why, size,
        "the broker has not the rights, or not any more, to listen on port %u; have it restarted "
        "by whoever started it",
        port);
    return false;
}

static bool ports_possible(const struct conf *conf, char *why, size_t size)
{
    unsigned long long first = first_free_port();

    for (unsigned i = 0; i < conf->listener_count; i++) {
        const struct conf_listener *listener = &conf->listeners[i];

        if (listener->enable && listener->address.port != 0 && listener->address.port < first)
            return refuse_port(listener->address.port, why, size);
    }
    if (conf->http_server_enable && conf->http_server_port != 0 && conf->http_server_port < first)
        return refuse_port(conf->http_server_port, why, size);
    return true;
}

bool restart_possible(const struct cli *cli, char *why, size_t size)
{
    struct conf *conf = cli_load(cli, NULL, why, size);
    uid_t user;
    bool good = conf != NULL && final_user(conf->system_user, &user, why, size) &&
                ports_possible(conf, why, size) && machine_check(conf, NULL, why, size) &&
                machine_check_plugins(conf, user, why, size);

    conf_free(conf);
    return good;
}

bool restart_moves_pid_file(const struct cli *cli, const struct conf *running)
{
    char errors[1024];
    struct conf *conf = cli_load(cli, NULL, errors, sizeof(errors));
    bool moves = conf != NULL && strcmp(conf->system_pid_file, running->system_pid_file) != 0;

    conf_free(conf);
    return moves;
}

/* The path of this program. When a new version has taken its place, the kernel says so behind it. */
static void program_path(char *to, size_t size)
{
    static const char gone[] = " (deleted)";
    ssize_t len = readlink("/proc/self/exe", to, size - 1);

    to[len < 0 ? 0 : len] = '\0';
    if (len >= (ssize_t)sizeof(gone) && strcmp(to + len - (sizeof(gone) - 1), gone) == 0)
        to[len - (ssize_t)(sizeof(gone) - 1)] = '\0';
}

int restart_now(int argc, char **argv)
{
    char **arguments = mem_zalloc(((size_t)argc + 2) * sizeof(*arguments));
    char program[PATH_MAX];

    program_path(program, sizeof(program));
    arguments[0] = program;
    arguments[1] = (char *)(uintptr_t) "start"; /* whatever command started this one */
    for (int i = 1; i < argc; i++)
        arguments[i + 1] = argv[i];
    setenv(VARIABLE, "1", 1);
    fflush(NULL);
    execv(program, arguments);
    execv("/proc/self/exe", arguments); /* the file is gone, the program is still there */
    fprintf(stderr, "shardmq: cannot start %s again: %s\n", program, strerror(errno));
    mem_free(arguments);
    return 1;
}

bool restart_was_asked(void)
{
    bool asked = getenv(VARIABLE) != NULL;

    unsetenv(VARIABLE);
    return asked;
}
