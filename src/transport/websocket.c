/* SPDX-License-Identifier: MIT
 *
 * websocket - the frames of RFC 6455, both roles. The handshake before them is in websocket_open.c.
 *
 * wslay takes frames apart, masks and unmasks; what it leaves to its caller is checked here: mask by
 * role, reserved bits and opcodes, the order of fragments, the length limit, that MQTT travels in
 * binary frames [MQTT-6.0.0-1], and the contents of close frames. MQTT packets and frames do not know
 * each other: [MQTT-6.0.0-2] a frame may hold a part of one packet or many.
 *
 * Invariants
 *   I1  the wslay context (4 KiB) exists only while a frame has begun and not ended: `taken` counts
 *       what it was given, `framed` what complete frames were made of
 *   I2  a ping or close frame is answered when it is complete; its payload, at most 125 bytes, is all
 *       that is kept of it
 *   I3  nothing is sent behind a close frame (RFC 6455, 5.5.1)
 */
#include "transport/websocket_priv.h"

#include "base/check.h"
#include "base/endian.h"
#include "base/mem.h"
#include "base/utf8.h"

#include <openssl/rand.h>

#include <stdio.h>

struct websocket *websocket_create(enum transport_role role,
                                   const struct websocket_settings *settings)
{
    struct websocket *ws = mem_try_zalloc(sizeof(*ws));

    if (ws == NULL)
        return NULL;
    ws->settings = settings;
    ws->server = role == TRANSPORT_SERVER;
    return ws;
}

static void release_parser(struct websocket *ws)
{
    if (ws->parser != NULL)
        wslay_frame_context_free(ws->parser);
    ws->parser = NULL;
}

void websocket_destroy(struct websocket *ws)
{
    if (ws == NULL)
        return;
    release_parser(ws);
    mem_free(ws->head);
    mem_free(ws);
}

bool websocket_ready(const struct websocket *ws)
{
    return ws->open;
}

bool websocket_pending(const struct websocket *ws)
{
    return ws->parser != NULL;
}

/* ---- bytes out ---- */

static ssize_t write_out(const uint8_t *data, size_t len, int flags, void *argument)
{
    (void)flags;
    return transport_wire_append(argument, data, len) ? (ssize_t)len : -1;
}

static int make_mask(uint8_t *to, size_t len, void *argument)
{
    (void)argument;
    return RAND_bytes(to, len) == 1 ? 0 : -1;
}

/* The header of a server's frame: not masked, the length in its shortest form (RFC 6455, 5.2). */
static bool write_header(struct transport_wire *wire, uint8_t opcode, uint64_t len)
{
    uint8_t header[10] = {(uint8_t)(0x80u | opcode)};
    size_t size = 2;

    if (len < 126) {
        header[1] = (uint8_t)len;
    } else if (len <= UINT16_MAX) {
        header[1] = 126;
        put_be16(header + 2, (uint16_t)len);
        size = 4;
    } else {
        header[1] = 127;
        put_be32(header + 2, (uint32_t)(len >> 32));
        put_be32(header + 6, (uint32_t)len);
        size = 10;
    }
    return transport_wire_append(wire, header, size);
}

/* A client's frame: each has a mask of its own (RFC 6455, 5.3). */
static bool write_masked(struct transport_wire *wire, uint8_t opcode, uint64_t total,
                         const struct iovec *pieces, unsigned count)
{
    const struct wslay_frame_callbacks callbacks = {.send_callback = write_out,
                                                    .genmask_callback = make_mask};
    wslay_frame_context_ptr writer;
    bool written = true;
    unsigned i = 0;

    if (wslay_frame_context_init(&writer, &callbacks, wire) != 0)
        return false;
    do {
        struct wslay_frame_iocb frame = {.fin = 1, .opcode = opcode, .mask = 1};
        ssize_t sent;

        frame.payload_length = total;
        if (i < count) {
            frame.data = pieces[i].iov_base;
            frame.data_length = pieces[i].iov_len;
        }
        if (total != 0 && frame.data_length == 0)
            continue;
        sent = wslay_frame_send(writer, &frame);
        written = sent == (ssize_t)frame.data_length;
    } while (written && ++i < count);
    wslay_frame_context_free(writer);
    return written;
}

static bool write_frame(struct transport *transport, uint8_t opcode, const struct iovec *pieces,
                        unsigned count, struct transport_wire *wire)
{
    uint64_t total = 0;
    bool written;

    for (unsigned i = 0; i < count; i++)
        total += pieces[i].iov_len;
    if (transport->ws->server) {
        written = write_header(wire, opcode, total);
        for (unsigned i = 0; written && i < count; i++)
            written = transport_wire_append(wire, pieces[i].iov_base, pieces[i].iov_len);
    } else {
        written = write_masked(wire, opcode, total, pieces, count);
    }
    if (!written)
        transport_fail(transport, "there was no memory");
    return written;
}

