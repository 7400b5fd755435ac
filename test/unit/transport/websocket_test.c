/* SPDX-License-Identifier: MIT
 *
 * WebSocket: a client against a server, whole and in pieces, plain and over TLS; what RFC 6455 forbids.
 */
#include "pair.h"

#include "base/endian.h"

static const char *const origins[] = {"https://console.example", "http://localhost:8080"};
static const struct websocket_settings server_settings = {.path = "/mqtt", .message_max = 1u << 20};
static struct websocket_settings client_settings = {
    .path = "/mqtt", .message_max = 1u << 20, .host = "localhost:8083", .protocol = "mqtt"};

static void open_pair(struct pair *pair, size_t chunk)
{
    memset(pair, 0, sizeof(*pair));
    pair->chunk = chunk;
    pair_open(pair,
              &(struct transport_settings){
                  .kind = TRANSPORT_WS, .role = TRANSPORT_CLIENT, .websocket = &client_settings},
              &(struct transport_settings){
                  .kind = TRANSPORT_WS, .role = TRANSPORT_SERVER, .websocket = &server_settings});
}

/* ---- both ends are ours ---- */

static void test_exchange(void **state)
{
    static const size_t chunks[] = {0, 1, 2, 7, 1000};

    (void)state;
    for (size_t i = 0; i < sizeof(chunks) / sizeof(chunks[0]); i++) {
        struct pair pair;

        open_pair(&pair, chunks[i]);
        pair_exchange(&pair);
        pair_close(&pair);
    }
}

static void test_over_tls(void **state)
{
    static const size_t chunks[] = {0, 1, 500};
    static const char *const alpn[] = {"http/1.1"};
    struct tls_certificate certificate = {file("server.pem"), file("server.key"), NULL};
    struct tls_settings settings = {.server = true,
                                    .certificates = &certificate,
                                    .certificate_count = 1,
                                    .alpn = alpn,
                                    .alpn_count = 1};
    char why[256];
    struct tls_context *server = tls_context_create(&settings, why, sizeof(why)), *client;

    (void)state;
    assert_non_null(server);
    settings = (struct tls_settings){.ca_file = file("ca.pem"),
                                     .verify_peer = true,
                                     .verify_name = true,
                                     .alpn = alpn,
                                     .alpn_count = 1};
    client = tls_context_create(&settings, why, sizeof(why));
    assert_non_null(client);
    for (size_t i = 0; i < sizeof(chunks) / sizeof(chunks[0]); i++) {
        struct pair pair = {.chunk = chunks[i]};

        pair_open(&pair,
                  &(struct transport_settings){.kind = TRANSPORT_WSS,
                                               .role = TRANSPORT_CLIENT,
                                               .tls = client,
                                               .server_name = "localhost",
                                               .websocket = &client_settings},
                  &(struct transport_settings){.kind = TRANSPORT_WSS,
                                               .role = TRANSPORT_SERVER,
                                               .tls = server,
                                               .websocket = &server_settings});
        pair_exchange(&pair);
        transport_close(pair.server.transport, WEBSOCKET_GOING_AWAY, &pair.server.out);
        pump(&pair);
        assert_int_equal(pair.client.status, TRANSPORT_END);
        pair_close(&pair);
    }
    tls_context_unref(server);
    tls_context_unref(client);
}

static void test_close(void **state)
{
    struct pair pair;

    (void)state;
    open_pair(&pair, 1);
    end_send(&pair.client, 100);
    transport_close(pair.client.transport, WEBSOCKET_NORMAL, &pair.client.out);
    transport_close(pair.client.transport, WEBSOCKET_NORMAL, &pair.client.out);
    pump(&pair);
    end_expect(&pair.server, 100);
    assert_int_equal(pair.server.status, TRANSPORT_END);
    assert_int_equal(pair.client.status, TRANSPORT_END); /* the server has answered */
    assert_string_equal(transport_why(pair.client.transport), "");
    pair_close(&pair);
}

