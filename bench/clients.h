/* SPDX-License-Identifier: MIT
 *
 * clients - `bench pub`, `bench sub` and `bench conn`: NanoMQ's load commands.
 */
#ifndef SHARDMQ_BENCH_CLIENTS_H
#define SHARDMQ_BENCH_CLIENTS_H

#include "bench/options.h"

/* argv[0 .. argc) is what follows the word pub, sub or conn. Returns an enum bench_status. */
int clients_command(enum bench_command command, int argc, char **argv);

#endif
