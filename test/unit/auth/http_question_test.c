/* SPDX-License-Identifier: MIT
 *
 * Requests for a backend, from a configuration and what is known of a client; and what answers mean.
 */
#include "auth/http_question.h"
#include "conf/conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct conf *conf;

static const struct http_facts facts = {
    .username = {(const uint8_t *)"ann&b=c", 7},
    .client_identifier = {(const uint8_t *)"id\"\r\n", 5},
    .password = {(const uint8_t *)"p\0\xff+ ", 5},
    .address = {(const uint8_t *)"192.0.2.1", 9},
    .protocol = {(const uint8_t *)"mqtt", 4},
    .topic = {(const uint8_t *)"a/+/\xc3\xa9", 6},
    .port = 1883,
    .access = 2,
};

/* A question of a configuration with these lines in auth.http_auth. NULL: the sentence is in `why`. */
static struct http_question *question_of(const char *lines, enum http_question_kind kind, char *why,
                                         size_t size)
{
    char path[] = "/tmp/http_question_XXXXXX", errors[2048];
    int descriptor = mkstemp(path);
    struct conf_source source = {.file = path};
    FILE *file;

    assert_true(descriptor >= 0);
    file = fdopen(descriptor, "w");
    fprintf(file, "auth.http_auth {\n%s\n}\n", lines);
    fclose(file);
    conf_free(conf);
    conf = conf_load(&source, errors, sizeof(errors));
    unlink(path);
    if (conf == NULL) {
        snprintf(why, size, "%s", errors);
        return NULL;
    }
    return http_question_create(conf, kind, why, size);
}

static void assert_request(const char *lines, enum http_question_kind kind, const char *expected)
{
    char why[2048];
    struct http_question *question = question_of(lines, kind, why, sizeof(why));
    struct http_bytes bytes;

    if (question == NULL)
        fail_msg("%s", why);
    assert_null(http_question_write(question, &facts, &bytes));
    if (bytes.len != strlen(expected) || memcmp(bytes.data, expected, bytes.len) != 0)
        fail_msg("%.*s", (int)bytes.len, (const char *)bytes.data);
    http_bytes_free(&bytes);
    http_question_destroy(question);
}

static void forms_are_encoded(void **state)
{
    (void)state;
    assert_request(
        "auth_req { url = \"http://auth.example:8080/mqtt/auth\", method = post\n"
        "headers.content-type = \"application/x-www-form-urlencoded\"\n"
        "params = {clientid = \"%c\", username = \"%u\", password = \"%P\", x = \"100%%-%r:%p\"}}",
        HTTP_QUESTION_LOGIN,
        "POST /mqtt/auth HTTP/1.1\r\nHost: auth.example:8080\r\nUser-Agent: ShardMQ\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 85\r\n\r\n"
        "clientid=id%22%0D%0A&username=ann%26b%3Dc&password=p%00%FF%2B%20&x=100%25-"
        "mqtt%3A1883");
}

static void queries_are_encoded(void **state)
{
    (void)state;
    assert_request("acl_req { url = \"https://[2001:db8::1]/acl?key=1\", method = GET\n"
                   "headers { content-type = \"application/json\", x-key = \"a, b\" }\n"
                   "params = \"access=%A,topic=%t,ip=%a,m=%m\"}",
                   HTTP_QUESTION_RULE,
                   "GET /acl?key=1&access=2&topic=a%2F%2B%2F%C3%A9&ip=192.0.2.1 HTTP/1.1\r\n"
                   "x-key: a, b\r\nHost: [2001:db8::1]\r\nUser-Agent: ShardMQ\r\n\r\n");
}