bool websocket_wrap(struct transport *transport, const struct iovec *pieces, unsigned count,
                    struct transport_wire *wire)
{
    if (transport->ws->close_sent) { /* I3 */
        transport_fail(transport, "WebSocket: it is closed");
        return false;
    }
    return write_frame(transport, WSLAY_BINARY_FRAME, pieces, count, wire);
}

static void write_close(struct transport *transport, const uint8_t *payload, size_t len,
                        struct transport_wire *wire)
{
    const struct iovec piece = {.iov_base = (void *)(uintptr_t)payload, .iov_len = len};

    if (transport->ws->close_sent || !transport->ws->open)
        return;
    write_frame(transport, WSLAY_CONNECTION_CLOSE, &piece, len == 0 ? 0 : 1, wire);
    transport->ws->close_sent = true;
}

void websocket_close(struct transport *transport, enum websocket_close code,
                     struct transport_wire *wire)
{
    uint8_t payload[2];

    put_be16(payload, (uint16_t)code);
    write_close(transport, payload, sizeof(payload), wire);
}

/* ---- bytes in ---- */

static ssize_t read_in(uint8_t *to, size_t size, int flags, void *argument)
{
    struct websocket *ws = argument;
    struct span *input = ws->input;
    size_t len = input->len < size ? input->len : size;

    (void)flags;
    if (len == 0)
        return -1;
    memcpy(to, input->data, len);
    *input = span_of(input->data + len, input->len - len);
    ws->taken += len; /* I1 */
    return (ssize_t)len;
}

/* Ends the connection with a code and a reason. */
static enum transport_status refuse(struct transport *transport, enum websocket_close code,
                                    struct transport_wire *wire, const char *sentence)
{
    websocket_close(transport, code, wire);
    transport_fail(transport, "WebSocket: %s", sentence);
    return TRANSPORT_FAILED;
}

/* The bytes of a frame's header (RFC 6455, 5.2). */
static uint64_t header_size(const struct wslay_frame_iocb *frame)
{
    uint64_t size = frame->mask != 0 ? 6 : 2;

    if (frame->payload_length > UINT16_MAX)
        return size + 8;
    return frame->payload_length > 125 ? size + 2 : size;
}

/* Looks at a header; 0, or the code to close with and the reason in `sentence`. */
static unsigned check_header(const struct websocket *ws, const struct wslay_frame_iocb *frame,
                             const char **sentence)
{
    *sentence = "a reserved bit is set in a frame";
    if (frame->rsv != 0)
        return WEBSOCKET_PROTOCOL_ERROR;
    *sentence = ws->server ? "a frame is not masked" : "a frame is masked";
    if ((frame->mask != 0) != ws->server)
        return WEBSOCKET_PROTOCOL_ERROR;
    switch (frame->opcode) {
    case WSLAY_CONNECTION_CLOSE:
    case WSLAY_PING:
    case WSLAY_PONG:
        return 0;
    case WSLAY_TEXT_FRAME:
        *sentence = "MQTT travels in binary frames, a text frame came";
        return WEBSOCKET_UNSUPPORTED;
    case WSLAY_BINARY_FRAME:
        *sentence = "a message begins before the last one has ended";
        if (ws->fragmented)
            return WEBSOCKET_PROTOCOL_ERROR;
        break;
    case WSLAY_CONTINUATION_FRAME:
        *sentence = "a continuation frame continues nothing";
        if (!ws->fragmented)
            return WEBSOCKET_PROTOCOL_ERROR;
        break;
    default:
        *sentence = "a frame has an unknown opcode";
        return WEBSOCKET_PROTOCOL_ERROR;
    }
    *sentence = "a frame is too long";
    return frame->payload_length > ws->settings->message_max ? WEBSOCKET_TOO_BIG : 0;
}

/* Codes that may stand in a close frame (RFC 6455, 7.4 and the registry). */
static bool close_code_valid(unsigned code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
           (code >= 3000 && code <= 4999);
}

static enum transport_status closed_by_peer(struct transport *transport,
                                            struct transport_wire *wire)
{
    struct websocket *ws = transport->ws;

    if (ws->control_len == 1 ||
        (ws->control_len >= 2 && !close_code_valid(get_be16(ws->control))) ||
        (ws->control_len > 2 && !utf8_valid(ws->control + 2, ws->control_len - 2u)))
        return refuse(transport, WEBSOCKET_PROTOCOL_ERROR, wire, "a close frame is malformed");
    write_close(transport, ws->control, ws->control_len < 2 ? 0 : 2, wire);
    return TRANSPORT_END;
}

