/* SPDX-License-Identifier: MIT
 *
 * tls_context - certificates, trust and rules that TLS connections are made with.
 *
 * Class: wire. Never changes once it is made, shared by all threads, reference counted: a reload makes
 * a new one for the connections to come, and the old one goes with the last connection that has it.
 *
 * What is the same for everybody: TLS 1.2 and 1.3 only, forward secret ciphers with authenticated
 * encryption only, no renegotiation, no compression, no early data.
 */
#ifndef SHARDMQ_TRANSPORT_TLS_CONTEXT_H
#define SHARDMQ_TRANSPORT_TLS_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tls_context;
struct tls_tickets;

/* Files in PEM form. */
struct tls_certificate {
    const char *certificate_file; /* the certificate, then those between it and the authority */
    const char *key_file;         /* NULL: in certificate_file */
    const char *key_password;     /* NULL: it is not encrypted */
};

struct tls_settings {
    bool server;
    const struct tls_certificate
        *certificates;          /* a server's first is for clients that ask for no known name */
    unsigned certificate_count; /* at least 1 for a server; a client has 0 or 1 */
    const char *ca_file; /* whom to trust; NULL: a client trusts the system's, a server nobody */
    const char *
        ca_folder; /* all of its files *.pem, *.crt, *.cer and <hash>.<digit> as well; NULL: none */
    /* Revoked certificates; NULL: none are looked for. There must be a list of whoever issued the peer's certificate;
     * certificates of authorities in between are looked for in the lists of their issuers where there are some. */
    const char *crl_file;
    bool verify_peer;  /* look at the peer's certificate at all */
    bool require_peer; /* server: a client without one is refused (with verify_peer) */
    bool verify_name;  /* client: the certificate must be for the server's name */
    const char *const
        *alpn; /* protocols, best first; a server that shares none with a client refuses it */
    unsigned alpn_count;         /* 0: the extension is not used */
    struct tls_tickets *tickets; /* server: NULL: sessions cannot be resumed */
    bool
        sign_elsewhere; /* server: slow signatures are handed out: TRANSPORT_WAITING (transport.h) */
    bool
        resume; /* client: connections after the first ask for a session to be resumed: the first one that a server gave */
    const char *scope; /* server: sessions are resumed only under the same scope, trust and rules */
    uint16_t version_least, version_most; /* 0x0303: TLS 1.2, 0x0304: TLS 1.3; 0: 1.2 to 1.3 */
};

/* Reads the files. NULL and a sentence in `why`, with the name of the file, when something is wrong; each
 * call looks again. */
struct tls_context *tls_context_create(const struct tls_settings *settings, char *why, size_t size);
struct tls_context *tls_context_ref(struct tls_context *context);
/* NULL is ignored. */
void tls_context_unref(struct tls_context *context);

/* The keys that session tickets are sealed with. Class: shared, one writer. Tickets sealed with the current or
 * the former key are accepted; rotating every hour means that a session can be resumed for one to two hours. */
struct tls_tickets *tls_tickets_create(void);
void tls_tickets_destroy(struct tls_tickets *tickets); /* after every context that has it */
void tls_tickets_rotate(struct tls_tickets *tickets);  /* by the one writer */

/* The keys as bytes, for another program of this process. Whoever has them can read the sessions of their tickets. */
#define TLS_TICKETS_BYTES 200u
void tls_tickets_save(const struct tls_tickets *tickets, uint8_t to[TLS_TICKETS_BYTES]);
/* Before anybody reads them. */
void tls_tickets_load(struct tls_tickets *tickets, const uint8_t from[TLS_TICKETS_BYTES]);

#endif
