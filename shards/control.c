/* SPDX-License-Identifier: MIT
 *
 * control - the control shard. It runs the same loop as the others, on the thread that called
 * machine_run(), without MQTT connections: its own are those of the service that src/app gives it.
 *
 * Shutdown, in two steps that every shard answers (shard.c):
 *
 *   signal, `shutdown` --> step 1 to all: goodbye and flush
 *                          --all answered, or shutdown_timeout--> step 2: cut and end
 *                          --all answered--> the loop ends, threads are joined
 *
 * A second signal during that ends the process at once; a first one during a restart makes it an end.
 *
 * Reload: the new configuration goes to every shard as a snapshot (shards/snapshot.h).
 *
 * A restart is a shutdown, after which src/app runs the program again in the same process. The
 * service manager is told that it reloads, so that it does not take it for the end.
 *
 * It has timers only while there is a reason: a shutdown under way, a service manager that watches,
 * somebody who subscribes to $SYS.
 */
#include "shards/auth_http.h"
#include "shards/control_priv.h"

#include "base/log.h"
#include "broker/policy.h"
#include "conf/conf.h"
#include "shards/conn_mqtt.h"
#include "shards/listen.h"
#include "shards/listener.h"
#include "shards/loop.h"
#include "shards/notify.h"
#include "shards/observe.h"
#include "shards/op.h"
#include "shards/tickets.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <unistd.h>

static void stop_timer_fired(void *owner, struct timer *timer);
static void watchdog_fired(void *owner, struct timer *timer);
static void on_entry(struct shard *shard, unsigned from, const struct mesh_entry *entry);
static void end_of_turn(struct shard *shard);

/* A thread that logged: this thread writes the lines. Runs on the thread that logged. */
static void wake_for_log(void *argument)
{
    const struct machine *machine = argument;

    if (shard_current != NULL && shard_current->index != control_index(machine) &&
        shard_current->broker != NULL)
        shard_post(shard_current, control_index(machine), MESH_NONE, 0, NULL);
}

int control_open(struct machine *machine, char *why, size_t size)
{
    struct control *control = mem_zalloc_aligned(sizeof(*control));
    unsigned index = control_index(machine);
    sigset_t signals;

    machine->shards[index] = &control->shard;
    shard_init(&control->shard, machine, index, &machine->limits.control, &machine->stats[index],
               machine_has_service(machine) ? machine->options->service->protocol : &conn_mqtt);
    control->conf = machine->conf;
    control->policy = machine->policy;
    control->bans = machine->bans;
    control->socket_fd = -1;
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
        control->clients[i].fd = -1;
    timer_init(&control->stop_timer, stop_timer_fired);
    timer_init(&control->watchdog_timer, watchdog_fired);
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals,
                    NULL); /* threads inherit it: only the descriptor delivers them */
    signal(SIGPIPE, SIG_IGN);
    control->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC);
    if (control->signal_fd < 0) {
        snprintf(why, size, "signals cannot be received: %s", strerror(errno));
        return -1;
    }
    if (control_socket_open(control, why, size) != 0)
        return -1;
    log_set_waker(wake_for_log, machine);
    control->shard.control_entry = on_entry;
    control->shard.end_of_turn = end_of_turn;
    return 0;
}

void control_close(struct machine *machine)
{
    struct control *control = control_of(machine->shards[control_index(machine)]);

    log_set_waker(NULL, NULL);
    control_socket_close(control);
    snapshots_end(&control->shard, &control->snapshots);
    if (control->signal_fd >= 0)
        close(control->signal_fd);
    policy_unref(control->policy);
    if (control->conf != machine->options->conf && machine->options->release != NULL)
        machine->options->release(machine->options->argument,
                                  (struct conf *)(uintptr_t)control->conf);
    shard_fini(&control->shard);
    mem_free(control);
    machine->shards[control_index(machine)] = NULL;
}

struct shard *control_shard(struct control *control)
{
    return &control->shard;
}

void *control_service(struct shard *shard)
{
    return control_of(shard)->service;
}

const struct policy *control_policy(const struct control *control)
{
    return control->policy;
}

const struct conf *control_conf(const struct control *control)
{
    return control->conf;
}

