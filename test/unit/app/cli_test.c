/* SPDX-License-Identifier: MIT */
#include "app/cli.h"
#include "base/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct cli cli;
static char error[4096];

static bool parse(const char *first, ...)
{
    char *argv[32] = {(char *)(uintptr_t) "start"};
    int argc = 1;
    va_list arguments;

    error[0] = '\0';
    va_start(arguments, first);
    for (const char *word = first; word != NULL; word = va_arg(arguments, const char *))
        argv[argc++] = (char *)(uintptr_t)word;
    va_end(arguments);
    return cli_parse(&cli, argc, argv, error, sizeof(error));
}

static void expect_override(size_t index, const char *path, const char *value, const char *where)
{
    assert_true(index < cli.override_count);
    assert_string_equal(cli.overrides[index].path, path);
    assert_string_equal(cli.overrides[index].value, value);
    assert_string_equal(cli.overrides[index].where, where);
}

static void test_nothing(void **state)
{
    (void)state;
    assert_true(parse(NULL));
    assert_int_equal(cli.override_count, 0);
    assert_null(cli.conf_file);
    assert_string_equal(cli.warnings, "");
}

static void test_values(void **state)
{
    (void)state;
    assert_true(parse("--url", "nmq-tcp://127.0.0.1:1", "--url=tcp://127.0.0.1:2", "-t", "4", "-t5",
                      "-S", "64", "-d", "--log-level=debug", "--shards", "2", NULL));
    assert_int_equal(cli.override_count, 8);
    expect_override(0, "url", "nmq-tcp://127.0.0.1:1", "--url");
    assert_string_equal(cli.overrides[1].value, "tcp://127.0.0.1:2");
    expect_override(2, "shards.count", "4", "-t");
    assert_string_equal(cli.overrides[3].value, "5");
    expect_override(4, "mqtt.max_mqueue_len", "64", "-S");
    expect_override(5, "system.daemon", "true", "-d");
    assert_string_equal(cli.overrides[6].path, "log.level");
    assert_string_equal(cli.overrides[6].value, "debug");
    expect_override(7, "shards.count", "2", "--shards");
}

static void test_words(void **state)
{
    (void)state;
    assert_true(parse("--conf", "a.conf", "--check-config", "--dump_config", "--defaults",
                      "--list-options", "--help", "--log_stdout", "false", "--log_syslog=true",
                      "--log_file", "/tmp/x.log", NULL));
    assert_string_equal(cli.conf_file, "a.conf");
    assert_false(cli.conf_is_key_value);
    assert_true(cli.check_config && cli.dump_config && cli.defaults && cli.list_options &&
                cli.help);
    assert_int_equal(cli.log_stdout, CLI_OFF);
    assert_int_equal(cli.log_syslog, CLI_ON);
    assert_string_equal(cli.log_file, "/tmp/x.log");
    assert_true(parse("--old_conf=b.conf", NULL));
    assert_string_equal(cli.conf_file, "b.conf");
    assert_true(cli.conf_is_key_value);
}

/* NanoMQ's options that mean nothing here: accepted, each with one sentence. */
static void test_options_without_effect(void **state)
{
    static const char *const options[] = {"-T", "-n", "-s", "-D", "--max_tq_thread", "--parallel"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(options); i++) {
        size_t len;

        assert_true(parse(options[i], "8", NULL));
        assert_int_equal(cli.override_count, 0);
        assert_memory_equal(cli.warnings, options[i], strlen(options[i]));
        assert_non_null(strstr(cli.warnings, " has no effect: "));
        len = strlen(cli.warnings);
        assert_ptr_equal(strchr(cli.warnings, '\n'), cli.warnings + len - 1);
    }
}

static void test_the_api(void **state)
{
    char error_text[256];
    struct conf *conf;

    (void)state;
    assert_true(parse("--http", "-p", "9000", NULL));
    conf = cli_load(&cli, NULL, error_text, sizeof(error_text));
    if (conf == NULL)
        fail_msg("%s", error_text);
    assert_true(conf->http_server_enable);
    assert_int_equal(conf->http_server_port, 9000);
    conf_free(conf);
    assert_true(parse("--port=9001", NULL));
    conf = cli_load(&cli, NULL, error_text, sizeof(error_text));
    assert_int_equal(conf->http_server_port, 9001);
    assert_false(conf->http_server_enable); /* a port is no switch */
    conf_free(conf);
    assert_true(parse("-p", "65536", NULL));
    assert_null(cli_load(&cli, NULL, error_text, sizeof(error_text)));
    assert_string_equal(error_text, "-p: must be from 0 to 65535, not 65536\n");
}

