/* SPDX-License-Identifier: MIT
 *
 * TLS: a client against a server, whole and in pieces; who is let in; what is wrong is said; resumption.
 */
#include "pair.h"

#include "transport/transport_priv.h"

static const char *const alpn[] = {"mqtt"};

/* What a test changes of the usual pair of contexts. */
struct trial {
    struct tls_settings server, client;
    struct tls_certificate server_certificates[2], client_certificate;
    const char *name; /* the server's name as the client has it */
    struct tls_context *server_context, *client_context;
    struct pair pair;
};

static void trial_init(struct trial *trial)
{
    memset(trial, 0, sizeof(*trial));
    trial->server_certificates[0] =
        (struct tls_certificate){file("server.pem"), file("server.key"), NULL};
    trial->server = (struct tls_settings){.server = true,
                                          .certificates = trial->server_certificates,
                                          .certificate_count = 1,
                                          .alpn = alpn,
                                          .alpn_count = 1};
    trial->client = (struct tls_settings){.ca_file = file("ca.pem"),
                                          .verify_peer = true,
                                          .verify_name = true,
                                          .alpn = alpn,
                                          .alpn_count = 1};
    trial->name = "localhost";
}

static void client_certificate(struct trial *trial, const char *name)
{
    char certificate[64], key[64];

    snprintf(certificate, sizeof(certificate), "%s.pem", name);
    snprintf(key, sizeof(key), "%s.key", name);
    trial->client_certificate = (struct tls_certificate){file(certificate), file(key), NULL};
    trial->client.certificates = &trial->client_certificate;
    trial->client.certificate_count = 1;
}

static void trial_contexts(struct trial *trial)
{
    char why[256];

    trial->server_context = tls_context_create(&trial->server, why, sizeof(why));
    if (trial->server_context == NULL)
        fail_msg("%s", why);
    trial->client_context = tls_context_create(&trial->client, why, sizeof(why));
    if (trial->client_context == NULL)
        fail_msg("%s", why);
}

static void trial_open(struct trial *trial)
{
    struct transport_settings client = {.kind = TRANSPORT_TLS,
                                        .role = TRANSPORT_CLIENT,
                                        .tls = trial->client_context,
                                        .server_name = trial->name};
    struct transport_settings server = {
        .kind = TRANSPORT_TLS, .role = TRANSPORT_SERVER, .tls = trial->server_context};

    pair_open(&trial->pair, &client, &server);
}

static void trial_close(struct trial *trial)
{
    pair_close(&trial->pair);
    tls_context_unref(trial->server_context);
    tls_context_unref(trial->client_context);
}

static void run(struct trial *trial)
{
    trial_contexts(trial);
    trial_open(trial);
}