static void json_is_escaped(void **state)
{
    (void)state;
    assert_request("acl_req { url = \"http://auth.example\", method = put\n"
                   "headers.content-type = \"application/json\", headers.host = other.example\n"
                   "params { c = \"%c\", t = \"%t\", nothing = \"%C\", \"q\" = \"-%C-\" }}",
                   HTTP_QUESTION_RULE,
                   "PUT / HTTP/1.1\r\nhost: other.example\r\nUser-Agent: ShardMQ\r\n"
                   "Content-Type: application/json\r\nContent-Length: 46\r\n\r\n"
                   "{\"c\":\"id\\\"\\u000d\\u000a\",\"t\":\"a/+/\xc3\xa9\",\"q\":\"--\"}");
}

static void what_json_cannot_hold(void **state)
{
    char why[2048];
    struct http_question *question =
        question_of("auth_req { url = \"http://auth.example\", headers.content-type = "
                    "\"application/json\", params.p = \"%P\" }",
                    HTTP_QUESTION_LOGIN, why, sizeof(why));
    struct http_bytes bytes;

    (void)state;
    assert_non_null(question);
    assert_non_null(http_question_write(question, &facts, &bytes));
    assert_null(bytes.data);
    http_question_destroy(question);
}

static void what_is_wrong_is_told(void **state)
{
    static const struct {
        const char *lines, *sentence;
    } cases[] = {
        {"auth_req { url = \"ftp://auth.example\", params.a = \"%c\" }", "auth_req.url must begin"},
        {"auth_req { url = \"http://auth.example\" }", "auth_req.params say nothing"},
        {"auth_req { url = \"http://auth.example\", params.a = \"%t\" }", "no placeholder %t here"},
        {"auth_req { url = \"http://auth.example\", params.a = \"%z\" }", "no placeholder %z"},
        {"auth_req { url = \"http://auth.example\", params.a = \"50%\" }", "no placeholder %"},
        {"auth_req { url = \"http://auth.example\", params.a = \"%c\", headers.content-length = 5 "
         "}",
         "headers.content-length cannot be set"},
        {"auth_req { url = \"http://auth.example\", params.a = \"%c\", headers.\"a b\" = 5 }",
         "visible characters"},
        {"auth_req { url = \"http://auth.example\", params.a = \"%c\", headers.a = \"x\\r\\nEvil: "
         "1\" }",
         "control characters"},
        {"auth_req { url = \"http://auth.example\", params.a = \"%c\", headers.content-type = "
         "text/plain }",
         "headers.content-type is"},
        {"auth_req { url = \"http://auth.example\", method = patch }", "takes post, get or put"},
        {"auth_req { uri = \"http://auth.example\" }", "auth_req.uri"},
    };
    char why[2048];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        if (question_of(cases[i].lines, HTTP_QUESTION_LOGIN, why, sizeof(why)) != NULL)
            fail_msg("%s is taken", cases[i].lines);
        if (strstr(why, cases[i].sentence) == NULL)
            fail_msg("%s: %s", cases[i].lines, why);
    }
    assert_null(question_of("enable = false, auth_req { url = \"http://auth.example\" }",
                            HTTP_QUESTION_LOGIN, why, sizeof(why)));
    assert_string_equal(why, "");
}

static struct http_decision decide(const char *head, const char *body)
{
    struct http_answer answer;
    struct http_error error;
    char *copy = malloc(strlen(body) + 1);
    struct http_decision decision;

    assert_true(http_parse_answer(span_text(head), &answer, &error));
    memcpy(copy, body, strlen(body));
    decision = http_decide(&answer, span_of(copy, strlen(body)));
    free(copy);
    return decision;
}

#define PLAIN "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"
#define JSON  "HTTP/1.1 200 OK\r\nContent-Type: Application/JSON; charset=utf-8\r\n\r\n"

