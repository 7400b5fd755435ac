/* SPDX-License-Identifier: MIT
 *
 * host - what a reader of a report must know about the machine and the tool.
 */
#ifndef SHARDMQ_BENCH_HOST_H
#define SHARDMQ_BENCH_HOST_H

#include "bench/options.h"

/* Texts that end within their room. Touched by one thread only. */
struct host_facts {
    char name[128], kernel[256], cpu[160], tool[128], time[40];
    char command[1024]; /* the words of the command line; a password is replaced by *** */
    unsigned cpus;
};

void host_read(struct host_facts *facts, const struct bench_options *options);

#endif
