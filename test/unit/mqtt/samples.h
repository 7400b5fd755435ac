/* SPDX-License-Identifier: MIT
 *
 * samples - one good packet of every kind, written by hand, for tests that break good packets.
 */
#ifndef SHARDMQ_TEST_SAMPLES_H
#define SHARDMQ_TEST_SAMPLES_H

#include "codec_test.h"

struct sample {
    const char *name;
    const char *bytes;
    uint32_t len;
    enum mqtt_version version;
    bool from_server;
    /* Body lengths shorter than the whole at which the packet is another good packet: up to four, and
     * everything from `good_from` on (what ends in a payload or in a list of one-byte codes). 0: none. */
    uint8_t good[4];
    uint8_t good_from;
};

#define SAMPLE(literal) .bytes = literal, .len = sizeof(literal) - 1

static const struct sample samples[] = {
    {"CONNECT 3.1", SAMPLE("\x10\x16\x00\x06MQIsdp\x03\x02\x00\x3C\x00\x08longname"), MQTT_3_1},
    {"CONNECT 3.1.1",
     SAMPLE("\x10\x23\x00\x04MQTT\x04\xEE\x00\x3C\x00\x02id\x00\x03w/t\x00\x03"
            "bye\x00\x04user\x00\x03pwd"),
     MQTT_3_1_1},
    {"CONNECT 5",
     SAMPLE(
         "\x10\x43\x00\x04MQTT\x05\xCE\x00\x3C\x1B\x11\x00\x00\x0E\x10\x21\x00\x14\x27\x00\x01\x00"
         "\x00\x26\x00\x01k\x00\x01v\x15\x00\x01m\x22\x00\x05"
         "\x00\x02id\x0C\x18\x00\x00\x00\x05\x02\x00\x00\x00\x09\x01\x01\x00\x01t\x00\x01p"
         "\x00\x01u\x00\x01p"),
     MQTT_5},
    {"CONNACK 3.1.1", SAMPLE("\x20\x02\x01\x00"), MQTT_3_1_1, .from_server = true},
    {"CONNACK 5", SAMPLE("\x20\x0D\x00\x00\x0A\x21\x00\x0A\x24\x01\x1F\x00\x02ok"), MQTT_5,
     .from_server = true},
    {"PUBLISH 0",
     SAMPLE("\x30\x0A\x00\x03"
            "a/bhello"),
     MQTT_3_1_1, .good_from = 5},
    {"PUBLISH 1",
     SAMPLE("\x33\x0A\x00\x03"
            "a/b\x00\x07xyz"),
     MQTT_3_1_1, .good_from = 7},
    {"PUBLISH 5",
     SAMPLE("\x34\x19\x00\x01t\x00\x07\x10\x01\x01\x26\x00\x01k\x00\x01v\x08\x00\x02rt"
            "\x0B\x05pay"),
     MQTT_5, .good_from = 22},
    {"PUBACK", SAMPLE("\x40\x02\x00\x01"), MQTT_3_1_1},
    {"PUBREC 5", SAMPLE("\x50\x0A\x00\x01\x97\x06\x1F\x00\x03why"), MQTT_5, .good = {2, 3}},
    {"PUBREL", SAMPLE("\x62\x02\x00\x01"), MQTT_3_1_1},
    {"PUBCOMP 5", SAMPLE("\x70\x0B\x00\x01\x92\x07\x26\x00\x01k\x00\x01v"), MQTT_5, .good = {2, 3}},
    {"SUBSCRIBE",
     SAMPLE("\x82\x0E\x00\x01\x00\x03"
            "a/b\x01\x00\x03"
            "c/d\x02"),
     MQTT_3_1_1, .good = {8}},
    {"SUBSCRIBE 5",
     SAMPLE("\x82\x11\x00\x01\x02\x0B\x07\x00\x03"
            "a/b\x2D\x00\x03"
            "c/d\x02"),
     MQTT_5, .good = {11}},
    {"SUBACK", SAMPLE("\x90\x05\x00\x01\x00\x01\x80"), MQTT_3_1_1, .from_server = true,
     .good_from = 3},
    {"SUBACK 5", SAMPLE("\x90\x09\x00\x01\x04\x1F\x00\x01x\x02\x87"), MQTT_5, .from_server = true,
     .good_from = 8},
    {"UNSUBSCRIBE",
     SAMPLE("\xA2\x0C\x00\x01\x00\x03"
            "a/b\x00\x03"
            "c/d"),
     MQTT_3_1_1, .good = {7}},
    {"UNSUBSCRIBE 5",
     SAMPLE("\xA2\x0F\x00\x01\x07\x26\x00\x01k\x00\x01v\x00\x03"
            "a/b"),
     MQTT_5},
    {"UNSUBACK", SAMPLE("\xB0\x02\x00\x01"), MQTT_3_1_1, .from_server = true},
    {"UNSUBACK 5", SAMPLE("\xB0\x05\x00\x01\x00\x00\x11"), MQTT_5, .from_server = true,
     .good_from = 4},
    {"DISCONNECT 5", SAMPLE("\xE0\x07\x04\x05\x11\x00\x00\x00\x3C"), MQTT_5, .good = {1}},
    {"DISCONNECT 5 from the server", SAMPLE("\xE0\x06\x9D\x04\x1C\x00\x01h"), MQTT_5,
     .from_server = true, .good = {1}},
    {"AUTH", SAMPLE("\xF0\x0A\x18\x08\x15\x00\x01m\x16\x00\x01\x00"), MQTT_5},
};

#undef SAMPLE

#define SAMPLE_COUNT (sizeof(samples) / sizeof(samples[0]))

#endif
