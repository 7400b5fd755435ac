/* SPDX-License-Identifier: MIT
 *
 * decode - from bytes to packet views. Pure functions: no memory, no state, no look outside the span.
 *
 * Every decoder returns MQTT_REASON_SUCCESS, MQTT_REASON_MALFORMED_PACKET or
 * MQTT_REASON_PROTOCOL_ERROR (or the more precise code the specification names: a Topic Alias of 0 is
 * 0x94); on anything but success the view is not to be used. The caller has checked the fixed header's
 * flags with packet_flags_valid(); PUBLISH flags are checked by its decoder (QoS 3, DUP with QoS 0).
 */
#ifndef SHARDMQ_MQTT_DECODE_H
#define SHARDMQ_MQTT_DECODE_H

#include "mqtt/packet.h"

enum frame_status { FRAME_READY, FRAME_INCOMPLETE, FRAME_MALFORMED, FRAME_TOO_LARGE };

/* Finds the control packet at the start of data[0 .. len). The size limit is applied as soon as the
 * Remaining Length is known, before any of the body has come. FRAME_INCOMPLETE leaves out->total_len 0
 * while the header itself is incomplete. A Remaining Length of more than four bytes or one that is not
 * encoded in as few bytes as possible is malformed; so is packet type 0. */
static inline enum frame_status frame_find(const uint8_t *data, size_t len, uint32_t packet_size_max,
                                           struct frame *out);

/* True when the low four bits of the first byte are the ones the specification prescribes for this
 * type [MQTT-2.1.3-1]. AUTH exists only in 5.0. */
bool packet_flags_valid(enum mqtt_packet_type type, uint8_t flags);

/* The same for a connection of a known version: 3.1 clients may set DUP on PUBREL, SUBSCRIBE and
 * UNSUBSCRIBE when they send them again, and bits without meaning there are ignored. */
bool packet_flags_accepted(enum mqtt_packet_type type, uint8_t flags, enum mqtt_version version);

/* Decodes CONNECT. The protocol name and level are looked at first: MQTT_REASON_UNSUPPORTED_PROTOCOL_VERSION
 * with out->version set to the nearest version whose CONNACK the client may understand. */
enum mqtt_reason mqtt_decode_connect(const struct frame *frame, struct connect_packet *out);
enum mqtt_reason mqtt_decode_publish(const struct frame *frame, enum mqtt_version version,
                                     struct publish_packet *out);
/* PUBACK, PUBREC, PUBREL, PUBCOMP: a body of two bytes (and of three, in 5.0) is complete. Reason codes
 * that are not defined for the packet are a protocol error. */
enum mqtt_reason mqtt_decode_ack(const struct frame *frame, enum mqtt_version version,
                                 struct ack_packet *out);
/* SUBSCRIBE and UNSUBSCRIBE, the whole list included. */
enum mqtt_reason mqtt_decode_subscribe(const struct frame *frame, enum mqtt_version version,
                                       struct subscribe_packet *out);
/* DISCONNECT and AUTH as a client sends them. */
enum mqtt_reason mqtt_decode_disconnect(const struct frame *frame, enum mqtt_version version,
                                        struct ack_packet *out);
enum mqtt_reason mqtt_decode_auth(const struct frame *frame, struct ack_packet *out);
/* What a server sends; for bridges, the tools and tests. mqtt_decode_suback() takes UNSUBACK too, and
 * before 5.0 an UNSUBACK has no codes. */
enum mqtt_reason mqtt_decode_server_disconnect(const struct frame *frame, struct ack_packet *out);
enum mqtt_reason mqtt_decode_server_auth(const struct frame *frame, struct ack_packet *out);
enum mqtt_reason mqtt_decode_connack(const struct frame *frame, enum mqtt_version version,
                                     struct ack_packet *out);
enum mqtt_reason mqtt_decode_suback(const struct frame *frame, enum mqtt_version version,
                                    struct ack_packet *out);

/* Takes the next element off list->filters; false at the end. Only after a successful decode. */
bool filters_next(struct subscribe_packet *list, struct filter_view *out);

/* One property of a validated block. */
struct property_view {
    enum mqtt_property id;
    uint32_t number;          /* integers */
    struct span value, name;  /* strings, binary; name: the key of a User Property */
    struct span encoded;      /* the property as it stands in the block, identifier included */
};

/* Takes the next property off `raw`; false at the end. Only on a validated block. */
bool props_next(struct span *raw, struct property_view *out);

/* Copies from a validated PUBLISH (or will) property block what is forwarded unaltered to
 * subscribers: Payload Format Indicator, Content Type, Response Topic, Correlation Data and User
 * Properties, in their order. `to` must have room for props->raw.len bytes. Returns the bytes written. */
uint32_t props_copy_forwarded(const struct mqtt_props *props, uint8_t *to);

#include "mqtt/frame_inline.h"

#endif
