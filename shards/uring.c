/* SPDX-License-Identifier: MIT */
#include "shards/uring.h"

#include "base/check.h"
#include "base/mem.h"
#include "shards/uring_priv.h"

#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

/* Constants of kernels newer than the header of Debian 12; used only when the probe finds the
 * feature. */
#ifndef IORING_FEAT_RECVSEND_BUNDLE
#define IORING_FEAT_RECVSEND_BUNDLE (1U << 14)
#endif
#ifndef IORING_FEAT_MIN_TIMEOUT
#define IORING_FEAT_MIN_TIMEOUT (1U << 15)
#endif
#ifndef IORING_RECVSEND_BUNDLE
#define IORING_RECVSEND_BUNDLE (1U << 4)
#endif

_Static_assert(sizeof(struct completion) == sizeof(struct io_uring_cqe), "copied as a whole");
_Static_assert(COMPLETION_BUFFER == IORING_CQE_F_BUFFER, "the kernel's bit");
_Static_assert(COMPLETION_MORE == IORING_CQE_F_MORE, "the kernel's bit");
_Static_assert(IORING_CQE_BUFFER_SHIFT == 16, "completion_buffer() shifts by it");

/* The extended argument of io_uring_enter() with the field that older headers call `pad`. */
struct enter_argument {
    uint64_t signal_mask;
    uint32_t signal_mask_size;
    uint32_t minimum_wait_us;
    uint64_t timeout;
};

_Static_assert(sizeof(struct enter_argument) == sizeof(struct io_uring_getevents_arg),
               "laid out like the kernel's");

static uint32_t setup_flags(const struct uring_features *features)
{
    /* SUBMIT_ALL: one request that fails to be issued must not hold up those behind it.
     * CQSIZE: completions come in larger bursts than submissions (multishot).
     * TASKRUN_FLAG: tells in shared memory that an enter would bring completions: no futile system
     * calls. CLAMP: a size above the kernel's maximum is lowered instead of refused. */
    uint32_t flags = IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE | IORING_SETUP_TASKRUN_FLAG |
                     IORING_SETUP_CLAMP;

    if (features->single_issuer)
        flags |= IORING_SETUP_SINGLE_ISSUER;
    /* Completions are run when the loop asks for them, or else at the next system call, never by
     * interrupting the thread. */
    flags |= features->defer_taskrun ? IORING_SETUP_DEFER_TASKRUN : IORING_SETUP_COOP_TASKRUN;
    return flags;
}

static int setup(struct io_uring *kernel, const struct uring_features *features,
                 uint32_t submissions, uint32_t completions, struct io_uring_params *params)
{
    memset(params, 0, sizeof(*params));
    params->flags = setup_flags(features);
    params->cq_entries = completions;
    return io_uring_queue_init_params(submissions, kernel, params);
}

static int read_sysctl_disabled(void)
{
    FILE *file = fopen("/proc/sys/kernel/io_uring_disabled", "re");
    int value = -1;

    if (file == NULL)
        return -1;
    if (fscanf(file, "%d", &value) != 1)
        value = -1;
    fclose(file);
    return value;
}

static void explain(int error, char *why, size_t size)
{
    int disabled = read_sysctl_disabled();
    struct rlimit memlock = {0};

    switch (error) {
    case EPERM:
    case ENOSYS:
        if (disabled > 0)
            snprintf(why, size,
                     "io_uring is switched off by the system: kernel.io_uring_disabled is %d. "
                     "Allow it with `sysctl kernel.io_uring_disabled=0`%s.",
                     disabled,
                     disabled == 1 ? ", or add this user to the group kernel.io_uring_group" : "");
        else if (error == EPERM)
            snprintf(
                why, size,
                "io_uring is forbidden to this process, most likely by the seccomp profile of a "
                "container. With Docker: `docker run --security-opt seccomp=unconfined ...`, or a "
                "profile that allows io_uring_setup, io_uring_enter and io_uring_register.");
        else
            snprintf(why, size,
                     "this kernel has no io_uring, or a seccomp profile hides it (with Docker: "
                     "`docker run --security-opt seccomp=unconfined ...`). Linux 5.19 or newer is "
                     "needed, "
                     "6.1 or newer is recommended.");
        break;
    case ENOMEM:
        getrlimit(RLIMIT_MEMLOCK, &memlock);
        snprintf(why, size,
                 "no memory for an io_uring: the limit of locked memory is %llu KiB. Raise it with "
                 "`ulimit -l`, or LimitMEMLOCK= of the systemd unit, or lower shards.count and "
                 "ring_entries.",
                 (unsigned long long)memlock.rlim_cur / 1024);
        break;
    case EMFILE:
    case ENFILE:
        snprintf(why, size, "no descriptor left for an io_uring: raise `ulimit -n`.");
        break;
    case EINVAL:
        snprintf(
            why, size,
            "this kernel's io_uring is too old: Linux 5.19 or newer is needed, 6.1 or newer is "
            "recommended.");
        break;
    default:
        snprintf(why, size, "io_uring cannot be set up: %s.", strerror(error));
    }
}

