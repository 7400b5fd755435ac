/* SPDX-License-Identifier: MIT
 *
 * The reload of start.c without a machine: what the control socket answers, and what stays.
 */
#include "app/start.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static char folder[64], file[128], report[4096];
static struct cli command_line;

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
    struct starting starting = {.cli = &command_line};
    struct conf *running, *fresh;

    (void)state;
    write_file("log.to = []");
    running = load();
    write_file("log { to = [], level = error }\nmqtt.max_qos = 1\nshards.count = 3");
    fresh = reload(&starting, NULL, running, report, sizeof(report));
    assert_non_null(fresh);
    assert_string_equal(report, "{\"ok\":true,\"applied\":[\"mqtt.max_qos\",\"log.level\"],"
                                "\"restart\":[\"shards.count\"]}");
    assert_int_equal(fresh->mqtt_max_qos, 1);
    assert_int_equal(fresh->shards_count, 0); /* what is in force, not what is wished */
    assert_int_equal(atomic_load(&log_level_now), LOG_LEVEL_ERROR);
    release(&starting, fresh);
    conf_free(running);
}

static void test_a_broken_file_changes_nothing(void **state)
{
    struct starting starting = {.cli = &command_line};
    struct conf *running;
    char wanted[1024];

    (void)state;
    write_file("log { to = [], level = warn }");
    running = load();
    assert_true(open_log(running, report, sizeof(report)));
    write_file("log { to = [], level = trace }\nmqtt.max_qos = 3");
    assert_null(reload(&starting, NULL, running, report, sizeof(report)));
    snprintf(wanted, sizeof(wanted),
             "{\"ok\":false,\"error\":\"%s:2: mqtt.max_qos: must be from 0 to 2, not 3\\n\"}",
             file);
    assert_string_equal(report, wanted);
    assert_int_equal(atomic_load(&log_level_now), LOG_LEVEL_WARN);
    /* a log that cannot be opened is as bad as a wrong value */
    write_file("log { to = [file], dir = \"/nowhere/at/all\", level = trace }");
    assert_null(reload(&starting, NULL, running, report, sizeof(report)));
    assert_non_null(strstr(report, "cannot make the log folder /nowhere/at/all"));
    assert_int_equal(atomic_load(&log_level_now), LOG_LEVEL_WARN);
    /* and so is a file that went away */
    unlink(file);
    assert_null(reload(&starting, NULL, running, report, sizeof(report)));
    assert_non_null(strstr(report, "No such file or directory"));
    conf_free(running);
}

/* Where the API listens waits for a restart: what makes the new address safe does not make the old one so. */
static void test_the_password_of_an_open_address(void **state)
{
    struct starting starting = {.cli = &command_line};
    struct conf *running, *fresh;

    (void)state;
    write_file("log.to = []\nhttp_server { ip_addr = \"0.0.0.0\", password = mine }");
    running = load();
    write_file("log.to = []\nhttp_server.ip_addr = \"127.0.0.1\"");
    assert_null(reload(&starting, NULL, running, report, sizeof(report)));
    assert_non_null(
        strstr(report, "{\"ok\":false,\"error\":\"http_server.password is the default"));
    write_file("log.to = []\nhttp_server { ip_addr = \"127.0.0.1\", password = yours }");
    fresh = reload(&starting, NULL, running, report, sizeof(report));
    assert_non_null(fresh);
    assert_string_equal(report, "{\"ok\":true,\"applied\":[\"http_server.password\"],"
                                "\"restart\":[\"http_server.ip_addr\"]}");
    assert_string_equal(fresh->http_server_password, "yours");
    assert_string_equal(fresh->http_server_ip_addr.host, "0.0.0.0");
    release(&starting, fresh);
    conf_free(running);
}

/* However many errors there are: the answer is one JSON text that fits. */
static void test_a_crowd_of_errors(void **state)
{
    struct starting starting = {.cli = &command_line};
    struct conf *running;
    char text[8000] = "";
    cJSON *json;

    (void)state;
    write_file("log.to = []");
    running = load();
    for (int i = 0; i < 200; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "\"\\\"\\\"\\\"%d\" = 1\n", i);
    write_file(text);
    assert_null(reload(&starting, NULL, running, report, sizeof(report)));
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
        cmocka_unit_test(test_a_crowd_of_errors),
    };

    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
