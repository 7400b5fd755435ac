/* SPDX-License-Identifier: MIT
 *
 * rates - what counters do per second, and the highest values that were seen.
 *
 * Nobody is woken up for it: a rate is taken between two requests that ask. The one that comes
 * RATES_MIN_MS or more after the last sample takes a new one, and what it is told is the mean of the
 * time since then, however long that was; one that comes sooner is told what the sample before said.
 * `interval_s` says how much time the rates are the mean of. The first one reaches back to the start
 * of the broker; in its first second there is none, and the rates are 0. So whoever asks every ten
 * seconds gets the means of ten seconds, and several who ask share the samples.
 *
 * The highest values are, as in NanoMQ, the highest that somebody who asked was told.
 */
#ifndef SHARDMQ_API_RATES_H
#define SHARDMQ_API_RATES_H

#include "api/process.h"
#include "shards/observe.h"

#define RATES_MIN_MS 1000u

/* Per second, but for busy. */
struct shard_rates {
    double message_in, message_out, turns;
    double busy; /* share of the time in which the loop worked, 0 to 1 */
};

struct peaks {
    int64_t connections, sessions, topics, subscribers;
    uint64_t resident_bytes;
    double cpu_percent;
};

/* Owner: shard (the control shard). */
struct rates {
    double interval_s;
    double cpu_percent;         /* of all cores: 100 when every one is busy with this process */
    struct shard_rates *shards; /* [threads] */
    struct peaks peaks;
    /* the last sample */
    uint64_t sampled_ns;
    double cpu_s;
    struct shard_rates *counts; /* [threads] */
    unsigned threads;
};

struct rates *rates_create(unsigned threads);
void rates_destroy(struct rates *rates);

/* Somebody asks, and this is how things are: takes a sample when it is time, and notes what is higher
 * than before. */
void rates_update(struct rates *rates, const struct machine_view *machine,
                  const struct process_view *process);

#endif
