/* SPDX-License-Identifier: MIT
 *
 * tls - the TLS side of a transport.
 *
 * BoringSSL reads from the span that the caller gave and writes to the caller's wire, through a BIO of
 * our own: no copy in between, and no buffer that would stay with an idle connection. BoringSSL gives
 * its own record buffers back when they are empty.
 */
#include "transport/transport_priv.h"

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"

#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/x509v3.h>

#include <stdio.h>

#define RECORD_MAX 16384u /* RFC 8446, 5.1 */

/* Decrypted bytes of the call under way, see invariant I1 of transport.h. */
static _Thread_local uint8_t decrypted[RECORD_MAX];

/* ---- the BIO ---- */

static int bio_read(BIO *bio, char *to, int size)
{
    struct transport *transport = BIO_get_data(bio);
    struct span *input = transport->input;
    uint32_t len;

    BIO_clear_retry_flags(bio);
    if (input == NULL || input->len == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    len = input->len < (uint32_t)size ? input->len : (uint32_t)size;
    if (transport->record_len == 0 || (uint8_t *)to != transport->record + transport->record_len) {
        transport->record = (uint8_t *)to;
        transport->record_len = 0;
    }
    transport->record_len += len;
    memcpy(to, input->data, len);
    input->data += len;
    input->len -= len;
    return (int)len;
}

static int bio_write(BIO *bio, const char *data, int len)
{
    struct transport *transport = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    if (transport->out == NULL || !transport_wire_append(transport->out, data, (size_t)len))
        return -1;
    return len;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio, (void)number, (void)pointer;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

BIO_METHOD *tls_bio_create(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_get_new_index(), "transport");

    if (method == NULL)
        return NULL;
    BIO_meth_set_read(method, bio_read);
    BIO_meth_set_write(method, bio_write);
    BIO_meth_set_ctrl(method, bio_control);
    return method;
}

/* ---- life ---- */

bool tls_open(struct transport *transport, const char *server_name)
{
    BIO *bio;

    transport->ssl = tls_context_open(transport->tls, server_name);
    if (transport->ssl == NULL)
        return false;
    bio = BIO_new(tls_context_bio(transport->tls));
    if (bio == NULL)
        return false;
    BIO_set_data(bio, transport);
    BIO_set_init(bio, 1);
    SSL_set_bio(transport->ssl, bio, bio);
    SSL_set_app_data(transport->ssl, transport);
    if (transport->role == TRANSPORT_SERVER)
        SSL_set_accept_state(transport->ssl);
    else
        SSL_set_connect_state(transport->ssl);
    return true;
}

void tls_shut(struct transport *transport)
{
    if (transport->ssl != NULL)
        SSL_free(transport->ssl);
    transport->ssl = NULL;
    transport_job_free(transport->job);
    transport->job = NULL;
}

static void begin(struct transport *transport, struct span *input, struct transport_wire *wire)
{
    transport->input = input;
    transport->out = wire;
    ERR_clear_error();
}

static void end(struct transport *transport)
{
    transport->input = NULL;
    transport->out = NULL;
}

/* ---- why ---- */

static void fail_verify(struct transport *transport)
{
    long result = SSL_get_verify_result(transport->ssl);

    transport_fail(transport, "TLS: the peer's certificate was refused: %s",
                   X509_verify_cert_error_string(result));
}

static void fail(struct transport *transport)
{
    uint32_t error = ERR_peek_error();
    int code = ERR_GET_LIB(error) == ERR_LIB_SSL ? ERR_GET_REASON(error) : 0;
    const char *reason;

    transport->tls_closed = true;
    switch (code) {
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
        transport_fail(transport, "TLS: the peer speaks plain HTTP here");
        break;
    case SSL_R_WRONG_VERSION_NUMBER:
        transport_fail(transport, "TLS: what came is not TLS");
        break;
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
        transport_fail(transport, "TLS: the client sent no certificate");
        break;
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
        fail_verify(transport);
        break;
    case SSL_R_NO_RENEGOTIATION:
        transport_fail(transport, "TLS: the peer wants to renegotiate");
        break;
    case SSL_R_NO_APPLICATION_PROTOCOL:
        transport_fail(transport, "TLS: the peer offers no protocol that is spoken here (ALPN)");
        break;
    default:
        if (code > SSL_AD_REASON_OFFSET && code < SSL_AD_REASON_OFFSET + 256) {
            transport_fail(transport, "TLS: the peer refused the connection: %s",
                           SSL_alert_desc_string_long(code - SSL_AD_REASON_OFFSET));
            break;
        }
        reason = error == 0 ? NULL : ERR_reason_error_string(error);
        transport_fail(transport, "TLS: %s", reason != NULL ? reason : "the connection broke");
    }
    ERR_clear_error();
}

/* ---- bytes ---- */

static void handshake(struct transport *transport)
{
    int result = SSL_do_handshake(transport->ssl);
    int error = result == 1 ? SSL_ERROR_NONE : SSL_get_error(transport->ssl, result);

    if (result == 1)
        transport->tls_ready = true;
    else if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_PRIVATE_KEY_OPERATION)
        fail(transport);
}

