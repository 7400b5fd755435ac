/* SPDX-License-Identifier: MIT
 *
 * encode_client - the packets a client sends: for bridges, the load tool, tests and simulation.
 *
 * Every function writes one whole control packet to `to`, which has room for `room` bytes, and
 * returns its length, or 0 when it does not fit or the format cannot hold it. Nothing else is
 * checked: a test may well want a packet that breaks the rules. PUBACK, PUBREC, PUBREL, PUBCOMP and
 * AUTH are in mqtt/encode.h.
 *
 * Of a struct mqtt_props the single-valued properties are written whose bit is in `present` and
 * which the packet allows, and the User Properties (in PUBLISH also Subscription Identifiers) of
 * `raw` when their bit is set; mqtt_encode_user_property() builds such a `raw`. Before 5.0 no
 * properties are written.
 */
#ifndef SHARDMQ_MQTT_ENCODE_CLIENT_H
#define SHARDMQ_MQTT_ENCODE_CLIENT_H

#include "mqtt/decode.h"

/* All members count; the version decides the protocol name and level. */
uint32_t mqtt_encode_connect(uint8_t *to, uint32_t room, const struct connect_packet *packet);

/* The packet identifier is written with QoS above 0. */
uint32_t mqtt_encode_publish(uint8_t *to, uint32_t room, enum mqtt_version version,
                             const struct publish_packet *packet);

/* `props` may be NULL. */
uint32_t mqtt_encode_subscribe(uint8_t *to, uint32_t room, enum mqtt_version version,
                               uint16_t packet_identifier, const struct filter_view *filters,
                               uint32_t count, const struct mqtt_props *props);

/* The options of the filters are ignored; `props` may be NULL. */
uint32_t mqtt_encode_unsubscribe(uint8_t *to, uint32_t room, enum mqtt_version version,
                                 uint16_t packet_identifier, const struct filter_view *filters,
                                 uint32_t count, const struct mqtt_props *props);

uint32_t mqtt_encode_pingreq(uint8_t *to, uint32_t room);

/* Before 5.0 without reason; `props` may be NULL. */
uint32_t mqtt_encode_client_disconnect(uint8_t *to, uint32_t room, enum mqtt_version version,
                                       enum mqtt_reason reason, const struct mqtt_props *props);

/* Not a packet: one User Property as it stands in a property block. */
uint32_t mqtt_encode_user_property(uint8_t *to, uint32_t room, struct span name, struct span value);

#endif
