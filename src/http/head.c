/* SPDX-License-Identifier: MIT */
#include "http/http.h"

#include "base/check.h"

#include <http_parser.h>

static bool refuse(struct http_error *error, unsigned status, const char *sentence)
{
    *error = (struct http_error){.status = status, .sentence = sentence};
    return false;
}

/* ---- where the head ends ---- */

/* What is wrong with the byte at `at`, looking at its neighbours; NULL: nothing (I2). */
static const char *wrong_byte(const uint8_t *data, size_t at)
{
    uint8_t byte = data[at], before = at == 0 ? '\n' : data[at - 1];

    if (before == '\r' && byte != '\n')
        return "a carriage return stands alone";
    if (byte == '\n' && before != '\r')
        return "a line does not end in CR LF";
    if ((byte == ' ' || byte == '\t') && before == '\n')
        return "a line begins with a blank";
    if ((byte < 0x20 && byte != '\r' && byte != '\n' && byte != '\t') || byte == 0x7f)
        return "a control character";
    return NULL;
}

enum http_found http_find_head(const uint8_t *data, size_t len, size_t *scanned, size_t *head_len,
                               struct http_error *error)
{
    for (size_t at = *scanned; at < len; at++) {
        const char *sentence = at < HTTP_HEAD_MAX ? wrong_byte(data, at) : NULL;

        if (sentence != NULL) {
            refuse(error, 400, sentence);
            return HTTP_REFUSED;
        }
        if (at >= HTTP_HEAD_MAX) {
            refuse(error, 431, "the request line and the headers are longer than 8192 bytes");
            return HTTP_REFUSED;
        }
        /* an empty line behind one that is not: empty lines in front do not count */
        if (data[at] == '\n' && at >= 4 && data[at - 2] == '\n' && data[at - 4] != '\r' &&
            data[at - 4] != '\n') {
            *scanned = *head_len = at + 1;
            return HTTP_COMPLETE;
        }
    }
    *scanned = len;
    return HTTP_INCOMPLETE;
}

/* ---- what it says ---- */

struct reading {
    struct http_headers *headers;
    struct span target;
    bool too_many, bad_name;
};

static int on_url(http_parser *parser, const char *at, size_t len)
{
    struct reading *reading = parser->data;

    reading->target = span_of(at, len);
    return 0;
}

/* RFC 9110, 5.6.2. http_parser lets blanks pass in names, so that "Content-Length : 5" would be two
 * different things to two readers. */
static bool is_token(const char *text, size_t len)
{
    static const char others[] = "!#$%&'*+-.^_`|~";

    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');

        if (!letter && !(c >= '0' && c <= '9') && (c == '\0' || strchr(others, c) == NULL))
            return false;
    }
    return len != 0;
}

static int on_header_field(http_parser *parser, const char *at, size_t len)
{
    struct reading *reading = parser->data;
    struct http_headers *headers = reading->headers;

    if (headers->count == HTTP_HEADERS_MAX) {
        reading->too_many = true;
        return 1;
    }
    if (!is_token(at, len)) {
        reading->bad_name = true;
        return 1;
    }
    headers->row[headers->count++] = (struct http_header){.name = span_of(at, len)};
    return 0;
}

static int on_header_value(http_parser *parser, const char *at, size_t len)
{
    struct reading *reading = parser->data;
    struct http_header *header = &reading->headers->row[reading->headers->count - 1];

    ASSERT(reading->headers->count != 0);
    while (len != 0 && (at[len - 1] == ' ' || at[len - 1] == '\t'))
        len--;
    header->value = span_of(at, len);
    return 0;
}

static bool read_head(struct span head, enum http_parser_type type, http_parser *parser,
                      struct reading *reading, struct http_error *error)
{
    const http_parser_settings settings = {
        .on_url = on_url,
        .on_header_field = on_header_field,
        .on_header_value = on_header_value,
    };

    reading->headers->count = 0;
    http_parser_init(parser, type);
    parser->data = reading;
    if (http_parser_execute(parser, &settings, (const char *)head.data, head.len) == head.len &&
        HTTP_PARSER_ERRNO(parser) == HPE_OK)
        return true;
    if (reading->too_many)
        return refuse(error, 431, "more than 64 headers");
    if (reading->bad_name)
        return refuse(error, 400, "the name of a header is not one");
    return refuse(error, 400, http_errno_description(HTTP_PARSER_ERRNO(parser)));
}

bool http_content_length(struct span digits, uint64_t *length)
{
    *length = 0;
    for (uint32_t i = 0; i < digits.len; i++) {
        if (digits.data[i] < '0' || digits.data[i] > '9')
            return false;
        *length = *length * 10 + (digits.data[i] - '0');
    }
    return digits.len != 0 && digits.len <= 18;
}

