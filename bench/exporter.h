/* SPDX-License-Identifier: MIT
 *
 * exporter - the counters of a run for Prometheus, at http://127.0.0.1:PORT/metrics.
 *
 * A handful of connections, looked at by the thread of the monitor between its other work: no thread
 * of its own, nothing that the load could wait for.
 */
#ifndef SHARDMQ_BENCH_EXPORTER_H
#define SHARDMQ_BENCH_EXPORTER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "bench/series.h"

#define EXPORTER_CONNECTIONS 8u
#define EXPORTER_REQUEST_MAX 4096u

/* One connection: a request comes in, an answer goes out, it ends. */
struct exporter_connection {
    int fd; /* -1: unused */
    char request[EXPORTER_REQUEST_MAX];
    uint32_t request_len;
    char *answer; /* owned; NULL while the request is not complete */
    uint32_t answer_len, answer_at;
    uint64_t opened_ns;
};

/* Touched by one thread only. */
struct exporter {
    int listener; /* -1: off */
    uint16_t port;
    struct exporter_connection connections[EXPORTER_CONNECTIONS];
};

/* Listens on 127.0.0.1; port 0 is one of the kernel's choice, then in exporter->port. Returns false
 * with a sentence in `error`. */
bool exporter_open(struct exporter *exporter, uint16_t port, char *error, size_t error_size);
void exporter_close(struct exporter *exporter);

/* Accepts, reads and answers whatever can be without waiting. `name` is a label of every metric. */
void exporter_poll(struct exporter *exporter, uint64_t now_ns, const char *name,
                   const struct totals *totals, const struct histogram *latency);

#endif
