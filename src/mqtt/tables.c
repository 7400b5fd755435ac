/* SPDX-License-Identifier: MIT
 *
 * tables - see the header. The only file that expands packets.def and reasons.def; it also proves
 * that the generated public header agrees with them.
 */
#include "mqtt/tables.h"

#include "mqtt/decode.h"

#define ANY 0x10 /* a flags column above all values of four bits */

enum { FROM_CLIENT = 1, FROM_SERVER = 2, FROM_BOTH = FROM_CLIENT | FROM_SERVER };

struct packet_row {
    const char *name;
    uint8_t flags;
    uint8_t sender;
};

static const struct packet_row packets[16] = {
#define PACKET(name_, code_, flags_, sender_)                                                      \
    [code_] = {.name = #name_, .flags = flags_, .sender = FROM_##sender_},
#include "mqtt/packets.def"
};

#define PACKET(name_, code_, flags_, sender_)                                                      \
    _Static_assert(MQTT_##name_ == code_, "include/shardmq/mqtt.h: packet " #name_);
#include "mqtt/packets.def"

struct reason_row {
    const char *text;
    uint16_t server, client; /* bit (1 << packet type) */
    int8_t return_code;
};

#define NONE     (-1)
#define IN(type) (1u << MQTT_##type)

static const struct reason_row reasons[256] = {
#define REASON(name_, code_, text_, server_, client_, connack3_)                                   \
    [code_] = {.text = text_, .server = server_, .client = client_, .return_code = connack3_},
#define REASON_ALIAS(name_, of_)
#include "mqtt/reasons.def"
};

#define REASON(name_, code_, text_, server_, client_, connack3_)                                   \
    _Static_assert(MQTT_REASON_##name_ == code_, "include/shardmq/mqtt.h: reason " #name_);
#define REASON_ALIAS(name_, of_)                                                                   \
    _Static_assert(MQTT_REASON_##name_ == MQTT_REASON_##of_, "include/shardmq/mqtt.h: " #name_);
#include "mqtt/reasons.def"

const char *packet_name(enum mqtt_packet_type type)
{
    return packets[type & 15].name != NULL ? packets[type & 15].name : "?";
}

const char *property_name(enum mqtt_property id)
{
    switch ((unsigned)id) {
#define PROP(name_, id_, type_, packets_, repeats_, zero_, member_)                                \
    case id_:                                                                                      \
        return #name_;
#include "mqtt/props.def"
    default:
        return "?";
    }
}

const char *reason_text(enum mqtt_reason reason)
{
    return reasons[reason & 255].text != NULL ? reasons[reason & 255].text : "unknown reason";
}

bool packet_flags_valid(enum mqtt_packet_type type, uint8_t flags)
{
    /* [MQTT-2.2.2-2] [MQTT-2.1.3-1] [MQTT-3.6.1-1] [MQTT-3.8.1-1] [MQTT-3.10.1-1] [MQTT-3.14.1-1]
     * [MQTT-3.15.1-1] */
    return packets[type & 15].flags == ANY || packets[type & 15].flags == flags;
}

bool packet_flags_accepted(enum mqtt_packet_type type, uint8_t flags, enum mqtt_version version)
{
    if (version != MQTT_3_1 || packets[type & 15].flags == ANY)
        return packet_flags_valid(type, flags);
    /* In 3.1 DUP means something on PUBREL, SUBSCRIBE and UNSUBSCRIBE, and unused bits are ignored
     * (2.1 there); what has to stand is QoS 1 on those three. */
    return (flags & packets[type & 15].flags) == packets[type & 15].flags;
}

bool packet_from_client(enum mqtt_packet_type type)
{
    return packets[type & 15].sender & FROM_CLIENT;
}

bool packet_from_server(enum mqtt_packet_type type)
{
    return packets[type & 15].sender & FROM_SERVER;
}

bool reason_from_client(enum mqtt_packet_type type, enum mqtt_reason reason)
{
    return (reasons[reason & 255].client >> type) & 1;
}

bool reason_from_server(enum mqtt_packet_type type, enum mqtt_reason reason)
{
    return (reasons[reason & 255].server >> type) & 1;
}

int reason_to_return_code(enum mqtt_reason reason)
{
    const struct reason_row *row = &reasons[reason & 255];

    return row->text != NULL ? row->return_code : NONE;
}

enum mqtt_reason reason_of_return_code(uint8_t return_code)
{
    static const uint8_t codes[] = {
        MQTT_REASON_SUCCESS,
        MQTT_REASON_UNSUPPORTED_PROTOCOL_VERSION,
        MQTT_REASON_CLIENT_IDENTIFIER_NOT_VALID,
        MQTT_REASON_SERVER_UNAVAILABLE,
        MQTT_REASON_BAD_USER_NAME_OR_PASSWORD,
        MQTT_REASON_NOT_AUTHORIZED,
    };

    return return_code < sizeof(codes) ? (enum mqtt_reason)codes[return_code]
                                       : MQTT_REASON_PROTOCOL_ERROR;
}
