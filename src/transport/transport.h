/* SPDX-License-Identifier: MIT
 *
 * transport - what lies between a protocol and its socket, as two byte functions.
 *
 *   bytes of the wire --unwrap--> plain bytes --> protocol --> plain bytes --wrap--> bytes for the wire
 *
 * A transport is plain, TLS, WebSocket, or WebSocket over TLS, in the role of a server or a client. It
 * knows no socket, no thread, no clock and no MQTT: bytes come in as arguments, and whatever is to be
 * sent (handshakes, pongs, alerts, close frames) is appended to the caller's struct transport_wire. The
 * caller's duty after every call is the same: send what is in `wire`.
 *
 *   transport_start ---> handshake ---> transport_ready() ---> transport_close --> transport_destroy
 *   (a client's first      unwrap           unwrap, wrap           (close_notify,
 *    bytes appear)                                                  close frame)
 *
 * Invariants
 *   I1  unwrap is called in a loop until it says that it wants input, or that it is over; what `plain`
 *       points at is valid until the next call of this library on the same thread
 *   I2  no call keeps more than one TLS record, one frame header, one control frame and one HTTP head of
 *       the peer's bytes; nothing that the peer announces is allocated ahead of its arrival
 *   I3  wrap takes all of the pieces or fails for good; after a failure nothing more may be wrapped
 *   I4  with nothing under way in either direction a transport holds no buffer
 *
 * Sources: RFC 8446 (TLS 1.3), RFC 5246 (TLS 1.2), RFC 6455 (WebSocket), MQTT 5.0 chapter 6.
 */
#ifndef SHARDMQ_TRANSPORT_TRANSPORT_H
#define SHARDMQ_TRANSPORT_TRANSPORT_H

#include "base/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct tls_context;

enum transport_kind { TRANSPORT_PLAIN, TRANSPORT_TLS, TRANSPORT_WS, TRANSPORT_WSS };
enum transport_role { TRANSPORT_SERVER, TRANSPORT_CLIENT };

enum transport_status {
    TRANSPORT_MORE,       /* `plain` has bytes: take them and call again */
    TRANSPORT_NEED_INPUT, /* all input was taken */
    TRANSPORT_END,        /* the peer closed in good order; nothing follows */
    TRANSPORT_WAITING,    /* for a signature: transport_take_job(); input may be left */
    TRANSPORT_FAILED, /* it is over: transport_why(). `wire` may have an alert or a close frame */
};

/* Status codes of a close frame (RFC 6455, 7.4.1). */
enum websocket_close {
    WEBSOCKET_NORMAL = 1000,
    WEBSOCKET_GOING_AWAY = 1001,
    WEBSOCKET_PROTOCOL_ERROR = 1002,
    WEBSOCKET_UNSUPPORTED = 1003,
    WEBSOCKET_POLICY = 1008,
    WEBSOCKET_TOO_BIG = 1009,
    WEBSOCKET_INTERNAL = 1011,
};

/* Bytes to be sent. Owner: the caller. Zeroed at first; `data` is from mem_try_alloc(), so whoever has
 * sent it sets it to NULL (and len, capacity to 0) or frees it with transport_wire_free(). */
struct transport_wire {
    uint8_t *data;
    size_t len, capacity;
};

/* How WebSocket is spoken. Class: boot; outlives the transports that were made with it. */
struct websocket_settings {
    const char *path; /* server: the only one that is served; client: the one to ask for */
    const char *const
        *origins;          /* server: the Origin headers that are let in, scheme://host[:port] */
    unsigned origin_count; /* ... 0: any, and none */
    uint64_t message_max;  /* the longest frame that is accepted, in bytes */
    const char *host;      /* client: the Host header, host:port */
    const char *protocol;  /* client: the sub-protocol, "mqtt" or "mqttv3.1" */
};

struct transport_settings {
    enum transport_kind kind;
    enum transport_role role;
    struct tls_context *tls; /* TLS and WSS; a reference is taken */
    const char *server_name; /* client: for SNI and the name check; NULL: neither */
    const struct websocket_settings *websocket; /* WS and WSS */
};

/* Owner: whoever owns the descriptor; moves between threads with it. */
struct transport;

/* NULL when there is no memory. */
struct transport *transport_create(const struct transport_settings *settings);
/* Sends nothing. NULL is ignored. */
void transport_destroy(struct transport *transport);

/* Begins: a client's first bytes are appended to `wire`, a server's handshake waits for its peer. False
 * when there is no memory. */
bool transport_start(struct transport *transport, struct transport_wire *wire);

/* True when the handshake is over and wrap may be called. */
bool transport_ready(const struct transport *transport);

/* True when its TLS handshake resumed a session. */
bool transport_resumed(const struct transport *transport);

/* Whether what comes from now on may be a secret. Of that TLS then leaves no copy in its own memory; the caller overwrites
 * the plain bytes that it was given. */
void transport_confide(struct transport *transport, bool confides);

/* Takes bytes of the wire: advances `input`, and describes the next plain bytes in `plain` (I1). */
enum transport_status transport_unwrap(struct transport *transport, struct span *input,
                                       struct span *plain, struct transport_wire *wire);

/* A signature that a server's handshake needs, of a context with sign_elsewhere. Class: wire. */
struct transport_job;

/* After TRANSPORT_WAITING: what is to be done, the caller's from now on; NULL when it was taken already. */
struct transport_job *transport_take_job(struct transport *transport);
/* Does it, which takes milliseconds: on any thread, the transport may be gone. */
void transport_job_run(struct transport_job *job);
/* Gives it back, and takes it over: the handshake goes on at the next unwrap, or fails there when the job was not run or has
 * failed. */
void transport_give_job(struct transport *transport, struct transport_job *job);
/* Its transport is gone. NULL is ignored. */
void transport_job_free(struct transport_job *job);

/* Appends the wire's form of `count` pieces to `wire`: on WebSocket one frame for all of them, on TLS
 * records as full as they get. False when it failed (transport_why()). Needs transport_ready(). */
bool transport_wrap(struct transport *transport, const struct iovec *pieces, unsigned count,
                    struct transport_wire *wire);

/* Says good-bye: a close frame with `code`, a close_notify. What the peer still sends may be given to
 * unwrap or thrown away. May be called at any time, also more than once; does nothing the second time. */
void transport_close(struct transport *transport, enum websocket_close code,
                     struct transport_wire *wire);

/* Why it failed, one sentence without a full stop; "" as long as it has not. Bytes of the peer in it are
 * escaped. */
const char *transport_why(const struct transport *transport);

enum transport_kind transport_kind_of(const struct transport *transport);

/* What of the peer's certificate names it. */
enum transport_name { TRANSPORT_NAME_CN, TRANSPORT_NAME_SAN, TRANSPORT_NAME_SUBJECT };

/* Writes the name in the peer's certificate as UTF-8 with a final NUL: its common name, its first DNS, mail or URI
 * alternative name, or the whole subject as RFC 2253 has it. False when the peer sent no certificate, it has no such
 * name, or the name has a NUL or a control character or does not fit. */
bool transport_peer_name(const struct transport *transport, enum transport_name which, char *to,
                         size_t size);
/* "TLSv1.3 TLS_AES_128_GCM_SHA256", a version and a cipher; "" when it is not TLS. Writes at most `size`. */
void transport_describe(const struct transport *transport, char *to, size_t size);

/* Appends bytes; false when there is no memory. */
bool transport_wire_append(struct transport_wire *wire, const void *data, size_t len);
void transport_wire_free(struct transport_wire *wire);

#endif
