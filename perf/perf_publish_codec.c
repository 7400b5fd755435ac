/* SPDX-License-Identifier: MIT
 *
 * PUBLISH in and out: a 64-byte payload, a topic of 16 bytes, by version and properties.
 */
#include "mqtt/decode.h"
#include "mqtt/encode_publish.h"
#include "perf/shim.h"

void perf_register_publish_codec(void);

struct shape {
    uint8_t version, qos;
    bool properties;
};

/* Content Type "a/b" and one User Property */
static const uint8_t props_bytes[] = {0x03, 0, 3, 'a', '/', 'b', 0x26, 0, 1, 'k', 0, 1, 'v'};

static struct publish_encoding encoding_of(const struct shape *shape)
{
    struct publish_encoding encoding = {
        .topic = span_text("sensors/12345/te"),
        .payload_len = 64,
        .packet_identifier = 1,
        .version = shape->version,
        .qos = shape->qos,
    };

    if (shape->properties)
        encoding.props = span_of(props_bytes, sizeof(props_bytes));
    return encoding;
}

static void encode_case(struct perf_state *state, void *argument)
{
    uint8_t bytes[256];
    uint64_t count = 0;

    while (perf_next(state)) {
        struct publish_encoding encoding = encoding_of(argument);

        publish_plan(&encoding);
        publish_write_head(&encoding, bytes);
        perf_keep(bytes);
        count++;
    }
    perf_items(state, count);
}

static void decode_case(struct perf_state *state, void *argument)
{
    const struct shape *shape = argument;
    struct publish_encoding encoding = encoding_of(shape);
    uint8_t bytes[256] = {0};
    uint64_t count = 0;

    publish_plan(&encoding);
    publish_write_head(&encoding, bytes);
    while (perf_next(state)) {
        struct frame frame;
        struct publish_packet packet;

        if (frame_find(bytes, sizeof(bytes), 1 << 20, &frame) != FRAME_READY ||
            mqtt_decode_publish(&frame, (enum mqtt_version)shape->version, &packet) !=
                MQTT_REASON_SUCCESS)
            return;
        perf_keep(&packet);
        count++;
    }
    perf_items(state, count);
}

void perf_register_publish_codec(void)
{
    static struct shape v3 = {MQTT_3_1_1, 0, false}, v3_qos1 = {MQTT_3_1_1, 1, false},
                        v5 = {MQTT_5, 0, false}, v5_props = {MQTT_5, 1, true};

    perf_case("publish/encode/3.1.1_qos0", encode_case, &v3);
    perf_case("publish/encode/3.1.1_qos1", encode_case, &v3_qos1);
    perf_case("publish/encode/5.0_qos0", encode_case, &v5);
    perf_case("publish/encode/5.0_qos1_properties", encode_case, &v5_props);
    perf_case("publish/decode/3.1.1_qos0", decode_case, &v3);
    perf_case("publish/decode/3.1.1_qos1", decode_case, &v3_qos1);
    perf_case("publish/decode/5.0_qos0", decode_case, &v5);
    perf_case("publish/decode/5.0_qos1_properties", decode_case, &v5_props);
}
