/* SPDX-License-Identifier: MIT */
#include "api/schema.h"

#include "base/check.h"
#include "base/mem.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define PATH_MAX_BYTES 128u

enum schema_kind {
    SCHEMA_ANY,
    SCHEMA_STRING,
    SCHEMA_INT,
    SCHEMA_NUMBER,
    SCHEMA_BOOL,
    SCHEMA_NULL,
    SCHEMA_CONSTANT, /* a string */
    SCHEMA_ARRAY,
    SCHEMA_OBJECT,
    SCHEMA_ALTERNATIVES,
    SCHEMA_NAMED
};

struct schema_field {
    char *name; /* NULL: all others */
    bool optional;
    struct schema *type;
};

struct schema {
    enum schema_kind kind;
    bool bounded; /* INT */
    double least, most;
    char *text; /* CONSTANT: the string; NAMED: the name */
    const struct schema *named;
    struct schema **parts; /* ARRAY: one; ALTERNATIVES */
    struct schema_field *fields;
    unsigned count; /* of parts or fields */
};

struct schema_row {
    const char *name, *text;
};

static const struct schema_row rows[] = {
#define SCHEMA(name, text) {#name, text},
#include "api/schemas.def"
#undef SCHEMA
};

struct schemas {
    struct schema *of[ARRAY_LENGTH(rows)];
};

/* ---- reading ---- */

struct reader {
    const char *at, *text;
    const struct schemas *schemas;
};

static _Noreturn void mistake(const struct reader *reader, const char *what)
{
    panic(__FILE__, __LINE__, "schema \"%s\" at \"%s\": %s", reader->text, reader->at, what);
}

static void skip_blanks(struct reader *reader)
{
    while (*reader->at == ' ')
        reader->at++;
}

static bool take(struct reader *reader, const char *token)
{
    skip_blanks(reader);
    if (strncmp(reader->at, token, strlen(token)) != 0)
        return false;
    reader->at += strlen(token);
    return true;
}

static char *take_word(struct reader *reader)
{
    const char *begin;
    char *word;
    size_t len;
    bool quoted = take(reader, "'");

    begin = reader->at;
    while (*reader->at != '\0' &&
           (quoted ? *reader->at != '\''
                   : isalnum((unsigned char)*reader->at) || strchr("_-", *reader->at) != NULL))
        reader->at++;
    len = (size_t)(reader->at - begin);
    if (len == 0)
        mistake(reader, "a word was expected");
    word = mem_alloc(len + 1);
    memcpy(word, begin, len);
    word[len] = '\0';
    if (quoted && !take(reader, "'"))
        mistake(reader, "the quotation does not end");
    return word;
}

static struct schema *read_type(struct reader *reader);

static struct schema *make(enum schema_kind kind)
{
    struct schema *schema = mem_zalloc(sizeof(*schema));

    schema->kind = kind;
    return schema;
}

static void add_part(struct schema *schema, struct schema *part)
{
    schema->parts = mem_realloc(schema->parts, (schema->count + 1) * sizeof(*schema->parts));
    schema->parts[schema->count++] = part;
}

static struct schema *read_members(struct reader *reader, const char *end)
{
    struct schema *schema = make(SCHEMA_OBJECT);

    while (!take(reader, end)) {
        struct schema_field field = {0};

        if (schema->count != 0 && !take(reader, ","))
            mistake(reader, "a comma was expected");
        if (!take(reader, "*"))
            field.name = take_word(reader);
        field.optional = take(reader, "?") || field.name == NULL;
        if (!take(reader, ":"))
            mistake(reader, "a colon was expected");
        field.type = read_type(reader);
        schema->fields = mem_realloc(schema->fields, (schema->count + 1) * sizeof(field));
        schema->fields[schema->count++] = field;
    }
    return schema;
}

static struct schema *read_named(struct reader *reader)
{
    struct schema *schema = make(SCHEMA_NAMED);

    schema->text = take_word(reader);
    for (unsigned i = 0; i < ARRAY_LENGTH(rows); i++)
        if (strcmp(rows[i].name, schema->text) == 0)
            schema->named = reader->schemas->of[i];
    if (schema->named == NULL)
        mistake(reader, "no row above this one has that name");
    return schema;
}

