/* SPDX-License-Identifier: MIT
 *
 * fuzz_connect - a byte stream as a new connection sends it: frames, and CONNECT. What could be read is written
 * again and read again, and must be the same. Input: the stream.
 */
#include "fuzz.h"

#include "mqtt/encode_client.h"

static void same(const struct connect_packet *a, const struct connect_packet *b)
{
    ASSERT(a->version == b->version && a->clean_start == b->clean_start);
    ASSERT(a->has_will == b->has_will && a->will_qos == b->will_qos);
    ASSERT(a->will_retain == b->will_retain && a->keep_alive_s == b->keep_alive_s);
    ASSERT(a->has_username == b->has_username && a->has_password == b->has_password);
    ASSERT(span_equal(a->client_identifier, b->client_identifier));
    ASSERT(span_equal(a->will_topic, b->will_topic));
    ASSERT(span_equal(a->will_payload, b->will_payload));
    ASSERT(span_equal(a->username, b->username) && span_equal(a->password, b->password));
    fuzz_same_props(&a->props, &b->props);
    fuzz_same_props(&a->will_props, &b->will_props);
}

static void connect(const struct frame *frame)
{
    struct connect_packet packet, again;
    struct frame written;
    uint32_t room = frame->total_len + 16, len;
    uint8_t *to;

    if (mqtt_decode_connect(frame, &packet) != MQTT_REASON_SUCCESS)
        return;
    fuzz_props(&packet.props);
    fuzz_props(&packet.will_props);
    to = malloc(room);
    len = mqtt_encode_connect(to, room, &packet);
    ASSERT(len > 0 && len <= frame->total_len);
    ASSERT(frame_find(to, len, len, &written) == FRAME_READY && written.total_len == len);
    ASSERT(mqtt_decode_connect(&written, &again) == MQTT_REASON_SUCCESS);
    same(&packet, &again);
    free(to);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct frame frame;
    enum frame_status status;

    while ((status = frame_find(data, len, 1 << 16, &frame)) == FRAME_READY) {
        ASSERT(frame.total_len <= len && frame.total_len >= 2);
        ASSERT(frame.body + frame.body_len == data + frame.total_len);
        if (frame.type == MQTT_CONNECT)
            connect(&frame);
        fuzz_dump(&frame, MQTT_5);
        data += frame.total_len;
        len -= frame.total_len;
    }
    ASSERT(status != FRAME_INCOMPLETE || frame.total_len == 0 || frame.total_len > len);
    ASSERT(status != FRAME_TOO_LARGE || frame.total_len > 1 << 16);
    return 0;
}
