/* SPDX-License-Identifier: MIT
 *
 * listener - accepting on each shard.
 *
 *   MESH_LISTENERS {set} --listener_apply--> armed --accepted--> door --> conn_open
 *                                              |
 *           its place is not in the set:  cancelled --last completion--> who waits is let in --> closed
 *
 * Accepting is one multishot request per socket, and one after the other for a UNIX socket, which all shards share. A shard has one socket of each place, or more after a restart with fewer
 * shards.
 *
 * When no descriptor is left the request ends with an error. Then the shard gives up a descriptor
 * that it keeps for this case, so that it can accept the waiting connections and close them: they
 * get an answer instead of waiting in the backlog. It accepts again when the next connection waits.
 * (Not before: Linux takes the descriptor before it looks for a connection, so accepting would fail
 * without one.) When even that brings nothing, there is no memory: it tries again a little later.
 *
 * Invariants
 *   I1  an entry is used again when it has no socket and no request of the kernel names it
 *   I2  the door of an entry is there as long as a connection may come with its index
 */
#include "shards/listener.h"

#include "base/log.h"
#include "base/mem.h"
#include "shards/conn_filter.h"
#include "shards/door.h"
#include "shards/listen.h"
#include "shards/machine_priv.h"
#include "shards/op.h"
#include "shards/refusal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RETRY_MS  100u
#define TURN_AWAY 64   /* connections answered at once when there is no descriptor for them */
#define DRAIN_MAX 4096 /* connections let in at once when their listener ends */

static void arm(struct shard *shard, unsigned index)
{
    struct listener *listener = &shard->listeners[index];

    if (listener->armed || listener->ends || listener->fd < 0)
        return;
    listener->armed = true;
    if (listener->door->conf->kind == CONF_LISTENER_UNIX)
        /* then it goes behind the other shards that wait for the same socket: they take it in turn */
        uring_accept_one(shard->ring, listener->fd, op_pack(OP_ACCEPT, index, 0));
    else
        uring_accept(shard->ring, listener->fd, op_pack(OP_ACCEPT, index, 0));
}

static void disarm(struct shard *shard, unsigned index)
{
    if (!shard->listeners[index].armed)
        return;
    uring_cancel(shard->ring, op_pack(OP_ACCEPT, index, 0));
    uring_cancel(shard->ring, op_pack(OP_ACCEPT_AGAIN, index, 0));
}

static void retry_fired(void *owner, struct timer *timer)
{
    struct shard *shard = owner;

    (void)timer;
    for (unsigned i = 0; i < shard->listener_count; i++)
        arm(shard, i);
}

