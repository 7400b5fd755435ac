/* SPDX-License-Identifier: MIT
 *
 * Unit tests of bench/scenario: files, their mistakes, --scale; and every scenario of the program.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "bench/scenario.h"

static char path[] = "/tmp/shardmq-scenario-XXXXXX";
static char error[512];
static struct bench_options options;
static struct scenario_source source;

static bool read_text(const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    options_preset(&options, RUN);
    return scenario_read(&source, path, &options, error, sizeof(error));
}

static void test_a_file(void **state)
{
    (void)state;
    assert_true(read_text("# what it is\n"
                          "\n"
                          "description = ten of them # and more\n"
                          "  pattern=all  \r\n"
                          "subscribers =   10\n"
                          "interval_of-msg"
                          "\n") == false);
    assert_non_null(strstr(error, ":6: a line is \"option = value\""));
    scenario_fini(&source);
    assert_true(read_text("description = ten of them # and more\n  pattern=all  \r\n"
                          "slow-subscribers-are-no = 1") == false);
    scenario_fini(&source);
    assert_true(read_text("description = ten of them # and more\n  pattern=all  \r\n"
                          "subscribers =   10\nbroker_pid = 5"));
    assert_string_equal(options.description, "ten of them # and more");
    assert_string_equal(options.pattern, "all");
    assert_int_equal(options.subscribers, 10);
    assert_int_equal(options.broker_pid, 5);
    assert_true(OPTIONS_GIVEN(&options, subscribers));
    assert_false(OPTIONS_GIVEN(&options, publishers));
    scenario_fini(&source);
}

static void test_mistakes_name_the_line(void **state)
{
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"qos = 3", ":1: --qos must be"},
        {"\nsubscribrs = 3", ":2: unknown option"},
        {"pairs = 1\npairs = 2", ":2: pairs is set twice"},
        {"count = many", ":1: --count takes a whole number"},
        {"= 3", ":1: \"\" is not the name of an option"},
        {"--qos = 1", ":1: \"--qos\" is not the name"},
        {"help = 1", "not the name"},
        {"limit = 5", "no meaning"},
        {"duration = soon", "number of seconds"},
        {"spin = maybe", "true or false"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        assert_false(read_text(cases[i].text));
        if (strstr(error, cases[i].words) == NULL || strstr(error, path) == NULL) {
            fail_msg("\"%s\" is reported as: %s", cases[i].text, error);
        }
        scenario_fini(&source);
    }
    options_preset(&options, RUN);
    assert_false(scenario_read(&source, "no-such", &options, error, sizeof(error)));
    assert_non_null(strstr(error, "--list"));
    scenario_fini(&source);
    assert_false(scenario_read(&source, "./no/such.conf", &options, error, sizeof(error)));
    assert_non_null(strstr(error, "cannot read"));
    scenario_fini(&source);
}

static void test_scale(void **state)
{
    bool fixed[OPTIONS_COUNT] = {false};

    (void)state;
    assert_true(read_text("pairs = 100\nrate = 1000\nwindow_budget = 50\nscales = pairs, rate"));
    options.scale = 0.25;
    assert_true(scenario_scale(&options, fixed, error, sizeof(error)));
    assert_int_equal(options.pairs, 25);
    assert_int_equal(options.rate, 250);
    assert_int_equal(options.window_budget, 50);
    fixed[OPTION_INDEX_pairs] = true;
    options.scale = 0.0001;
    assert_true(scenario_scale(&options, fixed, error, sizeof(error)));
    assert_int_equal(options.pairs, 25);
    assert_int_equal(options.rate, 1);
    scenario_fini(&source);
    assert_true(read_text(
        "pattern = all\npublishers = 9\ntopics = 6\nsubscribers = 20\nslow_subscribers = 2\n"
        "scales = publishers, subscribers"));
    options.scale = 0.01;
    assert_true(scenario_scale(&options, fixed, error, sizeof(error)));
    assert_int_equal(options.subscribers, 3);
    assert_int_equal(options.publishers, 1);
    assert_int_equal(options.topics, 1);
    options.scales = "pattern";
    assert_false(scenario_scale(&options, fixed, error, sizeof(error)));
    options.scales = NULL;
    assert_false(scenario_scale(&options, fixed, error, sizeof(error)));
    options.scale = 1;
    assert_true(scenario_scale(&options, fixed, error, sizeof(error)));
    scenario_fini(&source);
}

static void test_the_scenarios_of_the_program(void **state)
{
    static const char *const names[] = {"p2p",
                                        "fan-out",
                                        "fan-in",
                                        "shared",
                                        "wildcard",
                                        "paced",
                                        "retained-storm",
                                        "connection-storm",
                                        "reconnect-storm",
                                        "slow-subscriber",
                                        "idle",
                                        "conn-tcp-1M-5K",
                                        "conn-tcp-10K-100",
                                        "fanout-5-1000-5-250K",
                                        "fanout-1-1K",
                                        "p2p-50K-50K",
                                        "p2p-1K-1K",
                                        "sharedsub-50K-500",
                                        "sharedsub-1K-5",
                                        "Retained storm",
                                        "CONN_TCP_1m-5k"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
        assert_non_null(scenario_find(names[i]));
    }
    for (size_t i = 0; i < scenario_file_count; i++) {
        bool fixed[OPTIONS_COUNT] = {false};

        options_preset(&options, RUN);
        if (!scenario_read(&source, scenario_files[i].name, &options, error, sizeof(error))) {
            fail_msg("%s", error);
        }
        assert_non_null(options.description);
        assert_string_equal(source.name, scenario_files[i].name);
        options.scale = 0.5;
        assert_true(scenario_scale(&options, fixed, error, sizeof(error)));
        assert_true(options_check(&options, error, sizeof(error)));
        scenario_fini(&source);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_file),
        cmocka_unit_test(test_mistakes_name_the_line),
        cmocka_unit_test(test_scale),
        cmocka_unit_test(test_the_scenarios_of_the_program),
    };
    int file = mkstemp(path), failed;

    if (file < 0) {
        return 1;
    }
    close(file);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
