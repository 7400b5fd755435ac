/* SPDX-License-Identifier: MIT */
#include "shards/ban_json.c"

#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static char error[512];

static struct ban *read_text_ban(const char *text)
{
    cJSON *json = cJSON_Parse(text);
    struct ban *ban;

    if (json == NULL)
        fail_msg("no JSON: %s", text);
    ban = ban_read(json, "me", 1000, error, sizeof(error));
    cJSON_Delete(json);
    return ban;
}

/* Read, shown, read and shown: the same. */
static void expect(const char *text, const char *wanted)
{
    struct ban *ban = read_text_ban(text);

    if (ban == NULL)
        fail_msg("%s: %s", text, error);
    for (unsigned round = 0; round < 2; round++) {
        cJSON *shown = ban_show(ban);
        char *made = cJSON_PrintUnformatted(shown);

        assert_string_equal(made, wanted);
        ban_free(ban);
        ban = ban_read(shown, "somebody else", 2000, error, sizeof(error));
        assert_non_null(ban);
        cJSON_free(made);
        cJSON_Delete(shown);
    }
    ban_free(ban);
}

static void test_what_is_a_ban(void **state)
{
    static const struct {
        const char *who, *shown, *as;
    } networks[] = {
        {"192.0.2.1", "192.0.2.1", "peerhost"},
        {"192.0.2.1/32", "192.0.2.1", "peerhost"},
        {"192.0.2.99/24", "192.0.2.0/24", "peerhost_net"},
        {"0.0.0.0/0", "0.0.0.0/0", "peerhost_net"},
        {"2001:DB8:0::1", "2001:db8::1", "peerhost"},
        {"2001:db8::1/32", "2001:db8::/32", "peerhost_net"},
        {"::/0", "::/0", "peerhost_net"},
        {"::ffff:192.0.2.1", "192.0.2.1", "peerhost"},
        {"::ffff:192.0.2.1/120", "192.0.2.0/24", "peerhost_net"},
    };

    (void)state;
    expect("{\"as\":\"clientid\",\"who\":\"x\"}",
           "{\"as\":\"clientid\",\"who\":\"x\",\"by\":\"me\",\"reason\":\"\",\"at\":1000,"
           "\"until\":\"infinity\"}");
    expect(
        "{\"as\":\"username\",\"who\":\"\",\"by\":\"\",\"reason\":\"r\",\"at\":5,\"until\":null}",
        "{\"as\":\"username\",\"who\":\"\",\"by\":\"\",\"reason\":\"r\",\"at\":5,"
        "\"until\":\"infinity\"}");
    expect("{\"as\":\"clientid\",\"who\":\"x\",\"at\":\"1970-01-01T00:00:09Z\","
           "\"until\":\"1970-01-02T01:00:00.5+01:00\"}",
           "{\"as\":\"clientid\",\"who\":\"x\",\"by\":\"me\",\"reason\":\"\",\"at\":9,"
           "\"until\":86400}");
    for (size_t i = 0; i < ARRAY_LENGTH(networks); i++) {
        char text[200], wanted[300];

        snprintf(text, sizeof(text), "{\"as\":\"%s\",\"who\":\"%s\"}",
                 i % 2 == 0 ? "peerhost" : "peerhost_net", networks[i].who);
        snprintf(wanted, sizeof(wanted),
                 "{\"as\":\"%s\",\"who\":\"%s\",\"by\":\"me\",\"reason\":\"\",\"at\":1000,"
                 "\"until\":\"infinity\"}",
                 networks[i].as, networks[i].shown);
        expect(text, wanted);
    }
}

static void test_what_is_none(void **state)
{
    static const struct {
        const char *text, *sentence;
    } rows[] = {
        {"[]", "a ban is an object"},
        {"{}", "as: takes clientid, username, peerhost or peerhost_net"},
        {"{\"as\":5,\"who\":\"x\"}", "as: takes clientid, username, peerhost or peerhost_net"},
        {"{\"as\":\"ClientId\",\"who\":\"x\"}",
         "as: takes clientid, username, peerhost or peerhost_net"},
        {"{\"as\":\"clientid\"}", "who: takes a string"},
        {"{\"as\":\"clientid\",\"who\":null}", "who: takes a string"},
        {"{\"as\":\"clientid\",\"who\":\"\"}", "who: must not be empty"},
        {"{\"as\":\"clientid\",\"who\":\"x\",\"by\":1}", "by: takes a string"},
        {"{\"as\":\"clientid\",\"who\":\"x\",\"reason\":{}}", "reason: takes a string"},
        {"{\"as\":\"clientid\",\"who\":\"x\",\"at\":-1}",
         "at: takes seconds since 1970, or a time as 2026-01-31T23:59:59Z"},
        {"{\"as\":\"clientid\",\"who\":\"x\",\"at\":\"infinity\"}",
         "at: takes seconds since 1970, or a time as 2026-01-31T23:59:59Z"},
        {"{\"as\":\"clientid\",\"who\":\"x\",\"until\":1.5}",
         "until: takes seconds since 1970, or a time as 2026-01-31T23:59:59Z, or \"infinity\""},
    };
    static const char *const networks[] = {"",
                                           "x",
                                           "192.0.2.1/33",
                                           "192.0.2.1/",
                                           "192.0.2.1/x",
                                           "192.0.2.1/-1",
                                           "192.0.2",
                                           "::/129",
                                           "192.0.2.1:80",
                                           "[::1]",
                                           "::1%lo",
                                           "192.0.2.1/8/8",
                                           "localhost",
                                           "192.0.2.1 ",
                                           "::ffff:192.0.2.1/95",
                                           "1.2.3.4/ 8",
                                           "1.2.3.4/99999999999999999999"};
    static const char *const times[] = {"tomorrow",
                                        "2026-01-31",
                                        "2026-01-31T23:59:59",
                                        "2026-13-31T23:59:59Z",
                                        "2026-01-31T23:59:59ZZ",
                                        "2026-01-31T23:59:59+1",
                                        "1969-01-31T23:59:59Z",
                                        ""};

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        if (read_text_ban(rows[i].text) != NULL)
            fail_msg("%s: accepted", rows[i].text);
        assert_string_equal(error, rows[i].sentence);
    }
    for (size_t i = 0; i < ARRAY_LENGTH(networks); i++) {
        char text[200];

        snprintf(text, sizeof(text), "{\"as\":\"peerhost\",\"who\":\"%s\"}", networks[i]);
        if (read_text_ban(text) != NULL)
            fail_msg("%s: accepted", networks[i]);
        assert_non_null(strstr(error, "who: takes an address or a network"));
    }
    for (size_t i = 0; i < ARRAY_LENGTH(times); i++) {
        char text[200];

        snprintf(text, sizeof(text), "{\"as\":\"clientid\",\"who\":\"x\",\"until\":\"%s\"}",
                 times[i]);
        if (read_text_ban(text) != NULL)
            fail_msg("%s: accepted", times[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_a_ban),
        cmocka_unit_test(test_what_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