static int open_reserve(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void refuse(struct shard *shard, const struct door *door, int fd)
{
    conn_count_refused(shard, 1);
    door_count_refused(shard, door);
    uring_close_descriptor(shard->ring, fd);
}

static void let_in(struct shard *shard, unsigned index, int fd)
{
    struct door *door = shard->listeners[index].door;
    struct conn_filter *filter = NULL;

    if (door_let_in(shard, door, fd, &filter))
        conn_open(shard, fd, NULL, (struct span){0}, filter, door);
    else
        refuse(shard, door, fd);
}

/* ---- which there are ---- */

/* One who waits, as io_uring would let it in: without the thread sanitizer's notice, which would not see io_uring close the
 * descriptor either, and then report whoever gets its number next. */
static int accept_directly(int listening)
{
    return (int)syscall(SYS_accept4, listening, NULL, NULL, SOCK_CLOEXEC);
}

/* Lets in who waits and closes the socket. */
static void end(struct shard *shard, unsigned index)
{
    int listening = shard->listeners[index].fd;
    unsigned count = 0;
    int fd;

    while (count++ < DRAIN_MAX && (fd = accept_directly(listening)) >= 0)
        let_in(shard, index, fd);
    close(listening); /* at once: who came in between would be reset */
    shard->listeners[index].fd = -1;
    shard->listeners[index].ends = false;
    door_unref(shard->listeners[index].door);
    shard->listeners[index].door = NULL;
}

/* The request that names the entry is over. */
static void request_over(struct shard *shard, unsigned index)
{
    shard->listeners[index].armed = false;
    if (shard->listeners[index].ends)
        end(shard, index);
}

static void begin_to_end(struct shard *shard, unsigned index)
{
    struct listener *listener = &shard->listeners[index];

    if (listener->ends)
        return;
    listener->ends = true;
    if (listener->armed)
        disarm(shard, index);
    else
        end(shard, index);
}

static unsigned free_entry(struct shard *shard)
{
    unsigned index = 0;

    while (index < shard->listener_count &&
           (shard->listeners[index].fd >= 0 || shard->listeners[index].armed)) /* I1 */
        index++;
    if (index == shard->listener_count) {
        shard->listeners = mem_realloc(shard->listeners, (index + 1) * sizeof(*shard->listeners));
        shard->listener_count++;
    } else {
        door_unref(shard->listeners[index].door);
    }
    return index;
}

static void take(struct shard *shard, const struct listener_place *place, unsigned number)
{
    unsigned index = free_entry(shard);

    shard->listeners[index] = (struct listener){.fd = place->sockets[number],
                                                .kept = -1,
                                                .number = number,
                                                .place = place->serial,
                                                .door = door_ref(place->door)};
    place->sockets[number] = -1;
    arm(shard, index);
}

/* The listener goes on with other rules. */
static void change(struct shard *shard, unsigned index, struct door *door)
{
    struct listener *listener = &shard->listeners[index];

    door_unref(listener->door);
    listener->door = door_ref(door);
    if (listen_again(listener->fd, door->conf) != 0)
        LOG_ERROR("the socket options of listeners.%s cannot be set: %s", door->conf->name,
                  strerror(errno));
}

static struct listener_place *find_place(struct listener_set *set, uint64_t serial)
{
    for (unsigned i = 0; i < set->count; i++)
        if (set->places[i].serial == serial)
            return &set->places[i];
    return NULL;
}

/* The shard's first listeners. */
static void begin(struct shard *shard)
{
    shard->reserve_fd = open_reserve();
    timer_init(&shard->accept_retry, retry_fired);
    shard->listening = true;
}

void listener_apply(struct shard *shard, struct listener_set *set)
{
    if (shard->phase != SHARD_SERVING)
        return; /* the set closes what nobody takes */
    if (!shard->listening)
        begin(shard);
    for (unsigned i = 0; i < shard->listener_count; i++) {
        struct listener *listener = &shard->listeners[i];
        const struct listener_place *place =
            listener->fd < 0 ? NULL : find_place(set, listener->place);

        if (listener->fd < 0)
            continue;
        if (place == NULL)
            begin_to_end(shard, i);
        else
            change(shard, i, place->door);
    }
    for (unsigned i = 0; i < set->count; i++)
        for (unsigned n = shard->index - set->first; n < set->places[i].socket_count;
             n += set->shards)
            if (set->places[i].sockets[n] >= 0)
                take(shard, &set->places[i], n);
}

void listener_stop(struct shard *shard)
{
    bool keep = atomic_load_explicit(&shard->machine->keep_listeners, memory_order_relaxed);

    if (!shard->listening)
        return;
    shard->listening = false;
    timer_disarm(&shard->timers, &shard->accept_retry);
    for (unsigned i = 0; i < shard->listener_count; i++) {
        struct listener *listener = &shard->listeners[i];

        if (listener->fd < 0)
            continue;
        disarm(shard, i);
        if (keep && !listener->ends)
            listener->kept = listener->fd; /* connections wait in its backlog */
        else
            uring_close_descriptor(shard->ring, listener->fd);
        listener->fd = -1;
        listener->ends = false;
    }
    if (shard->reserve_fd >= 0)
        close(shard->reserve_fd);
    shard->reserve_fd = -1;
}

void listener_pass(const struct shard *shard)
{
    for (unsigned i = 0; i < shard->listener_count; i++)
        if (shard->listeners[i].kept >= 0)
            listeners_pass(shard->listeners[i].door, shard->listeners[i].number,
                           shard->listeners[i].kept);
}

void listener_free(struct shard *shard)
{
    for (unsigned i = 0; i < shard->listener_count; i++)
        door_unref(shard->listeners[i].door);
    mem_free(shard->listeners);
}

/* ---- completions ---- */

void listener_accepted(struct shard *shard, const struct completion *completion)
{
    unsigned index = op_slot(completion->user_data);

    if (shard->listeners[index].fd >= 0)
        let_in(shard, index, completion->res);
    else /* it came before the listener was stopped */
        refuse(shard, shard->listeners[index].door, completion->res);
    if ((completion->flags & COMPLETION_MORE) == 0)
        request_over(shard, index);
    arm(shard, index);
}

/* Answers the connections in the backlog that there is no descriptor for; returns how many. */
static unsigned turn_away(struct shard *shard, unsigned index, enum stat_id counter,
                          const char *why)
{
    const struct door *door = shard->listeners[index].door;
    unsigned count = 0;

    if (shard->reserve_fd >= 0)
        close(shard->reserve_fd);
    while (count < TURN_AWAY) {
        int fd = accept4(shard->listeners[index].fd, NULL, NULL, SOCK_CLOEXEC);

        if (fd < 0)
            break;
        refusal_of_socket(shard, door, fd, counter, why);
        door_count_refused(shard, door);
        close(fd);
        count++;
    }
    shard->reserve_fd = open_reserve();
    conn_count_refused(shard, count);
    return count;
}

static void out_of_resources(struct shard *shard, unsigned index, int error)
{
    static _Atomic uint64_t logged_second; /* shared by all shards: one line a second */
    uint64_t second = shard->now_ms / 1000;
    bool without_descriptor = error == EMFILE || error == ENFILE;

    if (atomic_exchange_explicit(&logged_second, second, memory_order_relaxed) != second)
        LOG_ERROR("connections are refused: %s. %u are open; the limit of descriptors is %u "
                  "(ulimit -n, LimitNOFILE=)",
                  strerror(error), machine_connections(shard->machine),
                  shard->machine->limits.descriptors);
    if (turn_away(shard, index, without_descriptor ? STAT_refused_descriptors : STAT_refused_limit,
                  without_descriptor ? "there is no descriptor for it (ulimit -n, LimitNOFILE=)"
                                     : "out of memory") != 0) {
        shard->listeners[index].armed = true;
        uring_poll(shard->ring, shard->listeners[index].fd, op_pack(OP_ACCEPT_AGAIN, index, 0));
    } else if (!timer_armed(&shard->accept_retry)) {
        timer_arm(&shard->timers, &shard->accept_retry, shard->now_ms + RETRY_MS);
    }
}

void listener_waiting(struct shard *shard, const struct completion *completion)
{
    unsigned index = op_slot(completion->user_data);

    request_over(shard, index);
    arm(shard, index);
}

void listener_accept_failed(struct shard *shard, const struct completion *completion)
{
    unsigned index = op_slot(completion->user_data);

    if ((completion->flags & COMPLETION_MORE) == 0)
        request_over(shard, index);
    if (shard->listeners[index].fd < 0 || shard->listeners[index].ends)
        return; /* stopped */
    switch (completion->res) {
    case -EMFILE:
    case -ENFILE:
    case -ENOMEM:
    case -ENOBUFS:
        out_of_resources(shard, index, -completion->res);
        break;
    default: /* the peer was gone already, or a signal */
        arm(shard, index);
    }
}
