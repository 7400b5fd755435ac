/* SPDX-License-Identifier: MIT
 *
 * The state of one WebSocket connection.
 */
#ifndef SHARDMQ_TRANSPORT_WEBSOCKET_PRIV_H
#define SHARDMQ_TRANSPORT_WEBSOCKET_PRIV_H

#include "transport/transport_priv.h"

#include <wslay/wslay.h>

#define WEBSOCKET_CONTROL_MAX 125u /* RFC 6455, 5.5 */
#define WEBSOCKET_KEY_SIZE    24u  /* 16 bytes in base64 */
#define WEBSOCKET_ACCEPT_SIZE 28u  /* a SHA-1 in base64 */

/* Owner: as struct transport. */
struct websocket {
    const struct websocket_settings *settings;
    bool server;
    bool open; /* the handshake is over */
    bool close_sent;
    bool close_received;
    bool in_frame;   /* a frame's header was read, `left` bytes of it are to come */
    bool fragmented; /* a message has begun and its last frame has not come */
    uint8_t control_len;
    uint8_t control[WEBSOCKET_CONTROL_MAX];
    char key[WEBSOCKET_KEY_SIZE + 1]; /* client: what it has sent */
    uint64_t left;
    uint64_t taken, framed;
    wslay_frame_context_ptr parser; /* NULL between frames */
    struct span *input;             /* what wslay reads, during a call */
    uint8_t *head;                  /* the HTTP head as far as it has come */
    size_t head_len, head_scanned;
};

/* ---- websocket_open.c ---- */

/* Takes bytes of the HTTP head. True when the handshake is complete; else it needs more, or has failed. */
bool websocket_open(struct transport *transport, struct span *input, struct transport_wire *wire);

#endif