/* A frame is complete. TRANSPORT_MORE: go on. */
static enum transport_status frame_over(struct transport *transport, uint8_t opcode, bool final,
                                        struct transport_wire *wire)
{
    struct websocket *ws = transport->ws;
    const struct iovec payload = {.iov_base = ws->control, .iov_len = ws->control_len};

    switch (opcode) {
    case WSLAY_PING:
        if (!ws->close_sent && !write_frame(transport, WSLAY_PONG, &payload, 1, wire))
            return TRANSPORT_FAILED;
        break;
    case WSLAY_CONNECTION_CLOSE:
        return closed_by_peer(transport, wire);
    case WSLAY_PONG:
        break;
    default:
        ws->fragmented = !final;
    }
    return TRANSPORT_MORE;
}

/* Takes one piece of a frame. TRANSPORT_NEED_INPUT: nothing for the caller in it, go on. */
static enum transport_status take_piece(struct transport *transport,
                                        const struct wslay_frame_iocb *frame, struct span *plain,
                                        struct transport_wire *wire)
{
    struct websocket *ws = transport->ws;
    bool control = wslay_is_ctrl_frame(frame->opcode);
    enum transport_status status = TRANSPORT_MORE;

    if (!ws->in_frame) {
        const char *sentence;
        unsigned code = check_header(ws, frame, &sentence);

        if (code != 0)
            return refuse(transport, (enum websocket_close)code, wire, sentence);
        ws->in_frame = true;
        ws->left = frame->payload_length;
        ws->framed += header_size(frame) + frame->payload_length;
        if (control)
            ws->control_len = 0;
    }
    ws->left -= frame->data_length;
    if (control && frame->data_length != 0) {
        ASSERT(ws->control_len + frame->data_length <= sizeof(ws->control)); /* wslay has checked */
        memcpy(ws->control + ws->control_len, frame->data, frame->data_length);
        ws->control_len = (uint8_t)(ws->control_len + frame->data_length);
    }
    if (ws->left == 0) {
        ws->in_frame = false;
        status = frame_over(transport, frame->opcode, frame->fin != 0, wire);
    }
    if (status != TRANSPORT_MORE)
        return status;
    if (control || frame->data_length == 0)
        return TRANSPORT_NEED_INPUT;
    *plain = span_of(frame->data, frame->data_length);
    return TRANSPORT_MORE;
}

static bool need_parser(struct websocket *ws)
{
    const struct wslay_frame_callbacks callbacks = {.recv_callback = read_in};

    if (ws->parser != NULL)
        return true;
    ws->taken = ws->framed = 0;
    return wslay_frame_context_init(&ws->parser, &callbacks, ws) == 0;
}

static enum transport_status unwrap_frames(struct transport *transport, struct span *plain,
                                           struct transport_wire *wire)
{
    struct websocket *ws = transport->ws;

    if (ws->close_received)
        return TRANSPORT_END;
    if (ws->parser == NULL && ws->input->len == 0)
        return TRANSPORT_NEED_INPUT;
    if (!need_parser(ws)) {
        transport_fail(transport, "there was no memory");
        return TRANSPORT_FAILED;
    }
    for (;;) {
        struct wslay_frame_iocb frame;
        ssize_t got = wslay_frame_recv(ws->parser, &frame);
        enum transport_status status;

        if (got == WSLAY_ERR_WANT_READ) {
            if (!ws->in_frame && ws->taken == ws->framed)
                release_parser(ws); /* I1 */
            return TRANSPORT_NEED_INPUT;
        }
        if (got < 0)
            return refuse(transport, WEBSOCKET_PROTOCOL_ERROR, wire,
                          "a frame has a malformed header");
        status = take_piece(transport, &frame, plain, wire);
        ws->close_received = status == TRANSPORT_END;
        if (status != TRANSPORT_NEED_INPUT)
            return status;
    }
}

enum transport_status websocket_unwrap(struct transport *transport, struct span *input,
                                       struct span *plain, struct transport_wire *wire)
{
    enum transport_status status = TRANSPORT_NEED_INPUT;

    if (!transport->ws->open) {
        if (input->len == 0)
            return TRANSPORT_NEED_INPUT;
        if (!websocket_open(transport, input, wire))
            return transport->failed ? TRANSPORT_FAILED : TRANSPORT_NEED_INPUT;
    }
    transport->ws->input = input;
    status = unwrap_frames(transport, plain, wire);
    transport->ws->input = NULL;
    return status;
}
