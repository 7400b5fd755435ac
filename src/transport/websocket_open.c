/* SPDX-License-Identifier: MIT
 *
 * websocket_open - the HTTP request and answer that turn a connection into a WebSocket (RFC 6455, 4).
 *
 * A server answers what it cannot serve with an HTTP status and a sentence, and closes. Extensions are
 * never agreed to: the payloads of MQTT are small, and most of them are not text.
 */
#include "transport/websocket_priv.h"

#include "base/mem.h"
#include "http/http.h"

#include <openssl/base64.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include <stdio.h>

#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#define ACCEPT_PREFIX                                                                              \
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
#define REQUEST_MAX 1536
#define ANSWER_MAX  512

/* The sub-protocols of MQTT over WebSocket [MQTT-6.0.0-4], best first: the one of 3.1.1 and 5.0,
 * and the one of 3.1. */
static const char *const protocols[] = {"mqtt", "mqttv3.1"};

/* What proves that the other side has understood (RFC 6455, 4.2.2). */
static void accept_of(const uint8_t *key, char accept[WEBSOCKET_ACCEPT_SIZE + 1])
{
    uint8_t digest[SHA_DIGEST_LENGTH];
    SHA_CTX hash;

    SHA1_Init(&hash);
    SHA1_Update(&hash, key, WEBSOCKET_KEY_SIZE);
    SHA1_Update(&hash, GUID, sizeof(GUID) - 1);
    SHA1_Final(digest, &hash);
    EVP_EncodeBlock((uint8_t *)accept, digest, sizeof(digest));
}

/* ---- server ---- */

static void answer(struct transport_wire *wire, unsigned status, const char *sentence)
{
    char text[ANSWER_MAX];
    int len = snprintf(text, sizeof(text),
                       "HTTP/1.1 %u %s\r\n%s%sContent-Type: text/plain\r\nContent-Length: %zu\r\n"
                       "Connection: close\r\n\r\n%s.\n",
                       status, http_reason(status), status == 405 ? "Allow: GET\r\n" : "",
                       status == 426 ? "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" : "",
                       strlen(sentence) + 2, sentence);

    transport_wire_append(wire, text, (size_t)len);
}

static bool origin_allowed(const struct websocket_settings *settings,
                           const struct http_headers *headers)
{
    struct span origin;

    /* no browser leaves it out, and anybody else could say what he likes */
    if (settings->origin_count == 0 || !http_header(headers, "Origin", &origin))
        return true;
    if (http_header_count(headers, "Origin") != 1)
        return false;
    for (unsigned i = 0; i < settings->origin_count; i++)
        if (http_token_equal(origin, settings->origins[i]))
            return true;
    return false;
}

static bool key_valid(const struct http_headers *headers, struct span *key)
{
    uint8_t decoded[WEBSOCKET_KEY_SIZE];
    size_t len;

    return http_header_count(headers, "Sec-WebSocket-Key") == 1 &&
           http_header(headers, "Sec-WebSocket-Key", key) && key->len == WEBSOCKET_KEY_SIZE &&
           EVP_DecodeBase64(decoded, &len, sizeof(decoded), key->data, key->len) == 1 && len == 16;
}

static const char *pick_protocol(const struct http_headers *headers)
{
    for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++)
        if (http_header_has(headers, "Sec-WebSocket-Protocol", protocols[i]))
            return protocols[i];
    return NULL;
}

/* RFC 6455, 4.2.1. 0, or the status to answer with and a sentence. */
static unsigned check_request(const struct websocket_settings *settings,
                              const struct http_request *request, const char **sentence)
{
    const struct http_headers *headers = &request->headers;
    struct span version, key;

    *sentence = "there is nothing at this path";
    if (!span_equal(request->path, span_text(settings->path)))
        return 404;
    *sentence = "a WebSocket is opened with GET";
    if (request->method != HTTP_METHOD_GET)
        return 405;
    *sentence = "this is a WebSocket port for MQTT";
    if (!http_header_has(headers, "Upgrade", "websocket"))
        return 426;
    *sentence = "the request is no valid WebSocket handshake";
    if (!request->upgrade || !request->http_1_1 || request->chunked ||
        request->content_length != 0 || http_header_count(headers, "Host") != 1)
        return 400;
    *sentence = "version 13 of the WebSocket protocol is spoken here";
    if (http_header_count(headers, "Sec-WebSocket-Version") != 1 ||
        !http_header(headers, "Sec-WebSocket-Version", &version) ||
        !span_equal(version, span_text("13")))
        return 426;
    *sentence = "Sec-WebSocket-Key must be 16 bytes in base64";
    if (!key_valid(headers, &key))
        return 400;
    *sentence = "pages of this origin may not connect";
    if (!origin_allowed(settings, headers))
        return 403;
    *sentence = "the sub-protocols mqtt and mqttv3.1 are spoken here";
    return pick_protocol(headers) == NULL ? 400 : 0;
}

static void serve(struct transport *transport, struct span head, struct transport_wire *wire)
{
    struct websocket *ws = transport->ws;
    char accept[WEBSOCKET_ACCEPT_SIZE + 1], text[ANSWER_MAX];
    struct http_request request;
    struct http_error error;
    const char *sentence;
    struct span key;
    unsigned status = 0;
    int len;

    if (!http_parse_request(head, &request, &error)) {
        status = error.status;
        sentence = error.sentence;
    } else {
        status = check_request(ws->settings, &request, &sentence);
    }
    if (status != 0) {
        answer(wire, status, sentence);
        transport_fail(transport, "WebSocket: answered %u: %s", status, sentence);
        return;
    }
    http_header(&request.headers, "Sec-WebSocket-Key", &key);
    accept_of(key.data, accept);
    len = snprintf(text, sizeof(text),
                   ACCEPT_PREFIX "Sec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: %s\r\n\r\n",
                   accept, pick_protocol(&request.headers));
    ws->open = transport_wire_append(wire, text, (size_t)len);
    if (!ws->open)
        transport_fail(transport, "there was no memory");
}

