/* SPDX-License-Identifier: MIT
 *
 * tls_context - reading certificates, and the rules that BoringSSL is given.
 *
 * A server with several certificates has a BoringSSL context for each: the name that a client asks for
 * picks one (SNI, RFC 6066), the first is for all others. Trust, tickets and rules are the same in all.
 *
 * A ticket says that its client was verified when it was made. So that nobody who was revoked since
 * comes in with one, a session belongs to the scope, the bytes of the CA and CRL files, and the rules:
 * after a reload that changed them, everybody shakes hands in full.
 */
#include "transport/transport_priv.h"

#include "base/file_read.h"
#include "base/mem.h"

#include <openssl/ec_key.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/mem.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>

#define FILE_MAX      (4u << 20)
#define HANDSHAKE_MAX 32768 /* bytes of a peer's certificates in one message */
#define SYSTEM_CA     "/etc/ssl/certs/ca-certificates.crt"

struct tls_context {
    _Atomic uint32_t references;
    bool verify_name;
    struct tls_tickets *tickets;
    _Atomic(SSL_SESSION *) session; /* shared: a client's, to be resumed; set once */
    BIO_METHOD *bio;
    uint8_t *alpn; /* as on the wire: each with its length in front */
    unsigned alpn_len;
    unsigned count;
    SSL_CTX **contexts; /* one for each certificate; at least one */
    EVP_PKEY **keys;    /* of those whose signatures are made elsewhere; else NULL */
};

/* ---- files ---- */

struct pem {
    struct file_bytes bytes;
    BIO *bio;
};

static bool refuse(char *why, size_t size, const char *file, const char *what)
{
    uint32_t error = ERR_peek_last_error();
    const char *reason = error == 0 ? NULL : ERR_reason_error_string(error);

    snprintf(why, size, "%s: %s%s%s%s", file, what, reason != NULL ? " (" : "",
             reason != NULL ? reason : "", reason != NULL ? ")" : "");
    ERR_clear_error();
    return false;
}

static void pem_close(struct pem *pem)
{
    BIO_free(pem->bio);
    file_bytes_free(&pem->bytes);
    *pem = (struct pem){0};
}

static bool pem_open(struct pem *pem, const char *file, char *why, size_t size)
{
    *pem = (struct pem){0};
    ERR_clear_error();
    if (!file_read(file, FILE_MAX, &pem->bytes, why, size))
        return false;
    pem->bio = BIO_new_mem_buf(pem->bytes.data, (int)pem->bytes.len);
    if (pem->bio != NULL)
        return true;
    snprintf(why, size, "%s: %s", file, strerror(ENOMEM));
    pem_close(pem);
    return false;
}

/* True when the last PEM read ended because there was nothing more, not because something is wrong. */
static bool at_end(void)
{
    uint32_t error = ERR_peek_last_error();
    bool end = ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;

    if (end)
        ERR_clear_error();
    return end;
}

/* Never asks anybody: without a password an encrypted key cannot be read. */
static int password(char *to, int size, int writing, void *text)
{
    size_t len = text == NULL ? 0 : strlen(text);

    (void)writing;
    if (len > (size_t)size)
        return 0;
    if (len != 0)
        memcpy(to, text, len);
    return (int)len;
}

static bool load_certificate(SSL_CTX *ctx, const char *file, char *why, size_t size)
{
    struct pem pem;
    X509 *certificate;
    bool loaded;

    if (!pem_open(&pem, file, why, size))
        return false;
    certificate = PEM_read_bio_X509_AUX(pem.bio, NULL, password, NULL);
    loaded = certificate != NULL && SSL_CTX_use_certificate(ctx, certificate) == 1;
    X509_free(certificate);
    while (loaded) {
        certificate = PEM_read_bio_X509(pem.bio, NULL, password, NULL);
        if (certificate == NULL) {
            loaded = at_end();
            break;
        }
        loaded = SSL_CTX_add1_chain_cert(ctx, certificate) == 1;
        X509_free(certificate);
    }
    pem_close(&pem);
    return loaded || refuse(why, size, file, "this is not a certificate in PEM form");
}

/* Signatures with it take less than a tenth of a millisecond. */
static bool is_fast(const EVP_PKEY *key)
{
    return EVP_PKEY_id(key) == EVP_PKEY_ED25519 ||
           (EVP_PKEY_id(key) == EVP_PKEY_EC &&
            EC_GROUP_get_curve_name(EC_KEY_get0_group(EVP_PKEY_get0_EC_KEY(key))) ==
                NID_X9_62_prime256v1);
}

