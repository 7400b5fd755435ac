/* SPDX-License-Identifier: MIT */
#include "conf/conf_priv.h"
#include "unit/conf/conf_test.h"

/* A value as the option `path` takes it, printed again. */
struct good {
    const char *path, *text, *printed;
};

static const struct good good[] = {
    {"mqtt.max_packet_size", "10485760", "10MB"},
    {"mqtt.max_packet_size", "10mb", "10MB"},
    {"mqtt.max_packet_size", "10 MB", "10MB"},
    {"mqtt.max_packet_size", "256K", "256KB"},
    {"mqtt.max_packet_size", "1025B", "1025B"},
    {"mqtt.max_retained_size", "3T", "3TB"},
    {"mqtt.max_retained_size", "0", "0"},
    {"mqtt.connect_timeout", "1500ms", "1500ms"},
    {"mqtt.connect_timeout", "15", "15s"},
    {"mqtt.connect_timeout", "2m", "2m"},
    {"mqtt.connect_timeout", "3600s", "1h"},
    {"mqtt.max_session_expiry", "48h", "2d"},
    {"mqtt.keepalive_multiplier", "1.25", "1.25"},
    {"mqtt.keepalive_multiplier", "10", "10.0"},
    {"mqtt.keepalive_multiplier", "1.333", "1.333"},
    {"mqtt.max_qos", "0", "0"},
    {"mqtt.queue_policy", "Drop_Oldest", "drop_oldest"},
    {"mqtt.retain_available", "no", "false"},
    {"mqtt.retain_available", "TRUE", "true"},
    {"sys.events", "off", "false"},
    {"log.to", "console,file", "[console, file]"},
    {"log.to", "journald , syslog", "[syslog, journald]"},
    {"log.to", "", "[]"},
    {"system.user", "", ""},
};

struct bad {
    const char *path, *text, *sentence;
};

static const struct bad bad[] = {
    {"mqtt.max_packet_size", "", "takes a size, as 512, 64KB, 10MB or 1GB, not \"\""},
    {"mqtt.max_packet_size", "KB", "takes a size, as 512, 64KB, 10MB or 1GB, not \"KB\""},
    {"mqtt.max_packet_size", "1.5MB", "takes a size, as 512, 64KB, 10MB or 1GB, not \"1.5MB\""},
    {"mqtt.max_packet_size", "-1", "takes a size, as 512, 64KB, 10MB or 1GB, not \"-1\""},
    {"mqtt.max_packet_size", "10s", "takes a size, as 512, 64KB, 10MB or 1GB, not \"10s\""},
    {"mqtt.max_packet_size", "1023", "must be from 1KB to 268435460B, not 1023"},
    {"mqtt.max_packet_size", "1TB", "must be from 1KB to 268435460B, not 1TB"},
    {"mqtt.max_retained_size", "9223372036854775807TB",
     "takes a size, as 512, 64KB, 10MB or 1GB, not \"9223372036854775807TB\""},
    {"mqtt.max_retained_size", "99999999999999999999999",
     "takes a size, as 512, 64KB, 10MB or 1GB, not \"99999999999999999999999\""},
    {"mqtt.connect_timeout", "soon", "takes a time, as 500ms, 10s, 5m, 2h or 1d, not \"soon\""},
    {"mqtt.connect_timeout", "999ms", "must be from 1s to 1h, not 999ms"},
    {"mqtt.keepalive_multiplier", "1.2345",
     "takes a number with at most three decimals, not \"1.2345\""},
    {"mqtt.keepalive_multiplier", "1.", "takes a number with at most three decimals, not \"1.\""},
    {"mqtt.keepalive_multiplier", "0.999", "must be from 1.0 to 10.0, not 0.999"},
    {"mqtt.max_qos", "3", "must be from 0 to 2, not 3"},
    {"mqtt.max_qos", "0x1", "takes a whole number, not \"0x1\""},
    {"mqtt.max_qos", "1 ", "takes a whole number, not \"1 \""},
    {"mqtt.queue_policy", "drop", "takes drop_newest or drop_oldest, not \"drop\""},
    {"mqtt.shared_strategy", "random",
     "takes round_robin, least_inflight or sticky, not \"random\""},
    {"mqtt.retain_available", "1", "takes true or false, not \"1\""},
    {"log.to", "console, uds",
     "takes a list of console, file, syslog or journald, not \"console, uds\""},
    {"log.level", "verbose", "takes fatal, error, warn, info, debug or trace, not \"verbose\""},
    {"system.pid_file", "", "must not be empty"},
    {"system.user", "0123456789012345678901234567890123456789012345678901234567890123456789",
     "must not be longer than 64 bytes"},
};

