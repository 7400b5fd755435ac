/* SPDX-License-Identifier: MIT
 *
 * process - what the kernel knows of this process.
 */
#ifndef SHARDMQ_API_PROCESS_H
#define SHARDMQ_API_PROCESS_H

#include <stdint.h>

struct process_view {
    double cpu_s; /* user and system time of all threads since the process began */
    uint64_t resident_bytes, virtual_bytes;
    uint64_t open_descriptors, descriptors_max; /* max: the soft limit */
    unsigned cores;                             /* online in the machine */
};

/* Reads it now: some small files of /proc, which never block. What cannot be read is 0. */
void process_observe(struct process_view *view);

#endif
