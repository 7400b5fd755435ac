/* SPDX-License-Identifier: MIT
 *
 * Clients with sockets against scripted servers: every breach of unit/client/hostile.h, lost connections,
 * servers that are not there, do not answer or do not read.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/mem.h"
#include "mqtt/props.h"
#include "script_server.h"
#include "shards/driver/client.h"

#include "../client/hostile.h"

#include <stdio.h>
#include <sys/resource.h>

#define LIMIT_NS (20ull * 1000000000u)

/* One client and what became of it. */
struct guest {
    struct driver driver;
    struct target target;
    struct client_limits limits;
    struct client client;
    enum mqtt_version version;
    bool clean_start;
    enum hostile_stage stage;
    unsigned online, closed, acknowledged, messages, published;
    uint64_t payload_bytes;
    bool clean; /* closed without a reason */
    char why[256];
    void (*on_online)(struct guest *guest);
};

static void on_connecting(struct client *client)
{
    struct guest *guest = client->owner;
    struct connect_packet connect = {
        .version = guest->version,
        .clean_start = guest->clean_start,
        .client_identifier = span_text("guest"),
        .props = {.present = PROP_BIT(MQTT_PROPERTY_RECEIVE_MAXIMUM) |
                             PROP_BIT(MQTT_PROPERTY_TOPIC_ALIAS_MAXIMUM),
                  .receive_maximum = 2,
                  .topic_alias_maximum = 1}};

    client_connect(client, &connect);
}

static void on_event(struct client *client, const struct client_event *event)
{
    struct guest *guest = client->owner;

    if (event->kind == CLIENT_CONNACK && event->ack.reason == 0) {
        guest->online++;
        guest->on_online(guest);
    } else if (event->kind == CLIENT_ACKNOWLEDGED) {
        guest->acknowledged++;
    } else if (event->kind == CLIENT_MESSAGE) {
        guest->messages++;
        guest->payload_bytes += event->publish.payload.len;
    }
}

static void on_closed(struct client *client, const char *why)
{
    struct guest *guest = client->owner;

    guest->closed++;
    guest->clean = why == NULL;
    snprintf(guest->why, sizeof(guest->why), "%s", why != NULL ? why : "");
}

static const struct client_events events = {
    .connecting = on_connecting, .event = on_event, .closed = on_closed};

static void do_nothing(struct guest *guest)
{
    (void)guest;
}

static struct guest *guest_create(uint16_t port)
{
    struct guest *guest = mem_zalloc(sizeof(*guest));
    char error[512];

    guest->version = MQTT_5;
    guest->clean_start = true;
    guest->on_online = do_nothing;
    guest->limits = CLIENT_LIMITS_DEFAULT;
    if (!driver_open(&guest->driver, 1, error, sizeof(error)))
        fail_msg("%s", error);
    assert_true(target_resolve(&guest->target, "127.0.0.1", port, error, sizeof(error)));
    client_init(&guest->client, &guest->driver, &guest->target, &guest->limits, &events, guest);
    return guest;
}

static void guest_destroy(struct guest *guest)
{
    client_fini(&guest->client);
    driver_close(&guest->driver);
    mem_free(guest);
}

/* Turns until *counter has reached `count`. */
static void run_until(struct guest *guest, const unsigned *counter, unsigned count)
{
    uint64_t end_ns = driver_clock_ns() + LIMIT_NS;

    while (*counter < count) {
        assert_true(driver_clock_ns() < end_ns);
        driver_turn(&guest->driver, guest->driver.now_ns + 10000000u);
    }
}

