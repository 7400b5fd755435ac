/* SPDX-License-Identifier: MIT
 *
 * machine - the order in which everything begins and ends.
 *
 * Begins: sizes, probe of the kernel, listeners bound, privileges dropped, control socket, threads,
 * barrier. Ends, in reverse: threads joined, sessions freed by every broker, entries left in rings
 * discarded, brokers freed.
 */
#include "shards/machine_priv.h"

#include "base/hash.h"
#include "base/log.h"
#include "broker/policy.h"
#include "conf/conf.h"
#include "shards/auth_http.h"
#include "shards/bans.h"
#include "shards/conn_mqtt.h"
#include "shards/control.h"
#include "shards/door.h"
#include "shards/listen.h"
#include "shards/listener.h"
#include "shards/loop.h"
#include "shards/plugin_host.h"
#include "shards/tickets.h"
#include "shards/worker.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define WHY_MAX 1536

static int give_up(const char *why)
{
    fprintf(stderr, "shardmq: %s\n", why);
    return 1;
}

void machine_print_limits(const struct conf *conf, FILE *to)
{
    struct limits *limits = mem_zalloc(sizeof(*limits));
    char why[WHY_MAX];

    if (limits_derive(limits, conf, why, sizeof(why)) == 0)
        limits_print(limits, to);
    else
        fprintf(to, "%s\n", why);
    mem_free(limits);
}

/* The debug log gets the sizes line by line. */
static void log_sizes(const struct machine *machine)
{
    char *text = NULL, *line, *rest = NULL, about[256];
    size_t size = 0;
    FILE *to;

    if (!LOG_ENABLED(LOG_LEVEL_DEBUG))
        return;
    uring_describe(&machine->features, about, sizeof(about));
    LOG_DEBUG("%s", about);
    to = open_memstream(&text, &size);
    if (to == NULL)
        return;
    limits_print(&machine->limits, to);
    fclose(to);
    for (line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest))
        log_write(LOG_LEVEL_DEBUG, 0, "%s", line); /* not a place to be rate-limited */
    mem_free_libc(text);
}

static uint64_t random_seed(void)
{
    uint64_t seed = 0;

    if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
        panic(__FILE__, __LINE__, "no random bytes: %s", strerror(errno));
    return seed;
}

static void create_shards(struct machine *machine)
{
    struct limits *limits = &machine->limits;

    machine->stats = mem_zalloc_aligned((limits->shards + 1) * sizeof(struct shard_stats));
    machine->shards = mem_zalloc((limits->shards + 1) * sizeof(struct shard *));
    mesh_create(&machine->mesh, limits->shards, limits->mesh_depth, limits->control_mesh_depth);
    machine->shared = broker_shared_create(limits->shards);
    for (unsigned i = 0; i < limits->shards; i++) {
        machine->shards[i] = mem_zalloc_aligned(sizeof(struct shard));
        shard_init(machine->shards[i], machine, i, &limits->shard[i], &machine->stats[i],
                   &conn_mqtt);
    }
}

static void discard_entry(const struct mesh_entry *entry)
{
    switch (entry->kind) {
    case MESH_HANDOFF:
        handoff_discard(entry->pointer);
        break;
    case MESH_AUTH_HTTP:
        auth_http_set_unref(entry->pointer);
        break;
    case MESH_NONE:
    case MESH_CONFIGURE: /* the configuration is the control shard's to release */
    case MESH_BANNED:    /* and so are the bans */
    case MESH_POLICY:    /* and the policy */
    case MESH_LISTENERS: /* and the sockets */
    case MESH_BEAT:
    case MESH_SHUTDOWN:
    case MESH_SHUTDOWN_DONE:
        break;
    default:
        broker_discard(entry);
    }
}

