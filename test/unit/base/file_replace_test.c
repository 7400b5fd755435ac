/* SPDX-License-Identifier: MIT */
#include "base/file_replace.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static struct file_replace replace;
static char error[512];

static int enter_folder(void **state)
{
    static char folder[] = "/tmp/shardmq-replace-XXXXXX";

    *state = mkdtemp(folder);
    return *state == NULL || chdir(folder) != 0;
}

static int leave_folder(void **state)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf '%s'", (const char *)*state);
    return chdir("/") != 0 || system(command) != 0;
}

static void write_file(const char *name, const char *text, mode_t mode)
{
    FILE *file = fopen(name, "w");

    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    assert_int_equal(chmod(name, mode), 0);
}

static void assert_file(const char *name, const char *text, mode_t mode)
{
    char found[100] = "";
    struct stat status;
    FILE *file = fopen(name, "r");

    assert_non_null(file);
    assert_true(fread(found, 1, sizeof(found) - 1, file) < sizeof(found) - 1);
    fclose(file);
    assert_string_equal(found, text);
    assert_int_equal(stat(name, &status), 0);
    assert_int_equal(status.st_mode & 07777, mode);
}

static unsigned files_in(const char *folder)
{
    DIR *open = opendir(folder);
    unsigned count = 0;

    assert_non_null(open);
    while (readdir(open) != NULL)
        count++;
    closedir(open);
    return count - 2;
}

static void test_a_new_file(void **state)
{
    (void)state;
    assert_true(file_replace_stage(&replace, "new", "abc", 3, 0600, error, sizeof(error)));
    assert_int_not_equal(access("new", F_OK), 0);
    assert_true(file_replace_commit(&replace, error, sizeof(error)));
    assert_file("new", "abc", 0600);
    assert_int_equal(files_in("."), 1);
    unlink("new");
}

static void test_a_file_that_is_there(void **state)
{
    (void)state;
    write_file("old", "before", 0640);
    assert_true(file_replace_stage(&replace, "old", "", 0, 0600, error, sizeof(error)));
    assert_file("old", "before", 0640);
    assert_int_equal(files_in("."), 2);
    file_replace_abandon(&replace);
    file_replace_abandon(&replace);
    assert_file("old", "before", 0640);
    assert_int_equal(files_in("."), 1);
    assert_true(file_replace_stage(&replace, "old", "after", 5, 0600, error, sizeof(error)));
    assert_true(file_replace_commit(&replace, error, sizeof(error)));
    assert_file("old", "after", 0640);
    assert_int_equal(files_in("."), 1);
    unlink("old");
}

static void test_the_owner_stays(void **state)
{
    struct stat status;

    (void)state;
    if (geteuid() != 0)
        skip();
    write_file("theirs", "before", 0600);
    assert_int_equal(chown("theirs", 12345, 54321), 0);
    assert_true(file_replace_stage(&replace, "theirs", "after", 5, 0644, error, sizeof(error)));
    assert_true(file_replace_commit(&replace, error, sizeof(error)));
    assert_int_equal(stat("theirs", &status), 0);
    assert_int_equal(status.st_uid, 12345);
    assert_int_equal(status.st_gid, 54321);
    assert_file("theirs", "after", 0600);
    unlink("theirs");
}

static void test_links_stay_links(void **state)
{
    struct stat status;

    (void)state;
    assert_int_equal(mkdir("elsewhere", 0700), 0);
    write_file("elsewhere/target", "before", 0604);
    assert_int_equal(symlink("elsewhere/target", "link"), 0);
    assert_int_equal(symlink("link", "link-to-link"), 0);
    assert_true(
        file_replace_stage(&replace, "link-to-link", "after", 5, 0600, error, sizeof(error)));
    assert_int_equal(files_in("elsewhere"),
                     2); /* beside the target: a rename crosses no file system */
    assert_true(file_replace_commit(&replace, error, sizeof(error)));
    assert_int_equal(lstat("link-to-link", &status), 0);
    assert_true(S_ISLNK(status.st_mode));
    assert_file("elsewhere/target", "after", 0604);
    unlink("elsewhere/target");
    rmdir("elsewhere");
}

static void test_what_cannot_be_written(void **state)
{
    (void)state;
    assert_false(file_replace_stage(&replace, "no/folder", "a", 1, 0600, error, sizeof(error)));
    assert_string_equal(error, "no/folder cannot be written: No such file or directory");
    assert_int_equal(mkdir("folder", 0700), 0);
    assert_false(file_replace_stage(&replace, "folder", "a", 1, 0600, error, sizeof(error)));
    assert_string_equal(error, "folder cannot be written: it is not a file");
    rmdir("folder");
    assert_false(file_replace_stage(&replace, "/dev/full/x", "a", 1, 0600, error, sizeof(error)));
    assert_string_equal(error, "/dev/full/x cannot be written: Not a directory");
    /* the folder is gone when it is to be renamed */
    assert_int_equal(mkdir("going", 0700), 0);
    assert_true(file_replace_stage(&replace, "going/x", "a", 1, 0600, error, sizeof(error)));
    assert_int_equal(rename("going", "gone"), 0);
    assert_false(file_replace_commit(&replace, error, sizeof(error)));
    assert_string_equal(error, "going/x cannot be written: No such file or directory");
    file_replace_abandon(&replace);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_new_file),
        cmocka_unit_test(test_a_file_that_is_there),
        cmocka_unit_test(test_the_owner_stays),
        cmocka_unit_test(test_links_stay_links),
        cmocka_unit_test(test_what_cannot_be_written),
    };

    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
