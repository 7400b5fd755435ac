/* SPDX-License-Identifier: MIT */
#include "api/rates.h"

#include "base/check.h"
#include "base/mem.h"

struct rates *rates_create(unsigned threads)
{
    struct rates *rates = mem_zalloc(sizeof(*rates));

    rates->threads = threads;
    rates->shards = mem_zalloc(threads * sizeof(*rates->shards));
    rates->counts = mem_zalloc(threads * sizeof(*rates->counts));
    return rates;
}

void rates_destroy(struct rates *rates)
{
    mem_free(rates->shards);
    mem_free(rates->counts);
    mem_free(rates);
}

static void sample_shard(struct rates *rates, unsigned index, const struct stats_snapshot *stats)
{
    struct shard_rates *rate = &rates->shards[index], *before = &rates->counts[index];
    const struct shard_rates now = {
        .message_in = (double)stats->values[STAT_message_in],
        .message_out = (double)stats->values[STAT_message_out],
        .turns = (double)stats->values[STAT_loop_turns],
        .busy = (double)stats->values[STAT_loop_busy_us] / 1e6,
    };

    rate->message_in = (now.message_in - before->message_in) / rates->interval_s;
    rate->message_out = (now.message_out - before->message_out) / rates->interval_s;
    rate->turns = (now.turns - before->turns) / rates->interval_s;
    rate->busy = (now.busy - before->busy) / rates->interval_s;
    if (rate->busy > 1) /* a turn that began before the time is counted when it ends */
        rate->busy = 1;
    *before = now;
}

static void sample(struct rates *rates, const struct machine_view *machine,
                   const struct process_view *process)
{
    uint64_t elapsed_ns = rates->sampled_ns == 0 ? machine->uptime_ms * 1000000u
                                                 : machine->now_ns - rates->sampled_ns;

    if (elapsed_ns < (uint64_t)RATES_MIN_MS * 1000000u)
        return;
    rates->interval_s = (double)elapsed_ns / 1e9;
    rates->sampled_ns = machine->now_ns;
    rates->cpu_percent = (process->cpu_s - rates->cpu_s) / rates->interval_s / process->cores * 100;
    rates->cpu_s = process->cpu_s;
    for (unsigned i = 0; i < rates->threads; i++)
        sample_shard(rates, i, &machine->views[i].stats);
}

#define RAISE(peak, value)                                                                         \
    do {                                                                                           \
        if ((value) > (peak))                                                                      \
            (peak) = (value);                                                                      \
    } while (0)

void rates_update(struct rates *rates, const struct machine_view *machine,
                  const struct process_view *process)
{
    struct peaks *peaks = &rates->peaks;
    const int64_t *values = machine->sum.values;

    ASSERT(machine->threads == rates->threads);
    sample(rates, machine, process);
    RAISE(peaks->connections, values[STAT_session_connected]);
    RAISE(peaks->sessions, values[STAT_session_count]);
    RAISE(peaks->topics, values[STAT_topic_filter_count]);
    RAISE(peaks->subscribers, values[STAT_subscription_count]);
    RAISE(peaks->resident_bytes, process->resident_bytes);
    RAISE(peaks->cpu_percent, rates->cpu_percent);
}
