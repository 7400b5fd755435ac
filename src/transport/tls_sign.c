/* SPDX-License-Identifier: MIT
 *
 * tls_sign - the server's signature of a handshake, made by somebody else.
 *
 *   unwrap: the handshake wants a signature --> TRANSPORT_WAITING
 *   transport_take_job --> transport_job_run, on any thread --> transport_give_job
 *   unwrap, with whatever has come meanwhile: the handshake goes on
 *
 * An RSA signature takes milliseconds, which a thread with other clients has not got (measured: 2,048 bits 0.7 ms, 4,096 bits
 * 5.5 ms, ECDSA P-384 0.8 ms, P-521 2 ms; P-256 0.08 ms, which is made at once); this library has no threads, so it hands the
 * work out and waits for it. BoringSSL asks for a signature, is told to come again, and asks whether it is done each time
 * that the handshake is called.
 *
 * Invariants
 *   I1  a job has copies or counted references of all that it reads: its connection may be gone when it runs
 *   I2  a transport has at most one job, which is its own, or somebody's to whom it was given (`signing`)
 */
#include "transport/transport_priv.h"

#include "base/mem.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include <string.h>

#define SIGNATURE_MAX                                                                              \
    1024u /* RSA with 8192 bits; BoringSSL has none above 16384, and TLS none in earnest */

/* Class: wire. */
struct transport_job {
    EVP_PKEY *key; /* a reference */
    uint16_t algorithm;
    bool made;
    size_t signature_len;
    uint8_t signature[SIGNATURE_MAX];
    size_t len;
    uint8_t message[]; /* what is to be signed; it will be public */
};

static enum ssl_private_key_result_t begin_to_sign(SSL *ssl, uint8_t *out, size_t *out_len,
                                                   size_t out_max, uint16_t algorithm,
                                                   const uint8_t *message, size_t len)
{
    struct transport *transport = SSL_get_app_data(ssl);
    struct transport_job *job = mem_try_zalloc(sizeof(*job) + len);

    (void)out, (void)out_len, (void)out_max;
    if (job == NULL)
        return ssl_private_key_failure;
    job->key = tls_context_key(transport->tls, ssl);
    EVP_PKEY_up_ref(job->key);
    job->algorithm = algorithm;
    job->len = len;
    memcpy(job->message, message, len);
    transport->job = job;
    transport->signing = true;
    return ssl_private_key_retry;
}

/* Key exchange by RSA, which is not spoken here. */
static enum ssl_private_key_result_t refuse_to_decrypt(SSL *ssl, uint8_t *out, size_t *out_len,
                                                       size_t out_max, const uint8_t *in,
                                                       size_t len)
{
    (void)ssl, (void)out, (void)out_len, (void)out_max, (void)in, (void)len;
    return ssl_private_key_failure;
}

static enum ssl_private_key_result_t end_to_sign(SSL *ssl, uint8_t *out, size_t *out_len,
                                                 size_t out_max)
{
    struct transport *transport = SSL_get_app_data(ssl);
    struct transport_job *job = transport->job;
    bool made;

    if (transport->signing)
        return ssl_private_key_retry;
    made = job != NULL && job->made && job->signature_len <= out_max;
    if (made) {
        memcpy(out, job->signature, job->signature_len);
        *out_len = job->signature_len;
    }
    transport_job_free(job);
    transport->job = NULL;
    return made ? ssl_private_key_success : ssl_private_key_failure;
}

const SSL_PRIVATE_KEY_METHOD tls_sign_elsewhere = {
    .sign = begin_to_sign,
    .decrypt = refuse_to_decrypt,
    .complete = end_to_sign,
};

struct transport_job *transport_take_job(struct transport *transport)
{
    struct transport_job *job = transport->job;

    transport->job = NULL; /* I2 */
    return job;
}

/* RFC 8446, 4.2.3; RFC 5246, 4.7 */
static bool make(struct transport_job *job, EVP_MD_CTX *digest)
{
    EVP_PKEY_CTX *how;

    return EVP_DigestSignInit(digest, &how, SSL_get_signature_algorithm_digest(job->algorithm),
                              NULL, job->key) == 1 &&
           (!SSL_is_signature_algorithm_rsa_pss(job->algorithm) ||
            (EVP_PKEY_CTX_set_rsa_padding(how, RSA_PKCS1_PSS_PADDING) == 1 &&
             EVP_PKEY_CTX_set_rsa_pss_saltlen(how, -1 /* as long as the digest */) == 1)) &&
           EVP_DigestSign(digest, job->signature, &job->signature_len, job->message, job->len) == 1;
}

void transport_job_run(struct transport_job *job)
{
    EVP_MD_CTX *digest = EVP_MD_CTX_new();

    job->signature_len = sizeof(job->signature);
    job->made = digest != NULL && make(job, digest);
    EVP_MD_CTX_free(digest);
    ERR_clear_error();
}

void transport_give_job(struct transport *transport, struct transport_job *job)
{
    transport->job = job;
    transport->signing = false;
}

void transport_job_free(struct transport_job *job)
{
    if (job == NULL)
        return;
    EVP_PKEY_free(job->key);
    mem_free(job);
}