static void probe_operations(struct io_uring *kernel, struct uring_features *features)
{
    struct io_uring_probe *probe = io_uring_get_probe_ring(kernel);

    if (probe == NULL)
        return;
    features->wake_by_ring = io_uring_opcode_supported(probe, IORING_OP_MSG_RING);
    /* multishot receive came with the release that brought SEND_ZC, and has no bit of its own */
    features->receive_multishot = io_uring_opcode_supported(probe, IORING_OP_SEND_ZC);
    io_uring_free_probe(probe);
}

int uring_probe(struct uring_features *features, char *why, size_t size)
{
    /* best first; the first that the kernel accepts is used for all rings */
    static const struct uring_features variants[] = {
        {.single_issuer = true, .defer_taskrun = true},
        {.single_issuer = true},
        {0},
    };
    int error = -EINVAL;

    for (unsigned i = 0; i < ARRAY_LENGTH(variants) && error == -EINVAL; i++) {
        struct io_uring kernel;
        struct io_uring_params params;

        error = setup(&kernel, &variants[i], 8, 16, &params);
        if (error != 0)
            continue;
        *features = variants[i];
        features->receive_bundle = (params.features & IORING_FEAT_RECVSEND_BUNDLE) != 0;
        features->minimum_wait = (params.features & IORING_FEAT_MIN_TIMEOUT) != 0;
        probe_operations(&kernel, features);
        io_uring_queue_exit(&kernel);
    }
    if (error != 0)
        explain(-error, why, size);
    return error;
}

void uring_describe(const struct uring_features *features, char *to, size_t size)
{
    snprintf(to, size,
             "io_uring: %s, single issuer %s, multishot receive %s, bundles %s, minimum wait %s, "
             "wake by %s",
             features->defer_taskrun ? "deferred task work" : "cooperative task work",
             features->single_issuer ? "yes" : "no", features->receive_multishot ? "yes" : "no",
             features->receive_bundle ? "yes" : "no", features->minimum_wait ? "yes" : "no",
             features->wake_by_ring ? "ring message" : "eventfd");
}

struct uring *uring_open(const struct uring_features *features, uint32_t submissions,
                         uint32_t completions, char *why, size_t size)
{
    struct uring *ring = mem_zalloc_aligned(sizeof(*ring));
    struct io_uring_params params;
    int error = setup(&ring->kernel, features, submissions, completions, &params);

    if (error != 0) {
        explain(-error, why, size);
        mem_free(ring);
        return NULL;
    }
    ring->bundle = features->receive_bundle;
    ring->minimum_wait = features->minimum_wait;
    /* a registered ring descriptor saves the lookup in every enter; without it all works as well */
    ring->enter_flags = IORING_ENTER_GETEVENTS;
    if (io_uring_register_ring_fd(&ring->kernel) == 1)
        ring->enter_flags |= IORING_ENTER_REGISTERED_RING;
    /* requests are submitted in the order of the queue: the index array stays the identity */
    if (ring->kernel.sq.array != NULL)
        for (uint32_t i = 0; i < params.sq_entries; i++)
            ring->kernel.sq.array[i] = i;
    ring->cq_mask = params.cq_entries - 1;
    return ring;
}