static void arm_signals(struct control *control)
{
    uring_read(control->shard.ring, control->signal_fd, &control->signal, sizeof(control->signal),
               op_pack(OP_SIGNAL, 0, 0));
}

bool control_run(struct machine *machine)
{
    struct control *control = control_of(machine->shards[control_index(machine)]);
    struct shard *shard = &control->shard;

    control->sys = sys_create(control);
    tickets_start(shard, &control->rotation);
    snapshot_post(shard, &control->snapshots, MESH_LISTENERS, machine->listeners, NULL, NULL);
    arm_signals(control);
    control_socket_start(control);
    control->watchdog_ms = notify_watchdog_ms();
    if (control->watchdog_ms != 0)
        timer_arm(&shard->timers, &control->watchdog_timer, shard->now_ms + control->watchdog_ms);
    if (machine_has_service(machine))
        control->service = machine->options->service->start(control);
    listener_apply(shard, machine->service_listeners);
    notify_send("READY=1");
    loop_run(shard);
    if (control->service != NULL)
        machine->options->service->stop(control->service);
    sys_destroy(control->sys);
    return control->restart;
}

static void end_of_turn(struct shard *shard)
{
    struct control *control = control_of(shard);

    sys_check(control->sys);
    log_flush();
    if (control->shards_stopped && shard->conns.used == 0)
        shard->phase = SHARD_ENDED;
}

/* ---- watchdog ---- */

static void watchdog_fired(void *owner, struct timer *timer)
{
    struct control *control = owner;
    struct machine *machine = control->shard.machine;
    bool well = true;

    for (unsigned i = 0; i < machine->limits.shards; i++) {
        struct heartbeat beat = machine_heartbeat(machine, i);

        if (beat.alive)
            continue;
        well = false;
        LOG_ERROR("shard %u has not finished a turn for %" PRIu64 " ms", i, beat.age_ms);
    }
    machine_ask_sleepers(machine);
    if (well)
        notify_send("WATCHDOG=1");
    timer_arm(&control->shard.timers, timer, control->shard.now_ms + control->watchdog_ms);
}

/* ---- shutdown ---- */

static void send_step(struct control *control, uint16_t step)
{
    struct machine *machine = control->shard.machine;

    control->stopping_step = step;
    control->stopped_shards = 0;
    for (unsigned i = 0; i < machine->limits.shards; i++)
        shard_post(&control->shard, i, MESH_SHUTDOWN, step, NULL);
}

void control_stop(struct control *control)
{
    if (control->stopping_step != 0)
        return;
    LOG_INFO("the broker is shutting down%s", control->restart ? ", to start again" : "");
    if (control->restart)
        notify_reloading(control->shard.now_ns / 1000u);
    else
        notify_send("STOPPING=1");
    atomic_store_explicit(&control->shard.machine->keep_listeners, control->restart,
                          memory_order_relaxed); /* the posts below publish it */
    listener_stop(&control->shard);
    if (control->service != NULL)
        control->shard.machine->options->service->stopping(control->service);
    send_step(control, 1);
    timer_arm(&control->shard.timers, &control->stop_timer,
              control->shard.now_ms + control->conf->system_shutdown_timeout_ms);
}

static void stop_timer_fired(void *owner, struct timer *timer)
{
    struct control *control = owner;

    (void)timer;
    if (control->stopping_step == 1) {
        LOG_WARN("shutdown: connections are cut whose output was not taken in time");
        send_step(control, 2);
    }
}

static void on_shutdown_done(struct control *control, unsigned from, uint16_t step)
{
    unsigned shards = control->shard.machine->limits.shards;

    if (step != control->stopping_step)
        return; /* it answered step 1 when step 2 was already on its way */
    control->stopped_shards |= (uint64_t)1 << from;
    if ((unsigned)__builtin_popcountll(control->stopped_shards) != shards)
        return;
    if (step == 1) {
        timer_disarm(&control->shard.timers, &control->stop_timer);
        send_step(control, 2);
    } else {
        control->shards_stopped = true;
        conn_kill_all(&control->shard);
    }
}

