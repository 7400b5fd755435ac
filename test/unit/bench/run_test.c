/* SPDX-License-Identifier: MIT
 *
 * The whole load tool against a server that behaves, or does not: it must report precisely what the
 * server did.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

#include "bench/bench.h"
#include "fake_broker.h"

#define NEVER UINT64_MAX

static char json_path[] = "/tmp/shardmq-bench-XXXXXX";
static cJSON *result; /* of the last run */
/* How long a run waits for what does not come: short where something is missing on purpose, long enough
 * for a busy machine everywhere else. */
static const char *patience = "5";

/* Runs the tool with the words of `command` on the fake broker. */
static int bench(const struct fake_broker *broker, const char *command)
{
    char text[512], port[16];
    char *argv[40] = {"bench"}, *rest;
    int argc = 1;

    snprintf(text, sizeof(text), "%s", command);
    snprintf(port, sizeof(port), "%d", broker->port);
    for (char *word = strtok_r(text, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        argv[argc++] = word;
    }
    argv[argc++] = "--host";
    argv[argc++] = "127.0.0.1";
    argv[argc++] = "--port";
    argv[argc++] = port;
    return bench_main(argc, argv);
}

/* Runs a scenario shortly and reads its JSON. */
static int run(const struct fake_broker *broker, const char *command)
{
    static char content[4 << 20];
    char text[400];
    size_t len;
    FILE *file;
    int status;

    snprintf(text, sizeof(text), "run %s --duration 0.04 --warmup 0 --timeout %s --json %s",
             command, patience, json_path);
    status = bench(broker, text);
    file = fopen(json_path, "r");
    assert_non_null(file);
    len = fread(content, 1, sizeof(content) - 1, file);
    fclose(file);
    content[len] = '\0';
    cJSON_Delete(result);
    result = cJSON_Parse(content);
    assert_non_null(result);
    return status;
}

static double number(const char *key)
{
    const cJSON *item = cJSON_GetObjectItem(result, key);

    assert_non_null(item);
    return item->valuedouble;
}

static const char *verdict(void)
{
    return cJSON_GetStringValue(cJSON_GetObjectItem(result, "result"));
}

static void test_a_good_broker(void **state)
{
    static const char *const commands[] = {"p2p",
                                           "p2p --qos 1",
                                           "p2p --qos 2",
                                           "p2p --pairs 5 --threads 2",
                                           "p2p --size 24",
                                           "p2p --size 16",
                                           "p2p --size 100000 --window 10",
                                           "fan-out --subscribers 7",
                                           "fan-in --publishers 7 --qos 1",
                                           "paced --rate 5000 --pairs 3",
                                           "p2p --version 3"};

    (void)state;
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        struct fake_broker *broker = fake_start(FAULT_NONE, NEVER);

        assert_int_equal(run(broker, commands[i]), BENCH_OK);
        assert_true(number("sent") == (double)broker->messages);
        assert_true(number("sent") > 0);
        assert_true(number("lost") == 0);
        assert_string_equal(verdict(), "good");
        fake_stop(broker);
    }
}

static void test_the_pace_is_kept(void **state)
{
    struct fake_broker *broker = fake_start(FAULT_NONE, NEVER);

    (void)state;
    assert_int_equal(run(broker, "paced --rate 2000 --pairs 2"), BENCH_OK);
    assert_in_range((uint64_t)number("messages_per_s"), 1800, 2200);
    fake_stop(broker);
}

static void test_counted_faults(void **state)
{
    static const struct {
        enum fake_fault fault;
        int lost, duplicated, reordered, altered;
    } cases[] = {{FAULT_DROP, 1, 0, 0, 0},
                 {FAULT_DUPLICATE, 0, 1, 0, 0},
                 {FAULT_SWAP, 0, 0, 1, 0},
                 {FAULT_ALTER, 1, 0, 0, 1}};

    (void)state;
    patience = "1";
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (int qos = 0; qos < 3; qos++) {
            /* among the first that are sent, however busy the machine is */
            struct fake_broker *broker = fake_start(cases[i].fault, 3);
            char command[32];

            snprintf(command, sizeof(command), "p2p --qos %d", qos);
            assert_int_equal(run(broker, command), BENCH_FAILED);
            assert_int_equal((int)number("lost"), cases[i].lost);
            assert_int_equal((int)number("duplicated"), cases[i].duplicated);
            assert_int_equal((int)number("reordered"), cases[i].reordered);
            assert_int_equal((int)number("altered"), cases[i].altered);
            fake_stop(broker);
        }
    }
    patience = "5";
}

static void test_broken_servers_get_a_clean_error(void **state)
{
    static const struct {
        enum fake_fault fault;
        const char *words;
    } cases[] = {{FAULT_CLOSE, "closed the connection"},
                 {FAULT_GARBAGE, "not MQTT"},
                 {FAULT_HUGE, "announced a packet of"},
                 {FAULT_FOREIGN_ACK, "awaits none"},
                 {FAULT_REFUSE, "refused the connection: Not authorized (0x87)"},
                 {FAULT_EARLY_PUBLISH, "before CONNACK"},
                 {FAULT_SHORT_SUBACK, "SUBACK"},
                 {FAULT_REFUSE_FILTER, "refused the subscription"},
                 {FAULT_SILENCE, "only 0 of 2 clients"}};

    (void)state;
    patience = "1";
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fake_broker *broker = fake_start(cases[i].fault, 3);

        assert_int_equal(run(broker, "p2p --qos 1"), BENCH_FAILED);
        if (strstr(verdict(), cases[i].words) == NULL) {
            fail_msg("fault %d was reported as: %s", (int)cases[i].fault, verdict());
        }
        fake_stop(broker);
    }
    patience = "5";
}

