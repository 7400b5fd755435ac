/* SPDX-License-Identifier: MIT
 *
 * The inside of a transport: TLS below, WebSocket above, either may be absent.
 */
#ifndef SHARDMQ_TRANSPORT_PRIV_H
#define SHARDMQ_TRANSPORT_PRIV_H

#include "transport/tls_context.h"
#include "transport/transport.h"

#include <openssl/ssl.h>

struct websocket;

/* Owner: whoever owns the descriptor. */
struct transport {
    uint8_t kind, role; /* enum transport_kind, enum transport_role */
    bool tls_ready;     /* the TLS handshake is over */
    bool tls_closed;    /* close_notify was sent, or TLS failed */
    bool failed;
    bool confides;        /* what comes may be a secret: transport_confide() */
    bool inner_started;   /* WSS: the WebSocket handshake has begun */
    SSL *ssl;             /* TLS, WSS */
    struct websocket *ws; /* WS, WSS */
    struct tls_context *tls;
    char *why;                  /* after a failure; NULL: there was no memory for it */
    struct span *input;         /* what TLS reads, during a call */
    uint8_t *record;            /* where TLS keeps the record that it is reading */
    size_t record_len;
    struct transport_wire *out; /* what TLS writes to, during a call */
    struct transport_job *job;  /* a signature: to be taken, or given back; else NULL */
    bool signing;               /* the handshake waits for it */
    struct span inner;          /* WSS: decrypted, not yet looked at; empty between loops (I1) */
};

/* Notes why it failed; the first reason stays. */
void transport_fail(struct transport *transport, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* ---- tls.c ---- */
bool tls_open(struct transport *transport, const char *server_name);
void tls_shut(struct transport *transport);
/* One step of the handshake with an empty input. */
bool tls_start(struct transport *transport, struct transport_wire *wire);
enum transport_status tls_unwrap(struct transport *transport, struct span *input,
                                 struct span *plain, struct transport_wire *wire);
bool tls_wrap(struct transport *transport, const struct iovec *pieces, unsigned count,
              struct transport_wire *wire);
void tls_close(struct transport *transport, struct transport_wire *wire);

/* ---- tls_context.c ---- */
SSL *tls_context_open(struct tls_context *context, const char *server_name);
/* The kind of BIO that reads struct transport.input and writes struct transport.out. */
const BIO_METHOD *tls_context_bio(const struct tls_context *context);
BIO_METHOD *tls_bio_create(void); /* in tls.c */
/* The key of the certificate that the connection has, if its signatures are made elsewhere. */
EVP_PKEY *tls_context_key(const struct tls_context *context, const SSL *ssl);

/* ---- tls_sign.c ---- */
extern const SSL_PRIVATE_KEY_METHOD tls_sign_elsewhere;

/* ---- tls_tickets.c ---- */
struct tls_ticket_key {
    uint8_t name[16], cipher[16], mac[16];
};
/* The key to seal with. */
void tls_tickets_current(const struct tls_tickets *tickets, struct tls_ticket_key *key);
/* The key of that name: 0 when there is none, 1 when it is current, 2 when it is the former one. */
int tls_tickets_find(const struct tls_tickets *tickets, const uint8_t *name,
                     struct tls_ticket_key *key);

/* ---- websocket.c ---- */
struct websocket *websocket_create(enum transport_role role,
                                   const struct websocket_settings *settings);
void websocket_destroy(struct websocket *ws);
bool websocket_start(struct transport *transport, struct transport_wire *wire);
bool websocket_ready(const struct websocket *ws);
/* It may have bytes that it was given and has not looked at. */
bool websocket_pending(const struct websocket *ws);
enum transport_status websocket_unwrap(struct transport *transport, struct span *input,
                                       struct span *plain, struct transport_wire *wire);
/* One binary frame of all the pieces. */
bool websocket_wrap(struct transport *transport, const struct iovec *pieces, unsigned count,
                    struct transport_wire *wire);
void websocket_close(struct transport *transport, enum websocket_close code,
                     struct transport_wire *wire);

#endif