static struct schema *read_bounds(struct reader *reader)
{
    struct schema *schema = make(SCHEMA_INT);
    char *end;

    schema->bounded = true;
    schema->least = strtod(reader->at, &end);
    /* strtod takes the first point of ".." along */
    reader->at = strchr(reader->at, '.');
    if (reader->at == NULL || !take(reader, ".."))
        mistake(reader, "two points were expected");
    schema->most = strtod(reader->at, &end);
    reader->at = end;
    return schema;
}

static struct schema *read_one(struct reader *reader)
{
    static const struct {
        const char *word;
        enum schema_kind kind;
    } words[] = {
        {"string", SCHEMA_STRING}, {"int", SCHEMA_INT},   {"number", SCHEMA_NUMBER},
        {"bool", SCHEMA_BOOL},     {"null", SCHEMA_NULL}, {"any", SCHEMA_ANY},
    };
    struct schema *schema;

    if (take(reader, "{"))
        return read_members(reader, "}");
    if (take(reader, "[")) {
        schema = make(SCHEMA_ARRAY);
        add_part(schema, read_type(reader));
        if (!take(reader, "]"))
            mistake(reader, "a ] was expected");
        return schema;
    }
    if (take(reader, "$"))
        return read_named(reader);
    if (isdigit((unsigned char)*reader->at))
        return read_bounds(reader);
    schema = make(SCHEMA_CONSTANT);
    schema->text = take_word(reader);
    for (unsigned i = 0; i < ARRAY_LENGTH(words); i++) {
        if (strcmp(schema->text, words[i].word) != 0)
            continue;
        schema->kind = words[i].kind;
        mem_free(schema->text);
        schema->text = NULL;
        break;
    }
    return schema;
}

static struct schema *read_type(struct reader *reader)
{
    struct schema *first = read_one(reader), *all;

    if (!take(reader, "|"))
        return first;
    all = make(SCHEMA_ALTERNATIVES);
    add_part(all, first);
    do {
        add_part(all, read_one(reader));
    } while (take(reader, "|"));
    return all;
}

struct schema *schema_create(const struct schemas *schemas, const char *text)
{
    struct reader reader = {.at = text, .text = text, .schemas = schemas};
    struct schema *schema = read_type(&reader);

    if (*reader.at != '\0')
        mistake(&reader, "something is left over");
    return schema;
}

void schema_destroy(struct schema *schema)
{
    if (schema == NULL)
        return;
    for (unsigned i = 0; i < schema->count; i++) {
        if (schema->fields != NULL) {
            mem_free(schema->fields[i].name);
            schema_destroy(schema->fields[i].type);
        } else {
            schema_destroy(schema->parts[i]);
        }
    }
    mem_free(schema->fields);
    mem_free(schema->parts);
    mem_free(schema->text);
    mem_free(schema);
}

struct schemas *schemas_create(void)
{
    struct schemas *schemas = mem_zalloc(sizeof(*schemas));

    for (unsigned i = 0; i < ARRAY_LENGTH(rows); i++)
        schemas->of[i] = schema_create(schemas, rows[i].text);
    return schemas;
}

void schemas_destroy(struct schemas *schemas)
{
    for (unsigned i = 0; i < ARRAY_LENGTH(rows); i++)
        schema_destroy(schemas->of[i]);
    mem_free(schemas);
}

/* ---- checking ---- */

static bool is_integer(double number)
{
    return isfinite(number) && floor(number) == number;
}

