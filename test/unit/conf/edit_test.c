/* SPDX-License-Identifier: MIT
 *
 * What a change makes of a text, byte by byte; then many random ones, of which only the rule is known: the text means
 * the new value and nothing else has changed.
 */
#include "conf/conf_edit.h"
#include "conf/conf_priv.h"
#include "unit/conf/conf_test.h"

static char *read_file(const char *name)
{
    FILE *file = fopen(name, "rb");
    char *text = calloc(1, 100000);

    assert_non_null(text);
    assert_non_null(file);
    assert_in_range(fread(text, 1, 99999, file), 0, 99998);
    fclose(file);
    return text;
}

static struct conf_edit *open_text(const char *text)
{
    struct conf_edit *edit;

    write_bytes("t.conf", text, strlen(text));
    edit = conf_edit_open("t.conf", CONF_FORM_DETECT, errors, sizeof(errors));
    if (edit == NULL)
        fail_msg("%s", errors);
    return edit;
}

static void store(struct conf_edit *edit)
{
    if (!conf_edit_stage(edit, errors, sizeof(errors)) ||
        !conf_edit_commit(edit, errors, sizeof(errors)))
        fail_msg("%s", errors);
}

/* ---- one change ---- */

static const struct {
    const char *before, *path, *value, *after;
} rows[] = {
    /* a value that is there */
    {"mqtt.max_qos = 2 # all\n", "mqtt.max_qos", "1", "mqtt.max_qos = 1 # all\n"},
    {"mqtt.max_qos=0", "mqtt.max_qos", "1", "mqtt.max_qos=1"},
    {"# a\n\nmqtt {\n  max_qos : 0 // no\n}\n", "mqtt.max_qos", "1",
     "# a\n\nmqtt {\n  max_qos : 1 // no\n}\n"},
    {"{\"mqtt\": {\"max_qos\": \"0\"}}", "mqtt.max_qos", "1", "{\"mqtt\": {\"max_qos\": \"1\"}}"},
    {"mqtt { max_qos = 0, receive_maximum = 7 }", "mqtt.max_qos", "1",
     "mqtt { max_qos = 1, receive_maximum = 7 }"},
    {"log.to = [ file , # one\n console ]\nlog.level = info\n", "log.to", "syslog",
     "log.to = [syslog]\nlog.level = info\n"},
    {"log.to = [file]\n", "log.to", "", "log.to = []\n"},
    {"mqtt.max_packet_size = 2MB\r\nlog.level = info\r\n", "mqtt.max_packet_size", "3072KB",
     "mqtt.max_packet_size = 3MB\r\nlog.level = info\r\n"},
    {"http_server.password = one # no\n", "http_server.password", "t w\"o\\",
     "http_server.password = \"t w\\\"o\\\\\" # no\n"},
    {"http_server.password = \"one\"\n", "http_server.password", "two",
     "http_server.password = \"two\"\n"},
    {"http_server.password = one #\n", "http_server.password", "//x",
     "http_server.password = \"//x\" #\n"},
    {"system.user = \"a\"\n", "system.user", "", "system.user = \"\"\n"},
    {"system.user = a #\n", "system.user", "", "system.user = \"\" #\n"},
    /* the last one counts, wherever it is */
    {"mqtt.max_qos = 0\nlog.level = info\nmqtt { max_qos = 0 }\n", "mqtt.max_qos", "1",
     "mqtt.max_qos = 0\nlog.level = info\nmqtt { max_qos = 1 }\n"},
    /* under its old name, in the old form too */
    {"msq_len=64\r\ndaemon=false\r\n", "mqtt.max_mqueue_len", "65",
     "msq_len=65\r\ndaemon=false\r\n"},
    {"max_packet_size = 1024 \n", "mqtt.max_packet_size", "2000B", "max_packet_size = 2000B \n"},
    {"keepalive_backoff=1250\n", "mqtt.keepalive_multiplier", "2", "keepalive_backoff=2.0\n"},
    {"url=nmq-tcp://0.0.0.0:1883\n", "listeners.tcp.bind", "127.0.0.1:9", "url=127.0.0.1:9\n"},
    {"mqtt.max_mqueue_len = 1\nmsq_len = 2\nlog.to = []\n", "mqtt.max_mqueue_len", "3",
     "mqtt.max_mqueue_len = 1\nmsq_len = 3\nlog.to = []\n"},
    {"log.to=file\n", "log.to", "file, console", "log.to=console,file\n"},
    {"log.to=file\n", "mqtt.max_qos", "1", "log.to=file\nmqtt.max_qos=1\n"},
    {"log.to=file", "http_server.password", "x", "log.to=file\nhttp_server.password=x\n"},
    /* into a block */
    {"mqtt {\n\t# c\n\n\tmax_qos = 2\n}\n", "mqtt.receive_maximum", "7",
     "mqtt {\n\t# c\n\n\tmax_qos = 2\n\treceive_maximum = 7\n}\n"},
    {"mqtt {\n    max_qos = 2\n  }\n", "mqtt.receive_maximum", "7",
     "mqtt {\n    max_qos = 2\n    receive_maximum = 7\n  }\n"},
    {"mqtt {\r\n}\r\n", "mqtt.max_qos", "1", "mqtt {\r\n    max_qos = 1\r\n}\r\n"},
    {"mqtt {}\n", "mqtt.max_qos", "1", "mqtt { max_qos = 1 }\n"},
    {"mqtt { }\n", "mqtt.max_qos", "1", "mqtt { max_qos = 1 }\n"},
    {"mqtt {max_qos = 2}\n", "mqtt.receive_maximum", "7",
     "mqtt {max_qos = 2, receive_maximum = 7 }\n"},
    {"mqtt { max_qos = 2, }\n", "mqtt.receive_maximum", "7",
     "mqtt { max_qos = 2, receive_maximum = 7 }\n"},
    {"mqtt {\n max_qos = 2 }\n", "mqtt.receive_maximum", "7",
     "mqtt {\n max_qos = 2, receive_maximum = 7 }\n"},
    {"mqtt { max_qos = 0 }\nmqtt { receive_maximum = 8 }\n", "mqtt.max_topic_alias", "9",
     "mqtt { max_qos = 0 }\nmqtt { receive_maximum = 8, max_topic_alias = 9 }\n"},
    {"log {\n  rotation {\n    size = 1MB\n  }\n  level = info\n}\n", "log.rotation.count", "9",
     "log {\n  rotation {\n    size = 1MB\n    count = 9\n  }\n  level = info\n}\n"},
    {"log {\n  level = info\n}\n", "log.rotation.count", "9",
     "log {\n  level = info\n  rotation.count = 9\n}\n"},
    {"{\n  \"log\": {\n    \"level\": \"info\"\n  }\n}\n", "mqtt.max_qos", "1",
     "{\n  \"log\": {\n    \"level\": \"info\"\n  }\n  mqtt.max_qos = 1\n}\n"},
    {"shards {\n  2 { cpu = 1 }\n}\n", "shards.2.mesh_depth", "64",
     "shards {\n  2 { cpu = 1, mesh_depth = 64 }\n}\n"},
    {"shards.default { cpu = 1 }\n", "shards.3.cpu", "2",
     "shards.default { cpu = 1 }\nshards.3.cpu = 2\n"},
    {"listeners.tcp.lan { bind = \"10.0.0.1:1\" }\n", "listeners.tcp.lan.backlog", "5",
     "listeners.tcp.lan { bind = \"10.0.0.1:1\", backlog = 5 }\n"},
    /* to the end */
    {"", "mqtt.max_qos", "1", "mqtt.max_qos = 1\n"},
    {"# nothing", "mqtt.max_qos", "1", "# nothing\nmqtt.max_qos = 1\n"},
    {"log.level = info # x\r\n", "mqtt.max_qos", "1",
     "log.level = info # x\r\nmqtt.max_qos = 1\r\n"},
    {"mqttx { a = 1 }\n", "mqtt.max_qos", "1", NULL},
    /* what it is anyway needs no line */
    {"log.level = info # x\n", "mqtt.max_qos", "2", "log.level = info # x\n"},
    {"log.level = info # x\n", "log.level", "INFO", "log.level = info # x\n"},
    /* an address and its port in one */
    {"http_server {\n port = 1\n bind = \"127.0.0.1:2\"\n}\n", "http_server.port", "3",
     "http_server {\n port = 1\n bind = \"127.0.0.1:2\"\n}\nhttp_server.port = 3\n"},
    {"http_server {\n bind = \"127.0.0.1:2\"\n port = 1\n}\n", "http_server.port", "3",
     "http_server {\n bind = \"127.0.0.1:2\"\n port = 3\n}\n"},
    /* the first member of the block that is the API's switch leaves it as it is */
    {"log.level = info # x\n", "http_server.port", "3",
     "log.level = info # x\nhttp_server.enable = false\nhttp_server.port = 3\n"},
    {"log.level=info\n", "http_server.port", "3", "log.level=info\nhttp_server.port=3\n"},
    {"log.level = info # x\n", "http_server.enable", "true",
     "log.level = info # x\nhttp_server.enable = true\n"},
    /* the default listener is there as long as no other is: it is written down before the first other one */
    {"log.level = info # x\n", "listeners.ws.bind", "127.0.0.1:8083",
     "log.level = info # x\nlisteners.tcp.enable = true\nlisteners.ws.bind = "
     "\"127.0.0.1:8083\"\n"},
    {"log.level=info\n", "listeners.tcp.lan.backlog", "5",
     "log.level=info\nlisteners.tcp.enable=true\nlisteners.tcp.lan.backlog=5\n"},
    {"log.level = info # x\n", "listeners.tcp.backlog", "5",
     "log.level = info # x\nlisteners.tcp.backlog = 5\n"},
    {"url=nmq-tcp://127.0.0.1:1\n", "listeners.tcp.lan.backlog", "5",
     "url=nmq-tcp://127.0.0.1:1\nlisteners.tcp.lan.backlog=5\n"},
    /* what cannot be */
    {"log.level=info\n", "system.user", "a b", NULL},
    {"system.user=me\n", "system.user", "", NULL},
    {"system.user=me\n", "system.user", "\"a\"",
     NULL}, /* it would be read without its quotes (I1) */
    {"log.level = info #\n", "mqtt.max_qos", "3", NULL},
    {"log.level = info #\n", "mqtt.qos", "1", NULL},
    {"log.level = info #\n", "http_server.password", "***", NULL},
    {"log.level = nothing #\n", "mqtt.max_qos", "1", NULL},
    {"log { level = info #\n", "mqtt.max_qos", "1", NULL},
};

