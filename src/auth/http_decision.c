/* SPDX-License-Identifier: MIT
 *
 * http_decision - what the answer of a backend means.
 *
 * Only a clear yes lets somebody in. NanoMQ's backends answer with a status alone; EMQX' with 200 and a JSON object,
 * whose "result" decides. What is said to be JSON, or looks like an object, and is not denies: many a framework sends
 * {"result": "deny"} as text/html when its user forgets to say that it is JSON.
 */
#include "auth/http_question.h"

#include "base/json.h"

#include <strings.h>

static struct http_decision deny(const char *why)
{
    return (struct http_decision){.verdict = HTTP_VERDICT_DENY, .why = why};
}

static bool begins_object(struct span body)
{
    uint32_t at = 0;

    while (at < body.len && memchr(" \t\r\n", body.data[at], 4) != NULL)
        at++;
    return at < body.len && body.data[at] == '{';
}

static bool is_json(const struct http_answer *answer, struct span body)
{
    static const char json[] = "application/json";
    struct span type;
    uint32_t len = 0;

    if (begins_object(body))
        return true;
    if (!http_header(&answer->headers, "Content-Type", &type))
        return false;
    while (len < type.len && type.data[len] != ';' && type.data[len] != ' ')
        len++;
    type.len = len;
    return http_token_equal(type, json);
}

static struct http_decision read_result(const cJSON *object)
{
    const cJSON *result = cJSON_GetObjectItemCaseSensitive(object, "result");
    const cJSON *superuser = cJSON_GetObjectItemCaseSensitive(object, "is_superuser");
    struct http_decision decision = {.verdict = HTTP_VERDICT_ALLOW,
                                     .superuser = cJSON_IsTrue(superuser)};

    if (result == NULL) /* the status is the answer */
        return decision;
    if (cJSON_IsString(result) && strcmp(result->valuestring, "allow") == 0)
        return decision;
    if (cJSON_IsString(result) && strcmp(result->valuestring, "ignore") == 0)
        return (struct http_decision){.verdict = HTTP_VERDICT_IGNORE};
    return deny(cJSON_IsString(result) && strcmp(result->valuestring, "deny") == 0
                    ? "the HTTP backend denied it"
                    : "the HTTP backend answered with a result that is not known");
}

struct http_decision http_decide(const struct http_answer *answer, struct span body)
{
    struct http_decision decision;
    const char *why;
    cJSON *json;

    if (answer->status != 200) {
        decision = deny(answer->status >= 500   ? "the HTTP backend is in trouble"
                        : answer->status >= 400 ? "the HTTP backend denied it"
                        : answer->status >= 300
                            ? "the HTTP backend sent a redirection, which is not followed"
                            : "the HTTP backend answered with a status that is not 200");
        decision.failed = answer->status >= 500;
        return decision;
    }
    if (body.len == 0 || !is_json(answer, body))
        return (struct http_decision){.verdict = HTTP_VERDICT_ALLOW};
    json = json_parse(body, &why);
    if (cJSON_IsObject(json))
        decision = read_result(json);
    else if (cJSON_IsNull(json))
        decision = (struct http_decision){.verdict = HTTP_VERDICT_ALLOW};
    else
        decision = deny(json == NULL ? "the HTTP backend answered with malformed JSON"
                                     : "the HTTP backend answered with JSON that is no object");
    cJSON_Delete(json);
    return decision;
}