static void go_to_stage(struct guest *guest)
{
    const struct filter_view filters[2] = {{span_text("a"), 0}, {span_text("b"), 1}};
    struct publish_packet packet = {.qos = guest->stage == STAGE_PUBLISHED_1 ? 1 : 2,
                                    .topic = span_text("t")};

    if (guest->stage == STAGE_SUBSCRIBED)
        mqtt_client_subscribe(&guest->client.mqtt, filters, 2, NULL, NULL);
    else if (guest->stage == STAGE_UNSUBSCRIBED)
        mqtt_client_unsubscribe(&guest->client.mqtt, filters, 2, NULL, NULL);
    else if (guest->stage >= STAGE_PUBLISHED_1)
        mqtt_client_publish(&guest->client.mqtt, &packet, 0, NULL);
    client_wrote(&guest->client);
}

/* Goes to the stage of a row, sends its bytes, reads to the end. */
static void serve_hostile(struct script_server *server, int fd, unsigned number)
{
    const struct hostile_row *row = server->argument;
    struct frame frame;

    (void)number;
    if (row->stage == STAGE_CONNECTING) {
        script_packet(server, fd, &frame);
    } else {
        script_accept_client(server, fd, row->version, false);
        if (row->stage > STAGE_ONLINE)
            script_packet(server, fd, &frame);
    }
    script_send(fd, row->bytes, row->len);
    while (script_packet(server, fd, &frame)) {
    }
}

static void test_every_breach_over_a_socket(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(hostile_rows); i++) {
        const struct hostile_row *row = &hostile_rows[i];
        struct script_server server;
        struct guest *guest;

        script_start(&server, serve_hostile, 1, row);
        guest = guest_create(server.port);
        guest->version = row->version;
        guest->stage = row->stage;
        guest->limits.packet_size_max = 1u << 20;
        guest->on_online = go_to_stage;
        client_open(&guest->client);
        run_until(guest, &guest->closed, 1);
        if (strstr(guest->why, row->why) == NULL)
            fail_msg("%s: \"%s\", expected \"%s\"", row->name, guest->why, row->why);
        assert_int_equal(guest->client.state, CLIENT_CLOSED);
        driver_turn(&guest->driver, 0); /* the descriptor is closed by the ring */
        script_join(&server);
        if (row->version == MQTT_5) {
            assert_int_equal(server.last.type, MQTT_DISCONNECT);
            assert_int_equal(server.last.body[0], row->reason);
        } else {
            assert_int_not_equal(server.last.type, MQTT_DISCONNECT);
        }
        guest_destroy(guest);
    }
}

static void serve_silence(struct script_server *server, int fd, unsigned number)
{
    struct frame frame;

    (void)number;
    while (script_packet(server, fd, &frame)) {
    }
}

static void test_silence_is_given_up(void **state)
{
    struct script_server server;
    struct guest *guest;

    (void)state;
    script_start(&server, serve_silence, 1, NULL);
    guest = guest_create(server.port);
    guest->target.open_timeout_ms = 100;
    client_open(&guest->client);
    run_until(guest, &guest->closed, 1);
    assert_non_null(strstr(guest->why, "did not answer within 100 ms"));
    guest_destroy(guest);
    script_join(&server);
}

static void serve_refusal(struct script_server *server, int fd, unsigned number)
{
    struct connack_fields fields = {.reason = MQTT_REASON_BAD_USER_NAME_OR_PASSWORD};
    struct frame frame;
    uint8_t packet[64];

    (void)number;
    script_packet(server, fd, &frame);
    script_send(fd, packet, mqtt_encode_connack(packet, sizeof(packet), MQTT_5, &fields));
}

static void test_refusal(void **state)
{
    struct script_server server;
    struct guest *guest;

    (void)state;
    script_start(&server, serve_refusal, 1, NULL);
    guest = guest_create(server.port);
    client_open(&guest->client);
    run_until(guest, &guest->closed, 1);
    assert_string_equal(guest->why,
                        "the server refused the connection: Bad User Name or Password (0x86)");
    assert_int_equal(guest->client.reason, MQTT_REASON_BAD_USER_NAME_OR_PASSWORD);
    assert_int_equal(guest->online, 0);
    guest_destroy(guest);
    script_join(&server);
}

