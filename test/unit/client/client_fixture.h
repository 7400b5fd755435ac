/* SPDX-License-Identifier: MIT
 *
 * client_fixture - a client and the server's end of its connection, in memory.
 */
#ifndef SHARDMQ_TEST_CLIENT_FIXTURE_H
#define SHARDMQ_TEST_CLIENT_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/endian.h"
#include "base/mem.h"
#include "client/client.h"
#include "mqtt/decode.h"
#include "mqtt/encode.h"
#include "mqtt/encode_client.h"
#include "mqtt/props.h"

#define SENT_MAX (1u << 20)

struct side {
    struct mqtt_client client;
    struct client_limits limits;
    struct client_pool pool;
    uint64_t now_ms;
    uint8_t *sent; /* what the client wrote and nobody has looked at yet */
    uint32_t sent_len, sent_at;
};

static inline void side_init(struct side *side)
{
    memset(side, 0, sizeof(*side));
    side->limits = CLIENT_LIMITS_DEFAULT;
    side->sent = malloc(SENT_MAX);
    side->now_ms = 1000;
    mqtt_client_init(&side->client, &side->limits, &side->pool);
}

static inline void side_fini(struct side *side)
{
    mqtt_client_fini(&side->client);
    client_pool_fini(&side->pool);
    free(side->sent);
}

/* Takes over what the client wants to send. */
static inline void side_flush(struct side *side)
{
    struct client_block *block;

    while ((block = mqtt_client_take_output(&side->client, side->now_ms)) != NULL) {
        assert_true(side->sent_len + block->len <= SENT_MAX);
        memcpy(side->sent + side->sent_len, block->data, block->len);
        side->sent_len += block->len;
        client_block_put(&side->pool, block);
    }
}

/* Loses what was written and not looked at. */
static inline void side_lose(struct side *side)
{
    side_flush(side);
    side->sent_at = side->sent_len = 0;
}

/* The next packet of the client; false when there is none. */
static inline bool side_packet(struct side *side, struct frame *frame)
{
    side_flush(side);
    if (frame_find(side->sent + side->sent_at, side->sent_len - side->sent_at, MQTT_PACKET_SIZE_MAX,
                   frame) != FRAME_READY) {
        assert_int_equal(side->sent_at, side->sent_len);
        side->sent_at = side->sent_len = 0;
        return false;
    }
    side->sent_at += frame->total_len;
    return true;
}

static inline struct frame side_expect(struct side *side, enum mqtt_packet_type type)
{
    struct frame frame = {0};

    assert_true(side_packet(side, &frame));
    assert_int_equal(frame.type, type);
    return frame;
}

static inline void side_expect_nothing(struct side *side)
{
    struct frame frame;

    assert_false(side_packet(side, &frame));
}

/* An acknowledgement of the client; returns its reason code. */
static inline enum mqtt_reason side_expect_ack(struct side *side, enum mqtt_packet_type type,
                                               uint16_t identifier)
{
    struct frame frame = side_expect(side, type);
    struct ack_packet ack;

    assert_int_equal(mqtt_decode_ack(&frame, (enum mqtt_version)side->client.version, &ack), 0);
    assert_int_equal(ack.packet_identifier, identifier);
    return ack.reason;
}

static inline struct publish_packet side_expect_publish(struct side *side)
{
    struct frame frame = side_expect(side, MQTT_PUBLISH);
    struct publish_packet packet;

    assert_int_equal(mqtt_decode_publish(&frame, (enum mqtt_version)side->client.version, &packet),
                     0);
    return packet;
}

/* Feeds bytes of the server and expects this one event. */
static inline struct client_event side_event(struct side *side, const void *data, uint32_t len)
{
    struct client_event event, none;

    mqtt_client_feed(&side->client, data, len);
    if (mqtt_client_next(&side->client, &event))
        assert_false(mqtt_client_next(&side->client, &none));
    return event;
}

static inline struct client_event side_ack(struct side *side, enum mqtt_packet_type type,
                                           uint16_t identifier, enum mqtt_reason reason)
{
    uint8_t packet[64];
    uint32_t len = mqtt_encode_ack(packet, sizeof(packet), (enum mqtt_version)side->client.version,
                                   type, identifier, reason, (struct span){0}, 0);

    return side_event(side, packet, len);
}

static inline uint32_t connack(uint8_t *to, uint32_t room, enum mqtt_version version,
                               bool session_present, const struct mqtt_props *props)
{
    struct connack_fields fields = {.session_present = session_present};

    if (props != NULL)
        fields.props = *props;
    return mqtt_encode_connack(to, room, version, &fields);
}

/* CONNECT, CONNACK. `props` of the CONNACK may be NULL. */
static inline void side_online(struct side *side, enum mqtt_version version, bool session_present,
                               const struct mqtt_props *props)
{
    struct connect_packet connect = {.version = version,
                                     .clean_start = !session_present,
                                     .client_identifier = span_text("side")};
    uint8_t packet[256];

    assert_int_equal(mqtt_client_connect(&side->client, &connect, side->now_ms), CLIENT_OK);
    side_expect(side, MQTT_CONNECT);
    mqtt_client_feed(&side->client, packet,
                     connack(packet, sizeof(packet), version, session_present, props));
    struct client_event event;

    assert_true(mqtt_client_next(&side->client, &event));
    assert_int_equal(event.kind, CLIENT_CONNACK);
    assert_int_equal(side->client.phase, MQTT_ONLINE);
}

static inline struct publish_packet message(uint8_t qos, const char *topic, const char *payload)
{
    return (struct publish_packet){
        .qos = qos, .topic = span_text(topic), .payload = span_text(payload)};
}

static inline uint16_t side_publish(struct side *side, uint8_t qos, const char *payload,
                                    uint64_t tag)
{
    struct publish_packet packet = message(qos, "a/b", payload);
    uint16_t identifier = 0;

    assert_int_equal(mqtt_client_publish(&side->client, &packet, tag, &identifier), CLIENT_OK);
    assert_int_equal(identifier != 0, qos > 0);
    return identifier;
}

/* Every version there is, oldest first. */
static const enum mqtt_version side_versions[] = {MQTT_3_1, MQTT_3_1_1, MQTT_5};

#define FOR_EACH_VERSION(version)                                                                  \
    for (unsigned v_ = 0; v_ < 3; v_++)                                                            \
        for (enum mqtt_version version = side_versions[v_]; version != 0; version = 0)

/* Writes a message of the server to "in". */
static inline uint32_t server_publish(uint8_t *to, enum mqtt_version version, uint8_t qos,
                                      uint16_t identifier, bool dup)
{
    struct publish_packet packet = message(qos, "in", "payload");

    packet.packet_identifier = identifier;
    packet.dup = dup;
    return mqtt_encode_publish(to, 256, version, &packet);
}

#endif
