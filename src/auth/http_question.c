/* SPDX-License-Identifier: MIT */
#include "auth/http_question.h"

#include "base/check.h"
#include "base/mem.h"
#include "base/refuse.h"
#include "base/utf8.h"
#include "conf/conf.h"

#include <openssl/mem.h>
#include <stdio.h>
#include <strings.h>

#define PARAMETERS_MAX 64u
#define PIECES_MAX     128u /* of all parameters */
#define TEXT_BYTES     4096u

/* A part of a parameter's value: text, or a placeholder. */
struct piece {
    char placeholder; /* its letter; 0: text */
    struct span text;
};

struct parameter {
    const char *name;
    unsigned first, count; /* pieces */
};

struct http_question {
    struct http_url url;
    enum conf_http_method method;
    bool json; /* the body is JSON; else a form */
    unsigned parameter_count, piece_count;
    struct parameter parameters[PARAMETERS_MAX];
    struct piece pieces[PIECES_MAX];
    char headers[TEXT_BYTES]; /* lines that are the same for every request */
    char texts[TEXT_BYTES];   /* what names and pieces point at */
    size_t texts_used;
};

/* The options of the three. */
struct options {
    const char *name, *url, *headers, *params;
    enum conf_http_method method;
};

static const char *const names[] = {"auth_req", "super_req", "acl_req"};

const char *http_question_name(enum http_question_kind kind)
{
    return names[kind];
}

static struct options options_of(const struct conf *conf, enum http_question_kind kind)
{
#define OPTIONS(name)                                                                              \
    {                                                                                              \
#name, conf->auth_http_auth_##name##_url, conf->auth_http_auth_##name##_headers,           \
            conf->auth_http_auth_##name##_params,                                                  \
            (enum conf_http_method)conf->auth_http_auth_##name##_method                            \
    }
    const struct options all[] = {OPTIONS(auth_req), OPTIONS(super_req), OPTIONS(acl_req)};
#undef OPTIONS

    return all[kind];
}

/* ---- reading the options ---- */

static bool keep_text(struct http_question *question, const char *text, size_t len,
                      const char **kept)
{
    if (question->texts_used + len + 1 > sizeof(question->texts))
        return false;
    *kept = question->texts + question->texts_used;
    memcpy(question->texts + question->texts_used, text, len);
    question->texts_used += len;
    question->texts[question->texts_used++] = '\0';
    return true;
}

static bool add_piece(struct http_question *question, char placeholder, const char *text,
                      size_t len)
{
    struct piece *piece = &question->pieces[question->piece_count];
    const char *kept = "";

    if (question->piece_count == PIECES_MAX || !keep_text(question, text, len, &kept))
        return false;
    *piece = (struct piece){placeholder, span_of(kept, len)};
    question->piece_count++;
    return true;
}

static bool placeholder_good(enum http_question_kind kind, char letter)
{
    const char *letters = kind == HTTP_QUESTION_RULE ? "ucarpCdAtm" : "ucParpCd";

    return letter != '\0' && strchr(letters, letter) != NULL;
}

/* "%c" and text, in any mixture. */
static bool read_value(struct http_question *question, enum http_question_kind kind,
                       const char *name, const char *value, char *why, size_t size)
{
    while (*value != '\0') {
        size_t len = strcspn(value, "%");
        bool good = true;

        if (len != 0) {
            good = add_piece(question, '\0', value, len);
            value += len;
        } else if (value[1] == '%') {
            good = add_piece(question, '\0', value, 1);
            value += 2;
        } else if (placeholder_good(kind, value[1])) {
            good = add_piece(question, value[1], "", 0);
            value += 2;
        } else {
            return refuse_with(
                why, size, "params.%s: there is no placeholder %%%.1s%s; a percent sign is %%%%",
                name, value + 1,
                kind == HTTP_QUESTION_RULE ? " here (%P: no password is kept)"
                                           : " here (%A, %t and %m are for acl_req)");
        }
        if (!good)
            return refuse_with(why, size, "params are too long");
    }
    return true;
}

static bool read_parameters(struct http_question *question, enum http_question_kind kind,
                            const char *params, char *why, size_t size)
{
    char name[CONF_MAP_NAME_BYTES], value[CONF_VALUE_BYTES];

    while (conf_map_next(&params, name, value)) {
        struct parameter *parameter = &question->parameters[question->parameter_count];

        if (question->parameter_count == PARAMETERS_MAX ||
            !keep_text(question, name, strlen(name), &parameter->name))
            return refuse_with(why, size, "params are too many");
        parameter->first = question->piece_count;
        if (!read_value(question, kind, name, value, why, size))
            return false;
        parameter->count = question->piece_count - parameter->first;
        question->parameter_count++;
    }
    return question->parameter_count != 0 ||
           refuse_with(why, size,
                       "params say nothing: whom is it asked about? As params = {clientid = "
                       "\"%%c\", username = \"%%u\", password = \"%%P\"}");
}