/* What a value of the type is, for sentences. */
static void name_type(const struct schema *schema, FILE *to)
{
    static const char *const names[] = {
        [SCHEMA_ANY] = "any value",   [SCHEMA_STRING] = "a string",    [SCHEMA_INT] = "an integer",
        [SCHEMA_NUMBER] = "a number", [SCHEMA_BOOL] = "true or false", [SCHEMA_NULL] = "null",
        [SCHEMA_ARRAY] = "an array",  [SCHEMA_OBJECT] = "an object",
    };

    switch (schema->kind) {
    case SCHEMA_NAMED:
        name_type(schema->named, to);
        break;
    case SCHEMA_CONSTANT:
        fprintf(to, "\"%s\"", schema->text);
        break;
    case SCHEMA_ALTERNATIVES:
        for (unsigned i = 0; i < schema->count; i++) {
            fputs(i == 0 ? "" : " or ", to);
            name_type(schema->parts[i], to);
        }
        break;
    default:
        fputs(names[schema->kind], to);
        if (schema->bounded)
            fprintf(to, " from %.0f to %.0f", schema->least, schema->most);
    }
}

struct check {
    char path[PATH_MAX_BYTES];
    char *why;
    size_t size;
};

static enum schema_verdict wrong(struct check *check, const struct schema *schema)
{
    FILE *to = check->size == 0 ? NULL : fmemopen(check->why, check->size, "w");

    if (to == NULL)
        return SCHEMA_WRONG;
    fprintf(to, "%s: ", check->path[0] == '\0' ? "the body" : check->path);
    name_type(schema, to);
    fputs(" was expected", to);
    fclose(to);
    return SCHEMA_WRONG;
}

static enum schema_verdict check_value(const struct schema *schema, const cJSON *value,
                                       struct check *check);

/* Checks a part of the value, with its name in the path meanwhile. */
static enum schema_verdict check_part(const struct schema *schema, const cJSON *value,
                                      const char *name, unsigned index, struct check *check)
{
    size_t len = strlen(check->path);
    enum schema_verdict verdict;

    if (name != NULL)
        snprintf(check->path + len, sizeof(check->path) - len, "%s%s", len == 0 ? "" : ".", name);
    else
        snprintf(check->path + len, sizeof(check->path) - len, "[%u]", index);
    verdict = check_value(schema, value, check);
    check->path[len] = '\0';
    return verdict;
}

static const struct schema_field *field_of(const struct schema *schema, const char *name)
{
    const struct schema_field *others = NULL;

    for (unsigned i = 0; i < schema->count; i++) {
        if (schema->fields[i].name == NULL)
            others = &schema->fields[i];
        else if (strcmp(schema->fields[i].name, name) == 0)
            return &schema->fields[i];
    }
    return others;
}

static enum schema_verdict check_object(const struct schema *schema, const cJSON *value,
                                        struct check *check)
{
    if (!cJSON_IsObject(value))
        return wrong(check, schema);
    for (const cJSON *member = value->child; member != NULL; member = member->next) {
        const struct schema_field *field = field_of(schema, member->string);
        enum schema_verdict verdict;

        if (field == NULL) {
            snprintf(check->why, check->size, "%s%s%.100s: there is no such member", check->path,
                     check->path[0] == '\0' ? "" : ".", member->string);
            return SCHEMA_WRONG;
        }
        verdict = check_part(field->type, member, member->string, 0, check);
        if (verdict != SCHEMA_OK)
            return verdict;
    }
    for (unsigned i = 0; i < schema->count; i++) {
        if (schema->fields[i].optional ||
            cJSON_GetObjectItemCaseSensitive(value, schema->fields[i].name) != NULL)
            continue;
        snprintf(check->why, check->size, "%s%s%s is missing", check->path,
                 check->path[0] == '\0' ? "" : ".", schema->fields[i].name);
        return SCHEMA_MISSING;
    }
    return SCHEMA_OK;
}

static enum schema_verdict check_array(const struct schema *schema, const cJSON *value,
                                       struct check *check)
{
    unsigned index = 0;

    if (!cJSON_IsArray(value))
        return wrong(check, schema);
    for (const cJSON *element = value->child; element != NULL; element = element->next) {
        enum schema_verdict verdict = check_part(schema->parts[0], element, NULL, index++, check);

        if (verdict != SCHEMA_OK)
            return verdict;
    }
    return SCHEMA_OK;
}

static enum schema_verdict check_alternatives(const struct schema *schema, const cJSON *value,
                                              struct check *check)
{
    struct check silent = {.size = 0};

