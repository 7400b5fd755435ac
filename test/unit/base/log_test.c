/* SPDX-License-Identifier: MIT */
#include "base/log.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

static char folder[64];
static char content[1 << 20];

static int enter_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/shardmq-log-XXXXXX");
    return mkdtemp(folder) == NULL || chdir(folder) != 0;
}

static int leave_folder(void **state)
{
    char command[128];

    (void)state;
    log_teardown();
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    return chdir("/") != 0 || system(command) != 0;
}

/* To a file that is not there yet. */
static struct log_options to_file(void)
{
    unlink("x.log");
    return (struct log_options){.to = LOG_TO_FILE,
                                .level = LOG_LEVEL_INFO,
                                .dir = folder,
                                .file = "x.log",
                                .rotation_size = 1 << 20,
                                .rotation_count = 3};
}

static void setup(const struct log_options *options)
{
    char error[300] = "";

    if (!log_setup(options, error, sizeof(error)))
        fail_msg("%s", error);
}

static const char *read_file(const char *name)
{
    FILE *file = fopen(name, "rb");

    content[0] = '\0';
    if (file == NULL)
        return NULL;
    content[fread(content, 1, sizeof(content) - 1, file)] = '\0';
    fclose(file);
    return content;
}

static unsigned lines_in(const char *text)
{
    unsigned count = 0;

    for (; *text != '\0'; text++)
        count += *text == '\n';
    return count;
}

/* ---- text ---- */

static void test_escape(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *shown;
    } rows[] = {
        {"", 0, ""},
        {"client-1 ~", 10, "client-1 ~"},
        {"a\nWARN forged", 13, "a\\nWARN forged"},
        {"\r\t\"\\", 4, "\\r\\t\\\"\\\\"},
        {"\0\x01\x1b[31m\x7f", 8, "\\x00\\x01\\x1b[31m\\x7f"},
        {"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 9, "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"},
        {"\xe2\x80\xae"
         "evil",
         7, "\\u{202e}evil"},
        {"\xef\xbb\xbf\xc2\x85", 5, "\\u{feff}\\u{85}"},
        {"\xe2\x80\xa8", 3, "\\u{2028}"},
        {"\xc3", 1, "\\xc3"},
        {"\xff\xc3(\xed\xa0\x80", 6, "\\xff\\xc3(\\xed\\xa0\\x80"},
        {"\xf3\xa0\x81\x81", 4, "\\u{e0041}"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        char to[100];

        assert_ptr_equal(log_escape(to, sizeof(to), span_of(rows[i].bytes, rows[i].len)), to);
        assert_string_equal(to, rows[i].shown);
    }
}

static void test_escape_cuts(void **state)
{
    char to[16], guard[40];

    (void)state;
    log_escape(to, sizeof(to), span_text("123456789012345"));
    assert_string_equal(to, "123456789012345"); /* it fits to the byte */
    log_escape(to, sizeof(to), span_text("1234567890123456"));
    assert_string_equal(to, "123456789012...");
    log_escape(to, sizeof(to), span_text("1234567890\n\n\n\n"));
    assert_string_equal(to, "1234567890\\n..."); /* never half of an escape */
    for (size_t size = 8; size < 30; size++) {
        memset(guard, 'G', sizeof(guard));
        log_escape(guard, size, span_text("\x01\xe2\x82\xac\xe2\x80\xae\"abc\xf0\x9f\x98\x80xyz"));
        assert_true(strlen(guard) < size);
        assert_int_equal(guard[size], 'G');
    }
}

static void test_a_line_of_text(void **state)
{
    struct log_options options = to_file();
    int year, month, day, hour, minute, second, ms, end = 0;
    struct stat status;

    (void)state;
    setup(&options);
    LOG_WARN("client %s left: %d", "c1", 7);
    LOG_DEBUG("not at this level");
    LOG_INFO("two\nlines\x1b");
    log_set_level(LOG_LEVEL_DEBUG);
    LOG_DEBUG("now it is");
    assert_non_null(read_file("x.log"));
    assert_int_equal(sscanf(content,
                            "%4d-%2d-%2d %2d:%2d:%2d.%3d [main] WARN  client c1 left: 7\n%n", &year,
                            &month, &day, &hour, &minute, &second, &ms, &end),
                     7);
    assert_int_equal(end, (int)strlen("2026-11-24 12:00:00.123 [main] WARN  client c1 left: 7\n"));
    assert_non_null(strstr(content, "[main] INFO  two lines \n"));
    assert_null(strstr(content, "not at this level"));
    assert_non_null(strstr(content, "[main] DEBUG now it is\n"));
    assert_int_equal(lines_in(content), 3);
    assert_int_equal(stat("x.log", &status), 0);
    assert_int_equal(status.st_mode & 07137, 0); /* at most 0640 */
    log_teardown();
}

static void test_a_long_line_is_cut(void **state)
{
    struct log_options options = to_file();
    char text[3000];

    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    setup(&options);
    LOG_INFO("%s", text);
    assert_non_null(read_file("x.log"));
    assert_int_equal(strlen(strstr(content, "INFO")), 6 + LOG_LINE_MAX + 1);
    assert_non_null(strstr(content, "xxx...\n"));
    log_teardown();
}

static void test_json_lines(void **state)
{
    struct log_options options = to_file();
    unsigned lines = 0;

    (void)state;
    options.json = true;
    setup(&options);
    LOG_ERROR("quotes \" and \\ and \xc3\xa4 and \xff\x7f and \xe2\x82");
    LOG_INFO("%s", "");
    assert_non_null(read_file("x.log"));
    for (char *line = strtok(content, "\n"); line != NULL; line = strtok(NULL, "\n"), lines++) {
        cJSON *json = cJSON_Parse(line);

        assert_non_null(json);
        assert_int_equal(strlen(cJSON_GetStringValue(cJSON_GetObjectItem(json, "time"))), 24);
        assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(json, "thread")), "main");
        if (lines == 0) {
            assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(json, "level")), "error");
            assert_string_equal(
                cJSON_GetStringValue(cJSON_GetObjectItem(json, "message")),
                "quotes \" and \\ and \xc3\xa4 and \xef\xbf\xbd  and \xef\xbf\xbd\xef\xbf\xbd");
        }
        cJSON_Delete(json);
    }
    assert_int_equal(lines, 2);
    log_teardown();
}

