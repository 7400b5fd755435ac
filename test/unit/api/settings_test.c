/* SPDX-License-Identifier: MIT
 *
 * The documents, without a server: what they show, and what is taken for each member with each type of JSON.
 */
#include "api/settings.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static char error[1024];
static struct conf *conf;

static int load(void **state)
{
    static const struct conf_override overrides[] = {
        {"http_server.password", "hunter2", "x"},
        {"mqtt.max_packet_size", "1500000", "x"},
        {"listeners.tcp.bind", "[::1]:1885", "x"},
    };
    struct conf_source source = {.overrides = overrides, .override_count = 3};

    (void)state;
    conf = conf_load(&source, error, sizeof(error));
    return conf == NULL;
}

static int unload(void **state)
{
    (void)state;
    conf_free(conf);
    return 0;
}

static void expect_shown(enum settings_document document, const char *section, const char *wanted)
{
    cJSON *shown = settings_show(document, conf, 3, section);
    char *text = cJSON_PrintUnformatted(shown);

    assert_string_equal(text, wanted);
    cJSON_free(text);
    cJSON_Delete(shown);
}

static bool read_text(enum settings_document document, const char *section, const char *text,
                      struct settings_wish *wish)
{
    cJSON *data = cJSON_Parse(text);
    bool good;

    if (data == NULL)
        fail_msg("no JSON: %s", text);
    good = settings_read(document, conf, 3, section, data, wish, error, sizeof(error));
    cJSON_Delete(data);
    return good;
}

/* ---- showing ---- */

static void test_the_documents(void **state)
{
    (void)state;
    expect_shown(SETTINGS_CODE, NULL,
                 "{\"url\":\"nmq-tcp://[::1]:1885\",\"num_taskq_thread\":3,\"max_taskq_thread\":0,"
                 "\"parallel\":0,\"property_size\":0,\"msq_len\":65536,\"allow_anonymous\":true,"
                 "\"daemon\":false,\"qos_duration\":0,"
                 "\"tls\":{\"enable\":false,\"url\":\"\",\"key_password\":null,\"key\":null,"
                 "\"cert\":null,\"cacert\":null,\"verify_peer\":false,"
                 "\"fail_if_no_peer_cert\":false},"
                 "\"websocket\":{\"enable\":false,\"url\":\"\",\"tls_url\":\"\"},"
                 "\"http_server\":{\"enable\":false,\"port\":8081,\"username\":\"admin\","
                 "\"password\":\"***\",\"auth_type\":\"basic\"},"
                 "\"bridge\":{\"bridge_mode\":false,\"address\":\"\",\"proto_ver\":4,"
                 "\"clientid\":\"\",\"username\":\"\",\"password\":\"\",\"clean_start\":true,"
                 "\"keepalive\":60,\"parallel\":0,\"forwards\":[],\"subscription\":[]}}");
    expect_shown(SETTINGS_HOT, NULL,
                 "{\"property_size\":0,\"max_packet_size\":1465,\"client_max_packet_size\":0,"
                 "\"msq_len\":65536,\"qos_duration\":0,\"keepalive_backoff\":1.5,"
                 "\"allow_anonymous\":true,\"enable_mqtt_stream\":false,\"bridge_mode\":false}");
    expect_shown(SETTINGS_REST, "basic",
                 "{\"basic\":{\"url\":\"nmq-tcp://[::1]:1885\",\"num_taskq_thread\":3,"
                 "\"max_taskq_thread\":0,\"parallel\":0,\"property_size\":0,\"daemon\":false,"
                 "\"max_packet_size\":1465,\"client_max_packet_size\":0,\"msq_len\":65536,"
                 "\"qos_duration\":0,\"keepalive_backoff\":1.5,\"allow_anonymous\":true,"
                 "\"ipc_internal\":false}}");
    expect_shown(SETTINGS_REST, "bridge",
                 "{\"bridge\":{\"nodes\":[],\"sqlite\":{\"enable\":false}}}");
    expect_shown(SETTINGS_REST, "sys", "{\"sys\":{\"interval\":\"10s\",\"events\":true}}");
    /* NanoMQ's members first, then those that it has not */
    expect_shown(SETTINGS_REST, "http_server",
                 "{\"http_server\":{\"enable\":false,\"port\":8081,\"addr\":\"127.0.0.1\","
                 "\"username\":\"admin\",\"password\":\"***\",\"auth_type\":\"basic\","
                 "\"ip_addr\":\"127.0.0.1\",\"jwt\":{\"public\":{\"keyfile\":\"\"},\"issuer\":\"\","
                 "\"audience\":\"\",\"leeway\":\"200s\",\"scope_claim\":\"scope\"},"
                 "\"allow_remote_no_auth\":false,\"certfile\":\"\","
                 "\"keyfile\":\"\",\"key_password\":\"\",\"limit_conn\":32,"
                 "\"max_body\":\"1MB\",\"request_timeout\":\"10s\",\"idle_timeout\":\"1m\","
                 "\"cors_origins\":\"\"}}");
    assert_null(settings_show(SETTINGS_REST, conf, 3, "webhook"));
    assert_null(settings_show(SETTINGS_REST, conf, 3, ""));
    assert_null(settings_show(SETTINGS_REST, conf, 3, "bas"));
}

