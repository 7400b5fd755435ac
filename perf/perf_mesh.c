/* SPDX-License-Identifier: MIT
 *
 * What a hop from one shard to another costs.
 *
 *   mesh/post        posting, flushing and draining on one thread: what the code itself costs
 *   mesh/hop/awake   an entry goes to a second thread and comes back, both threads looking all the
 *                    time: the way between two caches. One iteration is two hops.
 *   mesh/hop/asleep  the same, but whoever has nothing to do announces sleep and waits in the kernel
 *                    until its ring is woken: what an idle broker pays for crossing once
 *   mesh/stream      entries flow one way, flushed in batches, as under load
 */
#include "base/check.h"
#include "base/mem.h"
#include "perf/shim.h"
#include "shards/mesh.h"
#include "shards/uring.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>

void perf_register_mesh(void);

#define DEPTH 4096u
#define LIMIT 256u
#define BATCH 64u
#define YIELD                                                                                      \
    2000u /* looks without success before the CPU is offered to others: there may be one only */
#define ENTRIES 512u /* of the submission and completion queues */

enum { FIRST, SECOND, THREADS };

struct pair {
    struct mesh mesh;
    struct mesh_port ports[THREADS];
    struct shard_stats *stats; /* [THREADS] */
    struct uring *rings[THREADS];
    uint64_t received[THREADS];
    bool sleeping, stopped[THREADS];
};

static void wake_peer(void *argument, unsigned peer)
{
    struct pair *pair = argument;
    unsigned self = peer == FIRST ? SECOND : FIRST;

    if (pair->sleeping)
        uring_wake(pair->rings[self], uring_descriptor(pair->rings[peer]), 0, 0);
}

static void open_pair(struct pair *pair, bool sleeping)
{
    static const uint32_t depths[] = {DEPTH, DEPTH};

    *pair = (struct pair){.sleeping = sleeping};
    pair->stats = mem_zalloc_aligned(sizeof(struct shard_stats) * THREADS);
    mesh_create(&pair->mesh, THREADS, depths, 2);
    for (unsigned i = 0; i < THREADS; i++)
        mesh_port_open(&pair->ports[i], &pair->mesh, i, DEPTH, 2 * DEPTH, &pair->stats[i],
                       wake_peer, pair);
}

static void close_pair(struct pair *pair)
{
    for (unsigned i = 0; i < THREADS; i++)
        mesh_port_close(&pair->ports[i]);
    mesh_destroy(&pair->mesh);
    mem_free(pair->stats);
}

/* A ring belongs to the thread that opens it (uring.h, I1). */
static bool open_ring(struct pair *pair, unsigned self, const struct uring_features *features)
{
    char why[256];

    pair->rings[self] = uring_open(features, ENTRIES, ENTRIES, why, sizeof(why));
    if (pair->rings[self] == NULL)
        fprintf(stderr, "mesh/hop/asleep: %s\n", why);
    return pair->rings[self] != NULL;
}

static void count_entry(void *argument, unsigned from, const struct mesh_entry *entry)
{
    struct pair *pair = argument;

    if (entry->number != 0)
        pair->stopped[from] = true;
    else
        pair->received[from]++;
}

/* One turn of a thread: takes what came; waits, in the manner of the case, when nothing did. */
static uint32_t turn(struct pair *pair, unsigned self, uint32_t *idle)
{
    struct mesh_port *port = &pair->ports[self];
    uint32_t taken = mesh_drain(port, LIMIT, count_entry, pair);

    if (taken > 0) {
        *idle = 0;
        return taken;
    }
    mesh_flush(port);
    if (!pair->sleeping) {
        if (++*idle % YIELD == 0)
            sched_yield();
    } else if (mesh_announce_sleep(port)) {
        struct completion completions[16];

        uring_enter(pair->rings[self], true, URING_NO_TIMEOUT, 0);
        mesh_awake(port);
        while (uring_reap(pair->rings[self], completions, ARRAY_LENGTH(completions)) > 0)
            continue;
    }
    return 0;
}

static void send_entry(struct pair *pair, unsigned self, bool last)
{
    unsigned peer = self == FIRST ? SECOND : FIRST;
    struct mesh_entry entry = {.kind = MESH_NONE, .number = last};

    mesh_post(&pair->ports[self], peer, entry);
    mesh_flush(&pair->ports[self]);
    if (pair->sleeping)
        uring_enter(pair->rings[self], false, 0, 0);
}

