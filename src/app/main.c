/* SPDX-License-Identifier: MIT
 *
 * main - `shardmq <application> <command>`: a table of applications, a table of commands.
 */
#include "app/commands.h"
#include "app/passwd.h"
#include "app/start.h"
#include "base/check.h"
#include "bench/bench.h"
#include "bench/tool.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int broker(int argc, char **argv);

static const struct application {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
    bool is_broker_command;
} applications[] = {
    {"broker", broker, "the broker: shardmq broker start|stop|restart|reload", false},
    {"start", command_start, "the same as shardmq broker start", true},
    {"stop", command_stop, "the same as shardmq broker stop", true},
    {"restart", command_restart, "the same as shardmq broker restart", true},
    {"reload", command_reload, "the same as shardmq broker reload", true},
    {"pub", tool_pub_main, "publishes messages", false},
    {"sub", tool_sub_main, "subscribes and prints messages", false},
    {"conn", tool_conn_main, "connects and stays connected", false},
    {"passwd", command_passwd, "users and passwords: adds, changes, removes, imports", false},
    {"bench", bench_main, "the load tool: shardmq bench start|run", false},
    {"man", command_man, "prints a page of the manual", false},
    {"completion", command_completion, "prints what bash or zsh completes with", false},
};

static int usage(FILE *to)
{
    fprintf(to,
            "ShardMQ v%s\n\nusage: shardmq <application> [options]; --help after any of them "
            "explains it\n\n",
            SHARDMQ_VERSION);
    for (size_t i = 0; i < ARRAY_LENGTH(applications); i++)
        fprintf(to, "  %-10s %s\n", applications[i].name, applications[i].help);
    return 1;
}

static const struct application *find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LENGTH(applications); i++)
        if (strcmp(applications[i].name, name) == 0)
            return &applications[i];
    return NULL;
}

static int broker(int argc, char **argv)
{
    const struct application *command = argc > 1 ? find(argv[1]) : NULL;

    if (command == NULL || !command->is_broker_command) {
        bool help = argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0);

        fprintf(help ? stdout : stderr,
                "usage: shardmq broker start|stop|restart|reload [options]\n");
        return help ? 0 : 2;
    }
    return command->run(argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
    const struct application *application;

    if (argc < 2)
        return usage(stdout);
    if (strcmp(argv[1], "--version") == 0 || strncmp(argv[1], "-v", 2) == 0) {
        printf("ShardMQ v%s\n", SHARDMQ_VERSION);
        return 0;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        usage(stdout);
        return 0;
    }
    application = find(argv[1]);
    if (application == NULL) {
        fprintf(stderr, "shardmq: there is no application '%s'\n", argv[1]);
        usage(stderr);
        return 2;
    }
    return application->run(argc - 1, argv + 1);
}
