/* SPDX-License-Identifier: MIT
 *
 * Options whose members the user names: blocks, lists and texts of them, what is shown, what is refused.
 */
#include "conf/conf_priv.h"
#include "conf_test.h"

#define PARAMS  "auth.http_auth.auth_req.params"
#define HEADERS "auth.http_auth.auth_req.headers"

static void expect(const struct conf *conf, const char *path, const char *wanted)
{
    char text[CONF_VALUE_BYTES];

    assert_true(conf_option_get(conf, path, text, sizeof(text)));
    assert_string_equal(text, wanted);
}

static struct conf *refused(const char *text)
{
    return load_form(text, CONF_FORM_HOCON);
}

static void every_form_means_the_same(void **state)
{
    static const char *const forms[] = {
        "auth.http_auth.auth_req { params = {a = \"%c\", b = \"x y\"} }",
        "auth.http_auth.auth_req.params { a = \"%c\"\n b = \"x y\" }",
        "auth { http_auth.auth_req.params.a = \"%c\", http_auth.auth_req.params.b = \"x y\" }",
        PARAMS " = \"a=%c, b=x y\"",
        PARAMS " = [\"a=%c\", \"b=x y\"]",
        "auth.http.auth_req.params = \" a=%c ,b = x y \"",
        PARAMS " = \"a=old\"\nauth.http_auth.auth_req.params { A = \"%c\", b = \"x y\" }",
    };
    char name[CONF_MAP_NAME_BYTES], value[CONF_VALUE_BYTES];

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(forms); i++) {
        struct conf *conf = load(forms[i]);
        const char *map;

        if (conf == NULL)
            fail_msg("%s: %s", forms[i], errors);
        map = conf->auth_http_auth_auth_req_params;
        assert_true(conf_map_next(&map, name, value));
        assert_int_equal(strcasecmp(name, "a"), 0);
        assert_string_equal(value, "%c");
        assert_true(conf_map_next(&map, name, value));
        assert_string_equal(name, "b");
        assert_string_equal(value, "x y");
        assert_false(conf_map_next(&map, name, value));
        conf_free(conf);
    }
}

static void commas_and_backslashes_stay(void **state)
{
    struct conf *conf = load(HEADERS "{ accept = \"a, b\\\\c=d\", user-agent = \"\" }");
    char name[CONF_MAP_NAME_BYTES], value[CONF_VALUE_BYTES];
    const char *map;

    (void)state;
    assert_non_null(conf);
    map = conf->auth_http_auth_auth_req_headers;
    assert_true(conf_map_next(&map, name, value));
    assert_string_equal(value, "a, b\\c=d");
    assert_true(conf_map_next(&map, name, value));
    assert_string_equal(value, "");
    expect(conf, HEADERS, "accept=a\\, b\\\\c=d, user-agent=");
    conf_free(conf);
}

static void credentials_are_not_shown(void **state)
{
    struct conf *conf = load(HEADERS
                             "{ Authorization = \"Bearer x\", content-type = text, x-key = k }"),
                *other = load(HEADERS
                              "{ Authorization = \"Bearer y\", content-type = text, x-key = k }");

    (void)state;
    expect(conf, HEADERS, "Authorization=***, content-type=text, x-key=***");
    assert_int_equal(conf_diff_reload(conf, other, NULL, NULL, NULL), 1);
    assert_true(conf_path_secret(HEADERS ".authorization") && conf_path_secret(HEADERS));
    assert_false(conf_path_secret(HEADERS ".accept"));
    conf_free(conf);
    conf_free(other);
    assert_null(refused(HEADERS " = \"authorization=***\""));
    assert_null(refused("auth.http_auth.auth_req.headers.authorization = \"sesame\n"));
    assert_null(strstr(errors, "sesame"));
}

/* What NanoMQ's guides name for the cache of answers. */
static void the_cache_of_the_guides(void **state)
{
    struct conf *conf = load("auth { cache { max_size = 1024, ttl = 1m } }");

    (void)state;
    expect(conf, "auth.http_auth.cache_ttl", "1m");
    expect(conf, "auth.http_auth.cache_size", "1024");
    conf_free(conf);
    assert_null(refused("auth.cache.size = 7"));
}

static void what_is_wrong_is_refused(void **state)
{
    static const char *const cases[] = {
        PARAMS " = \"a\"",          PARAMS " = \"=b\"",
        PARAMS " = \"a=b, c\"",     PARAMS " { a = [{b = c}] }",
        PARAMS " { a { b = c } }x", HEADERS " { a = \"x\\ny\" }",
        HEADERS " { \"a b\" = c }", HEADERS " { a = \"\\u007f\" }",
    };
    char text[2000] = PARAMS " = \"a=";

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct conf *conf = refused(cases[i]);

        if (conf != NULL)
            fail_msg("%s is taken", cases[i]);
    }
    memset(text + strlen(text), 'x', 1100); /* longer than the option may be */
    strcat(text, "\"");
    assert_null(refused(text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_means_the_same), cmocka_unit_test(commas_and_backslashes_stay),
        cmocka_unit_test(credentials_are_not_shown), cmocka_unit_test(the_cache_of_the_guides),
        cmocka_unit_test(what_is_wrong_is_refused),
    };

    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
