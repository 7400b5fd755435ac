/* SPDX-License-Identifier: MIT
 *
 * load - what all threads of one run share: the options, where the broker is, and whether to go on.
 */
#ifndef SHARDMQ_BENCH_LOAD_H
#define SHARDMQ_BENCH_LOAD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "bench/options.h"
#include "bench/secure.h"
#include "shards/driver/target.h"

/* What the run is doing; only the first thread changes it. */
enum load_phase {
    PHASE_CONNECT, /* connections are opened, subscriptions made */
    PHASE_WARMUP,  /* load, not measured */
    PHASE_MEASURE, /* load, measured */
    PHASE_DRAIN,   /* no new messages; what is under way arrives */
    PHASE_STOP,    /* threads end */
};

#define LOAD_RECONNECT_LEAST_MS 100u
#define LOAD_RECONNECT_MOST_MS  5000u
#define LOAD_PORTS_PER_SOURCE   14000u
#define LOAD_DESCRIPTORS_SPARED 64u

struct monitor;

/* Boot, but for the atomic members. */
struct load {
    const struct bench_options *options;
    struct target target;    /* the broker, and the addresses to connect from */
    struct secure secure;    /* of the target, with TLS or WebSocket */
    uint32_t mark;           /* of this run's payloads, client identifiers and topics */
    struct monitor *monitor; /* used by the first thread only; NULL: nobody watches */
    _Atomic enum load_phase phase;
    atomic_bool failed;
    char failure[512]; /* written once, by the thread that set `failed` */
    atomic_bool failure_written;
};

/* Finds the broker's address, its certificates, the source addresses, and room for `connections` descriptors. Returns
 * false with a sentence in `error`. */
bool load_init(struct load *load, const struct bench_options *options, uint64_t connections,
               char *error, size_t error_size);

/* Frees what load_init() made, whether it succeeded or not; `load` was zeroed before. */
void load_fini(struct load *load);

/* Ends the run as failed; the first caller's sentence is the one that is shown. */
void load_fail(struct load *load, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The sentence of load_fail(), or NULL. */
const char *load_failure(struct load *load);

static inline enum load_phase load_phase(struct load *load)
{
    return atomic_load_explicit(&load->phase, memory_order_acquire);
}

static inline void load_set_phase(struct load *load, enum load_phase phase)
{
    atomic_store(&load->phase, phase);
}

/* From here on SIGINT and SIGTERM do not kill the process, they make load_interrupted() true. */
void load_catch_signals(void);
bool load_interrupted(void);
/* Makes load_interrupted() false again, until the next signal. */
void load_forget_interrupt(void);

/* Pins the calling thread to the index-th CPU of the list in --cpu, when there is one. */
bool load_pin(const struct bench_options *options, uint32_t index);

#endif