static void serve_until_close(struct script_server *server, int fd, unsigned number)
{
    struct frame frame;

    (void)number;
    script_accept_client(server, fd, MQTT_5, false);
    while (script_packet(server, fd, &frame) && frame.type != MQTT_DISCONNECT) {
    }
}

/* The first address does not listen, the second one does. */
static void test_next_address(void **state)
{
    struct script_server server;
    struct guest *guest;
    uint16_t closed_port;
    int fd;

    (void)state;
    script_start(&server, serve_until_close, 1, NULL);
    closed_port = script_listen(&fd);
    close(fd);
    guest = guest_create(closed_port);
    client_open(&guest->client);
    run_until(guest, &guest->closed, 1);
    assert_non_null(strstr(guest->why, "Connection refused"));
    guest->target.address_count = 2;
    guest->target.addresses[1] = guest->target.addresses[0];
    ((struct sockaddr_in *)&guest->target.addresses[1].address)->sin_port = htons(server.port);
    client_open(&guest->client);
    run_until(guest, &guest->online, 1);
    /* it leaves in good order */
    client_leave(&guest->client, MQTT_REASON_SUCCESS, NULL, 10000);
    run_until(guest, &guest->closed, 2);
    assert_true(guest->clean);
    guest_destroy(guest);
    script_join(&server);
    assert_int_equal(server.last.type, MQTT_DISCONNECT);
}

static void test_leaving_a_deaf_server(void **state)
{
    struct script_server server;
    struct guest *guest;
    const struct hostile_row quiet = {.version = MQTT_5, .stage = STAGE_ONLINE, .bytes = ""};

    (void)state;
    script_start(&server, serve_hostile, 1, &quiet);
    guest = guest_create(server.port);
    client_open(&guest->client);
    run_until(guest, &guest->online, 1);
    client_leave(&guest->client, MQTT_REASON_SUCCESS, NULL, 50);
    run_until(guest, &guest->closed, 1);
    assert_true(guest->clean);
    guest_destroy(guest);
    script_join(&server);
}

#define LOSSES   5u
#define MESSAGES 200u

/* Acknowledges some messages, then closes without a word; the last connection acknowledges all. The session
 * is there except on the third connection. */
static void serve_losses(struct script_server *server, int fd, unsigned number)
{
    uint8_t *arrived = (uint8_t *)(uintptr_t)server->argument;
    struct frame frame;
    unsigned answered = 0;

    if (!script_accept_client(server, fd, MQTT_3_1_1, number > 0 && number != 3))
        return;
    while ((number == LOSSES || answered < 7 * (number + 1)) && script_packet(server, fd, &frame)) {
        struct publish_packet packet;

        if (frame.type == MQTT_DISCONNECT)
            return;
        if (frame.type != MQTT_PUBLISH ||
            mqtt_decode_publish(&frame, MQTT_3_1_1, &packet) != MQTT_REASON_SUCCESS)
            continue;
        arrived[packet.payload.data[0]]++;
        answered++;
        if (answered % 3 != 0 || number == LOSSES)
            script_ack(fd, MQTT_3_1_1, MQTT_PUBACK, packet.packet_identifier);
    }
}

static void publish_more(struct guest *guest)
{
    while (guest->published < MESSAGES && mqtt_client_room(&guest->client.mqtt) > 0) {
        uint8_t payload[1] = {(uint8_t)guest->published};
        struct publish_packet packet = {
            .qos = 1, .topic = span_text("t"), .payload = span_of(payload, 1)};

        assert_int_equal(mqtt_client_publish(&guest->client.mqtt, &packet, 0, NULL), CLIENT_OK);
        guest->published++;
    }
    client_wrote(&guest->client);
}

