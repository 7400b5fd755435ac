/* SPDX-License-Identifier: MIT
 *
 * fuzz_websocket - what a WebSocket peer sends: the handshake's head, and frames. Input: a byte of which bit 0 is our
 * role, bit 1 says that the handshake is over, and the rest how many bytes come at a time (0: all); then the bytes.
 * However they are cut, the same plain bytes must come out.
 */
#include "fuzz.h"

#include "base/mem.h"
#include "transport/websocket_priv.h"

static const struct websocket_settings settings = {
    .path = "/mqtt", .message_max = 1u << 20, .host = "localhost", .protocol = "mqtt"};

struct outcome {
    enum transport_status status;
    uint64_t plain, sum;
};

static struct outcome run(const uint8_t *data, size_t len, bool server, bool open, size_t step)
{
    struct transport *transport = transport_create(
        &(struct transport_settings){.kind = TRANSPORT_WS,
                                     .role = server ? TRANSPORT_SERVER : TRANSPORT_CLIENT,
                                     .websocket = &settings});
    struct outcome outcome = {.status = TRANSPORT_NEED_INPUT};
    struct transport_wire wire = {0};

    ASSERT(transport != NULL && transport_start(transport, &wire));
    transport->ws->open = transport->ws->open || open;
    for (size_t at = 0; at < len && outcome.status == TRANSPORT_NEED_INPUT; at += step) {
        struct span input = span_of(data + at, step < len - at ? step : len - at), plain;

        while ((outcome.status = transport_unwrap(transport, &input, &plain, &wire)) ==
               TRANSPORT_MORE) {
            ASSERT(plain.len != 0);
            outcome.plain += plain.len;
            for (uint32_t i = 0; i < plain.len; i++)
                outcome.sum = outcome.sum * 31 + plain.data[i];
        }
        ASSERT(outcome.status != TRANSPORT_NEED_INPUT || input.len == 0);
    }
    ASSERT((outcome.status == TRANSPORT_FAILED) == (transport_why(transport)[0] != '\0'));
    ASSERT(outcome.plain <= len);
    transport_close(transport, WEBSOCKET_NORMAL, &wire);
    transport_wire_free(&wire);
    transport_destroy(transport);
    return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct outcome pieces, whole;
    bool server, open;
    size_t step;

    if (len < 2)
        return 0;
    server = data[0] & 1;
    open = data[0] & 2;
    step = data[0] >> 2 == 0 ? len : data[0] >> 2;
    pieces = run(data + 1, len - 1, server, open, step);
    whole = run(data + 1, len - 1, server, open, len);
    ASSERT(pieces.status == whole.status && pieces.plain == whole.plain && pieces.sum == whole.sum);
    return 0;
}
