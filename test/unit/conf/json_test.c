/* SPDX-License-Identifier: MIT */
#include "conf/conf_json.h"
#include "conf/conf_priv.h"
#include "unit/conf/conf_test.h"

static void expect_json(cJSON *json, const char *wanted)
{
    char *text = cJSON_PrintUnformatted(json);

    assert_string_equal(text, wanted);
    cJSON_free(text);
    cJSON_Delete(json);
}

static void test_sections(void **state)
{
    struct conf *conf =
        load("log { to = [file, journald], level = debug, rotation { size = 1MB } }\n"
             "http_server { password = hunter2, cors_origins = [a, b] }\n"
             "shards { count = 2, 1 { cpu = 3 } }\n"
             "listeners.tcp { bind = \"[::1]:1\", lan.bind = \"127.0.0.1:2\" }\n"
             "mqtt.keepalive_multiplier = 1.25\n");
    cJSON *section;
    unsigned count = 0;

    (void)state;
    expect_json(conf_json_section(conf, "log"),
                "{\"to\":[\"file\",\"journald\"],\"level\":\"debug\",\"dir\":\"/tmp/shardmq\","
                "\"file\":\"shardmq.log\",\"rotation\":{\"size\":\"1MB\",\"count\":5},"
                "\"format\":\"text\",\"rate_limit\":10}");
    section = conf_json_section(conf, "shards");
    assert_int_equal(cJSON_GetObjectItem(section, "count")->valueint, 2);
    assert_int_equal(
        cJSON_GetObjectItem(cJSON_GetObjectItem(section, "default"), "mesh_depth")->valueint, 8192);
    assert_null(cJSON_GetObjectItem(section, "0")); /* as the default */
    expect_json(cJSON_Duplicate(cJSON_GetObjectItem(section, "1"), true), "{\"cpu\":3}");
    cJSON_Delete(section);
    section = conf_json_section(conf, "listeners");
    assert_string_equal(
        cJSON_GetObjectItem(cJSON_GetObjectItem(cJSON_GetObjectItem(section, "tcp"), "lan"), "bind")
            ->valuestring,
        "127.0.0.1:2");
    cJSON_Delete(section);
    assert_null(conf_json_section(conf, "nothing"));
    expect_json(conf_json_option(conf, "mqtt.keepalive_multiplier"), "1.25");
    expect_json(conf_json_option(conf, "http_server.password"), "\"***\"");
    expect_json(conf_json_option(conf, "http_server.cors_origins"), "\"a, b\"");
    expect_json(conf_json_option(conf, "mqtt.retain_available"), "true");
    expect_json(conf_json_option(conf, "shards.1.cpu"), "3");
    expect_json(conf_json_option(conf, "listeners.tcp.bind"), "\"[::1]:1\"");
    assert_null(conf_json_option(conf, "listeners.tcp.wan.bind"));
    assert_null(conf_json_option(conf, "shards.x.cpu"));
    assert_null(conf_json_option(conf, "mqtt"));
    while (conf_json_section_name(count) != NULL) {
        section = conf_json_section(conf, conf_json_section_name(count++));
        assert_true(cJSON_GetArraySize(section) > 0);
        cJSON_Delete(section);
    }
    assert_in_range(count, 8, 20);
    conf_free(conf);
}

