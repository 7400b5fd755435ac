/* SPDX-License-Identifier: MIT
 *
 * codec_test - what the tests of the codec share: packets as hand-written bytes, in heap blocks of exactly their
 * size so that a sanitizer sees any look outside.
 */
#ifndef SHARDMQ_TEST_CODEC_TEST_H
#define SHARDMQ_TEST_CODEC_TEST_H

#include "mqtt/decode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* A span of a string literal that may hold zero bytes. */
#define BYTES(literal) span_of(literal, sizeof(literal) - 1)

/* A frame whose body is a heap block of its own. */
struct copy {
    struct frame frame;
    uint8_t *body;
};

static inline struct copy copy_body(enum mqtt_packet_type type, uint8_t flags, struct span body)
{
    struct copy copy = {.body = malloc(body.len)};

    if (body.len > 0)
        memcpy(copy.body, body.data, body.len);
    copy.frame = (struct frame){.type = type,
                                .flags = flags,
                                .body = copy.body,
                                .body_len = body.len,
                                .total_len = body.len + 2};
    return copy;
}

/* The same for a whole packet, fixed header included, which must be complete and alone. */
static inline struct copy copy_packet(struct span packet)
{
    struct frame frame = {0};

    assert_int_equal(frame_find(packet.data, packet.len, MQTT_PACKET_SIZE_MAX, &frame),
                     FRAME_READY);
    assert_int_equal(frame.total_len, packet.len);
    return copy_body(frame.type, frame.flags, span_of(frame.body, frame.body_len));
}

static inline void copy_free(struct copy *copy)
{
    free(copy->body);
}

/* Decodes any packet and throws the result away. `from_server` tells who is meant to have sent a DISCONNECT or
 * AUTH. */
static inline enum mqtt_reason decode_any(const struct frame *frame, enum mqtt_version version,
                                          bool from_server)
{
    struct connect_packet connect;
    struct publish_packet publish;
    struct subscribe_packet subscribe;
    struct ack_packet ack;

    switch (frame->type) {
    case MQTT_CONNECT:
        return mqtt_decode_connect(frame, &connect);
    case MQTT_CONNACK:
        return mqtt_decode_connack(frame, version, &ack);
    case MQTT_PUBLISH:
        return mqtt_decode_publish(frame, version, &publish);
    case MQTT_SUBSCRIBE:
    case MQTT_UNSUBSCRIBE:
        return mqtt_decode_subscribe(frame, version, &subscribe);
    case MQTT_SUBACK:
    case MQTT_UNSUBACK:
        return mqtt_decode_suback(frame, version, &ack);
    case MQTT_DISCONNECT:
        return from_server ? mqtt_decode_server_disconnect(frame, &ack)
                           : mqtt_decode_disconnect(frame, version, &ack);
    case MQTT_AUTH:
        return from_server ? mqtt_decode_server_auth(frame, &ack) : mqtt_decode_auth(frame, &ack);
    default:
        return mqtt_decode_ack(frame, version, &ack);
    }
}

/* Decodes a body and throws the result away. */
static inline enum mqtt_reason reason_of(enum mqtt_packet_type type, uint8_t flags,
                                         enum mqtt_version version, struct span body)
{
    struct copy copy = copy_body(type, flags, body);
    enum mqtt_reason reason = decode_any(&copy.frame, version, false);

    copy_free(&copy);
    return reason;
}

static inline void assert_span(struct span span, const char *expected)
{
    assert_int_equal(span.len, strlen(expected));
    if (span.len > 0)
        assert_memory_equal(span.data, expected, span.len);
}

static inline void assert_bytes(const uint8_t *bytes, uint32_t len, struct span expected)
{
    assert_int_equal(len, expected.len);
    assert_memory_equal(bytes, expected.data, len);
}

#endif
