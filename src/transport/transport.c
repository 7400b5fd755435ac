/* SPDX-License-Identifier: MIT */
#include "transport/transport_priv.h"

#include "base/check.h"
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>

#define WHY_SIZE 256

/* ---- what is to be sent ---- */

bool transport_wire_append(struct transport_wire *wire, const void *data, size_t len)
{
    if (len == 0)
        return true;
    if (len > wire->capacity - wire->len) {
        size_t capacity = wire->capacity < 256 ? 256 : wire->capacity * 2;
        uint8_t *larger;

        if (capacity < wire->len + len)
            capacity = wire->len + len;
        larger = mem_try_realloc(wire->data, capacity);
        if (larger == NULL)
            return false;
        wire->data = larger;
        wire->capacity = capacity;
    }
    memcpy(wire->data + wire->len, data, len);
    wire->len += len;
    return true;
}

void transport_wire_free(struct transport_wire *wire)
{
    mem_free(wire->data);
    *wire = (struct transport_wire){0};
}

/* ---- life ---- */

static bool has_tls(const struct transport *transport)
{
    return transport->kind == TRANSPORT_TLS || transport->kind == TRANSPORT_WSS;
}

static bool has_websocket(const struct transport *transport)
{
    return transport->kind == TRANSPORT_WS || transport->kind == TRANSPORT_WSS;
}

struct transport *transport_create(const struct transport_settings *settings)
{
    struct transport *transport = mem_try_zalloc(sizeof(*transport));

    if (transport == NULL)
        return NULL;
    transport->kind = (uint8_t)settings->kind;
    transport->role = (uint8_t)settings->role;
    if (has_tls(transport)) {
        transport->tls = tls_context_ref(settings->tls);
        if (!tls_open(transport, settings->server_name)) {
            transport_destroy(transport);
            return NULL;
        }
    }
    if (has_websocket(transport)) {
        transport->ws = websocket_create(settings->role, settings->websocket);
        if (transport->ws == NULL) {
            transport_destroy(transport);
            return NULL;
        }
    }
    return transport;
}

void transport_destroy(struct transport *transport)
{
    if (transport == NULL)
        return;
    websocket_destroy(transport->ws);
    tls_shut(transport);
    tls_context_unref(transport->tls);
    mem_free(transport->why);
    mem_free(transport);
}

void transport_fail(struct transport *transport, const char *format, ...)
{
    va_list arguments;

    if (transport->failed)
        return;
    transport->failed = true;
    transport->why = mem_try_alloc(WHY_SIZE);
    if (transport->why == NULL)
        return;
    va_start(arguments, format);
    vsnprintf(transport->why, WHY_SIZE, format, arguments);
    va_end(arguments);
}

const char *transport_why(const struct transport *transport)
{
    if (!transport->failed)
        return "";
    return transport->why != NULL ? transport->why : "there was no memory";
}

enum transport_kind transport_kind_of(const struct transport *transport)
{
    return (enum transport_kind)transport->kind;
}

bool transport_ready(const struct transport *transport)
{
    if (transport->failed)
        return false;
    if (has_tls(transport) && !transport->tls_ready)
        return false;
    return !has_websocket(transport) || websocket_ready(transport->ws);
}

/* ---- WebSocket over TLS ---- */

/* Encrypts what the WebSocket side has written. */
static bool pass_down(struct transport *transport, struct transport_wire *inner,
                      struct transport_wire *wire)
{
    struct iovec piece = {.iov_base = inner->data, .iov_len = inner->len};
    bool passed = inner->len == 0 || tls_wrap(transport, &piece, 1, wire);

    transport_wire_free(inner);
    return passed;
}

static bool start_inner(struct transport *transport, struct transport_wire *wire)
{
    struct transport_wire inner = {0};
    bool started = websocket_start(transport, &inner);

    transport->inner_started = true;
    return pass_down(transport, &inner, wire) && started;
}

static enum transport_status unwrap_both(struct transport *transport, struct span *input,
                                         struct span *plain, struct transport_wire *wire)
{
    for (;;) {
        struct transport_wire inner = {0};
        enum transport_status status;

        if (transport->inner.len != 0 || websocket_pending(transport->ws)) {
            status = websocket_unwrap(transport, &transport->inner, plain, &inner);
            if (!pass_down(transport, &inner, wire))
                return TRANSPORT_FAILED;
            if (status != TRANSPORT_NEED_INPUT)
                return status;
        }
        status = tls_unwrap(transport, input, &transport->inner, wire);
        if (transport->tls_ready && !transport->inner_started && !transport->failed &&
            !start_inner(transport, wire))
            return TRANSPORT_FAILED;
        if (status != TRANSPORT_MORE)
            return status;
    }
}

/* ---- the filter ---- */

bool transport_start(struct transport *transport, struct transport_wire *wire)
{
    if (transport->role == TRANSPORT_SERVER)
        return true;
    if (has_tls(transport))
        return tls_start(transport, wire);
    return !has_websocket(transport) || websocket_start(transport, wire);
}

void transport_confide(struct transport *transport, bool confides)
{
    transport->confides = confides;
}

enum transport_status transport_unwrap(struct transport *transport, struct span *input,
                                       struct span *plain, struct transport_wire *wire)
{
    if (transport->failed)
        return TRANSPORT_FAILED;
    switch (transport_kind_of(transport)) {
    case TRANSPORT_TLS:
        return tls_unwrap(transport, input, plain, wire);
    case TRANSPORT_WS:
        return websocket_unwrap(transport, input, plain, wire);
    case TRANSPORT_WSS:
        return unwrap_both(transport, input, plain, wire);
    case TRANSPORT_PLAIN:
        break;
    }
    if (input->len == 0)
        return TRANSPORT_NEED_INPUT;
    *plain = *input;
    *input = span_of(input->data + input->len, 0);
    return TRANSPORT_MORE;
}

static bool wrap_plain(struct transport *transport, const struct iovec *pieces, unsigned count,
                       struct transport_wire *wire)
{
    for (unsigned i = 0; i < count; i++)
        if (!transport_wire_append(wire, pieces[i].iov_base, pieces[i].iov_len)) {
            transport_fail(transport, "there was no memory");
            return false;
        }
    return true;
}

bool transport_wrap(struct transport *transport, const struct iovec *pieces, unsigned count,
                    struct transport_wire *wire)
{
    struct transport_wire inner = {0};

    if (transport->failed)
        return false;
    ASSERT(transport_ready(transport));
    switch (transport_kind_of(transport)) {
    case TRANSPORT_TLS:
        return tls_wrap(transport, pieces, count, wire);
    case TRANSPORT_WS:
        return websocket_wrap(transport, pieces, count, wire);
    case TRANSPORT_WSS:
        return websocket_wrap(transport, pieces, count, &inner) &&
               pass_down(transport, &inner, wire);
    case TRANSPORT_PLAIN:
        break;
    }
    return wrap_plain(transport, pieces, count, wire);
}

void transport_close(struct transport *transport, enum websocket_close code,
                     struct transport_wire *wire)
{
    if (has_websocket(transport) && websocket_ready(transport->ws)) {
        struct transport_wire inner = {0};

        if (!has_tls(transport)) {
            websocket_close(transport, code, wire);
        } else {
            websocket_close(transport, code, &inner);
            if (transport->tls_ready && !transport->tls_closed)
                pass_down(transport, &inner, wire);
            else
                transport_wire_free(&inner);
        }
    }
    if (has_tls(transport))
        tls_close(transport, wire);
}
