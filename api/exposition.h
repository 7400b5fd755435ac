/* SPDX-License-Identifier: MIT
 *
 * exposition - Prometheus' text format, version 0.0.4, from pictures of the machine and the process.
 *
 * Everything in it comes from two tables: base/stats.def for what shards count, labelled with the
 * shard, and exposition.def for the rest. Sums over shards are the query's business.
 */
#ifndef SHARDMQ_API_EXPOSITION_H
#define SHARDMQ_API_EXPOSITION_H

#include "api/process.h"
#include "api/rates.h"
#include "shards/observe.h"

#include <stddef.h>

#define EXPOSITION_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* Writes all metrics; *len_out is their length in bytes. started_s: seconds since 1970 at which the broker
 * began. Returns text of the C library (mem_free_libc()), NULL when memory is gone. */
char *exposition_write(const struct machine_view *machine, const struct process_view *process,
                       const struct rates *rates, double started_s, size_t *len_out);

#endif
