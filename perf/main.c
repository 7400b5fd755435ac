/* SPDX-License-Identifier: MIT
 *
 * The list of micro-benchmarks. shardmq_perf --benchmark_filter=REGEX runs some of them, --smoke all for a moment.
 */
#include "base/hash.h"
#include "perf/shim.h"

#define PERF_FILES                                                                                 \
    X(varint) X(frame) X(publish_codec) X(topic_match) X(spsc) X(timer) X(window)

#define X(name) void perf_register_##name(void);
PERF_FILES
#undef X

int main(int argc, char **argv)
{
    hash_setup(1);
#define X(name) perf_register_##name();
    PERF_FILES
#undef X
    return perf_run(argc, argv);
}