static void expect_refused(struct end *end, const char *part)
{
    assert_int_equal(end->status, TRANSPORT_FAILED);
    assert_false(transport_ready(end->transport));
    if (strstr(transport_why(end->transport), part) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", transport_why(end->transport), part);
}

/* ---- bytes ---- */

static void test_exchange(void **state)
{
    static const size_t chunks[] = {0, 1, 3, 1000, 20000};

    (void)state;
    for (size_t i = 0; i < sizeof(chunks) / sizeof(chunks[0]); i++) {
        struct trial trial;
        char text[64];

        trial_init(&trial);
        trial.pair.chunk = chunks[i];
        run(&trial);
        pair_exchange(&trial.pair);
        transport_describe(trial.pair.server.transport, text, sizeof(text));
        assert_string_equal(text, "TLSv1.3 TLS_AES_128_GCM_SHA256");
        trial_close(&trial);
    }
}

static void test_close(void **state)
{
    struct trial trial;

    (void)state;
    trial_init(&trial);
    run(&trial);
    end_send(&trial.pair.client, 10);
    transport_close(trial.pair.client.transport, WEBSOCKET_NORMAL, &trial.pair.client.out);
    transport_close(trial.pair.client.transport, WEBSOCKET_NORMAL, &trial.pair.client.out);
    pump(&trial.pair);
    end_expect(&trial.pair.server, 10);
    assert_int_equal(trial.pair.server.status, TRANSPORT_END);
    assert_string_equal(transport_why(trial.pair.server.transport), "");
    trial_close(&trial);
}

static void test_small_pieces_share_a_record(void **state)
{
    struct trial trial;
    struct iovec pieces[100];
    size_t before;

    (void)state;
    trial_init(&trial);
    run(&trial);
    end_send(&trial.pair.server, 1); /* the tickets are out */
    before = trial.pair.server.out.len;
    for (size_t i = 0; i < 100; i++)
        pieces[i] = (struct iovec){"0123456789", 10};
    assert_true(transport_wrap(trial.pair.server.transport, pieces, 100, &trial.pair.server.out));
    assert_in_range(trial.pair.server.out.len - before, 1000, 1030);
    trial_close(&trial);
}

static void test_tampering_is_noticed(void **state)
{
    struct trial trial;

    (void)state;
    trial_init(&trial);
    run(&trial);
    end_send(&trial.pair.client, 100);
    trial.pair.client.out.data[50] ^= 1;
    pump(&trial.pair);
    assert_int_equal(trial.pair.server.status, TRANSPORT_FAILED);
    assert_int_equal(trial.pair.server.plain.len, 0);
    trial_close(&trial);
}

static void test_what_is_not_tls(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *why;
    } cases[] = {{"GET / HTTP/1.1\r\n\r\n", 18, "plain HTTP"},
                 {"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00", 14, "not TLS"},
                 {"\x16\x03\x01\xff\xff", 5, "TLS"},
                 {"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10", 11, "TLS"}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct trial trial;

        trial_init(&trial);
        run(&trial);
        pair_close(&trial.pair);
        trial.pair.server = (struct end){0};
        trial.pair.client = (struct end){0};
        trial.pair.server.transport = transport_create(&(struct transport_settings){
            .kind = TRANSPORT_TLS, .role = TRANSPORT_SERVER, .tls = trial.server_context});
        end_take(&trial.pair.server, (const uint8_t *)cases[i].bytes, cases[i].len);
        expect_refused(&trial.pair.server, cases[i].why);
        trial_close(&trial);
    }
}

/* ---- who is let in ---- */

