/* SPDX-License-Identifier: MIT
 *
 * bench - the load tool: loads and measures any MQTT broker. It links the codec, never the broker.
 */
#ifndef SHARDMQ_BENCH_BENCH_H
#define SHARDMQ_BENCH_BENCH_H

enum bench_status {
    BENCH_OK = 0,     /* it ran, and nothing was lost, duplicated or reordered */
    BENCH_FAILED = 1, /* the broker failed, or a message did */
    BENCH_USAGE = 2,  /* the options are wrong, impossible or contradict each other */
};

/* Runs the tool. argv[0] is "bench" (shown in messages), the sub-command and its options follow.
 * Returns an enum bench_status, to be used as the exit status. */
int bench_main(int argc, char **argv);

#endif
