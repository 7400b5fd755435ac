/* SPDX-License-Identifier: MIT
 *
 * broker_cost - what a broker on this machine uses, from /proc.
 */
#ifndef SHARDMQ_BENCH_BROKER_COST_H
#define SHARDMQ_BENCH_BROKER_COST_H

#include <stdbool.h>
#include <stdint.h>

/* CPU time of all threads of a process in nanoseconds, from the scheduler's own account; 0 when
 * there is no such process. A thread that ended is no longer counted: compare two values of a
 * process whose threads stay. */
uint64_t broker_cpu_ns(uint64_t pid);

/* Memory of a process and of the kernel, in KiB. */
struct memory_cost {
    int64_t resident_kib, anonymous_kib; /* of the process */
    int64_t slab_kib, sockets_kib;       /* of the kernel, for everyone on this machine */
};

/* False when there is no such process. */
bool memory_cost_read(uint64_t pid, struct memory_cost *out);

#endif
