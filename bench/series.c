/* SPDX-License-Identifier: MIT
 *
 * series - bounded by halving its resolution when it is full.
 */
#include "bench/series.h"

#include "base/mem.h"

#define SERIES_ROOM_FIRST 64u

/* Makes one sample of two neighbours: the later totals, the worse latencies. */
static struct sample join(const struct sample *first, const struct sample *second)
{
    struct sample both = *second;
    double length_s = first->length_s + second->length_s;

    if (length_s > 0) {
        double left = first->length_s / length_s, right = second->length_s / length_s;

        both.sent_rate = left * first->sent_rate + right * second->sent_rate;
        both.received_rate = left * first->received_rate + right * second->received_rate;
        both.tool_cpu_percent = left * first->tool_cpu_percent + right * second->tool_cpu_percent;
        both.broker_cpu_percent =
            left * first->broker_cpu_percent + right * second->broker_cpu_percent;
    }
    both.length_s = length_s;
    both.latency_count += first->latency_count;
#define WORSE(member) both.member = first->member > both.member ? first->member : both.member
    WORSE(p50_ns);
    WORSE(p90_ns);
    WORSE(p99_ns);
    WORSE(p99_9_ns);
    WORSE(max_ns);
#undef WORSE
    return both;
}

static void halve(struct series *series)
{
    for (size_t i = 0; i < series->count / 2; i++) {
        series->samples[i] = join(&series->samples[2 * i], &series->samples[2 * i + 1]);
    }
    series->count /= 2;
    series->pairs = series->pairs == 0 ? 2 : 2 * series->pairs;
}

static void push(struct series *series, const struct sample *sample)
{
    if (series->count == SERIES_MAX) {
        halve(series);
    }
    if (series->count == series->room) {
        series->room = series->room == 0 ? SERIES_ROOM_FIRST : 2 * series->room;
        series->samples = mem_realloc(series->samples, series->room * sizeof(*sample));
    }
    series->samples[series->count++] = *sample;
}

void series_add(struct series *series, struct sample sample)
{
    sample.length_s = sample.at_s - series->before_s;
    if (sample.length_s > 0) {
        sample.sent_rate = (double)(sample.totals.sent - series->before.sent) / sample.length_s;
        sample.received_rate = (double)(sample.totals.received + sample.totals.copies -
                                        series->before.received - series->before.copies) /
                               sample.length_s;
    }
    series->before = sample.totals;
    series->before_s = sample.at_s;
    if (series->taken > 0) {
        struct sample *last = &series->samples[series->count - 1];

        *last = join(last, &sample);
    } else {
        push(series, &sample);
    }
    series->taken = series->pairs == 0 ? 0 : (series->taken + 1) % series->pairs;
}

void series_fini(struct series *series)
{
    mem_free(series->samples);
    *series = (struct series){0};
}

void sample_set_latency(struct sample *sample, const struct histogram *interval)
{
    sample->latency_count = interval->count;
    sample->p50_ns = histogram_quantile(interval, 0.5);
    sample->p90_ns = histogram_quantile(interval, 0.9);
    sample->p99_ns = histogram_quantile(interval, 0.99);
    sample->p99_9_ns = histogram_quantile(interval, 0.999);
    sample->max_ns = interval->max_ns;
}
