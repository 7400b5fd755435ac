/* SPDX-License-Identifier: MIT
 *
 * overview - the routes, the broker, its health.
 */
#include "api/api_priv.h"

#include "api/handlers.h"
#include "broker/plugins.h"
#include "shards/observe.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

/* ---- GET /api/v4 ---- */

void api_list_routes(struct api_request *request)
{
    cJSON *list = cJSON_CreateArray();

    for (unsigned i = 0; i < api_route_count; i++) {
        cJSON *row = cJSON_CreateObject();

        cJSON_AddStringToObject(row, "path", api_routes[i].path);
        cJSON_AddStringToObject(row, "name", api_routes[i].name);
        cJSON_AddStringToObject(row, "method", http_method_name(api_routes[i].method));
        cJSON_AddStringToObject(row, "descr", api_routes[i].doc);
        cJSON_AddItemToArray(list, row);
    }
    api_reply_data(request, list);
}

/* The router has read the envelope. */
void api_request_code(struct api_request *request)
{
    request->code->handler(request);
}

/* ---- the broker ---- */

/* In NanoMQ's form: "15 Hours, 1 minutes, 20 seconds". */
static void print_uptime(const struct api *api, char *to, size_t size)
{
    uint64_t seconds = machine_uptime_ms(api->shard->machine) / 1000u;

    snprintf(to, size, "%" PRIu64 " Hours, %" PRIu64 " minutes, %" PRIu64 " seconds",
             seconds / 3600u, seconds / 60u % 60u, seconds % 60u);
}

void api_list_brokers(struct api_request *request)
{
    const struct api *api = api_of(request);
    time_t seconds = (time_t)(api->shard->wall_ms / 1000u);
    cJSON *list = cJSON_CreateArray(), *broker = cJSON_CreateObject();
    char text[96];
    struct tm local;

    localtime_r(&seconds, &local);
    strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &local);
    cJSON_AddStringToObject(broker, "datetime", text);
    cJSON_AddStringToObject(broker, "node_status", api->stopping ? "Stopping" : "Running");
    cJSON_AddStringToObject(broker, "sysdescr", "ShardMQ Broker");
    print_uptime(api, text, sizeof(text));
    cJSON_AddStringToObject(broker, "uptime", text);
    cJSON_AddStringToObject(broker, "version", SHARDMQ_VERSION);
    cJSON_AddItemToArray(list, broker);
    api_reply_data(request, list);
}

void api_list_nodes(struct api_request *request)
{
    const struct api *api = api_of(request);
    struct machine_view *view = machine_observe(api->shard->machine);
    cJSON *list = cJSON_CreateArray(), *node = cJSON_CreateObject();
    char text[96];

    cJSON_AddNumberToObject(node, "connections", (double)view->sum.values[STAT_session_count]);
    cJSON_AddStringToObject(node, "node_status", api->stopping ? "Stopping" : "Running");
    print_uptime(api, text, sizeof(text));
    cJSON_AddStringToObject(node, "uptime", text);
    cJSON_AddStringToObject(node, "version", SHARDMQ_VERSION);
    cJSON_AddItemToArray(list, node);
    machine_view_free(view);
    api_reply_data(request, list);
}

/* ---- plug-ins ---- */

void api_list_plugins(struct api_request *request)
{
    static const char *const names[] = {"authenticate", "authorize", "publish",    "connect",
                                        "disconnect",   "subscribe", "unsubscribe"};
    const struct plugins *plugins = machine_plugins(api_of(request)->shard->machine);
    cJSON *list = cJSON_CreateArray();

    for (unsigned i = 0; i < plugins->count; i++) {
        const struct plugin *plugin = &plugins->list[i];
        unsigned has = plugin_hooks_of(plugin);
        cJSON *row = cJSON_CreateObject(), *hooks = cJSON_CreateArray();

        cJSON_AddStringToObject(row, "name", plugin->name);
        cJSON_AddStringToObject(row, "path", plugin->path);
        cJSON_AddStringToObject(row, "plugin", plugin->hooks.name);
        cJSON_AddStringToObject(row, "version", plugin->hooks.version);
        cJSON_AddNumberToObject(row, "abi", plugin->hooks.abi);
        for (size_t bit = 0; bit < ARRAY_LENGTH(names); bit++) /* in the order of the bits */
            if (has >> bit & 1)
                cJSON_AddItemToArray(hooks, cJSON_CreateString(names[bit]));
        cJSON_AddItemToObject(row, "hooks", hooks);
        cJSON_AddItemToArray(list, row);
    }
    api_reply_data(request, list);
}

/* ---- req 2 ---- */

void api_code_statistics(struct api_request *request)
{
    struct machine_view *view = machine_observe(api_of(request)->shard->machine);
    const int64_t *values = view->sum.values;
    cJSON *data = cJSON_CreateObject();

    cJSON_AddNumberToObject(data, "client_size", (double)values[STAT_session_subscribed]);
    cJSON_AddNumberToObject(data, "message_in", (double)values[STAT_message_in]);
    cJSON_AddNumberToObject(data, "message_out", (double)values[STAT_message_out]);
    cJSON_AddNumberToObject(data, "message_drop", (double)stats_message_drop(&view->sum));
    machine_view_free(view);
    api_reply_code(request, data);
}

/* ---- health ---- */

static bool is_alive(const struct api *api)
{
    struct machine *machine = api->shard->machine;

    machine_ask_sleepers(machine);
    return machine_shards_alive(machine) == machine_shard_count(machine);
}

void api_health_live(struct api_request *request)
{
    if (is_alive(api_of(request)))
        api_reply_ok(request);
    else
        api_reply_error(request, 503, API_UNKNOWN, "not alive");
}

void api_health_ready(struct api_request *request)
{
    const struct api *api = api_of(request);

    if (is_alive(api) && !api->stopping)
        api_reply_ok(request);
    else
        api_reply_error(request, 503, API_UNKNOWN, "not ready");
}
