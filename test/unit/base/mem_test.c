/* SPDX-License-Identifier: MIT
 *
 * What the allocator promises beyond allocating: zeroes, alignment, refusals that leave everything as
 * it was, and fault injection that hits the calls it says.
 */
#include "base/mem.h"

#include "base/check.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static int end_injection(void **unused)
{
    (void)unused;
    mem_fail_after(0);
    return 0;
}

static void the_nth_call_and_all_after_it_fail(void **unused)
{
    (void)unused;
    for (unsigned long n = 1; n <= 5; n++) {
        mem_fail_after(n);
        for (unsigned long call = 1; call <= 8; call++) {
            void *got = call % 2 == 0 ? mem_try_alloc(10) : mem_try_zalloc(10);

            assert_true((got != NULL) == (call < n));
            mem_free(got);
        }
        mem_fail_after(0);
        for (unsigned call = 0; call < 8; call++) {
            void *got = mem_try_alloc(10);

            assert_non_null(got);
            mem_free(got);
        }
    }
}

static void refused_resize_leaves_the_old(void **unused)
{
    char *text = mem_strdup("as it was"), *grown;

    (void)unused;
    mem_fail_after(1);
    assert_null(mem_try_realloc(text, 100000));
    assert_string_equal(text, "as it was");
    mem_fail_after(0);
    grown = mem_try_realloc(text, 100000);
    assert_non_null(grown);
    assert_string_equal(grown, "as it was");
    grown = mem_try_realloc(grown, 0); /* still a block, and still to be freed */
    assert_non_null(grown);
    mem_free(grown);
}

/* The other family is for what cannot be refused. */
static void injection_leaves_the_panicking_family_alone(void **unused)
{
    void *blocks[4];

    (void)unused;
    mem_fail_after(1);
    blocks[0] = mem_alloc(100);
    blocks[1] = mem_zalloc(100);
    blocks[2] = mem_realloc(NULL, 100);
    blocks[3] = mem_zalloc_aligned(100);
    for (unsigned i = 0; i < ARRAY_LENGTH(blocks); i++) {
        assert_non_null(blocks[i]);
        mem_free(blocks[i]);
    }
}

static void zeroed_and_aligned(void **unused)
{
    static const size_t sizes[] = {1, 63, 64, 65, 4096, 100000};

    (void)unused;
    for (unsigned i = 0; i < ARRAY_LENGTH(sizes); i++) {
        for (unsigned again = 0; again < 3; again++) { /* the second time memory was used before */
            unsigned char *zeroed = mem_zalloc(sizes[i]), *aligned = mem_zalloc_aligned(sizes[i]);
            unsigned char *tried = mem_try_zalloc(sizes[i]);

            assert_int_equal((uintptr_t)aligned % CACHE_LINE, 0);
            for (size_t at = 0; at < sizes[i]; at++)
                assert_int_equal(zeroed[at] | aligned[at] | tried[at], 0);
            memset(zeroed, 0xAA, sizes[i]);
            memset(aligned, 0xAA, sizes[i]);
            memset(tried, 0xAA, sizes[i]);
            mem_free(zeroed);
            mem_free(aligned);
            mem_free(tried);
        }
    }
    mem_free(NULL);
}

/* Runs `body` in a child; returns how it ended, and what it wrote to stderr. */
static int in_child(void (*body)(void), char *text, size_t size)
{
    int ends[2], status;
    size_t len = 0;
    ssize_t got;
    pid_t child;

    assert_int_equal(pipe(ends), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        signal(SIGABRT, SIG_DFL); /* cmocka's would jump back into the test */
        dup2(ends[1], STDERR_FILENO);
        body();
        _exit(0);
    }
    close(ends[1]);
    while (len < size - 1 && (got = read(ends[0], text + len, size - 1 - len)) > 0)
        len += (size_t)got;
    text[len] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void print_state(void *argument)
{
    dprintf(STDERR_FILENO, "state: %s\n", (const char *)argument);
    panic("elsewhere", 1, "a dumper that fails");
}

static void fail_assertion(void)
{
    static char state[] = "of a module";

    panic_register(print_state, state);
    ASSERT(sizeof(state) == 0);
}

static void panic_says_where_and_dumps_once(void **unused)
{
    char text[1000];
    int status = in_child(fail_assertion, text, sizeof(text));

    (void)unused;
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    assert_non_null(strstr(text, "mem_test.c:"));
    assert_non_null(strstr(text, "sizeof(state) == 0"));
    assert_non_null(strstr(text, "state: of a module\n"));
    assert_null(strstr(text, "elsewhere"));
}

/* Leaves words on the stack below its caller, and says where. They are written ~mark, so that who looks for them leaves
 * none there himself. */
__attribute__((noinline)) static uintptr_t leave_on_stack(uint64_t mark)
{
    volatile uint64_t room[512];
    volatile uintptr_t where = (uintptr_t)room; /* clang sees through less */

    for (unsigned i = 0; i < 512; i++)
        room[i] = ~mark;
    return where;
}

/* What is there now, looked at from outside, for nothing in the language may look at it. */
static unsigned count_marks(uintptr_t where, uint64_t mark)
{
    static uint64_t seen[512];
    struct iovec to = {.iov_base = seen, .iov_len = sizeof(seen)};
    struct iovec from = {.iov_base = (void *)where, .iov_len = sizeof(seen)};
    unsigned marks = 0;

    assert_int_equal(process_vm_readv(getpid(), &to, 1, &from, 1, 0), sizeof(seen));
    for (unsigned i = 0; i < 512; i++)
        marks += seen[i] == ~mark;
    return marks;
}

static void nothing_stays_on_the_stack(void **unused)
{
    static volatile uint64_t mark = 0x5365637265743a29;
    uintptr_t where = leave_on_stack(mark);

    (void)unused;
    mem_wipe_stack();
    assert_int_equal(count_marks(where, mark), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(the_nth_call_and_all_after_it_fail, end_injection),
        cmocka_unit_test_teardown(refused_resize_leaves_the_old, end_injection),
        cmocka_unit_test_teardown(injection_leaves_the_panicking_family_alone, end_injection),
        cmocka_unit_test(zeroed_and_aligned),
        cmocka_unit_test(nothing_stays_on_the_stack),
        cmocka_unit_test(panic_says_where_and_dumps_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
