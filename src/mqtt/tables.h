/* SPDX-License-Identifier: MIT
 *
 * tables - questions to the protocol tables packets.def and reasons.def.
 */
#ifndef SHARDMQ_MQTT_TABLES_H
#define SHARDMQ_MQTT_TABLES_H

#include "mqtt/packet.h"

/* Names as the specification writes them, for logs: "CONNECT", "User Property" is written
 * USER_PROPERTY. Static storage; "?" for numbers that are not defined. */
const char *packet_name(enum mqtt_packet_type type);
const char *property_name(enum mqtt_property id);

/* The specification's text for a reason code ("Not authorized"); "unknown reason" when not defined.
 */
const char *reason_text(enum mqtt_reason reason);

/* True when a client (a server) may send packets of this type at all. */
bool packet_from_client(enum mqtt_packet_type type);
bool packet_from_server(enum mqtt_packet_type type);

/* True when a client (a server) may send this reason code in a packet of this type. */
bool reason_from_client(enum mqtt_packet_type type, enum mqtt_reason reason);
bool reason_from_server(enum mqtt_packet_type type, enum mqtt_reason reason);

/* The return code (0 to 5) of a CONNACK before 5.0 that says the same, or -1 when none does: then
 * the connection is closed without CONNACK [MQTT-3.2.2-6]. */
int reason_to_return_code(enum mqtt_reason reason);

/* The reason code for a return code of 0 to 5; MQTT_REASON_PROTOCOL_ERROR for any other. */
enum mqtt_reason reason_of_return_code(uint8_t return_code);

#endif