bool control_may_restart(const struct control *control, char *why, size_t size)
{
    const struct machine_options *options = control->shard.machine->options;

    if (control->stopping_step == 0 && options->may_restart != NULL)
        return options->may_restart(options->argument, why, size);
    snprintf(why, size, "the broker is shutting down");
    return false;
}

void control_restart(struct control *control)
{
    if (control->stopping_step != 0)
        return;
    control->restart = true;
    control_stop(control);
}

/* ---- reload ----
 *
 *   control shard                                                     shards
 *   reads, checks, binds the new ports: all of it, or nothing changes
 *   MESH_CONFIGURE  {configuration}  ------------------------------>  the broker goes by it
 *   all have confirmed                                          <---
 *   MESH_LISTENERS  {set}            ------------------------------>  accept on the new ports, with the new rules
 *
 * Without new ports all three go at once. Nobody comes in through a new listener before every shard goes by the configuration that it is part of: a client may
 * be handed to any of them. Until then it waits in the backlog.
 */

/* What is left to be done when all shards have a new configuration. */
struct reconfiguration {
    struct conf *former; /* to be released; NULL: it is the caller's */
    struct listener_set *listeners, *former_listeners;
};

static void retire(struct control *control, struct conf *conf)
{
    const struct machine_options *options = control->shard.machine->options;

    if (conf != NULL && options->release != NULL)
        options->release(options->argument, conf);
}

static void close_former(struct shard *shard, void *former)
{
    (void)shard;
    listeners_close(former);
}

static bool opens_sockets(const struct listener_set *set)
{
    for (unsigned i = 0; i < set->count; i++)
        if (set->places[i].socket_count != 0)
            return true;
    return false;
}

static void configured(struct shard *shard, void *former)
{
    struct control *control = control_of(shard);
    struct reconfiguration *change = former;

    retire(control, change->former);
    if (change->listeners == NULL) {
        mem_free(change);
        return; /* they were posted already */
    }
    control->sets_delayed--;
    if (control->stopping_step == 0)
        snapshot_post(shard, &control->snapshots, MESH_LISTENERS, change->listeners,
                      change->former_listeners, close_former);
    else
        listeners_close(change->former_listeners);
    mem_free(change);
}

static const char *no_reload(const struct control *control)
{
    if (control->shard.machine->options->reload == NULL)
        return "reload is not available";
    if (control->stopping_step != 0)
        return "the broker is shutting down";
    return snapshot_room(&control->snapshots, 3)
               ? NULL
               : "too many reloads are under way: a shard does not answer";
}

static void retire_policy(struct shard *shard, void *former)
{
    (void)shard;
    policy_unref(former);
}

static void change_policy(struct control *control, const struct policy *policy)
{
    const struct policy *former = control->policy;

    policy_log_warnings(policy);
    control->policy = policy;
    broker_set_policy(control->shard.broker, policy);
    snapshot_post(&control->shard, &control->snapshots, MESH_POLICY,
                  (struct policy *)(uintptr_t)policy, (struct policy *)(uintptr_t)former,
                  retire_policy);
}

static void forget_prepared(struct control *control)
{
    listeners_close(control->prepared);
    listeners_close(control->prepared_service);
    policy_unref(control->prepared_policy);
    auth_http_set_unref(control->prepared_auth_http);
    control->prepared_auth_http = NULL;
    control->prepared = control->prepared_service = NULL;
    control->prepared_policy = NULL;
}

/* machine_reload.prepare */
static bool prepare(struct control *control, const struct conf *conf, char *why, size_t size)
{
    const struct machine *machine = control->shard.machine;

    control->prepared_policy = policy_create(conf, why, size);
    if (control->prepared_policy == NULL)
        return false;
    control->prepared_auth_http = auth_http_set_create(conf, machine->limits.shards, why, size);
    if (control->prepared_auth_http == NULL)
        return false;
    control->prepared = listeners_open(machine, conf, machine->listeners, why, size);
    if (control->prepared == NULL)
        return false;
    control->prepared_service =
        listeners_open_service(machine, conf, machine->service_listeners, why, size);
    return control->prepared_service != NULL;
}