static void test_all_sections(void **state)
{
    cJSON *shown = settings_show(SETTINGS_REST, conf, 3, NULL);
    const cJSON *section;
    unsigned count = 0;

    (void)state;
    cJSON_ArrayForEach(section, shown)
    {
        cJSON *alone = settings_show(SETTINGS_REST, conf, 3, section->string);

        assert_true(cJSON_Compare(section, cJSON_GetObjectItem(alone, section->string), true));
        cJSON_Delete(alone);
        count++;
    }
    assert_in_range(count, 16, 20); /* NanoMQ's eight, and those of the table */
    cJSON_Delete(shown);
}

/* ---- reading ---- */

/* Whatever is read can be sent back as it is: nobody wants anything changed. */
static void test_what_is_shown_is_no_wish(void **state)
{
    (void)state;
    for (enum settings_document document = SETTINGS_CODE; document <= SETTINGS_HOT; document++) {
        cJSON *shown = settings_show(document, conf, 3, NULL);
        struct settings_wish wish;

        if (!settings_read(document, conf, 3, NULL, shown, &wish, error, sizeof(error)))
            fail_msg("%s", error);
        assert_int_equal(wish.count, 0);
        assert_int_equal(wish.without_effect_count, 0);
        cJSON_Delete(shown);
    }
}

static void test_wishes(void **state)
{
    struct settings_wish wish;

    (void)state;
    assert_true(read_text(
        SETTINGS_CODE, NULL,
        "{\"url\":\"nmq-tcp://127.0.0.1:9\",\"msq_len\":7,\"parallel\":4,\"daemon\":true,"
        "\"num_taskq_thread\":3,\"http_server\":{\"password\":\"***\",\"username\":\"a b\"}}",
        &wish));
    assert_int_equal(wish.count, 4);
    assert_string_equal(wish.changes[0].member, "url");
    assert_string_equal(wish.changes[0].path, "listeners.tcp.bind");
    assert_string_equal(wish.changes[0].value, "nmq-tcp://127.0.0.1:9");
    assert_string_equal(wish.changes[1].path, "mqtt.max_mqueue_len");
    assert_string_equal(wish.changes[2].value, "true");
    assert_string_equal(wish.changes[3].member, "http_server.username");
    assert_int_equal(wish.without_effect_count, 1);
    assert_string_equal(wish.without_effect[0], "parallel");
    settings_forget(&wish);
    assert_true(read_text(SETTINGS_REST, NULL,
                          "{\"basic\":{\"max_packet_size\":2048,\"keepalive_backoff\":1.25},"
                          "\"log\":{\"rotation\":{\"size\":\"2MB\"},\"to\":[\"file\",\"console\"]},"
                          "\"shards\":{\"2\":{\"cpu\":1}},\"mqtt\":{\"max_packet_size\":2097152}}",
                          &wish) == false);
    assert_string_equal(error,
                        "mqtt.max_packet_size: basic.max_packet_size is the same setting with "
                        "another value");
    assert_true(read_text(SETTINGS_REST, NULL,
                          "{\"basic\":{\"max_packet_size\":2048,\"keepalive_backoff\":1.25},"
                          "\"log\":{\"rotation\":{\"size\":\"2MB\"},\"to\":[\"file\",\"console\"]},"
                          "\"shards\":{\"2\":{\"cpu\":1}},"
                          "\"listeners\":{\"tcp\":{\"lan\":{\"bind\":\"10.0.0.1:1\"}}}}",
                          &wish));
    assert_int_equal(wish.count, 6);
    assert_string_equal(wish.changes[0].value, "2048KB");
    assert_string_equal(wish.changes[1].value, "1.250");
    assert_string_equal(wish.changes[3].value, "file, console");
    assert_string_equal(wish.changes[4].path, "shards.2.cpu");
    assert_string_equal(wish.changes[5].path, "listeners.tcp.lan.bind");
    settings_forget(&wish);
    assert_true(read_text(SETTINGS_REST, "sys", "{\"sys\":{\"interval\":5}}", &wish));
    assert_string_equal(wish.changes[0].value, "5s");
    settings_forget(&wish);
}

