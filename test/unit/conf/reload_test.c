/* SPDX-License-Identifier: MIT */
#include "conf/conf_priv.h"
#include "unit/conf/conf_test.h"

static char told[4096];

static void tell(const char *what, const char *path, const char *running, const char *wanted)
{
    size_t used = strlen(told);

    snprintf(told + used, sizeof(told) - used, "%s %s: %s -> %s\n", what, path, running, wanted);
}

static void applied(void *argument, const char *path, const char *running, const char *wanted)
{
    assert_ptr_equal(argument, told);
    tell("now", path, running, wanted);
}

static void restart(void *argument, const char *path, const char *running, const char *wanted)
{
    assert_ptr_equal(argument, told);
    tell("later", path, running, wanted);
}

static void test_differences(void **state)
{
    struct conf *running = load("shards.1.cpu = 4 #");
    struct conf *wanted =
        load("mqtt { max_qos = 1, max_packet_size = 1MB }, log.to = []\n"
             "system.pid_file = \"/x\"\nshards { count = 2, default.mesh_depth = 64, 1.cpu = 5 }\n"
             "listeners.tcp { bind = \"127.0.0.1:1884\", b.bind = \"127.0.0.1:1885\" }");

    (void)state;
    told[0] = '\0';
    assert_int_equal(conf_diff_reload(running, wanted, applied, restart, told), 10);
    assert_string_equal(told, "later system.pid_file: /tmp/shardmq/shardmq.pid -> /x\n"
                              "now mqtt.max_packet_size: 10MB -> 1MB\n"
                              "now mqtt.max_qos: 2 -> 1\n"
                              "later shards.count: 0 -> 2\n"
                              "now log.to: [console] -> []\n"
                              "later shards.default.mesh_depth: 8192 -> 64\n"
                              "later shards.1.cpu: 4 -> 5\n"
                              "later shards.1.mesh_depth: 8192 -> 64\n"
                              "now listeners.tcp.bind: 127.0.0.1:1883 -> 127.0.0.1:1884\n"
                              "now listeners.tcp.b: absent -> present\n");
    told[0] = '\0';
    assert_int_equal(conf_diff_reload(wanted, running, applied, NULL, told), 10);
    assert_non_null(strstr(told, "now listeners.tcp.b: present -> absent\n"));
    assert_int_equal(conf_diff_reload(wanted, wanted, applied, restart, told), 0);
    conf_free(running);
    conf_free(wanted);
}

/* After conf_keep_boot() only what is in force at once differs: listeners come and go. */
static void test_boot_options_stay(void **state)
{
    struct conf *running = load("listeners.tcp.lan.bind = \"127.0.0.1:7\"\nshards.1.cpu = 4");
    struct conf *wanted =
        load("mqtt.max_qos = 1\nsystem.pid_file = \"/x\"\nshards.count = 2\n"
             "listeners.tcp { a.bind = \"127.0.0.1:8\", b.bind = \"127.0.0.1:9\" }");

    (void)state;
    conf_keep_boot(running, wanted);
    told[0] = '\0';
    assert_int_equal(conf_diff_reload(running, wanted, applied, restart, told), 4);
    assert_string_equal(told, "now mqtt.max_qos: 2 -> 1\n"
                              "now listeners.tcp.lan: present -> absent\n"
                              "now listeners.tcp.a: absent -> present\n"
                              "now listeners.tcp.b: absent -> present\n");
    conf_free(running);
    assert_string_equal(wanted->system_pid_file, "/tmp/shardmq/shardmq.pid"); /* of its own */
    conf_free(wanted);
}

/* ---- printing ---- */

/* A dump does not show secrets, and a file with a dump's stars is refused. */
static char *with_password(char *text)
{
    char *stars = strstr(text, "password = \"***\"");

    assert_non_null(stars);
    assert_null(load_form(text, CONF_FORM_HOCON));
    assert_non_null(strstr(errors, ": http_server.password: *** stands for a value that was not "
                                   "shown; give the value itself\n"));
    stars[0] = '#';
    return text;
}

static void test_a_dump_is_a_file(void **state)
{
    struct conf *conf =
        load("mqtt { response_information = \"a\\\"b\\\\c #\", keepalive_multiplier = 1.333 }\n"
             "log { to = [file, journald], rotation.size = 12345 }\n"
             "shards { 3 { cpu = 1 }, default.busy_poll_us = 7 }\n"
             "listeners.tcp { enable = false, six.bind = \"[::1]:1\" }\n");
    char *text = with_password(dump(conf));
    struct conf *again = load(text);
    char *text_again = with_password(dump(again));

    (void)state;
    assert_int_equal(conf_diff_reload(conf, again, NULL, NULL, NULL), 0);
    assert_string_equal(text, text_again);
    free(text);
    free(text_again);
    conf_free(conf);
    conf_free(again);
}

