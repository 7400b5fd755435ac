/* SPDX-License-Identifier: MIT */
#include "app/process.h"
#include "base/check.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64], path[128], error[1024];

static int enter_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/shardmq-process-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof(path), "%s/run/x.pid", folder);
    return 0;
}

static int leave_folder(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    return system(command);
}

static void write_pid(const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void test_take_and_release(void **state)
{
    int descriptor;

    (void)state;
    assert_int_equal(pid_file_owner(path), 0); /* no file */
    descriptor = pid_file_take(path, geteuid(), error, sizeof(error));
    if (descriptor < 0)
        fail_msg("%s", error);
    assert_int_equal(pid_file_owner(path), getpid());
    pid_file_release(path, descriptor);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(pid_file_owner(path), 0);
}

static void test_a_second_one_is_refused(void **state)
{
    char wanted[1024];
    int descriptor = pid_file_take(path, geteuid(), error, sizeof(error));

    (void)state;
    assert_true(descriptor >= 0);
    assert_int_equal(pid_file_take(path, geteuid(), error, sizeof(error)), -1);
    snprintf(wanted, sizeof(wanted),
             "a broker runs already, process %d holds %s; stop it, or give this one a "
             "system.pid_file of its own",
             (int)getpid(), path);
    assert_string_equal(error, wanted);
    pid_file_release(path, descriptor);
}

/* Whoever has the number now: without the lock it is not a broker. */
static void test_a_stale_file_is_replaced(void **state)
{
    static const char *const stale[] = {"1\n", "999999\n", "", "nonsense", "-5\n"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(stale); i++) {
        int descriptor;

        write_pid(stale[i]);
        assert_int_equal(pid_file_owner(path), 0);
        descriptor = pid_file_take(path, geteuid(), error, sizeof(error));
        assert_true(descriptor >= 0);
        assert_int_equal(pid_file_owner(path), getpid());
        pid_file_release(path, descriptor);
    }
}

/* The lock goes with the process, however it ends. */
static void test_a_killed_owner_leaves_a_stale_file(void **state)
{
    int ready[2];
    pid_t child;
    char byte;

    (void)state;
    assert_int_equal(pipe(ready), 0);
    child = fork();
    if (child == 0) {
        if (pid_file_take(path, geteuid(), error, sizeof(error)) < 0 || write(ready[1], "", 1) != 1)
            _exit(1);
        pause();
        _exit(0);
    }
    assert_true(child > 0);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(pid_file_owner(path), child);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(pid_file_owner(path), 0);
    assert_int_equal(access(path, F_OK), 0);
    close(ready[0]);
    close(ready[1]);
}

static void test_links_are_not_followed(void **state)
{
    char target[128];

    (void)state;
    snprintf(target, sizeof(target), "%s/target", folder);
    unlink(path);
    assert_int_equal(symlink(target, path), 0);
    assert_int_equal(pid_file_take(path, geteuid(), error, sizeof(error)), -1);
    assert_non_null(strstr(error, "cannot be written"));
    assert_int_equal(access(target, F_OK), -1);
    unlink(path);
}

/* Needs root, who alone can make a folder somebody else's. */
static void test_a_foreign_folder_is_refused(void **state)
{
    char foreign[128], file[160];
    int descriptor;

    (void)state;
    if (geteuid() != 0)
        skip();
    snprintf(foreign, sizeof(foreign), "%s/foreign", folder);
    snprintf(file, sizeof(file), "%s/x.pid", foreign);
    assert_int_equal(mkdir(foreign, 0755), 0);
    assert_int_equal(chown(foreign, 12345, 12345), 0);
    assert_int_equal(pid_file_take(file, 0, error, sizeof(error)), -1);
    assert_non_null(strstr(error, "belongs to another user"));
    descriptor = pid_file_take(file, 12345, error, sizeof(error)); /* who we are about to become */
    assert_true(descriptor >= 0);
    pid_file_release(file, descriptor);
}

/* Needs root. Who the broker becomes must be able to put its control socket there. */
static void test_a_new_folder_is_for_the_final_user(void **state)
{
    char fresh[128], file[160];
    struct stat status;
    int descriptor;

    (void)state;
    if (geteuid() != 0)
        skip();
    snprintf(fresh, sizeof(fresh), "%s/fresh", folder);
    snprintf(file, sizeof(file), "%s/x.pid", fresh);
    descriptor = pid_file_take(file, 12345, error, sizeof(error));
    assert_true(descriptor >= 0);
    assert_int_equal(stat(fresh, &status), 0);
    assert_int_equal(status.st_uid, 12345);
    pid_file_release(file, descriptor);
}

static void test_users(void **state)
{
    uid_t user = 1;
    gid_t group = 1;

    (void)state;
    assert_true(find_user("root", &user, &group));
    assert_int_equal(user, 0);
    assert_false(find_user("no-such-user-here", &user, &group));
    assert_false(become_user("no-such-user-here", error, sizeof(error)));
    assert_string_equal(error, "system.user: there is no user 'no-such-user-here'");
}

static void test_descriptors(void **state)
{
    struct rlimit limit;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = 64;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    raise_descriptor_limit();
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(limit.rlim_cur, limit.rlim_max);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_take_and_release),
        cmocka_unit_test(test_a_second_one_is_refused),
        cmocka_unit_test(test_a_stale_file_is_replaced),
        cmocka_unit_test(test_a_killed_owner_leaves_a_stale_file),
        cmocka_unit_test(test_links_are_not_followed),
        cmocka_unit_test(test_a_foreign_folder_is_refused),
        cmocka_unit_test(test_a_new_folder_is_for_the_final_user),
        cmocka_unit_test(test_users),
        cmocka_unit_test(test_descriptors),
    };

    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