static void test_what_becomes_of_a_text(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct conf_edit *edit = open_text(rows[i].before);
        const char *wanted = rows[i].after != NULL ? rows[i].after : rows[i].before;
        bool good = conf_edit_set(edit, rows[i].path, rows[i].value, errors, sizeof(errors));
        char *text;

        if (good != (rows[i].after != NULL))
            fail_msg("row %zu, %s: %s", i, rows[i].before, good ? "accepted" : errors);
        assert_int_equal(conf_edit_changed(edit), strcmp(wanted, rows[i].before) != 0);
        if (strcmp(conf_edit_files(edit)->texts[0].text, wanted) != 0)
            fail_msg("row %zu gives\n%s\nnot\n%s", i, conf_edit_files(edit)->texts[0].text, wanted);
        text = read_file("t.conf");
        assert_string_equal(text, rows[i].before); /* nothing is written before it is asked for */
        free(text);
        store(edit);
        text = read_file("t.conf");
        assert_string_equal(text, wanted);
        free(text);
        conf_edit_close(edit);
    }
}

/* ---- more than one file ---- */

static void test_included_files(void **state)
{
    struct conf_edit *edit;
    char *text;

    (void)state;
    assert_int_equal(mkdir("part", 0700), 0);
    write_bytes("part/mqtt.conf", "max_qos = 0 # here\ninclude \"more.conf\"\n", 39);
    write_bytes("part/more.conf", "max_topic_levels = 9\n", 21);
    edit = open_text("mqtt {\n  receive_maximum = 7\n  include \"part/mqtt.conf\"\n}\n");
    assert_int_equal(conf_edit_files(edit)->count, 3);
    assert_true(conf_edit_set(edit, "mqtt.max_qos", "1", errors, sizeof(errors)));
    assert_true(conf_edit_set(edit, "mqtt.max_topic_levels", "10", errors, sizeof(errors)));
    assert_true(conf_edit_set(edit, "mqtt.max_topic_alias", "11", errors, sizeof(errors)));
    assert_int_equal(conf_edit_changed(edit), 3);
    store(edit);
    assert_int_equal(conf_edit_changed(edit), 0);
    text = read_file("t.conf");
    assert_string_equal(text, "mqtt {\n  receive_maximum = 7\n  include \"part/mqtt.conf\"\n"
                              "  max_topic_alias = 11\n}\n");
    free(text);
    text = read_file("part/mqtt.conf");
    assert_string_equal(text, "max_qos = 1 # here\ninclude \"more.conf\"\n");
    free(text);
    text = read_file("part/more.conf");
    assert_string_equal(text, "max_topic_levels = 10\n");
    free(text);
    conf_edit_close(edit);
}