static void test_client_certificates(void **state)
{
    static const struct {
        const char *certificate; /* NULL: none */
        bool require, crl;
        const char *why; /* NULL: it is let in */
    } cases[] = {
        {"client", true, true, NULL},
        {NULL, false, true, NULL},
        {NULL, true, false, "no certificate"},
        {"stranger", true, false, "refused: unable to get local issuer certificate"},
        {"stranger", false, false, "refused"}, /* not required, but what comes must be good */
        {"expired", true, false, "refused: certificate has expired"},
        {"wrong-use", true, false, "refused: unsupported certificate purpose"},
        {"revoked", true, false, NULL},
        {"revoked", true, true, "refused: certificate revoked"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        for (unsigned tls_1_2 = 0; tls_1_2 < 2; tls_1_2++) {
            struct trial trial;

            trial_init(&trial);
            trial.server.verify_peer = true;
            trial.server.require_peer = cases[i].require;
            trial.server.ca_file = file("ca.pem");
            trial.server.crl_file = cases[i].crl ? file("crl.pem") : NULL;
            if (cases[i].certificate != NULL)
                client_certificate(&trial, cases[i].certificate);
            trial.pair.chunk = 100;
            trial.client.version_most = tls_1_2 ? TLS1_2_VERSION : 0;
            run(&trial);
            if (cases[i].why == NULL)
                pair_exchange(&trial.pair);
            else
                expect_refused(&trial.pair.server, cases[i].why);
            trial_close(&trial);
        }
}

static void test_server_certificates(void **state)
{
    static const struct {
        const char *name, *ca, *certificate, *why;
    } cases[] = {
        {"localhost", "ca.pem", "server", NULL},
        {"127.0.0.1", "ca.pem", "server", NULL},
        {"::1", "ca.pem", "server", NULL},
        {"127.0.0.2", "ca.pem", "server", "mismatch"},
        {"example.test", "ca.pem", "server", "ostname mismatch"},
        {"localhost", "ca.pem", "wrong-name", "ostname mismatch"},
        {"localhost", "other-ca.pem", "server", "refused"},
        {"trial-client", "ca.pem", "client", "purpose"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct trial trial;
        char certificate[64], key[64];

        trial_init(&trial);
        snprintf(certificate, sizeof(certificate), "%s.pem", cases[i].certificate);
        snprintf(key, sizeof(key), "%s.key", cases[i].certificate);
        trial.server_certificates[0] = (struct tls_certificate){file(certificate), file(key), NULL};
        trial.client.ca_file = file(cases[i].ca);
        trial.name = cases[i].name;
        run(&trial);
        if (cases[i].why == NULL)
            pair_exchange(&trial.pair);
        else
            expect_refused(&trial.pair.client, cases[i].why);
        trial_close(&trial);
    }
}

static void test_names_pick_certificates(void **state)
{
    static const struct {
        const char *name;
        const char *common_name;
    } cases[] = {{"localhost", "localhost"}, {"second.test", "second.test"}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct trial trial;
        char name[64];

        trial_init(&trial);
        trial.server_certificates[1] =
            (struct tls_certificate){file("second.pem"), file("second.key"), NULL};
        trial.server.certificate_count = 2;
        trial.name = cases[i].name;
        run(&trial);
        pair_exchange(&trial.pair);
        assert_true(transport_peer_name(trial.pair.client.transport, TRANSPORT_NAME_CN, name,
                                        sizeof(name)));
        assert_string_equal(name, cases[i].common_name);
        trial_close(&trial);
    }
}

static void test_peer_name(void **state)
{
    struct trial trial;
    char name[64];

    (void)state;
    trial_init(&trial);
    trial.server.verify_peer = true;
    trial.server.ca_file = file("ca.pem");
    client_certificate(&trial, "named");
    run(&trial);
    assert_true(
        transport_peer_name(trial.pair.server.transport, TRANSPORT_NAME_CN, name, sizeof(name)));
    assert_string_equal(name, "sensor-7");
    assert_true(
        transport_peer_name(trial.pair.server.transport, TRANSPORT_NAME_SAN, name, sizeof(name)));
    assert_string_equal(name, "seven.test");
    assert_true(transport_peer_name(trial.pair.server.transport, TRANSPORT_NAME_SUBJECT, name,
                                    sizeof(name)));
    assert_string_equal(name, "CN=sensor-7,O=Sensors");
    assert_false(transport_peer_name(trial.pair.server.transport, TRANSPORT_NAME_CN, name, 8));
    trial_close(&trial);
}

static void test_alpn(void **state)
{
    static const char *const other[] = {"h2"};
    struct trial trial;

    (void)state;
    trial_init(&trial); /* a client that says nothing is served */
    trial.client.alpn_count = 0;
    run(&trial);
    pair_exchange(&trial.pair);
    trial_close(&trial);

    trial_init(&trial);
    trial.client.alpn = other;
    run(&trial);
    expect_refused(&trial.pair.server, "ALPN");
    trial_close(&trial);
}

static void test_rsa(void **state)
{
    struct trial trial;

    (void)state;
    trial_init(&trial);
    trial.server_certificates[0] = (struct tls_certificate){file("rsa.pem"), file("rsa.key"), NULL};
    run(&trial);
    pair_exchange(&trial.pair);
    trial_close(&trial);
}

/* The peer's certificate must be in its issuer's list; those of authorities in between where there are lists for them. */
static void test_revocation_in_a_chain(void **state)
{
    static const struct {
        const char *lists, *refused;
    } cases[] = {{"sub-crl.pem", NULL},
                 {"crl.pem", "unable to get certificate CRL"},
                 {"sub-revoked.pem", "certificate revoked"}};
    struct trial trial;

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        trial_init(&trial);
        trial.server.ca_file = file("ca.pem");
        trial.server.crl_file = file(cases[i].lists);
        trial.server.verify_peer = trial.server.require_peer = true;
        client_certificate(&trial, "deep");
        run(&trial);
        if (cases[i].refused != NULL)
            expect_refused(&trial.pair.server, cases[i].refused);
        else
            pair_exchange(&trial.pair);
        trial_close(&trial);
    }
}

/* Signatures with RSA and P-384 are handed out, in both versions and for the certificate that SNI picks; with P-256 not. */
static void test_signatures_made_elsewhere(void **state)
{
    struct trial trial;

    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        bool slow = i % 4 != 0, second = i % 4 == 2, rsa = i % 4 != 3;

        trial_init(&trial);
        trial.server.sign_elsewhere = true;
        trial.server.version_most = i < 4 ? 0x0303 : 0x0304;
        if (slow)
            trial.server_certificates[second] = (struct tls_certificate){
                file(rsa ? "rsa.pem" : "p384.pem"), file(rsa ? "rsa.key" : "p384.key"), NULL};
        if (second)
            trial.server_certificates[0] =
                (struct tls_certificate){file("second.pem"), file("second.key"), NULL};
        trial.server.certificate_count = second ? 2 : 1;
        trial.pair.chunk = i; /* in pieces, too */
        run(&trial);
        pair_exchange(&trial.pair);
        assert_int_equal(trial.pair.server.signatures, slow);
        trial_close(&trial);
    }
}

/* A server that has a ClientHello and waits for its signature. */
static void wait_for_signature(struct trial *trial)
{
    struct transport_settings client = {.kind = TRANSPORT_TLS, .role = TRANSPORT_CLIENT};
    struct transport_settings server = {.kind = TRANSPORT_TLS, .role = TRANSPORT_SERVER};
    struct pair *pair = &trial->pair;
    struct span input, plain;

    trial_init(trial);
    trial->server.sign_elsewhere = true;
    trial->server_certificates[0] =
        (struct tls_certificate){file("rsa.pem"), file("rsa.key"), NULL};
    trial_contexts(trial);
    client.tls = trial->client_context;
    client.server_name = trial->name;
    server.tls = trial->server_context;
    pair->client.transport = transport_create(&client);
    pair->server.transport = transport_create(&server);
    assert_true(transport_start(pair->client.transport, &pair->client.out));
    input = span_of(pair->client.out.data, pair->client.out.len);
    assert_int_equal(transport_unwrap(pair->server.transport, &input, &plain, &pair->server.out),
                     TRANSPORT_WAITING);
}

static enum transport_status unwrap_nothing(struct end *end)
{
    struct span input = {0}, plain;

    return transport_unwrap(end->transport, &input, &plain, &end->out);
}

static void test_a_signature_that_does_not_come(void **state)
{
    struct trial trial;
    struct transport_job *job;

    (void)state;
    wait_for_signature(&trial); /* nobody takes it */
    trial_close(&trial);

    wait_for_signature(&trial); /* the connection is gone meanwhile */
    job = transport_take_job(trial.pair.server.transport);
    trial_close(&trial);
    transport_job_run(job);
    transport_job_free(job);

    wait_for_signature(&trial); /* nobody made it */
    job = transport_take_job(trial.pair.server.transport);
    assert_int_equal(unwrap_nothing(&trial.pair.server), TRANSPORT_WAITING);
    assert_null(transport_take_job(trial.pair.server.transport));
    transport_give_job(trial.pair.server.transport, job);
    trial.pair.server.status = unwrap_nothing(&trial.pair.server);
    expect_refused(&trial.pair.server, "TLS: ");
    trial_close(&trial);
}

/* ---- resumption ---- */

static SSL_SESSION *kept;

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    (void)ssl;
    SSL_SESSION_free(kept);
    kept = session;
    return 1;
}

