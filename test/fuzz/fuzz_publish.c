/* SPDX-License-Identifier: MIT
 *
 * fuzz_publish - PUBLISH and its properties, also as a will carries them on. Input: a byte with the flags in its
 * low half and the version in its high half, then the body.
 */
#include "fuzz.h"

#include "mqtt/encode_client.h"

/* What is forwarded can be walked again and holds nothing that was not there. */
static void forwarded(const struct mqtt_props *props)
{
    uint8_t *to = malloc(props->raw.len + 1);
    uint32_t len = props_copy_forwarded(props, to);
    struct property_view view;
    struct span raw;

    ASSERT(len <= props->raw.len);
    raw = span_of(to, len);
    while (props_next(&raw, &view))
        ASSERT(props_has(props, view.id));
    free(to);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct publish_packet packet, again;
    enum mqtt_version version;
    struct frame frame, written;
    uint32_t written_len, room;
    uint8_t *to;

    if (len == 0)
        return 0;
    version = fuzz_version(data[0] >> 4);
    frame = fuzz_frame(MQTT_PUBLISH, data[0] & 0x0F, data + 1, len - 1);
    fuzz_dump(&frame, version);
    if (mqtt_decode_publish(&frame, version, &packet) != MQTT_REASON_SUCCESS)
        return 0;
    ASSERT(packet.payload.data + packet.payload.len == data + len);
    fuzz_props(&packet.props);
    forwarded(&packet.props);

    room = frame.body_len + 8;
    to = malloc(room);
    written_len = mqtt_encode_publish(to, room, version, &packet);
    ASSERT(written_len > 0);
    ASSERT(frame_find(to, written_len, room, &written) == FRAME_READY);
    ASSERT(written.flags == frame.flags && written.body_len == frame.body_len);
    ASSERT(mqtt_decode_publish(&written, version, &again) == MQTT_REASON_SUCCESS);
    ASSERT(span_equal(packet.topic, again.topic) && span_equal(packet.payload, again.payload));
    ASSERT(packet.packet_identifier == again.packet_identifier);
    fuzz_same_props(&packet.props, &again.props);
    free(to);
    return 0;
}