void uring_close(struct uring *ring)
{
    io_uring_queue_exit(&ring->kernel);
    mem_free(ring);
}

int uring_descriptor(const struct uring *ring)
{
    return ring->kernel.ring_fd;
}

size_t uring_memory(uint32_t submissions, uint32_t completions)
{
    return (size_t)submissions * (sizeof(struct io_uring_sqe) + sizeof(uint32_t)) +
           (size_t)completions * sizeof(struct io_uring_cqe);
}

static struct io_uring_sqe *request(struct uring *ring)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->kernel);

    for (unsigned attempt = 0; UNLIKELY(sqe == NULL); attempt++) {
        int error = uring_enter(ring, false, URING_NO_TIMEOUT, 0);

        /* the kernel may refuse for a moment (EBUSY, EAGAIN), not for ever */
        if (attempt > 1000000)
            panic(__FILE__, __LINE__, "io_uring takes no requests: %s", strerror(-error));
        sqe = io_uring_get_sqe(&ring->kernel);
    }
    return sqe;
}

void uring_accept(struct uring *ring, int fd, uint64_t user_data)
{
    struct io_uring_sqe *sqe = request(ring);

    io_uring_prep_multishot_accept(sqe, fd, NULL, NULL, SOCK_CLOEXEC);
    io_uring_sqe_set_data64(sqe, user_data);
}

void uring_accept_one(struct uring *ring, int fd, uint64_t user_data)
{
    struct io_uring_sqe *sqe = request(ring);

    io_uring_prep_accept(sqe, fd, NULL, NULL, SOCK_CLOEXEC);
    io_uring_sqe_set_data64(sqe, user_data);
}

void uring_poll(struct uring *ring, int fd, uint64_t user_data)
{
    struct io_uring_sqe *sqe = request(ring);

    io_uring_prep_poll_add(sqe, fd, POLLIN);
    io_uring_sqe_set_data64(sqe, user_data);
}

void uring_connect(struct uring *ring, int fd, const struct sockaddr *address, socklen_t len,
                   uint64_t user_data)
{
    struct io_uring_sqe *sqe = request(ring);

    io_uring_prep_connect(sqe, fd, address, len);
    io_uring_sqe_set_data64(sqe, user_data);
}