static void test_nothing_is_lost_when_connections_are(void **state)
{
    static uint8_t arrived[256];
    struct script_server server;
    struct guest *guest;
    uint64_t end_ns = driver_clock_ns() + LIMIT_NS;

    (void)state;
    memset(arrived, 0, sizeof(arrived));
    script_start(&server, serve_losses, LOSSES + 1, arrived);
    guest = guest_create(server.port);
    guest->version = MQTT_3_1_1;
    guest->clean_start = false;
    guest->target.reconnect = true;
    guest->target.reconnect_least_ms = 1;
    guest->target.reconnect_most_ms = 20;
    client_open(&guest->client);
    while (guest->acknowledged < MESSAGES) {
        assert_true(driver_clock_ns() < end_ns);
        if (guest->client.state == CLIENT_ONLINE)
            publish_more(guest);
        driver_turn(&guest->driver, guest->driver.now_ns + 1000000u);
    }
    assert_int_equal(guest->online, LOSSES + 1);
    assert_true(guest->client.mqtt.resent > 0);
    client_leave(&guest->client, MQTT_REASON_SUCCESS, NULL, 10000);
    run_until(guest, &guest->closed, LOSSES + 1);
    guest_destroy(guest);
    script_join(&server);
    for (unsigned i = 0; i < MESSAGES; i++)
        assert_true(arrived[i] >= 1);
}

/* A server that is away for a while: the pauses grow, and the client is there when it comes back. */
static void test_backoff(void **state)
{
    struct guest *guest;
    uint16_t port;
    uint64_t start_ns;
    int fd;

    (void)state;
    port = script_listen(&fd);
    close(fd);
    guest = guest_create(port);
    guest->target.reconnect = true;
    guest->target.reconnect_least_ms = 8;
    guest->target.reconnect_most_ms = 64;
    start_ns = driver_clock_ns();
    client_open(&guest->client);
    run_until(guest, &guest->closed, 6);
    /* 8 + 16 + 32 + 64 + 64, each up to a quarter less */
    assert_true(driver_clock_ns() - start_ns >= 138000000u);
    assert_int_equal(guest->client.state, CLIENT_WAITING);
    client_close(&guest->client);
    assert_int_equal(guest->client.state, CLIENT_CLOSED);
    guest_destroy(guest);
}

#define LARGE (3u << 20)

/* Sends a large message, reads one. */
static void serve_large(struct script_server *server, int fd, unsigned number)
{
    uint8_t *message = calloc(1, LARGE + 5);
    struct frame frame;

    (void)number;
    script_accept_client(server, fd, MQTT_3_1_1, false);
    memcpy(message, "\x30\x80\x80\xc0\x01\0\1t", 8);
    script_send(fd, message, LARGE + 5);
    free(message);
    while (script_packet(server, fd, &frame) && frame.type != MQTT_DISCONNECT) {
        if (frame.type == MQTT_PUBLISH)
            script_ack(fd, MQTT_3_1_1, MQTT_PUBACK, 1);
    }
}

static void publish_large(struct guest *guest)
{
    uint8_t *payload = calloc(1, LARGE);
    struct publish_packet packet = {
        .qos = 1, .topic = span_text("t"), .payload = span_of(payload, LARGE)};

    assert_int_equal(mqtt_client_publish(&guest->client.mqtt, &packet, 0, NULL), CLIENT_OK);
    client_wrote(&guest->client);
    free(payload);
}

static void exchange_large(bool multishot)
{
    struct script_server server;
    struct guest *guest;

    script_start(&server, serve_large, 1, NULL);
    guest = guest_create(server.port);
    guest->driver.features.receive_multishot &= multishot;
    guest->version = MQTT_3_1_1;
    guest->on_online = publish_large;
    client_open(&guest->client);
    run_until(guest, &guest->acknowledged, 1);
    run_until(guest, &guest->messages, 1);
    assert_int_equal(guest->payload_bytes, LARGE - 3);
    client_leave(&guest->client, MQTT_REASON_SUCCESS, NULL, 10000);
    run_until(guest, &guest->closed, 1);
    guest_destroy(guest);
    script_join(&server);
}