static void test_nobody_listens(void **state)
{
    struct fake_broker *broker = fake_start(FAULT_NONE, NEVER);
    struct fake_broker gone = {.port = broker->port};

    (void)state;
    fake_stop(broker);
    assert_int_equal(run(&gone, "p2p"), BENCH_FAILED);
    assert_non_null(strstr(verdict(), "cannot connect"));
    assert_int_equal(run(&gone, "connection-storm"), BENCH_FAILED);
    assert_int_equal(run(&gone, "retained-storm"), BENCH_FAILED);
    assert_int_equal(run(&gone, "idle --count 3"), BENCH_FAILED);
}

static void test_connections(void **state)
{
    struct fake_broker *broker = fake_start(FAULT_NONE, NEVER);

    (void)state;
    assert_int_equal(run(broker, "connection-storm --count 4"), BENCH_OK);
    assert_true(number("connections") > 4);
    assert_true(number("not_closed") == 0);
    assert_int_equal(run(broker, "idle --count 20"), BENCH_OK);
    assert_true(number("connections") == 20);
    assert_int_equal(run(broker, "reconnect-storm --count 7"), BENCH_OK);
    assert_true(number("storms") >= 1);
    assert_int_equal(
        (int)cJSON_GetObjectItem(cJSON_GetObjectItem(result, "latency_us"), "count")->valuedouble,
        7 * (int)number("storms"));
    fake_stop(broker);
}

/* A subscriber that reads 100 messages a second gets them late, or not at all; nobody waits for it. */
static void test_slow_subscribers(void **state)
{
    struct fake_broker *broker = fake_start(FAULT_NONE, NEVER);

    (void)state;
    assert_int_equal(run(broker, "slow-subscriber --subscribers 3 --rate 2000 --duration 0.3"),
                     BENCH_OK);
    assert_true(number("lost") == 0);
    assert_true(number("received") >= 2 * number("sent"));
    assert_true(number("slow_lacked") + number("received") == 3 * number("sent"));
    fake_stop(broker);
}

static void test_pub_sub_and_conn(void **state)
{
    struct fake_broker *broker = fake_start(FAULT_NONE, NEVER);

    (void)state;
    assert_int_equal(bench(broker, "start pub -t a/%i -c 3 -i 0 -I 1 -L 50 -q 1 -V 4"), BENCH_OK);
    assert_int_equal(broker->messages, 50);
    assert_int_equal(bench(broker, "pub -t a -c 1 -I 0 -L 2000 -s 16 -V 4"), BENCH_OK);
    assert_int_equal(broker->messages, 2050);
    assert_int_equal(bench(broker, "conn -c 5 -i 1 --duration 0.05 -V 4"), BENCH_OK);
    assert_int_equal(bench(broker, "sub -t x -c 5 -i 1 --duration 0.05 -V 4"), BENCH_OK);
    fake_stop(broker);
}

static void test_usage(void **state)
{
    struct fake_broker gone = {.port = 1};

    (void)state;
    assert_int_equal(bench(&gone, "fly"), BENCH_USAGE);
    assert_int_equal(bench(&gone, "run"), BENCH_USAGE);
    assert_int_equal(bench(&gone, "run fly"), BENCH_USAGE);
    assert_int_equal(bench(&gone, "run p2p --size 3"), BENCH_USAGE);
    assert_int_equal(bench(&gone, "run p2p --publishers 3"), BENCH_USAGE);
    assert_int_equal(bench(&gone, "run fan-in --pairs 3"), BENCH_USAGE);
    assert_int_equal(bench(&gone, "run p2p --json /nowhere/at/all"), BENCH_USAGE);
    assert_int_equal(bench(&gone, "run p2p --prometheus 65536"), BENCH_USAGE);
    assert_int_equal(bench(&gone, "run --show fly"), BENCH_USAGE);
    assert_int_equal(bench(&gone, "run --show p2p"), BENCH_OK);
    assert_int_equal(bench(&gone, "run --list"), BENCH_OK);
    assert_int_equal(bench(&gone, "run p2p --cpu x"), BENCH_USAGE);
    assert_int_equal(bench(&gone, "run p2p --ifaddr nowhere"), BENCH_USAGE);
    assert_int_equal(bench(&gone, "run wildcard --publishers 2000"), BENCH_USAGE);
    assert_int_equal(bench(&gone, "run idle --count 9999999"), BENCH_USAGE);
    assert_int_equal(bench(&gone, "run p2p --broker-pid 2147483647"), BENCH_USAGE);
    assert_int_equal(bench(&gone, "pub"), BENCH_USAGE);
    assert_int_equal(bench(&gone, "run --help"), BENCH_OK);
    assert_int_equal(bench(&gone, "start conn --help"), BENCH_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_good_broker),
        cmocka_unit_test(test_the_pace_is_kept),
        cmocka_unit_test(test_counted_faults),
        cmocka_unit_test(test_broken_servers_get_a_clean_error),
        cmocka_unit_test(test_nobody_listens),
        cmocka_unit_test(test_connections),
        cmocka_unit_test(test_slow_subscribers),
        cmocka_unit_test(test_pub_sub_and_conn),
        cmocka_unit_test(test_usage),
    };
    int file = mkstemp(json_path), failed;

    if (file < 0) {
        return 1;
    }
    close(file);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    cJSON_Delete(result);
    unlink(json_path);
    return failed;
}
