/* SPDX-License-Identifier: MIT
 *
 * reload.c without a machine: what the control socket answers, and what stays.
 */
#include "app/reload.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64], file[128], report[4096];
static struct cli command_line;

/* The machine's part, without opening anything. */
static const char *missing;

static bool prepare(struct control *control, const struct conf *conf, char *why, size_t size)
{
    (void)control;
    if (missing == NULL)
        return machine_check(conf, NULL, why, size);
    snprintf(why, size, "%s", missing);
    return false;
}

static const struct machine_reload as_it_is = {.prepare = prepare};

static void write_file(const char *text)
{
    FILE *to = fopen(file, "w");

    assert_non_null(to);
    fputs(text, to);
    fclose(to);
}

static int enter_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/shardmq-reload-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(file, sizeof(file), "%s/t.conf", folder);
    command_line = (struct cli){.conf_file = file};
    return 0;
}

static int leave_folder(void **state)
{
    char command[128];

    (void)state;
    log_teardown();
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    return system(command);
}

static struct conf *load(void)
{
    char errors[1024];
    struct conf *conf = cli_load(&command_line, NULL, errors, sizeof(errors));

    if (conf == NULL)
        fail_msg("%s", errors);
    return conf;
}

static void test_applied_and_restart(void **state)
{
    struct reloader reloader = {.cli = &command_line};
    struct conf *running, *fresh;

    (void)state;
    write_file("log.to = []");
    running = load();
    write_file("log { to = [], level = error }\nmqtt.max_qos = 1\nshards.count = 3");
    fresh = reload(&reloader, &as_it_is, running, report, sizeof(report));
    assert_non_null(fresh);
    assert_string_equal(report, "{\"ok\":true,\"applied\":[\"mqtt.max_qos\",\"log.level\"],"
                                "\"restart\":[\"shards.count\"]}");
    assert_int_equal(fresh->mqtt_max_qos, 1);
    assert_int_equal(fresh->shards_count, 0); /* what is in force, not what is wished */
    assert_int_equal(atomic_load(&log_level_now), LOG_LEVEL_ERROR);
    conf_free(fresh);
    conf_free(running);
}

static void test_a_broken_file_changes_nothing(void **state)
{
    struct reloader reloader = {.cli = &command_line};
    struct conf *running;
    char wanted[1024];

    (void)state;
    write_file("log { to = [], level = warn }");
    running = load();
    assert_true(open_log(running, report, sizeof(report)));
    write_file("log { to = [], level = trace }\nmqtt.max_qos = 3");
    assert_null(reload(&reloader, &as_it_is, running, report, sizeof(report)));
    snprintf(wanted, sizeof(wanted),
             "{\"ok\":false,\"error\":\"%s:2: mqtt.max_qos: must be from 0 to 2, not 3\\n\"}",
             file);
    assert_string_equal(report, wanted);
    assert_int_equal(atomic_load(&log_level_now), LOG_LEVEL_WARN);
    /* a log that cannot be opened is as bad as a wrong value */
    write_file("log { to = [file], dir = \"/nowhere/at/all\", level = trace }");
    assert_null(reload(&reloader, &as_it_is, running, report, sizeof(report)));
    assert_non_null(strstr(report, "cannot make the log folder /nowhere/at/all"));
    assert_int_equal(atomic_load(&log_level_now), LOG_LEVEL_WARN);
    /* and so is a port that cannot be had */
    write_file("log { to = [], level = trace }");
    missing = "cannot listen";
    assert_null(reload(&reloader, &as_it_is, running, report, sizeof(report)));
    assert_string_equal(report, "{\"ok\":false,\"error\":\"cannot listen\"}");
    assert_int_equal(atomic_load(&log_level_now), LOG_LEVEL_WARN);
    missing = NULL;
    /* and so is a file that went away */
    unlink(file);
    assert_null(reload(&reloader, &as_it_is, running, report, sizeof(report)));
    assert_non_null(strstr(report, "No such file or directory"));
    conf_free(running);
}

