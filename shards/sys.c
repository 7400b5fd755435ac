/* SPDX-License-Identifier: MIT
 *
 * sys - the $SYS topics: counters, published by the control shard as retained messages of QoS 0.
 *
 * Only while somebody subscribes to them: at once when the first one does, then every sys.interval.
 * Without interest there is no timer. A value is published when it differs from the one that was
 * published before.
 *
 * Loads are moving averages per minute over 1, 5 and 15 minutes, for any distance between two
 * samples: after a time without interest the whole time counts as one sample.
 */
#include "base/log.h"
#include "conf/conf.h"
#include "shards/control_priv.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#define TOPIC_MAX  96
#define UNKNOWN    INT64_MIN /* not published yet */
#define LOAD_SPANS 3

static const struct {
    const char *name;
    double minutes;
} spans[LOAD_SPANS] = {{"1min", 1}, {"5min", 5}, {"15min", 15}};

/* What a load is the rate of. */
static const struct {
    const char *name;
    enum stat_id counter;
} loads[] = {
    {"messages/received", STAT_packet_in}, {"messages/sent", STAT_packet_out},
    {"publish/received", STAT_message_in}, {"publish/sent", STAT_message_out},
    {"bytes/received", STAT_byte_in},      {"bytes/sent", STAT_byte_out},
    {"sockets", STAT_connection_accepted},
};

/* What is published of each shard. */
static const struct {
    const char *name;
    enum stat_id counter;
} shard_rows[] = {
    {"connections", STAT_connection_open},  {"sessions", STAT_session_count},
    {"messages/received", STAT_message_in}, {"messages/sent", STAT_message_out},
    {"forwarded/sent", STAT_forward_out},   {"forwarded/received", STAT_forward_in},
};

static int64_t count_of(const struct stats_snapshot *sum, enum stat_id counter)
{
    return sum->values[counter];
}

#define COUNT(name)            count_of(sum, STAT_##name)
#define SYS(topic, expression) topic,
static const char *const total_topics[] = {
#include "shards/sys.def"
};
#undef SYS

static void fill_totals(const struct stats_snapshot *sum, int64_t *to)
{
#define SYS(topic, expression) *to++ = (expression);
#include "shards/sys.def"
#undef SYS
}

#define TOTALS ARRAY_LENGTH(total_topics)

struct sys_shard {
    int64_t published[ARRAY_LENGTH(shard_rows)];
    int64_t busy_us, busy_published;
};

/* Owner: shard (the control shard). */
struct sys {
    struct control *control;
    struct timer timer;
    bool wanted, ever;
    uint64_t sampled_ms;
    int64_t published[TOTALS];
    int64_t clients_most, clients_most_published;
    int64_t load_before[ARRAY_LENGTH(loads)];
    double load[ARRAY_LENGTH(loads)][LOAD_SPANS];
    struct sys_shard shards[];
};

static void tick(void *owner, struct timer *timer);

struct sys *sys_create(struct control *control)
{
    unsigned shards = control->shard.machine->limits.shards;
    struct sys *sys = mem_zalloc(sizeof(*sys) + shards * sizeof(struct sys_shard));

    sys->control = control;
    sys->sampled_ms = control->shard.now_ms;
    sys->clients_most_published = UNKNOWN;
    timer_init(&sys->timer, tick);
    for (unsigned i = 0; i < TOTALS; i++)
        sys->published[i] = UNKNOWN;
    for (unsigned i = 0; i < shards; i++) {
        sys->shards[i].busy_published = UNKNOWN;
        for (unsigned row = 0; row < ARRAY_LENGTH(shard_rows); row++)
            sys->shards[i].published[row] = UNKNOWN;
    }
    return sys;
}

void sys_destroy(struct sys *sys)
{
    mem_free(sys);
}

static void publish_text(struct sys *sys, const char *topic, const char *text)
{
    char whole[TOPIC_MAX];

    snprintf(whole, sizeof(whole), "$SYS/broker/%s", topic);
    broker_publish(sys->control->shard.broker, span_text(whole), span_text(text), 0, true);
}

static void publish_number(struct sys *sys, const char *topic, int64_t value, int64_t *before)
{
    char text[24];

    if (value == *before)
        return;
    *before = value;
    snprintf(text, sizeof(text), "%" PRId64, value);
    publish_text(sys, topic, text);
}