void uring_receive(struct uring *ring, int fd, bool multishot, bool poll_first, uint64_t user_data)
{
    struct io_uring_sqe *sqe = request(ring);

    io_uring_prep_recv(sqe, fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = URING_BUFFER_GROUP;
    if (multishot) {
        sqe->ioprio |= IORING_RECV_MULTISHOT;
        if (ring->bundle)
            sqe->ioprio |= IORING_RECVSEND_BUNDLE;
    }
    if (poll_first)
        sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
    io_uring_sqe_set_data64(sqe, user_data);
}

void uring_read(struct uring *ring, int fd, void *to, uint32_t size, uint64_t user_data)
{
    struct io_uring_sqe *sqe = request(ring);

    io_uring_prep_read(sqe, fd, to, size, 0);
    io_uring_sqe_set_data64(sqe, user_data);
}

void uring_receive_into(struct uring *ring, int fd, void *to, uint32_t size, uint64_t user_data)
{
    struct io_uring_sqe *sqe = request(ring);

    io_uring_prep_recv(sqe, fd, to, size, 0);
    io_uring_sqe_set_data64(sqe, user_data);
}

/* MSG_WAITALL makes the kernel go on, or report, after a short write; without it a fire-and-forget
 * send would lose bytes silently. */
static int send_flags(bool wait)
{
    return MSG_NOSIGNAL | MSG_WAITALL | (wait ? 0 : MSG_DONTWAIT);
}

void uring_send(struct uring *ring, int fd, const void *data, uint32_t len, bool wait,
                uint64_t user_data)
{
    struct io_uring_sqe *sqe = request(ring);

    io_uring_prep_send(sqe, fd, data, len, send_flags(wait));
    if (!wait)
        sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data64(sqe, user_data);
}

void uring_send_message(struct uring *ring, int fd, const struct msghdr *message, bool wait,
                        uint64_t user_data)
{
    struct io_uring_sqe *sqe = request(ring);

    io_uring_prep_sendmsg(sqe, fd, message, (unsigned)send_flags(wait));
    if (!wait)
        sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data64(sqe, user_data);
}

void uring_cancel(struct uring *ring, uint64_t target)
{
    struct io_uring_sqe *sqe = request(ring);

    io_uring_prep_cancel64(sqe, target, 0);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data64(sqe, URING_NOBODY);
}

void uring_close_descriptor(struct uring *ring, int fd)
{
    struct io_uring_sqe *sqe = request(ring);

    io_uring_prep_close(sqe, fd);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data64(sqe, URING_NOBODY);
}

void uring_wake(struct uring *ring, int ring_fd, uint64_t user_data, uint64_t failed)
{
    struct io_uring_sqe *sqe = request(ring);

    io_uring_prep_msg_ring(sqe, ring_fd, 0, user_data, 0);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data64(sqe, failed);
}

uint32_t uring_position(const struct uring *ring)
{
    return ring->kernel.sq.sqe_tail;
}

uint32_t uring_consumed(const struct uring *ring)
{
    return __atomic_load_n(ring->kernel.sq.khead, __ATOMIC_ACQUIRE);
}

uint32_t uring_pending(const struct uring *ring)
{
    return uring_position(ring) - uring_consumed(ring);
}

int uring_enter(struct uring *ring, bool wait, uint64_t timeout_ns, uint32_t minimum_us)
{
    struct io_uring_sq *sq = &ring->kernel.sq;
    struct __kernel_timespec timeout;
    struct enter_argument argument = {.signal_mask_size = _NSIG / 8};
    uint32_t pending, flags = ring->enter_flags;
    void *extra = NULL;
    int result;

    __atomic_store_n(sq->ktail, sq->sqe_tail, __ATOMIC_RELEASE);
    sq->sqe_head = sq->sqe_tail;
    pending = uring_pending(ring);
    if (wait && (timeout_ns != URING_NO_TIMEOUT || minimum_us != 0)) {
        if (timeout_ns != URING_NO_TIMEOUT) {
            timeout.tv_sec = (int64_t)(timeout_ns / 1000000000u);
            timeout.tv_nsec = (int64_t)(timeout_ns % 1000000000u);
            argument.timeout = (uint64_t)(uintptr_t)&timeout;
        }
        argument.minimum_wait_us = ring->minimum_wait ? minimum_us : 0;
        flags |= IORING_ENTER_EXT_ARG;
        extra = &argument;
    }
    /* with a minimum wait the kernel collects up to wait_count completions until that time is over,
     * then returns with what there is */
    result = io_uring_enter2((unsigned)ring->kernel.enter_ring_fd, pending,
                             wait ? (argument.minimum_wait_us != 0 ? URING_COLLECT : 1) : 0, flags,
                             extra, extra == NULL ? 0 : sizeof(argument));
    if (result >= 0 || result == -ETIME || result == -EINTR)
        return 0;
    return result;
}

uint32_t uring_reap(struct uring *ring, struct completion *to, uint32_t limit)
{
    struct io_uring_cq *cq = &ring->kernel.cq;
    uint32_t head = *cq->khead;
    uint32_t count = __atomic_load_n(cq->ktail, __ATOMIC_ACQUIRE) - head;

    if (count > limit)
        count = limit;
    for (uint32_t i = 0; i < count; i++)
        memcpy(&to[i], &cq->cqes[(head + i) & ring->cq_mask], sizeof(*to));
    if (count != 0)
        __atomic_store_n(cq->khead, head + count, __ATOMIC_RELEASE);
    return count;
}

bool uring_more(const struct uring *ring)
{
    return (__atomic_load_n(ring->kernel.sq.kflags, __ATOMIC_RELAXED) &
            (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
}

bool uring_ready(const struct uring *ring)
{
    return __atomic_load_n(ring->kernel.cq.ktail, __ATOMIC_ACQUIRE) != *ring->kernel.cq.khead;
}

bool uring_overflowed(const struct uring *ring)
{
    return (__atomic_load_n(ring->kernel.sq.kflags, __ATOMIC_RELAXED) & IORING_SQ_CQ_OVERFLOW) != 0;
}