/* Where the API listens waits for a restart: what makes the new address safe does not make the old one so. */
static void test_the_password_of_an_open_address(void **state)
{
    struct reloader reloader = {.cli = &command_line};
    struct conf *running, *fresh;

    (void)state;
    write_file("log.to = []\nhttp_server { ip_addr = \"0.0.0.0\", password = mine }");
    running = load();
    write_file("log.to = []\nhttp_server.ip_addr = \"127.0.0.1\"");
    assert_null(reload(&reloader, &as_it_is, running, report, sizeof(report)));
    assert_non_null(
        strstr(report, "{\"ok\":false,\"error\":\"http_server.password is the default"));
    write_file("log.to = []\nhttp_server { ip_addr = \"127.0.0.1\", password = yours }");
    fresh = reload(&reloader, &as_it_is, running, report, sizeof(report));
    assert_non_null(fresh);
    assert_string_equal(report, "{\"ok\":true,\"applied\":[\"http_server.password\"],"
                                "\"restart\":[\"http_server.ip_addr\"]}");
    assert_string_equal(fresh->http_server_password, "yours");
    assert_string_equal(fresh->http_server_ip_addr.host, "0.0.0.0");
    conf_free(fresh);
    conf_free(running);
}

static bool reports(const char *array, const char *path)
{
    cJSON *json = cJSON_Parse(report);
    const cJSON *item;
    bool found = false;

    cJSON_ArrayForEach(item, cJSON_GetObjectItem(json, array))
    {
        found = found || strcmp(item->valuestring, path) == 0;
    }
    cJSON_Delete(json);
    return found;
}

/* What is set at run time prevails until the files are read again for their own sake. */
static void test_what_is_set_at_run_time(void **state)
{
    static const struct conf_override level = {"log.level", "debug", "x"},
                                      qos = {"mqtt.max_qos", "0", "x"},
                                      again = {"log.level", "info", "x"},
                                      bad = {"mqtt.max_qos", "9", "x"};
    const struct machine_reload
        first = {.changes = &level, .change_count = 1, .keep = true, .prepare = prepare},
        second = {.changes = &qos, .change_count = 1, .keep = true, .prepare = prepare},
        third = {.changes = &again, .change_count = 1, .keep = true, .prepare = prepare},
        broken = {.changes = &bad, .change_count = 1, .keep = true, .prepare = prepare},
        kept = {.keep = true, .prepare = prepare};
    struct reloader reloader = {.cli = &command_line};
    struct conf *running, *fresh;

    (void)state;
    write_file("log { to = [], level = error }\nmqtt.max_topic_levels = 5");
    command_line.overrides[0] = (struct conf_override){"mqtt.max_qos", "1", "--max_qos"};
    command_line.override_count = 1;
    running = load();
    fresh = reload(&reloader, &first, running, report, sizeof(report));
    assert_string_equal(report, "{\"ok\":true,\"applied\":[\"log.level\"],\"restart\":[]}");
    assert_int_equal(atomic_load(&log_level_now), LOG_LEVEL_DEBUG);
    conf_free(running);
    running = reload(&reloader, &second, fresh, report, sizeof(report));
    assert_int_equal(running->log_level, CONF_LOG_LEVEL_DEBUG);
    assert_int_equal(running->mqtt_max_qos, 0); /* above the command line */
    conf_free(fresh);
    fresh = reload(&reloader, &third, running, report, sizeof(report));
    assert_int_equal(fresh->log_level, CONF_LOG_LEVEL_INFO);
    assert_int_equal(reloader.held_count, 2);
    conf_free(running);
    /* one that fails is not held either */
    assert_null(reload(&reloader, &broken, fresh, report, sizeof(report)));
    assert_string_equal(
        report, "{\"ok\":false,\"error\":\"set at run time: must be from 0 to 2, not 9\\n\"}");
    assert_int_equal(reloader.held_count, 2);
    running = reload(&reloader, &kept, fresh, report, sizeof(report));
    assert_int_equal(running->log_level, CONF_LOG_LEVEL_INFO);
    conf_free(fresh);
    fresh = reload(&reloader, &as_it_is, running, report, sizeof(report)); /* SIGHUP */
    assert_int_equal(fresh->log_level, CONF_LOG_LEVEL_ERROR);
    assert_int_equal(fresh->mqtt_max_qos, 1);
    assert_int_equal(reloader.held_count, 0);
    conf_free(running);
    conf_free(fresh);
    command_line.override_count = 0;
}

