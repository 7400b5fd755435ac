/* SPDX-License-Identifier: MIT */
#include "conf/conf_json.h"
#include "unit/conf/conf_test.h"

#define TWO                                                                                        \
    "plugins { timeout = 2s\n"                                                                     \
    "  one { path = \"/a/one.so\", config { first = 1, word = \"a b\", deep { er = true }, list "  \
    "= [x, y] } }\n"                                                                               \
    "  two.path = \"/a/two.so\"\n}\n"

static void test_blocks(void **state)
{
    struct conf *conf = load(TWO);
    const struct conf_plugin *one = &conf->plugins[0];

    (void)state;
    assert_int_equal(conf->plugin_count, 2);
    assert_int_equal(conf->plugins_timeout_ms, 2000);
    assert_string_equal(one->name, "one");
    assert_string_equal(one->path, "/a/one.so");
    assert_int_equal(one->pair_count, 4);
    assert_string_equal(one->pairs[0].key, "first");
    assert_string_equal(one->pairs[0].value, "1");
    assert_string_equal(one->pairs[1].value, "a b");
    assert_string_equal(one->pairs[2].key, "deep.er");
    assert_string_equal(one->pairs[3].value, "x, y");
    assert_string_equal(conf->plugins[1].name, "two");
    assert_int_equal(conf->plugins[1].pair_count, 0);
    conf_free(conf);
}

static void refuse(const char *text, const char *sentence)
{
    assert_null(load_form(text, CONF_FORM_HOCON));
    if (strstr(errors, sentence) == NULL)
        fail_msg("\"%s\" is not in: %s", sentence, errors);
}

static void test_what_is_wrong(void **state)
{
    (void)state;
    refuse("plugins.one.config.a = 1", "plugins.one needs the path of its file");
    refuse("plugins.one.path = \"one.so\"", "takes the path of a file");
    refuse("plugins.one.path = \"\"", "takes the path of a file");
    refuse("plugins.one.file = \"/a\"", "there is no such option");
    refuse("plugins.one = \"/a\"", "there is no such option");
    refuse("plugins.\"a b\".path = \"/a\"", "a plug-in's name has");
    refuse("plugins.one { path = \"/a\", config.a = [{b = 1}] }", "takes one value, or a list");
    refuse("plugins.one { path = \"/a\", config.a = \"***\" }", "give the value itself");
    refuse("plugin.libs = [\"/a\"]", "plugins.<name>.path");
}

static void test_at_run_time(void **state)
{
    const struct conf_override change = {"plugins.one.path", "/a", "set at run time"};
    const struct conf_source source = {.changes = &change, .change_count = 1};
    char error[300];

    (void)state;
    assert_false(conf_option_check("plugins.one.path", "/a", error, sizeof(error)));
    assert_non_null(strstr(error, "in the configuration file only"));
    assert_null(conf_load(&source, errors, sizeof(errors)));
    assert_non_null(strstr(errors, "in the configuration file only"));
}

/* Nothing of what a plug-in is configured with is shown. */
static void test_values_are_not_shown(void **state)
{
    struct conf *conf = load("plugins.one { path = \"/a\", config { key = swordfish } }");
    char *text = NULL, *json;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    cJSON *section;

    (void)state;
    conf_dump(conf, to);
    fclose(to);
    assert_null(strstr(text, "swordfish"));
    assert_non_null(strstr(text, "\"key\" = \"***\""));
    assert_null(load_form(text, CONF_FORM_HOCON)); /* stars are no value */
    section = conf_json_section(conf, "plugins");
    json = cJSON_PrintUnformatted(section);
    assert_null(strstr(json, "swordfish"));
    assert_non_null(strstr(json, "\"one\":{\"path\":\"/a\",\"config\":{\"key\":\"***\"}}"));
    cJSON_free(json);
    cJSON_Delete(section);
    free(text);
    conf_free(conf);
}

static char told[400];

static void later(void *argument, const char *path, const char *running, const char *wanted)
{
    (void)argument;
    snprintf(told, sizeof(told), "%s: %s -> %s", path, running, wanted);
}

static void test_reload(void **state)
{
    static const char *const others[] = {
        "plugins { two.path = \"/a/two.so\", one.path = \"/a/one.so\" }",
        "plugins { one.path = \"/a/one.so\" }",
        "plugins { one { path = \"/a/one.so\", config.a = 1 }, two.path = \"/a/two.so\" }",
        "plugins { one.path = \"/b/one.so\", two.path = \"/a/two.so\" }",
        "",
    };
    struct conf *running = load("plugins { one.path = \"/a/one.so\", two.path = \"/a/two.so\" }");

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(others); i++) {
        struct conf *wanted = load(others[i]);

        assert_int_equal(conf_diff_reload(running, wanted, NULL, later, NULL), 1);
        assert_memory_equal(told, "plugins: one, two -> ", 21);
        conf_keep_boot(running, wanted); /* they wait for the next start */
        assert_int_equal(conf_diff_reload(running, wanted, NULL, later, NULL), 0);
        conf_free(wanted);
    }
    conf_free(running);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks),      cmocka_unit_test(test_what_is_wrong),
        cmocka_unit_test(test_at_run_time), cmocka_unit_test(test_values_are_not_shown),
        cmocka_unit_test(test_reload),
    };

    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
