/* SPDX-License-Identifier: MIT
 *
 * secure - TLS and WebSocket for the clients of all tools, from what their options say.
 */
#ifndef SHARDMQ_BENCH_SECURE_H
#define SHARDMQ_BENCH_SECURE_H

#include "mqtt/packet.h"
#include "transport/transport.h"

/* NULL: not given. */
struct secure_options {
    enum transport_kind kind;
    const char *host;
    uint16_t port;
    enum mqtt_version version;
    const char *cafile, *capath, *certfile, *keyfile, *keypass;
    bool insecure; /* the name is not looked at, and without cafile or capath nothing else either */
    const char *server_name; /* in place of the host, for SNI and the name in the certificate */
    const char *alpn;        /* "": none; NULL: mqtt, and http/1.1 for WebSocket */
    bool only_tls_1_3;
    bool resume;      /* connections after the first resume a session */
    const char *path; /* of the WebSocket */
};

/* boot; does not move while it is open. Zeroed is a valid start. */
struct secure {
    struct transport_settings transport; /* for struct target */
    struct websocket_settings websocket;
    struct tls_context *tls;
    char websocket_host[300];
};

/* Reads the certificates and fills secure->transport in. False and a sentence that names the file when one is not good. The
 * texts of `options` are borrowed. */
bool secure_open(struct secure *secure, const struct secure_options *options, char *error,
                 size_t error_size);
void secure_close(struct secure *secure);

/* The kind of both flags. */
static inline enum transport_kind secure_kind(bool tls, bool websocket)
{
    return websocket ? (tls ? TRANSPORT_WSS : TRANSPORT_WS)
                     : (tls ? TRANSPORT_TLS : TRANSPORT_PLAIN);
}

/* The port that brokers usually have for it: 1883, 8883, and NanoMQ's 8083 and 8084 for WebSocket. */
uint16_t secure_port(enum transport_kind kind);

#endif
