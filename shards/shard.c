/* SPDX-License-Identifier: MIT
 *
 * shard - the life of one thread.
 *
 *   shard_init       main thread     memory, nothing of the kernel
 *   shard_enter      own thread      ring, buffers, mesh port, broker: a ring belongs to the thread
 *                                    that makes it
 *   barrier          all             everyone's ring exists before anyone can wake anyone
 *   loop_run         own thread      until step 2 of the shutdown
 *   shard_leave      main thread     ring and buffers, when every thread has ended: a peer may
 *                                    wake a ring until then
 *   shard_fini       main thread     broker and mesh port, after every thread has ended
 *
 * The barrier of the start is the only thing that ever blocks a thread on another.
 */
#include "shards/shard.h"

#include "base/log.h"
#include "broker/plugins.h"
#include "conf/conf.h"
#include "shards/auth_http.h"
#include "shards/bans.h"
#include "shards/bufring.h"
#include "shards/conn_mqtt.h"
#include "shards/control.h"
#include "shards/listener.h"
#include "shards/loop.h"
#include "shards/machine_priv.h"
#include "shards/plugin_host.h"
#include "shards/topology.h"

#include <errno.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

_Thread_local struct shard *shard_current;

void shard_init(struct shard *shard, struct machine *machine, unsigned index,
                const struct shard_limits *limits, struct shard_stats *stats,
                const struct conn_protocol *protocol)
{
    shard->index = index;
    shard->machine = machine;
    shard->limits = limits;
    shard->stats = stats;
    shard->event_fd = shard->reserve_fd = -1;
    conns_init(shard, protocol);
    http_client_init(shard);
}

static int open_event(struct shard *shard, char *why, size_t size)
{
    shard->event_fd = eventfd(0, EFD_CLOEXEC);
    if (shard->event_fd < 0) {
        snprintf(why, size, "no eventfd: %s", strerror(errno));
        return -1;
    }
    loop_arm_event(shard);
    return 0;
}

int shard_enter(struct shard *shard, char *why, size_t size)
{
    struct machine *machine = shard->machine;
    const struct shard_limits *limits = shard->limits;
    struct broker_params params;

    shard->ring = uring_open(&machine->features, limits->submission_entries,
                             limits->completion_entries, why, size);
    if (shard->ring == NULL)
        return -1;
    if (limits->receive_buffers != 0) {
        shard->buffers = bufring_open(shard->ring, limits->receive_buffers,
                                      limits->receive_buffer_size, why, size);
        if (shard->buffers == NULL)
            return -1;
    }
    if (open_event(shard, why, size) != 0)
        return -1;
    loop_read_clock(shard);
    shard_beat(shard, false); /* somebody may ask before the first turn */
    timers_init(&shard->timers, shard->now_ms, shard);
    mesh_port_open(&shard->mesh, &machine->mesh, shard->index, machine->limits.mesh_congested,
                   machine->limits.mesh_full, shard->stats, loop_wake_peer, shard);
    inbox_open(&shard->inbox, &machine->mesh.sleepers[shard->index].rest, shard->event_fd);
    params = (struct broker_params){
        .shared = machine->shared,
        .shard = shard->index,
        .shard_count = machine->limits.shards,
        .conf = machine->conf,
        .banned = bans_snapshot(machine->bans),
        .policy = machine->policy,
        .stats = shard->stats,
        .random_seed = machine->random_seed + shard->index * 0x9e3779b97f4a7c15u,
        .session_limit = limits->sessions,
        .queue_memory = machine->limits.queue_memory,
        .now_ms = shard->now_ms,
        .wall_ms = shard->wall_ms,
        .machine = shard,
    };
    shard->broker = broker_create(&params);
    if (shard->index != control_index(machine))
        auth_http_change(shard, auth_http_set_ref(machine->auth_http));
    if (shard->index != control_index(machine) &&
        !plugins_enter(shard->broker, plugin_host_plugins(machine->plugins), why, size))
        return -1;
    return 0;
}

static void wake_nobody(void *argument, unsigned peer)
{
    (void)argument;
    (void)peer;
}

void shard_leave(struct shard *shard)
{
    if (shard->ring != NULL)
        uring_close(shard->ring);
    shard->ring = NULL;
    if (shard->buffers != NULL)
        bufring_close(shard->buffers);
    shard->buffers = NULL;
    if (shard->event_fd >= 0)
        close(shard->event_fd);
    shard->event_fd = -1;
    shard->mesh.wake = wake_nobody; /* what is still posted is discarded by the main thread */
}