static void publish_loads(struct sys *sys, const struct stats_snapshot *sum, double minutes)
{
    char topic[TOPIC_MAX], text[32];

    for (unsigned i = 0; i < ARRAY_LENGTH(loads); i++) {
        int64_t now = sum->values[loads[i].counter];
        double rate = (double)(now - sys->load_before[i]) / minutes;

        sys->load_before[i] = now;
        for (unsigned span = 0; span < LOAD_SPANS; span++) {
            double weight = exp(-minutes / spans[span].minutes);

            sys->load[i][span] = rate + weight * (sys->load[i][span] - rate);
            snprintf(topic, sizeof(topic), "load/%s/%s", loads[i].name, spans[span].name);
            snprintf(text, sizeof(text), "%.2f", sys->load[i][span]);
            publish_text(sys, topic, text);
        }
    }
}

static void publish_shard(struct sys *sys, unsigned index, uint64_t elapsed_ms)
{
    struct stats_snapshot one = {0};
    struct sys_shard *shard = &sys->shards[index];
    char topic[TOPIC_MAX];
    int64_t busy, percent;

    stats_sum(&one, &sys->control->shard.machine->stats[index]);
    for (unsigned row = 0; row < ARRAY_LENGTH(shard_rows); row++) {
        snprintf(topic, sizeof(topic), "shards/%u/%s", index, shard_rows[row].name);
        publish_number(sys, topic, one.values[shard_rows[row].counter], &shard->published[row]);
    }
    busy = one.values[STAT_loop_busy_us];
    percent = (busy - shard->busy_us) / (int64_t)(elapsed_ms * 10);
    shard->busy_us = busy;
    snprintf(topic, sizeof(topic), "shards/%u/busy", index);
    publish_number(sys, topic, percent > 100 ? 100 : percent, &shard->busy_published);
}

static void publish_all(struct sys *sys)
{
    struct control *control = sys->control;
    const struct machine *machine = control->shard.machine;
    struct stats_snapshot sum = {0};
    int64_t totals[TOTALS];
    uint64_t elapsed_ms = control->shard.now_ms - sys->sampled_ms;
    char text[32];

    if (elapsed_ms == 0)
        elapsed_ms = 1;
    sys->sampled_ms = control->shard.now_ms;
    for (unsigned i = 0; i <= machine->limits.shards; i++)
        stats_sum(&sum, &machine->stats[i]);
    if (!sys->ever)
        publish_text(sys, "version", "ShardMQ " SHARDMQ_VERSION);
    sys->ever = true;
    snprintf(text, sizeof(text), "%" PRIu64 " seconds",
             (control->shard.now_ms - machine->started_ms) / 1000);
    publish_text(sys, "uptime", text);
    fill_totals(&sum, totals);
    for (unsigned i = 0; i < TOTALS; i++)
        publish_number(sys, total_topics[i], totals[i], &sys->published[i]);
    if (sum.values[STAT_session_connected] > sys->clients_most)
        sys->clients_most = sum.values[STAT_session_connected];
    publish_number(sys, "clients/maximum", sys->clients_most, &sys->clients_most_published);
    publish_loads(sys, &sum, (double)elapsed_ms / 60000.0);
    for (unsigned i = 0; i < machine->limits.shards; i++)
        publish_shard(sys, i, elapsed_ms);
}

static void tick(void *owner, struct timer *timer)
{
    struct sys *sys = ((struct control *)owner)->sys;

    if (sys->control->conf->sys_interval_ms == 0 || !sys->wanted)
        return;
    publish_all(sys);
    timer_arm(&sys->control->shard.timers, timer,
              sys->control->shard.now_ms + sys->control->conf->sys_interval_ms);
}

void sys_check(struct sys *sys)
{
    bool wanted =
        sys->control->conf->sys_interval_ms != 0 && broker_sys_wanted(sys->control->shard.broker);

    if (LIKELY(wanted == sys->wanted))
        return;
    sys->wanted = wanted;
    if (wanted)
        tick(sys->control, &sys->timer);
    else
        timer_disarm(&sys->control->shard.timers, &sys->timer);
}