/* ---- the whole text ---- */

static void test_the_whole_text(void **state)
{
    struct conf_edit *edit = open_text("include \"part/more.conf\" # broken here\n}");
    struct conf_source source = {.file = "t.conf"};
    struct conf *conf;

    (void)state;
    assert_false(conf_edit_replace(edit, "a\nb\xFF", 4, errors, sizeof(errors)));
    assert_string_equal(errors, "line 2 is not UTF-8 text");
    assert_false(conf_edit_replace(edit, "a\0b", 3, errors, sizeof(errors)));
    assert_int_equal(conf_edit_changed(edit), 0);
    assert_true(conf_edit_replace(edit, "mqtt { include \"part/more.conf\" }\n", 34, errors,
                                  sizeof(errors)));
    source.files = conf_edit_files(edit);
    conf = conf_load(&source, errors, sizeof(errors));
    if (conf == NULL)
        fail_msg("%s", errors);
    assert_int_equal(conf->mqtt_max_topic_levels, 10);
    conf_free(conf);
    /* no other file can be looked into this way */
    assert_true(conf_edit_replace(edit, "include \"/etc/passwd\"\n", 22, errors, sizeof(errors)));
    source.files = conf_edit_files(edit);
    assert_null(conf_load(&source, errors, sizeof(errors)));
    assert_string_equal(errors, "/etc/passwd: a file that is no part of the configuration cannot "
                                "be read here\nt.conf:1: /etc/passwd is included here\n");
    conf_edit_close(edit);
}