bool tls_start(struct transport *transport, struct transport_wire *wire)
{
    begin(transport, NULL, wire);
    handshake(transport);
    end(transport);
    return !transport->failed;
}

/* Overwrites the plain bytes where BoringSSL has decrypted them: in the record, behind its header if that came with it, and
 * behind the nonce that TLS 1.2 has with AES. Nothing is written where they do not stand. */
static void wipe_record(struct transport *transport, size_t len)
{
    static const size_t offsets[] = {0, 5, 8, 13};

    for (size_t i = 0; i < ARRAY_LENGTH(offsets); i++) {
        uint8_t *plain = transport->record + offsets[i];

        if (offsets[i] + len <= transport->record_len && memcmp(plain, decrypted, len) == 0) {
            OPENSSL_cleanse(plain, len);
            return;
        }
    }
}

/* BoringSSL decrypts a record where bio_read() has put it, and frees that without overwriting it. So the record is looked
 * at first, which leaves it where it is, overwritten, and then taken. */
static int read_secret(struct transport *transport)
{
    int result = SSL_peek(transport->ssl, decrypted, sizeof(decrypted)), left = result;
    uint8_t ignored[1024];

    if (result > 0 && SSL_pending(transport->ssl) == result)
        wipe_record(transport, (size_t)result);
    while (left > 0) {
        int size = left < (int)sizeof(ignored) ? left : (int)sizeof(ignored);
        int taken = SSL_read(transport->ssl, ignored, size);

        if (taken <= 0)
            return taken;
        left -= taken;
    }
    OPENSSL_cleanse(ignored, sizeof(ignored));
    mem_wipe_stack(); /* AES-GCM leaves some blocks there */
    if (result > 0)
        transport->record_len = 0;
    return result;
}

static enum transport_status read_some(struct transport *transport, struct span *plain)
{
    int result = transport->confides ? read_secret(transport)
                                     : SSL_read(transport->ssl, decrypted, sizeof(decrypted));

    if (result > 0) {
        *plain = span_of(decrypted, (size_t)result);
        return TRANSPORT_MORE;
    }
    switch (SSL_get_error(transport->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return TRANSPORT_NEED_INPUT;
    case SSL_ERROR_ZERO_RETURN:
        return TRANSPORT_END;
    default:
        fail(transport);
        return TRANSPORT_FAILED;
    }
}

enum transport_status tls_unwrap(struct transport *transport, struct span *input,
                                 struct span *plain, struct transport_wire *wire)
{
    enum transport_status status = TRANSPORT_NEED_INPUT;

    if (transport->failed)
        return TRANSPORT_FAILED;
    begin(transport, input, wire);
    if (!transport->tls_ready)
        handshake(transport);
    if (transport->failed)
        status = TRANSPORT_FAILED;
    else if (transport->tls_ready)
        status = read_some(transport, plain);
    else if (transport->signing)
        status = TRANSPORT_WAITING;
    end(transport);
    return status;
}

static bool write_record(struct transport *transport, const void *data, size_t len)
{
    int result = SSL_write(transport->ssl, data, (int)len);

    if (result == (int)len)
        return true;
    fail(transport);
    return false;
}

/* Small pieces are put together, so that they share a record. */
static bool write_pieces(struct transport *transport, const struct iovec *pieces, unsigned count)
{
    uint8_t record[RECORD_MAX];
    size_t used = 0;

    for (unsigned i = 0; i < count; i++) {
        const uint8_t *data = pieces[i].iov_base;
        size_t left = pieces[i].iov_len;

        while (left != 0) {
            size_t len = left < RECORD_MAX - used ? left : RECORD_MAX - used;

            if (used == 0 && (len == RECORD_MAX || i + 1 == count)) {
                if (!write_record(transport, data, len))
                    return false;
            } else {
                memcpy(record + used, data, len);
                used += len;
                if (used == RECORD_MAX) {
                    if (!write_record(transport, record, used))
                        return false;
                    used = 0;
                }
            }
            data += len;
            left -= len;
        }
    }
    return used == 0 || write_record(transport, record, used);
}

bool tls_wrap(struct transport *transport, const struct iovec *pieces, unsigned count,
              struct transport_wire *wire)
{
    bool wrapped;

