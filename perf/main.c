/* SPDX-License-Identifier: MIT
 *
 * shardmq_perf - the micro-benchmarks.
 *
 *     shardmq_perf                                everything, about two minutes
 *     shardmq_perf --benchmark_filter=spsc        the cases whose name matches
 *     shardmq_perf --smoke                        every case once: does it still work?
 */
#include "base/hash.h"
#include "perf/shim.h"

#include <stdio.h>

#define PERF_FILES(FILE)                                                                           \
    FILE(varint)                                                                                   \
    FILE(frame)                                                                                    \
    FILE(publish_codec)                                                                            \
    FILE(topic_match)                                                                              \
    FILE(timer)                                                                                    \
    FILE(spsc)                                                                                     \
    FILE(mesh)                                                                                     \
    FILE(client)                                                                                   \
    FILE(window)                                                                                   \
    FILE(delivery)                                                                                 \
    FILE(query)                                                                                    \
    FILE(http)                                                                                     \
    FILE(jwt)

#define DECLARE(name) void perf_register_##name(void);
PERF_FILES(DECLARE)
#undef DECLARE

int main(int argc, char **argv)
{
    hash_setup(1);
    perf_setup(&argc, argv);
    if (argc > 1) {
        fprintf(stderr, "shardmq_perf: unknown argument '%s'\n", argv[1]);
        return 2;
    }
#define REGISTER(name) perf_register_##name();
    PERF_FILES(REGISTER)
#undef REGISTER
    return perf_run();
}
