/* SPDX-License-Identifier: MIT */
#include "conf/conf_priv.h"
#include "unit/conf/conf_test.h"

/* ---- the old form ---- */

static void test_key_value_files(void **state)
{
    struct conf *conf = load_form("# NanoMQ 0.6\n"
                                  "url=nmq-tcp://0.0.0.0:1884\n"
                                  " daemon = false \r\n"
                                  "num_taskq_thread=4\n"
                                  "max_taskq_thread=4\n"
                                  "msq_len=64\n"
                                  "max_packet_size=1024\n"
                                  "keepalive_backoff=1250\n"
                                  "allow_anonymous=true\n"
                                  "tls.enable=false\n"
                                  "tls.url=nmq-tls://0.0.0.0:8883\n"
                                  "tls.key_password=\n"
                                  "websocket.enable=no\n"
                                  "http_server.enable=false\n"
                                  "http_server.port=8081\n"
                                  "bridge.mqtt.bridge_mode=false\n"
                                  "bridge.mqtt.forwards=topic1/#,topic2/#\n"
                                  "log.to=file, console\n"
                                  "log.rotation.size = 10 MB",
                                  CONF_FORM_DETECT);

    (void)state;
    if (conf == NULL)
        fail_msg("%s", errors);
    assert_int_equal(conf->listener_count, 3);
    assert_string_equal(conf->listeners[0].name, "tcp");
    assert_int_equal(conf->listeners[0].address.port, 1884);
    assert_string_equal(conf->listeners[1].name, "ssl");
    assert_false(conf->listeners[1].enable);
    assert_string_equal(conf->listeners[2].name, "ws");
    assert_false(conf->listeners[2].enable);
    assert_int_equal(conf->shards_count, 4);
    assert_int_equal(conf->mqtt_max_mqueue_len, 64);
    assert_int_equal(conf->mqtt_max_packet_size, 1 << 20);
    assert_int_equal(conf->mqtt_keepalive_multiplier, 1250);
    assert_int_equal(conf->log_to, 1u << CONF_LOG_TO_CONSOLE | 1u << CONF_LOG_TO_FILE);
    assert_string_equal(conf->warnings, "t.conf:5: max_taskq_thread has no effect: the number of "
                                        "threads is fixed: shards.count\n");
    conf_free(conf);
}

static void test_broken_key_value_files(void **state)
{
    char line[2000];

    (void)state;
    expect_errors("url=nmq-tcp://0.0.0.0:1884\nmsq_len\n", CONF_FORM_KEY_VALUE,
                  "t.conf:2: key=value was expected\n");
    expect_errors("=1\n", CONF_FORM_KEY_VALUE, "t.conf:1: : a part of the key is empty\n");
    expect_errors("\n\nmqtt..x=1\n", CONF_FORM_KEY_VALUE,
                  "t.conf:3: mqtt..x: a part of the key is empty\n");
    expect_errors("url=here\n", CONF_FORM_KEY_VALUE,
                  "t.conf:1: url: takes a numeric address and a port, as 127.0.0.1:1883 or "
                  "[::1]:1883, not \"here\"\n");
    memset(line, 'x', sizeof(line) - 1);
    line[sizeof(line) - 1] = '\0';
    expect_errors(line, CONF_FORM_KEY_VALUE, "t.conf:1: the line is too long\n");
    expect_errors("keepalive_backoff=99999999999999999999\n", CONF_FORM_KEY_VALUE,
                  "t.conf:1: keepalive_backoff: takes a number with at most three decimals, "
                  "not \"18446744073709551.615\"\n");
}