/* What tells where a request ends is the broker's. */
static bool header_ours(const char *name)
{
    static const char *const ours[] = {"content-length", "transfer-encoding", "connection",
                                       "expect",         "upgrade",           "te",
                                       "trailer",        "keep-alive"};

    for (size_t i = 0; i < ARRAY_LENGTH(ours); i++)
        if (strcasecmp(ours[i], name) == 0)
            return true;
    return false;
}

static bool header_name_good(const char *name)
{
    return name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                             "!#$%&'*+-.^_`|~")] == '\0';
}

static bool read_content_type(struct http_question *question, const char *value, char *why,
                              size_t size)
{
    static const char form[] = "application/x-www-form-urlencoded", json[] = "application/json";
    size_t len = strcspn(value, "; ");

    question->json = len == strlen(json) && strncasecmp(value, json, len) == 0;
    return question->json || (len == strlen(form) && strncasecmp(value, form, len) == 0) ||
           refuse_with(why, size, "headers.content-type is %s or %s", form, json);
}

static void add_header(struct http_question *question, const char *name, const char *value)
{
    size_t used = strlen(question->headers);

    snprintf(question->headers + used, sizeof(question->headers) - used, "%s: %s\r\n", name, value);
}

static bool read_headers(struct http_question *question, const char *headers, char *why,
                         size_t size)
{
    char name[CONF_MAP_NAME_BYTES], value[CONF_VALUE_BYTES], type[CONF_VALUE_BYTES] = "";
    const struct http_url *url = &question->url;
    bool host = false, agent = false;

    while (conf_map_next(&headers, name, value)) {
        if (header_ours(name) || !header_name_good(name))
            return refuse_with(why, size, "headers.%s cannot be set", name);
        if (strcasecmp(name, "content-type") == 0) {
            if (!read_content_type(question, value, why, size))
                return false;
            snprintf(type, sizeof(type), "%s", value);
            continue;
        }
        host = host || strcasecmp(name, "host") == 0;
        agent = agent || strcasecmp(name, "user-agent") == 0;
        add_header(question, name, value); /* conf's limit is far below TEXT_BYTES */
    }
    if (!host) {
        snprintf(value, sizeof(value), url->ipv6 ? "[%s]:%u" : "%s:%u", url->host, url->port);
        if (url->port == (url->tls ? 443 : 80))
            *strrchr(value, ':') = '\0';
        add_header(question, "Host", value);
    }
    if (!agent)
        add_header(question, "User-Agent", "ShardMQ");
    if (question->method == CONF_HTTP_METHOD_GET)
        question->json = false; /* the query is always a form */
    else
        add_header(question, "Content-Type",
                   type[0] != '\0' ? type : "application/x-www-form-urlencoded");
    return true;
}

struct http_question *http_question_create(const struct conf *conf, enum http_question_kind kind,
                                           char *why, size_t size)
{
    struct options options = options_of(conf, kind);
    struct http_question *question;
    char reason[512];

    why[0] = '\0';
    if (!conf->auth_http_auth_enable || options.url[0] == '\0')
        return NULL;
    question = mem_zalloc(sizeof(*question));
    question->method = options.method;
    if (!http_url_parse(options.url, &question->url, reason, sizeof(reason))) {
        refuse_with(why, size, "auth.http_auth.%s.url %s", options.name, reason);
    } else if (!read_parameters(question, kind, options.params, reason, sizeof(reason)) ||
               !read_headers(question, options.headers, reason, sizeof(reason))) {
        refuse_with(why, size, "auth.http_auth.%s.%s", options.name, reason);
    } else {
        return question;
    }
    http_question_destroy(question);
    return NULL;
}

void http_question_destroy(struct http_question *question)
{
    if (question == NULL)
        return;
    OPENSSL_cleanse(question, sizeof(*question)); /* headers have credentials */
    mem_free(question);
}

const struct http_url *http_question_url(const struct http_question *question)
{
    return &question->url;
}

/* ---- writing ---- */

/* Counts first (`to` NULL), then writes. */
struct writer {
    uint8_t *to;
    size_t len;
    const char *why; /* what cannot be written */
};

static void put(struct writer *writer, const void *data, size_t len)
{
    if (writer->to != NULL && len != 0)
        memcpy(writer->to + writer->len, data, len);
    writer->len += len;
}

static void put_text(struct writer *writer, const char *text)
{
    put(writer, text, strlen(text));
}

/* RFC 3986, 2.3: everything but the unreserved characters is encoded. */
static void put_percent(struct writer *writer, struct span text)
{
    static const char digits[] = "0123456789ABCDEF";

    for (uint32_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        char encoded[3] = {'%', digits[c >> 4], digits[c & 15]};
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '-' || c == '.' || c == '_' || c == '~';

        if (plain)
            put(writer, &c, 1);
        else
            put(writer, encoded, sizeof(encoded));
    }
}

