/* SPDX-License-Identifier: MIT
 *
 * The mesh: order through ring and spill list, marks, the wake protocol step by step, and all of it
 * between threads that really sleep.
 */
#include "shards/mesh.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <semaphore.h>
#include <time.h>

#define DEPTH 8u

static unsigned woken[4];

static void note_wake(void *argument, unsigned peer)
{
    (void)argument;
    woken[peer]++;
}

struct pair {
    struct mesh mesh;
    struct shard_stats stats[3];
    struct mesh_port port[3];
};

static struct pair *pair_open(uint32_t congested, uint32_t full)
{
    struct pair *pair = mem_zalloc_aligned(sizeof(*pair));
    const uint32_t depth[2] = {DEPTH, DEPTH};

    memset(woken, 0, sizeof(woken));
    mesh_create(&pair->mesh, 2, depth, DEPTH);
    for (unsigned i = 0; i < 3; i++)
        mesh_port_open(&pair->port[i], &pair->mesh, i, congested, full, &pair->stats[i], note_wake,
                       NULL);
    return pair;
}

static void pair_close(struct pair *pair)
{
    for (unsigned i = 0; i < 3; i++)
        mesh_port_close(&pair->port[i]);
    mesh_destroy(&pair->mesh);
    mem_free(pair);
}

static struct mesh_entry numbered(uint64_t number)
{
    return (struct mesh_entry){.kind = MESH_NONE, .value = number};
}

struct receiver {
    uint64_t next; /* expected of sender 0 */
    uint32_t count;
};

static void expect_next(void *argument, unsigned from, const struct mesh_entry *entry)
{
    struct receiver *receiver = argument;

    assert_int_equal(from, 0);
    assert_int_equal(entry->value, receiver->next);
    receiver->next++;
    receiver->count++;
}

static void order_holds_through_the_spill_list(void **state)
{
    struct pair *pair = pair_open(1000, 2000);
    struct receiver receiver = {0};
    uint64_t posted = 0;

    (void)state;
    for (unsigned round = 0; round < 50; round++) {
        for (unsigned i = 0; i < 11 && posted < 400; i++)
            mesh_post(&pair->port[0], 1, numbered(posted++));
        mesh_flush(&pair->port[0]);
        mesh_drain(&pair->port[1], 9, expect_next, &receiver);
    }
    while (receiver.count < posted) {
        mesh_flush(&pair->port[0]);
        assert_int_not_equal(mesh_drain(&pair->port[1], 9, expect_next, &receiver), 0);
    }
    assert_int_equal(receiver.next, 400);
    assert_int_equal(pair->port[0].spilling, 0);
    assert_true(atomic_load(&pair->stats[0].values[STAT_mesh_spilled]) > 0);
    pair_close(pair);
}

static void marks_rise_and_fall(void **state)
{
    struct pair *pair = pair_open(10, 40);
    struct mesh_peer *peer = &pair->port[0].peers[1];
    struct receiver receiver = {0};
    uint64_t posted = 0;

    (void)state;
    for (; posted < DEPTH + 9; posted++)
        mesh_post(&pair->port[0], 1, numbered(posted));
    assert_false(peer->congested);
    mesh_post(&pair->port[0], 1, numbered(posted++));
    assert_true(peer->congested);
    assert_false(peer->full);
    for (; posted < DEPTH + 40; posted++)
        mesh_post(&pair->port[0], 1, numbered(posted));
    assert_true(peer->full);
    while (receiver.count < posted) {
        mesh_flush(&pair->port[0]);
        mesh_drain(&pair->port[1], DEPTH, expect_next, &receiver);
    }
    assert_false(peer->congested);
    assert_false(peer->full);
    assert_int_equal(pair->port[0].relieved, 1);
    pair_close(pair);
}

static void an_awake_peer_is_not_woken_and_a_sleeping_one_once(void **state)
{
    struct pair *pair = pair_open(100, 200);
    struct receiver receiver = {0};

    (void)state;
    mesh_post(&pair->port[0], 1, numbered(0));
    mesh_flush(&pair->port[0]);
    assert_int_equal(woken[1], 0);
    assert_false(mesh_announce_sleep(&pair->port[1])); /* there is something to do */
    assert_int_equal(mesh_rest(&pair->mesh, 1), MESH_AWAKE);
    mesh_drain(&pair->port[1], 10, expect_next, &receiver);
    mesh_flush(&pair->port[1]);

    assert_true(mesh_announce_sleep(&pair->port[1]));
    mesh_post(&pair->port[0], 1, numbered(1));
    mesh_post(&pair->port[0], 1, numbered(2));
    assert_int_equal(woken[1], 0); /* not before the flush */
    mesh_flush(&pair->port[0]);
    assert_int_equal(woken[1], 1);
    mesh_post(&pair->port[0], 1, numbered(3));
    mesh_flush(&pair->port[0]);
    assert_int_equal(woken[1], 1); /* it is on its way */
    mesh_awake(&pair->port[1]);
    assert_int_equal(mesh_drain(&pair->port[1], 10, expect_next, &receiver), 3);
    pair_close(pair);
}