static void test_detection(void **state)
{
    static const struct {
        const char *text;
        bool key_value;
    } rows[] = {
        {"", false},
        {"# only a comment\n", false},
        {"url=nmq-tcp://0.0.0.0:1883\n", true},
        {"# x\n\nmsq_len = 64\n", true},
        {"log.to=file,console\n", true},
        {"bridge.mqtt.forwards=a/#,b/#\n", true},
        {"mqtt {\n max_qos=1\n}\n", false},
        {"mqtt.max_qos = 1 # one\n", false},
        {"mqtt.max_qos = 1 // one\n", false},
        {"log.to = [file, console]\n", false},
        {"system.user = \"me\"\n", false},
        {"// x\nmqtt.max_qos = 1\n", false},
        {"include \"x\"\n", false},
        {"mqtt.max_qos: 1\n", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        if (conf_kv_detect(rows[i].text) != rows[i].key_value)
            fail_msg("%s: wrong form", rows[i].text);
    }
}

/* ---- keys ---- */

static void test_absent_parts_are_errors(void **state)
{
    (void)state;
    expect_errors("rules.sqlite { path = x, rules = [{sql = \"SELECT\", table = t}] }",
                  CONF_FORM_HOCON,
                  "t.conf:1: rules.sqlite.path: the rule engine is not part of this version\n"
                  "t.conf:1: rules.sqlite.rules: the rule engine is not part of this version\n");
    /* only the switch of the block itself, or of one around it, turns it off */
    expect_errors("bridges.mqtt.a { enable = false, server = x }\nbridges.mqtt.b { server = y }",
                  CONF_FORM_HOCON,
                  "t.conf:2: bridges.mqtt.b.server: bridging is not part of this version\n");
    /* the last value counts */
    expect_errors("sqlite { enable = false, disk_cache_size = 1 }\nsqlite.enable = true",
                  CONF_FORM_HOCON,
                  "t.conf:1: sqlite.disk_cache_size: persistence is not part of this version\n"
                  "t.conf:2: sqlite.enable: persistence is not part of this version: "
                  "only false is possible\n");
}

static void test_unknown_keys_suggest(void **state)
{
    static const struct {
        const char *key, *near;
    } rows[] = {
        {"mqtt.max_qoss", "mqtt.max_qos"},
        {"mqtt.maxqos", "mqtt.max_qos"},
        {"mqtt.max_packetsize", "mqtt.max_packet_size"},
        {"max_qos", "mqtt.max_qos"},
        {"system.max_qos", "mqtt.max_qos"},
        {"log.levle", "log.level"},
        {"log.rotation.sizes", "log.rotation.size"},
        {"shards.0.mesh_dept", "shards.0.mesh_depth"},
        {"shards.default.cpus", "shards.default.cpu"},
        {"shard.count", "shards.count"},
        {"listeners.tcp.ban", "listeners.tcp.bind"},
        {"listeners.tcp.lan.backlogs", "listeners.tcp.lan.backlog"},
        {"urll", "url"},
        {"xyzzy.nothing_like_it", NULL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        char text[200], wanted[300];

        snprintf(text, sizeof(text), "%s = 1 #", rows[i].key);
        snprintf(wanted, sizeof(wanted), "t.conf:1: %s: there is no such option%s%s%s\n",
                 rows[i].key, rows[i].near != NULL ? "; did you mean " : "",
                 rows[i].near != NULL ? rows[i].near : "", rows[i].near != NULL ? "?" : "");
        expect_errors(text, CONF_FORM_HOCON, wanted);
    }
}

static void test_old_and_new_name_together(void **state)
{
    struct conf *conf = load_form("mqtt.max_mqueue_len=7\nmsq_len=8\n", CONF_FORM_DETECT);

    (void)state;
    assert_non_null(conf);
    assert_int_equal(conf->mqtt_max_mqueue_len, 8);
    assert_string_equal(conf->warnings, "t.conf:2: msq_len is the old name of "
                                        "mqtt.max_mqueue_len, which is set too; the last one "
                                        "counts\n");
    conf_free(conf);
}

/* ---- shards and listeners ---- */

static void test_shards(void **state)
{
    struct conf *conf =
        load("shards {\n 1 { cpu = 5 }\n count = 3\n default { mesh_depth = 512, cpu = 1 }\n"
             " 2.mesh_depth = 64\n}\n shards.61.busy_poll_us = 9\n");

    (void)state;
    assert_int_equal(conf_shard(conf, 0)->cpu, 1);
    assert_int_equal(conf_shard(conf, 0)->mesh_depth, 512);
    assert_int_equal(conf_shard(conf, 1)->cpu, 5);
    assert_int_equal(conf_shard(conf, 1)->mesh_depth, 512); /* whatever the order in the file */
    assert_int_equal(conf_shard(conf, 2)->mesh_depth, 64);
    assert_int_equal(conf_shard(conf, 2)->ring_entries, 1024);
    assert_string_equal(conf->warnings, "shards.61 is configured, but shards.count is 3\n");
    conf_free(conf);
    expect_errors("shards.62.cpu = 0", CONF_FORM_HOCON,
                  "t.conf:1: shards.62.cpu: shards have the numbers 0 to 61\n");
    expect_errors("shards.-1.cpu = 0", CONF_FORM_HOCON,
                  "t.conf:1: shards.-1.cpu: there is no such option; did you mean "
                  "shards.default.cpu?\n");
    expect_errors("shards.count = 63", CONF_FORM_HOCON,
                  "t.conf:1: shards.count: must be from 0 to 62, not 63\n");
}

static void test_listeners(void **state)
{
    struct conf *conf = load(
        "listeners.tcp {\n bind = \"[::1]:1883\"\n lan { bind = \"10.0.0.1:1883\", backlog = 9 }\n"
        " off { enable = false }\n}\nauth.allow_anonymous = true\n");

    (void)state;
    assert_int_equal(conf->listener_count, 3);
    assert_string_equal(conf->listeners[0].name, "tcp");
    assert_true(conf->listeners[0].address.ipv6);
    assert_string_equal(conf->listeners[1].name, "tcp.lan");
    assert_int_equal(conf->listeners[1].backlog, 9);
    assert_false(conf->listeners[2].enable);
    conf_free(conf);
    conf = load("listeners.tcp.lan.bind = \"10.0.0.1:1883\"\nauth.allow_anonymous = true\n");
    assert_int_equal(conf->listener_count, 1); /* naming one replaces the default */
    conf_free(conf);
    conf = load("");
    assert_int_equal(conf->listener_count, 1);
    assert_string_equal(conf->listeners[0].address.host, "127.0.0.1"); /* nothing said: loopback */
    conf_free(conf);
    expect_errors("listeners.tcp.enable = false", CONF_FORM_HOCON,
                  "no listener is enabled: nobody could connect\n");
    expect_errors("listeners.tcp { bind = \"0.0.0.0:1\", b { bind = \"0.0.0.0:1\" } }",
                  CONF_FORM_HOCON, "listeners.tcp and listeners.tcp.b have the same address\n");
    expect_errors(
        "listeners.tcp.\"a b\".bind = \"0.0.0.0:1\"", CONF_FORM_HOCON,
        "t.conf:1: listeners.tcp.a b.bind: a listener's name has 1 to 32 letters, digits, "
        "- and _, and no others\n");
}

/* ---- rules over several options ---- */

static void test_cross_rules(void **state)
{
    char text[300] = "control.socket = \"/";

    (void)state;
    expect_errors("log.file = \"a/b\"", CONF_FORM_HOCON,
                  "log.file is the name of a file; its folder is log.dir\n");
    expect_errors("system { daemon = true, pid_file = \"here.pid\" }", CONF_FORM_HOCON,
                  "with system.daemon, system.pid_file, control.socket, banned.file and log.dir "
                  "must begin with a slash\n");
    memset(text + strlen(text), 'd', 105);
    strcat(text, "/c\"");
    expect_errors(text, CONF_FORM_HOCON,
                  "t.conf:1: control.socket: must not be longer than 107 bytes\n");
    snprintf(text, sizeof(text), "system.pid_file = \"/%0100d/pid\"", 0);
    expect_errors(text, CONF_FORM_HOCON,
                  "the path of the control socket is longer than 107 bytes: set control.socket to "
                  "a shorter one\n");
    expect_errors("shards.3 { receive_buffers = 32768, receive_buffer_size = 1MB }",
                  CONF_FORM_HOCON, "the receive buffers of shard 3 would take more than 4GB\n");
}

static void test_control_socket(void **state)
{
    struct conf *conf = load("system.pid_file = \"/run/a/b.pid\" #");
    char path[200];

    (void)state;
    conf_control_socket(conf, path, sizeof(path));
    assert_string_equal(path, "/run/a/control.sock");
    conf_free(conf);
    conf = load("system.pid_file = \"b.pid\"\ncontrol.socket = \"/x\"");
    conf_control_socket(conf, path, sizeof(path));
    assert_string_equal(path, "/x");
    conf_free(conf);
}

/* ---- layers ---- */

static struct conf *load_layers(const char *const *environment,
                                const struct conf_override *overrides, size_t count)
{
    struct conf_source source = {.file = "t.conf",
                                 .environment = (char *const *)(uintptr_t)environment,
                                 .overrides = overrides,
                                 .override_count = count};

    return conf_load(&source, errors, sizeof(errors));
}

static void test_precedence(void **state)
{
    static const char *const environment[] = {"SHARDMQ_MQTT_MAX_QOS=1",
                                              "SHARDMQ_SHARDS_DEFAULT_CPU=3",
                                              "SHARDMQ_SHARDS_12_CPU=4",
                                              "SHARDMQ_LISTENERS_TCP_BACKLOG=5",
                                              "NANOMQ_MSQ_LEN=50",
                                              "NANOMQ_LOG_LEVEL=error",
                                              "SHARDMQ_LOG_LEVEL=debug",
                                              "NANOMQ_PARALLEL=4",
                                              "NANOMQ_CONF_PATH=/x",
                                              "SHARDMQ_CONF_PATH=/y",
                                              "SHARDMQ_LISTENERS=;tcp/0=12;",
                                              "SHARDMQ_SERVICE_HOST=10.0.0.1",
                                              "SHARDMQ_PORT_1883_TCP=x",
                                              "SHARDMQ_MQTT_RETAIN_AVAILABLE=",
                                              "SHARDMQ_NO_SUCH=1",
                                              "PATH=/bin",
                                              "SHARDMQ_PID_FILE=/tmp/e.pid",
                                              "SHARDMQ_SYS_INTERVAL=1m",
                                              NULL};
    static const struct conf_override overrides[] = {
        {"log.level", "trace", "--log_level"},
        {"url", "nmq-tcp://127.0.0.1:7001", "--url"},
        {"url", "tcp://127.0.0.1:7002", "--url"},
    };
    static const char file[] = "mqtt {\nmax_qos = 0\nmax_topic_levels = 3\nmax_mqueue_len = 9\n}\n"
                               "log.level = fatal\nlisteners.tcp.bind = \"127.0.0.1:1\"\n";
    struct conf *conf;

    (void)state;
    write_bytes("t.conf", file, sizeof(file) - 1);
    conf = load_layers(environment, overrides, ARRAY_LENGTH(overrides));
    if (conf == NULL)
        fail_msg("%s", errors);
    assert_int_equal(conf->mqtt_receive_maximum, 1024);      /* default */
    assert_int_equal(conf->mqtt_max_topic_levels, 3);        /* file */
    assert_int_equal(conf->mqtt_max_qos, 1);                 /* environment over file */
    assert_int_equal(conf->mqtt_max_mqueue_len, 50);         /* by NanoMQ's name */
    assert_int_equal(conf->log_level, CONF_LOG_LEVEL_TRACE); /* command line over all */
    assert_int_equal(conf_shard(conf, 0)->cpu, 3);
    assert_int_equal(conf_shard(conf, 12)->cpu, 4);
    assert_true(conf->mqtt_retain_available); /* an empty variable is none */
    assert_string_equal(conf->system_pid_file, "/tmp/e.pid");
    assert_int_equal(conf->sys_interval_ms, 60000);
    assert_int_equal(conf->listener_count, 2); /* --url replaces what the file says */
    assert_int_equal(conf->listeners[0].address.port, 7001);
    assert_int_equal(conf->listeners[1].address.port, 7002);
    assert_string_equal(conf->warnings,
                        "environment variable SHARDMQ_NO_SUCH: there is no such option; it has no "
                        "effect\n"
                        "environment variable NANOMQ_PARALLEL has no effect: a shard has as much "
                        "work under way as its connections give it\n");
    conf_free(conf);
    conf = load_layers(environment, NULL, 0);
    assert_non_null(conf);
    assert_int_equal(conf->log_level, CONF_LOG_LEVEL_DEBUG); /* our variable over NanoMQ's */
    assert_int_equal(conf->listeners[0].address.port, 1);
    assert_int_equal(conf->listeners[0].backlog, 5);
    conf_free(conf);
}

static void test_errors_of_layers_say_which(void **state)
{
    static const char *const environment[] = {"SHARDMQ_MQTT_MAX_QOS=7", "NANOMQ_TLS_ENABLE=maybe",
                                              NULL};
    static const struct conf_override overrides[] = {{"shards.count", "many", "-t"}};

    (void)state;
    write_bytes("t.conf", "", 0);
    assert_null(load_layers(environment, overrides, 1));
    assert_string_equal(
        errors, "environment variable NANOMQ_TLS_ENABLE: takes true or false, not \"maybe\"\n"
                "environment variable SHARDMQ_MQTT_MAX_QOS: must be from 0 to 2, not 7\n"
                "-t: takes a whole number, not \"many\"\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_key_value_files),
        cmocka_unit_test(test_broken_key_value_files),
        cmocka_unit_test(test_detection),
        cmocka_unit_test(test_absent_parts_are_errors),
        cmocka_unit_test(test_unknown_keys_suggest),
        cmocka_unit_test(test_old_and_new_name_together),
        cmocka_unit_test(test_shards),
        cmocka_unit_test(test_listeners),
        cmocka_unit_test(test_cross_rules),
        cmocka_unit_test(test_control_socket),
        cmocka_unit_test(test_precedence),
        cmocka_unit_test(test_errors_of_layers_say_which),
    };

    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