static void test_what_a_client_refuses(void **state)
{
    static const struct {
        const char *answer, *why;
    } cases[] = {
        {"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "answered 404"},
        {"HTTP/1.1 101 Switching Protocols\r\n\r\n", "no upgrade"},
        {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
         "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: "
         "mqtt\r\n\r\n",
         "Sec-WebSocket-Accept is wrong"},
        {"\x20\x02\x00\x00", ""}, /* a CONNACK */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct end client = {
            .transport = transport_create(&(struct transport_settings){
                .kind = TRANSPORT_WS, .role = TRANSPORT_CLIENT, .websocket = &client_settings})};

        assert_true(transport_start(client.transport, &client.out));
        end_take(&client, (const uint8_t *)cases[i].answer, strlen(cases[i].answer));
        assert_int_equal(client.status, TRANSPORT_FAILED);
        if (strstr(transport_why(client.transport), cases[i].why) == NULL)
            fail_msg("\"%s\" does not say \"%s\"", transport_why(client.transport), cases[i].why);
        end_close(&client);
    }
}

/* ---- the server's handshake ---- */

#define GET          "GET /mqtt HTTP/1.1\r\n"
#define HOST         "Host: localhost\r\n"
#define UPGRADE      "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
#define KEY          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define VERSION      "Sec-WebSocket-Version: 13\r\n"
#define PROTOCOL     "Sec-WebSocket-Protocol: chat, mqtt\r\n"
#define GOOD_REQUEST GET HOST UPGRADE KEY VERSION PROTOCOL "\r\n"

static void server_open(struct end *server, const struct websocket_settings *settings)
{
    *server =
        (struct end){.transport = transport_create(&(struct transport_settings){
                         .kind = TRANSPORT_WS, .role = TRANSPORT_SERVER, .websocket = settings})};
    assert_non_null(server->transport);
}

static bool answered(const struct end *server, const char *text)
{
    return server->out.data != NULL &&
           memmem(server->out.data, server->out.len, text, strlen(text)) != NULL;
}

static void test_handshake(void **state)
{
    struct end server;

    (void)state;
    server_open(&server, &server_settings); /* the example of RFC 6455, 1.3 */
    end_take(&server, (const uint8_t *)GOOD_REQUEST, strlen(GOOD_REQUEST));
    assert_true(transport_ready(server.transport));
    assert_true(answered(&server, "HTTP/1.1 101 "));
    assert_true(answered(&server, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
    assert_true(answered(&server, "Sec-WebSocket-Protocol: mqtt\r\n"));
    end_close(&server);
}

static void test_handshakes_that_are_refused(void **state)
{
    static const struct {
        const char *request, *answer;
    } cases[] = {
        {"GET /other HTTP/1.1\r\n" HOST UPGRADE KEY VERSION PROTOCOL "\r\n", "HTTP/1.1 404 "},
        {"GET / HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 404 "},
        {"POST /mqtt HTTP/1.1\r\n" HOST UPGRADE KEY VERSION PROTOCOL "\r\n", "HTTP/1.1 405 "},
        {GET HOST "\r\n", "HTTP/1.1 426 "},
        {GET HOST UPGRADE KEY PROTOCOL "\r\n", "HTTP/1.1 426 "},
        {GET HOST UPGRADE KEY "Sec-WebSocket-Version: 8\r\n" PROTOCOL "\r\n",
         "Sec-WebSocket-Version: 13\r\n"},
        {GET HOST UPGRADE KEY VERSION "Sec-WebSocket-Version: 8\r\n" PROTOCOL "\r\n",
         "HTTP/1.1 426 "},
        {GET HOST UPGRADE VERSION PROTOCOL "\r\n", "HTTP/1.1 400 "},
        {GET HOST UPGRADE KEY KEY VERSION PROTOCOL "\r\n", "HTTP/1.1 400 "},
        {GET HOST UPGRADE "Sec-WebSocket-Key: c2hvcnQ=\r\n" VERSION PROTOCOL "\r\n",
         "HTTP/1.1 400 "},
        {GET HOST UPGRADE "Sec-WebSocket-Key: !GhlIHNhbXBsZSBub25jZQ==\r\n" VERSION PROTOCOL "\r\n",
         "HTTP/1.1 400 "},
        {GET HOST UPGRADE KEY VERSION "\r\n", "HTTP/1.1 400 "},
        {GET HOST UPGRADE KEY VERSION "Sec-WebSocket-Protocol: chat\r\n\r\n", "HTTP/1.1 400 "},
        {GET HOST "Upgrade: websocket\r\n" KEY VERSION PROTOCOL "\r\n", "HTTP/1.1 4"},
        {GET UPGRADE KEY VERSION PROTOCOL "\r\n", "HTTP/1.1 400 "},
        {"GET /mqtt HTTP/1.0\r\n" HOST UPGRADE KEY VERSION PROTOCOL "\r\n", "HTTP/1.1 4"},
        {"\x10\x0c\x00\x04MQTT\x04\x02\r\n\r\n", "HTTP/1.1 400 "},
        {GET "Host: a\nb\r\n\r\n", "HTTP/1.1 400 "},
    };

    (void)state;
    for (size_t i = 0; i < 2 * (sizeof(cases) / sizeof(cases[0])); i++) {
        const char *request = cases[i / 2].request;
        size_t step = i % 2 == 0 ? 1 : strlen(request);
        struct end server;

        server_open(&server, &server_settings);
        for (size_t at = 0; at < strlen(request) && !over(&server); at += step)
            end_take(&server, (const uint8_t *)request + at, step);
        assert_int_equal(server.status, TRANSPORT_FAILED);
        if (!answered(&server, cases[i / 2].answer))
            fail_msg("case %zu was answered %.*s", i / 2, (int)server.out.len, server.out.data);
        assert_true(answered(&server, "Connection: close\r\n"));
        end_close(&server);
    }
}

/* Of a head without an end no more than 8 KiB are kept, and it is answered. */
static void test_endless_heads(void **state)
{
    static const char *const parts[] = {"X-Padding: ", "a", "a: b\r\n"};

    (void)state;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        struct end server;
        size_t sent = 0;

        server_open(&server, &server_settings);
        end_take(&server, (const uint8_t *)GET, strlen(GET));
        while (!over(&server) && sent < 65536) {
            end_take(&server, (const uint8_t *)parts[i], strlen(parts[i]));
            sent += strlen(parts[i]);
        }
        assert_true(sent < 8300);
        assert_true(answered(&server, "HTTP/1.1 431 ") || answered(&server, "HTTP/1.1 400 "));
        end_close(&server);
    }
}

static void test_origins(void **state)
{
    static const struct {
        const char *origin;
        bool allowed;
    } cases[] = {
        {"", true}, /* not a browser */
        {"Origin: https://console.example\r\n", true},
        {"Origin: HTTPS://Console.Example\r\n", true},
        {"Origin: http://localhost:8080\r\n", true},
        {"Origin: http://localhost\r\n", false},
        {"Origin: http://console.example\r\n", false},
        {"Origin: https://console.example.evil.example\r\n", false},
        {"Origin: null\r\n", false},
        {"Origin:\r\n", false},
        {"Origin: https://console.example\r\nOrigin: https://evil.example\r\n", false},
    };
    struct websocket_settings settings = server_settings;

    (void)state;
    settings.origins = origins;
    settings.origin_count = 2;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char request[512];
        struct end server;

        snprintf(request, sizeof(request), GET HOST UPGRADE KEY VERSION PROTOCOL "%s\r\n",
                 cases[i].origin);
        server_open(&server, &settings);
        end_take(&server, (const uint8_t *)request, strlen(request));
        assert_int_equal(transport_ready(server.transport), cases[i].allowed);
        assert_true(answered(&server, cases[i].allowed ? "HTTP/1.1 101 " : "HTTP/1.1 403 "));
        end_close(&server);
    }
}

/* ---- frames, by hand ---- */

static void server_ready(struct end *server)
{
    server_open(server, &server_settings);
    end_take(server, (const uint8_t *)GOOD_REQUEST, strlen(GOOD_REQUEST));
    assert_true(transport_ready(server->transport));
    transport_wire_free(&server->out);
}

/* A masked frame with the first byte `first`. */
static size_t make_frame(uint8_t *to, uint8_t first, const char *payload, size_t len)
{
    static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    size_t at = 2;

    assert_true(len <= UINT16_MAX);
    to[0] = first;
    to[1] = (uint8_t)(0x80 | (len < 126 ? len : 126));
    if (len >= 126) {
        put_be16(to + 2, (uint16_t)len);
        at = 4;
    }
    memcpy(to + at, mask, 4);
    at += 4;
    for (size_t i = 0; i < len; i++)
        to[at + i] = (uint8_t)payload[i] ^ mask[i % 4];
    return at + len;
}

static void give_frame(struct end *server, uint8_t first, const char *payload, size_t len)
{
    uint8_t frame[70000];
    size_t size = make_frame(frame, first, payload, len);

    end_take(server, frame, size);
}

static void expect_close(struct end *server, unsigned code)
{
    assert_true(server->out.len >= 4);
    assert_int_equal(server->out.data[0], 0x88);
    assert_int_equal(get_be16(server->out.data + 2), code);
}

static void test_frames_that_are_refused(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        unsigned code;
    } cases[] = {
        {"\x82\x01x", 3, WEBSOCKET_PROTOCOL_ERROR},                         /* not masked */
        {"\xc2\x81\x00\x00\x00\x00x", 7, WEBSOCKET_PROTOCOL_ERROR},         /* RSV1 */
        {"\xa2\x81\x00\x00\x00\x00x", 7, WEBSOCKET_PROTOCOL_ERROR},         /* RSV2 */
        {"\x92\x81\x00\x00\x00\x00x", 7, WEBSOCKET_PROTOCOL_ERROR},         /* RSV3 */
        {"\x83\x81\x00\x00\x00\x00x", 7, WEBSOCKET_PROTOCOL_ERROR},         /* opcode 3 */
        {"\x8b\x81\x00\x00\x00\x00x", 7, WEBSOCKET_PROTOCOL_ERROR},         /* opcode 11 */
        {"\x81\x81\x00\x00\x00\x00x", 7, WEBSOCKET_UNSUPPORTED},            /* text */
        {"\x81\x80\x00\x00\x00\x00", 6, WEBSOCKET_UNSUPPORTED},             /* empty text */
        {"\x80\x81\x00\x00\x00\x00x", 7, WEBSOCKET_PROTOCOL_ERROR},         /* continues nothing */
        {"\x09\x81\x00\x00\x00\x00x", 7, WEBSOCKET_PROTOCOL_ERROR},         /* ping, fragmented */
        {"\x08\x80\x00\x00\x00\x00", 6, WEBSOCKET_PROTOCOL_ERROR},          /* close, fragmented */
        {"\x89\xfe\x00\x7e\x00\x00\x00\x00x", 9, WEBSOCKET_PROTOCOL_ERROR}, /* ping of 126 */
        {"\x82\xfe\x00\x01\x00\x00\x00\x00x", 9, WEBSOCKET_PROTOCOL_ERROR}, /* 1 in 16 bits */
        {"\x82\xff\0\0\0\0\0\0\xff\xff\0\0\0\0x", 15, WEBSOCKET_PROTOCOL_ERROR}, /* 64 bits */
        {"\x82\xff\x80\0\0\0\0\0\0\0\0\0\0\0x", 15, WEBSOCKET_PROTOCOL_ERROR},   /* 2^63 */
        {"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0x", 15, WEBSOCKET_TOO_BIG},
        {"\x82\xff\0\0\0\0\0\x10\0\x01\0\0\0\0x", 15, WEBSOCKET_TOO_BIG},  /* one above */
        {"\x88\x81\x00\x00\x00\x00x", 7, WEBSOCKET_PROTOCOL_ERROR},        /* half a close code */
        {"\x88\x82\x00\x00\x00\x00\x03\xed", 8, WEBSOCKET_PROTOCOL_ERROR}, /* code 1005 */
        {"\x88\x82\x00\x00\x00\x00\x00\x00", 8, WEBSOCKET_PROTOCOL_ERROR}, /* code 0 */
        {"\x88\x83\x00\x00\x00\x00\x03\xe8\xff", 9, WEBSOCKET_PROTOCOL_ERROR}, /* not UTF-8 */
        /* a new message inside one that is not complete */
        {"\x02\x81\x00\x00\x00\x00x\x82\x81\x00\x00\x00\x00x", 14, WEBSOCKET_PROTOCOL_ERROR},
    };

    (void)state;
    for (size_t i = 0; i < 2 * (sizeof(cases) / sizeof(cases[0])); i++) {
        size_t step = i % 2 == 0 ? 1 : cases[i / 2].len;
        struct end server;

        server_ready(&server);
        for (size_t at = 0; at < cases[i / 2].len && !over(&server); at += step)
            end_take(&server, (const uint8_t *)cases[i / 2].bytes + at, step);
        if (server.status != TRANSPORT_FAILED)
            fail_msg("case %zu was accepted", i / 2);
        expect_close(&server, cases[i / 2].code);
        assert_true(transport_why(server.transport)[0] != '\0');
        end_close(&server);
    }
}