/* ---- rate limit ---- */

static void burst(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        LOG_INFO("burst %u", i);
}

/* The second may change while it runs, hence twice the limit at most; and nothing gets lost uncounted. */
static void test_rate_limit(void **state)
{
    struct log_options options = to_file();
    unsigned written, suppressed = 0;
    const char *at;

    (void)state;
    options.rate_limit = 5;
    setup(&options);
    burst(1000);
    LOG_INFO("another place is not concerned");
    read_file("x.log");
    written = lines_in(content) - 1;
    assert_in_range(written, 5, 10);
    assert_non_null(strstr(content, "another place is not concerned"));
    options.rate_limit = 0; /* the next line from there comes at once, and tells */
    setup(&options);
    burst(1);
    read_file("x.log");
    for (at = content; (at = strstr(at, " lines suppressed)\n")) != NULL; at++) {
        while (at[-1] != '(')
            at--;
        suppressed += (unsigned)strtoul(at, NULL, 10);
        at = strchr(at, '\n');
    }
    assert_int_equal(written + suppressed, 1000);
    log_teardown();
}

static void test_no_rate_limit(void **state)
{
    struct log_options options = to_file();

    (void)state;
    setup(&options);
    burst(2000);
    read_file("x.log");
    assert_int_equal(lines_in(content), 2000);
    log_teardown();
}

/* ---- files ---- */

static void test_rotation(void **state)
{
    struct log_options options = to_file();
    unsigned lines = 0;

    (void)state;
    options.rotation_size = 4096;
    options.rotation_count = 2;
    setup(&options);
    for (unsigned i = 0; i < 400; i++)
        LOG_INFO("line number %u", i);
    assert_non_null(read_file("x.log"));
    assert_true(strlen(content) <= 4096);
    assert_non_null(strstr(content, "line number 399\n"));
    lines = lines_in(content);
    assert_non_null(read_file("x.log.1"));
    assert_in_range(strlen(content), 4000, 4096);
    lines += lines_in(content);
    assert_non_null(read_file("x.log.2"));
    lines += lines_in(content);
    assert_true(lines < 400);
    assert_null(read_file("x.log.3"));
    /* the kept lines are the last ones, without a gap */
    {
        char first[40];

        snprintf(first, sizeof(first), "line number %u\n", 400 - lines);
        read_file("x.log.2");
        assert_non_null(strstr(content, first));
    }
    log_teardown();
}

static void test_rotation_without_old_files(void **state)
{
    struct log_options options = to_file();

    (void)state;
    unlink("x.log.1");
    options.rotation_size = 4096;
    options.rotation_count = 0;
    setup(&options);
    for (unsigned i = 0; i < 200; i++)
        LOG_INFO("line number %u", i);
    assert_true(strlen(read_file("x.log")) <= 4096);
    assert_null(read_file("x.log.1"));
    log_teardown();
}