static void a_sleeper_with_spilled_entries_is_woken_by_room(void **state)
{
    struct pair *pair = pair_open(100, 200);
    struct receiver receiver = {0};
    uint64_t posted = 0;

    (void)state;
    for (; posted < DEPTH + 3; posted++)
        mesh_post(&pair->port[0], 1, numbered(posted));
    mesh_flush(&pair->port[0]);
    assert_true(mesh_announce_sleep(&pair->port[0]));
    assert_int_equal(mesh_rest(&pair->mesh, 0), MESH_ASLEEP_BLOCKED);
    mesh_drain(&pair->port[1], 2, expect_next, &receiver);
    assert_int_equal(woken[0], 0);
    mesh_flush(&pair->port[1]);
    assert_int_equal(woken[0], 1);
    mesh_awake(&pair->port[0]);
    assert_true(mesh_has_work(&pair->port[0]));
    mesh_flush(&pair->port[0]);
    assert_int_equal(mesh_drain(&pair->port[1], 100, expect_next, &receiver), DEPTH);
    mesh_flush(&pair->port[1]);
    mesh_flush(&pair->port[0]);
    mesh_drain(&pair->port[1], 100, expect_next, &receiver);
    assert_int_equal(receiver.count, posted);
    /* a sleeper without spilled entries does not care about room */
    assert_true(mesh_announce_sleep(&pair->port[0]));
    mesh_flush(&pair->port[1]);
    assert_int_equal(woken[0], 1);
    pair_close(pair);
}

static void what_is_left_can_be_taken(void **state)
{
    struct pair *pair = pair_open(100, 200);
    struct mesh_entry entry;
    unsigned count = 0;

    (void)state;
    for (uint64_t i = 0; i < DEPTH + 5; i++)
        mesh_post(&pair->port[0], 1, numbered(i));
    mesh_post(&pair->port[1], 2, numbered(99));
    for (unsigned i = 0; i < 3; i++)
        mesh_flush(&pair->port[i]);
    for (unsigned i = 0; i < 3; i++)
        while (mesh_take(&pair->port[i], &entry))
            count++;
    assert_int_equal(count, DEPTH + 6);
    pair_close(pair);
}

/* ---- threads ---- */

#define THREADS  3u
#define EACH     20000u /* entries from every thread to every other */
#define TOO_LONG 20     /* seconds: a wake was missed */

static struct mesh shared_mesh;
static sem_t bells[THREADS];
static atomic_uint finished;

struct node {
    struct mesh_port port;
    struct shard_stats stats;
    unsigned self;
    uint64_t expected[THREADS];
    uint64_t received, sleeps;
    bool out_of_order, overslept;
};

static void ring_bell(void *argument, unsigned peer)
{
    (void)argument;
    sem_post(&bells[peer]);
}

static void node_receive(void *argument, unsigned from, const struct mesh_entry *entry)
{
    struct node *node = argument;

    if (entry->number == UINT32_MAX) /* only a nudge */
        return;
    if (entry->value != node->expected[from])
        node->out_of_order = true;
    node->expected[from]++;
    node->received++;
}

static void node_sleep(struct node *node)
{
    struct timespec until;

    if (!mesh_announce_sleep(&node->port))
        return;
    node->sleeps++;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += TOO_LONG;
    if (sem_timedwait(&bells[node->self], &until) != 0)
        node->overslept = true;
    mesh_awake(&node->port);
}

static void *node_run(void *argument)
{
    struct node *node = argument;
    uint64_t posted[THREADS] = {0};
    bool counted = false;
    unsigned turn = 0;

    while (!node->overslept) {
        uint32_t work = mesh_drain(&node->port, 64, node_receive, node);

        turn++;
        for (unsigned to = 0; to < THREADS; to++)
            for (unsigned i = 0; to != node->self && posted[to] < EACH && i < 1 + turn % 90; i++) {
                mesh_post(&node->port, to, numbered(posted[to]++));
                work++;
            }
        if (!counted && node->received == EACH * (THREADS - 1)) {
            counted = true;
            atomic_fetch_add(&finished, 1);
            for (unsigned to = 0; to < THREADS; to++)
                if (to != node->self)
                    mesh_post(&node->port, to, (struct mesh_entry){.number = UINT32_MAX});
        }
        mesh_flush(&node->port);
        if (atomic_load(&finished) == THREADS && node->port.spilling == 0)
            return NULL;
        if (work == 0)
            node_sleep(node);
    }
    return NULL;
}

static void sleeping_threads_miss_nothing(void **state)
{
    static struct node nodes[THREADS];
    const uint32_t depth[THREADS - 1] = {32, 64};
    pthread_t threads[THREADS];

    (void)state;
    atomic_store(&finished, 0);
    mesh_create(&shared_mesh, THREADS - 1, depth, 16);
    for (unsigned i = 0; i < THREADS; i++) {
        sem_init(&bells[i], 0, 0);
        memset(&nodes[i], 0, sizeof(nodes[i]));
        nodes[i].self = i;
        mesh_port_open(&nodes[i].port, &shared_mesh, i, 100, 1000, &nodes[i].stats, ring_bell,
                       NULL);
    }
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, node_run, &nodes[i]), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (unsigned i = 0; i < THREADS; i++) {
        assert_false(nodes[i].overslept);
        assert_false(nodes[i].out_of_order);
        assert_int_equal(nodes[i].received, EACH * (THREADS - 1));
        mesh_port_close(&nodes[i].port);
        sem_destroy(&bells[i]);
    }
    mesh_destroy(&shared_mesh);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_holds_through_the_spill_list),
        cmocka_unit_test(marks_rise_and_fall),
        cmocka_unit_test(an_awake_peer_is_not_woken_and_a_sleeping_one_once),
        cmocka_unit_test(a_sleeper_with_spilled_entries_is_woken_by_room),
        cmocka_unit_test(what_is_left_can_be_taken),
        cmocka_unit_test(sleeping_threads_miss_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
