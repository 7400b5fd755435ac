/* SPDX-License-Identifier: MIT */
#include "unit/conf/conf_test.h"

#include "base/random.h"

static void test_forms_of_one_setting(void **state)
{
    static const char *const texts[] = {
        "mqtt.max_qos = 1",
        "mqtt.max_qos=1\n",
        "mqtt { max_qos = 1 }",
        "mqtt = { max_qos : 1 }",
        "mqtt:{max_qos:1}",
        "{ \"mqtt\": { \"max_qos\": 1 } }",
        "{\"mqtt\":{\"max_qos\":\"1\"}}\n",
        "mqtt\n{\n  max_qos = 1\n}\n",
        "  # comment\n// another\nmqtt { # here\n max_qos = 1 // and here\n } # there",
        "mqtt { max_qos = 1, }",
        "mqtt { max_keep_alive = 0, max_qos = 1 }",
        "mqtt { retain_available = true }, mqtt { max_qos = 1 }",
        "mqtt { retain_available = true }\nmqtt.max_qos = 1\r\n",
        "\xEF\xBB\xBFmqtt.\"max_qos\" = \"\\u0031\"",
        "\n\n{\nmqtt { max_qos = 1 }\n}\n# end",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
        struct conf *conf = load_form(texts[i], CONF_FORM_HOCON);

        if (conf == NULL)
            fail_msg("%s: %s", texts[i], errors);
        assert_int_equal(conf->mqtt_max_qos, 1);
        if (strstr(texts[i], "}, mqtt {") == NULL)
            assert_string_equal(conf->warnings, "");
        conf_free(conf);
    }
}

static void test_scalars(void **state)
{
    struct conf *conf = load("log.dir = /var/log/my broker \n"
                             "log.file = \"a\\\"b\\\\c # d.log\"\n"
                             "mqtt.response_information = a//b#c // a comment\n"
                             "log.to = [console, \"file\",\n  syslog, # why\n]\n"
                             "mqtt.max_packet_size = 2 MB\n"
                             "system.user = \"\"\n");

    (void)state;
    assert_string_equal(conf->log_dir, "/var/log/my broker");
    assert_string_equal(conf->log_file, "a\"b\\c # d.log");
    assert_string_equal(conf->mqtt_response_information, "a//b#c");
    assert_int_equal(conf->log_to, 7);
    assert_int_equal(conf->mqtt_max_packet_size, 2 << 20);
    assert_string_equal(conf->system_user, "");
    conf_free(conf);
}

/* What NanoMQ ships, without what this version lacks. */
static void test_a_file_of_nanomq(void **state)
{
    struct conf *conf =
        load("system {\n\tdaemon = false\n\tnum_taskq_thread = 2\n\tparallel = 0\n}\n"
             "mqtt {\n\tproperty_size = 32\n\tmax_packet_size = 256MB\n"
             "\tmax_mqueue_len = 2048\n\tretry_interval = 10s\n"
             "\tkeepalive_multiplier = 1.25\n\tmax_inflight_window = 2048\n}\n"
             "listeners.tcp {\n\tbind = \"0.0.0.0:1883\"\n}\n"
             "listeners.ws {\n enable = false\n\tbind = \"0.0.0.0:8083/mqtt\"\n}\n"
             "http_server {\n enable = false\n port = 8081\n username = admin\n}\n"
             "log {\n to = [file, console]\n level = warn\n dir = \"/tmp\"\n"
             " file = \"nanomq.log\"\n rotation {\n size = 10MB\n count = 5\n }\n}\n"
             "auth {\n allow_anonymous = true\n no_match = allow\n"
             " deny_action = ignore\n}\n"
             "bridges.mqtt.emqx1 { enable = false, server = \"mqtt-tcp://a:1883\" }\n");

    (void)state;
    assert_int_equal(conf->shards_count, 2);
    assert_int_equal(conf->mqtt_max_mqueue_len, 2048);
    assert_int_equal(conf->mqtt_keepalive_multiplier, 1250);
    assert_int_equal(conf->listener_count, 2);
    assert_string_equal(conf->listeners[0].address.host, "0.0.0.0");
    assert_false(conf->listeners[1].enable);
    assert_non_null(strstr(conf->warnings, "t.conf:4: system.parallel has no effect: "));
    assert_non_null(strstr(conf->warnings, "t.conf:7: mqtt.property_size has no effect: "));
    assert_non_null(strstr(conf->warnings, "t.conf:10: mqtt.retry_interval has no effect: "));
    assert_null(strstr(conf->warnings, "auth"));
    conf_free(conf);
}