static void test_what_this_version_lacks(void **state)
{
    static const struct {
        const char *option, *value, *sentence;
    } rows[] = {
        {"--bridge", "x", "--bridge: bridging is not part of this version"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        assert_false(parse(rows[i].option, rows[i].value, NULL));
        assert_string_equal(error, rows[i].sentence);
    }
}

static void test_wrong_options(void **state)
{
    (void)state;
    assert_false(parse("--nothing", NULL));
    assert_string_equal(error, "--nothing: there is no such option; --help lists them");
    assert_false(parse("--log_leve", "warn", NULL));
    assert_string_equal(error, "--log_leve: there is no such option; did you mean --log_level?");
    assert_false(parse("--check-confg=1", NULL));
    assert_string_equal(error,
                        "--check-confg=1: there is no such option; did you mean --check-config?");
    assert_false(parse("-z", NULL));
    assert_false(parse("start", NULL));
    assert_string_equal(error, "start: there is no such option; --help lists them");
    assert_false(parse("-", NULL));
    assert_false(parse("--", NULL));
    assert_false(parse("", NULL));
    assert_false(parse("--conf", NULL));
    assert_string_equal(error, "--conf: needs a value (FILE)");
    assert_false(parse("--daemon=yes", NULL));
    assert_string_equal(error, "--daemon=yes: takes no value");
    assert_false(parse("--log_stdout", "maybe", NULL));
    assert_string_equal(error, "--log_stdout: 'maybe' is neither true nor false");
}

static void test_too_many_options(void **state)
{
    char *argv[2 * CLI_OVERRIDES_MAX + 8];
    int argc = 0;

    (void)state;
    argv[argc++] = (char *)(uintptr_t) "start";
    for (int i = 0; i <= CLI_OVERRIDES_MAX; i++)
        argv[argc++] = (char *)(uintptr_t) "-d";
    assert_false(cli_parse(&cli, argc, argv, error, sizeof(error)));
    assert_string_equal(error, "-d: too many options");
}

static char *help_text(const char *command)
{
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);

    assert_non_null(file);
    cli_help(command, file);
    fclose(file);
    return text;
}

/* The help is made from the same table: it names what is accepted. */
static void test_help_names_every_option(void **state)
{
    static const char *const names[] = {
#define CLI(name, letter, argument, action, detail, help) "--" name,
#include "app/cli.def"
#undef CLI
    };
    char *text = help_text("start");

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
        if (strstr(text, names[i]) == NULL)
            fail_msg("%s is missing in the help", names[i]);
    }
    free(text);
}

/* What only a starting broker can do is not offered by the commands that talk to a running one. */
static void test_help_of_the_other_commands(void **state)
{
    static const char *const commands[] = {"stop", "reload"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(commands); i++) {
        char *text = help_text(commands[i]);

        assert_non_null(strstr(text, "--conf FILE"));
        assert_null(strstr(text, "--daemon"));
        assert_null(strstr(text, "--url"));
        free(text);
    }
}

/* ---- loading ---- */

static struct conf *load(void)
{
    struct conf *conf = cli_load(&cli, NULL, error, sizeof(error));

    if (conf == NULL)
        fail_msg("%s", error);
    return conf;
}

/* No file of this machine may have a say. */
static int name_a_file(void **state)
{
    FILE *file;
    static char path[] = "/tmp/shardmq-cli-XXXXXX";
    int descriptor = mkstemp(path);

    *state = path;
    file = descriptor < 0 ? NULL : fdopen(descriptor, "w");
    if (file == NULL)
        return -1;
    fputs("log.to = [console, file]\nmqtt.max_qos = 1\n", file);
    fclose(file);
    return setenv("SHARDMQ_CONF_PATH", path, 1);
}

static int remove_the_file(void **state)
{
    unsetenv("SHARDMQ_CONF_PATH");
    unsetenv("NANOMQ_CONF_PATH");
    return unlink(*state);
}

static void test_sinks_of_the_command_line(void **state)
{
    struct conf *conf;

    (void)state;
    assert_true(parse("--log_stdout", "false", "--log_syslog", "true", NULL));
    conf = load();
    assert_int_equal(conf->log_to, 1u << CONF_LOG_TO_FILE | 1u << CONF_LOG_TO_SYSLOG);
    conf_free(conf);
    assert_true(parse("--log_file", "/var/log/a.log", NULL));
    conf = load();
    assert_int_equal(conf->log_to, 1u << CONF_LOG_TO_CONSOLE | 1u << CONF_LOG_TO_FILE);
    assert_string_equal(conf->log_dir, "/var/log");
    assert_string_equal(conf->log_file, "a.log");
    conf_free(conf);
    assert_true(parse("--log_file", "b.log", NULL));
    conf = load();
    assert_string_equal(conf->log_dir, ".");
    assert_string_equal(conf->log_file, "b.log");
    conf_free(conf);
    assert_true(parse("--log_file", "/c.log", NULL));
    conf = load();
    assert_string_equal(conf->log_dir, "/");
    conf_free(conf);
}

static void test_which_file(void **state)
{
    struct conf *conf;

    assert_true(parse(NULL));
    conf = load();
    assert_string_equal(conf->file, *state);
    assert_int_equal(conf->mqtt_max_qos, 1);
    conf_free(conf);
    assert_true(parse("--conf", "/nowhere.conf", NULL)); /* named: no other is looked for */
    assert_null(cli_load(&cli, NULL, error, sizeof(error)));
    assert_string_equal(error, "/nowhere.conf: No such file or directory\n");
    assert_true(parse(NULL));
    setenv("NANOMQ_CONF_PATH", "/nowhere.conf", 1); /* ours comes first */
    conf = load();
    assert_string_equal(conf->file, *state);
    conf_free(conf);
    unsetenv("SHARDMQ_CONF_PATH");
    assert_null(cli_load(&cli, NULL, error, sizeof(error)));
    setenv("SHARDMQ_CONF_PATH", *state, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_options_without_effect),
        cmocka_unit_test(test_the_api),
        cmocka_unit_test(test_what_this_version_lacks),
        cmocka_unit_test(test_wrong_options),
        cmocka_unit_test(test_too_many_options),
        cmocka_unit_test(test_help_names_every_option),
        cmocka_unit_test(test_help_of_the_other_commands),
        cmocka_unit_test(test_sinks_of_the_command_line),
        cmocka_unit_test(test_which_file),
    };

    return cmocka_run_group_tests(tests, name_a_file, remove_the_file);
}
