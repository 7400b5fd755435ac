/* SPDX-License-Identifier: MIT
 *
 * bench - the sub-commands of the load tool.
 */
#include "bench/bench.h"

#include <stdio.h>
#include <string.h>

#include "bench/clients.h"
#include "bench/run.h"

static void print_help(FILE *to)
{
    fprintf(to, "usage: shardmq bench [start] pub|sub|conn [options]\n"
                "       shardmq bench run SCENARIO [options]\n"
                "\n"
                "  pub   clients that publish         sub   clients that subscribe\n"
                "  conn  clients that only connect    run   a self-contained, checked measurement\n"
                "\n"
                "--help behind any of them lists its options.\n");
}

static int dispatch(int argc, char **argv)
{
    int at = 1;

    if (at < argc && strcmp(argv[at], "start") == 0) {
        at++;
    }
    if (at < argc && strcmp(argv[at], "pub") == 0) {
        return clients_command(PUB, argc - at - 1, argv + at + 1);
    }
    if (at < argc && strcmp(argv[at], "sub") == 0) {
        return clients_command(SUB, argc - at - 1, argv + at + 1);
    }
    if (at < argc && strcmp(argv[at], "conn") == 0) {
        return clients_command(CONN, argc - at - 1, argv + at + 1);
    }
    if (at < argc && strcmp(argv[at], "run") == 0) {
        return run_command(argc - at - 1, argv + at + 1);
    }
    if (at < argc && strcmp(argv[at], "--help") == 0) {
        print_help(stdout);
        return BENCH_OK;
    }
    print_help(stderr);
    if (at < argc) {
        fprintf(stderr, "\nbench: unknown command \"%s\"\n", argv[at]);
    }
    return BENCH_USAGE;
}

int bench_main(int argc, char **argv)
{
    int status = dispatch(argc, argv);

    if (fflush(stdout) != 0 || ferror(stdout) != 0) {
        fprintf(stderr, "bench: cannot write standard output: the result is not complete there\n");
        status = status == BENCH_OK ? BENCH_FAILED : status;
    }
    return status;
}