static void answers_mean(void **state)
{
    static const struct {
        const char *head, *body;
        enum http_verdict verdict;
        bool superuser, failed;
    } cases[] = {
        {PLAIN, "", HTTP_VERDICT_ALLOW, false, false},
        {PLAIN, "deny", HTTP_VERDICT_ALLOW, false, false}, /* only the status counts */
        {PLAIN, "{\"result\":\"deny\"}", HTTP_VERDICT_DENY, false,
         false}, /* whatever it is called */
        {PLAIN, "{\"result\":\"ignore\"}", HTTP_VERDICT_IGNORE, false, false},
        {PLAIN, "{\"result\":\"allow\"", HTTP_VERDICT_DENY, false, false},
        {"HTTP/1.1 200 OK\r\n\r\n", "\r\n {\"result\":\"deny\"}", HTTP_VERDICT_DENY, false, false},
        {PLAIN, " \r\n", HTTP_VERDICT_ALLOW, false, false},
        {"HTTP/1.1 200 OK\r\n\r\n", "x", HTTP_VERDICT_ALLOW, false, false},
        {JSON, "", HTTP_VERDICT_ALLOW, false, false},
        {JSON, "null", HTTP_VERDICT_ALLOW, false, false},
        {JSON, "{}", HTTP_VERDICT_ALLOW, false, false},
        {JSON, "{\"result\":\"allow\"}", HTTP_VERDICT_ALLOW, false, false},
        {JSON, "{\"result\":\"allow\",\"is_superuser\":true}", HTTP_VERDICT_ALLOW, true, false},
        {JSON, "{\"result\":\"allow\",\"is_superuser\":\"true\"}", HTTP_VERDICT_ALLOW, false,
         false},
        {JSON, "{\"result\":\"ignore\",\"is_superuser\":true}", HTTP_VERDICT_IGNORE, false, false},
        {JSON, "{\"result\":\"deny\",\"is_superuser\":true}", HTTP_VERDICT_DENY, false, false},
        {JSON, "{\"result\":\"Allow\"}", HTTP_VERDICT_DENY, false, false},
        {JSON, "{\"result\":true}", HTTP_VERDICT_DENY, false, false},
        {JSON, "{\"result\":\"deny\",\"result\":\"allow\"}", HTTP_VERDICT_DENY, false, false},
        {JSON, "{\"result\":\"allow\"", HTTP_VERDICT_DENY, false, false},
        {JSON, "{\"result\":\"allow\"} x", HTTP_VERDICT_DENY, false, false},
        {JSON, "true", HTTP_VERDICT_DENY, false, false},
        {JSON, "[\"allow\"]", HTTP_VERDICT_DENY, false, false},
        {"HTTP/1.1 201 Created\r\n\r\n", "", HTTP_VERDICT_DENY, false, false},
        {"HTTP/1.1 204 No\r\n\r\n", "", HTTP_VERDICT_DENY, false, false},
        {"HTTP/1.1 302 F\r\nLocation: http://auth.example/\r\n\r\n", "", HTTP_VERDICT_DENY, false,
         false},
        {"HTTP/1.1 401 U\r\n\r\n", "", HTTP_VERDICT_DENY, false, false},
        {"HTTP/1.1 429 T\r\n\r\n", "", HTTP_VERDICT_DENY, false, false},
        {"HTTP/1.1 500 I\r\nContent-Type: application/json\r\n\r\n", "{\"result\":\"allow\"}",
         HTTP_VERDICT_DENY, false, true},
        {"HTTP/1.1 503 S\r\n\r\n", "", HTTP_VERDICT_DENY, false, true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct http_decision decision = decide(cases[i].head, cases[i].body);

        if (decision.verdict != cases[i].verdict || decision.superuser != cases[i].superuser ||
            decision.failed != cases[i].failed)
            fail_msg("%s%s", cases[i].head, cases[i].body);
        assert_true((decision.verdict == HTTP_VERDICT_DENY) == (decision.why != NULL));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms_are_encoded),     cmocka_unit_test(queries_are_encoded),
        cmocka_unit_test(json_is_escaped),       cmocka_unit_test(what_json_cannot_hold),
        cmocka_unit_test(what_is_wrong_is_told), cmocka_unit_test(answers_mean),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    conf_free(conf);
    return failed;
}