/* Each option with each type of JSON: what is taken is what the option shows, or a form that the header names. */
static void test_every_option_with_every_type(void **state)
{
    static const char *const values[] = {
        "true", "1",       "1.5", "\"x\"", "\"1s\"", "\"1KB\"", "null",  "{}",
        "[]",   "[\"a\"]", "[1]", "-1",    "1e300",  "0.0001",  "1e-30", "[\"a,b\"]"};
    static const char *const taken[] = {
        [CONF_KIND_BOOL] = "true",
        [CONF_KIND_COUNT] = "1 -1",
        [CONF_KIND_INTEGER] = "1 -1",
        [CONF_KIND_FIXED] = "1 1.5",
        [CONF_KIND_SIZE] = "1 -1 \"x\" \"1s\" \"1KB\"",
        [CONF_KIND_DURATION] = "1 -1 \"x\" \"1s\" \"1KB\"",
        [CONF_KIND_CHOICE] = "\"x\" \"1s\" \"1KB\"",
        [CONF_KIND_CHOICES] = "[] [\"a\"]",
        [CONF_KIND_TEXT] = "\"x\" \"1s\" \"1KB\" [] [\"a\"]",
        [CONF_KIND_SECRET] = "\"x\" \"1s\" \"1KB\"",
        [CONF_KIND_MAP] = "{}",
        [CONF_KIND_HEADERS] = "{}",
        [CONF_KIND_ADDRESS] = "\"x\" \"1s\" \"1KB\"",
        [CONF_KIND_HOST] = "\"x\" \"1s\" \"1KB\"",
    };

    (void)state;
    for (unsigned i = 0; i < conf_row_count; i++) {
        const struct conf_row *row = &conf_rows[i];

        if (row->kind == CONF_KIND_SECTION || row->scope != CONF_SCOPE_BROKER)
            continue;
        for (size_t v = 0; v < ARRAY_LENGTH(values); v++) {
            cJSON *value = cJSON_Parse(values[v]);
            char text[CONF_VALUE_BYTES], padded[100], wanted[100];
            bool good =
                conf_json_text(row->path, value, text, sizeof(text), errors, sizeof(errors));

            snprintf(padded, sizeof(padded), " %s ", taken[row->kind]);
            snprintf(wanted, sizeof(wanted), " %s ", values[v]);
            if (good != (strstr(padded, wanted) != NULL))
                fail_msg("%s: %s is %s", row->path, values[v], good ? "taken" : "refused");
            if (!good && strncmp(errors, "takes ", 6) != 0)
                fail_msg("%s", errors);
            cJSON_Delete(value);
        }
    }
}

/* What is shown can be given back. */
static void test_what_is_shown_is_taken(void **state)
{
    struct conf *conf = load("");

    (void)state;
    for (unsigned i = 0; i < conf_row_count; i++) {
        const struct conf_row *row = &conf_rows[i];
        char text[CONF_VALUE_BYTES], shown[CONF_VALUE_BYTES];
        cJSON *value;

        if (row->kind == CONF_KIND_SECTION || row->scope != CONF_SCOPE_BROKER ||
            row->kind == CONF_KIND_SECRET)
            continue;
        value = conf_json_option(conf, row->path);
        if (!conf_json_text(row->path, value, text, sizeof(text), errors, sizeof(errors)) ||
            !conf_option_check(row->path, text, errors, sizeof(errors)))
            fail_msg("%s: %s", row->path, errors);
        assert_true(conf_value_parse(row, text, conf, errors, sizeof(errors)));
        assert_true(conf_option_get(conf, row->path, shown, sizeof(shown)));
        cJSON_Delete(value);
    }
    assert_int_equal(conf_diff_reload(conf, conf, NULL, NULL, NULL), 0);
    conf_free(conf);
}

static void test_checks(void **state)
{
    (void)state;
    assert_true(conf_option_check("mqtt.max_qos", "1", errors, sizeof(errors)));
    assert_true(conf_option_check("msq_len", "1", errors, sizeof(errors)));
    assert_false(conf_option_check("mqtt.max_qos", "3", errors, sizeof(errors)));
    assert_string_equal(errors, "mqtt.max_qos: must be from 0 to 2, not 3");
    assert_false(conf_option_check("mqtt.maxqos", "3", errors, sizeof(errors)));
    assert_string_equal(errors, "mqtt.maxqos: there is no such option; did you mean mqtt.max_qos?");
    assert_false(conf_option_check("shards.x.cpu", "3", errors, sizeof(errors)));
    assert_false(conf_option_check("shards.99.cpu", "3", errors, sizeof(errors)));
    assert_false(conf_option_check("http_server.password", "***", errors, sizeof(errors)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sections),
        cmocka_unit_test(test_every_option_with_every_type),
        cmocka_unit_test(test_what_is_shown_is_taken),
        cmocka_unit_test(test_checks),
    };

    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
