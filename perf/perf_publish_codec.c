/* SPDX-License-Identifier: MIT
 *
 * What PUBLISH costs in each direction: decoding what a client sent, and encoding the head of what a
 * subscriber gets (the payload is copied or sent from where it is by somebody else). Versions 3.1.1
 * and 5.0, the latter also with properties.
 */
#include "base/check.h"
#include "mqtt/encode_client.h"
#include "mqtt/encode_publish.h"
#include "perf/shim.h"

void perf_register_publish_codec(void);

#define PAYLOAD 64u
#define ROOM    512u

struct codec_case {
    const char *decode_name, *encode_name;
    enum mqtt_version version;
    uint8_t qos;
    bool properties;
};

static const struct codec_case cases[] = {
    {"publish/decode/v311/qos:0", "publish/encode/v311/qos:0", MQTT_3_1_1, 0, false},
    {"publish/decode/v311/qos:1", "publish/encode/v311/qos:1", MQTT_3_1_1, 1, false},
    {"publish/decode/v5/qos:1", "publish/encode/v5/qos:1", MQTT_5, 1, false},
    {"publish/decode/v5/qos:1/properties", "publish/encode/v5/qos:1/properties", MQTT_5, 1, true},
};

static const uint8_t payload[PAYLOAD];

/* Writes the PUBLISH of a case to `to`, with room for ROOM bytes; returns its length. */
static uint32_t make_packet(const struct codec_case *wanted, uint8_t *to)
{
    uint8_t user_property[64];
    struct publish_packet packet = {
        .qos = wanted->qos,
        .packet_identifier = wanted->qos > 0 ? 1000 : 0,
        .topic = span_text("site/7/device/temperature"),
        .payload = span_of(payload, PAYLOAD),
    };

    if (wanted->properties) {
        packet.props.raw = span_of(
            user_property, mqtt_encode_user_property(user_property, sizeof(user_property),
                                                     span_text("origin"), span_text("gateway-12")));
        packet.props.message_expiry = 3600;
        packet.props.content_type = span_text("application/json");
        packet.props.present = (uint64_t)1 << MQTT_PROPERTY_USER_PROPERTY |
                               (uint64_t)1 << MQTT_PROPERTY_MESSAGE_EXPIRY_INTERVAL |
                               (uint64_t)1 << MQTT_PROPERTY_CONTENT_TYPE;
    }
    return mqtt_encode_publish(to, ROOM, wanted->version, &packet);
}

static void run_decode(struct perf_state *state, void *argument)
{
    const struct codec_case *wanted = argument;
    uint8_t bytes[ROOM];
    uint32_t len = make_packet(wanted, bytes);
    struct publish_packet packet;
    uint64_t decoded = 0;

    ASSERT(len > 0);
    while (perf_next(state)) {
        struct frame frame;

        if (frame_find(bytes, len, ROOM, &frame) == FRAME_READY &&
            mqtt_decode_publish(&frame, wanted->version, &packet) == MQTT_REASON_SUCCESS)
            decoded++;
        perf_keep(&packet);
    }
    ASSERT(decoded == perf_iterations(state) && packet.payload.len == PAYLOAD);
    perf_items(state, decoded);
}

static void run_encode(struct perf_state *state, void *argument)
{
    const struct codec_case *wanted = argument;
    static const uint32_t identifiers[] = {12};
    uint8_t bytes[ROOM], forwarded[ROOM], head[ROOM];
    uint32_t len = make_packet(wanted, bytes);
    struct publish_packet packet;
    struct frame frame;
    uint64_t encoded = 0;
    struct publish_encoding encoding = {
        .payload_len = PAYLOAD,
        .packet_identifier = 1000,
        .version = (uint8_t)wanted->version,
        .qos = wanted->qos,
    };

    ASSERT(frame_find(bytes, len, ROOM, &frame) == FRAME_READY);
    ASSERT(mqtt_decode_publish(&frame, wanted->version, &packet) == MQTT_REASON_SUCCESS);
    encoding.topic = packet.topic;
    if (wanted->properties) {
        encoding.props = span_of(forwarded, props_copy_forwarded(&packet.props, forwarded));
        encoding.identifiers = identifiers;
        encoding.identifier_count = ARRAY_LENGTH(identifiers);
        encoding.has_expiry = true;
        encoding.expiry_s = 3599;
    }
    while (perf_next(state)) {
        encoding.packet_identifier++;
        if (publish_plan(&encoding)) {
            publish_write_head(&encoding, head);
            encoded++;
        }
        perf_keep(head);
    }
    ASSERT(encoded == perf_iterations(state) && encoding.head_len <= ROOM);
    perf_items(state, encoded);
}

void perf_register_publish_codec(void)
{
    for (unsigned i = 0; i < ARRAY_LENGTH(cases); i++) {
        perf_case(cases[i].decode_name, run_decode, (void *)&cases[i]);
        perf_case(cases[i].encode_name, run_encode, (void *)&cases[i]);
    }
}
