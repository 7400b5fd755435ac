/* SPDX-License-Identifier: MIT
 *
 * hostile - what a hostile server sends, at which moment, and what a client has to make of it: one
 * row per breach, for the protocol alone (unit/client) and over sockets (unit/driver).
 */
#ifndef SHARDMQ_TEST_HOSTILE_H
#define SHARDMQ_TEST_HOSTILE_H

#include "mqtt/packet.h"

/* What the client has done before the bytes come. */
enum hostile_stage {
    STAGE_CONNECTING,   /* CONNECT, clean start; announced: 2 QoS 2 messages, 1 alias, 1 MiB */
    STAGE_ONLINE,       /* CONNACK has come */
    STAGE_SUBSCRIBED,   /* SUBSCRIBE with two filters, QoS 0 and 1, identifier 0x8002 */
    STAGE_UNSUBSCRIBED, /* UNSUBSCRIBE with two filters, identifier 0x8002 */
    STAGE_PUBLISHED_1,  /* a QoS 1 message, identifier 1 */
    STAGE_PUBLISHED_2,  /* a QoS 2 message, identifier 1 */
};

struct hostile_row {
    const char *name;
    enum mqtt_version version;
    enum hostile_stage stage;
    const char *bytes;
    uint32_t len;
    enum mqtt_reason reason; /* of the client's DISCONNECT in 5.0 */
    const char *why;         /* part of the sentence */
};

