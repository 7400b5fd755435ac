/* SPDX-License-Identifier: MIT */
#include "shards/observe.h"

#include "base/log.h"
#include "shards/door.h"
#include "shards/listen.h"
#include "shards/machine_priv.h"
#include "shards/plugin_host.h"

struct heartbeat machine_heartbeat(const struct machine *machine, unsigned index)
{
    uint64_t now_ms = machine->shards[control_index(machine)]->now_ms;
    uint64_t beat = atomic_load_explicit(&machine->shards[index]->heartbeat, memory_order_relaxed);
    uint64_t began_ms = beat >> 1, asked_ms = machine->shards[index]->asked_ms;
    struct heartbeat heartbeat = {
        /* the shard may have looked at the clock after the control shard did */
        .age_ms = began_ms < now_ms ? now_ms - began_ms : 0,
        .waits = (beat & 1) != 0,
    };

    if (!heartbeat.waits)
        heartbeat.alive = heartbeat.age_ms < SHARD_STALLED_MS;
    else
        heartbeat.alive = asked_ms <= began_ms || now_ms - asked_ms < SHARD_STALLED_MS;
    return heartbeat;
}

void machine_ask_sleepers(struct machine *machine)
{
    struct shard *control = machine->shards[control_index(machine)];

    for (unsigned i = 0; i < machine->limits.shards; i++) {
        struct heartbeat beat = machine_heartbeat(machine, i);
        uint64_t began_ms = control->now_ms - beat.age_ms;
        struct shard *shard = machine->shards[i];

        if (!beat.waits || beat.age_ms < SHARD_ASK_MS || shard->asked_ms > began_ms)
            continue;
        shard->asked_ms = control->now_ms;
        shard_post(control, i, MESH_BEAT, 0, NULL);
    }
}

unsigned machine_shards_alive(const struct machine *machine)
{
    unsigned alive = 0;

    for (unsigned i = 0; i < machine->limits.shards; i++)
        alive += machine_heartbeat(machine, i).alive;
    return alive;
}

unsigned machine_shard_count(const struct machine *machine)
{
    return machine->limits.shards;
}

uint64_t machine_uptime_ms(const struct machine *machine)
{
    return machine->shards[control_index(machine)]->now_ms - machine->started_ms;
}

const struct plugins *machine_plugins(const struct machine *machine)
{
    return plugin_host_plugins(machine->plugins);
}

static void observe_thread(const struct machine *machine, unsigned index, struct shard_view *view)
{
    const struct mesh *mesh = &machine->mesh;

    stats_sum(&view->stats, &machine->stats[index]);
    if (index == control_index(machine)) /* its thread writes the log */
        view->stats.values[STAT_log_dropped] += (int64_t)log_dropped();
    view->heartbeat = machine_heartbeat(machine, index);
    view->ring_entries = mem_zalloc(mesh->count * sizeof(*view->ring_entries));
    for (unsigned to = 0; to < mesh->count; to++)
        if (to != index)
            view->ring_entries[to] = spsc_depth(&mesh->rings[index * mesh->count + to]);
}

static void observe_listener(const struct listener_place *place, struct listener_view *view)
{
    const struct door *door = place->door;

    snprintf(view->name, sizeof(view->name), "%s", door->conf->name);
    listener_describe(place, view->url, sizeof(view->url));
    snprintf(view->kind, sizeof(view->kind), "%s", conf_listener_kind_name(door->conf->kind));
    snprintf(view->mountpoint, sizeof(view->mountpoint), "%s", door->conf->mountpoint);
    view->max_connections = door->conf->max_connections;
    for (unsigned i = 0; i < door->counts->shards; i++) {
        const struct door_count *count = &door->counts->shard[i];

        view->open += atomic_load_explicit(&count->open, memory_order_relaxed);
        view->accepted += atomic_load_explicit(&count->accepted, memory_order_relaxed);
        view->refused += atomic_load_explicit(&count->refused, memory_order_relaxed);
    }
}

struct machine_view *machine_observe(const struct machine *machine)
{
    struct machine_view *view = mem_zalloc(sizeof(*view));
    const struct shard *control = machine->shards[control_index(machine)];

    ASSERT_ON_SHARD(control);
    view->shards = machine->limits.shards;
    view->threads = machine->mesh.count;
    view->now_ns = control->now_ns;
    view->uptime_ms = machine_uptime_ms(machine);
    view->views = mem_zalloc(view->threads * sizeof(*view->views));
    for (unsigned i = 0; i < view->threads; i++) {
        observe_thread(machine, i, &view->views[i]);
        stats_add(&view->sum, &view->views[i].stats);
    }
    view->listener_count = machine->listeners->count;
    view->listeners = mem_zalloc((view->listener_count + 1) * sizeof(*view->listeners));
    for (unsigned i = 0; i < view->listener_count; i++)
        observe_listener(&machine->listeners->places[i], &view->listeners[i]);
    return view;
}

void machine_view_free(struct machine_view *view)
{
    mem_free(view->listeners);
    for (unsigned i = 0; i < view->threads; i++)
        mem_free(view->views[i].ring_entries);
    mem_free(view->views);
    mem_free(view);
}