/* NanoMQ's document of auth.http_auth: numbers of seconds, names of parameters; credentials are not shown. */
static void test_backends_over_http(void **state)
{
    static const struct conf_override overrides[] = {
        {"auth.http_auth.auth_req.url", "http://auth.example/auth", "x"},
        {"auth.http_auth.auth_req.params", "clientid=%c,password=%P", "x"},
        {"auth.http_auth.auth_req.headers", "accept=a,authorization=Bearer sesame", "x"},
        {"auth.http_auth.timeout", "1500ms", "x"},
    };
    const struct conf_source source = {.overrides = overrides, .override_count = 4};
    struct conf *with = conf_load(&source, error, sizeof(error)), *plain = conf;
    struct settings_wish wish;

    (void)state;
    assert_non_null(with);
    conf = with;
    expect_shown(
        SETTINGS_REST, "auth_http",
        "{\"auth_http\":{\"enable\":true,\"timeout\":1.5,\"connect_timeout\":5,\"pool_size\":32,"
        "\"cache_ttl\":0,\"auth_req\":{\"url\":\"http://auth.example/auth\",\"method\":\"post\","
        "\"headers\":{\"accept\":\"a\",\"authorization\":\"***\"},\"params\":[\"clientid\","
        "\"password\"],\"tls\":{\"key\":null,\"cert\":null,\"cacert\":null}},"
        "\"acl_req\":{\"url\":null,\"method\":\"post\",\"headers\":{},\"params\":[],"
        "\"tls\":{\"key\":null,\"cert\":null,\"cacert\":null}},"
        "\"super_req\":{\"url\":null,\"method\":\"post\",\"headers\":{},\"params\":[],"
        "\"tls\":{\"key\":null,\"cert\":null,\"cacert\":null}}}}");
    assert_true(
        read_text(SETTINGS_REST, NULL,
                  "{\"auth_http\":{\"timeout\":2.25,\"acl_req\":{\"url\":\"http://h.example\","
                  "\"headers\":{\"accept\":\"x, y\"}}}}",
                  &wish));
    assert_int_equal(wish.count, 3);
    assert_string_equal(wish.changes[0].value, "2250ms");
    assert_string_equal(wish.changes[2].path, "auth.http_auth.acl_req.headers");
    assert_string_equal(wish.changes[2].value, "accept=x\\, y");
    settings_forget(&wish);
    assert_false(read_text(SETTINGS_REST, NULL,
                           "{\"auth_http\":{\"auth_req\":{\"params\":[\"username\"]}}}", &wish));
    assert_non_null(strstr(error, "auth.http_auth.auth_req.params"));
    conf = plain;
    conf_free(with);
}