static void test_no_file(void **state)
{
    (void)state;
    assert_null(conf_edit_open("absent.conf", CONF_FORM_DETECT, errors, sizeof(errors)));
    assert_string_equal(errors, "absent.conf: No such file or directory\n");
}

static void test_a_file_that_cannot_be_written(void **state)
{
    struct conf_edit *edit;

    (void)state;
    assert_int_equal(mkdir("gone", 0700), 0);
    write_bytes("gone/t.conf", "mqtt.max_qos = 0 #", 18);
    edit = conf_edit_open("gone/t.conf", CONF_FORM_DETECT, errors, sizeof(errors));
    assert_true(conf_edit_set(edit, "mqtt.max_qos", "1", errors, sizeof(errors)));
    unlink("gone/t.conf");
    assert_int_equal(rmdir("gone"), 0);
    assert_false(conf_edit_stage(edit, errors, sizeof(errors)));
    assert_string_equal(errors, "gone/t.conf cannot be written: No such file or directory");
    conf_edit_close(edit);
}

/* ---- any change of any file ---- */

static const char *const files[] = {
    "",
    "# only a comment",
    "mqtt {\n    max_qos = 1\n}\nlog { level = info, rotation { size = 1MB } }\n",
    "{\n  \"mqtt\": { \"max_qos\": 1, \"max_packet_size\": \"1MB\" },\n  \"log\": {\"to\": "
    "[\"file\"]}\n}",
    "mqtt.max_qos = 1 # a\nmqtt.max_qos = 2 // b\n\r\n\tmqtt { max_qos = 0 }\n",
    "url=nmq-tcp://"
    "127.0.0.1:1884\r\nmsq_len=64\r\nmax_packet_size=1024\r\nhttp_server.enable=true\r\n",
    "shards { default.cpu = 3\n 1 { cpu = 2 } }\nlisteners.tcp { bind = "
    "\"127.0.0.1:1\"\n}\nhttp_server {}\n",
    "system{daemon=false}sys.interval = 5s", /* is broken: nothing can be set */
};