/* RFC 8259, 7. */
static void put_json(struct writer *writer, struct span text)
{
    if (text.len != 0 && !utf8_valid(text.data, text.len)) {
        writer->why = "a value is not UTF-8, which JSON cannot hold";
        return;
    }
    for (uint32_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        char escaped[8];

        if (c == '"' || c == '\\')
            snprintf(escaped, sizeof(escaped), "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            snprintf(escaped, sizeof(escaped), "\\u%04x", c);
        else
            snprintf(escaped, sizeof(escaped), "%c", c);
        put_text(writer, escaped);
    }
}

/* What a placeholder stands for; `number` is scratch. */
static struct span fact_of(const struct http_facts *facts, char placeholder, char number[8])
{
    switch (placeholder) {
    case 'u':
        return facts->username;
    case 'c':
        return facts->client_identifier;
    case 'P':
        return facts->password;
    case 'a':
        return facts->address;
    case 'r':
        return facts->protocol;
    case 'C':
        return facts->common_name;
    case 'd':
        return facts->subject;
    case 't':
        return facts->topic;
    case 'm':
        return facts->mount_point;
    default:
        break;
    }
    snprintf(number, 8, "%u", placeholder == 'A' ? facts->access : facts->port);
    return number[0] == '0' ? (struct span){0} : span_text(number);
}

static bool known(const struct http_question *question, const struct parameter *parameter,
                  const struct http_facts *facts)
{
    const struct piece *piece = &question->pieces[parameter->first];
    char number[8];

    return parameter->count != 1 || piece->placeholder == '\0' ||
           fact_of(facts, piece->placeholder, number).data != NULL;
}

static void put_value(struct writer *writer, const struct http_question *question,
                      const struct parameter *parameter, const struct http_facts *facts)
{
    for (unsigned i = 0; i < parameter->count; i++) {
        const struct piece *piece = &question->pieces[parameter->first + i];
        char number[8];
        struct span text =
            piece->placeholder != '\0' ? fact_of(facts, piece->placeholder, number) : piece->text;

        if (question->json)
            put_json(writer, text);
        else
            put_percent(writer, text);
    }
}

static void put_parameters(struct writer *writer, const struct http_question *question,
                           const struct http_facts *facts)
{
    const char *glue = question->json ? "{" : "";

    for (unsigned i = 0; i < question->parameter_count; i++) {
        const struct parameter *parameter = &question->parameters[i];

        if (!known(question, parameter, facts))
            continue;
        put_text(writer, glue);
        if (question->json) {
            put_text(writer, "\"");
            put_json(writer, span_text(parameter->name));
            put_text(writer, "\":\"");
            put_value(writer, question, parameter, facts);
            put_text(writer, "\"");
        } else {
            put_percent(writer, span_text(parameter->name));
            put_text(writer, "=");
            put_value(writer, question, parameter, facts);
        }
        glue = question->json ? "," : "&";
    }
    if (question->json)
        put_text(writer, *glue == '{' ? "{}" : "}");
}

static void put_request(struct writer *writer, const struct http_question *question,
                        const struct http_facts *facts, size_t body_len)
{
    static const char *const methods[] = {"POST ", "GET ", "PUT "};
    char length[64];

    put_text(writer, methods[question->method]);
    put_text(writer, question->url.target);
    if (question->method == CONF_HTTP_METHOD_GET) {
        put_text(writer, question->url.query ? "&" : "?");
        put_parameters(writer, question, facts);
    }
    put_text(writer, " HTTP/1.1\r\n");
    put_text(writer, question->headers);
    if (question->method == CONF_HTTP_METHOD_GET) {
        put_text(writer, "\r\n");
        return;
    }
    snprintf(length, sizeof(length), "Content-Length: %zu\r\n\r\n", body_len);
    put_text(writer, length);
    put_parameters(writer, question, facts);
}

const char *http_question_write(const struct http_question *question,
                                const struct http_facts *facts, struct http_bytes *to)
{
    struct writer body = {0}, counted = {0}, writer = {0};

    *to = (struct http_bytes){0};
    put_parameters(&body, question, facts);
    if (body.why != NULL)
        return body.why;
    put_request(&counted, question, facts, body.len);
    if (counted.len > HTTP_REQUEST_MAX)
        return "the request would be larger than a megabyte";
    writer.to = to->data = mem_try_alloc(counted.len);
    if (to->data == NULL)
        return "no memory is left for the request";
    put_request(&writer, question, facts, body.len);
    ASSERT(writer.len == counted.len);
    to->len = writer.len;
    return NULL;
}

void http_bytes_free(struct http_bytes *bytes)
{
    if (bytes->data != NULL)
        OPENSSL_cleanse(bytes->data, bytes->len);
    mem_free(bytes->data);
    *bytes = (struct http_bytes){0};
}
