/* SPDX-License-Identifier: MIT
 *
 * worker - the loop of one thread.
 *
 *   a turn of the driver: what was written goes out, completions come in, each received piece is
 *   parsed in place -> open actors that are due -> on_turn, which writes what the windows and the
 *   clock allow
 */
#include "bench/worker.h"

#include <string.h>
#include <sys/prctl.h>

#include "base/check.h"
#include "base/mem.h"
#include "bench/payload.h"

void worker_init(struct worker *worker, struct load *load, uint32_t index, uint32_t actor_count,
                 uint32_t packet_size_max)
{
    const struct bench_options *options = load->options;

    memset(worker, 0, sizeof(*worker));
    worker->load = load;
    worker->index = index;
    worker->made = worker->actor_count = actor_count;
    worker->limits = CLIENT_LIMITS_DEFAULT;
    worker->limits.packet_size_max =
        packet_size_max > WORKER_PACKET_MAX ? packet_size_max : WORKER_PACKET_MAX;
    worker->limits.inflight_max = (uint16_t)(options->inflight > 0 ? options->inflight : 1);
    worker->limits.keep = options->reconnect;
    driver_init(&worker->driver, actor_count);
    worker->actors = mem_zalloc((actor_count + 1) * sizeof(struct actor));
    for (uint32_t i = 0; i < actor_count; i++) {
        actor_init(&worker->actors[i], worker);
    }
    worker->opening_max = WORKER_OPENING_MAX;
    if (options->connect_rate > 0) {
        /* a slow broker must not slow down a rate that was asked for */
        worker->opening_max = UINT32_MAX;
        worker->open_interval_ns = NANOSECONDS * options->threads / options->connect_rate;
    }
    worker->latency = mem_zalloc(sizeof(*worker->latency));
    worker->spin = options->spin;
    worker->now_ns = now_ns();
}

/* Closes every connection and gives the ring back, on the thread whose ring it is. */
static void end_connections(struct worker *worker)
{
    worker->on_turn = NULL;
    for (uint32_t i = 0; i < worker->made; i++) {
        actor_leave(&worker->actors[i], false);
    }
    driver_stop(&worker->driver);
}

void worker_fini(struct worker *worker)
{
    end_connections(worker);
    for (uint32_t i = 0; i < worker->made; i++) {
        actor_fini(&worker->actors[i]);
    }
    driver_fini(&worker->driver);
    mem_free(worker->actors);
    mem_free(worker->latency);
}

/* Starts connections: as many at a time as opening_max allows, and not before their time. */
static void open_more(struct worker *worker)
{
    while (worker->opened < worker->actor_count && worker->opening < worker->opening_max &&
           !atomic_load_explicit(&worker->load->failed, memory_order_relaxed)) {
        if (worker->open_interval_ns > 0) {
            if (worker->open_next_ns > worker->now_ns) {
                if (worker->open_next_ns < worker->wake_ns) {
                    worker->wake_ns = worker->open_next_ns;
                }
                return;
            }
            worker->open_next_ns =
                (worker->open_next_ns == 0 ? worker->now_ns : worker->open_next_ns) +
                worker->open_interval_ns;
        }
        actor_open(&worker->actors[worker->opened++]);
    }
}

void worker_turn(struct worker *worker)
{
    char error[512];

    if (UNLIKELY(worker->driver.ring == NULL) &&
        !driver_start(&worker->driver, error, sizeof(error))) {
        load_fail(worker->load, "%s", error);
        return;
    }
    driver_turn(&worker->driver, worker->spin ? 0 : worker->wake_ns);
    worker->now_ns = worker->driver.now_ns;
    atomic_store_explicit(&worker->tally.received_bytes, worker->driver.received_bytes,
                          memory_order_relaxed);
    worker->wake_ns = worker->now_ns + WORKER_IDLE_NS;
    open_more(worker);
    if (worker->on_turn != NULL) {
        worker->on_turn(worker);
    }
}

static void *run(void *argument)
{
    struct worker *worker = argument;

    if (!load_pin(worker->load->options, worker->index)) {
        load_fail(worker->load, "--cpu: cannot run on \"%s\"", worker->load->options->cpu);
    }
    prctl(PR_SET_TIMERSLACK, 1ul, 0, 0, 0);
    while (load_phase(worker->load) != PHASE_STOP) {
        worker_turn(worker);
    }
    worker_leave_all(worker, WORKER_LEAVE_NS);
    end_connections(worker);
    return NULL;
}

void worker_start(struct worker *worker)
{
    int status = pthread_create(&worker->thread, NULL, run, worker);

    ASSERT(status == 0);
}

void worker_join(struct worker *worker)
{
    pthread_join(worker->thread, NULL);
}

static bool all_closed(const struct worker *worker)
{
    for (uint32_t i = 0; i < worker->opened; i++) {
        if (!actor_closed(&worker->actors[i])) {
            return false;
        }
    }
    return true;
}

void worker_leave_all(struct worker *worker, uint64_t limit_ns)
{
    uint64_t end_ns = now_ns() + limit_ns;

    if (worker->driver.ring == NULL) {
        return; /* its thread has done so */
    }
    worker->on_turn = NULL;
    worker->actor_count = worker->opened; /* no more are opened */
    for (uint32_t i = 0; i < worker->opened; i++) {
        actor_leave(&worker->actors[i], true);
    }
    while (!all_closed(worker) && worker->now_ns < end_ns) {
        worker_turn(worker);
    }
}
