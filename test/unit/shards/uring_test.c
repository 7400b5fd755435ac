/* SPDX-License-Identifier: MIT
 *
 * The ring on this kernel: what a send that is silent on success says when it does not succeed,
 * wakes between rings, and the words for people whose kernel refuses.
 */
#include "shards/uring.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <unistd.h>

static struct uring_features features;

static struct uring *open_ring(void)
{
    char why[768] = "";
    struct uring *ring = uring_open(&features, 8, 32, why, sizeof(why));

    if (ring == NULL)
        fail_msg("%s", why);
    return ring;
}

static int open_features(void **state)
{
    char why[768] = "";

    (void)state;
    if (uring_probe(&features, why, sizeof(why)) != 0) {
        print_message("%s\n", why);
        return -1;
    }
    return 0;
}

static void a_send_that_fits_is_silent(void **state)
{
    struct uring *ring = open_ring();
    struct completion completion;
    char bytes[8];
    int fds[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    uring_send(ring, fds[0], "hello", 5, false, 7);
    assert_int_equal(uring_pending(ring), 1);
    assert_int_equal(uring_enter(ring, false, URING_NO_TIMEOUT, 0), 0);
    assert_int_equal(uring_pending(ring), 0);
    assert_int_equal(uring_consumed(ring), uring_position(ring));
    assert_int_equal(uring_reap(ring, &completion, 1), 0);
    assert_int_equal(read(fds[1], bytes, sizeof(bytes)), 5);
    close(fds[0]);
    close(fds[1]);
    uring_close(ring);
}

/* Silence means that all bytes are there; whatever does not fit is reported. */
static void a_send_that_does_not_fit_says_how_much_did(void **state)
{
    static char block[100000];
    struct uring *ring = open_ring();
    struct completion completion;
    uint64_t believed = 0, received = 0;
    bool partial = false, refused = false;
    int fds[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    for (unsigned i = 0; i < 1000 && !refused; i++) {
        struct iovec vectors[2] = {{block, 50000}, {block, 50000}};
        struct msghdr header = {.msg_iov = vectors, .msg_iovlen = 2};

        if (i % 2 == 0)
            uring_send(ring, fds[0], block, sizeof(block), false, i);
        else
            uring_send_message(ring, fds[0], &header, false, i);
        assert_int_equal(uring_enter(ring, false, URING_NO_TIMEOUT, 0), 0);
        if (uring_reap(ring, &completion, 1) == 0) {
            believed += sizeof(block);
            continue;
        }
        assert_int_equal(completion.user_data, i);
        if (completion.res == -EAGAIN) {
            refused = true;
        } else {
            assert_in_range(completion.res, 1, sizeof(block) - 1);
            partial = true;
            believed += (uint64_t)completion.res;
        }
    }
    assert_true(refused);
    fcntl(fds[1], F_SETFL, O_NONBLOCK);
    for (ssize_t got; (got = read(fds[1], block, sizeof(block))) > 0;)
        received += (uint64_t)got;
    assert_int_equal(received, believed);
    (void)partial; /* a UNIX socket may take whole blocks only */
    close(fds[0]);
    close(fds[1]);
    uring_close(ring);
}

static void a_waiting_send_completes_when_there_is_room(void **state)
{
    static char block[1 << 20];
    struct uring *ring = open_ring();
    struct completion completion;
    size_t received = 0;
    int fds[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    fcntl(fds[1], F_SETFL, O_NONBLOCK);
    uring_send(ring, fds[0], block, sizeof(block), true, 5);
    assert_int_equal(uring_enter(ring, false, URING_NO_TIMEOUT, 0), 0);
    assert_int_equal(uring_reap(ring, &completion, 1), 0);
    while (received < sizeof(block)) {
        ssize_t got = read(fds[1], block, sizeof(block));

        if (got > 0)
            received += (size_t)got;
        else
            uring_enter(ring, false, URING_NO_TIMEOUT, 0);
    }
    assert_int_equal(uring_enter(ring, true, 5000000000u, 0), 0);
    assert_int_equal(uring_reap(ring, &completion, 1), 1);
    assert_int_equal(completion.user_data, 5);
    assert_int_equal(completion.res, sizeof(block));
    close(fds[0]);
    close(fds[1]);
    uring_close(ring);
}

static void more_requests_than_entries_are_submitted_on_the_way(void **state)
{
    struct uring *ring = open_ring();
    char byte;
    int fds[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    for (unsigned i = 0; i < 50; i++)
        uring_send(ring, fds[0], "x", 1, false, i);
    assert_true(uring_pending(ring) <= 8);
    assert_int_equal(uring_enter(ring, false, URING_NO_TIMEOUT, 0), 0);
    for (unsigned i = 0; i < 50; i++)
        assert_int_equal(read(fds[1], &byte, 1), 1);
    close(fds[0]);
    close(fds[1]);
    uring_close(ring);
}

static void one_ring_wakes_another(void **state)
{
    struct uring *from = open_ring(), *to = open_ring();
    struct completion completion;

    (void)state;
    if (!features.wake_by_ring) {
        uring_close(from);
        uring_close(to);
        skip();
    }
    uring_wake(from, uring_descriptor(to), 77, 88);
    assert_int_equal(uring_enter(from, false, URING_NO_TIMEOUT, 0), 0);
    assert_int_equal(uring_enter(to, true, 5000000000u, 0), 0);
    assert_int_equal(uring_reap(to, &completion, 1), 1);
    assert_int_equal(completion.user_data, 77);
    assert_int_equal(uring_reap(from, &completion, 1), 0); /* success is silent */
    uring_wake(from, 0, 77, 88);                           /* no ring at all */
    assert_int_equal(uring_enter(from, false, URING_NO_TIMEOUT, 0), 0);
    assert_int_equal(uring_reap(from, &completion, 1), 1);
    assert_int_equal(completion.user_data, 88);
    assert_true(completion.res < 0);
    uring_close(from);
    uring_close(to);
}

static void waiting_ends_with_the_timeout(void **state)
{
    struct uring *ring = open_ring();
    struct completion completion;

    (void)state;
    assert_int_equal(uring_enter(ring, true, 1000000, 0), 0);
    assert_int_equal(uring_enter(ring, true, 1000000, 500), 0);
    assert_int_equal(uring_reap(ring, &completion, 1), 0);
    uring_close(ring);
}

static void a_refusal_says_what_to_do(void **state)
{
    char why[768];

    (void)state;
    explain(EPERM, why, sizeof(why));
    assert_true(strstr(why, "--security-opt seccomp=") != NULL ||
                strstr(why, "kernel.io_uring_disabled") != NULL);
    explain(ENOSYS, why, sizeof(why));
    assert_true(strstr(why, "5.19") != NULL || strstr(why, "kernel.io_uring_disabled") != NULL);
    explain(ENOMEM, why, sizeof(why));
    assert_non_null(strstr(why, "ulimit -l"));
    explain(EMFILE, why, sizeof(why));
    assert_non_null(strstr(why, "ulimit -n"));
    explain(EINVAL, why, sizeof(why));
    assert_non_null(strstr(why, "5.19"));
    explain(EIO, why, sizeof(why));
    assert_non_null(strstr(why, strerror(EIO)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_send_that_fits_is_silent),
        cmocka_unit_test(a_send_that_does_not_fit_says_how_much_did),
        cmocka_unit_test(a_waiting_send_completes_when_there_is_room),
        cmocka_unit_test(more_requests_than_entries_are_submitted_on_the_way),
        cmocka_unit_test(one_ring_wakes_another),
        cmocka_unit_test(waiting_ends_with_the_timeout),
        cmocka_unit_test(a_refusal_says_what_to_do),
    };

    return cmocka_run_group_tests(tests, open_features, NULL);
}