/* Takes the key away from BoringSSL, which will ask us for signatures. */
static void sign_elsewhere(struct tls_context *context, unsigned index, EVP_PKEY *key)
{
    if (is_fast(key))
        return;
    EVP_PKEY_up_ref(key);
    context->keys[index] = key;
    SSL_CTX_set_private_key_method(context->contexts[index], &tls_sign_elsewhere);
}

EVP_PKEY *tls_context_key(const struct tls_context *context, const SSL *ssl)
{
    const SSL_CTX *ctx = SSL_get_SSL_CTX(ssl);
    unsigned index = 0;

    while (context->contexts[index] != ctx)
        index++;
    return context->keys[index];
}

/* The key of the certificate of that index. */
static bool load_key(struct tls_context *context, unsigned index,
                     const struct tls_settings *settings, char *why, size_t size)
{
    const struct tls_certificate *from = &settings->certificates[index];
    SSL_CTX *ctx = context->contexts[index];
    const char *file = from->key_file != NULL ? from->key_file : from->certificate_file;
    struct pem pem;
    EVP_PKEY *key;
    bool encrypted = false, loaded;

    if (!pem_open(&pem, file, why, size))
        return false;
    encrypted = memmem(pem.bytes.data, pem.bytes.len, "ENCRYPTED", 9) != NULL;
    key = PEM_read_bio_PrivateKey(pem.bio, NULL, password, (void *)(uintptr_t)from->key_password);
    loaded = key != NULL;
    if (!loaded && encrypted) {
        ERR_clear_error();
        refuse(why, size, file,
               from->key_password == NULL ? "the key is encrypted and no password is given"
                                          : "the key cannot be read with this password");
    } else if (!loaded) {
        refuse(why, size, file, "there is no private key in PEM form in it");
    } else if (SSL_CTX_use_PrivateKey(ctx, key) != 1 || SSL_CTX_check_private_key(ctx) != 1) {
        ERR_clear_error();
        snprintf(why, size, "%s: this is not the key of the certificate %s", file,
                 from->certificate_file);
        loaded = false;
    } else if (settings->sign_elsewhere) {
        sign_elsewhere(context, index, key);
    }
    EVP_PKEY_free(key);
    pem_close(&pem);
    return loaded;
}

/* What the authorities and the revocation lists of files go to. */
struct trust {
    X509_STORE *store;
    STACK_OF(X509_NAME) * names; /* of the authorities: what a server asks its clients for */
    SHA256_CTX *scope;
};

/* Takes one object of a PEM file: 1; 0 when there is none left or it is malformed; -1 when there is no memory. */
typedef int take_object(const struct trust *trust, BIO *bio);

static int take_ca(const struct trust *trust, BIO *bio)
{
    X509 *ca = PEM_read_bio_X509_AUX(bio, NULL, password, NULL);
    X509_NAME *name;
    bool added;

    if (ca == NULL)
        return 0;
    added = X509_STORE_add_cert(trust->store, ca) == 1;
    name = added ? X509_NAME_dup(X509_get_subject_name(ca)) : NULL;
    if (name != NULL && sk_X509_NAME_push(trust->names, name) == 0)
        X509_NAME_free(name);
    X509_free(ca);
    return added ? 1 : -1;
}

static int take_crl(const struct trust *trust, BIO *bio)
{
    X509_CRL *crl = PEM_read_bio_X509_CRL(bio, NULL, password, NULL);
    bool added = crl != NULL && X509_STORE_add_crl(trust->store, crl) == 1;

    if (crl == NULL)
        return 0;
    X509_CRL_free(crl);
    return added ? 1 : -1;
}

/* Takes every object of a file, which must have one and nothing else. */
static bool load_all(const struct trust *trust, const char *file, take_object *take,
                     const char *what, char *why, size_t size)
{
    struct pem pem;
    unsigned count = 0;
    int taken;
    bool loaded;

    if (!pem_open(&pem, file, why, size))
        return false;
    SHA256_Update(trust->scope, pem.bytes.data, pem.bytes.len);
    while ((taken = take(trust, pem.bio)) > 0)
        count++;
    loaded = taken == 0 && at_end() && count != 0;
    pem_close(&pem);
    return loaded || refuse(why, size, file, what);
}

static bool load_ca(const struct trust *trust, const char *file, char *why, size_t size)
{
    return load_all(trust, file, take_ca, "this is not a file of CA certificates in PEM form", why,
                    size);
}

