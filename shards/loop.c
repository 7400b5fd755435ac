/* SPDX-License-Identifier: MIT
 *
 * loop - the turn of one thread.
 *
 * Who runs it: every data shard, and the control shard with other handlers and no connections.
 *
 *   1  clock          one reading of the monotonic clock for the whole turn
 *   2  mesh           what peers posted; first, since they wait for room in their rings; then the inbox of
 *                     foreign threads
 *   3  completions    all that are there; the kernel is asked again while it has more, up to
 *                     completion_batch, because everything after this is cheaper the more input it
 *                     is done for
 *   4  settle         sends of which nothing was heard are complete
 *   5  paused, timers, batches   each bounded
 *   6  flush          one send per connection with output; closes; frees
 *   7  mesh           one tail store per peer, at most one wake per sleeping peer
 *   8  enter          submits the turn in one system call; waits only if nothing is left to do
 *
 * Output goes out once, after all input of the turn was looked at: a send costs 4 to 7 microseconds
 * whether it carries one message or sixty. Handlers prepare requests, they never submit, wait or
 * call handlers.
 *
 * A turn that prepared sends does not wait: the enter that submits them returns at once and the
 * next turn settles them. So nothing is unsettled while a shard sleeps, and an idle shard holds no
 * output buffer.
 *
 * Going to sleep: announce, fence, look at the rings once more, wait in the kernel until a
 * completion, a peer's message or the next timer. Without timers there is no timeout: an idle
 * broker does nothing.
 *
 * Invariants
 *   I1  sends are settled only when the completion queue is empty and has not overflowed
 *       (conn_send.c, I3)
 *   I2  a shard waits only with an empty list of unsettled sends and with nothing cut short
 *   I3  receive buffers are back in the ring before every enter
 *   I4  a turn is bounded: each step has a limit or works on what was there when it began
 *
 * Rejected: submitting from handlers (a system call per event), flushing per handler (no
 * coalescing), SQPOLL (a core for the poller), a wake-up per second for housekeeping.
 */
#include "shards/loop.h"

#include "base/log.h"
#include "shards/bufring.h"
#include "shards/conn_filter.h"
#include "shards/control.h"
#include "shards/http_client.h"
#include "shards/listener.h"
#include "shards/machine_priv.h"
#include "shards/op.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

#define WALL_CLOCK_EVERY_MS 1000u

typedef void op_handler(struct shard *shard, const struct completion *completion);