    if (transport->tls_closed || !transport->tls_ready)
        return false;
    begin(transport, NULL, wire);
    wrapped = write_pieces(transport, pieces, count);
    end(transport);
    return wrapped;
}

void tls_close(struct transport *transport, struct transport_wire *wire)
{
    if (transport->tls_closed || !transport->tls_ready)
        return;
    transport->tls_closed = true;
    begin(transport, NULL, wire);
    SSL_shutdown(transport->ssl); /* close_notify (RFC 8446, 6.1) */
    ERR_clear_error();
    end(transport);
}

/* ---- who it is ---- */

static bool take_name(const uint8_t *text, size_t len, char *to, size_t size)
{
    if (len == 0 || len >= size || !utf8_valid(text, len))
        return false;
    for (size_t i = 0; i < len; i++)
        if (text[i] < 0x20 || text[i] == 0x7f)
            return false;
    memcpy(to, text, len);
    to[len] = '\0';
    return true;
}

static bool common_name(X509 *certificate, char *to, size_t size)
{
    X509_NAME *subject = X509_get_subject_name(certificate);
    int index = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    uint8_t *text = NULL;
    bool taken;
    int len;

    if (index < 0)
        return false;
    len = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, index)));
    taken = len > 0 && take_name(text, (size_t)len, to, size);
    OPENSSL_free(text);
    return taken;
}

static bool alternative_name(X509 *certificate, char *to, size_t size)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    bool taken = false;

    for (size_t i = 0; names != NULL && !taken && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

        if (name->type == GEN_DNS || name->type == GEN_EMAIL || name->type == GEN_URI)
            taken = take_name(ASN1_STRING_get0_data(name->d.ia5),
                              (size_t)ASN1_STRING_length(name->d.ia5), to, size);
    }
    GENERAL_NAMES_free(names);
    return taken;
}

static bool whole_subject(X509 *certificate, char *to, size_t size)
{
    BIO *text = BIO_new(BIO_s_mem());
    const uint8_t *data;
    size_t len;
    bool taken = text != NULL &&
                 X509_NAME_print_ex(text, X509_get_subject_name(certificate), 0,
                                    XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB) >= 0 &&
                 BIO_mem_contents(text, &data, &len) && take_name(data, len, to, size);

    BIO_free(text);
    return taken;
}

bool transport_peer_name(const struct transport *transport, enum transport_name which, char *to,
                         size_t size)
{
    X509 *certificate = transport->ssl == NULL ? NULL : SSL_get_peer_certificate(transport->ssl);
    bool taken = false;

    if (certificate == NULL)
        return false;
    switch (which) {
    case TRANSPORT_NAME_CN:
        taken = common_name(certificate, to, size);
        break;
    case TRANSPORT_NAME_SAN:
        taken = alternative_name(certificate, to, size);
        break;
    case TRANSPORT_NAME_SUBJECT:
        taken = whole_subject(certificate, to, size);
        break;
    }
    X509_free(certificate);
    ERR_clear_error();
    return taken;
}

bool transport_resumed(const struct transport *transport)
{
    return transport->ssl != NULL && SSL_session_reused(transport->ssl);
}

void transport_describe(const struct transport *transport, char *to, size_t size)
{
    const SSL_CIPHER *cipher =
        transport->ssl == NULL ? NULL : SSL_get_current_cipher(transport->ssl);

    if (cipher == NULL)
        snprintf(to, size, "%s", "");
    else
        snprintf(to, size, "%s %s%s", SSL_get_version(transport->ssl),
                 SSL_CIPHER_standard_name(cipher), transport_resumed(transport) ? " resumed" : "");
}
