/* SPDX-License-Identifier: MIT
 *
 * measure - what the broker tells of itself in numbers: /metrics, and as JSON.
 *
 * A request looks at the shards' counters with relaxed loads and at files of /proc; no shard is asked
 * (shards/observe.h). Rates are taken between requests (rates.h).
 */
#include "api/api_priv.h"

#include "api/exposition.h"
#include "api/handlers.h"
#include "api/process.h"
#include "api/rates.h"
#include "shards/observe.h"

#include <inttypes.h>
#include <stdio.h>

/* How things are at the time of a request. */
struct look {
    struct machine_view *machine;
    struct process_view process;
};

static void look_begin(struct look *look, const struct api *api)
{
    look->machine = machine_observe(api->shard->machine);
    process_observe(&look->process);
    rates_update(api->rates, look->machine, &look->process);
}

static void look_end(struct look *look)
{
    machine_view_free(look->machine);
}

/* ---- /metrics ---- */

void api_get_prometheus(struct api_request *request)
{
    const struct api *api = api_of(request);
    struct look look;
    size_t len;
    char *text;

    look_begin(&look, api);
    text = exposition_write(look.machine, &look.process, api->rates, api->started_s, &len);
    look_end(&look);
    if (text == NULL)
        api_reply_error(request, 500, API_UNKNOWN, "no memory");
    else
        api_reply_text(request, 200, EXPOSITION_TYPE, text, len);
    mem_free_libc(text);
}

/* ---- GET metrics ---- */

static void add_count(cJSON *to, const char *name, int64_t value)
{
    cJSON_AddNumberToObject(to, name, (double)value);
}

static cJSON *counters_of(const struct stats_snapshot *stats)
{
    cJSON *counters = cJSON_CreateObject();

    for (unsigned i = 0; i < STAT_ID_COUNT; i++)
        add_count(counters, stat_infos[i].name, stats->values[i]);
    add_count(counters, "message_drop", stats_message_drop(stats));
    add_count(counters, "delivery_pending", stats_delivery_pending(stats));
    return counters;
}

void api_get_metrics(struct api_request *request)
{
    const struct api *api = api_of(request);
    cJSON *body = cJSON_CreateObject();
    struct look look;
    char text[32];

    look_begin(&look, api);
    cJSON_AddItemToObject(body, "metrics", cJSON_CreateArray()); /* an object for each bridge */
    snprintf(text, sizeof(text), "%.2f%%", api->rates->cpu_percent);
    cJSON_AddStringToObject(body, "cpuinfo", text);
    snprintf(text, sizeof(text), "%" PRIu64, look.process.resident_bytes);
    cJSON_AddStringToObject(body, "memory", text);
    add_count(body, "connections", look.machine->sum.values[STAT_session_connected]);
    cJSON_AddItemToObject(body, "counters", counters_of(&look.machine->sum));
    look_end(&look);
    api_reply_json(request, 200, body);
}

/* ---- GET shards ---- */

/* Two decimals are enough for people, and keep the answer short. */
static void add_rate(cJSON *to, const char *name, double value)
{
    cJSON_AddNumberToObject(to, name, (double)(int64_t)(value * 100 + 0.5) / 100);
}

static void add_loop(cJSON *to, const struct stats_snapshot *stats, const struct shard_rates *rates)
{
    const struct stat_histogram_snapshot *turn = &stats->histograms[STAT_HISTOGRAM_loop_turn];
    int64_t count = stats_histogram_count(turn);
    cJSON *loop = cJSON_AddObjectToObject(to, "loop");

    add_rate(loop, "busy_percent", rates->busy * 100);
    add_rate(loop, "turns_per_second", rates->turns);
    add_rate(loop, "turn_us_mean", count == 0 ? 0 : (double)turn->sum_ns / 1e3 / (double)count);
    add_count(loop, "turn_us_p50", stats_histogram_quantile_us(turn, 0.5));
    add_count(loop, "turn_us_p99", stats_histogram_quantile_us(turn, 0.99));
}

static void add_mesh(cJSON *to, const struct machine_view *machine, unsigned index)
{
    const struct shard_view *view = &machine->views[index];
    cJSON *rings = cJSON_AddArrayToObject(to, "rings");

    for (unsigned peer = 0; peer < machine->threads; peer++) {
        cJSON *ring;

        if (peer == index)
            continue;
        ring = cJSON_CreateObject();
        if (peer == machine->shards)
            cJSON_AddStringToObject(ring, "peer", "control");
        else
            add_count(ring, "peer", peer);
        add_count(ring, "entries", view->ring_entries[peer]);
        cJSON_AddItemToArray(rings, ring);
    }
    add_count(to, "spilled", view->stats.values[STAT_mesh_spill_count]);
}

static cJSON *shard_row(const struct look *look, const struct rates *rates, unsigned index)
{
    const struct shard_view *view = &look->machine->views[index];
    cJSON *row = cJSON_CreateObject();

    add_count(row, "shard", index);
    add_count(row, "connections", view->stats.values[STAT_connection_open]);
    add_count(row, "sessions", view->stats.values[STAT_session_count]);
    add_count(row, "subscriptions", view->stats.values[STAT_subscription_count]);
    add_count(row, "messages_received", view->stats.values[STAT_message_in]);
    add_count(row, "messages_sent", view->stats.values[STAT_message_out]);
    add_count(row, "messages_dropped", stats_message_drop(&view->stats));
    add_count(row, "deliveries_pending", stats_delivery_pending(&view->stats));
    add_rate(row, "messages_received_per_second", rates->shards[index].message_in);
    add_rate(row, "messages_sent_per_second", rates->shards[index].message_out);
    add_rate(row, "rates_over_seconds", rates->interval_s);
    add_loop(row, &view->stats, &rates->shards[index]);
    add_mesh(row, look->machine, index);
    add_count(row, "heartbeat_age_ms", (int64_t)view->heartbeat.age_ms);
    cJSON_AddBoolToObject(row, "waiting", view->heartbeat.waits);
    cJSON_AddBoolToObject(row, "alive", view->heartbeat.alive);
    return row;
}

void api_list_shards(struct api_request *request)
{
    const struct api *api = api_of(request);
    cJSON *list = cJSON_CreateArray();
    struct look look;

    look_begin(&look, api);
    for (unsigned i = 0; i < look.machine->shards; i++)
        cJSON_AddItemToArray(list, shard_row(&look, api->rates, i));
    look_end(&look);
    api_reply_data(request, list);
}

void api_list_listeners(struct api_request *request)
{
    const struct api *api = api_of(request);
    cJSON *list = cJSON_CreateArray();
    struct look look;

    look_begin(&look, api);
    for (unsigned i = 0; i < look.machine->listener_count; i++) {
        const struct listener_view *listener = &look.machine->listeners[i];
        cJSON *row = cJSON_CreateObject();

        cJSON_AddStringToObject(row, "name", listener->name);
        cJSON_AddStringToObject(row, "protocol", listener->kind);
        cJSON_AddStringToObject(row, "listen_on", listener->url);
        cJSON_AddStringToObject(row, "mountpoint", listener->mountpoint);
        add_count(row, "max_conns", listener->max_connections);
        add_count(row, "current_conns", listener->open);
        add_count(row, "accepted", (int64_t)listener->accepted);
        add_count(row, "refused", (int64_t)listener->refused);
        cJSON_AddItemToArray(list, row);
    }
    look_end(&look);
    api_reply_data(request, list);
}