static void test_a_client_refuses_masked_frames(void **state)
{
    struct pair pair;

    (void)state;
    open_pair(&pair, 0);
    give_frame(&pair.client, 0x82, "x", 1);
    assert_int_equal(pair.client.status, TRANSPORT_FAILED);
    pair_close(&pair);
}

static void test_fragments_with_pings_between(void **state)
{
    struct end server;

    (void)state;
    server_ready(&server);
    give_frame(&server, 0x02, "ab", 2);
    give_frame(&server, 0x89, "still there", 11);
    give_frame(&server, 0x00, "", 0);
    give_frame(&server, 0x8a, "unasked", 7);
    give_frame(&server, 0x80, "cd", 2);
    give_frame(&server, 0x82, "", 0);
    give_frame(&server, 0x82, "e", 1);
    assert_int_equal(server.status, TRANSPORT_NEED_INPUT);
    assert_int_equal(server.plain.len, 5);
    assert_memory_equal(server.plain.data, "abcde", 5);
    assert_int_equal(server.out.len, 2 + 11);
    assert_memory_equal(server.out.data, "\x8a\x0bstill there", 13);
    end_close(&server);
}

static void test_coalesced_frames(void **state)
{
    uint8_t bytes[1024];
    size_t len = 0;
    struct end server;

    (void)state;
    server_ready(&server);
    for (unsigned i = 0; i < 100; i++)
        len += make_frame(bytes + len, 0x82, "xyz", 3);
    end_take(&server, bytes, len - 3);
    assert_int_equal(server.plain.len, 99 * 3);
    end_take(&server, bytes + len - 3, 3);
    assert_int_equal(server.plain.len, 100 * 3);
    end_close(&server);
}

