/* SPDX-License-Identifier: MIT
 *
 * bench pub and bench sub, two processes, with a server between them that drops, duplicates,
 * reorders, alters, delays and closes on purpose: both must report precisely what it did.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/check.h"
#include "bench/bench.h"
#include "fake_broker.h"

#define NEVER      UINT64_MAX
#define DEADLINE_S 20

static char sub_path[] = "/tmp/shardmq-bench-sub-XXXXXX";
static char pub_path[] = "/tmp/shardmq-bench-pub-XXXXXX";
static cJSON *result; /* what was read last */

/* Runs the tool with the words of `command` on the fake broker. */
static int bench(const struct fake_broker *broker, const char *command)
{
    char text[512];
    char *argv[48] = {"bench"}, *rest;
    int argc = 1;

    snprintf(text, sizeof(text), "%s -V 4 --host 127.0.0.1 --port %d", command, broker->port);
    for (char *word = strtok_r(text, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        argv[argc++] = word;
    }
    return bench_main(argc, argv);
}

static void read_result(const char *path)
{
    static char content[1 << 20];
    FILE *file = fopen(path, "r");
    size_t len;

    assert_non_null(file);
    len = fread(content, 1, sizeof(content) - 1, file);
    fclose(file);
    content[len] = '\0';
    cJSON_Delete(result);
    result = cJSON_Parse(content);
    assert_non_null(result);
}

static double number(const char *key)
{
    const cJSON *item = cJSON_GetObjectItem(result, key);

    if (item == NULL) {
        fail_msg("no %s in the result", key);
    }
    return item->valuedouble;
}

static const char *verdict(void)
{
    return cJSON_GetStringValue(cJSON_GetObjectItem(result, "result"));
}

/* Starts `bench sub` in a process of its own and waits until it has subscribed. */
static pid_t start_sub(struct fake_broker *broker, unsigned count, const char *words)
{
    char command[256];
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        snprintf(command, sizeof(command), "sub -c %u -i 0 %s --json %s", count, words, sub_path);
        _exit(bench(broker, command));
    }
    for (int i = 0; i < DEADLINE_S * 100 && broker->subscriptions < count; i++) {
        poll(NULL, 0, 10);
    }
    assert_int_equal(broker->subscriptions, count);
    return child;
}

/* Its exit status; its result has been read then. */
static int end_sub(pid_t child)
{
    int status;

    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    read_result(sub_path);
    return WEXITSTATUS(status);
}

static int run_pub(struct fake_broker *broker, const char *words)
{
    char command[256];
    int status;

    snprintf(command, sizeof(command), "pub -i 0 %s --json %s", words, pub_path);
    status = bench(broker, command);
    read_result(pub_path);
    return status;
}