static void test_duplicates_warn(void **state)
{
    struct conf *conf = load("mqtt {\n max_qos = 0\n}\n mqtt.max_qos = 1\n"
                             "mqtt { max_qos = 2 }, log = x\n"
                             "log { level = info }");

    (void)state;
    assert_int_equal(conf->mqtt_max_qos, 2);
    assert_int_equal(conf->log_level, CONF_LOG_LEVEL_INFO);
    assert_string_equal(
        conf->warnings,
        "t.conf:4: mqtt.max_qos was set in line 2 of t.conf already; the last one counts\n"
        "t.conf:5: mqtt.max_qos was set in line 4 of t.conf already; the last one counts\n"
        "t.conf:6: log was set in line 5 of t.conf already; the last one counts\n");
    conf_free(conf);
}

struct broken {
    const char *text, *errors;
};

static const struct broken broken[] = {
    {"mqtt {", "t.conf:1: a block is not closed with }\n"},
    {"mqtt {\n max_qos = 1\n", "t.conf:3: a block is not closed with }\n"},
    {"}\n", "t.conf:1: there is no block that this } closes\n"},
    {"\nmqtt {\n}\n}\n", "t.conf:4: there is no block that this } closes\n"},
    {"{ mqtt { } } x", "t.conf:1: the end of the file was expected, not \"x\"\n"},
    {"mqtt.max_qos", "t.conf:1: = or { was expected after mqtt.max_qos, not the end of the file\n"},
    {"mqtt.max_qos 1", "t.conf:1: = or { was expected after mqtt.max_qos, not \"1\"\n"},
    {"mqtt.max_qos =\n", "t.conf:1: mqtt.max_qos has no value; an empty text is \"\"\n"},
    {"mqtt.max_qos = # 1\n", "t.conf:1: mqtt.max_qos has no value; an empty text is \"\"\n"},
    {"mqtt { max_qos = }", "t.conf:1: a value was expected, not \"}\"\n"},
    {"= 1", "t.conf:1: a key was expected, not \"= 1\"\n"},
    {"[1]", "t.conf:1: a key was expected, not \"[1]\"\n"},
    {"mqtt..max_qos = 1", "t.conf:1: a key was expected, not \".max_qos = 1\"\n"},
    {".mqtt = 1", "t.conf:1: a key was expected, not \".mqtt = 1\"\n"},
    {"\"\" = 1", "t.conf:1: : a part of the key is empty\n"},
    {"\"a.b\" = 1", "t.conf:1: a quoted key must not hold a dot\n"},
    {"system.user = \"x", "t.conf:1: a quoted text is not closed in its line\n"},
    {"system.user = \"x\ny\"", "t.conf:1: a quoted text is not closed in its line\n"},
    {"system.user = \"\\q\"", "t.conf:1: there is no escape sequence \\q\n"},
    {"system.user = \"\\u12\"", "t.conf:1: there is no escape sequence \\u\n"},
    {"system.user = \"\\u0000\"",
     "t.conf:1: \\u0000 cannot be a character here; write it as it is\n"},
    {"system.user = \"a\" \"b\"",
     "t.conf:1: a comma or the end of the line was expected, not \"\"b\"\"\n"},
    {"system.user = a\"b\"",
     "t.conf:1: the value must be quoted as a whole, or end before \"\"b\"\"\n"},
    {"system.user = ${HOME}", "t.conf:1: substitutions (${...}) are not part of the format\n"},
    {"log.to += console", "t.conf:1: log.to: += is not part of the format\n"},
    {"log.to = [console", "t.conf:1: a list is not closed with ]\n"},
    {"log.to = [console,", "t.conf:1: a list is not closed with ]\n"},
    {"log.to = [{a=1}]", "t.conf:1: log.to: takes one value, or a list of words\n"},
    {"log.to = [[console]]", "t.conf:1: log.to: takes one value, or a list of words\n"},
    {"mqtt = 1", "t.conf:1: mqtt: there is no such option\n"},
    {"mqtt.max_qos { x = 1 }",
     "t.conf:1: mqtt.max_qos.x: there is no such option; did you mean mqtt.max_qos?\n"},
    {"include a.conf", "t.conf:1: = or { was expected after include, not \"a.conf\"\n"},
    {"include \"none.conf\"", "none.conf: No such file or directory\n"
                              "t.conf:1: none.conf is included here\n"},
    {"\n\ninclude \"t.conf\"", "t.conf:3: files are included more than 8 deep\n"
                               "t.conf:3: t.conf is included here\n"
                               "t.conf:3: t.conf is included here\n"
                               "t.conf:3: t.conf is included here\n"
                               "t.conf:3: t.conf is included here\n"
                               "t.conf:3: t.conf is included here\n"
                               "t.conf:3: t.conf is included here\n"
                               "t.conf:3: t.conf is included here\n"
                               "t.conf:3: t.conf is included here\n"},
    {"a = 1\n\n b.\xff = 1", "t.conf:3: this is not UTF-8 text\n"},
    /* every wrong value is told, not only the first */
    {"mqtt {\n max_qos = 3\n max_qso = 1\n}\nlog.level = loud\n",
     "t.conf:2: mqtt.max_qos: must be from 0 to 2, not 3\n"
     "t.conf:3: mqtt.max_qso: there is no such option; did you mean mqtt.max_qos?\n"
     "t.conf:5: log.level: takes fatal, error, warn, info, debug or trace, not \"loud\"\n"},
};