static void test_large_messages(void **state)
{
    (void)state;
    exchange_large(true);
    exchange_large(false); /* kernels before 6.0 */
}

/* Reads nothing behind CONNECT until the pipe is closed. */
static void serve_without_reading(struct script_server *server, int fd, unsigned number)
{
    struct pollfd wait = {.fd = *(const int *)server->argument, .events = POLLIN};

    (void)number;
    script_accept_client(server, fd, MQTT_3_1_1, false);
    poll(&wait, 1, 6 * SCRIPT_WAIT_MS);
}

/* A send that waits in the kernel when its client goes. */
static void test_closing_while_sending(void **state)
{
    struct script_server server;
    struct guest *guest;
    int ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    script_start(&server, serve_without_reading, 1, &ends[0]);
    guest = guest_create(server.port);
    guest->version = MQTT_3_1_1;
    client_open(&guest->client);
    run_until(guest, &guest->online, 1);
    for (unsigned i = 0; i < 6; i++)
        publish_large(guest);
    driver_turn(&guest->driver, 0);
    driver_turn(&guest->driver, 0);
    assert_true(client_blocked(&guest->client));
    client_close(&guest->client);
    assert_int_equal(guest->closed, 1);
    client_open(&guest->client); /* nobody serves it; nothing of the first one is left in it */
    driver_turn(&guest->driver, 0);
    assert_false(client_blocked(&guest->client) && guest->client.sending == NULL);
    guest_destroy(guest);
    close(ends[1]);
    script_join(&server);
    close(ends[0]);
}

/* A system that refuses the ring is told about in a sentence with what to do, not survived somehow. */
static void test_a_system_that_refuses(void **state)
{
    struct driver driver;
    struct rlimit before, none;
    char error[512] = "";
    bool opened;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 3; /* standard input, output and error */
    setrlimit(RLIMIT_NOFILE, &none);
    opened = driver_open(&driver, 1, error, sizeof(error));
    setrlimit(RLIMIT_NOFILE, &before);
    assert_false(opened);
    assert_non_null(strstr(error, "no descriptor left for an io_uring: raise `ulimit -n`"));
}

static void test_target(void **state)
{
    struct target target = {0};
    char text[64], error[256];

    (void)state;
    assert_true(target_resolve(&target, "localhost", 1883, error, sizeof(error)));
    target_format(&target.addresses[0], text, sizeof(text));
    assert_string_equal(text, "127.0.0.1:1883");
    assert_false(target_resolve(&target, "no such host", 1, error, sizeof(error)));
    assert_non_null(strstr(error, "no such host"));
    assert_true(target_resolve(&target, "::1", 99, error, sizeof(error)));
    target_format(&target.addresses[0], text, sizeof(text));
    assert_string_equal(text, "[::1]:99");
    assert_false(target_add_sources(&target, "127.0.0.1", error, sizeof(error)));
    assert_non_null(strstr(error, "another family"));
    assert_false(target_add_sources(&target, "::1,nonsense", error, sizeof(error)));
    assert_non_null(strstr(error, "\"nonsense\" is not an IP address"));
    memset(&target, 0, sizeof(target));
    assert_true(target_resolve(&target, "127.0.0.1", 1, error, sizeof(error)));
    assert_true(target_add_sources(&target, "127.0.0.2,127.0.0.3", error, sizeof(error)));
    assert_int_equal(target.source_count, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_breach_over_a_socket),
        cmocka_unit_test(test_silence_is_given_up),
        cmocka_unit_test(test_refusal),
        cmocka_unit_test(test_next_address),
        cmocka_unit_test(test_leaving_a_deaf_server),
        cmocka_unit_test(test_nothing_is_lost_when_connections_are),
        cmocka_unit_test(test_backoff),
        cmocka_unit_test(test_large_messages),
        cmocka_unit_test(test_closing_while_sending),
        cmocka_unit_test(test_a_system_that_refuses),
        cmocka_unit_test(test_target),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
