/* SPDX-License-Identifier: MIT
 *
 * driver - the loop of one thread of clients, on the shards' io_uring code.
 *
 *   flush      one send per client with output (client_flush() in client_io.c)
 *   enter      submits everything in one system call; waits if nothing is left to do
 *   reap       completions: connected, bytes came, bytes went
 *   timers     keep alive, timeouts, reconnections
 *
 * and back to the caller, who may let clients publish and calls driver_turn() again.
 *
 * Received bytes lie in buffers that the kernel takes from one ring as they are needed, so an idle
 * client holds none; what is to be sent lies in blocks of one pool. A client that waits is a few
 * hundred bytes.
 *
 * A completion names its client by slot and generation: one that comes late, for a connection that
 * is gone, is found out. A block that is being sent belongs to the driver until the kernel is done
 * with it, whatever happened to its client.
 *
 * Invariants
 *   D1  only the thread that opened a driver touches it and its clients
 *   D2  a client is in the list of dirty ones exactly while it may have something to send
 *   D3  one send of a connection is under way at a time (two could change places)
 *   D4  `sending` counts the blocks that the kernel has; they are freed before the ring is closed
 */
#ifndef SHARDMQ_DRIVER_DRIVER_H
#define SHARDMQ_DRIVER_DRIVER_H

#include "base/random.h"
#include "base/timer.h"
#include "client/output.h"
#include "shards/uring.h"
#include "transport/transport.h"

struct bufring;
struct client;

/* What the kernel was asked for; the top byte of a request's user data. */
enum driver_op { DRIVER_NOBODY, DRIVER_CONNECT, DRIVER_RECEIVE, DRIVER_SEND };

/* Owner: shard. */
struct driver {
    struct uring *ring;
    struct bufring *buffers;
    struct uring_features features;
    struct timers timers;
    struct client_pool pool;
    struct transport_wire wire; /* scratch of client_io.c; empty between two calls */
    struct client **slots;      /* by slot; NULL: free */
    uint32_t slot_count, slot_capacity, slot_free, slots_used;
    struct list dirty, starved;
    struct random random;
    uint64_t now_ns, now_ms; /* CLOCK_MONOTONIC, read once a turn and after waiting */
    uint32_t sending;        /* blocks in the kernel (D4) */
    uint64_t received_bytes, sent_bytes;
};

/* Opens a loop for about `clients` clients, on the calling thread. False, with a sentence about what is
 * wrong and what to do about it, when the system refuses io_uring or buffers. */
bool driver_open(struct driver *driver, uint32_t clients, char *error, size_t error_size);
/* After all clients were given back with client_fini(). */
void driver_close(struct driver *driver);

/* The same in two steps, for threads whose clients are made before they start: the ring belongs to the
 * thread that calls driver_start(), which has to call driver_stop() as well, after all clients are CLOSED.
 * Clients may be made and given back by anyone outside these two. */
void driver_init(struct driver *driver, uint32_t clients);
bool driver_start(struct driver *driver, char *error, size_t error_size);
/* Harmless when it was not started. */
void driver_stop(struct driver *driver);
void driver_fini(struct driver *driver);

/* One turn. Waits for something to happen, at most until wake_ns of CLOCK_MONOTONIC (UINT64_MAX: for as
 * long as it takes; 0 or the past: not at all). */
void driver_turn(struct driver *driver, uint64_t wake_ns);

/* Ends a wait of driver_turn(), once, when `fd` can be read: a signalfd, a pipe. */
void driver_watch(struct driver *driver, int fd);

/* The clock now; driver->now_ns is that of the last turn. */
uint64_t driver_clock_ns(void);

#endif
