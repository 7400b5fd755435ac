/* SPDX-License-Identifier: MIT */
#include "api/schema.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct schemas *schemas;

static int set_up(void **state)
{
    (void)state;
    schemas = schemas_create();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    schemas_destroy(schemas);
    return 0;
}

static enum schema_verdict check(const char *type, const char *text, char *why, size_t size)
{
    struct schema *schema = schema_create(schemas, type);
    cJSON *value = cJSON_Parse(text);
    enum schema_verdict verdict;

    assert_non_null(value);
    why[0] = '\0';
    verdict = schema_check(schema, value, why, size);
    cJSON_Delete(value);
    schema_destroy(schema);
    return verdict;
}

static void values_fit_their_types(void **state)
{
    static const struct {
        const char *type, *fits, *does_not;
    } rows[] = {
        {"string", "\"x\"", "1"},
        {"int", "-7", "1.5"},
        {"int", "1e3", "\"1\""},
        {"0..2", "2", "3"},
        {"0..2", "0", "-1"},
        {"0..2", "1", "1.5"},
        {"number", "1.5", "true"},
        {"bool", "false", "0"},
        {"null", "null", "false"},
        {"any", "[{}]", NULL},
        {"connected|disconnected", "\"connected\"", "\"connecting\""},
        {"connected|disconnected", "\"disconnected\"", "null"},
        {"string|null", "null", "1"},
        {"'a b'|c", "\"a b\"", "\"a\""},
        {"[int]", "[1,2]", "[1,\"2\"]"},
        {"[int]", "[]", "{}"},
        {"{a:int,b?:string}", "{\"a\":1}", "{\"b\":\"x\"}"},
        {"{a:int,b?:string}", "{\"b\":\"x\",\"a\":1}", "{\"a\":1,\"b\":2}"},
        {"{a:int}", "{\"a\":1}", "{\"a\":1,\"c\":1}"},
        {"{*:int}", "{\"x\":1,\"y\":2}", "{\"x\":null}"},
        {"{a:string,*:any}", "{\"a\":\"\",\"z\":[]}", "{\"a\":1}"},
        {"{}", "{}", "{\"a\":1}"},
        {"{a:{b:[{c:0..1}]}}", "{\"a\":{\"b\":[{\"c\":1}]}}", "{\"a\":{\"b\":[{\"c\":2}]}}"},
        {"$Done", "{\"code\":0}", "{\"code\":1}"},
        {"[$Route]", "[{\"path\":\"\",\"name\":\"\",\"method\":\"\",\"descr\":\"\"}]", "[{}]"},
    };
    char why[256];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (check(rows[i].type, rows[i].fits, why, sizeof(why)) != SCHEMA_OK)
            fail_msg("%s does not take %s: %s", rows[i].type, rows[i].fits, why);
        if (rows[i].does_not == NULL)
            continue;
        if (check(rows[i].type, rows[i].does_not, why, sizeof(why)) == SCHEMA_OK)
            fail_msg("%s takes %s", rows[i].type, rows[i].does_not);
        assert_int_not_equal(why[0], '\0');
    }
}

static void sentences_say_where(void **state)
{
    char why[256];

    (void)state;
    assert_int_equal(check("{a:[{b:0..2}]}", "{\"a\":[{\"b\":1},{\"b\":3}]}", why, sizeof(why)),
                     SCHEMA_WRONG);
    assert_string_equal(why, "a[1].b: an integer from 0 to 2 was expected");
    assert_int_equal(check("{a:{b:int}}", "{\"a\":{}}", why, sizeof(why)), SCHEMA_MISSING);
    assert_string_equal(why, "a.b is missing");
    assert_int_equal(check("{a?:int}", "{\"x\":1}", why, sizeof(why)), SCHEMA_WRONG);
    assert_string_equal(why, "x: there is no such member");
    assert_int_equal(check("{}", "[]", why, sizeof(why)), SCHEMA_WRONG);
    assert_string_equal(why, "the body: an object was expected");
    assert_int_equal(check("{m?:string|null}", "{\"m\":1}", why, sizeof(why)), SCHEMA_WRONG);
    assert_string_equal(why, "m: a string or null was expected");
    /* too little room for the sentence is no harm */
    assert_int_equal(check("{abcdefgh:int}", "{\"abcdefgh\":\"x\"}", why, 8), SCHEMA_WRONG);
    assert_true(strlen(why) < 8);
}

static void parameters_are_values_too(void **state)
{
    static const struct {
        const char *name, *value;
        bool fits;
    } rows[] = {
        {"page", "1", true},      {"page", "10", true},
        {"page", "11", false},    {"page", "0", false},
        {"page", "", false},      {"page", "x", false},
        {"page", "1.5", false},   {"page", "0x1", false},
        {"page", " 1", false},    {"page", "1 ", false},
        {"page", "+1", false},    {"page", "nan", false},
        {"clean", "true", true},  {"clean", "1", false},
        {"clean", "TRUE", false}, {"state", "on", true},
        {"state", "onn", false},  {"name", "", true},
        {"name", "1", true},      {"name", "a&b", true},
        {"state", "", false},     {"page", "99999999999999999999999999999999999999", false},
    };
    struct schema *schema =
        schema_create(schemas, "{page?:1..10,clean?:bool,state?:on|off,name?:string}");
    char why[128];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        enum schema_verdict verdict =
            schema_check_text(schema, rows[i].name, span_text(rows[i].value), why, sizeof(why));

        if ((verdict == SCHEMA_OK) != rows[i].fits)
            fail_msg("%s=%s", rows[i].name, rows[i].value);
    }
    assert_string_equal(schema_member_name(schema, span_text("page")), "page");
    assert_null(schema_member_name(schema, span_text("pag")));
    assert_null(schema_member_name(schema, span_text("")));
    schema_destroy(schema);
}

static void they_describe_themselves(void **state)
{
    static const struct {
        const char *type, *json;
    } rows[] = {
        {"string", "{\"type\":\"string\"}"},
        {"0..2", "{\"type\":\"integer\",\"minimum\":0,\"maximum\":2}"},
        {"any", "{}"},
        {"a|b", "{\"type\":\"string\",\"enum\":[\"a\",\"b\"]}"},
        {"string|null", "{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"null\"}]}"},
        {"[$Done]", "{\"type\":\"array\",\"items\":{\"$ref\":\"#/components/schemas/Done\"}}"},
        {"{a:int,b?:bool}",
         "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"},\"b\":{\"type\":"
         "\"boolean\"}},\"required\":[\"a\"],\"additionalProperties\":false}"},
        {"{*:int}", "{\"type\":\"object\",\"properties\":{},\"additionalProperties\":{\"type\":"
                    "\"integer\"}}"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct schema *schema = schema_create(schemas, rows[i].type);
        cJSON *json = schema_describe(schema);
        char *text = cJSON_PrintUnformatted(json);

        assert_string_equal(text, rows[i].json);
        cJSON_free(text);
        cJSON_Delete(json);
        schema_destroy(schema);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_fit_their_types),
        cmocka_unit_test(sentences_say_where),
        cmocka_unit_test(parameters_are_values_too),
        cmocka_unit_test(they_describe_themselves),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