static void test_reopen(void **state)
{
    struct log_options options = to_file();

    (void)state;
    setup(&options);
    LOG_INFO("before");
    assert_int_equal(rename("x.log", "moved.log"), 0);
    LOG_INFO("still the old one");
    log_reopen();
    LOG_INFO("the new one");
    read_file("moved.log");
    assert_int_equal(lines_in(content), 2);
    read_file("x.log");
    assert_int_equal(lines_in(content), 1);
    log_teardown();
}

static void test_setup_that_fails_changes_nothing(void **state)
{
    struct log_options good = to_file(), bad = to_file();
    char error[300];

    (void)state;
    setup(&good);
    bad.dir = "/nowhere/at/all";
    assert_false(log_setup(&bad, error, sizeof(error)));
    assert_string_equal(error,
                        "cannot make the log folder /nowhere/at/all: No such file or directory");
    bad = good;
    bad.file = "link.log";
    assert_int_equal(symlink("/tmp/elsewhere", "link.log"), 0);
    assert_false(log_setup(&bad, error, sizeof(error)));
    bad.to = LOG_TO_JOURNALD;
    bad.journald_socket = "none.sock";
    assert_false(log_setup(&bad, error, sizeof(error)));
    assert_string_equal(error, "cannot reach journald at none.sock: No such file or directory");
    bad.to = LOG_TO_SYSLOG;
    bad.syslog_socket = "none.sock";
    assert_false(log_setup(&bad, error, sizeof(error)));
    assert_string_equal(error, "cannot reach syslog at none.sock: No such file or directory");
    LOG_INFO("still here");
    assert_non_null(strstr(read_file("x.log"), "still here"));
    log_teardown();
}

static unsigned open_descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    unsigned count = 0;

    assert_non_null(directory);
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count;
}

static void test_no_descriptor_is_lost(void **state)
{
    struct log_options good = to_file(), bad = to_file();
    unsigned before = open_descriptors();
    char error[300];

    (void)state;
    bad.to |= LOG_TO_SYSLOG;
    bad.syslog_socket = "none.sock";
    for (int i = 0; i < 5; i++) {
        setup(&good);
        assert_false(log_setup(&bad, error, sizeof(error)));
    }
    log_teardown();
    assert_int_equal(open_descriptors(), before);
}

/* ---- services ---- */

static int listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    assert_true(descriptor >= 0);
    strcpy(address.sun_path, path);
    unlink(path);
    assert_int_equal(bind(descriptor, (struct sockaddr *)&address, sizeof(address)), 0);
    return descriptor;
}

static const char *receive(int descriptor)
{
    ssize_t len = recv(descriptor, content, sizeof(content) - 1, 0);

    assert_true(len >= 0);
    content[len] = '\0';
    return content;
}

static void test_services(void **state)
{
    struct log_options options = {.to = LOG_TO_SYSLOG | LOG_TO_JOURNALD,
                                  .level = LOG_LEVEL_INFO,
                                  .syslog_socket = "syslog.sock",
                                  .journald_socket = "journald.sock"};
    int syslog = listen_at("syslog.sock"), journald = listen_at("journald.sock");
    char tail[64];

    (void)state;
    setup(&options);
    LOG_ERROR("disk %d full", 3);
    snprintf(tail, sizeof(tail), " shardmq[%ld]: [main] disk 3 full", (long)getpid());
    assert_memory_equal(receive(syslog), "<27>", 4);
    assert_string_equal(content + 4 + 15, tail);
    assert_string_equal(receive(journald), "PRIORITY=3\nSYSLOG_IDENTIFIER=shardmq\n"
                                           "SHARDMQ_THREAD=main\nMESSAGE=disk 3 full\n");
    /* a service that was restarted is found again */
    close(syslog);
    syslog = listen_at("syslog.sock");
    LOG_INFO("again");
    assert_non_null(strstr(receive(syslog), "again"));
    /* one that is gone holds nobody up */
    close(syslog);
    unlink("syslog.sock");
    LOG_INFO("to nobody");
    close(journald);
    log_teardown();
}

/* ---- threads ---- */

static atomic_uint wakes;

static void count_wake(void *argument)
{
    assert_ptr_equal(argument, &wakes);
    atomic_fetch_add(&wakes, 1);
}

struct work {
    unsigned number, lines;
    pthread_t thread;
};

static void *log_lines(void *argument)
{
    struct work *work = argument;
    char name[16];

    snprintf(name, sizeof(name), "shard %u", work->number);
    log_thread_begin(name);
    for (unsigned i = 0; i < work->lines; i++)
        LOG_INFO("thread %u line %u", work->number, i);
    log_thread_end();
    return NULL;
}