/* Files that are not on the disk yet; what is set in them ends what was set at run time. */
static void test_files_as_they_will_be(void **state)
{
    static const struct conf_override level = {"log.level", "debug", "x"},
                                      wanted[] = {{"log.level", "warn", "x"},
                                                  {"mqtt.max_qos", "2", "x"},
                                                  {"shards.count", "3", "x"}};
    struct conf_text text = {
        file,
        (char *)(uintptr_t) "log { to = [], level = warn }\nmqtt.max_qos = 2\nshards.count = 3"};
    const struct conf_files files = {&text, 1};
    const struct machine_reload first = {.changes = &level,
                                         .change_count = 1,
                                         .keep = true,
                                         .prepare = prepare},
                                second = {.path = file,
                                          .files = &files,
                                          .wanted = wanted,
                                          .wanted_count = 3,
                                          .keep = true,
                                          .prepare = prepare};
    struct reloader reloader = {.cli = &command_line};
    struct conf *running, *fresh;

    (void)state;
    write_file("log { to = [], level = error }");
    command_line.overrides[0] = (struct conf_override){"mqtt.max_qos", "1", "--max_qos"};
    command_line.override_count = 1;
    running = load();
    fresh = reload(&reloader, &first, running, report, sizeof(report));
    conf_free(running);
    running = reload(&reloader, &second, fresh, report, sizeof(report));
    assert_non_null(running);
    assert_int_equal(running->log_level, CONF_LOG_LEVEL_WARN);
    assert_int_equal(reloader.held_count, 0);
    assert_true(reports("applied", "log.level") && reports("restart", "shards.count"));
    assert_true(reports("overridden", "mqtt.max_qos")); /* the command line is above the file */
    assert_false(reports("overridden", "log.level") || reports("overridden", "shards.count"));
    conf_free(fresh);
    conf_free(running);
    command_line.override_count = 0;
}

/* What the configuration names is looked at before anything of it is in force. */
static void test_a_certificate_that_is_not_there(void **state)
{
    struct reloader reloader = {.cli = &command_line};
    struct conf *running;

    (void)state;
    write_file("log { to = [], level = warn }");
    running = load();
    assert_true(open_log(running, report, sizeof(report)));
    running->http_server_enable = true;
    write_file("log { to = [], level = trace }\nhttp_server { certfile = none, keyfile = none }");
    assert_null(reload(&reloader, &as_it_is, running, report, sizeof(report)));
    assert_non_null(strstr(report, "none: No such file"));
    assert_int_equal(atomic_load(&log_level_now), LOG_LEVEL_WARN);
    conf_free(running);
}

/* However many errors there are: the answer is one JSON text that fits. */
static void test_a_crowd_of_errors(void **state)
{
    struct reloader reloader = {.cli = &command_line};
    struct conf *running;
    char text[8000] = "";
    cJSON *json;

    (void)state;
    write_file("log.to = []");
    running = load();
    for (int i = 0; i < 200; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "\"\\\"\\\"\\\"%d\" = 1\n", i);
    write_file(text);
    assert_null(reload(&reloader, &as_it_is, running, report, sizeof(report)));
    json = cJSON_Parse(report);
    assert_true(cJSON_IsFalse(cJSON_GetObjectItem(json, "ok")));
    assert_non_null(strstr(cJSON_GetStringValue(cJSON_GetObjectItem(json, "error")), "t.conf:1: "));
    cJSON_Delete(json);
    conf_free(running);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_applied_and_restart),
        cmocka_unit_test(test_a_broken_file_changes_nothing),
        cmocka_unit_test(test_the_password_of_an_open_address),
        cmocka_unit_test(test_what_is_set_at_run_time),
        cmocka_unit_test(test_files_as_they_will_be),
        cmocka_unit_test(test_a_certificate_that_is_not_there),
        cmocka_unit_test(test_a_crowd_of_errors),
    };

    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