/* I3. */
static bool read_framing(struct http_request *request, struct http_error *error)
{
    unsigned lengths = http_header_count(&request->headers, "Content-Length");
    unsigned encodings = http_header_count(&request->headers, "Transfer-Encoding");
    struct span value = {0};

    if (lengths + encodings > 1)
        return refuse(error, 400, "the length of the body is told more than once");
    if (lengths == 1) {
        http_header(&request->headers, "Content-Length", &value);
        if (!http_content_length(value, &request->content_length))
            return refuse(error, 400, "Content-Length is not a number");
    }
    if (encodings == 1) {
        http_header(&request->headers, "Transfer-Encoding", &value);
        if (!request->http_1_1)
            return refuse(error, 400, "Transfer-Encoding in a request of HTTP/1.0");
        if (!http_token_equal(value, "chunked"))
            return refuse(error, 501, "the only Transfer-Encoding that is known is chunked");
        request->chunked = true;
    }
    return true;
}

static bool read_expectations(struct http_request *request, struct http_error *error)
{
    struct span value;

    if (http_header(&request->headers, "Expect", &value) && request->http_1_1) {
        if (!http_token_equal(value, "100-continue"))
            return refuse(error, 417, "the only expectation that is known is 100-continue");
        request->expects_continue = request->chunked || request->content_length != 0;
    }
    /* RFC 9112, 3.2 */
    if (http_header_count(&request->headers, "Host") != (request->http_1_1 ? 1 : 0) &&
        (request->http_1_1 || http_header_count(&request->headers, "Host") > 1))
        return refuse(error, 400, "exactly one Host header is needed");
    return true;
}

/* The origin form, the absolute form, or "*" (RFC 9112, 3.2). */
static bool read_target(struct span target, struct http_request *request, struct http_error *error)
{
    struct http_parser_url url;
    const char *text = (const char *)target.data;

    if (target.len == 1 && text[0] == '*' && request->method == HTTP_METHOD_OPTIONS) {
        request->path = target;
        return true;
    }
    http_parser_url_init(&url);
    if (http_parser_parse_url(text, target.len, 0, &url) != 0 ||
        (url.field_set & 1u << UF_FRAGMENT) != 0 || (url.field_set & 1u << UF_USERINFO) != 0)
        return refuse(error, 400, "the target of the request is not a path");
    if ((url.field_set & 1u << UF_PATH) != 0)
        request->path = span_of(text + url.field_data[UF_PATH].off, url.field_data[UF_PATH].len);
    else
        request->path = span_of(memchr(text, '/', target.len), 1); /* that of "http://" */
    if (request->path.data == NULL || request->path.data[0] != '/')
        return refuse(error, 400, "the path does not begin with /");
    if ((url.field_set & 1u << UF_QUERY) != 0)
        request->query = span_of(text + url.field_data[UF_QUERY].off, url.field_data[UF_QUERY].len);
    return true;
}

static enum http_request_method method_of(unsigned method)
{
    switch (method) {
    case HTTP_GET:
        return HTTP_METHOD_GET;
    case HTTP_HEAD:
        return HTTP_METHOD_HEAD;
    case HTTP_POST:
        return HTTP_METHOD_POST;
    case HTTP_PUT:
        return HTTP_METHOD_PUT;
    case HTTP_DELETE:
        return HTTP_METHOD_DELETE;
    case HTTP_OPTIONS:
        return HTTP_METHOD_OPTIONS;
    case HTTP_PATCH:
        return HTTP_METHOD_PATCH;
    default:
        return HTTP_METHOD_OTHER;
    }
}

bool http_parse_request(struct span head, struct http_request *request, struct http_error *error)
{
    struct reading reading = {.headers = &request->headers};
    http_parser parser;

    request->path = request->query = (struct span){0};
    request->content_length = 0;
    request->chunked = request->expects_continue = false;
    if (!read_head(head, HTTP_REQUEST, &parser, &reading, error))
        return false;
    request->method = method_of(parser.method);
    request->http_1_1 = parser.http_major == 1 && parser.http_minor >= 1;
    if (parser.http_major != 1)
        return refuse(error, 505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
    request->keep_alive = http_should_keep_alive(&parser) != 0;
    request->upgrade = http_header_has(&request->headers, "Connection", "upgrade") &&
                       http_header_count(&request->headers, "Upgrade") != 0;
    return read_target(reading.target, request, error) && read_framing(request, error) &&
           read_expectations(request, error);
}

bool http_parse_answer(struct span head, struct http_answer *answer, struct http_error *error)
{
    struct reading reading = {.headers = &answer->headers};
    http_parser parser;

    if (!read_head(head, HTTP_RESPONSE, &parser, &reading, error))
        return false;
    if (parser.http_major != 1)
        return refuse(error, 505, "the answer is not one of HTTP/1.1 or HTTP/1.0");
    answer->status = parser.status_code;
    answer->http_1_1 = parser.http_minor >= 1;
    answer->keep_alive =
        http_header_has(&answer->headers, "Connection", "close")
            ? false
            : answer->http_1_1 || http_header_has(&answer->headers, "Connection", "keep-alive");
    answer->upgrade = http_header_has(&answer->headers, "Connection", "upgrade") &&
                      http_header_count(&answer->headers, "Upgrade") != 0;
    return true;
}