static int is_certificate(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');

    return dot != NULL && dot != entry->d_name &&
           (strcmp(dot, ".pem") == 0 || strcmp(dot, ".crt") == 0 || strcmp(dot, ".cer") == 0 ||
            (dot[1] >= '0' && dot[1] <= '9' && dot[2] == '\0'));
}

/* The same for the files of a folder. */
static bool load_ca_folder(const struct trust *trust, const char *folder, char *why, size_t size)
{
    struct dirent **entries;
    int count = scandir(folder, &entries, is_certificate, alphasort);
    bool loaded = true;

    if (count < 0)
        return refuse(why, size, folder, strerror(errno));
    for (int i = 0; i < count; i++) {
        char file[4096];
        int len = snprintf(file, sizeof(file), "%s/%s", folder, entries[i]->d_name);

        loaded = loaded && (size_t)len < sizeof(file) && load_ca(trust, file, why, size);
        mem_free_libc(entries[i]);
    }
    mem_free_libc(entries);
    if (count == 0)
        return refuse(why, size, folder, "there is no file with a CA certificate in this folder");
    return loaded;
}

static bool load_crl(const struct trust *trust, const char *file, char *why, size_t size)
{
    X509_STORE_set_flags(trust->store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
    return load_all(trust, file, take_crl,
                    "this is not a file of revocation lists (CRL) in PEM form", why, size);
}

/* ---- callbacks ---- */

static struct tls_context *context_of(const SSL *ssl)
{
    return SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
}

/* Revocation is looked for in the whole chain. An authority in between whose issuer has no list here is let pass:
 * many publish none for their own. The peer's certificate needs one. */
static int judge(int good, X509_STORE_CTX *store)
{
    if (good || X509_STORE_CTX_get_error(store) != X509_V_ERR_UNABLE_TO_GET_CRL ||
        X509_STORE_CTX_get_error_depth(store) == 0)
        return good;
    X509_STORE_CTX_set_error(store, X509_V_OK);
    return 1;
}

/* ALPN (RFC 7301): our order counts; nothing in common is an error. */
static int pick_protocol(SSL *ssl, const uint8_t **out, uint8_t *out_len, const uint8_t *offered,
                         unsigned offered_len, void *argument)
{
    const struct tls_context *context = argument;

    (void)ssl;
    return SSL_select_next_proto((uint8_t **)(uintptr_t)out, out_len, context->alpn,
                                 context->alpn_len, offered, offered_len) == OPENSSL_NPN_NEGOTIATED
               ? SSL_TLSEXT_ERR_OK
               : SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* SNI: takes the certificate that is for the name. */
static int pick_certificate(SSL *ssl, int *alert, void *argument)
{
    const struct tls_context *context = argument;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

    (void)alert;
    for (unsigned i = 0; name != NULL && i < context->count; i++) {
        X509 *certificate = SSL_CTX_get0_certificate(context->contexts[i]);

        if (X509_check_host(certificate, name, strlen(name), 0, NULL) == 1) {
            if (i != 0)
                SSL_set_SSL_CTX(ssl, context->contexts[i]);
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return SSL_TLSEXT_ERR_NOACK;
}

/* RFC 5077, 4: a name, AES-128-CBC, HMAC-SHA-256. */
static int seal_ticket(SSL *ssl, uint8_t *name, uint8_t *iv, EVP_CIPHER_CTX *cipher, HMAC_CTX *mac,
                       int sealing)
{
    const struct tls_tickets *tickets = context_of(ssl)->tickets;
    struct tls_ticket_key key;
    int result = 1;

    if (sealing) {
        tls_tickets_current(tickets, &key);
        memcpy(name, key.name, sizeof(key.name));
        RAND_bytes(iv, 16);
        if (EVP_EncryptInit_ex(cipher, EVP_aes_128_cbc(), NULL, key.cipher, iv) != 1)
            result = -1;
    } else {
        result = tls_tickets_find(tickets, name, &key);
        if (result != 0 && EVP_DecryptInit_ex(cipher, EVP_aes_128_cbc(), NULL, key.cipher, iv) != 1)
            result = -1;
    }
    if (result > 0 && HMAC_Init_ex(mac, key.mac, sizeof(key.mac), EVP_sha256(), NULL) != 1)
        result = -1;
    OPENSSL_cleanse(&key, sizeof(key));
    return result;
}

/* ---- making one ---- */

static bool set_alpn(struct tls_context *context, const struct tls_settings *settings)
{
    size_t len = 0;

    for (unsigned i = 0; i < settings->alpn_count; i++)
        len += 1 + strlen(settings->alpn[i]);
    if (len == 0)
        return true;
    context->alpn = mem_try_alloc(len);
    if (context->alpn == NULL)
        return false;
    for (unsigned i = 0; i < settings->alpn_count; i++) {
        size_t one = strlen(settings->alpn[i]);

        context->alpn[context->alpn_len++] = (uint8_t)one;
        memcpy(context->alpn + context->alpn_len, settings->alpn[i], one);
        context->alpn_len += (unsigned)one;
    }
    return true;
}

/* The first session that a server gives is kept for all connections; of more there is no need. */
static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    SSL_SESSION *none = NULL;

    return atomic_compare_exchange_strong(&context_of(ssl)->session, &none, session);
}

static void set_rules(struct tls_context *context, SSL_CTX *ctx,
                      const struct tls_settings *settings,
                      const uint8_t scope[SHA256_DIGEST_LENGTH])
{
    int verify = SSL_VERIFY_NONE;

    SSL_CTX_set_app_data(ctx, context);
    SSL_CTX_set_min_proto_version(ctx, settings->version_least != 0 ? settings->version_least
                                                                    : TLS1_2_VERSION);
    SSL_CTX_set_max_proto_version(ctx, settings->version_most != 0 ? settings->version_most
                                                                   : TLS1_3_VERSION);
    SSL_CTX_set_strict_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20");
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_max_cert_list(ctx, HANDSHAKE_MAX);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    if (settings->verify_peer)
        verify = SSL_VERIFY_PEER | (settings->require_peer ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0);
    SSL_CTX_set_verify(ctx, verify, judge);
    if (!settings->server) {
        if (context->alpn_len != 0)
            SSL_CTX_set_alpn_protos(ctx, context->alpn, context->alpn_len);
        if (settings->resume) {
            SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
            SSL_CTX_sess_set_new_cb(ctx, keep_session);
        }
        return;
    }
    SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_session_id_context(ctx, scope, SHA256_DIGEST_LENGTH);
    if (context->alpn_len != 0)
        SSL_CTX_set_alpn_select_cb(ctx, pick_protocol, context);
    if (context->count > 1) {
        SSL_CTX_set_tlsext_servername_callback(ctx, pick_certificate);
        SSL_CTX_set_tlsext_servername_arg(ctx, context);
    }
    if (context->tickets != NULL)
        SSL_CTX_set_tlsext_ticket_key_cb(ctx, seal_ticket);
    else
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
}

/* The trust of all contexts, and what a session's scope is made of. */
static bool load_trust(X509_STORE *store, STACK_OF(X509_NAME) * names,
                       const struct tls_settings *settings, uint8_t scope[SHA256_DIGEST_LENGTH],
                       char *why, size_t size)
{
    const char *ca = settings->ca_file;
    const uint8_t rules[2] = {settings->verify_peer, settings->require_peer};
    SHA256_CTX hash;
    const struct trust trust = {store, names, &hash};

    SHA256_Init(&hash);
    SHA256_Update(&hash, rules, sizeof(rules));
    if (settings->scope != NULL)
        SHA256_Update(&hash, settings->scope, strlen(settings->scope) + 1);
    if (settings->verify_peer && ca == NULL && settings->server) {
        snprintf(why, size,
                 "clients' certificates are to be verified, but no file of CA "
                 "certificates is named");
        return false;
    }
    if (ca == NULL && settings->ca_folder == NULL && settings->verify_peer)
        ca = SYSTEM_CA;
    if (ca != NULL && !load_ca(&trust, ca, why, size))
        return false;
    if (settings->ca_folder != NULL && !load_ca_folder(&trust, settings->ca_folder, why, size))
        return false;
    if (settings->crl_file != NULL && !load_crl(&trust, settings->crl_file, why, size))
        return false;
    SHA256_Final(scope, &hash);
    return true;
}

static bool fill(struct tls_context *context, const struct tls_settings *settings,
                 X509_STORE *store, STACK_OF(X509_NAME) * names, char *why, size_t size)
{
    uint8_t scope[SHA256_DIGEST_LENGTH];

    if (!load_trust(store, names, settings, scope, why, size))
        return false;
    for (unsigned i = 0; i < context->count; i++) {
        SSL_CTX *ctx = SSL_CTX_new(TLS_method());
        STACK_OF(X509_NAME) * asked;

        if (ctx == NULL)
            return refuse(why, size, "TLS", "there was no memory");
        context->contexts[i] = ctx;
        set_rules(context, ctx, settings, scope);
        X509_STORE_up_ref(store);
        SSL_CTX_set_cert_store(ctx, store);
        asked = settings->server && settings->verify_peer
                    ? sk_X509_NAME_deep_copy(names, X509_NAME_dup, X509_NAME_free)
                    : NULL;
        if (asked != NULL)
            SSL_CTX_set_client_CA_list(ctx, asked);
        if (i < settings->certificate_count &&
            (!load_certificate(ctx, settings->certificates[i].certificate_file, why, size) ||
             !load_key(context, i, settings, why, size)))
            return false;
    }
    return true;
}

struct tls_context *tls_context_create(const struct tls_settings *settings, char *why, size_t size)
{
    struct tls_context *context = mem_zalloc(sizeof(*context));
    X509_STORE *store = X509_STORE_new();
    STACK_OF(X509_NAME) *names = sk_X509_NAME_new_null();
    bool filled;

    snprintf(why, size, "there was no memory for TLS");
    atomic_init(&context->references, 1);
    context->verify_name = settings->verify_name;
    context->tickets = settings->tickets;
    context->count = settings->certificate_count != 0 ? settings->certificate_count : 1;
    context->contexts = mem_zalloc(context->count * sizeof(SSL_CTX *));
    context->keys = mem_zalloc(context->count * sizeof(EVP_PKEY *));
    context->bio = tls_bio_create();
    if (settings->server && settings->certificate_count == 0) {
        snprintf(why, size, "a TLS server needs a certificate");
        filled = false;
    } else {
        filled = store != NULL && names != NULL && context->bio != NULL &&
                 set_alpn(context, settings) && fill(context, settings, store, names, why, size);
    }
    X509_STORE_free(store);
    sk_X509_NAME_pop_free(names, X509_NAME_free);
    if (filled)
        return context;
    tls_context_unref(context);
    return NULL;
}

struct tls_context *tls_context_ref(struct tls_context *context)
{
    atomic_fetch_add_explicit(&context->references, 1, memory_order_relaxed);
    return context;
}

void tls_context_unref(struct tls_context *context)
{
    if (context == NULL ||
        atomic_fetch_sub_explicit(&context->references, 1, memory_order_acq_rel) != 1)
        return;
    SSL_SESSION_free(atomic_load(&context->session));
    for (unsigned i = 0; i < context->count; i++)
        SSL_CTX_free(context->contexts[i]);
    for (unsigned i = 0; i < context->count; i++)
        EVP_PKEY_free(context->keys[i]);
    mem_free(context->contexts);
    mem_free(context->keys);
    if (context->bio != NULL)
        BIO_meth_free(context->bio);
    mem_free(context->alpn);
    mem_free(context);
}

/* ---- a connection ---- */

/* The name that the server's certificate must be for; an address has no SNI (RFC 6066, 3). */
static bool name_server(const struct tls_context *context, SSL *ssl, const char *name)
{
    X509_VERIFY_PARAM *parameters = SSL_get0_param(ssl);
    struct in6_addr ignored;
    bool address =
        inet_pton(AF_INET, name, &ignored) == 1 || inet_pton(AF_INET6, name, &ignored) == 1;

    if (!address && SSL_set_tlsext_host_name(ssl, name) != 1)
        return false;
    if (!context->verify_name)
        return true;
    if (address)
        return X509_VERIFY_PARAM_set1_ip_asc(parameters, name) == 1;
    X509_VERIFY_PARAM_set_hostflags(parameters, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return X509_VERIFY_PARAM_set1_host(parameters, name, strlen(name)) == 1;
}

SSL *tls_context_open(struct tls_context *context, const char *server_name)
{
    SSL *ssl = SSL_new(context->contexts[0]);
    SSL_SESSION *session = atomic_load_explicit(&context->session, memory_order_acquire);

    if (ssl == NULL)
        return NULL;
    if (session != NULL)
        SSL_set_session(ssl, session);
    SSL_set_shed_handshake_config(ssl, 1);
    if (server_name != NULL && !name_server(context, ssl, server_name)) {
        SSL_free(ssl);
        ERR_clear_error();
        return NULL;
    }
    return ssl;
}

const BIO_METHOD *tls_context_bio(const struct tls_context *context)
{
    return context->bio;
}
