/* SPDX-License-Identifier: MIT
 *
 * packet - decoded MQTT control packets, as views into the bytes they were decoded from.
 *
 * Nothing here owns memory: every span is valid only as long as the receive buffer is.
 */
#ifndef SHARDMQ_MQTT_PACKET_H
#define SHARDMQ_MQTT_PACKET_H

#include "base/span.h"
#include "shardmq/mqtt.h" /* enum mqtt_packet_type, mqtt_version, mqtt_property, mqtt_reason */

#define MQTT_PACKET_SIZE_MAX 268435460u /* 1 + 4 + 268435455: the largest packet the format allows */

/* One control packet found in a byte stream. */
struct frame {
    enum mqtt_packet_type type;
    uint8_t flags;       /* low four bits of the first byte */
    const uint8_t *body; /* behind the fixed header */
    uint32_t body_len;   /* the Remaining Length */
    uint32_t total_len;  /* fixed header included; 0 while the header is incomplete */
};

/* A property block (MQTT 5.0, 2.2.2). `raw` is the validated block without its length. Single-valued
 * properties are copied out; `present` has bit (1 << id) for every property that occurs. User
 * Properties and Subscription Identifiers may repeat: iterate over `raw` with props_next(). */
struct mqtt_props {
    struct span raw;
    uint64_t present;
    uint8_t payload_format, request_problem_information, request_response_information, maximum_qos,
        retain_available, wildcard_available, subscription_identifier_available, shared_available;
    uint16_t server_keep_alive, receive_maximum, topic_alias_maximum, topic_alias;
    uint32_t message_expiry, session_expiry, will_delay, maximum_packet_size;
    uint32_t subscription_identifier; /* the last one, where it may occur once */
    struct span content_type, response_topic, correlation_data, assigned_client_identifier,
        authentication_method, authentication_data, response_information, server_reference,
        reason_string;
};

static inline bool props_has(const struct mqtt_props *props, enum mqtt_property id)
{
    return (props->present >> id) & 1;
}

struct connect_packet {
    enum mqtt_version version;
    bool clean_start, has_will, has_username, has_password;
    uint8_t will_qos;
    bool will_retain;
    uint16_t keep_alive_s;
    struct span client_identifier, will_topic, will_payload, username, password;
    struct mqtt_props props, will_props;
};

struct publish_packet {
    uint8_t qos;
    bool dup, retain;
    uint16_t packet_identifier; /* 0 with QoS 0 */
    struct span topic;          /* not yet checked for UTF-8 or wildcards: topic/topic.h does both at once */
    struct span payload;
    struct mqtt_props props;
};

/* PUBACK, PUBREC, PUBREL, PUBCOMP, DISCONNECT, AUTH, CONNACK, SUBACK and UNSUBACK as far as they share members. */
struct ack_packet {
    uint16_t packet_identifier;
    enum mqtt_reason reason;
    bool session_present;     /* CONNACK */
    struct span reason_codes; /* SUBACK, UNSUBACK: one byte per filter */
    struct mqtt_props props;
};

/* SUBSCRIBE and UNSUBSCRIBE: the filter list is validated, walk it with filters_next(). */
struct subscribe_packet {
    uint16_t packet_identifier;
    uint32_t filter_count;
    struct span filters;
    bool has_options; /* SUBSCRIBE */
    struct mqtt_props props;
};

/* One element of the list. In 3.1 and 3.1.1 only the two QoS bits of `options` can be set. */
struct filter_view {
    struct span filter; /* valid UTF-8; its form is checked by topic/topic.h */
    uint8_t options;    /* bits 0-1 QoS, 2 No Local, 3 Retain As Published, 4-5 Retain Handling */
};

#endif
