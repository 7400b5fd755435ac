/* SPDX-License-Identifier: MIT
 *
 * fuzz_client - whatever a server sends to a client. Input: a byte with the version in bits 0 and 1, the stage of the
 * connection in bits 2 to 4 and in bit 5 whether it comes byte by byte, then the bytes of the server; 0xFE 0x00 in
 * them stands for a lost connection that comes back with its session, 0xFE 0x01 for one without.
 */
#include "fuzz.h"

#include "base/mem.h"
#include "client/client.h"
#include "mqtt/encode.h"
#include "mqtt/props.h"

#define LOST 0xFE

static struct client_pool pool;

/* What the client sends is well-formed, whatever it was made to answer. */
static void check_output(struct mqtt_client *client)
{
    struct client_block *block;

    while ((block = mqtt_client_take_output(client, 0)) != NULL) {
        for (uint32_t at = 0; at < block->len;) {
            struct frame frame;

            ASSERT(frame_find(block->data + at, block->len - at, MQTT_PACKET_SIZE_MAX, &frame) ==
                   FRAME_READY);
            at += frame.total_len;
        }
        client_block_put(&pool, block);
    }
}

static void check_event(const struct mqtt_client *client, const struct client_event *event)
{
    if (event->kind == CLIENT_MESSAGE) {
        ASSERT(event->publish.topic.len > 0 && event->publish.qos <= 2);
        fuzz_props(&event->publish.props);
    }
    if (event->kind == CLIENT_BROKEN)
        ASSERT(client->phase == MQTT_FAILED && event->why[0] != '\0');
    ASSERT(client->window.count <= client->limits->inflight_max);
    ASSERT(client->inbound.count <= client->receive_maximum || client->phase == MQTT_FAILED);
}

static void feed(struct mqtt_client *client, const uint8_t *data, size_t len)
{
    struct client_event event;
    uint8_t *copy = malloc(len);

    if (len > 0)
        memcpy(copy, data, len);
    mqtt_client_feed(client, copy, (uint32_t)len);
    while (mqtt_client_next(client, &event))
        check_event(client, &event);
    free(copy);
    check_output(client);
}

static void go_online(struct mqtt_client *client, enum mqtt_version version, bool session)
{
    struct connect_packet connect = {
        .version = version,
        .clean_start = !session,
        .props = {.present = PROP_BIT(MQTT_PROPERTY_RECEIVE_MAXIMUM) |
                             PROP_BIT(MQTT_PROPERTY_TOPIC_ALIAS_MAXIMUM),
                  .receive_maximum = 3,
                  .topic_alias_maximum = 2}};
    struct connack_fields connack = {.session_present = session};
    uint8_t packet[64];

    ASSERT(mqtt_client_connect(client, &connect, 0) == CLIENT_OK);
    feed(client, packet, mqtt_encode_connack(packet, sizeof(packet), version, &connack));
}

static void request(struct mqtt_client *client, unsigned stage)
{
    const struct filter_view filters[2] = {{span_text("a"), 0}, {span_text("b"), 1}};
    struct publish_packet packet = {
        .qos = stage == 5 ? 2 : 1, .topic = span_text("t"), .payload = span_text("payload")};

    if (stage == 2 || stage >= 6)
        mqtt_client_subscribe(client, filters, 2, NULL, NULL);
    if (stage == 3 || stage >= 6)
        mqtt_client_unsubscribe(client, filters, 2, NULL, NULL);
    for (unsigned i = 0; stage >= 4 && i < 3; i++)
        mqtt_client_publish(client, &packet, i, NULL);
    if (stage == 7)
        mqtt_client_ping(client);
    check_output(client);
}

/* Bytes up to the next lost connection. */
static size_t run_length(const uint8_t *data, size_t len)
{
    size_t at = 0;

    while (at < len && !(data[at] == LOST && at + 1 < len && data[at + 1] <= 1))
        at++;
    return at;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct client_limits limits = CLIENT_LIMITS_DEFAULT;
    struct mqtt_client client;
    enum mqtt_version version;
    bool bytewise;
    unsigned stage;

    if (len == 0)
        return 0;
    version = fuzz_version(data[0] & 3);
    stage = (data[0] >> 2) & 7;
    bytewise = data[0] & 0x20;
    limits.packet_size_max = 1u << 16;
    limits.output_max = 1u << 16;
    limits.inflight_max = 2;
    mqtt_client_init(&client, &limits, &pool);
    if (stage == 0) {
        struct connect_packet connect = {.version = version, .clean_start = true};

        mqtt_client_connect(&client, &connect, 0);
    } else {
        go_online(&client, version, false);
        request(&client, stage);
    }
    for (data++, len--; len > 0;) {
        size_t run = run_length(data, len);

        for (size_t at = 0; at < run; at += bytewise ? 1 : run)
            feed(&client, data + at, bytewise ? 1 : run);
        data += run;
        len -= run;
        if (len >= 2) {
            mqtt_client_closed(&client);
            go_online(&client, version, data[1] == 0 && version != MQTT_3_1);
            request(&client, stage);
            data += 2;
            len -= 2;
        }
    }
    mqtt_client_fini(&client);
    client_pool_fini(&pool);
    return 0;
}