static void test_good_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(good); i++) {
        struct conf *conf = load("");
        const struct conf_row *row = conf_row_find(CONF_SCOPE_BROKER, good[i].path);
        char printed[256], error[256] = "";

        assert_non_null(row);
        if (!conf_value_parse(row, good[i].text, conf, error, sizeof(error)))
            fail_msg("%s = %s: %s", good[i].path, good[i].text, error);
        conf_value_format(row, conf, printed, sizeof(printed));
        assert_string_equal(printed, good[i].printed);
        conf_free(conf);
    }
}

static void test_bad_values_change_nothing(void **state)
{
    struct conf *conf = load(""), *untouched = load("");

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        const struct conf_row *row = conf_row_find(CONF_SCOPE_BROKER, bad[i].path);
        char error[512] = "";

        assert_non_null(row);
        if (conf_value_parse(row, bad[i].text, conf, error, sizeof(error)))
            fail_msg("%s = %s: accepted", bad[i].path, bad[i].text);
        assert_string_equal(error, bad[i].sentence);
    }
    assert_int_equal(conf_diff_reload(conf, untouched, NULL, NULL, NULL), 0);
    conf_free(conf);
    conf_free(untouched);
}

static void test_addresses(void **state)
{
    static const struct {
        const char *text, *host;
        uint16_t port;
        bool ipv6;
    } rows[] = {
        {"127.0.0.1:1883", "127.0.0.1", 1883, false},
        {"0.0.0.0:0", "0.0.0.0", 0, false},
        {"localhost:1", "127.0.0.1", 1, false},
        {"*:1883", "0.0.0.0", 1883, false},
        {"[::1]:65535", "::1", 65535, true},
        {"[::]:1883", "::", 1883, true},
        {"nmq-tcp://0.0.0.0:1883", "0.0.0.0", 1883, false},
        {"broker+tcp://10.0.0.1:1884", "10.0.0.1", 1884, false},
        {"TCP://[fe80::1]:1883", "fe80::1", 1883, true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct conf_address address;
        char error[512] = "";

        if (!conf_value_address(rows[i].text, &address, error, sizeof(error)))
            fail_msg("%s: %s", rows[i].text, error);
        assert_string_equal(address.host, rows[i].host);
        assert_int_equal(address.port, rows[i].port);
        assert_int_equal(address.ipv6, rows[i].ipv6);
    }
}

static void test_bad_addresses(void **state)
{
    static const char *const rows[] = {
        "",
        "1883",
        "127.0.0.1",
        "127.0.0.1:",
        ":1883",
        "1.2.3:1883",
        "::1:1883",
        "[::1]",
        "[::1:1883",
        "127.0.0.1:65536",
        "a.b:1883",
        "127.0.0.1:-1",
        "127.0.0.1:1883/x y",
        "127.0.0.1:1883/x?y",
        "127.0.0.1:00001883x",
        "[127.0.0.1:1]:2",
        "tcp://",
        "unix://x",
        "/a\nb",
        "1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16.17.18.19.20.21:1",
    };
    struct conf_address address = {.host = "before"};
    char error[512];

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        if (conf_value_address(rows[i], &address, error, sizeof(error)))
            fail_msg("%s: accepted", rows[i]);
        assert_string_equal(address.host, "before");
    }
    assert_false(conf_value_address("udp://0.0.0.0:1", &address, error, sizeof(error)));
    assert_string_equal(error, "a listener's URL begins with nmq-tcp://, nmq-tls://, nmq-ws://, "
                               "nmq-wss:// or unix://, not udp://");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_values),
        cmocka_unit_test(test_bad_values_change_nothing),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_bad_addresses),
    };

    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