static void test_close_from_the_client(void **state)
{
    struct end server;

    (void)state;
    server_ready(&server);
    give_frame(&server, 0x88,
               "\x03\xe9"
               "bye",
               5);
    assert_int_equal(server.status, TRANSPORT_END);
    expect_close(&server, WEBSOCKET_GOING_AWAY);
    assert_int_equal(server.out.len, 4);
    transport_close(server.transport, WEBSOCKET_NORMAL, &server.out);
    assert_int_equal(server.out.len, 4); /* it was answered already */
    end_close(&server);

    server_ready(&server);
    give_frame(&server, 0x88, "", 0);
    assert_int_equal(server.status, TRANSPORT_END);
    assert_int_equal(server.out.len, 2);
    end_close(&server);
}

static void test_server_frames(void **state)
{
    static const struct {
        size_t len, header;
    } cases[] = {{0, 2}, {1, 2}, {125, 2}, {126, 4}, {65535, 4}, {65536, 10}, {100000, 10}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct end server;

        server_ready(&server);
        end_send(&server, cases[i].len);
        assert_int_equal(server.out.data[0], 0x82);
        assert_int_equal(server.out.len, cases[i].header + cases[i].len);
        end_close(&server);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exchange),
        cmocka_unit_test(test_over_tls),
        cmocka_unit_test(test_close),
        cmocka_unit_test(test_what_a_client_refuses),
        cmocka_unit_test(test_handshake),
        cmocka_unit_test(test_handshakes_that_are_refused),
        cmocka_unit_test(test_endless_heads),
        cmocka_unit_test(test_origins),
        cmocka_unit_test(test_frames_that_are_refused),
        cmocka_unit_test(test_a_client_refuses_masked_frames),
        cmocka_unit_test(test_fragments_with_pings_between),
        cmocka_unit_test(test_coalesced_frames),
        cmocka_unit_test(test_close_from_the_client),
        cmocka_unit_test(test_server_frames),
    };

    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
