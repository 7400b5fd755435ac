/* SPDX-License-Identifier: MIT
 *
 * fuzz_ack - acknowledgements, CONNACK, SUBACK, UNSUBACK, DISCONNECT and AUTH, of clients and servers. Input: a byte
 * with the packet type in its low half, the version in bits 4 and 5 and the sender in bit 6, then the body.
 */
#include "fuzz.h"

#include "mqtt/tables.h"

static enum mqtt_reason decode(const struct frame *frame, enum mqtt_version version,
                               bool from_server, struct ack_packet *packet)
{
    switch (frame->type) {
    case MQTT_CONNACK:
        return mqtt_decode_connack(frame, version, packet);
    case MQTT_SUBACK:
    case MQTT_UNSUBACK:
        return mqtt_decode_suback(frame, version, packet);
    case MQTT_DISCONNECT:
        return from_server ? mqtt_decode_server_disconnect(frame, packet)
                           : mqtt_decode_disconnect(frame, version, packet);
    case MQTT_AUTH:
        return from_server ? mqtt_decode_server_auth(frame, packet)
                           : mqtt_decode_auth(frame, packet);
    default:
        return mqtt_decode_ack(frame, version, packet);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    enum mqtt_packet_type type;
    enum mqtt_version version;
    struct ack_packet packet;
    struct frame frame;

    if (len == 0)
        return 0;
    type = (enum mqtt_packet_type)(data[0] & 0x0F);
    version = fuzz_version((data[0] >> 4) & 3);
    if (type == MQTT_CONNECT || type == MQTT_PUBLISH || type == MQTT_SUBSCRIBE ||
        type == MQTT_UNSUBSCRIBE)
        return 0; /* have targets of their own */
    frame = fuzz_frame(type, 0, data + 1, len - 1);
    fuzz_dump(&frame, version);
    if (type == 0 || type == MQTT_PINGREQ || type == MQTT_PINGRESP)
        return 0;
    if (decode(&frame, version, data[0] & 0x40, &packet) != MQTT_REASON_SUCCESS)
        return 0;
    ASSERT(type == MQTT_SUBACK || type == MQTT_UNSUBACK ||
           reason_from_client(type, packet.reason) || reason_from_server(type, packet.reason));
    fuzz_props(&packet.props);
    return 0;
}