/* Opens a connection of the trial with the session of the last one; says whether it was resumed. */
static bool resume(struct trial *trial)
{
    struct transport_settings settings = {.kind = TRANSPORT_TLS,
                                          .role = TRANSPORT_CLIENT,
                                          .tls = trial->client_context,
                                          .server_name = trial->name};
    struct pair *pair = &trial->pair;
    bool resumed;

    memset(pair, 0, sizeof(*pair));
    pair->client.transport = transport_create(&settings);
    settings.role = TRANSPORT_SERVER;
    settings.tls = trial->server_context;
    settings.server_name = NULL;
    pair->server.transport = transport_create(&settings);
    if (!trial->client.resume) {
        SSL_CTX_set_session_cache_mode(SSL_get_SSL_CTX(pair->client.transport->ssl),
                                       SSL_SESS_CACHE_CLIENT);
        SSL_CTX_sess_set_new_cb(SSL_get_SSL_CTX(pair->client.transport->ssl), keep_session);
    }
    if (kept != NULL)
        SSL_set_session(pair->client.transport->ssl, kept);
    assert_true(transport_start(pair->client.transport, &pair->client.out));
    pump(pair);
    pair_exchange(pair); /* the server's first bytes bring the tickets */
    resumed = transport_resumed(pair->server.transport);
    assert_int_equal(transport_resumed(pair->client.transport), resumed);
    pair_close(pair);
    return resumed;
}