/* Makes `fresh`, and what was prepared for it, what is in force. */
static void configure(struct control *control, struct conf *fresh)
{
    struct machine *machine = control->shard.machine;
    struct reconfiguration *change = mem_alloc(sizeof(*change));
    struct listener_set *former_service = machine->service_listeners;

    ASSERT(control->prepared != NULL);
    *change = (struct reconfiguration){.former = control->conf == machine->options->conf
                                                     ? NULL
                                                     : (struct conf *)(uintptr_t)control->conf,
                                       .listeners = control->prepared,
                                       .former_listeners = machine->listeners};
    listeners_settle_files(machine->listeners, control->prepared);
    listeners_print(control->prepared, machine->listeners, NULL);
    listeners_print(control->prepared_service, former_service, NULL);
    machine->listeners = control->prepared;
    machine->service_listeners = control->prepared_service;
    control->prepared = control->prepared_service = NULL;
    change_policy(control,
                  control->prepared_policy); /* before the options: what it knows, they may use */
    control->prepared_policy = NULL;
    auth_http_set_post(&control->shard, control->prepared_auth_http);
    control->prepared_auth_http = NULL;
    control->conf = fresh;
    broker_configure(control->shard.broker, fresh);
    listener_apply(&control->shard, machine->service_listeners);
    listeners_close(former_service);
    snapshot_post(&control->shard, &control->snapshots, MESH_CONFIGURE, fresh, change, configured);
    if (control->sets_delayed == 0 && !opens_sockets(machine->listeners)) {
        snapshot_post(&control->shard, &control->snapshots, MESH_LISTENERS, machine->listeners,
                      change->former_listeners, close_former);
        change->listeners = change->former_listeners = NULL;
    } else {
        control->sets_delayed++; /* sets come in their order */
    }
}

bool control_reload(struct control *control, const struct machine_reload *what, char *report,
                    size_t size)
{
    const struct machine_options *options = control->shard.machine->options;
    const char *why = no_reload(control);
    struct machine_reload wanted = *what;
    struct conf *fresh;

    if (why != NULL) {
        snprintf(report, size, "{\"ok\":false,\"error\":\"%s\"}", why);
        LOG_ERROR("reload: %s", report);
        return false;
    }
    notify_reloading(control->shard.now_ns / 1000u);
    wanted.prepare = prepare;
    wanted.control = control;
    fresh = options->reload(options->argument, &wanted, control->conf, report, size);
    if (fresh != NULL)
        configure(control, fresh);
    else
        forget_prepared(control);
    notify_send("READY=1");
    if (fresh != NULL)
        LOG_INFO("reload: %s", report);
    else
        LOG_ERROR("reload: %s", report);
    return fresh != NULL;
}

/* ---- entries and signals ---- */

static void on_entry(struct shard *shard, unsigned from, const struct mesh_entry *entry)
{
    struct control *control = control_of(shard);

    switch (entry->kind) {
    case MESH_NONE: /* there are log lines: the end of the turn writes them */
        break;
    case MESH_SHUTDOWN_DONE:
        on_shutdown_done(control, from, entry->small);
        break;
    case MESH_CONFIGURE:
    case MESH_BANNED:
    case MESH_POLICY:
    case MESH_LISTENERS:
        snapshot_confirmed(shard, &control->snapshots, entry->pointer);
        break;
    default:
        UNREACHABLE("an entry that the control shard does not get");
    }
}

void control_signal_done(struct shard *shard, const struct completion *completion)
{
    struct control *control = control_of(shard);
    static const struct machine_reload as_it_is;
    char report[4096];

    (void)completion;
    if (control->signal.ssi_signo == SIGHUP) {
        log_reopen();
        control_reload(control, &as_it_is, report, sizeof(report));
    } else if (control->restart) { /* the end that is under way is to be the last one */
        LOG_INFO("the broker does not start again: it was told to stop");
        control->restart = false;
        notify_send("STOPPING=1");
    } else if (control->stopping_step != 0) {
        static const char text[] = "shardmq: second signal: ended at once\n";

        if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
            _exit(2);
        _exit(1);
    } else {
        control_stop(control);
    }
    arm_signals(control);
}

void control_signal_failed(struct shard *shard, const struct completion *completion)
{
    if (completion->res != -ECANCELED)
        arm_signals(control_of(shard));
}