/* A value within the bounds of the row, as a text. */
static void random_value(const struct conf_row *row, char *to, size_t size)
{
    uint64_t scratch = 0, range = (uint64_t)(row->most - row->least) + 1;
    struct conf_row at_begin = *row;
    static const char *const texts[] = {"a", "x y",      "\"",  "\\", "a#b", "# c", "a//b", "{",
                                        "]", "\xC3\xA9", "a,b", "1",  " ",   "=",   "${x}", "\t"};

    if (row->kind == CONF_KIND_ADDRESS) {
        snprintf(to, size, "[::1]:%d", rand() % 65536);
        return;
    }
    if (row->kind == CONF_KIND_HOST) {
        snprintf(to, size, "127.0.0.%d", rand() % 256);
        return;
    }
    if (row->kind == CONF_KIND_MAP || row->kind == CONF_KIND_HEADERS) {
        snprintf(to, size, "accept=%d%s", rand() % 256,
                 rand() % 2 == 0 ? ", user-agent=a\\,b" : "");
        return;
    }
    if (row->preset_text != NULL) {
        snprintf(to, size, "%s%s%s", texts[(size_t)rand() % ARRAY_LENGTH(texts)],
                 texts[(size_t)rand() % ARRAY_LENGTH(texts)],
                 texts[(size_t)rand() % ARRAY_LENGTH(texts)]);
        return;
    }
    at_begin.offset = 0;
    at_begin.preset = row->least + (int64_t)(((uint64_t)rand() << 31 | (uint64_t)rand()) % range);
    conf_value_preset(&at_begin, &scratch);
    conf_value_format(&at_begin, &scratch, to, size);
    if (row->kind == CONF_KIND_CHOICES) {
        to[strlen(to) - 1] = '\0';
        memmove(to, to + 1, strlen(to));
    }
}

static void random_path(const struct conf_row *row, char *to, size_t size)
{
    static const char *const shards[] = {"default", "0", "1", "61"}, *const listeners[] = {"",
                                                                                           "a."};

    if (row->scope == CONF_SCOPE_SHARD)
        snprintf(to, size, "shards.%s.%s", shards[rand() % 4], row->path);
    else if (row->scope == CONF_SCOPE_LISTENER)
        snprintf(to, size, "listeners.tcp.%s%s", listeners[rand() % 2], row->path);
    else
        snprintf(to, size, "%s", row->path);
}

/* The text before is the text after, but for one piece in one place. */
static void one_place_differs(const char *before, const char *after)
{
    size_t len = strlen(before), begin = 0, end = 0;

    while (before[begin] != '\0' && before[begin] == after[begin])
        begin++;
    while (end < len - begin && end < strlen(after) - begin &&
           before[len - 1 - end] == after[strlen(after) - 1 - end])
        end++;
    assert_true(len - begin - end < 200 && strlen(after) - begin - end < 2500);
}

static struct conf *load_files(const struct conf_edit *edit)
{
    struct conf_source source = {.file = "t.conf", .files = conf_edit_files(edit)};

    return conf_load(&source, errors, sizeof(errors));
}

static void test_random_changes(void **state)
{
    unsigned refused = 0, made = 0;

    (void)state;
    srand(1);
    for (unsigned round = 0; round < 1500; round++) {
        struct conf_edit *edit = open_text(files[round % ARRAY_LENGTH(files)]);

        for (unsigned step = 0; step < 4; step++) {
            const struct conf_row *row = &conf_rows[(size_t)rand() % conf_row_count];
            char path[CONF_PATH_BYTES], value[CONF_VALUE_BYTES], found[CONF_VALUE_BYTES];
            char *before = strdup(conf_edit_files(edit)->texts[0].text), *secret;
            struct conf *conf;

            if (row->kind != CONF_KIND_SECTION) {
                random_path(row, path, sizeof(path));
                random_value(row, value, sizeof(value));
                if (!conf_edit_set(edit, path, value, errors, sizeof(errors))) {
                    assert_string_equal(conf_edit_files(edit)->texts[0].text, before);
                    assert_int_not_equal(errors[0], '\0');
                    refused++;
                } else if ((conf = load_files(edit)) != NULL) {
                    assert_true(conf_option_get(conf, path, found, sizeof(found)));
                    secret = row->kind != CONF_KIND_SECRET ? found
                             : strstr(row->path, "key_password") != NULL
                                 ? conf->http_server_key_password
                                 : conf->http_server_password;
                    if (row->preset_text != NULL)
                        assert_string_equal(secret, value);
                    one_place_differs(before, conf_edit_files(edit)->texts[0].text);
                    made++;
                    conf_free(conf);
                }
            }
            free(before);
        }
        conf_edit_close(edit);
    }
    assert_in_range(refused, 700, 1500);
    assert_in_range(made, 3000, 6000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_becomes_of_a_text),
        cmocka_unit_test(test_included_files),
        cmocka_unit_test(test_the_whole_text),
        cmocka_unit_test(test_no_file),
        cmocka_unit_test(test_a_file_that_cannot_be_written),
        cmocka_unit_test(test_random_changes),
    };

    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
