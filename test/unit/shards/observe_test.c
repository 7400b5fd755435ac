/* SPDX-License-Identifier: MIT
 *
 * What is seen of a machine from outside its threads: here without threads, each word set by hand.
 */
#include "shards/observe.h"

#include "shards/door.h"
#include "shards/listen.h"
#include "shards/machine_priv.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define SHARDS 2u

static struct listener_set *open_listener(const struct machine *machine)
{
    const struct conf_override override = {"listeners.tcp.bind", "127.0.0.1:0", "test"};
    const struct conf_source source = {.overrides = &override, .override_count = 1};
    char why[512];
    struct conf *conf = conf_load(&source, why, sizeof(why));
    struct listener_set *set =
        conf == NULL ? NULL : listeners_open(machine, conf, NULL, why, sizeof(why));

    if (set == NULL)
        fail_msg("%s", why);
    conf_free(conf);
    return set;
}

static struct machine *made(void)
{
    struct machine *machine = mem_zalloc_aligned(sizeof(*machine));
    const uint32_t depth[SHARDS] = {64, 64};

    machine->limits.shards = SHARDS;
    machine->stats = mem_zalloc_aligned((SHARDS + 1) * sizeof(struct shard_stats));
    machine->shards = mem_zalloc((SHARDS + 1) * sizeof(struct shard *));
    for (unsigned i = 0; i <= SHARDS; i++)
        machine->shards[i] = mem_zalloc_aligned(sizeof(struct shard));
    mesh_create(&machine->mesh, SHARDS, depth, 64);
    machine->listeners = open_listener(machine);
    machine->started_ms = 5000;
    machine->shards[SHARDS]->now_ms = 100000;
    machine->shards[SHARDS]->now_ns = 100000u * 1000000u;
    return machine;
}

static void unmake(struct machine *machine)
{
    listeners_close(machine->listeners);
    mesh_destroy(&machine->mesh);
    for (unsigned i = 0; i <= SHARDS; i++)
        mem_free(machine->shards[i]);
    mem_free(machine->shards);
    mem_free(machine->stats);
    mem_free(machine);
}

static void wake_nobody(void *argument, unsigned peer)
{
    (void)argument;
    (void)peer;
}

static void beat(struct machine *machine, unsigned index, uint64_t at_ms, bool waits)
{
    machine->shards[index]->now_ms = at_ms;
    shard_beat(machine->shards[index], waits);
}

static void a_shard_that_does_not_come_back_is_not_alive(void **unused)
{
    struct machine *machine = made();
    struct heartbeat heartbeat;

    (void)unused;
    beat(machine, 0, 99990, false);
    beat(machine, 1, 100001, false); /* looked at the clock after the control shard did */
    assert_int_equal(machine_shards_alive(machine), machine_shard_count(machine));
    assert_int_equal(machine_heartbeat(machine, 0).age_ms, 10);
    assert_int_equal(machine_heartbeat(machine, 1).age_ms, 0);

    beat(machine, 0, 100000 - SHARD_STALLED_MS, false);
    heartbeat = machine_heartbeat(machine, 0);
    assert_false(heartbeat.alive || heartbeat.waits);
    assert_int_equal(heartbeat.age_ms, SHARD_STALLED_MS);
    assert_int_equal(machine_shards_alive(machine), 1);

    beat(machine, 0, 6000, true); /* nobody has wanted anything of it for long */
    heartbeat = machine_heartbeat(machine, 0);
    assert_true(heartbeat.alive && heartbeat.waits);
    assert_int_equal(machine_shards_alive(machine), 2);
    unmake(machine);
}