    for (unsigned i = 0; i < schema->count; i++)
        if (check_value(schema->parts[i], value, &silent) == SCHEMA_OK)
            return SCHEMA_OK;
    return wrong(check, schema);
}

static bool fits_scalar(const struct schema *schema, const cJSON *value)
{
    switch (schema->kind) {
    case SCHEMA_ANY:
        return true;
    case SCHEMA_STRING:
        return cJSON_IsString(value);
    case SCHEMA_CONSTANT:
        return cJSON_IsString(value) && strcmp(value->valuestring, schema->text) == 0;
    case SCHEMA_INT:
        return cJSON_IsNumber(value) && is_integer(value->valuedouble) &&
               (!schema->bounded ||
                (value->valuedouble >= schema->least && value->valuedouble <= schema->most));
    case SCHEMA_NUMBER:
        return cJSON_IsNumber(value) && isfinite(value->valuedouble);
    case SCHEMA_BOOL:
        return cJSON_IsBool(value);
    case SCHEMA_NULL:
        return cJSON_IsNull(value);
    default:
        UNREACHABLE("not a scalar");
    }
}

static enum schema_verdict check_value(const struct schema *schema, const cJSON *value,
                                       struct check *check)
{
    switch (schema->kind) {
    case SCHEMA_NAMED:
        return check_value(schema->named, value, check);
    case SCHEMA_OBJECT:
        return check_object(schema, value, check);
    case SCHEMA_ARRAY:
        return check_array(schema, value, check);
    case SCHEMA_ALTERNATIVES:
        return check_alternatives(schema, value, check);
    default:
        return fits_scalar(schema, value) ? SCHEMA_OK : wrong(check, schema);
    }
}

enum schema_verdict schema_check(const struct schema *schema, const cJSON *value, char *why,
                                 size_t size)
{
    struct check check = {.why = why, .size = size};

    return check_value(schema, value, &check);
}

/* ---- queries ---- */

const char *schema_member(const struct schema *schema, unsigned n, const struct schema **type,
                          bool *optional)
{
    ASSERT(schema->kind == SCHEMA_OBJECT);
    if (n >= schema->count)
        return NULL;
    *type = schema->fields[n].type;
    *optional = schema->fields[n].optional;
    return schema->fields[n].name;
}

const char *schema_member_name(const struct schema *schema, struct span name)
{
    for (unsigned i = 0; i < schema->count; i++)
        if (span_equal(span_text(schema->fields[i].name), name))
            return schema->fields[i].name;
    return NULL;
}

/* The text of a query as the value of the type that is wanted. */
static cJSON *value_of_text(const struct schema *type, struct span text)
{
    char copy[32];
    cJSON *value;
    char *end;

    if (type->kind == SCHEMA_NAMED)
        return value_of_text(type->named, text);
    if (type->kind == SCHEMA_BOOL && span_equal(text, span_text("true")))
        return cJSON_CreateTrue();
    if (type->kind == SCHEMA_BOOL && span_equal(text, span_text("false")))
        return cJSON_CreateFalse();
    if ((type->kind == SCHEMA_INT || type->kind == SCHEMA_NUMBER) && text.len != 0 &&
        text.len < sizeof(copy) && (isdigit(text.data[0]) || text.data[0] == '-')) {
        memcpy(copy, text.data, text.len);
        copy[text.len] = '\0';
        value = cJSON_CreateNumber(strtod(copy, &end));
        if (*end == '\0' && strpbrk(copy, "xXpP") == NULL)
            return value;
        cJSON_Delete(value);
    }
    value = NULL;
    end = mem_try_alloc((size_t)text.len + 1);
    if (end != NULL) {
        memcpy(end, text.data == NULL ? (const uint8_t *)"" : text.data, text.len);
        end[text.len] = '\0';
        value = cJSON_CreateString(end);
        mem_free(end);
    }
    return value;
}

enum schema_verdict schema_check_text(const struct schema *schema, const char *name,
                                      struct span value, char *why, size_t size)
{
    const struct schema_field *field = field_of(schema, name);
    struct check check = {.why = why, .size = size};
    cJSON *converted = value_of_text(field->type, value);
    enum schema_verdict verdict = check_part(field->type, converted, name, 0, &check);

