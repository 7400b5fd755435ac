/* SPDX-License-Identifier: MIT
 *
 * uring - the io_uring of one thread. With bufring.c the only file that includes liburing.
 *
 * Requests are prepared one by one (uring_receive() and so on) and go to the kernel together with
 * uring_enter(). When the submission queue is full a request submits what is there first.
 *
 * Invariants
 *   I1  only the thread that opened the ring touches it
 *   I2  everything a request points at stays as it is until the request completed; message headers
 *       and their vectors only until the enter that consumed the request (the kernel copies them:
 *       FEAT_SUBMIT_STABLE)
 *   I3  a send prepared with uring_send*(wait = false) completes visibly only if something went
 *       wrong; after an enter that consumed it (uring_consumed()) and after all completions that
 *       were posted until then were reaped, silence means that every byte is in the socket
 */
#ifndef SHARDMQ_SHARDS_URING_H
#define SHARDMQ_SHARDS_URING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct uring;

struct completion {
    uint64_t user_data;
    int32_t res; /* result, or negative errno */
    uint32_t flags;
};

#define COMPLETION_BUFFER 1u /* completion.flags: a provided buffer was used */
#define COMPLETION_MORE   2u /* the request stays armed */

static inline uint16_t completion_buffer(const struct completion *completion)
{
    return (uint16_t)(completion->flags >> 16);
}

/* What the running kernel can do, found by trying, not by its version. */
struct uring_features {
    bool defer_taskrun;     /* 6.1; else COOP_TASKRUN */
    bool single_issuer;     /* 6.0 */
    bool receive_multishot; /* 6.0 */
    bool receive_bundle;    /* 6.10 */
    bool minimum_wait;      /* 6.12 */
    bool wake_by_ring;      /* 5.18 */
};

/* Finds out what works, without leaving anything behind. Returns 0, or -errno and an explanation
 * for people with what to do about it. */
int uring_probe(struct uring_features *features, char *why, size_t size);

/* One line about the features, for the debug log. */
void uring_describe(const struct uring_features *features, char *to, size_t size);

/* A ring with room for `submissions` requests and `completions` results, both powers of two. NULL
 * and `why` when the kernel refuses. */
struct uring *uring_open(const struct uring_features *features, uint32_t submissions,
                         uint32_t completions, char *why, size_t size);
void uring_close(struct uring *ring);
int uring_descriptor(const struct uring *ring);
/* The kernel's memory for such a ring, in bytes. */
size_t uring_memory(uint32_t submissions, uint32_t completions);

/* The user data of requests whose end nobody looks at, and of their failures. */
#define URING_NOBODY 0u

/* Requests. */
void uring_accept(struct uring *ring, int fd, uint64_t user_data); /* until cancelled or failed */
void uring_accept_one(struct uring *ring, int fd, uint64_t user_data);
void uring_poll(struct uring *ring, int fd, uint64_t user_data); /* until it can be read, once */
void uring_connect(struct uring *ring, int fd, const struct sockaddr *address, socklen_t len,
                   uint64_t user_data);
/* Into a buffer of the ring's buffer group 0. `poll_first`: nothing is expected to be there yet. */
void uring_receive(struct uring *ring, int fd, bool multishot, bool poll_first, uint64_t user_data);
void uring_read(struct uring *ring, int fd, void *to, uint32_t size, uint64_t user_data);
void uring_receive_into(struct uring *ring, int fd, void *to, uint32_t size, uint64_t user_data);
/* All of it or as much as fits. wait false: never waits, completes only when something was left
 * over (I3). */
void uring_send(struct uring *ring, int fd, const void *data, uint32_t len, bool wait,
                uint64_t user_data);
void uring_send_message(struct uring *ring, int fd, const struct msghdr *message, bool wait,
                        uint64_t user_data);
/* Cancels the request with that user data. */
void uring_cancel(struct uring *ring, uint64_t target);
void uring_close_descriptor(struct uring *ring, int fd);
/* Posts a completion with `user_data` to another ring; failure completes here with `failed`. */
void uring_wake(struct uring *ring, int ring_fd, uint64_t user_data, uint64_t failed);

/* The position of the next request; compare with uring_consumed() as a difference. */
uint32_t uring_position(const struct uring *ring);
/* Requests before this position were taken by the kernel. */
uint32_t uring_consumed(const struct uring *ring);
uint32_t uring_pending(const struct uring *ring);

#define URING_NO_TIMEOUT UINT64_MAX

/* Submits everything and runs completions. wait: until at least one is there, at most timeout_ns;
 * minimum_us: with features.minimum_wait collects for that long before it returns with what came. 0
 * or -errno of io_uring_enter; an elapsed timeout and a signal are no errors. */
int uring_enter(struct uring *ring, bool wait, uint64_t timeout_ns, uint32_t minimum_us);

/* Copies at most `limit` completions out; returns how many. */
uint32_t uring_reap(struct uring *ring, struct completion *to, uint32_t limit);

/* True when an enter may bring more completions: task work is pending, or the completion queue
 * overflowed. May stay true when there is nothing left: Linux sets its flag again while it runs the
 * work and clears it only when it runs the next. */
bool uring_more(const struct uring *ring);
/* True when completions wait to be reaped. */
bool uring_ready(const struct uring *ring);
/* True while completions wait in the kernel because the queue was full. */
bool uring_overflowed(const struct uring *ring);

#endif