static void a_shard_that_sleeps_on_when_it_is_asked_to_turn_is_not_alive(void **unused)
{
    struct machine *machine = made();
    struct shard *control = machine->shards[SHARDS];
    struct mesh_port sleeper;
    struct mesh_entry entry;

    (void)unused;
    mesh_port_open(&control->mesh, &machine->mesh, SHARDS, 8, 8, &machine->stats[SHARDS],
                   wake_nobody, NULL);
    mesh_port_open(&sleeper, &machine->mesh, 0, 8, 8, &machine->stats[0], wake_nobody, NULL);
    beat(machine, 0, 6000, true);
    beat(machine, 1, 100000 - SHARD_ASK_MS + 1, true); /* was awake a moment ago */
    machine_ask_sleepers(machine);
    machine_ask_sleepers(machine); /* once is enough */
    mesh_flush(&control->mesh);
    assert_int_equal(machine->shards[1]->asked_ms, 0);
    assert_true(mesh_take(&sleeper, &entry));
    assert_int_equal(entry.kind, MESH_BEAT);
    assert_false(mesh_take(&sleeper, &entry));

    control->now_ms += SHARD_STALLED_MS - 1;
    assert_int_equal(machine_shards_alive(machine), 2);
    control->now_ms++;
    assert_int_equal(machine_shards_alive(machine), 1);
    assert_false(machine_heartbeat(machine, 0).alive);

    beat(machine, 0, control->now_ms, true); /* it has come, late */
    assert_int_equal(machine_shards_alive(machine), 2);
    control->now_ms += 100 * SHARD_STALLED_MS;
    assert_int_equal(machine_shards_alive(machine), 2); /* nobody has asked again */
    mesh_port_close(&sleeper);
    mesh_port_close(&control->mesh);
    unmake(machine);
}

static void a_picture_has_every_thread_and_their_sum(void **unused)
{
    struct machine *machine = made();
    struct mesh_port port;
    struct machine_view *view;

    (void)unused;
    STAT_ADD(&machine->stats[0], message_in, 3);
    STAT_ADD(&machine->stats[SHARDS], message_in, 4);
    STAT_TOOK(&machine->stats[1], delivery, 3000, 2);
    mesh_port_open(&port, &machine->mesh, 0, 8, 8, &machine->stats[0], wake_nobody, NULL);
    for (unsigned i = 0; i < 66; i++) /* two more than the ring has room for */
        mesh_post(&port, 1, (struct mesh_entry){.kind = MESH_NONE});
    mesh_flush(&port);

    shard_current = machine->shards[SHARDS];
    view = machine_observe(machine);
    assert_int_equal(view->shards, SHARDS);
    assert_int_equal(view->threads, SHARDS + 1);
    assert_int_equal(view->uptime_ms, 95000);
    assert_int_equal(view->sum.values[STAT_message_in], 7);
    assert_int_equal(view->views[SHARDS].stats.values[STAT_message_in], 4);
    assert_int_equal(stats_histogram_count(&view->sum.histograms[STAT_HISTOGRAM_delivery]), 2);
    assert_int_equal(view->views[0].ring_entries[1], 64);
    assert_int_equal(view->views[1].ring_entries[0], 0);
    assert_int_equal(view->views[0].stats.values[STAT_mesh_spill_count], 2);
    machine_view_free(view);
    shard_current = NULL;
    mesh_port_close(&port);
    unmake(machine);
}

static void a_picture_has_the_listeners(void **unused)
{
    struct machine *machine = made();
    struct shard shard = {.index = 1};
    const struct door *door = machine->listeners->places[0].door;
    struct machine_view *view;

    (void)unused;
    shard_current = machine->shards[SHARDS];
    door_count(&shard, door, 1);
    door_count_accepted(&shard, door);
    shard.index = 0;
    door_count(&shard, door, 1);
    door_count_accepted(&shard, door);
    door_count_refused(&shard, door);
    door_count(&shard, door, -1);
    view = machine_observe(machine);
    assert_int_equal(view->listener_count, 1);
    assert_string_equal(view->listeners[0].name, "tcp");
    assert_string_equal(view->listeners[0].kind, "tcp");
    assert_memory_equal(view->listeners[0].url, "tcp://127.0.0.1:", 16);
    assert_int_equal(view->listeners[0].open, 1);
    assert_int_equal(view->listeners[0].accepted, 2);
    assert_int_equal(view->listeners[0].refused, 1);
    machine_view_free(view);
    unmake(machine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_shard_that_does_not_come_back_is_not_alive),
        cmocka_unit_test(a_shard_that_sleeps_on_when_it_is_asked_to_turn_is_not_alive),
        cmocka_unit_test(a_picture_has_every_thread_and_their_sum),
        cmocka_unit_test(a_picture_has_the_listeners),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
