/* SPDX-License-Identifier: MIT
 *
 * encode - the packets a server sends, PUBLISH excepted (mqtt/encode_publish.h).
 *
 * Every function writes one whole control packet to `to`, which has room for `room` bytes, and returns
 * its length, or 0 when it does not fit. With a Reason String (or User Properties) the caller passes
 * the receiver's Maximum Packet Size as `room`-limit through `packet_size_max`; what would make the packet
 * exceed it is left out [MQTT-3.2.2-19, 3.4.2-2 ...]. In versions before 5.0 properties and reason
 * codes that do not exist there are not written.
 */
#ifndef SHARDMQ_MQTT_ENCODE_H
#define SHARDMQ_MQTT_ENCODE_H

#include "mqtt/packet.h"

struct connack_fields {
    bool session_present;
    enum mqtt_reason reason; /* a 5.0 code; mapped to the 3.1.1 return code for older versions */
    /* 5.0 only. A property is written when its bit is in props.present (single-valued properties of
     * struct mqtt_props that CONNACK allows). */
    struct mqtt_props props;
    uint32_t packet_size_max; /* 0: no limit */
};

uint32_t mqtt_encode_connack(uint8_t *to, uint32_t room, enum mqtt_version version,
                             const struct connack_fields *fields);

/* PUBACK, PUBREC, PUBREL, PUBCOMP. The shortest form is chosen; reason_string may be empty. */
uint32_t mqtt_encode_ack(uint8_t *to, uint32_t room, enum mqtt_version version,
                         enum mqtt_packet_type type, uint16_t packet_identifier,
                         enum mqtt_reason reason, struct span reason_string, uint32_t packet_size_max);

/* SUBACK (5.0 codes in; 0x80 and above become 0x80 before 5.0) and UNSUBACK (no codes before 5.0). */
uint32_t mqtt_encode_suback(uint8_t *to, uint32_t room, enum mqtt_version version,
                            enum mqtt_packet_type type, uint16_t packet_identifier,
                            const uint8_t *codes, uint32_t count);

uint32_t mqtt_encode_pingresp(uint8_t *to, uint32_t room);

/* DISCONNECT from the server exists only in 5.0: returns 0 for older versions. */
uint32_t mqtt_encode_disconnect(uint8_t *to, uint32_t room, enum mqtt_version version,
                                enum mqtt_reason reason, struct span reason_string,
                                struct span server_reference, uint32_t packet_size_max);

uint32_t mqtt_encode_auth(uint8_t *to, uint32_t room, enum mqtt_reason reason,
                          struct span authentication_method, struct span authentication_data);

/* Upper bound for the length of SUBACK and UNSUBACK with `count` codes. */
static inline uint32_t mqtt_suback_size_max(uint32_t count)
{
    return 8 + count;
}

#endif