#define ROW(name, version, stage, bytes, reason, why)                                              \
    {name, version, stage, bytes, sizeof(bytes) - 1, MQTT_REASON_##reason, why},

static const struct hostile_row hostile_rows[] = {
    /* clang-format off */
    /* out of place */
    ROW("publish first", MQTT_5, STAGE_CONNECTING, "\x30\x05\0\1a\0x", PROTOCOL_ERROR, "PUBLISH before CONNACK")
    ROW("publish first, 3.1.1", MQTT_3_1_1, STAGE_CONNECTING, "\x30\x04\0\1ax", PROTOCOL_ERROR, "PUBLISH before CONNACK")
    ROW("suback first", MQTT_5, STAGE_CONNECTING, "\x90\x04\x80\x02\0\0", PROTOCOL_ERROR, "SUBACK before CONNACK")
    ROW("unsuback first", MQTT_5, STAGE_CONNECTING, "\xb0\x04\x80\x02\0\0", PROTOCOL_ERROR, "UNSUBACK before CONNACK")
    ROW("puback first", MQTT_5, STAGE_CONNECTING, "\x40\x02\0\1", PROTOCOL_ERROR, "PUBACK before CONNACK")
    ROW("pubrel first", MQTT_5, STAGE_CONNECTING, "\x62\x02\0\1", PROTOCOL_ERROR, "PUBREL before CONNACK")
    ROW("pingresp first", MQTT_5, STAGE_CONNECTING, "\xd0\0", PROTOCOL_ERROR, "PINGRESP before CONNACK")
    ROW("disconnect first", MQTT_5, STAGE_CONNECTING, "\xe0\0", PROTOCOL_ERROR, "DISCONNECT before CONNACK")
    ROW("auth unasked", MQTT_5, STAGE_CONNECTING, "\xf0\0", PROTOCOL_ERROR, "AUTH that was not asked for")
    ROW("two connacks", MQTT_5, STAGE_ONLINE, "\x20\x03\0\0\0", PROTOCOL_ERROR, "second CONNACK")
    ROW("two connacks, 3.1.1", MQTT_3_1_1, STAGE_ONLINE, "\x20\x02\0\0", PROTOCOL_ERROR, "second CONNACK")
    ROW("connect from a server", MQTT_5, STAGE_CONNECTING, "\x10\x0d\0\4MQTT\5\2\0\0\0\0\0", PROTOCOL_ERROR, "CONNECT, which only clients may")
    ROW("subscribe from a server", MQTT_5, STAGE_ONLINE, "\x82\x07\0\1\0\0\1a\0", PROTOCOL_ERROR, "SUBSCRIBE, which only clients may")
    ROW("unsubscribe from a server", MQTT_3_1_1, STAGE_ONLINE, "\xa2\x05\0\1\0\1a", PROTOCOL_ERROR, "UNSUBSCRIBE, which only clients may")
    ROW("pingreq from a server", MQTT_5, STAGE_ONLINE, "\xc0\0", PROTOCOL_ERROR, "PINGREQ, which only clients may")
    ROW("pingresp unasked", MQTT_5, STAGE_ONLINE, "\xd0\0", PROTOCOL_ERROR, "PINGRESP that answers nothing")
    ROW("disconnect, 3.1.1", MQTT_3_1_1, STAGE_ONLINE, "\xe0\0", PROTOCOL_ERROR, "DISCONNECT, which only clients may")
    ROW("auth, 3.1.1", MQTT_3_1_1, STAGE_ONLINE, "\xf0\0", PROTOCOL_ERROR, "AUTH that was not asked for")
    ROW("auth when online", MQTT_5, STAGE_ONLINE, "\xf0\0", PROTOCOL_ERROR, "AUTH that was not asked for")
    /* lengths and headers */
    ROW("length of five bytes", MQTT_5, STAGE_CONNECTING, "\x20\xff\xff\xff\xff\x7f", MALFORMED_PACKET, "not MQTT")
    ROW("length too long", MQTT_5, STAGE_CONNECTING, "\x20\x83\0\0\0\0", MALFORMED_PACKET, "not MQTT")
    ROW("type 0", MQTT_5, STAGE_CONNECTING, "\0\0", MALFORMED_PACKET, "not MQTT")
    ROW("a short text", MQTT_5, STAGE_CONNECTING, "HTTP/1.0 400\r\n\r\n", MALFORMED_PACKET, "PUBACK")
    ROW("the header of a message", MQTT_3_1_1, STAGE_CONNECTING, "\x30\xff", PROTOCOL_ERROR, "PUBLISH before CONNACK")
    ROW("text", MQTT_5, STAGE_CONNECTING, "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 11\r\nConnection: close\r\n\r\nBad Request", MALFORMED_PACKET, "PUBACK")
    ROW("huge connack", MQTT_5, STAGE_CONNECTING, "\x20\xff\xff\xff\x7f\0", PACKET_TOO_LARGE, "announced a packet of 268435460 bytes")
    ROW("huge publish", MQTT_5, STAGE_ONLINE, "\x30\xff\xff\xff\x7f\0", PACKET_TOO_LARGE, "announced a packet")
    ROW("a byte too large", MQTT_5, STAGE_ONLINE, "\x30\xfd\xff\x3f", PACKET_TOO_LARGE, "at most 1048576 were agreed on")
    ROW("connack flags", MQTT_5, STAGE_CONNECTING, "\x21\x03\0\0\0", MALFORMED_PACKET, "CONNACK that is not valid")
    ROW("suback flags", MQTT_5, STAGE_SUBSCRIBED, "\x92\x05\x80\x02\0\0\0", MALFORMED_PACKET, "SUBACK that is not valid")
    ROW("pubrel flags", MQTT_5, STAGE_ONLINE, "\x60\x02\0\1", MALFORMED_PACKET, "PUBREL that is not valid")
    ROW("puback flags", MQTT_5, STAGE_PUBLISHED_1, "\x41\x02\0\1", MALFORMED_PACKET, "PUBACK that is not valid")
    ROW("pingresp with a body", MQTT_5, STAGE_ONLINE, "\xd0\1x", MALFORMED_PACKET, "PINGRESP that is not valid")
    /* CONNACK */
    ROW("connack without code", MQTT_5, STAGE_CONNECTING, "\x20\1\0", MALFORMED_PACKET, "CONNACK that is not valid")
    ROW("connack without properties", MQTT_5, STAGE_CONNECTING, "\x20\2\0\0", MALFORMED_PACKET, "CONNACK that is not valid")
    ROW("empty connack, 3.1.1", MQTT_3_1_1, STAGE_CONNECTING, "\x20\0", MALFORMED_PACKET, "CONNACK that is not valid")
    ROW("connack reserved bits", MQTT_5, STAGE_CONNECTING, "\x20\3\2\0\0", MALFORMED_PACKET, "CONNACK that is not valid")
    ROW("connack unknown code", MQTT_5, STAGE_CONNECTING, "\x20\3\0\x7f\0", PROTOCOL_ERROR, "CONNACK that is not valid")
    ROW("connack unknown code, 3.1.1", MQTT_3_1_1, STAGE_CONNECTING, "\x20\2\0\6", PROTOCOL_ERROR, "CONNACK that is not valid")
    ROW("session and refusal", MQTT_5, STAGE_CONNECTING, "\x20\3\1\x87\0", PROTOCOL_ERROR, "CONNACK that is not valid")
    ROW("session after clean start", MQTT_5, STAGE_CONNECTING, "\x20\3\1\0\0", PROTOCOL_ERROR, "clean start")
    ROW("session after clean session", MQTT_3_1_1, STAGE_CONNECTING, "\x20\2\1\0", PROTOCOL_ERROR, "clean start")
    ROW("connack topic alias", MQTT_5, STAGE_CONNECTING, "\x20\6\0\0\3\x23\0\1", MALFORMED_PACKET, "CONNACK that is not valid")
    ROW("receive maximum 0", MQTT_5, STAGE_CONNECTING, "\x20\6\0\0\3\x21\0\0", PROTOCOL_ERROR, "CONNACK that is not valid")
    ROW("maximum packet size 0", MQTT_5, STAGE_CONNECTING, "\x20\x08\0\0\5\x27\0\0\0\0", PROTOCOL_ERROR, "CONNACK that is not valid")
    ROW("maximum qos 2", MQTT_5, STAGE_CONNECTING, "\x20\5\0\0\2\x24\2", PROTOCOL_ERROR, "CONNACK that is not valid")
    ROW("property twice", MQTT_5, STAGE_CONNECTING, "\x20\7\0\0\4\x24\1\x24\1", PROTOCOL_ERROR, "CONNACK that is not valid")
    ROW("properties of five bytes' length", MQTT_5, STAGE_CONNECTING, "\x20\7\0\0\xff\xff\xff\xff\x7f", MALFORMED_PACKET, "CONNACK that is not valid")
    ROW("properties behind the end", MQTT_5, STAGE_CONNECTING, "\x20\4\0\0\5\x24", MALFORMED_PACKET, "CONNACK that is not valid")
    ROW("unknown property", MQTT_5, STAGE_CONNECTING, "\x20\5\0\0\2\x7e\0", MALFORMED_PACKET, "CONNACK that is not valid")
    ROW("assigned identifier not UTF-8", MQTT_5, STAGE_CONNECTING, "\x20\7\0\0\4\x12\0\1\xff", MALFORMED_PACKET, "CONNACK that is not valid")
    ROW("bytes behind connack's end", MQTT_5, STAGE_CONNECTING, "\x20\4\0\0\0x", MALFORMED_PACKET, "CONNACK that is not valid")
    ROW("method unasked", MQTT_5, STAGE_CONNECTING, "\x20\7\0\0\4\x15\0\1m", PROTOCOL_ERROR, "authentication method that was not asked for")
    ROW("public proof of concept", MQTT_5, STAGE_CONNECTING, "\x10\x10\0\x04\x4d\x51\x54\x54\x05\x02\0\x3c\x03\x21\0\x14\0\0", PROTOCOL_ERROR, "CONNECT, which only clients may")
    /* PUBLISH */
    ROW("qos 3", MQTT_5, STAGE_ONLINE, "\x36\x07\0\1a\0\1\0x", MALFORMED_PACKET, "PUBLISH that is not valid")
    ROW("dup with qos 0", MQTT_5, STAGE_ONLINE, "\x38\x05\0\1a\0x", MALFORMED_PACKET, "PUBLISH that is not valid")
    ROW("empty publish", MQTT_5, STAGE_ONLINE, "\x30\0", MALFORMED_PACKET, "PUBLISH that is not valid")
    ROW("topic behind the end", MQTT_5, STAGE_ONLINE, "\x30\x05\xff\xff" "a\0x", MALFORMED_PACKET, "PUBLISH that is not valid")
    ROW("half an identifier", MQTT_3_1_1, STAGE_ONLINE, "\x32\4\0\1a\0", MALFORMED_PACKET, "PUBLISH that is not valid")
    ROW("identifier 0", MQTT_5, STAGE_ONLINE, "\x32\6\0\1a\0\0\0", PROTOCOL_ERROR, "PUBLISH that is not valid")
    ROW("identifier 0, 3.1.1", MQTT_3_1_1, STAGE_ONLINE, "\x32\5\0\1a\0\0", MALFORMED_PACKET, "PUBLISH that is not valid")
    ROW("no topic", MQTT_5, STAGE_ONLINE, "\x30\3\0\0\0", PROTOCOL_ERROR, "PUBLISH that is not valid")
    ROW("no topic, 3.1.1", MQTT_3_1_1, STAGE_ONLINE, "\x30\2\0\0", TOPIC_NAME_INVALID, "topic name is not valid")
    ROW("wildcard in a topic", MQTT_5, STAGE_ONLINE, "\x30\6\0\3a/#\0", TOPIC_NAME_INVALID, "topic name is not valid")
    ROW("topic not UTF-8", MQTT_5, STAGE_ONLINE, "\x30\5\0\2\xc0\x80\0", TOPIC_NAME_INVALID, "topic name is not valid")
    ROW("surrogate in a topic", MQTT_5, STAGE_ONLINE, "\x30\6\0\3\xed\xa0\x80\0", TOPIC_NAME_INVALID, "topic name is not valid")
    ROW("NUL in a topic", MQTT_5, STAGE_ONLINE, "\x30\5\0\2a\0\0", TOPIC_NAME_INVALID, "topic name is not valid")
    ROW("alias 0", MQTT_5, STAGE_ONLINE, "\x30\7\0\1a\3\x23\0\0", TOPIC_ALIAS_INVALID, "PUBLISH that is not valid")
    ROW("alias too high", MQTT_5, STAGE_ONLINE, "\x30\7\0\1a\3\x23\0\2", TOPIC_ALIAS_INVALID, "topic alias 2, at most 1")
    ROW("alias unexplained", MQTT_5, STAGE_ONLINE, "\x30\6\0\0\3\x23\0\1", PROTOCOL_ERROR, "never explained")
    ROW("alias with a bad topic", MQTT_5, STAGE_ONLINE, "\x30\7\0\1+\3\x23\0\1", TOPIC_NAME_INVALID, "topic name is not valid")
    ROW("subscription identifier 0", MQTT_5, STAGE_ONLINE, "\x30\6\0\1a\2\x0b\0", PROTOCOL_ERROR, "PUBLISH that is not valid")
    ROW("subscription identifier of five bytes", MQTT_5, STAGE_ONLINE, "\x30\x0a\0\1a\6\x0b\xff\xff\xff\xff\x7f", MALFORMED_PACKET, "PUBLISH that is not valid")
    ROW("property not allowed there", MQTT_5, STAGE_ONLINE, "\x30\x09\0\1a\5\x11\0\0\0\1", MALFORMED_PACKET, "PUBLISH that is not valid")
    ROW("user property not UTF-8", MQTT_5, STAGE_ONLINE, "\x30\x0b\0\1a\7\x26\0\1k\0\1\xff", MALFORMED_PACKET, "PUBLISH that is not valid")
    ROW("response topic with wildcard", MQTT_5, STAGE_ONLINE, "\x30\x08\0\1a\4\x08\0\1#", PROTOCOL_ERROR, "PUBLISH that is not valid")
    ROW("receive maximum exceeded", MQTT_5, STAGE_ONLINE,
        "\x34\6\0\1a\0\1\0\x34\6\0\1a\0\2\0\x34\6\0\1a\0\3\0", RECEIVE_MAXIMUM_EXCEEDED, "more than the 2 QoS 2 messages")
    /* acknowledgements */
    ROW("puback for nothing", MQTT_5, STAGE_ONLINE, "\x40\2\0\1", PROTOCOL_ERROR, "packet identifier 1, which awaits none")
    ROW("puback unknown", MQTT_5, STAGE_PUBLISHED_1, "\x40\2\xff\xff", PROTOCOL_ERROR, "packet identifier 65535, which awaits none")
    ROW("puback identifier 0", MQTT_3_1_1, STAGE_PUBLISHED_1, "\x40\2\0\0", MALFORMED_PACKET, "PUBACK that is not valid")
    ROW("puback short", MQTT_5, STAGE_PUBLISHED_1, "\x40\1\0", MALFORMED_PACKET, "PUBACK that is not valid")
    ROW("puback twice", MQTT_3_1_1, STAGE_PUBLISHED_1, "\x40\2\0\1\x40\2\0\1", PROTOCOL_ERROR, "which awaits none")
    ROW("puback too long, 3.1.1", MQTT_3_1_1, STAGE_PUBLISHED_1, "\x40\3\0\1\0", MALFORMED_PACKET, "PUBACK that is not valid")
    ROW("puback unknown reason", MQTT_5, STAGE_PUBLISHED_1, "\x40\3\0\1\x7f", PROTOCOL_ERROR, "PUBACK that is not valid")
    ROW("puback wrong property", MQTT_5, STAGE_PUBLISHED_1, "\x40\7\0\1\0\3\x21\0\1", MALFORMED_PACKET, "PUBACK that is not valid")
    ROW("pubrec for qos 1", MQTT_5, STAGE_PUBLISHED_1, "\x50\2\0\1", PROTOCOL_ERROR, "PUBREC for the packet identifier 1")
    ROW("puback for qos 2", MQTT_5, STAGE_PUBLISHED_2, "\x40\2\0\1", PROTOCOL_ERROR, "PUBACK for the packet identifier 1")
    ROW("pubcomp too early", MQTT_5, STAGE_PUBLISHED_2, "\x70\2\0\1", PROTOCOL_ERROR, "PUBCOMP for the packet identifier 1")
    ROW("pubrec twice, the second a refusal", MQTT_5, STAGE_PUBLISHED_2, "\x50\2\0\1\x50\3\0\1\x80", PROTOCOL_ERROR, "PUBREC for the packet identifier 1")
    ROW("pubrec behind pubcomp", MQTT_5, STAGE_PUBLISHED_2, "\x50\2\0\1\x70\2\0\1\x50\2\0\1", PROTOCOL_ERROR, "PUBREC for the packet identifier 1")
    ROW("pubcomp twice", MQTT_3_1_1, STAGE_PUBLISHED_2, "\x50\2\0\1\x70\2\0\1\x70\2\0\1", PROTOCOL_ERROR, "which awaits none")
    ROW("pubcomp unknown reason", MQTT_5, STAGE_PUBLISHED_2, "\x50\2\0\1\x70\3\0\1\x87", PROTOCOL_ERROR, "PUBCOMP that is not valid")
    /* SUBACK and UNSUBACK */
    ROW("suback for nothing", MQTT_5, STAGE_ONLINE, "\x90\4\x80\x02\0\0", PROTOCOL_ERROR, "SUBACK for the packet identifier 32770")
    ROW("suback without codes", MQTT_5, STAGE_SUBSCRIBED, "\x90\3\x80\x02\0", MALFORMED_PACKET, "SUBACK that is not valid")
    ROW("suback without codes, 3.1.1", MQTT_3_1_1, STAGE_SUBSCRIBED, "\x90\2\x80\x02", MALFORMED_PACKET, "SUBACK that is not valid")
    ROW("suback too few", MQTT_5, STAGE_SUBSCRIBED, "\x90\4\x80\x02\0\0", PROTOCOL_ERROR, "1 reason codes for 2 topic filters")
    ROW("suback too many", MQTT_5, STAGE_SUBSCRIBED, "\x90\6\x80\x02\0\0\0\0", PROTOCOL_ERROR, "3 reason codes for 2 topic filters")
    ROW("suback too few, 3.1.1", MQTT_3_1_1, STAGE_SUBSCRIBED, "\x90\3\x80\x02\0", PROTOCOL_ERROR, "1 reason codes for 2 topic filters")
    ROW("suback of another", MQTT_5, STAGE_SUBSCRIBED, "\x90\5\0\1\0\0\0", PROTOCOL_ERROR, "SUBACK for the packet identifier 1")
    ROW("suback identifier 0", MQTT_5, STAGE_SUBSCRIBED, "\x90\5\0\0\0\0\0", PROTOCOL_ERROR, "SUBACK that is not valid")
    ROW("suback unknown code", MQTT_5, STAGE_SUBSCRIBED, "\x90\5\x80\x02\0\3\0", PROTOCOL_ERROR, "SUBACK that is not valid")
    ROW("suback unknown code, 3.1.1", MQTT_3_1_1, STAGE_SUBSCRIBED, "\x90\4\x80\x02\x87\0", PROTOCOL_ERROR, "SUBACK that is not valid")
    ROW("more than was asked for", MQTT_5, STAGE_SUBSCRIBED, "\x90\5\x80\x02\0\0\2", PROTOCOL_ERROR, "granted QoS 2, more than was asked for")
    ROW("more than was asked for, 3.1.1", MQTT_3_1_1, STAGE_SUBSCRIBED, "\x90\4\x80\x02\1\1", PROTOCOL_ERROR, "granted QoS 1, more than was asked for")
    ROW("suback twice", MQTT_5, STAGE_SUBSCRIBED, "\x90\5\x80\x02\0\0\0\x90\5\x80\x02\0\0\0", PROTOCOL_ERROR, "which awaits none")
    ROW("unsuback for subscribe", MQTT_5, STAGE_SUBSCRIBED, "\xb0\5\x80\x02\0\0\0", PROTOCOL_ERROR, "UNSUBACK for the packet identifier 32770")
    ROW("suback for unsubscribe", MQTT_5, STAGE_UNSUBSCRIBED, "\x90\5\x80\x02\0\0\0", PROTOCOL_ERROR, "SUBACK for the packet identifier 32770")
    ROW("unsuback without codes", MQTT_5, STAGE_UNSUBSCRIBED, "\xb0\3\x80\x02\0", MALFORMED_PACKET, "UNSUBACK that is not valid")
    ROW("unsuback too many", MQTT_5, STAGE_UNSUBSCRIBED, "\xb0\6\x80\x02\0\0\0\0", PROTOCOL_ERROR, "3 reason codes for 2 topic filters")
    ROW("unsuback with codes, 3.1.1", MQTT_3_1_1, STAGE_UNSUBSCRIBED, "\xb0\4\x80\x02\0\0", MALFORMED_PACKET, "UNSUBACK that is not valid")
    /* DISCONNECT */
    ROW("disconnect with a client's reason", MQTT_5, STAGE_ONLINE, "\xe0\1\4", PROTOCOL_ERROR, "DISCONNECT that is not valid")
    ROW("disconnect with an expiry", MQTT_5, STAGE_ONLINE, "\xe0\7\0\5\x11\0\0\0\1", MALFORMED_PACKET, "DISCONNECT that is not valid")
    ROW("disconnect with half properties", MQTT_5, STAGE_ONLINE, "\xe0\4\0\5\x1f\0", MALFORMED_PACKET, "DISCONNECT that is not valid")
    /* clang-format on */
};

#undef ROW

#endif