struct peer_start {
    struct pair *pair;
    const struct uring_features *features;
    bool answers;
    atomic_int ready; /* 1: go on, -1: it cannot work here */
};

/* The second thread: answers each entry with one, or only takes them, until the last one. */
static void *peer_thread(void *argument)
{
    struct peer_start *start = argument;
    struct pair *pair = start->pair;
    uint32_t idle = 0;

    if (pair->sleeping && !open_ring(pair, SECOND, start->features)) {
        atomic_store(&start->ready, -1);
        return NULL;
    }
    atomic_store(&start->ready, 1);
    while (!pair->stopped[FIRST])
        if (turn(pair, SECOND, &idle) > 0 && start->answers)
            send_entry(pair, SECOND, false);
    if (pair->sleeping)
        uring_close(pair->rings[SECOND]);
    return NULL;
}

/* Runs `body` on this thread beside the second one. */
static void with_peer(struct perf_state *state, bool sleeping, bool answers,
                      void (*body)(struct perf_state *state, struct pair *pair))
{
    struct pair *pair = mem_alloc(sizeof(*pair));
    struct uring_features features = {0};
    struct peer_start start = {.pair = pair, .features = &features, .answers = answers};
    pthread_t thread;
    char why[256];

    open_pair(pair, sleeping);
    if (sleeping && (uring_probe(&features, why, sizeof(why)) != 0 || !features.wake_by_ring ||
                     !open_ring(pair, FIRST, &features))) {
        perf_skip(state, "this kernel does not let a ring wake another");
    } else {
        ASSERT(pthread_create(&thread, NULL, peer_thread, &start) == 0);
        while (atomic_load(&start.ready) == 0)
            sched_yield();
        ASSERT(atomic_load(&start.ready) == 1);
        body(state, pair);
        send_entry(pair, FIRST, true);
        pthread_join(thread, NULL);
        if (sleeping)
            uring_close(pair->rings[FIRST]);
    }
    close_pair(pair);
    mem_free(pair);
}

static void there_and_back(struct perf_state *state, struct pair *pair)
{
    uint32_t idle = 0;

    while (perf_next(state)) {
        send_entry(pair, FIRST, false);
        while (turn(pair, FIRST, &idle) == 0)
            continue;
    }
    ASSERT(pair->received[SECOND] == perf_iterations(state));
    perf_items(state, 2 * perf_iterations(state));
}

static void run_hop(struct perf_state *state, void *argument)
{
    with_peer(state, argument != NULL, true, there_and_back);
}

static void one_way(struct perf_state *state, struct pair *pair)
{
    struct mesh_port *port = &pair->ports[FIRST];
    struct mesh_entry entry = {.kind = MESH_NONE};

    while (perf_next(state)) {
        /* as the broker does: a congested peer gets nothing new */
        while (port->peers[SECOND].congested) {
            mesh_flush(port);
            sched_yield();
        }
        for (uint32_t i = 0; i < BATCH; i++)
            mesh_post(port, SECOND, entry);
        mesh_flush(port);
    }
    perf_items(state, BATCH * perf_iterations(state));
}

static void run_stream(struct perf_state *state, void *argument)
{
    (void)argument;
    with_peer(state, false, false, one_way);
}

static void run_post(struct perf_state *state, void *argument)
{
    struct pair *pair = mem_alloc(sizeof(*pair));
    struct mesh_entry entry = {.kind = MESH_NONE};

    (void)argument;
    open_pair(pair, false);
    while (perf_next(state)) {
        for (uint32_t i = 0; i < BATCH; i++)
            mesh_post(&pair->ports[FIRST], SECOND, entry);
        mesh_flush(&pair->ports[FIRST]);
        mesh_drain(&pair->ports[SECOND], LIMIT, count_entry, pair);
    }
    ASSERT(pair->received[FIRST] == BATCH * perf_iterations(state));
    perf_items(state, BATCH * perf_iterations(state));
    close_pair(pair);
    mem_free(pair);
}

void perf_register_mesh(void)
{
    static char sleeping;

    perf_case("mesh/post/batch:64", run_post, NULL);
    perf_case_wall("mesh/stream/batch:64", run_stream, NULL);
    perf_case_wall("mesh/hop/awake", run_hop, NULL);
    perf_case_wall("mesh/hop/asleep", run_hop, &sleeping);
}