static void run_one(struct work *work)
{
    assert_int_equal(pthread_create(&work->thread, NULL, log_lines, work), 0);
    assert_int_equal(pthread_join(work->thread, NULL), 0);
}

static void test_lines_wait_for_the_flush(void **state)
{
    struct log_options options = to_file();
    struct work work = {.number = 4, .lines = 3};

    (void)state;
    setup(&options);
    atomic_store(&wakes, 0);
    log_set_waker(count_wake, &wakes);
    run_one(&work);
    assert_string_equal(read_file("x.log"), "");
    assert_int_equal(atomic_load(&wakes), 1); /* told once, until it has flushed */
    log_flush();
    read_file("x.log");
    assert_int_equal(lines_in(content), 3);
    assert_non_null(strstr(content, "[shard 4] INFO  thread 4 line 2\n"));
    run_one(&work);
    assert_int_equal(atomic_load(&wakes), 2);
    LOG_INFO("a line of the control thread comes after them");
    read_file("x.log");
    assert_int_equal(lines_in(content), 7);
    assert_non_null(strstr(strstr(content, "line 2\n") + 1, "line 2\n"));
    assert_true(strstr(content, "comes after") >
                strstr(strstr(content, "line 2\n") + 1, "line 2\n"));
    log_teardown();
}

static void test_a_full_ring_drops_and_tells(void **state)
{
    struct log_options options = to_file();
    struct work work = {.number = 1, .lines = 5000};
    uint64_t dropped_before = log_dropped();
    unsigned long told = 0;
    unsigned written;
    const char *at;

    (void)state;
    setup(&options);
    run_one(&work);
    assert_true(log_dropped() > dropped_before);
    log_flush();
    read_file("x.log");
    at = strstr(content, " lines of this thread were lost");
    assert_non_null(at);
    while (at[-1] != ' ')
        at--;
    told = strtoul(at, NULL, 10);
    written = lines_in(content) - 1;
    assert_int_equal(told, log_dropped() - dropped_before);
    assert_int_equal(written + told, 5000);
    assert_true(written > 500);
    log_teardown();
}

/* Several threads and a flusher: no line is torn, doubled, out of its thread's order, or lost uncounted. */
static void test_threads_and_flusher(void **state)
{
    struct log_options options = to_file();
    struct work work[3];
    uint64_t dropped = log_dropped();
    unsigned seen[3] = {0}, next[3] = {0};

    (void)state;
    options.rotation_size = 1 << 30;
    setup(&options);
    for (unsigned i = 0; i < 3; i++) {
        work[i] = (struct work){.number = i, .lines = 2000};
        assert_int_equal(pthread_create(&work[i].thread, NULL, log_lines, &work[i]), 0);
    }
    for (int i = 0; i < 200; i++)
        log_flush();
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(pthread_join(work[i].thread, NULL), 0);
    log_flush();
    dropped = log_dropped() - dropped;
    read_file("x.log");
    for (char *line = strtok(content, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        unsigned thread, number, shard;
        char *message = strchr(line, '[');

        assert_non_null(message);
        if (strstr(message, "were lost") != NULL)
            continue;
        assert_int_equal(
            sscanf(message, "[shard %u] INFO  thread %u line %u", &shard, &thread, &number), 3);
        assert_int_equal(shard, thread);
        assert_in_range(thread, 0, 2);
        assert_in_range(number, next[thread], 1999);
        next[thread] = number + 1;
        seen[thread]++;
    }
    assert_int_equal(seen[0] + seen[1] + seen[2] + dropped, 6000);
    log_teardown();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_escape),
        cmocka_unit_test(test_escape_cuts),
        cmocka_unit_test(test_a_line_of_text),
        cmocka_unit_test(test_a_long_line_is_cut),
        cmocka_unit_test(test_json_lines),
        cmocka_unit_test(test_rate_limit),
        cmocka_unit_test(test_no_rate_limit),
        cmocka_unit_test(test_rotation),
        cmocka_unit_test(test_rotation_without_old_files),
        cmocka_unit_test(test_reopen),
        cmocka_unit_test(test_setup_that_fails_changes_nothing),
        cmocka_unit_test(test_no_descriptor_is_lost),
        cmocka_unit_test(test_services),
        cmocka_unit_test(test_lines_wait_for_the_flush),
        cmocka_unit_test(test_a_full_ring_drops_and_tells),
        cmocka_unit_test(test_threads_and_flusher),
    };

    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
