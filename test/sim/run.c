/* SPDX-License-Identifier: MIT
 *
 * run - one life from a seed: a world is made, disturbed for some thousand steps, and brought to
 * rest; then everything that was promised must have happened, and nothing may be left.
 *
 * The seed also chooses the character of the run: how many shards and clients, which kinds of steps
 * are frequent, how tight the limits are. A bug that needs an unusual mixture then gets one.
 */
#include "base/hash.h"
#include "base/log.h"
#include "sim.h"

#include <stdarg.h>
#include <stdlib.h>

#define REST_ROUNDS_MAX 400000u

static struct sim *current; /* for the dump of a panic */

_Noreturn void sim_fail(const struct sim *sim, const char *format, ...)
{
    va_list arguments;

    fprintf(stderr, "SIM_SEED=%llu steps=%u%s: at step %u: ", (unsigned long long)sim->seed,
            sim->steps, sim->set.memory ? " memory" : "", sim->step);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    abort();
}

void sim_note(const struct sim *sim, const char *format, ...)
{
    va_list arguments;

    if (!sim->verbose)
        return;
    fprintf(stderr, "%6u ", sim->step);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

static void dump(void *argument)
{
    (void)argument;
    if (current != NULL)
        fprintf(stderr, "SIM_SEED=%llu steps=%u%s: at step %u: an assertion\n",
                (unsigned long long)current->seed, current->steps,
                current->set.memory ? " memory" : "", current->step);
}

/* ---- beginning ---- */

static void choose_settings(struct sim *sim, bool memory)
{
    struct settings *set = &sim->set;

    *set = (struct settings){
        .shards = 1 + pick(sim, SHARDS_MAX),
        .clients = 2 + pick(sim, CLIENTS_MAX - SHARDS_MAX - 1),
        .mesh_congested = 1u << pick(sim, 8),
        .payload_max = 1u << (5 + pick(sim, 10)),
        .weight_mesh = 1 + pick(sim, 20),
        .weight_read = 1 + pick(sim, 20),
        .weight_write = 1 + pick(sim, 20),
        .weight_client = 1 + pick(sim, 20),
        .weight_time = pick(sim, 3),
        .weight_batch = 1 + pick(sim, 3),
        .trouble = chance(sim, 20) ? 0 : pick(sim, 30),
        .lossy = chance(sim, 35),
        .expiry = chance(sim, 25),
        .stable_groups = chance(sim, 60),
        .mixed_groups = chance(sim, 50),
        .wills = chance(sim, 50),
        .time_jumps = chance(sim, 40),
        .memory = memory,
    };
    set->mesh_full = set->mesh_congested * 2;
}

static void choose_limits(struct sim *sim)
{
    struct conf *conf = sim->conf;

    conf->mqtt_max_inflight_window = 1u << pick(sim, 10);
    conf->mqtt_receive_maximum = chance(sim, 50) ? 1 + pick(sim, 10) : 1024;
    conf->mqtt_max_topic_alias = chance(sim, 70) ? 16 : 0;
    conf->mqtt_max_topic_alias_out = chance(sim, 70) ? 16 : 0;
    conf->mqtt_shared_strategy = (uint8_t)pick(sim, 3);
    conf->sys_events = chance(sim, 20);
    if (!sim->set.lossy)
        return;
    conf->mqtt_max_mqueue_len = 1 + pick(sim, 30);
    if (chance(sim, 30))
        conf->mqtt_max_mqueue_size = 1024 + pick(sim, 20000);
    conf->mqtt_queue_policy = (uint8_t)pick(sim, 2);
    conf->mqtt_max_send_backlog = 4096u << pick(sim, 8);
    if (chance(sim, 30))
        conf->mqtt_max_retained = 1 + pick(sim, TOPICS);
}

static void open_world(struct sim *sim, bool memory)
{
    struct conf_source source = {0};
    char errors[1024];

    hash_setup(random_next(&sim->random));
    choose_settings(sim, memory);
    sim->conf = conf_load(&source, errors, sizeof(errors));
    if (sim->conf == NULL)
        sim_fail(sim, "the defaults are refused: %s", errors);
    choose_limits(sim);
    sim->now_ms = 1000 + pick(sim, 100000);
    sim->shared = broker_shared_create(SIM_SHARDS(sim));
    for (unsigned i = 0; i <= SIM_SHARDS(sim); i++) {
        struct broker_params params = {
            .shared = sim->shared,
            .shard = i,
            .shard_count = SIM_SHARDS(sim),
            .conf = sim->conf,
            .random_seed = random_next(&sim->random),
            .session_limit = 1000,
            .queue_memory = UINT64_MAX / 2,
            .now_ms = sim->now_ms,
            .wall_ms = sim->now_ms,
            .machine = sim,
        };

        sim->stats[i] = mem_zalloc_aligned(sizeof(*sim->stats[i]));
        params.stats = sim->stats[i];
        sim->brokers[i] = broker_create(&params);
        sim->brokers[i]->query_step = 1u << pick(sim, 8); /* lists take many turns */
        sim->brokers[i]->query_batch = 1u << pick(sim, 12);
    }
    for (unsigned i = 0; i < sim->set.clients; i++)
        client_init(sim, i);
    operator_open(sim);
}

/* ---- the middle ---- */

static void set_clocks(struct sim *sim)
{
    for (unsigned i = 0; i <= SIM_SHARDS(sim); i++)
        broker_set_clock(sim->brokers[i], sim->now_ms * 1000000u, sim->now_ms);
}

static void pass_time(struct sim *sim)
{
    sim->now_ms += 1 + pick(sim, sim->set.time_jumps && chance(sim, 5) ? 20000 : 40);
    set_clocks(sim);
    machine_run_timers(sim, pick(sim, SIM_SHARDS(sim) + 1));
}

static void publish_sys(struct sim *sim)
{
    char text[32];

    snprintf(text, sizeof(text), "%u", sim->step);
    broker_publish(sim->brokers[SIM_SHARDS(sim)], span_text("$SYS/broker/step"), span_text(text), 0,
                   chance(sim, 30));
}

static void one_client(struct sim *sim)
{
    struct client *client = &sim->clients[pick(sim, sim->set.clients)];

    if (chance(sim, 50) && client_read(client))
        return;
    if (chance(sim, 40) && client_acknowledge(client, 1 + pick(sim, 10)))
        return;
    client_act(client);
}

static void one_step(struct sim *sim)
{
    const struct settings *set = &sim->set;
    unsigned choice = pick(sim, set->weight_mesh + set->weight_read + set->weight_write +
                                    set->weight_client + set->weight_time + set->weight_batch);

    if (choice < set->weight_mesh) {
        machine_move_mesh(sim);
        return;
    }
    choice -= set->weight_mesh;
    if (choice < set->weight_read) {
        machine_read(sim);
        return;
    }
    choice -= set->weight_read;
    if (choice < set->weight_write) {
        machine_write(sim);
        return;
    }
    choice -= set->weight_write;
    if (choice < set->weight_client)
        one_client(sim);
    else if (choice < set->weight_client + set->weight_time)
        pass_time(sim);
    else if (chance(sim, 10))
        publish_sys(sim);
    else if (chance(sim, 20))
        operator_act(sim);
    else
        machine_run_batches(sim);
}

/* In the mode with allocation failures: one comes now and then, and lasts for a step or some. */
static void fail_memory(struct sim *sim)
{
    if (sim->failing && chance(sim, 50)) {
        mem_fail_after(0);
        sim->failing = false;
    } else if (!sim->failing && chance(sim, 10)) {
        mem_fail_after(1 + pick(sim, 12));
        sim->failing = true;
    }
}

static void disturb(struct sim *sim)
{
    for (sim->step = 0; sim->step < sim->steps; sim->step++) {
        if (sim->set.memory)
            fail_memory(sim);
        one_step(sim);
        if (machine_mesh_empty(sim))
            laws_check_counters(sim);
        if (chance(sim, 2))
            laws_check_structures(sim);
    }
    mem_fail_after(0);
    sim->failing = false;
}

/* ---- the end ---- */

static bool calm_step(struct sim *sim, unsigned clients)
{
    bool moved = machine_move_mesh(sim);

    moved |= machine_read(sim);
    moved |= machine_write(sim);
    moved |= machine_run_batches(sim);
    moved |= operator_calm(sim);
    for (unsigned i = 0; i < clients; i++) {
        moved |= client_read(&sim->clients[i]);
        moved |= client_calm(&sim->clients[i]);
    }
    return moved;
}

static void come_to_rest(struct sim *sim, unsigned clients)
{
    uint32_t rounds = 0;

    sim->calm = true;
    while (calm_step(sim, clients)) {
        sim->step++;
        if (++rounds > REST_ROUNDS_MAX)
            sim_fail(sim, "it does not come to rest");
    }
}

/* Some members of share groups stay away, and the others get what those have not acknowledged. */
static void rest_without_some(struct sim *sim)
{
    if (!sim->set.stable_groups || sim->set.lossy || sim->set.memory)
        return;
    for (unsigned i = 0; i < sim->set.clients; i++)
        sim->clients[i].absent = sim->clients[i].group_member && sim->clients[i].state == OFFLINE;
    machine_end_abandoned(sim);
    come_to_rest(sim, sim->set.clients);
    oracle_check_present_groups(sim);
    for (unsigned i = 0; i < sim->set.clients; i++)
        sim->clients[i].absent = false;
}

static void publish_last_retained(struct sim *sim)
{
    for (unsigned topic = 0; topic < TOPICS; topic++) {
        struct client *owner = &sim->clients[retained_publisher(sim, topic)];

        client_publish(owner, topic, (uint8_t)(1 + pick(sim, 2)), true,
                       chance(sim, 25) ? 0 : 16 + pick(sim, 64));
        come_to_rest(sim, sim->set.clients);
    }
}

/* New clients, one homed on each shard, see what is retained. */
static void observe(struct sim *sim)
{
    for (unsigned i = 0; i < SIM_SHARDS(sim); i++) {
        struct client *observer = &sim->clients[sim->set.clients + i];

        client_init(sim, sim->set.clients + i);
        for (unsigned n = 0;
             broker_home_shard(span_text(observer->identifier), SIM_SHARDS(sim)) != i; n++)
            snprintf(observer->identifier, sizeof(observer->identifier), "observer-%u", n);
        observer->observer = true;
        observer->group_member = false;
        observer->kind = SESSION_CLEAN;
        observer->packet_size_max = 0;
    }
    come_to_rest(sim, sim->set.clients + SIM_SHARDS(sim));
    for (unsigned i = 0; i < SIM_SHARDS(sim); i++) {
        struct client *observer = &sim->clients[sim->set.clients + i];

        if (chance(sim, 50)) {
            client_subscribe(observer, "t/#", (uint8_t)pick(sim, 3));
            continue;
        }
        client_subscribe(observer, "t/0/+", (uint8_t)pick(sim, 3));
        client_subscribe(observer, "t/1/#", (uint8_t)pick(sim, 3));
        for (unsigned topic = 6; topic < TOPICS; topic++)
            client_subscribe(observer, topic_names[topic], (uint8_t)pick(sim, 3));
    }
    come_to_rest(sim, sim->set.clients + SIM_SHARDS(sim));
    if (!sim->set.lossy && !sim->set.memory)
        for (unsigned i = 0; i < SIM_SHARDS(sim); i++)
            oracle_check_retained(sim, &sim->clients[sim->set.clients + i]);
}

static void close_world(struct sim *sim)
{
    if (chance(sim, 50))
        operator_act(sim); /* something is under way at the end */
    operator_close(sim);
    machine_close_all(sim);
    for (unsigned i = 0; i <= SIM_SHARDS(sim); i++)
        broker_clear(sim->brokers[i]);
    machine_discard_mesh(sim);
    for (unsigned i = 0; i <= SIM_SHARDS(sim); i++) {
        broker_destroy(sim->brokers[i]);
        mem_free(sim->stats[i]);
    }
    broker_shared_destroy(sim->shared);
    conf_free(sim->conf);
    for (unsigned i = 0; i < CLIENTS_MAX; i++)
        client_free(&sim->clients[i]);
}

void sim_run(uint64_t seed, unsigned steps, bool memory, bool verbose)
{
    static bool registered;
    struct sim *sim = mem_zalloc(sizeof(*sim));

    if (!registered)
        panic_register(dump, NULL);
    registered = true;
    current = sim;
    sim->seed = sim->random.state = seed;
    sim->steps = steps;
    sim->verbose = verbose;
    open_world(sim, memory);
    disturb(sim);
    rest_without_some(sim);
    come_to_rest(sim, sim->set.clients);
    laws_check_rest(sim);
    operator_check_rest(sim);
    oracle_final(sim);
    publish_last_retained(sim);
    observe(sim);
    laws_check_rest(sim);
    operator_check_rest(sim);
    close_world(sim);
    current = NULL;
    mem_free(sim);
}