static void test_what_is_wrong(void **state)
{
    static const struct {
        enum settings_document document;
        const char *section, *data, *sentence;
    } wrong[] = {
        {SETTINGS_CODE, NULL, "[]", "data: takes an object"},
        {SETTINGS_CODE, NULL, "null", "data: takes an object"},
        {SETTINGS_CODE, NULL, "{\"msq_len\":\"7\"}", "msq_len: takes a whole number"},
        {SETTINGS_CODE, NULL, "{\"msq_len\":7.5}", "msq_len: takes a whole number"},
        {SETTINGS_CODE, NULL, "{\"msq_len\":0}", "msq_len: must be from 1 to 1000000, not 0"},
        {SETTINGS_CODE, NULL, "{\"msq_len\":7,\"daemon\":1}", "daemon: takes true or false"},
        {SETTINGS_CODE, NULL, "{\"nothing\":7}", "nothing: there is no such setting"},
        {SETTINGS_CODE, NULL, "{\"mqtt\":{\"max_qos\":1}}", "mqtt: there is no such setting"},
        {SETTINGS_CODE, NULL, "{\"http_server\":7}", "http_server: takes an object"},
        {SETTINGS_CODE, NULL, "{\"http_server\":{\"port\":70000}}",
         "http_server.port: must be from 0 to 65535, not 70000"},
        {SETTINGS_CODE, NULL, "{\"http_server\":{\"ports\":1}}",
         "http_server.ports: there is no such setting"},
        {SETTINGS_CODE, NULL, "{\"http_server\":{\"auth_type\":\"token\"}}",
         "http_server.auth_type: takes basic, no_auth or jwt, not \"token\""},
        {SETTINGS_CODE, NULL, "{\"tls\":{\"enable\":5}}", "tls.enable: takes true or false"},
        {SETTINGS_CODE, NULL, "{\"tls\":{\"key\":\"---\"}}",
         "tls.key: the contents of files are not changed here: change the file, or name another "
         "with "
         "listeners.ssl.keyfile, and reload"},
        {SETTINGS_CODE, NULL, "{\"tls\":{\"keypass\":\"a\",\"key_password\":\"b\"}}",
         "tls.key_password: tls.keypass is the same setting with another value"},
        {SETTINGS_REST, NULL, "{\"websocket\":{\"url\":\"nmq-wss://127.0.0.1:1/x\"}}",
         "websocket.url: this URL is of another kind of listener"},
        {SETTINGS_CODE, NULL, "{\"allow_anonymous\":\"auto\"}",
         "allow_anonymous: takes true or false"},
        {SETTINGS_CODE, NULL, "{\"parallel\":\"4\"}", "parallel: takes a number"},
        {SETTINGS_CODE, NULL, "{\"bridge\":{\"forwards\":[\"a\"]}}",
         "bridge.forwards: bridging is not part of this version"},
        {SETTINGS_CODE, NULL, "{\"url\":\"here\"}",
         "url: takes a numeric address and a port, as 127.0.0.1:1883 or [::1]:1883, not \"here\""},
        {SETTINGS_HOT, NULL, "{\"enable_mqtt_stream\":true}",
         "enable_mqtt_stream: it cannot be changed"},
        {SETTINGS_HOT, NULL, "{\"max_packet_size\":0}",
         "max_packet_size: must be from 1KB to 268435460B, not 0KB"},
        {SETTINGS_HOT, NULL, "{\"max_packet_size\":\"1MB\"}",
         "max_packet_size: takes a whole number of kilobytes"},
        {SETTINGS_HOT, NULL, "{\"keepalive_backoff\":1.00001}",
         "keepalive_backoff: takes a number with at most three decimals"},
        {SETTINGS_REST, "sys", "{\"log\":{}}", "log: this is the section sys alone"},
        {SETTINGS_REST, NULL, "{\"mqtt\":5}", "mqtt: takes an object"},
        {SETTINGS_REST, NULL, "{\"mqtt\":{\"max_qoss\":5}}",
         "mqtt.max_qoss: there is no such option; did you mean mqtt.max_qos?"},
        {SETTINGS_REST, NULL, "{\"mqtt\":{\"max_qos\":{}}}", "mqtt.max_qos: takes a whole number"},
        {SETTINGS_REST, NULL, "{\"log\":{\"rotation\":5}}",
         "log.rotation: there is no such option"},
        {SETTINGS_REST, NULL, "{\"listeners\":{\"tcp\":{\"a b\":{\"bind\":\"127.0.0.1:1\"}}}}",
         "listeners.tcp.a b.bind: a listener's name has 1 to 32 letters, digits, - and _, and no "
         "others"},
        {SETTINGS_REST, NULL, "{\"auth\":[{\"login\":\"a\"}]}", "auth: takes an object"},
        {SETTINGS_REST, NULL, "{\"\":1}", ": there is no such setting"},
        {SETTINGS_REST, NULL, "{\"basic\":{\"\":1}}", "basic.: there is no such setting"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
        struct settings_wish wish;

        if (read_text(wrong[i].document, wrong[i].section, wrong[i].data, &wish))
            fail_msg("%s: accepted", wrong[i].data);
        assert_int_equal(wish.count, 0);
        assert_null(wish.changes);
        assert_null(wish.without_effect);
        assert_string_equal(error, wrong[i].sentence);
    }
}

/* Sets the member of a document to a value; the document of it alone. */
static cJSON *document_with(const char *member, cJSON *value)
{
    cJSON *root = cJSON_CreateObject();

    conf_json_add(root, member, value);
    return root;
}

/* Every member with every type: either nothing is wrong, or there is a sentence with the member's name. */
static void test_every_member_with_every_type(void **state)
{
    static const char *const values[] = {"true", "0",       "-1",          "1.5",  "1e300",
                                         "\"\"", "\"x\"",   "null",        "[]",   "[1]",
                                         "{}",   "\"***\"", "\"\\u00e9\"", "[{}]", "false"};
    unsigned taken = 0, refused = 0;

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        for (size_t v = 0; v < ARRAY_LENGTH(values); v++) {
            cJSON *data = document_with(rows[i].member, cJSON_Parse(values[v]));
            struct settings_wish wish;

            if (settings_read(rows[i].document, conf, 3, NULL, data, &wish, error, sizeof(error))) {
                taken++;
                settings_forget(&wish);
            } else {
                if (strncmp(error, rows[i].member, strlen(rows[i].member)) != 0)
                    fail_msg("%s: %s gives \"%s\"", rows[i].member, values[v], error);
                refused++;
            }
            cJSON_Delete(data);
        }
    }
    assert_in_range(taken, 100, 400);
    assert_in_range(refused, 700, 2500);
}