static void test_all_is_well(void **state)
{
    static const char *const cases[][2] = {
        {"-t a -q 0", "-t a -q 0 -c 3 -L 300 -I 1"},
        {"-t a -q 1", "-t a -q 1 -c 3 -L 300 -I 0 -s 16"},
        {"-t a -q 2 --threads 2", "-t a -q 2 -c 4 -L 300 --rate 3000 --threads 2 -s 100"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct fake_broker *broker = fake_start(FAULT_NONE, NEVER);
        char words[128];
        pid_t sub;

        snprintf(words, sizeof(words), "%s -L 600 --duration 10", cases[i][0]);
        sub = start_sub(broker, 2, words);
        assert_int_equal(run_pub(broker, cases[i][1]), BENCH_OK);
        assert_true(number("sent") == 300);
        assert_int_equal(broker->messages, 300);
        assert_int_equal(end_sub(sub), BENCH_OK);
        assert_true(number("received") == 600);
        assert_true(number("lost") == 0);
        assert_true(number("unchecked") == 0);
        assert_in_range((int)number("flows"), 1, 4);
        assert_string_equal(verdict(), "good");
        fake_stop(broker);
    }
}

static void test_faults_are_counted(void **state)
{
    static const struct {
        enum fake_fault fault;
        int received, lost, duplicated, reordered, altered;
    } cases[] = {
        {FAULT_DROP, 199, 1, 0, 0, 0},
        {FAULT_DUPLICATE, 200, 0, 1, 0, 0},
        {FAULT_SWAP, 200, 0, 0, 1, 0},
        {FAULT_ALTER, 199, 1, 0, 0, 1},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        for (int size = 17; size < 300; size += 200) {
            struct fake_broker *broker = fake_start(cases[i].fault, 50);
            char words[128];
            pid_t sub;

            snprintf(words, sizeof(words), "-t a -q 1 -L %d --duration 20", cases[i].received);
            sub = start_sub(broker, 1, words);
            snprintf(words, sizeof(words), "-t a -q 1 -c 1 -L 200 -I 0 -s %d", size);
            assert_int_equal(run_pub(broker, words), BENCH_OK);
            assert_int_equal(end_sub(sub), BENCH_FAILED);
            assert_int_equal((int)number("received"), cases[i].received);
            assert_int_equal((int)number("lost"), cases[i].lost);
            assert_int_equal((int)number("duplicated"), cases[i].duplicated);
            assert_int_equal((int)number("reordered"), cases[i].reordered);
            assert_int_equal((int)number("altered"), cases[i].altered);
            fake_stop(broker);
        }
    }
}

/* Latency counts from when a message was due: a server that does nothing for 300 ms of one second
 * delays a quarter of the messages, though it answers all but a few at once. */
static void test_a_stall_is_not_hidden(void **state)
{
    struct fake_broker *broker = fake_start(FAULT_STALL, 300);
    pid_t sub = start_sub(broker, 1, "-t a -L 1000 --duration 20");
    const cJSON *latency;

    (void)state;
    assert_int_equal(run_pub(broker, "-t a -c 1 --rate 1000 -L 1000 -s 64"), BENCH_OK);
    assert_int_equal(end_sub(sub), BENCH_OK);
    assert_true(number("received") == 1000);
    latency = cJSON_GetObjectItem(result, "latency_us");
    assert_true(cJSON_GetObjectItem(latency, "max")->valuedouble >= FAKE_STALL_MS * 990.0);
    assert_true(cJSON_GetObjectItem(latency, "p90")->valuedouble >= FAKE_STALL_MS * 500.0);
    fake_stop(broker);
}

static void test_lost_connections(void **state)
{
    struct fake_broker *broker = fake_start(FAULT_CLOSE, 50);

    (void)state;
    assert_int_equal(run_pub(broker, "-t a -q 1 -c 1 -I 1 -L 200"), BENCH_FAILED);
    assert_non_null(strstr(verdict(), "closed the connection"));
    assert_true(number("disconnects") == 1);
    fake_stop(broker);
    /* and with --reconnect the same is no failure */
    broker = fake_start(FAULT_CLOSE, 50);
    assert_int_equal(run_pub(broker, "-t a -q 1 -c 2 -I 1 -L 200 --reconnect"), BENCH_OK);
    assert_true(number("disconnects") == 1);
    assert_true(number("connections") == 3);
    fake_stop(broker);
}

static void test_broken_servers_get_a_clean_error(void **state)
{
    static const struct {
        enum fake_fault fault;
        const char *words;
    } cases[] = {{FAULT_FOREIGN_ACK, "awaits none"},
                 {FAULT_REFUSE, "refused"},
                 {FAULT_EARLY_PUBLISH, "before CONNACK"},
                 {FAULT_SILENCE, "only 0 of 2"}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct fake_broker *broker = fake_start(cases[i].fault, 10);

        assert_int_equal(run_pub(broker, cases[i].fault == FAULT_SILENCE
                                             ? "-t a -q 1 -c 2 -I 1 -L 100 --timeout 0.3"
                                             : "-t a -q 1 -c 2 -I 1 -L 100"),
                         BENCH_FAILED);
        if (strstr(verdict(), cases[i].words) == NULL) {
            fail_msg("fault %d was reported as: %s", (int)cases[i].fault, verdict());
        }
        fake_stop(broker);
    }
}

/* What others publish is counted, and not taken for something of ours. */
static void test_foreign_messages(void **state)
{
    struct fake_broker *broker = fake_start(FAULT_NONE, NEVER);
    pid_t sub = start_sub(broker, 1, "-t a/x -L 50 --duration 10");

    (void)state;
    assert_int_equal(run_pub(broker, "-t a/%u -u x -c 1 -L 50 -I 0 --payload hello-%n-%i"),
                     BENCH_OK);
    assert_int_equal(end_sub(sub), BENCH_OK);
    assert_true(number("unchecked") == 50);
    fake_stop(broker);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_is_well),
        cmocka_unit_test(test_faults_are_counted),
        cmocka_unit_test(test_a_stall_is_not_hidden),
        cmocka_unit_test(test_lost_connections),
        cmocka_unit_test(test_broken_servers_get_a_clean_error),
        cmocka_unit_test(test_foreign_messages),
    };
    int sub = mkstemp(sub_path), pub = mkstemp(pub_path), failed;

    if (sub < 0 || pub < 0) {
        return 1;
    }
    close(sub);
    close(pub);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    cJSON_Delete(result);
    unlink(sub_path);
    unlink(pub_path);
    return failed;
}
