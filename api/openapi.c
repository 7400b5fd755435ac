/* SPDX-License-Identifier: MIT
 *
 * openapi - the description of the API in OpenAPI 3.1, made from routes.def, codes.def and schemas.def
 * and from nothing else.
 */
#include "api/api_priv.h"

#include "api/handlers.h"
#include "base/mem.h"

#include <ctype.h>
#include <stdio.h>

#define PATH_MAX_BYTES 256u

/* "/clients/:clientid" as OpenAPI has it: "/clients/{clientid}". */
static void braced_path(const char *path, char *to, size_t size)
{
    size_t len = 0;
    bool named = false;

    for (; len + 3 < size; path++) {
        if (named && (*path == '/' || *path == '\0')) {
            to[len++] = '}';
            named = false;
        }
        if (*path == '\0')
            break;
        named = named || *path == ':';
        to[len++] = *path == ':' ? '{' : *path;
    }
    to[len] = '\0';
}

static void add_parameter(cJSON *list, const char *name, const char *in, bool required,
                          cJSON *schema)
{
    cJSON *parameter = cJSON_CreateObject();

    cJSON_AddStringToObject(parameter, "name", name);
    cJSON_AddStringToObject(parameter, "in", in);
    cJSON_AddBoolToObject(parameter, "required", required);
    cJSON_AddItemToObject(parameter, "schema", schema);
    cJSON_AddItemToArray(list, parameter);
}

static cJSON *string_schema(void)
{
    cJSON *schema = cJSON_CreateObject();

    cJSON_AddStringToObject(schema, "type", "string");
    return schema;
}

static void add_path_parameters(cJSON *list, const char *path)
{
    char name[64];

    for (const char *at = strchr(path, ':'); at != NULL; at = strchr(at + 1, ':')) {
        snprintf(name, sizeof(name), "%.*s", (int)strcspn(at + 1, "/"), at + 1);
        add_parameter(list, name, "path", true, string_schema());
    }
}

static void add_query_parameters(cJSON *list, const struct schemas *schemas, const char *query)
{
    struct schema *schema = schema_create(schemas, query);
    const struct schema *type;
    const char *name;
    bool optional;

    for (unsigned i = 0; (name = schema_member(schema, i, &type, &optional)) != NULL; i++)
        add_parameter(list, name, "query", !optional, schema_describe(type));
    schema_destroy(schema);
}

static cJSON *content(const char *media_type, cJSON *schema)
{
    cJSON *json = cJSON_CreateObject(), *content = cJSON_AddObjectToObject(json, "content");
    cJSON *media = cJSON_AddObjectToObject(content, media_type);

    cJSON_AddItemToObject(media, "schema", schema);
    return json;
}

static cJSON *described(const struct schemas *schemas, const char *text)
{
    struct schema *schema = schema_create(schemas, text);
    cJSON *json = schema_describe(schema);

    schema_destroy(schema);
    return json;
}

static bool is_schema(const char *answer)
{
    return strchr("{[$", answer[0]) != NULL;
}

static void add_response(cJSON *responses, const char *status, const char *description, cJSON *json)
{
    cJSON_AddItemToObject(responses, status, json);
    cJSON_AddStringToObject(json, "description", description);
}

static void add_responses(cJSON *operation, const struct schemas *schemas,
                          const struct api_route *route)
{
    cJSON *responses = cJSON_AddObjectToObject(operation, "responses");
    bool json = is_schema(route->answer);

    add_response(responses, "200", "Done.",
                 content(json ? "application/json" : route->answer,
                         json ? described(schemas, route->answer) : string_schema()));
    add_response(responses, "default", "It was refused, or went wrong.",
                 content("application/json", described(schemas, "$Error")));
}

/* The members of a request code, one alternative for each number. */
static cJSON *describe_codes(const struct schemas *schemas)
{
    cJSON *json = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(json, "oneOf");

    for (unsigned i = 0; i < api_request_code_count; i++) {
        const struct api_request_code *code = &api_request_codes[i];
        char text[512];
        cJSON *one;

        snprintf(text, sizeof(text), "{req:%u..%u,seq?:int%s%s}", code->number, code->number,
                 code->members[0] == '\0' ? "" : ",", code->members);
        one = described(schemas, text);
        cJSON_AddStringToObject(one, "title", code->name);
        cJSON_AddStringToObject(one, "description", code->doc);
        cJSON_AddItemToArray(list, one);
    }
    return json;
}

/* ... and of their answers. */
static cJSON *describe_code_answers(const struct schemas *schemas)
{
    cJSON *json = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(json, "oneOf");

    for (unsigned i = 0; i < api_request_code_count; i++) {
        const struct api_request_code *code = &api_request_codes[i];
        char text[512];

        snprintf(text, sizeof(text), "{code:0..0,seq:int,rep:%u..%u%s%s}", code->number,
                 code->number,
                 code->data == NULL ? "" : ",data:", code->data == NULL ? "" : code->data);
        cJSON_AddItemToArray(list, described(schemas, text));
    }
    return json;
}