static void test_broken_files_say_where(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(broken); i++)
        expect_errors(broken[i].text, CONF_FORM_HOCON, broken[i].errors);
}

static void test_includes(void **state)
{
    struct conf *conf;
    static const char *const inner =
        "max_qos = 1 # of the file in the folder\ninclude \"two.conf\"";

    (void)state;
    assert_int_equal(mkdir("folder", 0700), 0);
    write_bytes("folder/one.conf", inner, strlen(inner));
    write_bytes("folder/two.conf", "{ receive_maximum = 7 }", 23);
    conf = load("mqtt {\n include \"folder/one.conf\"\n max_topic_levels = 9\n}");
    assert_int_equal(conf->mqtt_max_qos, 1);
    assert_int_equal(conf->mqtt_receive_maximum, 7);
    assert_int_equal(conf->mqtt_max_topic_levels, 9);
    conf_free(conf);
    write_bytes("folder/two.conf", "\nreceive_maximum = 0", 20);
    expect_errors("mqtt {\n include \"folder/one.conf\"\n}", CONF_FORM_HOCON,
                  "folder/two.conf:2: mqtt.receive_maximum: must be from 1 to 65535, not 0\n");
}

/* Limits that keep a broken file from using up the stack or the memory. */
static void test_limits(void **state)
{
    char *text = malloc(9000000);
    size_t used = 0;

    (void)state;
    assert_non_null(text);
    for (int i = 0; i < 40; i++)
        used += (size_t)sprintf(text + used, "a {");
    expect_errors(text, CONF_FORM_HOCON,
                  "t.conf:1: blocks and lists are nested more than 32 deep\n");
    used = (size_t)sprintf(text, "a = ");
    memset(text + used, '[', 100000);
    text[used + 100000] = '\0';
    expect_errors(text, CONF_FORM_HOCON,
                  "t.conf:1: blocks and lists are nested more than 32 deep\n");
    used = 0;
    for (int i = 0; i < 400001; i++)
        used += (size_t)sprintf(text + used, "%s", i == 0 ? "list = [ 1" : ", 1");
    expect_errors(text, CONF_FORM_HOCON, "t.conf:1: there are too many settings\n");
    memset(text, '#', 8100000);
    text[8100000] = '\0';
    expect_errors(text, CONF_FORM_HOCON, "t.conf: it is larger than 8 megabytes\n");
    memset(text, 'k', 400);
    strcpy(text + 400, " = 1");
    expect_errors(text, CONF_FORM_HOCON, "t.conf:1: the key is too long\n");
    used = (size_t)sprintf(text, "log.dir = ");
    memset(text + used, 'v', 5000);
    text[used + 5000] = '\0';
    expect_errors(text, CONF_FORM_HOCON, "t.conf:1: a text is longer than 1199 bytes\n");
    free(text);
}

