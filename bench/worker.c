/* SPDX-License-Identifier: MIT
 *
 * worker - the loop of one thread.
 *
 *   open clients that are due -> wait -> events, each read and parsed as one large piece ->
 * on_turn, which sends what the windows and the clock allow, one write per publisher and turn
 *
 * epoll and not io_uring: with 64 KiB and more per system call the calls themselves are below a
 * tenth of the cost, and the tool also runs where a container forbids io_uring.
 */
#include "bench/worker.h"

#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "bench/payload.h"

#define EVENTS_MAX 512

void worker_init(struct worker *worker, struct load *load, uint32_t index, uint32_t client_count,
                 uint32_t packet_size_max)
{
    memset(worker, 0, sizeof(*worker));
    worker->load = load;
    worker->index = index;
    worker->client_count = client_count;
    worker->clients = mem_zalloc((client_count + 1) * sizeof(struct client));
    for (uint32_t i = 0; i < client_count; i++) {
        worker->clients[i].worker = worker;
        worker->clients[i].fd = -1;
    }
    worker->opening_max = WORKER_OPENING_MAX;
    if (load->options->connect_rate > 0) {
        /* a slow broker must not slow down a rate that was asked for */
        worker->opening_max = UINT32_MAX;
        worker->open_interval_ns =
            NANOSECONDS * load->options->threads / load->options->connect_rate;
    }
    worker->read_size =
        2 * packet_size_max > WORKER_READ_SIZE ? 2 * packet_size_max : WORKER_READ_SIZE;
    worker->scratch_size =
        packet_size_max > WORKER_SCRATCH_SIZE ? packet_size_max : WORKER_SCRATCH_SIZE;
    worker->read_buffer = mem_alloc(worker->read_size);
    worker->acks = mem_alloc(worker->read_size);
    worker->scratch = mem_alloc(worker->scratch_size);
    worker->latency = mem_zalloc(sizeof(*worker->latency));
    worker->spin = load->options->spin;
    worker->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    ASSERT(worker->epoll_fd >= 0);
    worker->now_ns = now_ns();
    worker->keep_alive_ns = worker->now_ns;
}

void worker_fini(struct worker *worker)
{
    for (uint32_t i = 0; i < worker->client_count; i++) {
        client_leave(&worker->clients[i], false);
    }
    close(worker->epoll_fd);
    mem_free(worker->clients);
    mem_free(worker->read_buffer);
    mem_free(worker->acks);
    mem_free(worker->scratch);
    mem_free(worker->latency);
}

/* Starts connections: as many at a time as opening_max allows, and not before their time. */
static void open_more(struct worker *worker)
{
    while (worker->opened < worker->client_count && worker->opening < worker->opening_max &&
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
        client_open(&worker->clients[worker->opened++]);
    }
}

static void keep_alive(struct worker *worker)
{
    if (worker->now_ns < worker->keep_alive_ns) {
        return;
    }
    worker->keep_alive_ns = worker->now_ns + NANOSECONDS;
    for (uint32_t i = 0; i < worker->opened; i++) {
        client_keep_alive(&worker->clients[i], (uint32_t)(worker->now_ns / NANOSECONDS));
    }
}

void worker_turn(struct worker *worker)
{
    struct epoll_event events[EVENTS_MAX];
    struct timespec wait = {0};
    int count;

    if (!worker->spin && worker->wake_ns > worker->now_ns) {
        uint64_t wait_ns = worker->wake_ns - worker->now_ns;

        wait.tv_nsec = (long)(wait_ns < WORKER_IDLE_NS ? wait_ns : WORKER_IDLE_NS);
    }
    count = epoll_pwait2(worker->epoll_fd, events, EVENTS_MAX, &wait, NULL);
    worker->now_ns = now_ns();
    for (int i = 0; i < count; i++) {
        client_on_event(events[i].data.ptr, events[i].events);
    }
    worker->wake_ns = worker->now_ns + WORKER_IDLE_NS;
    open_more(worker);
    keep_alive(worker);
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
        if (worker->clients[i].state != CLIENT_CLOSED) {
            return false;
        }
    }
    return true;
}

void worker_leave_all(struct worker *worker, uint64_t limit_ns)
{
    uint64_t end_ns = now_ns() + limit_ns;

    worker->on_turn = NULL;
    worker->client_count = worker->opened; /* no more are opened */
    for (uint32_t i = 0; i < worker->opened; i++) {
        client_leave(&worker->clients[i], true);
    }
    while (!all_closed(worker) && worker->now_ns < end_ns) {
        worker_turn(worker);
    }
}
