/* SPDX-License-Identifier: MIT
 *
 * The receive buffers, against a kernel played by the test: it takes buffers in ring order, and
 * reports in any order.
 */
#include <liburing.h>

static int register_nothing(struct io_uring *ring, struct io_uring_buf_reg *registration,
                            unsigned flags);
#define io_uring_register_buf_ring register_nothing
#include "shards/bufring.c"

#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define COUNT 16u
#define SIZE  64u

static int register_result;

static int register_nothing(struct io_uring *ring, struct io_uring_buf_reg *registration,
                            unsigned flags)
{
    (void)ring;
    (void)registration;
    (void)flags;
    return register_result;
}

struct kernel {
    struct bufring *buffers;
    uint16_t head;
};

static struct kernel kernel_open(void)
{
    static struct uring ring;
    char why[256];
    struct kernel kernel = {.buffers = bufring_open(&ring, COUNT, SIZE, why, sizeof(why))};

    assert_non_null(kernel.buffers);
    return kernel;
}

static uint16_t available(const struct kernel *kernel)
{
    return (uint16_t)(kernel->buffers->ring->tail - kernel->head);
}

/* Takes buffers for `bytes` and fills them with a running number; returns the first. */
static uint16_t kernel_take(struct kernel *kernel, uint32_t bytes, uint8_t number)
{
    uint16_t first = kernel->buffers->ring->bufs[kernel->head & (COUNT - 1)].bid;

    while (bytes != 0) {
        const struct io_uring_buf *entry = &kernel->buffers->ring->bufs[kernel->head & (COUNT - 1)];
        uint32_t here = bytes < SIZE ? bytes : SIZE;

        assert_int_not_equal(available(kernel), 0);
        for (uint32_t i = 0; i < here; i++)
            ((uint8_t *)(uintptr_t)entry->addr)[i] = number++;
        bytes -= here;
        kernel->head++;
    }
    return first;
}

/* Reads the pieces of one completion and gives them back; returns how many pieces there were. */
static unsigned consume(struct kernel *kernel, uint16_t first, uint32_t bytes, uint8_t number)
{
    uint16_t at = first;
    uint32_t left = bytes;
    unsigned pieces = 0;

    while (left != 0) {
        struct span piece = bufring_piece(kernel->buffers, &at, &left);

        for (uint32_t i = 0; i < piece.len; i++)
            assert_int_equal(piece.data[i], number++);
        pieces++;
    }
    bufring_recycle(kernel->buffers, first, bytes);
    return pieces;
}

static void neighbours_come_as_one_piece(void **state)
{
    struct kernel kernel = kernel_open();
    uint16_t first = kernel_take(&kernel, 3 * SIZE + 5, 1);

    (void)state;
    assert_int_equal(consume(&kernel, first, 3 * SIZE + 5, 1), 1);
    assert_int_equal(available(&kernel), COUNT - 4); /* not before they are published */
    bufring_publish(kernel.buffers);
    assert_int_equal(available(&kernel), COUNT);
    bufring_close(kernel.buffers);
}

static void a_run_that_wraps_comes_in_two_pieces(void **state)
{
    struct kernel kernel = kernel_open();
    uint16_t first = kernel_take(&kernel, (COUNT - 2) * SIZE, 1);

    (void)state;
    consume(&kernel, first, (COUNT - 2) * SIZE, 1);
    bufring_publish(kernel.buffers);
    first = kernel_take(&kernel, 4 * SIZE, 9);
    assert_int_equal(consume(&kernel, first, 4 * SIZE, 9), 2);
    bufring_publish(kernel.buffers);
    assert_int_equal(available(&kernel), COUNT);
    bufring_close(kernel.buffers);
}

/* Completions of a turn handled in any order: none reads another's buffers, none is lost. */
static void any_order_of_completions_keeps_the_bytes_apart(void **state)
{
    struct kernel kernel = kernel_open();
    struct random random = {.state = 42};

    (void)state;
    for (unsigned round = 0; round < 5000; round++) {
        struct {
            uint16_t first;
            uint32_t bytes;
            uint8_t number;
        } taken[COUNT], swap;
        unsigned count = 0;

        while (available(&kernel) != 0 && random_below(&random, 8) != 0) {
            uint32_t bytes = 1 + random_below(&random, available(&kernel) * SIZE);

            taken[count].bytes = bytes;
            taken[count].number = (uint8_t)random_below(&random, 256);
            taken[count].first = kernel_take(&kernel, bytes, taken[count].number);
            count++;
        }
        for (unsigned i = 0; i < count; i++) {
            unsigned other = i + random_below(&random, count - i);

            swap = taken[i];
            taken[i] = taken[other];
            taken[other] = swap;
            consume(&kernel, taken[i].first, taken[i].bytes, taken[i].number);
        }
        bufring_publish(kernel.buffers);
        assert_int_equal(available(&kernel), COUNT);
    }
    bufring_close(kernel.buffers);
}

static void a_refused_registration_is_explained(void **state)
{
    static struct uring ring;
    char why[256];

    (void)state;
    register_result = -EINVAL;
    assert_null(bufring_open(&ring, COUNT, SIZE, why, sizeof(why)));
    assert_non_null(strstr(why, "16 receive buffers of 64 bytes"));
    register_result = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(neighbours_come_as_one_piece),
        cmocka_unit_test(a_run_that_wraps_comes_in_two_pieces),
        cmocka_unit_test(any_order_of_completions_keeps_the_bytes_apart),
        cmocka_unit_test(a_refused_registration_is_explained),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