static void test_not_a_file(void **state)
{
    struct conf_source source = {.file = "/"};

    (void)state;
    assert_null(conf_load(&source, errors, sizeof(errors)));
    assert_string_equal(errors, "/: it is not a file\n");
    source.file = "nowhere/none.conf";
    assert_null(conf_load(&source, errors, sizeof(errors)));
    assert_string_equal(errors, "nowhere/none.conf: No such file or directory\n");
    write_bytes("nul.conf", "a = 1\0b = 2", 11);
    source.file = "nul.conf";
    assert_null(conf_load(&source, errors, sizeof(errors)));
    assert_string_equal(errors, "nul.conf:1: this is not UTF-8 text\n");
}

/* A crowd of errors does not overflow the caller's buffer. */
static void test_small_buffers_for_errors(void **state)
{
    char small[150];
    struct conf_source source = {.file = "t.conf"};

    (void)state;
    write_bytes("t.conf", "a.a=1\nb.b=1\nc.c=1\nd.d=1\ne.e=1\n", 30);
    assert_null(conf_load(&source, small, sizeof(small)));
    assert_string_equal(small, "t.conf:1: a.a: there is no such option\n"
                               "t.conf:2: b.b: there is no such option\n"
                               "and 3 more errors\n");
}

/* Pieces of the grammar in any order, and any bytes: never a crash, and an answer in words. */
static void test_random_input(void **state)
{
    static const char *const pieces[] = {"mqtt",
                                         ".",
                                         "max_qos",
                                         " = ",
                                         "1",
                                         "{",
                                         "}",
                                         "[",
                                         "]",
                                         ",",
                                         "\n",
                                         "\"",
                                         "\\",
                                         "#",
                                         "//",
                                         "include ",
                                         "\"t2.conf\"",
                                         ":",
                                         "listeners.tcp.",
                                         "bind",
                                         "127.0.0.1:1",
                                         "shards.",
                                         "9",
                                         "\xc3",
                                         "\xa4",
                                         " ",
                                         "log.to",
                                         "console",
                                         "${",
                                         "\\u00",
                                         "\xEF\xBB\xBF",
                                         "\t",
                                         "=",
                                         "auth.",
                                         "true"};
    struct random random = {.state = 0x5eed};

    (void)state;
    write_bytes("t2.conf", "mqtt.max_qos = 1", 16);
    for (int round = 0; round < 1500; round++) {
        char text[512];
        size_t used = 0;
        struct conf_source source = {.file = "t.conf",
                                     .form = (enum conf_form)random_below(&random, 3)};
        struct conf *conf;

        for (uint32_t n = random_below(&random, 40); n > 0; n--) {
            const char *piece = pieces[random_below(&random, ARRAY_LENGTH(pieces))];

            if (round % 4 == 0) {
                text[used++] = (char)random_next(&random);
            } else {
                memcpy(text + used, piece, strlen(piece));
                used += strlen(piece);
            }
        }
        write_bytes("t.conf", text, used);
        conf = conf_load(&source, errors, sizeof(errors));
        assert_true(conf != NULL || errors[0] != '\0');
        conf_free(conf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms_of_one_setting),
        cmocka_unit_test(test_scalars),
        cmocka_unit_test(test_a_file_of_nanomq),
        cmocka_unit_test(test_duplicates_warn),
        cmocka_unit_test(test_broken_files_say_where),
        cmocka_unit_test(test_includes),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_not_a_file),
        cmocka_unit_test(test_small_buffers_for_errors),
        cmocka_unit_test(test_random_input),
    };

    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