/* With listeners of all kinds: what is secret is not shown, and what is not set is null. */
static void test_tls_and_websocket(void **state)
{
    struct conf_source source = {.file = "settings-test.conf"};
    struct conf *plain = conf;
    FILE *file;

    (void)state;
    file = fopen("settings-test.pem", "w");
    assert_non_null(file);
    fputs("a certificate\n", file);
    fclose(file);
    file = fopen("settings-test.conf", "w");
    assert_non_null(file);
    fputs("listeners {\n ssl { certfile = \"settings-test.pem\", keyfile = \"settings-test.pem\", "
          "key_password = hunter2, verify_peer = true, cacertfile = \"settings-test.pem\" }\n"
          " ws.inside { bind = \"127.0.0.1:1/mqtt\" }\n tcp.enable = false\n}\n",
          file);
    fclose(file);
    conf = conf_load(&source, error, sizeof(error));
    if (conf == NULL)
        fail_msg("%s", error);
    expect_shown(SETTINGS_REST, "tls",
                 "{\"tls\":{\"enable\":true,\"url\":\"nmq-tls://127.0.0.1:8883\","
                 "\"key_password\":\"***\",\"key\":\"***\",\"cert\":\"a certificate\\n\","
                 "\"cacert\":\"a certificate\\n\",\"verify_peer\":true,"
                 "\"fail_if_no_peer_cert\":false}}");
    expect_shown(SETTINGS_REST, "websocket",
                 "{\"websocket\":{\"enable\":true,\"tls_enable\":false,"
                 "\"url\":\"nmq-ws://127.0.0.1:1/mqtt\",\"tls_url\":null}}");
    test_what_is_shown_is_no_wish(state);
    conf_free(conf);
    /* a certificate's file that holds its key too */
    file = fopen("settings-test.pem", "w");
    fputs("-----BEGIN PRIVATE KEY-----\nhunter\n", file);
    fclose(file);
    conf = conf_load(&source, error, sizeof(error));
    expect_shown(SETTINGS_REST, "tls",
                 "{\"tls\":{\"enable\":true,\"url\":\"nmq-tls://127.0.0.1:8883\","
                 "\"key_password\":\"***\",\"key\":\"***\",\"cert\":\"***\",\"cacert\":\"***\","
                 "\"verify_peer\":true,\"fail_if_no_peer_cert\":false}}");
    conf_free(conf);
    remove("settings-test.pem");
    remove("settings-test.conf");
    conf = plain;
}

/* Every row leads to an option, or to a key that the files know. */
static void test_rows_lead_somewhere(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        char path[PATH_BYTES], why[512];
        cJSON *shown = rows[i].form == FORM_ALIAS ? NULL : show_row(&rows[i], conf, 3);
        const struct reading reading = {.document = rows[i].document};

        assert_true(shown != NULL || find_row(&reading, rows[i].member)->form == FORM_TEXT);
        cJSON_Delete(shown);
        if (rows[i].form == FORM_ALIAS)
            continue;
        if (rows[i].form != FORM_UNUSED) {
            option_path(&rows[i], conf, path);
            assert_true(conf_json_is_option(path));
        } else if (rows[i].option != NULL &&
                   !conf_option_check(rows[i].option, "", why, sizeof(why)) &&
                   strstr(why, "no such option") != NULL) {
            fail_msg("%s: %s", rows[i].member, why);
        }
        for (size_t j = 0; j < i; j++)
            if (rows[j].document == rows[i].document)
                assert_string_not_equal(rows[i].member, rows[j].member);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_documents),
        cmocka_unit_test(test_all_sections),
        cmocka_unit_test(test_what_is_shown_is_no_wish),
        cmocka_unit_test(test_wishes),
        cmocka_unit_test(test_backends_over_http),
        cmocka_unit_test(test_what_is_wrong),
        cmocka_unit_test(test_every_member_with_every_type),
        cmocka_unit_test(test_tls_and_websocket),
        cmocka_unit_test(test_rows_lead_somewhere),
    };

    return cmocka_run_group_tests(tests, load, unload);
}