/* After all threads ended: what they left behind, on this one. */
static void clear_shards(struct machine *machine)
{
    unsigned count = machine->limits.shards + 1;
    struct mesh_entry entry;

    for (unsigned i = 0; i < count; i++)
        if (machine->shards[i] != NULL && machine->shards[i]->broker != NULL) {
            shard_current = machine->shards[i]; /* what comes back is for its owner */
            inbox_run(&shard_current->inbox, shard_current->broker);
            broker_clear(shard_current->broker);
        }
    shard_current = machine->shards[count - 1];
    for (unsigned i = 0; i < count; i++)
        if (machine->shards[i] != NULL && machine->shards[i]->broker != NULL)
            mesh_flush(&machine->shards[i]->mesh); /* makes what was staged last takeable */
    for (unsigned i = 0; i < count; i++)
        if (machine->shards[i] != NULL && machine->shards[i]->broker != NULL)
            while (mesh_take(&machine->shards[i]->mesh, &entry))
                discard_entry(&entry);
}

static void destroy_shards(struct machine *machine)
{
    clear_shards(machine);
    if (machine->shards[control_index(machine)] != NULL)
        control_close(machine);
    for (unsigned i = 0; i < machine->limits.shards; i++) {
        shard_fini(machine->shards[i]);
        mem_free(machine->shards[i]);
    }
    mesh_destroy(&machine->mesh);
    broker_shared_destroy(machine->shared);
    mem_free(machine->shards);
    mem_free(machine->stats);
}

/* Starts the threads, enters the control shard on this one and waits for the others. */
static int start_shards(struct machine *machine)
{
    struct shard *control = machine->shards[control_index(machine)];
    char why[WHY_MAX] = "";
    unsigned started = 0;

    machine->workers = worker_pool_start(machine->conf->workers_threads,
                                         machine->conf->workers_queue, why, sizeof(why));
    if (machine->workers == NULL) {
        fprintf(stderr, "shardmq: %s\n", why);
        exit(1);
    }
    /* a thread that cannot be created would leave the others waiting at the barrier: they are as
     * many as there are */
    pthread_barrier_init(&machine->entered, NULL, machine->limits.shards + 1);
    for (; started < machine->limits.shards; started++) {
        int error = shard_start(machine->shards[started]);

        if (error != 0) {
            fprintf(stderr, "shardmq: no thread for shard %u: %s\n", started, strerror(-error));
            exit(1);
        }
    }
    shard_current = control;
    if (shard_enter(control, why, sizeof(why)) != 0) {
        fprintf(stderr, "shardmq: control shard: %s\n", why);
        atomic_store(&machine->failed, true);
    }
    pthread_barrier_wait(&machine->entered);
    return atomic_load(&machine->failed) ? 1 : 0;
}

static void announce(const struct machine *machine)
{
    listeners_print(machine->listeners, NULL, stdout);
    listeners_print(machine->service_listeners, NULL, stdout);
    printf("ShardMQ is started successfully\n");
    LOG_INFO("ShardMQ %s is started, %u shards", SHARDMQ_VERSION, machine->limits.shards);
    fflush(stdout);
}

static int run_shards(struct machine *machine)
{
    const struct machine_options *options = machine->options;
    struct shard *control = machine->shards[control_index(machine)];
    int status = start_shards(machine);

    if (status == 0) {
        machine->started_ms = control->now_ms;
        announce(machine);
        if (options->started != NULL)
            options->started(options->argument);
        if (control_run(machine))
            status = MACHINE_RESTART;
    }
    for (unsigned i = 0; i < machine->limits.shards; i++)
        shard_join(machine->shards[i]);
    worker_pool_stop(machine->workers); /* posts to inboxes, which are still there */
    machine->workers = NULL;
    plugin_host_end(machine->plugins); /* its threads post to inboxes, which are still there */
    for (unsigned i = 0; i < machine->limits.shards; i++)
        shard_leave(machine->shards[i]);
    shard_leave(control);
    pthread_barrier_destroy(&machine->entered);
    return status;
}