void shard_fini(struct shard *shard)
{
    auth_http_change(shard, NULL);
    http_client_fini(shard);
    if (shard->broker != NULL) {
        broker_destroy(shard->broker);
        mesh_port_close(&shard->mesh);
    }
    listener_free(shard);
    conns_fini(shard);
}

static void *thread_main(void *argument)
{
    struct shard *shard = argument;
    struct machine *machine = shard->machine;
    char name[24], why[512] = "";

    shard_current = shard;
    snprintf(name, sizeof(name), "shard %u", shard->index);
    pthread_setname_np(pthread_self(), name);
    log_thread_begin(name);
    if (shard->limits->cpu >= 0 && topology_pin(shard->limits->cpu) != 0)
        LOG_WARN("cannot be pinned to CPU %d", shard->limits->cpu);
    if (shard_enter(shard, why, sizeof(why)) != 0) {
        fprintf(stderr, "shardmq: %s: %s\n", name, why);
        atomic_store(&machine->failed, true);
    }
    pthread_barrier_wait(&machine->entered);
    if (!atomic_load(&machine->failed)) {
        loop_run(shard);
    }
    if (shard->broker != NULL)
        plugins_leave(shard->broker);
    log_thread_end();
    return NULL;
}

int shard_start(struct shard *shard)
{
    int error = pthread_create(&shard->thread, NULL, thread_main, shard);

    shard->thread_started = error == 0;
    return -error;
}

void shard_join(struct shard *shard)
{
    if (shard->thread_started)
        pthread_join(shard->thread, NULL);
    shard->thread_started = false;
}

/* ---- the shutdown, as a data shard sees it ----
 *
 * Step 1: no new connections, the broker says goodbye, output is flushed; answered when no
 * connection is left. Step 2: whatever is left is cut, the thread ends. */

static void report_when_closed(struct shard *shard)
{
    if (shard->conns.used != 0 || !http_client_stopped(shard) || shard->phase == SHARD_CLOSED)
        return;
    shard->phase = shard->shutdown_step == 2 ? SHARD_ENDED : SHARD_CLOSED;
    shard_post(shard, control_index(shard->machine), MESH_SHUTDOWN_DONE, shard->shutdown_step,
               NULL);
}

static void on_shutdown(struct shard *shard, uint16_t step)
{
    shard->shutdown_step = step;
    shard->end_of_turn = report_when_closed;
    if (shard->phase == SHARD_SERVING) {
        shard->phase = SHARD_CLOSING;
        listener_stop(shard);
        http_client_stop(shard);
        broker_shutdown(shard->broker);
        conn_mqtt_end_nameless(shard);
    }
    if (step == 2) {
        shard->phase = SHARD_CLOSING; /* to be reported once more */
        conn_kill_all(shard);
    }
}

void shard_machine_entry(struct shard *shard, unsigned from, const struct mesh_entry *entry)
{
    if (shard->control_entry != NULL) {
        shard->control_entry(shard, from, entry);
        return;
    }
    switch (entry->kind) {
    case MESH_HANDOFF:
        conn_adopt(shard, entry->pointer);
        break;
    case MESH_AUTH_HTTP:
        auth_http_change(shard, entry->pointer);
        break;
    case MESH_CONFIGURE: /* the answer tells that the former one is not used here any more */
        broker_configure(shard->broker, entry->pointer);
        shard_post(shard, from, MESH_CONFIGURE, 0, entry->pointer);
        break;
    case MESH_LISTENERS:
        listener_apply(shard, entry->pointer);
        shard_post(shard, from, MESH_LISTENERS, 0, entry->pointer);
        break;
    case MESH_BANNED:
        broker_set_banned(shard->broker, entry->pointer);
        shard_post(shard, from, MESH_BANNED, 0, entry->pointer);
        break;
    case MESH_POLICY:
        broker_set_policy(shard->broker, entry->pointer);
        shard_post(shard, from, MESH_POLICY, 0, entry->pointer);
        break;
    case MESH_BEAT:
        break;
    case MESH_SHUTDOWN:
        on_shutdown(shard, entry->small);
        break;
    default:
        UNREACHABLE("an entry that no data shard gets");
    }
}