static void add_envelope(cJSON *operation, const struct schemas *schemas)
{
    cJSON *responses = cJSON_AddObjectToObject(operation, "responses");

    cJSON_AddItemToObject(operation, "requestBody",
                          content("application/json", describe_codes(schemas)));
    add_response(responses, "200", "Done.",
                 content("application/json", describe_code_answers(schemas)));
    add_response(responses, "default", "It was refused, or went wrong.",
                 content("application/json",
                         described(schemas, "{code:int,seq:int,rep?:int,message:string}")));
}

static cJSON *describe_route(const struct schemas *schemas, const struct api_route *route)
{
    cJSON *operation = cJSON_CreateObject(), *parameters = cJSON_CreateArray();

    cJSON_AddStringToObject(operation, "operationId", route->name);
    cJSON_AddStringToObject(operation, "summary", route->doc);
    if ((route->flags & API_NO_AUTH) != 0)
        cJSON_AddArrayToObject(operation, "security");
    add_path_parameters(parameters, route->path);
    if (route->query != NULL)
        add_query_parameters(parameters, schemas, route->query);
    if (cJSON_GetArraySize(parameters) != 0)
        cJSON_AddItemToObject(operation, "parameters", parameters);
    else
        cJSON_Delete(parameters);
    if ((route->flags & API_ENVELOPE) != 0) {
        add_envelope(operation, schemas);
        return operation;
    }
    if (route->body != NULL) {
        bool json = strcmp(route->body, "text") != 0;

        cJSON_AddItemToObject(operation, "requestBody",
                              content(json ? "application/json" : "text/plain",
                                      json ? described(schemas, route->body) : string_schema()));
    }
    add_responses(operation, schemas, route);
    return operation;
}

static void add_paths(cJSON *document, const struct schemas *schemas)
{
    cJSON *paths = cJSON_AddObjectToObject(document, "paths");

    for (unsigned i = 0; i < api_route_count; i++) {
        char path[PATH_MAX_BYTES], method[16];
        cJSON *item;

        braced_path(api_routes[i].path, path, sizeof(path));
        item = cJSON_GetObjectItemCaseSensitive(paths, path);
        if (item == NULL)
            item = cJSON_AddObjectToObject(paths, path);
        snprintf(method, sizeof(method), "%s", http_method_name(api_routes[i].method));
        for (char *c = method; *c != '\0'; c++)
            *c = (char)tolower((unsigned char)*c);
        cJSON_AddItemToObject(item, method, describe_route(schemas, &api_routes[i]));
    }
}

static void add_components(cJSON *document, const struct schemas *schemas)
{
    static const char *const names[] = {"basic", "bearer"};
    cJSON *components = cJSON_AddObjectToObject(document, "components"), *schemes, *security;
    cJSON *alternatives = cJSON_AddArrayToObject(document, "security"), *scheme = NULL;

    cJSON_AddItemToObject(components, "schemas", schemas_describe(schemas));
    schemes = cJSON_AddObjectToObject(components, "securitySchemes");
    for (unsigned i = 0; i < ARRAY_LENGTH(names); i++) { /* http_server.auth_type says which */
        scheme = cJSON_AddObjectToObject(schemes, names[i]);
        cJSON_AddStringToObject(scheme, "type", "http");
        cJSON_AddStringToObject(scheme, "scheme", names[i]);
        security = cJSON_CreateObject();
        cJSON_AddArrayToObject(security, names[i]);
        cJSON_AddItemToArray(alternatives, security);
    }
    cJSON_AddStringToObject(scheme, "bearerFormat", "JWT");
}

char *api_openapi(void)
{
    struct schemas *schemas = schemas_create();
    cJSON *document = cJSON_CreateObject(), *info;
    char *text;

    cJSON_AddStringToObject(document, "openapi", "3.1.0");
    info = cJSON_AddObjectToObject(document, "info");
    cJSON_AddStringToObject(info, "title", "ShardMQ");
    cJSON_AddStringToObject(info, "version", SHARDMQ_VERSION);
    cJSON_AddStringToObject(
        info, "description",
        "The HTTP API of the broker. GET routes answer HEAD too, and every path "
        "answers OPTIONS.");
    add_paths(document, schemas);
    add_components(document, schemas);
    text = cJSON_Print(document);
    cJSON_Delete(document);
    schemas_destroy(schemas);
    return text;
}

void api_get_openapi(struct api_request *request)
{
    char *text = api_openapi();

    if (text == NULL)
        api_reply_json(request, 500, NULL);
    else
        api_reply_text(request, 200, "application/json", text, strlen(text));
    mem_free_libc(text);
}