static void forget(void)
{
    SSL_SESSION_free(kept);
    kept = NULL;
}

static void renew_server(struct trial *trial)
{
    char why[256];

    tls_context_unref(trial->server_context);
    trial->server_context = tls_context_create(&trial->server, why, sizeof(why));
    assert_non_null(trial->server_context);
}

/* A client's context that keeps a session by itself. */
static void test_client_resumes(void **state)
{
    (void)state;
    for (unsigned tls_1_2 = 0; tls_1_2 < 2; tls_1_2++) {
        struct tls_tickets *tickets = tls_tickets_create();
        struct trial trial;

        trial_init(&trial);
        trial.client.version_most = tls_1_2 ? TLS1_2_VERSION : 0;
        trial.client.resume = true;
        trial.server.tickets = tickets;
        trial.server.scope = "listener";
        trial_contexts(&trial);
        assert_false(resume(&trial));
        for (unsigned i = 0; i < 3; i++)
            assert_true(resume(&trial));
        tls_context_unref(trial.server_context);
        tls_context_unref(trial.client_context);
        tls_tickets_destroy(tickets);
    }
}

static void test_resumption(void **state)
{
    (void)state;
    for (unsigned tls_1_2 = 0; tls_1_2 < 2; tls_1_2++) {
        struct tls_tickets *tickets = tls_tickets_create();
        struct trial trial;

        trial_init(&trial);
        trial.client.version_most = tls_1_2 ? TLS1_2_VERSION : 0;
        client_certificate(&trial, "client");
        trial.server.tickets = tickets;
        trial.server.scope = "listener";
        trial.server.verify_peer = trial.server.require_peer = true;
        trial.server.ca_file = file("ca.pem");
        trial_contexts(&trial);
        assert_false(resume(&trial));
        assert_true(resume(&trial));
        renew_server(&trial); /* the same files: a reload that changes nothing */
        assert_true(resume(&trial));
        tls_tickets_rotate(tickets);
        assert_true(resume(&trial)); /* sealed with the former key, and renewed */
        if (tls_1_2)
            forget(); /* 1.2 keeps the ticket when it is resumed, unless it is renewed */
        else
            tls_tickets_rotate(tickets);
        assert_int_equal(resume(&trial), !tls_1_2);
        tls_tickets_rotate(tickets);
        tls_tickets_rotate(tickets);
        assert_false(resume(&trial)); /* too old */
        assert_true(resume(&trial));
        trial.server.crl_file = file("crl.pem"); /* new rules: nobody comes in under the old ones */
        renew_server(&trial);
        assert_false(resume(&trial));
        assert_true(resume(&trial));
        trial.server.scope = "another listener";
        renew_server(&trial);
        assert_false(resume(&trial));
        tls_context_unref(trial.server_context);
        tls_context_unref(trial.client_context);
        forget();
        tls_tickets_destroy(tickets);
    }
}