    cJSON_Delete(converted);
    return verdict;
}

/* ---- describing ---- */

static cJSON *describe_object(const struct schema *schema)
{
    cJSON *json = cJSON_CreateObject(), *properties, *required;
    bool closed = true;

    cJSON_AddStringToObject(json, "type", "object");
    properties = cJSON_AddObjectToObject(json, "properties");
    required = cJSON_CreateArray();
    for (unsigned i = 0; i < schema->count; i++) {
        const struct schema_field *field = &schema->fields[i];

        if (field->name == NULL) {
            cJSON_AddItemToObject(json, "additionalProperties", schema_describe(field->type));
            closed = false;
            continue;
        }
        cJSON_AddItemToObject(properties, field->name, schema_describe(field->type));
        if (!field->optional)
            cJSON_AddItemToArray(required, cJSON_CreateString(field->name));
    }
    if (cJSON_GetArraySize(required) != 0)
        cJSON_AddItemToObject(json, "required", required);
    else
        cJSON_Delete(required);
    if (closed)
        cJSON_AddFalseToObject(json, "additionalProperties");
    return json;
}

static bool all_constants(const struct schema *schema)
{
    for (unsigned i = 0; i < schema->count; i++)
        if (schema->parts[i]->kind != SCHEMA_CONSTANT)
            return false;
    return true;
}

static cJSON *describe_alternatives(const struct schema *schema)
{
    cJSON *json = cJSON_CreateObject(), *list;
    bool constants = all_constants(schema);

    if (constants)
        cJSON_AddStringToObject(json, "type", "string");
    list = cJSON_AddArrayToObject(json, constants ? "enum" : "anyOf");
    for (unsigned i = 0; i < schema->count; i++)
        cJSON_AddItemToArray(list, constants ? cJSON_CreateString(schema->parts[i]->text)
                                             : schema_describe(schema->parts[i]));
    return json;
}

static cJSON *describe_scalar(const struct schema *schema)
{
    static const char *const names[] = {
        [SCHEMA_STRING] = "string", [SCHEMA_INT] = "integer",     [SCHEMA_NUMBER] = "number",
        [SCHEMA_BOOL] = "boolean",  [SCHEMA_CONSTANT] = "string", [SCHEMA_NULL] = "null",
    };
    cJSON *json = cJSON_CreateObject();

    if (schema->kind == SCHEMA_ANY)
        return json;
    cJSON_AddStringToObject(json, "type", names[schema->kind]);
    if (schema->kind == SCHEMA_CONSTANT)
        cJSON_AddStringToObject(json, "const", schema->text);
    if (schema->bounded) {
        cJSON_AddNumberToObject(json, "minimum", schema->least);
        cJSON_AddNumberToObject(json, "maximum", schema->most);
    }
    return json;
}

cJSON *schema_describe(const struct schema *schema)
{
    cJSON *json;
    char name[96];

    switch (schema->kind) {
    case SCHEMA_NAMED:
        snprintf(name, sizeof(name), "#/components/schemas/%s", schema->text);
        json = cJSON_CreateObject();
        cJSON_AddStringToObject(json, "$ref", name);
        return json;
    case SCHEMA_OBJECT:
        return describe_object(schema);
    case SCHEMA_ARRAY:
        json = cJSON_CreateObject();
        cJSON_AddStringToObject(json, "type", "array");
        cJSON_AddItemToObject(json, "items", schema_describe(schema->parts[0]));
        return json;
    case SCHEMA_ALTERNATIVES:
        return describe_alternatives(schema);
    default:
        return describe_scalar(schema);
    }
}

cJSON *schemas_describe(const struct schemas *schemas)
{
    cJSON *json = cJSON_CreateObject();

    for (unsigned i = 0; i < ARRAY_LENGTH(rows); i++)
        cJSON_AddItemToObject(json, rows[i].name, schema_describe(schemas->of[i]));
    return json;
}
