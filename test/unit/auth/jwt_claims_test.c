/* SPDX-License-Identifier: MIT */
#include "auth/jwt_claims.h"

#include "base/check.h"
#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static bool match(const char *map, const char *claims, const char *client_identifier,
                  const char *username)
{
    struct jwt_claims *wanted = jwt_claims_create(map);
    struct jwt_client client = {
        .client_identifier = span_text(client_identifier),
        .username = username != NULL ? span_text(username) : (struct span){0},
    };
    const char *why;
    struct jwt jwt = {.claims = json_parse(span_text(claims), &why)};
    bool good;

    assert_non_null(jwt.claims);
    good = jwt_claims_match(wanted, &jwt, &client);
    jwt_free(&jwt);
    jwt_claims_destroy(wanted);
    return good;
}

static void nothing_is_wanted(void **state)
{
    (void)state;
    assert_null(jwt_claims_create(""));
    assert_true(match("", "{}", "c", NULL));
}

static void claims_name_their_client(void **state)
{
    static const struct {
        const char *map, *claims;
        bool good;
    } rows[] = {
        {"id=${clientid}", "{\"id\":\"c-1\"}", true},
        {"id=${clientid}", "{\"id\":\"c-2\"}", false},
        {"id=${clientid}", "{\"id\":\"c-\"}", false},
        {"id=${clientid}", "{\"id\":\"c-1x\"}", false},
        {"id=${clientid}", "{\"id\":\"C-1\"}", false},
        {"id=${clientid}", "{\"id\":\"\"}", false},
        {"id=${clientid}", "{\"id\":\"${clientid}\"}", false},
        {"id=${clientid}", "{}", false},
        {"id=${clientid}", "{\"ID\":\"c-1\"}", false},
        {"id=${clientid}", "{\"id\":null}", false},
        {"id=${clientid}", "{\"id\":true}", false},
        {"id=${clientid}", "{\"id\":{\"id\":\"c-1\"}}", false},
        {"id=${clientid}", "{\"id\":[]}", false},
        {"id=${clientid}", "{\"id\":[\"c-2\",7,\"c-1\"]}", true},
        {"id=${clientid}", "{\"id\":[[\"c-1\"]]}", false},
        {"id=${username}", "{\"id\":\"u\"}", true},
        {"id=${username}", "{\"id\":\"c-1\"}", false},
        {"id=a-${clientid}/${username}", "{\"id\":\"a-c-1/u\"}", true},
        {"id=a-${clientid}/${username}", "{\"id\":\"a-c-1/\"}", false},
        {"id=a-${clientid}/${username}", "{\"id\":\"a-c-1/u2\"}", false},
        {"id=a-${clientid}/${username}", "{\"id\":\"b-c-1/u\"}", false},
        {"id=fixed", "{\"id\":\"fixed\"}", true},
        {"id=fixed", "{\"id\":\"fixe\"}", false},
        {"n=7", "{\"n\":7}", false},
        {"id=${clientid}, site=north", "{\"id\":\"c-1\",\"site\":\"north\"}", true},
        {"id=${clientid}, site=north", "{\"id\":\"c-1\",\"site\":\"south\"}", false},
        {"id=${clientid}, site=north", "{\"id\":\"c-1\"}", false},
        {"id=${clientid}, site=north", "{\"site\":\"north\"}", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
        if (match(rows[i].map, rows[i].claims, "c-1", "u") != rows[i].good)
            fail_msg("%s with %s", rows[i].map, rows[i].claims);
}

/* Otherwise an empty claim would be good for everybody without a name. */
static void who_has_no_name_has_no_token(void **state)
{
    (void)state;
    assert_false(match("id=${username}", "{\"id\":\"\"}", "c", NULL));
    assert_false(match("id=${username}", "{\"id\":\"\"}", "c", ""));
    assert_false(match("id=${clientid}", "{\"id\":\"\"}", "", "u"));
    assert_false(match("id=a${username}", "{\"id\":\"a\"}", "c", ""));
}

/* What a client calls itself is never read as a placeholder. */
static void names_are_not_placeholders(void **state)
{
    (void)state;
    assert_false(match("id=${clientid}", "{\"id\":\"u\"}", "${username}", "u"));
    assert_true(match("id=${clientid}", "{\"id\":\"${username}\"}", "${username}", "u"));
    assert_false(match("id=${clientid}${username}", "{\"id\":\"ab\"}", "ab", NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_wanted),
        cmocka_unit_test(claims_name_their_client),
        cmocka_unit_test(who_has_no_name_has_no_token),
        cmocka_unit_test(names_are_not_placeholders),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