/* ---- files ---- */

static void test_bad_files(void **state)
{
    static const struct {
        const char *certificate, *key, *password, *ca, *crl, *why;
    } cases[] = {
        {"absent.pem", "server.key", NULL, "ca.pem", NULL, "absent.pem: No such file"},
        {"server.pem", "absent.key", NULL, "ca.pem", NULL, "absent.key: No such file"},
        {"garbage.pem", "server.key", NULL, "ca.pem", NULL, "garbage.pem: this is not a cert"},
        {"empty.pem", "server.key", NULL, "ca.pem", NULL, "empty.pem: this is not a cert"},
        {"server.pem", "server.pem", NULL, "ca.pem", NULL, "server.pem: there is no private key"},
        {"server.pem", "client.key", NULL, "ca.pem", NULL, "client.key: this is not the key of"},
        {"server.pem", "locked.key", NULL, "ca.pem", NULL, "encrypted and no password"},
        {"server.pem", "locked.key", "wrong", "ca.pem", NULL, "cannot be read with this password"},
        {"server.pem", "server.key", NULL, "absent.pem", NULL, "absent.pem: No such file"},
        {"server.pem", "server.key", NULL, "garbage.pem", NULL, "garbage.pem: this is not a file"},
        {"server.pem", "server.key", NULL, "empty.pem", NULL, "empty.pem: this is not a file"},
        {"server.pem", "server.key", NULL, NULL, NULL, "no file of CA"},
        {"server.pem", "server.key", NULL, "ca.pem", "ca.pem", "ca.pem: this is not a file of rev"},
        {"server.pem", "server.key", NULL, "ca.pem", "empty.pem", "empty.pem: this is not a file"},
        {"server.pem", "locked.key", "secret", "ca.pem", "crl.pem", NULL},
    };

    (void)state;
    for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) { /* each time again */
        const size_t n = i / 2;
        struct trial trial;
        struct tls_context *context;
        char why[256] = "";

        trial_init(&trial);
        trial.server_certificates[0] = (struct tls_certificate){
            file(cases[n].certificate), file(cases[n].key), cases[n].password};
        trial.server.verify_peer = true;
        trial.server.ca_file = cases[n].ca == NULL ? NULL : file(cases[n].ca);
        trial.server.crl_file = cases[n].crl == NULL ? NULL : file(cases[n].crl);
        context = tls_context_create(&trial.server, why, sizeof(why));
        if (cases[n].why == NULL) {
            assert_non_null(context);
            tls_context_unref(context);
        } else {
            assert_null(context);
            if (strstr(why, cases[n].why) == NULL)
                fail_msg("\"%s\" does not say \"%s\"", why, cases[n].why);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exchange),
        cmocka_unit_test(test_close),
        cmocka_unit_test(test_small_pieces_share_a_record),
        cmocka_unit_test(test_tampering_is_noticed),
        cmocka_unit_test(test_what_is_not_tls),
        cmocka_unit_test(test_client_certificates),
        cmocka_unit_test(test_server_certificates),
        cmocka_unit_test(test_names_pick_certificates),
        cmocka_unit_test(test_peer_name),
        cmocka_unit_test(test_alpn),
        cmocka_unit_test(test_rsa),
        cmocka_unit_test(test_signatures_made_elsewhere),
        cmocka_unit_test(test_a_signature_that_does_not_come),
        cmocka_unit_test(test_revocation_in_a_chain),
        cmocka_unit_test(test_resumption),
        cmocka_unit_test(test_client_resumes),
        cmocka_unit_test(test_bad_files),
    };

    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