static op_handler *const handlers[OP_COUNT][2] = {
#define OP(name, done, failed) [OP_##name] = {done, failed},
#include "shards/ops.def"
#undef OP
};

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec time;

    clock_gettime(clock, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

uint64_t loop_clock_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

void loop_read_clock(struct shard *shard)
{
    shard->now_ns = clock_ns(CLOCK_MONOTONIC);
    shard->now_ms = shard->now_ns / 1000000u;
    if (UNLIKELY(shard->now_ms - shard->wall_read_ms >= WALL_CLOCK_EVERY_MS)) {
        shard->wall_read_ms = shard->now_ms;
        shard->wall_offset_ms =
            (int64_t)(clock_ns(CLOCK_REALTIME) / 1000000u) - (int64_t)shard->now_ms;
    }
    shard->wall_ms = (uint64_t)((int64_t)shard->now_ms + shard->wall_offset_ms);
}

void loop_ignore(struct shard *shard, const struct completion *completion)
{
    (void)shard;
    (void)completion;
}

void loop_wake_peer(void *argument, unsigned peer)
{
    struct shard *shard = argument;
    const struct shard *to = shard->machine->shards[peer];
    const uint64_t one = 1;

    if (LIKELY(shard->machine->features.wake_by_ring))
        uring_wake(shard->ring, uring_descriptor(to->ring), op_pack(OP_WAKE, 0, 0),
                   op_pack(OP_WAKE_PEER, peer, 0));
    else if (write(to->event_fd, &one, sizeof(one)) != sizeof(one))
        LOG_ERROR("shard %u cannot be woken: errno %d", peer, errno);
}

void loop_wake_failed(struct shard *shard, const struct completion *completion)
{
    if (completion->res == -EOVERFLOW)
        return; /* its completion queue is full: it is not asleep */
    loop_wake_peer(shard, op_slot(completion->user_data));
}

void loop_arm_event(struct shard *shard)
{
    uring_read(shard->ring, shard->event_fd, &shard->event_value, sizeof(shard->event_value),
               op_pack(OP_EVENT, 0, 0));
}

void loop_event_done(struct shard *shard, const struct completion *completion)
{
    (void)completion;
    loop_arm_event(shard);
}

void loop_event_failed(struct shard *shard, const struct completion *completion)
{
    if (completion->res != -ECANCELED)
        loop_arm_event(shard);
}

static void on_entry(void *argument, unsigned from, const struct mesh_entry *entry)
{
    struct shard *shard = argument;

    if (LIKELY(entry->kind < MESH_HANDOFF && entry->kind != MESH_NONE))
        broker_receive(shard->broker, from, entry);
    else
        shard_machine_entry(shard, from, entry);
}

static void enter(struct shard *shard, bool wait, uint64_t timeout_ns)
{
    int error;

    if (shard->buffers != NULL)
        bufring_publish(shard->buffers); /* I3 */
    error = uring_enter(shard->ring, wait, timeout_ns, wait ? shard->limits->batch_wait_us : 0);
    /* busy or short of memory for a moment: the next turn submits what was left */
    if (error != 0 && error != -EAGAIN && error != -EBUSY && error != -ENOMEM)
        panic(__FILE__, __LINE__, "io_uring_enter: %s", strerror(-error));
}

/* Handles every completion in the queue; returns how many. */
static uint32_t handle_ready(struct shard *shard)
{
    struct completion batch[COMPLETIONS_AT_ONCE];
    uint32_t count, total = 0;

    while ((count = uring_reap(shard->ring, batch, COMPLETIONS_AT_ONCE)) != 0) {
        for (uint32_t i = 0; i < count; i++) {
            enum op op = op_of(batch[i].user_data);

            ASSERT(op < OP_COUNT);
            handlers[op][batch[i].res < 0](shard, &batch[i]);
        }
        total += count;
    }
    return total;
}

static uint32_t reap(struct shard *shard)
{
    uint32_t total = handle_ready(shard), came = 1;

    /* the kernel may leave its flag standing when nothing is left, so an enter that brings nothing
     * ends it */
    while (came != 0 && total < shard->limits->completion_batch && uring_more(shard->ring)) {
        enter(shard, false, 0);
        came = handle_ready(shard);
        total += came;
    }
    if (shard->sends.count != 0 && !uring_overflowed(shard->ring)) /* I1 */
        conn_settle_sends(shard);
    return total;
}

/* Busy polling: looks at shared memory until there is something to do. False when there was nothing
 * for long enough. */
static bool spin(struct shard *shard)
{
    uint64_t until = shard->last_work_ns + (uint64_t)shard->limits->busy_poll_us * 1000u;

    if (uring_pending(shard->ring) != 0)
        enter(shard, false, 0);
    for (;;) {
        for (unsigned i = 0; i < 64; i++) {
            if (uring_ready(shard->ring) || uring_more(shard->ring) ||
                mesh_has_work(&shard->mesh) || inbox_ready(&shard->inbox))
                return true;
            __builtin_ia32_pause();
        }
        if (clock_ns(CLOCK_MONOTONIC) >= until)
            return false;
    }
}

/* The turn, as far as it was work and not waiting, is over. */
static void turn_over(struct shard *shard, uint64_t now_ns)
{
    uint64_t took_ns = now_ns - shard->turn_began_ns;
    uint64_t us = (shard->busy_rest_ns + took_ns) / 1000u;

    STAT_TOOK(shard->stats, loop_turn, took_ns, 1);
    STAT_ADD(shard->stats, loop_busy_us, us);
    shard->busy_rest_ns += took_ns - us * 1000u;
    shard->turn_began_ns = 0;
}

static void sleep_until_needed(struct shard *shard)
{
    uint64_t deadline = timers_next(&shard->timers);
    uint64_t brokers = broker_next_deadline(shard->broker);
    uint64_t timeout_ns = URING_NO_TIMEOUT, now;

    if (brokers < deadline)
        deadline = brokers;
    if (deadline <= shard->now_ms) {
        enter(shard, false, 0);
        return;
    }
    if (shard->limits->busy_poll_us != 0) {
        turn_over(shard, clock_ns(CLOCK_MONOTONIC)); /* looking for work is waiting */
        if (spin(shard))
            return;
    }
    if (!mesh_announce_sleep(&shard->mesh)) {
        enter(shard, false, 0);
        return;
    }
    if (UNLIKELY(inbox_ready(&shard->inbox))) { /* it was not when the turn began */
        mesh_awake(&shard->mesh);
        enter(shard, false, 0);
        return;
    }
    now = clock_ns(CLOCK_MONOTONIC);
    if (deadline != TIMER_NEVER)
        timeout_ns = deadline * 1000000u > now ? deadline * 1000000u - now : 0;
    if (shard->turn_began_ns != 0)
        turn_over(shard, now);
    STAT_INC(shard->stats, loop_sleeps);
    shard_beat(shard, true);
    enter(shard, true, timeout_ns);
    mesh_awake(&shard->mesh);
}

static void turn(struct shard *shard)
{
    const struct shard_limits *limits = shard->limits;
    uint32_t work;
    bool more;

    loop_read_clock(shard);
    if (shard->turn_began_ns != 0)
        turn_over(shard, shard->now_ns);
    shard->turn_began_ns = shard->now_ns;
    shard_beat(shard, false);
    STAT_INC(shard->stats, loop_turns);
    broker_set_clock(shard->broker, shard->now_ns, shard->wall_ms);

    work = mesh_drain(&shard->mesh, limits->mesh_batch, on_entry, shard);
    if (UNLIKELY(inbox_ready(&shard->inbox)))
        work += inbox_run(&shard->inbox, shard->broker);
    shard->conns.handshake_ns = 0;
    if (UNLIKELY(shard->conns.shaking.count != 0))
        work += conn_filter_resume(shard);
    work += reap(shard);
    if (UNLIKELY(shard->conns.paused.count != 0))
        work += conn_resume_paused(shard);
    work += timers_run(&shard->timers, shard->now_ms, limits->timer_batch);
    work += broker_run_timers(shard->broker, limits->timer_batch);
    more = broker_run_batches(shard->broker);
    if (UNLIKELY(shard->conns.starved.count != 0))
        conn_feed_starved(shard);
    more |= conn_flush_all(shard);
    if (shard->end_of_turn != NULL)
        shard->end_of_turn(shard);
    mesh_flush(&shard->mesh);
    if (UNLIKELY(shard->conns.paused.count != 0 &&
                 shard->mesh_relieved_seen != shard->mesh.relieved)) {
        shard->mesh_relieved_seen = shard->mesh.relieved;
        more = true; /* those who waited for a peer can go on */
    }
    if (work != 0)
        shard->last_work_ns = shard->now_ns;

    if (more || shard->sends.count != 0 || shard->conns.again.count != 0 || /* I2 */
        shard->conns.shaking.count != 0 || shard->phase == SHARD_ENDED)
        enter(shard, false, 0);
    else
        sleep_until_needed(shard);
}

void loop_run(struct shard *shard)
{
    loop_read_clock(shard);
    while (shard->phase != SHARD_ENDED)
        turn(shard);
}