/* The plug-ins, if there are any, are there. */
static int run_loaded(struct machine *machine)
{
    char why[WHY_MAX];
    int status;

    machine->bans = bans_open(machine->conf, (uint64_t)time(NULL), why, sizeof(why));
    if (machine->bans == NULL)
        return give_up(why);
    machine->policy = policy_create(machine->conf, why, sizeof(why));
    if (machine->policy == NULL) {
        bans_close(machine->bans);
        return give_up(why);
    }
    machine->auth_http =
        auth_http_set_create(machine->conf, machine->limits.shards, why, sizeof(why));
    if (machine->auth_http == NULL) {
        policy_unref(machine->policy);
        bans_close(machine->bans);
        return give_up(why);
    }
    policy_log_warnings(machine->policy);
    create_shards(machine);
    if (control_open(machine, why, sizeof(why)) != 0)
        status = give_up(why);
    else
        status = run_shards(machine);
    log_flush();
    if (status == MACHINE_RESTART) {
        for (unsigned i = 0; i <= machine->limits.shards; i++)
            listener_pass(machine->shards[i]);
        tickets_pass(machine);
    }
    destroy_shards(machine);
    auth_http_set_unref(machine->auth_http);
    bans_close(machine->bans);
    shard_current = NULL;
    return status;
}

static int run_bound(struct machine *machine)
{
    const struct machine_options *options = machine->options;
    char why[WHY_MAX];
    int status = options->bound == NULL ? 0 : options->bound(options->argument);

    if (status != 0)
        return status;
    machine->plugins =
        plugin_host_open(machine->conf, geteuid(), machine->limits.shards, why, sizeof(why));
    if (machine->plugins == NULL)
        return give_up(why);
    status =
        plugin_host_begin(machine->plugins, why, sizeof(why)) ? run_loaded(machine) : give_up(why);
    plugin_host_end(machine->plugins); /* unless they have ended with the shards */
    plugin_host_close(machine->plugins);
    return status;
}

static bool bind_all(struct machine *machine, char *why, size_t size)
{
    const struct conf *conf = machine->conf;

    machine->tickets = tickets_open(&machine->tickets_due_ms);
    machine->listeners = listeners_open(machine, conf, NULL, why, size);
    if (machine->listeners == NULL)
        return false;
    machine->service_listeners = listeners_open_service(machine, conf, NULL, why, size);
    return machine->service_listeners != NULL;
}

bool machine_check(const struct conf *conf, FILE *warnings, char *why, size_t size)
{
    struct policy *policy = doors_check(conf, why, size) ? policy_create(conf, why, size) : NULL;
    struct auth_http_set *auth_http =
        policy != NULL ? auth_http_set_create(conf, 1, why, size) : NULL;

    if (auth_http != NULL && warnings != NULL)
        fputs(policy_warnings(policy), warnings);
    policy_unref(policy);
    auth_http_set_unref(auth_http);
    return auth_http != NULL;
}

bool machine_check_plugins(const struct conf *conf, uid_t user, char *why, size_t size)
{
    struct plugin_host *host = plugin_host_open(conf, user, 1, why, size);

    plugin_host_close(host);
    return host != NULL;
}

int machine_run(const struct machine_options *options)
{
    struct machine *machine = mem_zalloc_aligned(sizeof(*machine));
    char why[WHY_MAX];
    int status;

    machine->options = options;
    machine->conf = options->conf;
    machine->random_seed = random_seed();
    hash_setup(machine->random_seed ^ random_seed());
    if (limits_derive(&machine->limits, options->conf, why, sizeof(why)) != 0 ||
        uring_probe(&machine->features, why, sizeof(why)) != 0) {
        status = give_up(why);
    } else {
        log_sizes(machine);
        bool is_bound = bind_all(machine, why, sizeof(why));

        listeners_opened();
        status = is_bound ? run_bound(machine) : give_up(why);
        if (status != MACHINE_RESTART)
            listeners_settle_files(machine->listeners, NULL);
        listeners_close(machine->service_listeners);
        listeners_close(machine->listeners);
        tls_tickets_destroy(machine->tickets);
    }
    mem_free(machine);
    return status;
}