/* ---- client ---- */

bool websocket_start(struct transport *transport, struct transport_wire *wire)
{
    struct websocket *ws = transport->ws;
    const struct websocket_settings *settings = ws->settings;
    char text[REQUEST_MAX];
    uint8_t nonce[16];
    int len;

    if (ws->server)
        return true;
    RAND_bytes(nonce, sizeof(nonce));
    EVP_EncodeBlock((uint8_t *)ws->key, nonce, sizeof(nonce));
    len = snprintf(text, sizeof(text),
                   "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                   "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n"
                   "Sec-WebSocket-Protocol: %s\r\n\r\n",
                   settings->path, settings->host, ws->key, settings->protocol);
    if (len >= (int)sizeof(text)) {
        transport_fail(transport, "WebSocket: the path or the host's name is too long");
        return false;
    }
    if (!transport_wire_append(wire, text, (size_t)len)) {
        transport_fail(transport, "there was no memory");
        return false;
    }
    return true;
}

/* RFC 6455, 4.1: NULL, or what is wrong with a 101. */
static const char *check_answer(const struct websocket *ws, const struct http_answer *from)
{
    const struct http_headers *headers = &from->headers;
    char accept[WEBSOCKET_ACCEPT_SIZE + 1];
    struct span value;

    if (!from->upgrade || !http_header_has(headers, "Upgrade", "websocket"))
        return "the server's answer is no upgrade to WebSocket";
    accept_of((const uint8_t *)ws->key, accept);
    if (http_header_count(headers, "Sec-WebSocket-Accept") != 1 ||
        !http_header(headers, "Sec-WebSocket-Accept", &value) ||
        !span_equal(value, span_text(accept)))
        return "the server's Sec-WebSocket-Accept is wrong";
    if (http_header_count(headers, "Sec-WebSocket-Extensions") != 0)
        return "the server uses an extension that was not asked for";
    if (http_header_count(headers, "Sec-WebSocket-Protocol") != 1 ||
        !http_header(headers, "Sec-WebSocket-Protocol", &value) ||
        !span_equal(value, span_text(ws->settings->protocol)))
        return "the server does not speak the sub-protocol that was asked for";
    return NULL;
}

static void take_answer(struct transport *transport, struct span head)
{
    struct websocket *ws = transport->ws;
    struct http_answer from;
    struct http_error error;
    const char *wrong;

    if (!http_parse_answer(head, &from, &error)) {
        transport_fail(transport, "WebSocket: the server's answer: %s", error.sentence);
        return;
    }
    if (from.status != 101) {
        transport_fail(transport, "WebSocket: the server answered %u %s, not 101", from.status,
                       http_reason(from.status));
        return;
    }
    wrong = check_answer(ws, &from);
    if (wrong != NULL)
        transport_fail(transport, "WebSocket: %s", wrong);
    else
        ws->open = true;
}

/* ---- both ---- */

/* Looks for the end of the head in what has come, which is kept until it is there. The head is in the input when
 * it came in one piece, else in ws->head. */
static enum http_found collect(struct transport *transport, struct span *input, struct span *head,
                               struct http_error *error)
{
    struct websocket *ws = transport->ws;
    size_t before = ws->head_len, head_len = 0, taken = input->len;
    enum http_found found;

    if (before == 0) {
        found = http_find_head(input->data, input->len, &ws->head_scanned, &head_len, error);
        if (found == HTTP_COMPLETE) {
            *head = span_of(input->data, head_len);
            *input = span_of(input->data + head_len, input->len - head_len);
        }
        if (found != HTTP_INCOMPLETE)
            return found;
        ws->head = mem_try_alloc(HTTP_HEAD_MAX + 1);
        ws->head_scanned = 0;
    }
    if (ws->head == NULL) {
        *error = (struct http_error){.status = 503, .sentence = "there was no memory"};
        return HTTP_REFUSED;
    }
    if (taken > HTTP_HEAD_MAX + 1 - before)
        taken = HTTP_HEAD_MAX + 1 - before;
    memcpy(ws->head + before, input->data, taken);
    ws->head_len += taken;
    found = http_find_head(ws->head, ws->head_len, &ws->head_scanned, &head_len, error);
    if (found == HTTP_COMPLETE) {
        *head = span_of(ws->head, head_len);
        taken = head_len - before;
    }
    *input = span_of(input->data + taken, input->len - taken);
    return found;
}

bool websocket_open(struct transport *transport, struct span *input, struct transport_wire *wire)
{
    struct websocket *ws = transport->ws;
    struct http_error error;
    struct span head;

    switch (collect(transport, input, &head, &error)) {
    case HTTP_INCOMPLETE:
        return false;
    case HTTP_COMPLETE:
        if (ws->server)
            serve(transport, head, wire);
        else
            take_answer(transport, head);
        break;
    case HTTP_REFUSED:
        if (ws->server)
            answer(wire, error.status, error.sentence);
        transport_fail(transport, "WebSocket: %s", error.sentence);
        break;
    }
    mem_free(ws->head);
    ws->head = NULL;
    return ws->open;
}
