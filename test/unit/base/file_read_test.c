/* SPDX-License-Identifier: MIT */
#include "base/file_read.h"

#include "base/mem.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/shardmq-file-read-XXXXXX";
static char path[64];

static int setup(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/file", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static void write_file(const void *bytes, size_t len)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    fclose(file);
}

static void refused(size_t most, const char *what)
{
    struct file_bytes bytes;
    char error[256], wanted[256];

    assert_false(file_read(path, most, &bytes, error, sizeof(error)));
    snprintf(wanted, sizeof(wanted), "%s: %s", path, what);
    assert_string_equal(error, wanted);
    assert_null(bytes.data);
}

static void a_file_is_read_as_it_is(void **state)
{
    static const char text[] = "one\0two\n";
    struct file_bytes bytes;
    char error[256];

    (void)state;
    write_file(text, sizeof(text) - 1);
    assert_true(file_read(path, sizeof(text) - 1, &bytes, error, sizeof(error)));
    assert_int_equal(bytes.len, sizeof(text) - 1);
    assert_memory_equal(bytes.data, text, sizeof(text)); /* terminated */
    file_bytes_free(&bytes);
    assert_null(bytes.data);

    write_file("", 0);
    assert_true(file_read(path, 0, &bytes, error, sizeof(error)));
    assert_int_equal(bytes.len, 0);
    assert_string_equal(bytes.data, "");
    file_bytes_free(&bytes);
}

static void what_is_no_file_is_refused(void **state)
{
    (void)state;
    unlink(path);
    refused(100, "No such file or directory");
    assert_int_equal(mkfifo(path, 0600), 0);
    refused(100, "this is no regular file"); /* at once: nobody writes to it */
    unlink(path);
    assert_int_equal(mkdir(path, 0700), 0);
    refused(100, "this is no regular file");
    rmdir(path);
}

static void one_that_is_too_large_is_refused(void **state)
{
    (void)state;
    write_file("12345", 5);
    refused(4, "this file is too large");
    mem_fail_after(1);
    refused(5, "Cannot allocate memory");
    mem_fail_after(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_read_as_it_is),
        cmocka_unit_test(what_is_no_file_is_refused),
        cmocka_unit_test(one_that_is_too_large_is_refused),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