static char *defaults(void)
{
    char *text = NULL;
    size_t len = 0;
    FILE *file = open_memstream(&text, &len);

    assert_non_null(file);
    conf_dump_defaults(file);
    fclose(file);
    return text;
}

/* Takes the # off the lines that are options; those of the help have a blank after it. */
static void uncomment(char *text)
{
    for (char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += strspn(line, "\n ");
        if (line[0] == '#' && line[1] != ' ' && line[1] != '\n')
            line[0] = ' ';
    }
}

/* A listener with TLS has no default for its certificates, and one file without the other is no use. */
static void name_files(char *text)
{
    static const char *const keys[] = {" certfile = \"\"", " keyfile = \"\""};

    for (unsigned i = 0; i < 2; i++)
        for (char *at = text; (at = strstr(at, keys[i])) != NULL; at++)
            memcpy(at + strlen(keys[i]) - 2, "xx", 2);
}

static void test_the_default_file_holds_the_defaults(void **state)
{
    struct conf *conf = load("");
    char *text = defaults();
    struct conf *commented = load(text), *uncommented;
    unsigned options = 0;

    (void)state;
    assert_int_equal(conf_diff_reload(conf, commented, NULL, NULL, NULL), 1);
    uncomment(text);
    name_files(text);
    uncommented = load(text);
    told[0] = '\0';
    assert_int_equal(conf_diff_reload(conf, uncommented, applied, restart, told), 7);
    assert_string_equal(told, "later http_server.enable: false -> true\n"
                              "now http_server.certfile:  -> xx\n"
                              "now http_server.keyfile:  -> xx\n"
                              "now listeners.ssl: absent -> present\n"
                              "now listeners.ws: absent -> present\n"
                              "now listeners.wss: absent -> present\n"
                              "now listeners.unix: absent -> present\n");
    assert_true(commented->http_server_enable);
    for (const char *at = text; (at = strstr(at, " = ")) != NULL; at++)
        options++;
    assert_in_range(options, conf_row_count - 8, conf_row_count + 20);
    free(text);
    conf_free(conf);
    conf_free(commented);
    conf_free(uncommented);
}

static char *read_source(const char *name)
{
    char path[1024], *text = calloc(1, 100000);
    FILE *file;

    snprintf(path, sizeof(path), SOURCE_DIR "/conf/%s", name);
    file = fopen(path, "rb");
    assert_non_null(file);
    assert_non_null(text);
    assert_in_range(fread(text, 1, 99999, file), 1, 99998);
    fclose(file);
    return text;
}

/* conf/shardmq.conf is what `shardmq start --dump-config --defaults` prints. */
static void test_the_checked_in_file_is_fresh(void **state)
{
    char *made = defaults(), *kept = read_source("shardmq.conf");

    (void)state;
    assert_string_equal(made, kept);
    free(made);
    free(kept);
}

static void test_the_examples_are_good(void **state)
{
    static const char *const names[] = {"small.conf",     "bench.conf", "tls.conf",
                                        "http_auth.conf", "jwt.conf",   "server.conf"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
        char *text = read_source(names[i]);
        struct conf *conf = load(text), *preset = load("");

        assert_string_equal(conf->warnings, "");
        assert_true(conf_diff_reload(preset, conf, NULL, NULL, NULL) > 3);
        conf_free(conf);
        conf_free(preset);
        free(text);
    }
}

static void test_the_list_names_every_option(void **state)
{
    char *text = NULL;
    size_t len = 0;
    FILE *file = open_memstream(&text, &len);

    (void)state;
    assert_non_null(file);
    conf_list_options(file);
    fclose(file);
    for (unsigned i = 0; i < conf_row_count; i++) {
        char line[300];

        snprintf(line, sizeof(line), "%s = ", conf_rows[i].path);
        if (conf_rows[i].kind != CONF_KIND_SECTION && strstr(text, line) == NULL)
            fail_msg("%s is missing", conf_rows[i].path);
    }
    assert_non_null(strstr(text, "mqtt.max_qos = 2  (0 to 2 QoS; reload)\n"));
    assert_non_null(strstr(text, "shards.<n>.cpu = -1  (-1 to 65535 CPU number; start)\n"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_differences),
        cmocka_unit_test(test_boot_options_stay),
        cmocka_unit_test(test_a_dump_is_a_file),
        cmocka_unit_test(test_the_default_file_holds_the_defaults),
        cmocka_unit_test(test_the_checked_in_file_is_fresh),
        cmocka_unit_test(test_the_examples_are_good),
        cmocka_unit_test(test_the_list_names_every_option),
    };

    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
