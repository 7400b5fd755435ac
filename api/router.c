/* SPDX-License-Identifier: MIT
 *
 * router - from a request to the handler of its row in routes.def.
 *
 *   path --> row? 404 --> method? 405 --> page of another origin, foreign name? 403
 *        --> credentials? 401, 429
 *        --> query? 400 --> (body arrives) --> JSON? 400 --> members? 400 --> handler
 */
#include "api/api_priv.h"

#include "api/handlers.h"
#include "base/json.h"
#include "base/log.h"
#include "broker/policy.h"
#include "conf/conf.h"

#include <stdlib.h>

/* ---- the tables ---- */

const struct api_route api_routes[] = {
#define ROUTE(method, path, handler, name, flags, query, body, answer, doc)                        \
    {HTTP_METHOD_##method, path, handler, name, flags, query, body, answer, doc},
#include "api/routes.def"
#undef ROUTE
};
const unsigned api_route_count = ARRAY_LENGTH(api_routes);

const struct api_request_code api_request_codes[] = {
#define CODE(number, handler, name, scope, members, data, doc)                                     \
    {number, handler, name, JWT_SCOPE_##scope, members, data, doc},
#include "api/codes.def"
#undef CODE
};
const unsigned api_request_code_count = ARRAY_LENGTH(api_request_codes);

/* ---- paths ---- */

/* Takes the next segment of a path; false at its end. */
static bool next_segment(struct span *path, struct span *segment)
{
    const uint8_t *slash;

    if (path->len == 0)
        return false;
    path->data++; /* its slash */
    path->len--;
    slash = memchr(path->data, '/', path->len);
    *segment = span_of(path->data, slash == NULL ? path->len : (size_t)(slash - path->data));
    path->data += segment->len;
    path->len -= segment->len;
    return true;
}

/* A slash at the end says nothing. */
static struct span without_last_slash(struct span path)
{
    if (path.len > 1 && path.data[path.len - 1] == '/')
        path.len--;
    return path;
}

/* Compares, and sets the values of the ":name" segments (not decoded). */
static bool path_matches(struct span path, const char *pattern, struct span *parameters)
{
    struct span rest = without_last_slash(path), wanted = span_text(pattern), segment, part;
    unsigned count = 0;

    for (;;) {
        bool more = next_segment(&rest, &segment);

        if (more != next_segment(&wanted, &part))
            return false;
        if (!more)
            return true;
        if (part.len != 0 && part.data[0] == ':') {
            if (segment.len == 0)
                return false;
            ASSERT(count < API_PATH_PARAMETERS_MAX);
            parameters[count++] = segment;
        } else if (!span_equal(segment, part)) {
            return false;
        }
    }
}

static void allow(struct api_request *request, const char *method)
{
    size_t len = strlen(request->allow);

    if (strstr(request->allow, method) == NULL)
        snprintf(request->allow + len, sizeof(request->allow) - len, "%s%s", len == 0 ? "" : ", ",
                 method);
}

static void allow_row(struct api_request *request, const struct api_route *route)
{
    if ((route->flags & API_ANY_METHOD) != 0) {
        allow(request, "GET");
        allow(request, "HEAD");
        allow(request, "PUT");
        allow(request, "DELETE");
        allow(request, "PATCH");
    }
    allow(request, http_method_name(route->method));
    if (route->method == HTTP_METHOD_GET)
        allow(request, "HEAD");
    allow(request, "OPTIONS");
}

static bool method_matches(const struct api_route *route, enum http_request_method method)
{
    if ((route->flags & API_ANY_METHOD) != 0)
        return method != HTTP_METHOD_OPTIONS && method != HTTP_METHOD_OTHER;
    return route->method == (method == HTTP_METHOD_HEAD ? HTTP_METHOD_GET : method);
}

/* Finds the row. False: there is none, and request->allow has the methods of the path, if it is one. */
static bool find_route(struct api_request *request)
{
    struct span ignored[API_PATH_PARAMETERS_MAX];

    for (unsigned i = 0; i < api_route_count; i++) {
        const struct api_route *route = &api_routes[i];

        if (method_matches(route, request->http.method) &&
            path_matches(request->http.path, route->path, request->parameters)) {
            request->route = route;
            request->allow[0] = '\0';
            return true;
        }
        if (path_matches(request->http.path, route->path, ignored))
            allow_row(request, route);
    }
    return false;
}

static void answer_unrouted(struct api_request *request)
{
    bool asks_server = span_equal(request->http.path, span_text("*"));

    if (request->http.method == HTTP_METHOD_OPTIONS && (request->allow[0] != '\0' || asks_server))
        reply_bytes(request, 204, "", NULL, 0);
    else if (request->allow[0] != '\0')
        api_reply_error(request, 405, API_UNKNOWN, "this path has %s", request->allow);
    else
        api_reply_error(request, 404, API_UNKNOWN,
                        "there is no such path; GET /api/v4 lists those that there are");
}

/* ---- who asks ---- */

/* True when a list of origins, separated by commas or blanks, has it. */
static bool origin_listed(const char *list, struct span origin)
{
    while (*list != '\0') {
        size_t len = strcspn(list, ", ");

        if ((len == 1 && list[0] == '*') || span_equal(span_of(list, len), origin))
            return true;
        list += len + (list[len] != '\0');
    }
    return false;
}

/* A page that came from the API's own address: its origin is http://<Host>. */
static bool is_own_origin(const struct api_request *request, struct span origin)
{
    struct span host;
    const uint8_t *slashes = memchr(origin.data, '/', origin.len);
    uint32_t scheme = slashes == NULL ? 0 : (uint32_t)(slashes - origin.data) + 2;

    return http_header(&request->http.headers, "Host", &host) && scheme != 0 &&
           origin.len >= scheme &&
           span_equal(span_of(origin.data + scheme, origin.len - scheme), host);
}

/* A browser sends the credentials that it remembers along with what pages of anybody ask for. Such a
 * page cannot read the answer, but it must not change anything either. */
static bool admit_origin(struct api_request *request)
{
    struct span origin;
    bool listed, reads = request->http.method == HTTP_METHOD_GET ||
                         request->http.method == HTTP_METHOD_HEAD ||
                         request->http.method == HTTP_METHOD_OPTIONS;

    if (!http_header(&request->http.headers, "Origin", &origin))
        return true;
    listed = origin_listed(api_conf(request->api)->http_server_cors_origins, origin);
    if (listed)
        request->origin = origin;
    if (listed || reads || is_own_origin(request, origin))
        return true;
    api_reply_error(request, 403, API_UNKNOWN,
                    "pages of other origins are not allowed to do this: http_server.cors_origins");
    return false;
}

/* A name that somebody else's DNS may point at this machine: anything but localhost and an address. */
static bool is_foreign_name(struct span host)
{
    uint32_t len = 0;

    if (host.len != 0 && host.data[0] == '[')
        return false;
    while (len < host.len && host.data[len] != ':')
        len++;
    host.len = len;
    if (span_equal(host, span_text("localhost")))
        return false;
    for (uint32_t i = 0; i < host.len; i++)
        if ((host.data[i] < '0' || host.data[i] > '9') && host.data[i] != '.')
            return true;
    return false;
}

/* Without a password only the address stands between the broker and a page in a browser on this
 * machine; a page whose name was pointed here (DNS rebinding) says that name in Host. */
static bool admit_host(struct api_request *request)
{
    const struct conf *conf = api_conf(request->api);
    struct span host;

    if (conf->http_server_auth_type != CONF_HTTP_AUTH_NONE ||
        conf->http_server_allow_remote_no_auth || (request->route->flags & API_NO_AUTH) != 0 ||
        !http_header(&request->http.headers, "Host", &host) || !is_foreign_name(host))
        return true;
    api_reply_error(request, 403, API_UNKNOWN,
                    "without a password the API is asked by localhost or an address, not by a name "
                    "(http_server.auth_type, http_server.allow_remote_no_auth)");
    return false;
}

/* 401, with what the client is to show. */
static bool challenge(struct api_request *request, enum api_code code, const char *why)
{
    request->challenge = true;
    api_reply_error(request, 401, code, "%s", why);
    return false;
}

static enum auth_verdict check_credentials(struct api_request *request, const struct conn *conn,
                                           const char **why)
{
    const struct conf *conf = api_conf(request->api);
    const struct jwt_login *tokens = control_policy(request->api->control)->api_jwt;
    const struct shard *shard = request->api->shard;
    struct span header = {0};

    if (http_header_count(&request->http.headers, "Authorization") == 1)
        http_header(&request->http.headers, "Authorization", &header);
    if (conf->http_server_auth_type == CONF_HTTP_AUTH_BASIC) {
        *why = "wrong user name or password";
        return auth_check(&request->api->auth, header, conn->family, conn->address, shard->now_ms,
                          conf->http_server_username, conf->http_server_password,
                          &request->retry_s);
    }
    *why = "there is no key for tokens";
    if (tokens == NULL)
        return AUTH_WRONG;
    return auth_check_token(&request->api->auth, header, conn->family, conn->address, shard->now_ms,
                            shard->wall_ms / 1000, tokens, &request->scope, why, &request->retry_s);
}

static bool admit_account(struct api_request *request, const struct conn *conn)
{
    bool tokens = api_conf(request->api)->http_server_auth_type == CONF_HTTP_AUTH_JWT;
    const char *why = "";
    char peer[PEER_NAME_MAX];

    request->scope = JWT_SCOPE_WRITE;
    if ((request->route->flags & API_NO_AUTH) != 0 ||
        api_conf(request->api)->http_server_auth_type == CONF_HTTP_AUTH_NONE)
        return true;
    switch (check_credentials(request, conn, &why)) {
    case AUTH_RIGHT:
        return true;
    case AUTH_ABSENT:
        return challenge(request, API_NO_PASSWORD,
                         tokens ? "a token is needed: Authorization: Bearer"
                                : "a user name and a password are needed");
    case AUTH_EXPIRED:
        return challenge(request, API_TOKEN_EXPIRED, "the token has expired");
    case AUTH_WRONG:
        STAT_INC(request->api->shard->stats, http_wrong_password);
        conn_peer_name(conn, peer, sizeof(peer));
        LOG_WARN("http: %s from %s", why, peer);
        return challenge(request, API_WRONG_PASSWORD,
                         tokens ? "this token is not taken" : "wrong user name or password");
    case AUTH_FAILED:
        api_reply_error(request, 503, API_UNKNOWN, "the broker has no memory left for this token");
        return false;
    case AUTH_SLOWED:
        api_reply_error(request, 429, API_WRONG_PASSWORD,
                        "too many wrong passwords came from this address: try again later");
        return false;
    }
    return false;
}

/* A request that is answered 403: what it needs, its token does not allow. */
static bool admit_scope(struct api_request *request, enum jwt_scope needed)
{
    if (request->scope >= needed)
        return true;
    api_reply_error(request, 403, API_UNKNOWN,
                    "the token does not allow that: it needs the scope %s",
                    needed == JWT_SCOPE_READ ? "read" : "write");
    return false;
}

/* Of a request code its row says it, when the body is there. */
static enum jwt_scope scope_of_route(const struct api_request *request)
{
    const struct api_route *route = request->route;

    if ((route->flags & API_NO_AUTH) != 0)
        return JWT_SCOPE_NONE;
    return route->method == HTTP_METHOD_GET || (route->flags & API_ENVELOPE) != 0 ? JWT_SCOPE_READ
                                                                                  : JWT_SCOPE_WRITE;
}

/* ---- queries ---- */

static bool refuse_query(struct api_request *request, const char *why)
{
    api_reply_error(request, 400, API_BAD_PARAMETER, "%s", why);
    return false;
}

static const struct api_row_schemas *schemas_of(const struct api_request *request)
{
    return &request->api->routes[request->route - api_routes];
}

static bool has_value(const struct api_request *request, const char *name)
{
    struct span value;

    return api_query(request, name, &value);
}

static bool take_parameter(struct api_request *request, const struct schema *schema,
                           struct span name, struct span value)
{
    char why[256], shown[128];
    const char *known;

    if (!http_percent_decode(&name, true) || !http_percent_decode(&value, true))
        return refuse_query(request, "the query is not percent-encoded UTF-8");
    known = schema == NULL ? NULL : schema_member_name(schema, name);
    if (known == NULL) {
        log_escape(shown, sizeof(shown), name);
        snprintf(why, sizeof(why), "there is no parameter \"%s\" here", shown);
        return refuse_query(request, why);
    }
    if (has_value(request, known) || request->query_count == API_QUERY_MAX) {
        snprintf(why, sizeof(why), "%s is there twice", known);
        return refuse_query(request, why);
    }
    if (schema_check_text(schema, known, value, why, sizeof(why)) != SCHEMA_OK)
        return refuse_query(request, why);
    request->query[request->query_count++] = (struct api_query_value){known, value};
    return true;
}

static bool read_query(struct api_request *request)
{
    const struct schema *schema = schemas_of(request)->query, *type;
    struct span rest = request->http.query, name, value;
    bool optional;

    while (http_query_next(&rest, &name, &value))
        if (!take_parameter(request, schema, name, value))
            return false;
    for (unsigned i = 0; schema != NULL; i++) {
        const char *wanted = schema_member(schema, i, &type, &optional);

        if (wanted == NULL)
            break;
        if (!optional && !has_value(request, wanted)) {
            api_reply_error(request, 400, API_MISSING_PARAMETER, "the parameter %s is missing",
                            wanted);
            return false;
        }
    }
    return true;
}

static bool decode_path(struct api_request *request)
{
    for (unsigned i = 0; i < API_PATH_PARAMETERS_MAX; i++)
        if (request->parameters[i].len != 0 && !http_percent_decode(&request->parameters[i], false))
            return refuse_query(request, "the path is not percent-encoded UTF-8");
    return true;
}

bool router_admit(struct api_request *request, const struct conn *conn)
{
    bool found = find_route(request);

    if (!admit_origin(request))
        return false;
    if (!found) {
        answer_unrouted(request);
        return false;
    }
    return admit_host(request) && admit_account(request, conn) &&
           admit_scope(request, scope_of_route(request)) && decode_path(request) &&
           read_query(request);
}

/* ---- bodies ---- */

static bool check_body(struct api_request *request, const struct schema *schema)
{
    char why[512] = "";
    enum schema_verdict verdict = schema_check(schema, request->body, why, sizeof(why));

    if (verdict == SCHEMA_OK)
        return true;
    api_reply_error(request, 400,
                    verdict == SCHEMA_MISSING ? API_MISSING_PARAMETER : API_BAD_PARAMETER, "%s",
                    why);
    return false;
}

static bool parse_body(struct api_request *request)
{
    const char *why = NULL;

    request->body = json_parse(request->body_bytes, &why);
    if (request->body != NULL)
        return true;
    api_reply_error(request, 400, API_NOT_JSON, "the body is not JSON: %s", why);
    return false;
}

/* Digits without a sign or leading zeros, as json_raw_number() gives them. */
static bool is_64_bit(struct span digits)
{
    static const char most[] = "18446744073709551615";
    uint32_t len = sizeof(most) - 1;

    return digits.len < len || (digits.len == len && memcmp(digits.data, most, len) <= 0);
}

/* The envelope of a request code; its seq comes back with every answer. */
static bool read_envelope(struct api_request *request)
{
    const cJSON *number;
    struct span seq;

    if (!cJSON_IsObject(request->body)) {
        api_reply_error(request, 400, API_NOT_JSON, "the body is not a JSON object");
        return false;
    }
    seq = json_raw_number(request->body_bytes, "seq");
    if (seq.len != 0 && is_64_bit(seq))
        memcpy(request->seq, seq.data, seq.len);
    number = cJSON_GetObjectItemCaseSensitive(request->body, "req");
    if (cJSON_IsNumber(number) && number->valuedouble > 0 && number->valuedouble < 1e9 &&
        (double)number->valueint == number->valuedouble)
        request->rep = number->valuedouble;
    if (cJSON_HasObjectItem(request->body, "seq") && request->seq[0] == '\0') {
        api_reply_error(request, 400, API_BAD_PARAMETER,
                        "seq: a whole number of at most 64 bits was expected");
        return false;
    }
    for (unsigned i = 0; i < api_request_code_count; i++)
        if (request->rep == api_request_codes[i].number)
            request->code = &api_request_codes[i];
    if (request->code != NULL)
        return admit_scope(request, request->code->scope) &&
               check_body(request, request->api->codes[request->code - api_request_codes].body);
    if (number == NULL)
        api_reply_error(request, 400, API_MISSING_PARAMETER, "req is missing");
    else if (!cJSON_IsNumber(number))
        api_reply_error(request, 400, API_BAD_PARAMETER, "req: an integer was expected");
    else
        api_reply_error(request, 404, API_UNKNOWN, "there is no such req");
    return false;
}

void router_dispatch(struct api_request *request)
{
    const struct api_route *route = request->route;
    const struct schema *schema = schemas_of(request)->body;

    if ((route->flags & API_ENVELOPE) != 0) {
        if (parse_body(request) && read_envelope(request))
            route->handler(request);
        return;
    }
    if (schema == NULL ||
        ((route->flags & API_MAY_LACK_BODY) != 0 && request->body_bytes.len == 0) ||
        (parse_body(request) && check_body(request, schema)))
        route->handler(request);
}

/* ---- for handlers ---- */

struct span api_path_parameter(const struct api_request *request, unsigned n)
{
    ASSERT(n < API_PATH_PARAMETERS_MAX);
    return request->parameters[n];
}

bool api_query(const struct api_request *request, const char *name, struct span *value)
{
    for (unsigned i = 0; i < request->query_count; i++) {
        if (strcmp(request->query[i].name, name) != 0)
            continue;
        *value = request->query[i].value;
        return true;
    }
    return false;
}

bool api_query_number(const struct api_request *request, const char *name, int64_t *value)
{
    char digits[32] = "";
    struct span text;

    if (!api_query(request, name, &text))
        return false;
    ASSERT(text.len < sizeof(digits)); /* the schema has looked at it */
    memcpy(digits, text.data, text.len);
    *value = (int64_t)strtod(digits, NULL);
    return true;
}

const cJSON *api_body(const struct api_request *request)
{
    return request->body;
}

struct span api_body_bytes(const struct api_request *request)
{
    return request->body_bytes;
}

struct api *api_of(const struct api_request *request)
{
    return request->api;
}

struct shard *api_shard(const struct api *api)
{
    return api->shard;
}

struct control *api_control(const struct api *api)
{
    return api->control;
}

const struct conf *api_conf(const struct api *api)
{
    return control_conf(api->control);
}
